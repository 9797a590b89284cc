# core/callbacks.pxi — what the core asks of Python
#   Prefix: callback
#   Owns:  the host object and its encoders; the error log; exceptions of user code, of which those
#          that end the program wait for the end of the turn
#   Uses:  pulse, fork
#   Never: what comes of a request
#   Holds: a host that fails takes no answer with it

cdef object callback_host              # .error .log .json_encode .json_decode
cdef object callback_json_encode
cdef object callback_json_decode
cdef bint callback_json_settled        # callback_json_encode is the library's own
cdef object callback_interrupt         # KeyboardInterrupt or SystemExit out of a handler
cdef bint callback_owns_signals        # the server handles them: no exception of user code ends it


cdef int callback_open(host, bint owns_signals) except -1:
    global callback_host, callback_json_encode, callback_json_decode, callback_json_settled
    global callback_owns_signals
    callback_owns_signals = owns_signals
    callback_host = host
    callback_json_encode = host.json_encode
    callback_json_settled = False
    callback_json_decode = host.json_decode
    return 0


cdef void callback_close() noexcept:
    global callback_host, callback_json_encode, callback_json_decode
    global callback_interrupt, callback_owns_signals
    callback_owns_signals = False
    callback_host = callback_json_encode = callback_json_decode = None
    callback_interrupt = None


cdef int callback_settle_json() except -1:
    """At its first use the host has imported an encoder; from now on that is called directly."""
    global callback_json_encode, callback_json_settled
    callback_json_encode = callback_host.json_encode
    callback_json_settled = True
    return 0


cdef int callback_log(int level, str message) except -1:
    """A line in the error log; a log that fails must not take an answer with it."""
    try:
        callback_host.log(level, message)
    except BaseException as problem:
        callback_keep(problem)
    return 0


cdef int callback_log_problem(str what, problem) except -1:
    """A line on what user code has raised, and where, if the host can tell that."""
    try:
        tell = getattr(callback_host, "log_exception", None)
        if tell is not None:
            tell(what, problem)
        else:
            callback_host.log(1, f"{what}: {type(problem).__name__}: {problem}")
    except BaseException as failure:
        callback_keep(failure)
    return 0


# Exceptions of user code.


def is_fault(exception: BaseException) -> bool:
    """Whether an exception of user code is logged and answered like any error. False: it is raised
    out of the turn, because the program that drives the engine decides what SystemExit and the
    like mean; or it is a Cut. A server that handles the signals itself is ended by signals only."""
    return callback_is_fault(exception)


cdef bint callback_is_fault(problem) noexcept:
    """The one place that decides what an exception is that is no Exception. See is_fault()."""
    if isinstance(problem, Exception):
        return True
    if not callback_owns_signals or isinstance(problem, Cut):
        return False
    return not isinstance(problem, (KeyboardInterrupt, SystemExit)) or callback_hears_signals()


cdef bint callback_hears_signals() noexcept:
    """Do INT and TERM still come to the server? An application may have set handlers of its own:
    what they raise is meant to end the program."""
    try:
        asked = getattr(callback_host, "hears_signals", None)
        return asked is None or asked()
    except BaseException:
        return True


cdef bint callback_keep(problem) noexcept:
    """True: it is a fault, to be logged and answered. False: KeyboardInterrupt, SystemExit and the
    like are raised again when this turn is over, for in its midst the tables would be left half
    done. A Cut has done its work: the engine has been told to stop already."""
    global callback_interrupt
    fork_check(problem)                # all that user code raises comes by here
    if callback_is_fault(problem):
        return True
    if not isinstance(problem, Cut):
        callback_interrupt = problem
    return False


cdef int callback_raise() except -1:
    """Hands the exception that is set in the interpreter to an except clause."""
    return -1


cdef extern from *:
    """
    static void callback_set_exception(PyObject *problem) {
        PyErr_SetObject((PyObject *)Py_TYPE(problem), problem);
    }
    """
    void callback_set_exception(object problem) noexcept
