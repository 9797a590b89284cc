# core/form.pxi — what did the visitor fill in?
#   Prefix: form
#   Owns:  MultiDict, RequestError; urlencoded text → MultiDict; the parts of a multipart body →
#          fields and files
#   Uses:  limits, scan, multipart, upload
#   Never: where a body comes from, sockets
#   Holds: text is UTF-8, what is not becomes U+FFFD; the first value of a name is the dict's

cdef enum:
    FORM_AMPERSAND = 1
    FORM_EQUALS = 2
    FORM_CODED = 4           # must be decoded
    FORM_BUFFER_SIZE = 512   # bytes decoded on the stack; more: on the heap

cdef uint8_t form_class[256]


cdef void form_init():
    cdef int byte
    for byte in range(256):
        form_class[byte] = FORM_CODED if byte >= 128 else 0
    form_class[<uint8_t>c'&'] = FORM_AMPERSAND
    form_class[<uint8_t>c'='] = FORM_EQUALS
    form_class[<uint8_t>c'%'] = form_class[<uint8_t>c'+'] = FORM_CODED


form_init()


class RequestError(ValueError):
    """The request cannot be taken as it is; `status` is the answer: 400 malformed, 413 beyond
    the limits, 415 of a kind that nobody here reads."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = message


@cython.auto_pickle(False)
cdef class MultiDict(dict):
    """A dict of the first value of each key, that also knows the others.

    Made from a mapping or from pairs. Setting or deleting a key as in any dict forgets its
    further values.
    """
    # key → all values in their order, of keys that came more than once. Mostly there are none.
    cdef dict repeated

    def __init__(self, items=()):
        for key, value in (items.items() if hasattr(items, "items") else items):
            form_add(self, key, value)

    def add(self, key, value) -> None:
        """Adds a value: the first of its key, or a further one."""
        form_add(self, key, value)

    def getlist(self, key) -> list:
        """All values of a key in their order; [] if there is none."""
        cdef list values
        if key not in self:
            return []
        if self.repeated is not None:
            values = self.repeated.get(key)
            # Not any more, if the key has been set anew since.
            if values is not None and values[0] is self[key]:
                return values[:]
        return [self[key]]

    def multi_items(self) -> list:
        """All pairs (key, value); those of a key stand together, at its first place."""
        if self.repeated is None:
            return list(self.items())
        return [(key, value) for key in self for value in self.getlist(key)]

    def copy(self) -> MultiDict:
        return MultiDict(self.multi_items())

    def __reduce__(self):
        return MultiDict, (self.multi_items(),)

    def __repr__(self):
        return f"MultiDict({self.multi_items()!r})"


cdef int form_add(MultiDict into, object key, object value) except -1:
    cdef Py_ssize_t count = PyDict_Size(into)
    cdef object first = <object>nodepp_dict_default(into, key, value)
    cdef list values
    if likely_(PyDict_Size(into) != count):
        return 0
    if into.repeated is None:
        into.repeated = {}
    values = into.repeated.get(key)
    if values is None or values[0] is not first:
        into.repeated[key] = [first, value]
    else:
        values.append(value)
    return 0


cdef int form_parse_urlencoded(const uint8_t* text, size_t size, uint32_t pair_count_max,
                               MultiDict into) except -1:
    """Adds the pairs of a query or of an application/x-www-form-urlencoded body.

    As WHATWG URL §5.1 reads them: "&" between pairs, empty ones skipped, "+" is a space, bad
    escapes stand as they are. RequestError (413): more pairs, or a longer value, than allowed.
    """
    cdef const uint8_t* at = text
    cdef const uint8_t* end = text + size
    cdef const uint8_t* key
    cdef const uint8_t* value
    cdef const uint8_t* value_end
    cdef const uint8_t* key_end
    cdef uint8_t seen, key_seen
    cdef uint32_t pair_count = 0
    while at < end:
        key = at
        at = form_scan(at, end, FORM_AMPERSAND | FORM_EQUALS, &key_seen)
        key_end = at
        if at < end and at[0] == c'=':
            at += 1
        elif key == key_end:
            at += 1
            continue
        value = at
        seen = 0
        if at > key_end:
            at = form_scan(at, end, FORM_AMPERSAND, &seen)
        value_end = at
        at += 1
        pair_count += 1
        if unlikely_(pair_count > pair_count_max):
            raise RequestError(413, f"more than {pair_count_max} fields")
        if unlikely_(<size_t>(value_end - value) > limits.form_field_size_max):
            raise RequestError(413, f"a field of more than {limits.form_field_size_max} bytes")
        form_add(into, form_text(key, key_end - key, key_seen),
                 form_text(value, value_end - value, seen))
    return 0


cdef inline const uint8_t* form_scan(const uint8_t* at, const uint8_t* end, uint8_t stops,
                                     uint8_t* seen) noexcept nogil:
    """Goes to the next byte of the classes `stops`, or to `end`; `seen` gets the other classes."""
    cdef uint8_t byte_class
    seen[0] = 0
    while at < end:
        byte_class = form_class[at[0]]
        if byte_class:
            if byte_class & stops:
                break
            seen[0] |= byte_class
        at += 1
    return at


cdef inline object form_text(const uint8_t* text, size_t size, uint8_t seen):
    cdef object value
    if seen & FORM_CODED:
        return form_decode(text, size)
    # Fast path: removing it changes no answer. Plain ASCII is copied; of single characters and
    # of "" CPython keeps one str each.
    if size <= 1:
        return PyUnicode_DecodeLatin1(<const char*>text, size, NULL)
    value = PyUnicode_New(size, 127)
    memcpy(PyUnicode_1BYTE_DATA(value), text, size)
    return value


cdef object form_decode(const uint8_t* text, size_t size):
    """Decodes "%" and "+", then UTF-8."""
    cdef uint8_t buffer[FORM_BUFFER_SIZE]
    cdef uint8_t* into = buffer
    if size > FORM_BUFFER_SIZE:
        into = <uint8_t*>malloc(size)
        if into == NULL:
            raise MemoryError()
    size = scan_percent_decode(text, size, into, True)
    try:
        return PyUnicode_DecodeUTF8(<const char*>into, size, "replace")
    finally:
        if into != buffer:
            free(into)


cdef int form_build_multipart(multipart_t* m, bytes body, int fd, MultiDict form,
                              MultiDict files) except -1:
    """Adds fields and files of a multipart body that has been fed and finished.

    The body is `body`, or the file of the descriptor `fd` when that is None: files become windows
    into it, of whose bytes none is copied, and keep it; fields are copied. RequestError: what the
    scanner found, a part that is no field of a form (400), a field that is too long (413).
    """
    cdef UploadSource source
    cdef uint32_t i
    form_check_multipart(m)
    source = upload_source(body, fd)
    for i in range(m.part_count):
        form_build_part(&m.parts[i], source, form, files)
    return 0


cdef int form_check_multipart(const multipart_t* m) except -1:
    if m.status == 400:
        raise RequestError(400, "the multipart form is malformed or ends early")
    if m.status == 413:
        raise RequestError(413, f"more than {limits.form_part_count_max} parts, or a part with more"
                           f" than {MULTIPART_FIELD_COUNT_MAX} field lines"
                           f" or {MULTIPART_HEAD_SIZE_MAX} bytes of them")
    if m.status:
        raise RequestError(m.status, "no memory for the multipart form")
    return 0


cdef int form_build_part(const multipart_part_t* part, UploadSource source, MultiDict form,
                         MultiDict files) except -1:
    cdef multipart_head_t head
    cdef bytes head_bytes = upload_bytes(source, part.head_start, part.head_size)
    cdef bytes data
    cdef str name
    if not multipart_read_head(<const uint8_t*>PyBytes_AS_STRING(head_bytes), part.head_size,
                               &head):
        raise RequestError(400, "a part of the multipart form has a malformed head, or no name")
    name = form_unquote(&head.name)
    if head.filename.text != NULL or head.filename_extended.text != NULL:
        form_add(files, name, upload_file(name, form_filename(&head), form_part_type(&head),
                                          source, part.data_start, part.data_size))
        return 0
    if part.data_size > limits.form_field_size_max:
        raise RequestError(413, f"a field of more than {limits.form_field_size_max} bytes")
    data = upload_bytes(source, part.data_start, part.data_size)
    form_add(form, name, data.decode("utf-8", "replace"))
    return 0


cdef str form_part_type(const multipart_head_t* head):
    if head.content_type.size == 0:
        return "application/octet-stream"
    return PyUnicode_DecodeUTF8(<const char*>head.content_type.text, head.content_type.size,
                                "replace")


cdef str form_unquote(const multipart_text_t* text):
    cdef uint8_t into[MULTIPART_HEAD_SIZE_MAX]
    return PyUnicode_DecodeUTF8(<const char*>into, multipart_unquote(text, into), "replace")


cdef str form_filename(const multipart_head_t* head):
    """The last component of what the client calls the file; "" for "." and ".."."""
    cdef str name = None
    if head.filename_extended.text != NULL:
        name = form_extended(&head.filename_extended)    # wins, as in RFC 6266 §4.3
    if name is None:
        name = form_unquote(&head.filename) if head.filename.text != NULL else ""
    # RFC 7578 §4.2: folders are not to be used. Old browsers sent whole Windows paths.
    name = name[max(name.rfind("/"), name.rfind("\\")) + 1:]
    if "\0" in name:
        raise RequestError(400, "a file name holds a NUL")
    return "" if name in (".", "..") else name


cdef str form_extended(const multipart_text_t* text):
    """RFC 5987: charset "'" [ language ] "'" value-chars. None: nothing that we can read."""
    cdef const uint8_t* end = text.text + text.size
    cdef const uint8_t* first = <const uint8_t*>memchr(text.text, c'\'', text.size)
    cdef const uint8_t* second
    cdef uint8_t into[MULTIPART_HEAD_SIZE_MAX]
    cdef Py_ssize_t size
    if first == NULL:
        return None
    second = <const uint8_t*>memchr(first + 1, c'\'', end - first - 1)
    if second == NULL:
        return None
    size = scan_percent_decode(second + 1, end - second - 1, into, False)
    if first - text.text == 5 and scan_equal_lower(text.text, b"utf-8", 5):
        return PyUnicode_DecodeUTF8(<const char*>into, size, "replace")
    if first - text.text == 10 and scan_equal_lower(text.text, b"iso-8859-1", 10):
        return PyUnicode_DecodeLatin1(<const char*>into, size, NULL)
    return None
