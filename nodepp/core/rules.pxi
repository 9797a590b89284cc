# core/rules.pxi — which level does this path of this host ask for?
#   Prefix: rules
#   Owns:  the rules of app.require_auth in C memory; the longest match
#   Uses:  limits, target
#   Never: who is asking
#   Holds: sorted by path; a rule knows the longest other one that its path begins with

cdef enum:
    RULES_NONE = -1                    # no rule says anything

cdef struct rule_t:
    const uint8_t* path
    uint32_t size
    uint8_t level
    bint plain                         # any path that begins so; else whole segments
    int32_t shorter                    # index, -1: none

cdef struct rules_host_t:
    const uint8_t* name                # lower case, no port; the main host has none
    uint32_t size
    rule_t* rules
    uint32_t count
    int default_level                  # RULES_NONE: as the main host

cdef rules_host_t* rules_hosts         # the main one first
cdef int rules_host_count              # 0: there are no rules
cdef list rules_kept                   # whose bytes the rules point into
cdef uint8_t rules_path[HEAD_SIZE_CEILING]   # a path that had slashes too many


cdef int rules_open(list described) except -1:
    """Takes (host, path, level): path "" is a host's default, a final "*" makes it a plain
    beginning. The last one of equals wins."""
    global rules_hosts, rules_host_count, rules_kept
    cdef int i
    by_host = {"": {}}
    for host, path, level in described:
        if not isinstance(level, int) or not 0 <= level <= 255:
            raise ValueError(f"{level!r} is no level: 0 to 255")
        if path and not path.startswith(("/", "*")):
            raise ValueError(f"{path!r} is no path: it begins with a slash")
        by_host.setdefault(host.lower(), {})[path] = int(level)
    if by_host == {"": {}} or not any(any(rules.values()) for rules in by_host.values()):
        return 0
    rules_kept = []
    rules_hosts = <rules_host_t*>calloc(len(by_host), sizeof(rules_host_t))
    if rules_hosts == NULL:
        raise MemoryError("no room for access rules")
    for i, (host, rules) in enumerate(by_host.items()):
        rules_host_count = i + 1
        rules_fill(&rules_hosts[i], host.encode(), rules)
    return 0


cdef int rules_fill(rules_host_t* host, bytes name, dict rules) except -1:
    cdef rule_t* rule
    cdef int32_t i, j
    rules_kept.append(name)
    host.name = <const uint8_t*>PyBytes_AS_STRING(name)
    host.size = <uint32_t>len(name)
    host.default_level = rules.pop("", RULES_NONE)
    host.rules = <rule_t*>calloc(len(rules) + 1, sizeof(rule_t))
    if host.rules == NULL:
        raise MemoryError("no room for access rules")
    for path, level in sorted((path.encode(), level) for path, level in rules.items()):
        plain = path.endswith(b"*")
        if plain:
            path = path[:-1]
        elif len(path) > 1:
            path = path.rstrip(b"/")
        rules_kept.append(path)
        rule = &host.rules[host.count]
        rule.path = <const uint8_t*>PyBytes_AS_STRING(path)
        rule.size = <uint32_t>len(path)
        rule.level = level
        rule.plain = plain
        host.count += 1
    rules_sort(host)
    for i in range(host.count):
        host.rules[i].shorter = -1
        j = i - 1
        while j >= 0:
            if rules_begins(&host.rules[j], host.rules[i].path, host.rules[i].size):
                host.rules[i].shorter = j
                break
            j -= 1
    return 0


cdef void rules_sort(rules_host_t* host) noexcept nogil:
    """By bytes; what a star was cut from may have to move."""
    cdef uint32_t i, j
    cdef rule_t rule
    for i in range(1, host.count):
        rule = host.rules[i]
        j = i
        while j > 0 and rules_comes_before(&rule, &host.rules[j - 1]):
            host.rules[j] = host.rules[j - 1]
            j -= 1
        host.rules[j] = rule


cdef bint rules_comes_before(const rule_t* rule, const rule_t* other) noexcept nogil:
    """Of two with the same text the one for whole segments is the closer match: it comes later."""
    cdef int order = rules_compare(other, rule.path, rule.size)
    return order > 0 or order == 0 and rule.plain and not other.plain


cdef void rules_close() noexcept:
    global rules_hosts, rules_host_count, rules_kept
    cdef int i
    for i in range(rules_host_count):
        free(rules_hosts[i].rules)
    free(rules_hosts)
    rules_hosts = NULL
    rules_host_count = 0
    rules_kept = None


