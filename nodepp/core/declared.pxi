# core/declared.pxi — sessions whose fields an application has declared
#   Prefix: declared
#   Owns:  class SessionField: a field as an attribute
#   Uses:  objects, record, loaded, alter
#   Never: how a record is laid out
#   Holds: what a field is does not change


@cython.final
cdef class SessionField(FieldState):
    """A declared field of a session: an attribute that is read from and written to its record.

    kind: int (64 bits), float, bool, str or bytes; offset: of its first byte in the record; size:
    bytes, of str and bytes without the two of the length before them; index: its number.
    """

    def __init__(self, str name not None, str kind not None, uint32_t offset, uint32_t size,
                 uint32_t index):
        if kind not in record_kinds or index >= OBJECTS_FIELD_MAX or size > 65535:
            raise ValueError(f"{name}: there is no such field: {kind} of {size} bytes")
        self.name = name
        self.kind = kind
        self.offset = offset
        self.size = size
        self.index = index
        self.code = record_kinds[kind]

    def __get__(self, session, owner):
        if session is None:
            return self
        loaded_read(<SessionState?>session)
        return record_get(self, <SessionState>session)

    def __set__(self, session, value):
        alter_set_field(self, <SessionState?>session, value)

    def __delete__(self, session):
        raise AttributeError(f"{self.name} is a declared field: it can be set, not deleted")

    def __repr__(self):
        return f"<SessionField {self.name}: {self.kind}>"
