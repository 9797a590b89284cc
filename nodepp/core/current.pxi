# core/current.pxi — which request is being handled?
#   Prefix: current
#   Owns:  the current Request
#   Uses:  objects
#   Never: what is called for a request
#   Holds: code of the application that is called for a request (handler, hook, iterator, page of an
#          error) is called between current_enter and current_leave; all other code finds none

cdef PyObject* current_request         # borrowed: it lives until it is left. NULL: there is none
cdef bint current_guarded              # the request being answered was let in by its login


cdef inline PyObject* current_enter(RequestState req) noexcept:
    """`req` is being handled from now on. Gives what current_leave takes: the one before."""
    global current_request
    cdef PyObject* before = current_request
    current_request = <PyObject*>req
    return before


cdef inline void current_leave(PyObject* before) noexcept:
    global current_request
    current_request = before
