# core/declared.pxi — sessions whose fields an application has declared
#   Owns:  class SessionField: a field of a record of fixed size; adding, merging by fields
#   Uses:  vault, session, store, visit, personal, entry, settle, tally
#   Never: encoding; how a record is laid out
#   Holds: a field lies within its record; numbers are little endian, texts have their length first

cdef enum:                             # kinds
    DECLARED_INT, DECLARED_FLOAT, DECLARED_BOOL, DECLARED_STR, DECLARED_BYTES

cdef dict declared_kinds = {"int": DECLARED_INT, "float": DECLARED_FLOAT, "bool": DECLARED_BOOL,
                            "str": DECLARED_STR, "bytes": DECLARED_BYTES}


@cython.final
cdef class SessionField:
    """A declared field of a session: an attribute that is read from and written to its record.

    kind: int (64 bits), float, bool, str or bytes; offset: of its first byte in the record; size:
    bytes, of str and bytes without the two of the length before them; index: its number.
    """
    cdef readonly str name
    cdef readonly str kind
    cdef readonly uint32_t offset
    cdef readonly uint32_t size
    cdef readonly uint32_t index
    cdef int code

    def __init__(self, str name not None, str kind not None, uint32_t offset, uint32_t size,
                 uint32_t index):
        if kind not in declared_kinds or index >= PERSONAL_FIELD_MAX or size > 65535:
            raise ValueError(f"{name}: there is no such field: {kind} of {size} bytes")
        self.name = name
        self.kind = kind
        self.offset = offset
        self.size = size
        self.index = index
        self.code = declared_kinds[kind]

    def __get__(self, session, owner):
        if session is None:
            return self
        return declared_get(self, <Session?>session)

    def __set__(self, session, value):
        declared_set(self, <Session?>session, value)

    def __delete__(self, session):
        raise AttributeError(f"{self.name} is a declared field: it can be set, not deleted")

    def __repr__(self):
        return f"<SessionField {self.name}: {self.kind}>"


cdef uint8_t* declared_at(SessionField field, Session s, size_t size) except NULL:
    """Where the field lies, of which `size` bytes are about to be used."""
    personal_load(s)
    if s.record is None or <size_t>field.offset + size > <size_t>len(s.record):
        raise TypeError(f"{field.name} is no field of the class that app.session_data was given")
    return <uint8_t*>PyByteArray_AS_STRING(s.record) + field.offset


cdef object declared_get(SessionField field, Session s):
    cdef uint8_t* at
    cdef int64_t number
    cdef double real
    cdef uint16_t size
    if field.code == DECLARED_BOOL:
        return declared_at(field, s, 1)[0] != 0
    if field.code == DECLARED_INT:
        memcpy(&number, declared_at(field, s, 8), 8)
        return number
    if field.code == DECLARED_FLOAT:
        memcpy(&real, declared_at(field, s, 8), 8)
        return real
    at = declared_at(field, s, 2 + field.size)
    memcpy(&size, at, 2)
    if size > field.size:
        size = 0
    if field.code == DECLARED_BYTES:
        return PyBytes_FromStringAndSize(<const char*>at + 2, size)
    return PyUnicode_DecodeUTF8(<const char*>at + 2, size, b"replace")


cdef int declared_set(SessionField field, Session s, value) except -1:
    personal_need(s)
    declared_put(field, s, value)
    s.changed_fields[field.index >> 6] |= <uint64_t>1 << (field.index & 63)
    s.record_changed = True
    return 0


cdef int declared_put(SessionField field, Session s, value) except -1:
    """Writes the value into this request's record. TypeError, OverflowError, SessionFull."""
    cdef int64_t number
    cdef double real
    cdef uint8_t* at
    cdef uint16_t size
    if field.code == DECLARED_BOOL:
        declared_at(field, s, 1)[0] = 1 if value else 0
    elif field.code == DECLARED_INT:
        if not isinstance(value, int):
            raise TypeError(f"{field.name} is an int, not {type(value).__name__}")
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"{field.name} has 64 bits: {value} does not fit")
        number = value
        memcpy(declared_at(field, s, 8), &number, 8)
    elif field.code == DECLARED_FLOAT:
        if not isinstance(value, (int, float)):
            raise TypeError(f"{field.name} is a float, not {type(value).__name__}")
        real = value
        memcpy(declared_at(field, s, 8), &real, 8)
    else:
        wanted = str if field.code == DECLARED_STR else bytes
        if not isinstance(value, wanted):
            raise TypeError(f"{field.name} is {wanted.__name__}, not {type(value).__name__}")
        data = bytes(value.encode() if field.code == DECLARED_STR else value)
        if len(data) > field.size:
            raise SessionFull(f"{field.name} has room for {field.size} bytes, not {len(data)}")
        at = declared_at(field, s, 2 + field.size)
        size = <uint16_t>len(data)
        memcpy(at, &size, 2)
        memcpy(at + 2, PyBytes_AS_STRING(data), size)
        memset(at + 2 + size, 0, field.size - size)
    return 0