cdef inline int rules_compare(const rule_t* rule, const uint8_t* path,
                              size_t size) noexcept nogil:
    """Below 0: the rule's path comes before this one."""
    cdef size_t shared = rule.size if rule.size < size else size
    cdef int order = memcmp(rule.path, path, shared)
    if order:
        return order
    return -1 if rule.size < size else rule.size > size


cdef inline bint rules_begins(const rule_t* rule, const uint8_t* path,
                              size_t size) noexcept nogil:
    """Does the path begin with that of the rule, with its bytes alone?"""
    return rule.size <= size and memcmp(rule.path, path, rule.size) == 0


cdef inline bint rules_covers(const rule_t* rule, const uint8_t* path,
                              size_t size) noexcept nogil:
    """Is it below the rule's path: "/a" covers "/a" and "/a/b", not "/ab"?"""
    if not rules_begins(rule, path, size):
        return False
    return rule.plain or rule.size == size or path[rule.size] == c'/' \
        or rule.size > 0 and rule.path[rule.size - 1] == c'/'


cdef int rules_match(const rules_host_t* host, const uint8_t* path, size_t size) noexcept nogil:
    """The level of the longest rule that covers the path, or RULES_NONE. The rule that sorts just
    before a path, or one that this begins with, is the only candidate."""
    cdef uint32_t low = 0
    cdef uint32_t high = host.count
    cdef uint32_t middle
    cdef int32_t i
    while low < high:
        middle = (low + high) // 2
        if rules_compare(&host.rules[middle], path, size) <= 0:
            low = middle + 1
        else:
            high = middle
    i = <int32_t>low - 1
    while i >= 0:
        if rules_covers(&host.rules[i], path, size):
            return host.rules[i].level
        i = host.rules[i].shorter
    return RULES_NONE


cdef int rules_level(const uint8_t* authority, size_t authority_size, const uint8_t* path,
                     size_t size) noexcept nogil:
    """What is asked for. The handlers of an application answer on every host, so what the main
    host guards is guarded on the others too, unless these have a rule of their own."""
    cdef const rules_host_t* host = rules_find_host(authority, authority_size)
    cdef int level = RULES_NONE
    size = rules_collapse(&path, size)
    if host != rules_hosts:
        level = rules_match(host, path, size)
    if level == RULES_NONE:
        # It may guard what the host leaves open, but not open what the host guards.
        level = rules_match(rules_hosts, path, size)
        if level < host.default_level and host != rules_hosts:
            level = host.default_level
    if level == RULES_NONE:
        level = host.default_level
    if level == RULES_NONE:
        level = rules_hosts.default_level
    return level if level != RULES_NONE else 0


cdef size_t rules_collapse(const uint8_t** path, size_t size) noexcept nogil:
    """Slashes beside each other count as one: an application that skips empty segments, as those of
    Node++ do, must not be reached past a rule."""
    cdef const uint8_t* text = path[0]
    cdef size_t i
    cdef size_t used = 0
    for i in range(1, size):
        if text[i] == c'/' and text[i - 1] == c'/':
            break
    else:
        return size
    if size > sizeof(rules_path):
        return size                    # longer than any head
    for i in range(size):
        if not (text[i] == c'/' and used and rules_path[used - 1] == c'/'):
            rules_path[used] = text[i]
            used += 1
    path[0] = rules_path
    return used


cdef const rules_host_t* rules_find_host(const uint8_t* authority, size_t size) noexcept nogil:
    """By its whole name, else without its first label, else the main one."""
    cdef uint8_t name[TARGET_HOST_SIZE_MAX]
    cdef const uint8_t* dot
    cdef const rules_host_t* host
    if rules_host_count == 1:
        return rules_hosts
    size = target_host(authority, size, name)
    host = rules_host_named(name, size)
    if host == rules_hosts and size:
        dot = <const uint8_t*>memchr(name, c'.', size)
        if dot != NULL:
            host = rules_host_named(dot + 1, name + size - dot - 1)
    return host


cdef const rules_host_t* rules_host_named(const uint8_t* name, size_t size) noexcept nogil:
    """The main one if there is none of that name."""
    cdef int i
    for i in range(1, rules_host_count):
        if rules_hosts[i].size == size and memcmp(rules_hosts[i].name, name, size) == 0:
            return &rules_hosts[i]
    return rules_hosts
