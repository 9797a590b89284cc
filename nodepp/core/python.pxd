# What we use of CPython itself: the insides of str and bytes, numbers as text. No code.
# An `object` argument is borrowed: `<object>pointer` within a call counts no reference.
from cpython.object cimport PyObject

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object value)

    # str. What reads its insides (KIND, DATA, READ, IS_ASCII) needs a str that is ready.
    object PyUnicode_New(Py_ssize_t size, unsigned int largest)
    bint PyUnicode_CheckExact(object value)
    bint PyUnicode_Check(object value)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    unsigned char* PyUnicode_1BYTE_DATA(object text)
    unsigned int PyUnicode_READ(int kind, const void* data, Py_ssize_t index) nogil
    void PyUnicode_WRITE(int kind, void* data, Py_ssize_t index, unsigned int value) nogil
    unsigned int PyUnicode_MAX_CHAR_VALUE(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)
    object PyUnicode_DecodeLatin1(const char* text, Py_ssize_t size, const char* errors)

    # bytes
    bint PyBytes_CheckExact(object value)
    object PyBytes_FromStringAndSize(const char* text, Py_ssize_t size)
    char* PyBytes_AS_STRING(object text)
    Py_ssize_t PyBytes_GET_SIZE(object text)

    char* PyByteArray_AS_STRING(object array)

    # numbers
    bint PyLong_CheckExact(object value)
    bint PyLong_Check(object value)
    bint PyFloat_Check(object value)
    bint PyFloat_CheckExact(object value)
    double PyFloat_AS_DOUBLE(object value)
    bint PyIndex_Check(object value)
    bint PyNumber_Check(object value)
    object PyNumber_Long(object value)
    object PyNumber_ToBase(object value, int base)
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    object PyLong_FromDouble(double value)
    double PyFloat_AsDouble(object value) except? -1
    char* PyOS_double_to_string(double value, char format, int precision, int flags,
                                int* kind) except NULL
    void PyMem_Free(void* memory)

    # dict
    int PyDict_SetItem(object mapping, object key, object value) except -1
    Py_ssize_t PyDict_Size(object mapping)
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL


cdef extern from *:
    """
    /* Python 3.9 to 3.11 may hold a str whose characters are not laid out yet (made by the old
       wchar_t interface); from 3.12 on there are none. */
    #if PY_VERSION_HEX < 0x030C0000
    #define nodepp_str_ready(text) PyUnicode_READY(text)
    #else
    #define nodepp_str_ready(text) ((void)(text), 0)
    #endif
    /* The value under `key`, which is `value` when there was none: one search. Borrowed. */
    #define nodepp_dict_default(dict, key, value) PyDict_SetDefault(dict, key, value)
    /* The elements of a tuple, borrowed. */
    #define nodepp_tuple_items(tuple) (((PyTupleObject *)(tuple))->ob_item)
    """
    PyObject** nodepp_tuple_items(object values)
    int nodepp_str_ready(object text) except -1
    void* nodepp_dict_default(object mapping, object key, object value) except NULL
    Py_ssize_t PyTuple_GET_SIZE(object values)