cdef int declared_load(Session s, const uint8_t* data, uint32_t size) except -1:
    """The record of the table; the defaults where there is none yet."""
    if s.record is None:
        s.record = bytearray(personal_defaults)
    elif size != <uint32_t>len(s.record):
        memcpy(PyByteArray_AS_STRING(s.record), PyBytes_AS_STRING(personal_defaults),
               len(s.record))
    if size == <uint32_t>len(s.record):
        memcpy(PyByteArray_AS_STRING(s.record), data, size)
    memset(s.changed_fields, 0, sizeof(s.changed_fields))
    s.record_changed = False
    return 0


cdef int declared_mark_all(Session s) except -1:
    memset(s.changed_fields, 0xFF, sizeof(s.changed_fields))
    s.record_changed = True
    return 0


cdef int declared_merge(Session s, const uint8_t* data, uint32_t size) except -1:
    """Another's record, with the fields that this request has changed."""
    s.record = bytearray(declared_merged(s, data, size))
    s.record_changed = True
    return 0


cdef bytes declared_merged(Session s, const uint8_t* data, uint32_t size):
    """The same, given and not kept."""
    cdef bytearray merged = bytearray(personal_defaults)
    cdef SessionField field
    cdef size_t width
    if size == <uint32_t>len(merged):
        memcpy(PyByteArray_AS_STRING(merged), data, size)
    for field in declared_fields():
        if s.changed_fields[field.index >> 6] >> (field.index & 63) & 1:
            width = field.size + 2 if field.code >= DECLARED_STR \
                else 1 if field.code == DECLARED_BOOL else 8
            if field.offset + width <= <size_t>len(merged):
                memcpy(PyByteArray_AS_STRING(merged) + field.offset,
                       PyByteArray_AS_STRING(s.record) + field.offset, width)
    return bytes(merged)


cdef list declared_fields():
    return [value for value in vars(personal_class).values() if isinstance(value, SessionField)]


cdef object declared_add(Session s, str name, amount):
    """The sum in a field that is a number, written at once."""
    cdef SessionField field = getattr(personal_class, name, None)
    cdef uint8_t data[8]
    cdef int i
    cdef bint pending
    if field is None or field.code > DECLARED_FLOAT:
        raise TypeError(f"{name!r} is no declared number")
    pending = s.changed_fields[field.index >> 6] >> (field.index & 63) & 1
    if s.local or pending:
        total = declared_get(field, s) + amount
        declared_set(field, s, total)
        return total
    for i in range(SETTLE_TRY_MAX):
        total = declared_get(field, s) + amount
        if declared_try_add(s, field, total):
            return total
        if settle_merge(s) is None and not (
                settle_follow(s) and settle_merge(s) is not None):
            entry_blank(s)
            raise RuntimeError("the session has been ended by another request")
    raise RuntimeError(f"a session was changed by others {SETTLE_TRY_MAX} times in a row")


cdef bint declared_try_add(Session s, SessionField field, total) except -1:
    """Writes the record that the table has with this one field changed; what else this request has
    changed waits for its end."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef bytearray mine = s.record
    cdef uint64_t changed[PERSONAL_WORD_COUNT]
    cdef bint any_changed = s.record_changed
    if session_read(visit_vault, s.slot, s.key, &meta, visit_scratch, name) != s.version:
        return False
    memcpy(changed, s.changed_fields, sizeof(changed))
    s.record = bytearray(personal_defaults)
    declared_load(s, visit_scratch, meta.data_size)
    try:
        declared_put(field, s, total)
        done = tally_try(s, bytes(s.record))
    finally:
        s.record = mine
        memcpy(s.changed_fields, changed, sizeof(changed))
        s.record_changed = any_changed
    if done:
        declared_put(field, s, total)
    return done
