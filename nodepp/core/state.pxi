# core/state.pxi — what is known of a request: the fields of Request
#   Owns:  class RequestState, which Request is made of; whether its life is over
#   Uses:  limits, tables, response, request, personal
#   Never: what handlers see: properties and methods are in Request, above all that they call
#   Holds: a Request whose life is over holds no pointer: it raises, it never shows other bytes


class RequestGone(RuntimeError):
    """A Request was used after its answer had been produced or cut."""


# Cython's own word for a class that no module shows: Python sees Request alone.
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
    cdef Session _session              # None: it has not been asked for
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


cdef inline request_t* state_live(RequestState req) except NULL:
    if unlikely_(req.r is NULL):
        raise RequestGone("this Request is over: its answer has been produced or cut; "
                          "keep the values you need, not the Request")
    return req.r


cdef void state_bind(RequestState req, connection_t* c, request_t* r) noexcept:
    """The Request stands for `r` from now on."""
    req.r = r
    req.connection = c
    req._status = 200
    req.type = RESPONSE_HTML
    req.html = True
