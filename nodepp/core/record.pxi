# core/record.pxi — declared fields of a session, in a record of fixed size
#   Prefix: record
#   Owns:  reading and writing a field; a record with the fields that a request has changed
#   Uses:  objects, policy, store
#   Never: which fields there are; the table
#   Holds: a field lies within its record; numbers are little endian, texts have their length first

cdef enum:                             # kinds
    RECORD_INT, RECORD_FLOAT, RECORD_BOOL, RECORD_STR, RECORD_BYTES

cdef dict record_kinds = {"int": RECORD_INT, "float": RECORD_FLOAT, "bool": RECORD_BOOL,
                          "str": RECORD_STR, "bytes": RECORD_BYTES}


@cython.internal
cdef class FieldState:
    """The fields of SessionField."""
    cdef readonly str name
    cdef readonly str kind
    cdef readonly uint32_t offset
    cdef readonly uint32_t size
    cdef readonly uint32_t index
    cdef int code


cdef uint8_t* record_at(FieldState field, SessionState s, size_t size) except NULL:
    """Where the field lies, of which `size` bytes are about to be used."""
    if s.record is None or <size_t>field.offset + size > <size_t>len(s.record):
        raise TypeError(f"{field.name} is no field of the class that app.session_data was given")
    return <uint8_t*>PyByteArray_AS_STRING(s.record) + field.offset


cdef object record_get(FieldState field, SessionState s):
    cdef uint8_t* at
    cdef int64_t number
    cdef double real
    cdef uint16_t size
    if field.code == RECORD_BOOL:
        return record_at(field, s, 1)[0] != 0
    if field.code == RECORD_INT:
        memcpy(&number, record_at(field, s, 8), 8)
        return number
    if field.code == RECORD_FLOAT:
        memcpy(&real, record_at(field, s, 8), 8)
        return real
    at = record_at(field, s, 2 + field.size)
    memcpy(&size, at, 2)
    if size > field.size:
        size = 0
    if field.code == RECORD_BYTES:
        return PyBytes_FromStringAndSize(<const char*>at + 2, size)
    return PyUnicode_DecodeUTF8(<const char*>at + 2, size, b"replace")


cdef int record_put(FieldState field, SessionState s, value) except -1:
    """Writes the value into this request's record. TypeError, OverflowError, SessionFull."""
    cdef int64_t number
    cdef double real
    cdef uint8_t* at
    cdef uint16_t size
    if field.code == RECORD_BOOL:
        record_at(field, s, 1)[0] = 1 if value else 0
    elif field.code == RECORD_INT:
        if not isinstance(value, int):
            raise TypeError(f"{field.name} is an int, not {type(value).__name__}")
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"{field.name} has 64 bits: {value} does not fit")
        number = value
        memcpy(record_at(field, s, 8), &number, 8)
    elif field.code == RECORD_FLOAT:
        if not isinstance(value, (int, float)):
            raise TypeError(f"{field.name} is a float, not {type(value).__name__}")
        real = value
        memcpy(record_at(field, s, 8), &real, 8)
    else:
        wanted = str if field.code == RECORD_STR else bytes
        if not isinstance(value, wanted):
            raise TypeError(f"{field.name} is {wanted.__name__}, not {type(value).__name__}")
        data = bytes(value.encode() if field.code == RECORD_STR else value)
        if len(data) > field.size:
            raise SessionFull(f"{field.name} has room for {field.size} bytes, not {len(data)}")
        at = record_at(field, s, 2 + field.size)
        size = <uint16_t>len(data)
        memcpy(at, &size, 2)
        memcpy(at + 2, PyBytes_AS_STRING(data), size)
        memset(at + 2 + size, 0, field.size - size)
    return 0


cdef int record_load(SessionState s, const uint8_t* data, uint32_t size) except -1:
    """The record of the table; the defaults where there is none yet."""
    if s.record is None:
        s.record = bytearray(policy_defaults)
    elif size != <uint32_t>len(s.record):
        memcpy(PyByteArray_AS_STRING(s.record), PyBytes_AS_STRING(policy_defaults),
               len(s.record))
    if size == <uint32_t>len(s.record):
        memcpy(PyByteArray_AS_STRING(s.record), data, size)
    memset(s.changed_fields, 0, sizeof(s.changed_fields))
    s.record_changed = False
    return 0


cdef int record_mark_all(SessionState s) except -1:
    memset(s.changed_fields, 0xFF, sizeof(s.changed_fields))
    s.record_changed = True
    return 0


cdef int record_merge(SessionState s, const uint8_t* data, uint32_t size) except -1:
    """Another's record, with the fields that this request has changed."""
    s.record = bytearray(record_merged(s, data, size))
    s.record_changed = True
    return 0


cdef bytes record_merged(SessionState s, const uint8_t* data, uint32_t size):
    """The same, given and not kept."""
    cdef bytearray merged = bytearray(policy_defaults)
    cdef FieldState field
    cdef size_t width
    if size == <uint32_t>len(merged):
        memcpy(PyByteArray_AS_STRING(merged), data, size)
    for field in record_fields():
        if s.changed_fields[field.index >> 6] >> (field.index & 63) & 1:
            width = field.size + 2 if field.code >= RECORD_STR \
                else 1 if field.code == RECORD_BOOL else 8
            if field.offset + width <= <size_t>len(merged):
                memcpy(PyByteArray_AS_STRING(merged) + field.offset,
                       PyByteArray_AS_STRING(s.record) + field.offset, width)
    return bytes(merged)


cdef list record_fields():
    return [value for value in vars(policy_class).values() if isinstance(value, FieldState)]
