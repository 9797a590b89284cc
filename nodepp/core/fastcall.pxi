# core/fastcall.pxi — doors passed too often for the usual way in
#   Prefix: fastcall
#   Owns:  Request.out and Response(...) as the interpreter's quickest calls
#   Uses:  limits, output, format, objects, current, answer, reply, context
#   Never: another meaning than the methods they stand for
#   Holds: arguments are borrowed for the call; nothing is built to carry them

# A Cython method with *args gets a tuple, a constructor a tuple and a dict. A page of 107 pieces
# calls out 107 times: without the tuple that is 2 µs less; Response(...) is 0.2 µs less.

cdef extern from *:
    """
    static int fastcall_out(PyObject *, PyObject **, Py_ssize_t);
    static PyObject *fastcall_response(PyObject *, PyObject **, size_t, PyObject *);

    static PyObject *fastcall_out_method(PyObject *self, PyObject *const *args, Py_ssize_t count) {
        if (fastcall_out(self, (PyObject **)args, count) < 0) return NULL;
        Py_RETURN_NONE;
    }
    static PyMethodDef fastcall_out_definition = {
        "out", (PyCFunction)(void (*)(void))fastcall_out_method, METH_FASTCALL,
        "out($self, text, /, *args)\\n--\\n\\n"
        "Appends to the body being rendered.\\n\\n"
        "With arguments `text` is a format (%s %d %i %u %x %f %c %%); values of %s are\\n"
        "HTML-escaped when the answer is HTML, unless marked by raw(). TypeError or ValueError:\\n"
        "the arguments do not fit the format; nothing has been appended then."};

    static int fastcall_install(PyObject *requests, PyObject *responses) {
        PyTypeObject *request = (PyTypeObject *)requests, *response = (PyTypeObject *)responses;
        PyObject *method = PyDescr_NewMethod(request, &fastcall_out_definition);
        if (method == NULL) return -1;
        int failed = PyDict_SetItemString(request->tp_dict, "out", method);
        Py_DECREF(method);
        response->tp_vectorcall = (vectorcallfunc)(void (*)(void))fastcall_response;
        PyType_Modified(request);
        PyType_Modified(response);
        return failed;
    }
    """
    int fastcall_install(object request, object response) except -1


cdef int fastcall_out "fastcall_out"(object req, PyObject** args, Py_ssize_t count) except -1:
    """Request.out: `args` are the text and its values."""
    cdef Request request = <Request>req
    if unlikely_(request.r is NULL):
        objects_live(request)
    if unlikely_(count == 0 or not PyUnicode_Check(<object>args[0])):
        raise TypeError("out() takes a text (str) and the values of its format")
    if output.body_start == 0 or current_request != <PyObject*>req:
        reply_begin_out(request)
    return printf_render(<str><object>args[0], args + 1, count - 1, request.html)


cdef PyObject* fastcall_response "fastcall_response"(
        PyObject* cls, PyObject** args, size_t flagged, PyObject* names) except NULL:
    """Response(body, status, content_type, headers)."""
    cdef Response answer = Response.__new__(Response)
    cdef Py_ssize_t count = <Py_ssize_t>(flagged & ~PY_VECTORCALL_ARGUMENTS_OFFSET)
    cdef Py_ssize_t named = PyTuple_GET_SIZE(<object>names) if names != NULL else 0
    cdef PyObject* values[4]
    cdef Py_ssize_t i, at
    if count > 4:
        raise TypeError(f"Response() takes 4 arguments at most, {count} were given")
    for i in range(4):
        values[i] = args[i] if i < count else NULL
    for i in range(named):
        name = (<tuple><object>names)[i]
        at = answer_argument(name)
        if values[at] != NULL:
            raise TypeError(f"Response() got several values for {name!r}")
        values[at] = args[count + i]
    answer_fill(answer, <object>values[0] if values[0] != NULL else b"",
                <object>values[1] if values[1] != NULL else 200,
                <object>values[2] if values[2] != NULL else None,
                <object>values[3] if values[3] != NULL else None)
    Py_INCREF(answer)
    return <PyObject*>answer


fastcall_install(Request, Response)
