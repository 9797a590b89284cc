# core/objects.pxi — what is known of a request and its session: the fields of Request and Session
#   Prefix: objects
#   Owns:  classes RequestState and SessionState; whether the life of a Request is over
#   Uses:  limits, tables, vault, response, request
#   Never: what handlers see: properties and methods stand above all that they call
#   Holds: a Request whose life is over holds no pointer: it raises, it never shows other bytes


cdef enum:
    OBJECTS_FIELD_MAX = 256              # fields of a declared class of sessions
    OBJECTS_WORD_COUNT = 4               # words of a bit for each


class RequestGone(RuntimeError):
    """A Request was used after its answer had been produced or cut."""


# Cython's own word for a class that no module shows: Python sees Session alone, and Request.
@cython.internal
cdef class SessionState:
    """The fields of Session."""
    cdef PyObject* request             # borrowed, as long as that lives; NULL: over, or a copy
    cdef uint32_t slot
    cdef uint32_t version              # of what was read
    cdef uint8_t key[VAULT_ID_SIZE]    # its id in the table
    cdef uint8_t new_key[VAULT_ID_SIZE]    # its next id, if `rekeyed`
    cdef uint8_t shown                 # which cookies the request has, bits
    cdef bint forged                   # one of them was never made here
    cdef bint live                     # it is in the table
    cdef bint local                    # begun for a bot: it ends with the request
    cdef bint fresh                    # begun by this request
    cdef bint loaded                   # meta, name and data have been read
    cdef bint rekeyed                  # the commit gives it another id
    cdef bint entering                 # login() was called; the user changes at commit
    cdef bint altered                  # a new CSRF token waits to be written
    cdef uint32_t began_s
    cdef uint32_t seen_s
    cdef bint cookie_due               # its cookie must be said (anew)
    cdef bint followed                 # to an id that another request has given it
    cdef bint ended                    # logged out by this request: its cookies must go
    cdef bint keep
    cdef session_copy_t meta
    cdef str shown_id                  # of one that is kept
    cdef int64_t seen_uid              # who was logged in when it was read
    cdef bytes label                   # the name of who is logged in, UTF-8
    # A dict
    cdef dict held                     # None: not decoded yet
    cdef bytes base                    # what it was decoded from
    cdef object changed_key            # the first key that was set or deleted; None: none was
    cdef set changed                   # all of them, if there are several; else None
    cdef size_t bound                  # bytes that the data have at most once they are encoded
    cdef bint cleared                  # whatever else there was is to go
    cdef bint nested                   # a list or dict in it has been handed out
    # Declared fields
    cdef bytearray record
    cdef uint64_t changed_fields[OBJECTS_WORD_COUNT]
    cdef bint record_changed

    cdef bint gives_way                # to a login, for which the table had no room


@cython.internal
@cython.no_gc_clear
cdef class RequestState:
    """The fields of Request. Rooms that a Request's methods call take this class, and so need not
    know Request."""
    cdef request_t* r                  # NULL: over
    cdef connection_t* connection      # as long as r is not NULL
    cdef readonly uint64_t number      # running number of the request, from 1
    # What was looked at, None before
    cdef object _path, _query, _headers, _cookies, _body, _form, _files
    cdef dict _params
    cdef SessionState _session            # None: it has not been asked for
    cdef bint looked                   # any of them is set
    # The answer
    cdef int _status
    cdef int type                      # ready-made type of the answer, -1: `type_line`
    cdef bytes type_line               # its whole line, b"" for none
    cdef list lines                    # [(lower-case name, whole line)] or None
    cdef bint html                     # out escapes its values
    cdef object iterator               # what is being streamed
    cdef bint streaming                # its first piece has been asked for: the head is settled
    cdef bint chunked
    cdef bint paged                    # the page for its status has been asked for
    cdef bint keyed                    # the cookie of a session is said
    cdef bint guarded                  # a rule has let its visitor in
    cdef bint uncompressed             # the answer is never compressed
    cdef uint64_t sent                 # content bytes streamed, for the log


cdef inline request_t* objects_live(RequestState req) except NULL:
    if unlikely_(req.r is NULL):
        raise RequestGone("this Request is over: its answer has been produced or cut; "
                          "keep the values you need, not the Request")
    return req.r


cdef void objects_bind(RequestState req, connection_t* c, request_t* r) noexcept:
    """The Request stands for `r` from now on."""
    req.r = r
    req.connection = c
    req._status = 200
    req.type = RESPONSE_HTML
    req.html = True
