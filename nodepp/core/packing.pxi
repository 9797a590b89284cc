# core/packing.pxi — the dict of a session as bytes, and back
#   Prefix: packing
#   Owns:  encoding and decoding by the host; whether a dict fits
#   Uses:  limits, session, callbacks, objects, policy, store
#   Never: declared fields
#   Holds: what was encoded is decoded to the same

cdef object packing_pack               # host.session_pack, and its opposite
cdef object packing_unpack
cdef bint packing_packs                # the function is the library's own by now
cdef bint packing_unpacks


cdef int packing_open(host) except -1:
    global packing_pack, packing_unpack, packing_packs, packing_unpacks
    packing_pack = getattr(host, "session_pack", None)
    packing_unpack = getattr(host, "session_unpack", None)
    packing_packs = packing_unpacks = False
    return 0


cdef void packing_close() noexcept:
    global packing_pack, packing_unpack
    packing_pack = packing_unpack = None


cdef dict packing_decode(bytes data):
    """The dict that was encoded so; {} of nothing."""
    global packing_unpack, packing_unpacks
    if not data:
        return {}
    values = packing_unpack(data)
    if unlikely_(not packing_unpacks):
        # At its first use the host has imported the library; from now on that is called directly.
        packing_unpack = callback_host.session_unpack
        packing_unpacks = True
    if not isinstance(values, dict):
        raise ValueError("the data of this session are no dict: they were written by other means")
    return values


cdef bytes packing_encode(dict values):
    global packing_pack, packing_packs
    if not values:
        return b""
    try:
        data = packing_pack(values)
    except (TypeError, OverflowError, UnicodeError) as problem:
        raise TypeError(f"a session cannot hold this: {problem}") from None
    if unlikely_(not packing_packs):
        packing_pack = callback_host.session_pack
        packing_packs = True
    return data


cdef inline size_t packing_bound(str key, value) noexcept:
    """Bytes that a key with a small value takes at most; 0: it has to be encoded to know, or to
    find out that it cannot be."""
    cdef size_t size = PyUnicode_GET_LENGTH(key) + 14
    cdef int overflow = 0
    if not PyUnicode_IS_COMPACT_ASCII(key):
        return 0
    if PyLong_CheckExact(value):
        PyLong_AsLongLongAndOverflow(value, &overflow)
        return 0 if overflow else size
    if value is None or value is True or value is False or PyFloat_CheckExact(value):
        return size
    if PyUnicode_CheckExact(value) and PyUnicode_IS_COMPACT_ASCII(value):
        return size + PyUnicode_GET_LENGTH(value)
    return 0


cdef inline size_t packing_room(SessionState s) noexcept:
    """Bytes of data beside the name."""
    return session_room(policy_vault, <uint32_t>PyBytes_GET_SIZE(s.label))


cdef int packing_check_size(SessionState s, bytes data) except -1:
    cdef size_t size = PyBytes_GET_SIZE(data)
    if size > packing_room(s):
        raise SessionFull(f"the session would hold {size} bytes, {packing_room(s)} are possible "
                          f"(sessionDataSize){packing_largest(s)}")
    return 0


cdef str packing_largest(SessionState s):
    """Whose fault it is."""
    sizes = [(len(packing_pack({key: value})), key) for key, value in (s.held or {}).items()]
    if not sizes:
        return ""
    size, key = max(sizes)
    return f"; the largest is {key!r} with {size}"
