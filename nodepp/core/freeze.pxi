# core/freeze.pxi — a Router's descriptions become its tables, once
#   Prefix: freeze
#   Owns:  laying out exact paths, tree, handlers and Allow lines in C memory
#   Uses:  scan, route
#   Never: a request
#   Holds: literals come before parameters, strict parameters before lenient ones

# Order of siblings: literal, uuid, int, float, str (a longer prefix or suffix first), path.
cdef dict freeze_rank = {"uuid": 1, "int": 2, "float": 3, "str": 4, "path": 5}
cdef dict freeze_converter = {"str": ROUTE_STR, "int": ROUTE_INT, "float": ROUTE_FLOAT,
                              "uuid": ROUTE_UUID, "path": ROUTE_PATH}
cdef tuple freeze_method_names = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


cdef int route_register(dict methods_of_path, int methods, tuple entry) except -1:
    for index in range(ROUTE_METHOD_COUNT):
        if methods >> index & 1:
            if 1 << index in methods_of_path:
                raise ValueError(f"there is a route for {freeze_method_names[index]} already")
            methods_of_path[1 << index] = entry
    return 0


cdef int route_insert(list siblings, tuple segments, int methods, tuple entry) except -1:
    """Adds a path to the tree: nodes are [segment, children, methods]."""
    # A parameter's name does not tell paths apart: /a/{x} and /a/{y} are the same path.
    for position, segment in enumerate(segments):
        key = segment[:3]
        if len(segment) == 4 and segment[2] == "path" and (
                segment[1] or position != len(segments) - 1):
            raise ValueError("a path parameter must be the last thing of a route")
        for node in siblings:
            if node[0] == key:
                break
        else:
            node = [key, [], {}]
            siblings.append(node)
        siblings = node[1]
    return route_register(node[2], methods, entry)


cdef int route_freeze(Router router) except -1:
    """Counts, reserves, fills."""
    cdef list nodes = []
    freeze_flatten(router.tree, nodes)
    endpoint_count = len(router.paths) + sum(1 for node in nodes if node[2])
    handler_count = sum(len(methods) for methods in router.paths.values()) \
        + sum(len(node[2]) for node in nodes)
    router.exact_room = 16
    while router.exact_room < 2 * len(router.paths) + 2:
        router.exact_room *= 2
    router.exact = <exact_t*>calloc(router.exact_room, sizeof(exact_t))
    router.endpoints = <endpoint_t*>calloc(endpoint_count + 1, sizeof(endpoint_t))
    router.handlers = <handler_t*>calloc(handler_count + 1, sizeof(handler_t))
    router.nodes = <node_t*>calloc(len(nodes) + 1, sizeof(node_t))
    if router.exact == NULL or router.endpoints == NULL or router.handlers == NULL \
            or router.nodes == NULL:
        raise MemoryError("no room for the table of routes")
    freeze_fill(router, nodes)
    return 0


cdef int freeze_flatten(list siblings, list nodes) except -1:
    """Puts the tree into one list, siblings in the order in which they are tried; each node gets
    the index of its first child and of its next sibling."""
    order = sorted([(*freeze_order(node), position) for position, node in enumerate(siblings)])
    siblings[:] = [siblings[key[-1]] for key in order]
    first = len(nodes)
    nodes.extend(siblings)
    for position, node in enumerate(siblings):
        node.append(first + position + 1 if position + 1 < len(siblings) else -1)
        node.append(-1)
    for node in siblings:
        if node[1]:
            node[4] = len(nodes)
            freeze_flatten(node[1], nodes)
    return 0


cdef tuple freeze_order(list node):
    """The sorting key of a node among its siblings."""
    segment = node[0]
    if len(segment) == 1:
        return (0, 0)
    return (freeze_rank[segment[2]], -len(segment[0]) - len(segment[1]))


cdef int freeze_fill(Router router, list nodes) except -1:
    cdef endpoint_t* endpoint = router.endpoints
    cdef handler_t* handler = router.handlers
    cdef size_t at
    cdef uint64_t hash
    for path, methods in router.paths.items():
        freeze_endpoint(router, endpoint, &handler, methods)
        router.kept.append(path)
        hash = scan_hash(<const uint8_t*><const char*>path, len(path))
        at = hash & (router.exact_room - 1)
        while router.exact[at].path != NULL:
            at = (at + 1) & (router.exact_room - 1)
        router.exact[at].path = <const uint8_t*><const char*>path
        router.exact[at].size = len(path)
        router.exact[at].hash = hash
        router.exact[at].endpoint = endpoint
        freeze_allow(router, endpoint)
        endpoint += 1
    for index, node in enumerate(nodes):
        freeze_node(router, &router.nodes[index], node)
        if node[2]:
            freeze_endpoint(router, endpoint, &handler, node[2])
            freeze_allow(router, endpoint)
            router.nodes[index].endpoint = endpoint
            endpoint += 1
    router.root = 0 if nodes else -1
    return 0


cdef int freeze_node(Router router, node_t* node, list described) except -1:
    segment = described[0]
    text = segment[0].encode()
    suffix = segment[1].encode() if len(segment) > 1 else b""
    router.kept.append((text, suffix))
    node.text = <const uint8_t*><const char*>text
    node.size = len(text)
    node.suffix = <const uint8_t*><const char*>suffix
    node.suffix_size = len(suffix)
    node.converter = freeze_converter[segment[2]] if len(segment) > 1 else -1
    node.next_sibling = described[3]
    node.first_child = described[4]
    return 0


cdef int freeze_endpoint(Router router, endpoint_t* endpoint, handler_t** free_handler,
                         dict methods) except -1:
    cdef handler_t* handler
    cdef int i
    for bit, (callable_, flags, names, order) in methods.items():
        handler = free_handler[0]
        free_handler[0] += 1
        router.kept.append((callable_, names))
        handler.callable = <PyObject*>callable_
        handler.flags = flags
        handler.param_count = len(names)
        handler.names = <PyObject*>names
        handler.by_name = order is None and handler.param_count > 0
        for i in range(handler.param_count):
            handler.order[i] = i if order is None else order[i]
        endpoint.handlers[route_method_index(bit)] = handler
        endpoint.methods |= <uint16_t>bit
    return 0


cdef int freeze_allow(Router router, endpoint_t* endpoint) except -1:
    """RFC 9110 §10.2.1: what the resource does answer to, OPTIONS included."""
    cdef uint16_t methods = endpoint.methods | METHOD_OPTIONS
    if methods & METHOD_GET:
        methods |= METHOD_HEAD
    router.methods |= methods
    line = freeze_allow_line(methods)
    router.kept.append(line)
    endpoint.allow = <PyObject*>line
    return 0


cdef bytes freeze_allow_line(uint16_t methods):
    names = [name for index, name in enumerate(freeze_method_names) if methods >> index & 1]
    return ("Allow: " + ", ".join(names) + "\r\n").encode()
