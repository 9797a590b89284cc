# core/probe.pxi — doors for the tests
#   Owns:  ways to run a room by itself, to make calls fail, to move the clock, to count
#   Uses:  every room
#   Never: used by any room, or by nodepp itself
#   Holds: without a call from a test nothing here changes what the engine does

cdef bint probe_guarded                # inputs end at a page that cannot be read
cdef const char* probe_flavour

cdef extern from *:
    """
    #ifndef NODEPP_FLAVOUR
    #define NODEPP_FLAVOUR "release"
    #endif
    """
    const char* NODEPP_FLAVOUR

FLAVOUR = NODEPP_FLAVOUR.decode("ascii")


def probe_guard(on: bool) -> None:
    """From now on probe_parse places its input so that a read one byte past it is a SIGSEGV."""
    global probe_guarded
    probe_guarded = on


def probe_slow_window(int window_ms) -> None:
    """From now on the reports of slow code are counted anew after that time, not after a minute."""
    pulse_store(&watchdog_window_ms, window_ms)


def probe_watchdog_forget() -> None:
    """What a child that was forked does first."""
    watchdog_forget()


cdef class ProbeArea:
    """Memory that ends where an unreadable page begins."""
    cdef uint8_t* region
    cdef size_t size
    cdef size_t page

    def __cinit__(self, size_t capacity):
        self.page = getpagesize()
        self.size = (capacity + self.page - 1) // self.page * self.page
        self.region = <uint8_t*>mmap(NULL, self.size + self.page, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if self.region == <uint8_t*>MAP_FAILED:
            raise MemoryError()
        mprotect(self.region + self.size, self.page, PROT_NONE)

    def __dealloc__(self):
        munmap(self.region, self.size + self.page)

    cdef const uint8_t* place(self, bytes data):
        cdef uint8_t* at = self.region + self.size - len(data)
        memcpy(at, <const char*>data, len(data))
        return at


cdef const uint8_t* probe_place(ProbeArea area, bytes data):
    """Where the parser shall read: against the guard page, or the bytes themselves."""
    if area is not None:
        return area.place(data)
    return <const uint8_t*><const char*>data


cdef dict probe_describe(const parser_t* p, const uint8_t* data, int outcome):
    cdef const char* text = <const char*>data
    cdef uint32_t i
    names = {PARSER_COMPLETE: "complete", PARSER_INCOMPLETE: "incomplete", PARSER_BAD: "error"}
    found = {"outcome": names[outcome], "status": p.status, "consumed": p.position}
    if outcome == PARSER_COMPLETE:
        found.update(
            method=text[p.method_start:p.method_start + p.method_size],
            target=text[p.target_start:p.target_start + p.target_size],
            path=text[p.path_start:p.path_start + p.path_size],
            query=text[p.query_start:p.query_start + p.query_size] if p.query_start else None,
            version=(1, p.minor),
            host=text[p.host_start:p.host_start + p.host_size] if p.host_size else None,
            content_length=p.content_length if p.said & SAID_LENGTH else None,
            chunked=p.coding == CODING_CHUNKED, keep_alive=parser_keep_alive(p),
            expect_continue=bool(p.said & SAID_CONTINUE), fields=[])
        for i in range(p.field_count):
            found["fields"].append(
                (text[p.fields[i].name_start:p.fields[i].name_start + p.fields[i].name_size],
                 text[p.fields[i].value_start:p.fields[i].value_start + p.fields[i].value_size]))
    return found


def probe_parse(data: bytes, cuts: tuple = ()) -> dict:
    """Parses one head as if it came in pieces cut at these offsets. "consumed" counts its bytes;
    "status" is that of the refusal when "outcome" is "error"."""
    cdef parser_t p
    cdef int outcome = PARSER_INCOMPLETE
    cdef ProbeArea area = ProbeArea(len(data) + 1) if probe_guarded else None
    cdef const uint8_t* at = NULL
    parser_reset(&p)
    for end in (*sorted(cuts), len(data)):
        piece = data[:end]
        at = probe_place(area, piece)
        outcome = parser_run(&p, at, len(piece))
        if outcome != PARSER_INCOMPLETE:
            break
    return probe_describe(&p, at, outcome)


def probe_parse_all(data: bytes, cuts: tuple = ()) -> list:
    """Parses request after request of one connection with their bodies; each entry is that of
    probe_parse with "body" added. Ends with an entry that is an error or incomplete, if any."""
    cdef list found = []
    cdef bytes rest = data
    cdef Py_ssize_t offset = 0
    while rest:
        here = tuple(cut - offset for cut in cuts if cut > offset)
        entry = probe_parse(rest, here)
        found.append(entry)
        if entry["outcome"] != "complete":
            break
        size = probe_read_body(entry, rest, here)
        if entry["outcome"] != "complete" or not entry["keep_alive"]:
            break
        offset += size
        rest = rest[size:]
    return found


cdef Py_ssize_t probe_read_body(dict entry, bytes data, tuple cuts) except -1:
    """Adds the body that follows the head; how many bytes the message has in all."""
    cdef body_t body
    cdef const uint8_t* at
    cdef const uint8_t* begin
    cdef Py_ssize_t position = entry["consumed"]
    cdef int outcome = BODY_INCOMPLETE
    cdef ProbeArea area = ProbeArea(len(data) + 1) if probe_guarded else None
    entry["body"] = b""
    if not entry["chunked"] and not entry["content_length"]:
        return position
    body_open(&body, entry["chunked"], entry["content_length"] or 0)
    try:
        for end in (*[cut for cut in cuts if cut > position], len(data)):
            piece = data[position:end]
            begin = at = probe_place(area, piece)
            outcome = body_feed(&body, &at, begin + len(piece))
            position += at - begin
            if outcome != BODY_INCOMPLETE:
                break
        entry["consumed"] = position
        if outcome == BODY_COMPLETE:
            entry["body"] = probe_body_bytes(&body)
        else:
            entry["outcome"] = "error" if outcome == BODY_BAD else "incomplete"
            entry["status"] = body.status
    finally:
        body_close(&body)
    return position


cdef bytes probe_body_bytes(const body_t* body):
    if body.spool_fd < 0:
        return (<const char*>body.block)[:body.size] if body.size else b""
    content = bytes(body.size)
    content_read_spool(body.spool_fd, PyBytes_AS_STRING(content), body.size)
    return content


def probe_fault(call: str, nth: int, errno: int, count: int = 1) -> None:
    """The nth call from now of "recv", "send", "accept" or "malloc" fails with that errno, and
    `count - 1` more after it. errno 0 for send: one byte passes."""
    cdef fault_t fault
    fault.countdown = nth
    fault.count = count
    fault.number = errno
    global transport_recv_fault, transport_send_fault, transport_accept_fault, memory_fault
    if call == "recv":
        transport_recv_fault = fault
    elif call == "send":
        transport_send_fault = fault
    elif call == "accept":
        transport_accept_fault = fault
    elif call == "malloc":
        memory_fault = fault
    else:
        raise ValueError(call)


def probe_fault_clear() -> None:
    """No call fails any more, no send is limited."""
    global transport_send_limit
    for call in ("recv", "send", "accept", "malloc"):
        probe_fault(call, 0, 0)
    transport_send_limit = 0


def probe_send_limit(size: int) -> None:
    """Each send passes at most that many bytes; 0: no limit."""
    global transport_send_limit
    transport_send_limit = size


def probe_clock(ms: int) -> None:
    """Moves the engine's monotonic clock forward."""
    global clock_skew_ms
    clock_skew_ms += ms


def probe_balance() -> dict:
    """What has been taken and not given back."""
    return {"buffers": memory_block_count, "buffer_memory": memory_used,
            "connections": tables_used_count if tables_connection != NULL else 0,
            "requests": request_heap_count + request_now.uses, "files": body_spool_count}


def probe_struct_sizes() -> dict:
    """Sizes in bytes of the central structs."""
    return {"connection_t": sizeof(connection_t), "request_t": sizeof(request_t),
            "parser_t": sizeof(parser_t), "field_t": sizeof(field_t),
            "reserve_count": RESERVE_COUNT}


def probe_states() -> list:
    """The table of a connection's states, row by row."""
    cdef const state_t* row
    interests = {STATE_INTEREST_NOTHING: "", STATE_INTEREST_READ: "read",
                 STATE_INTEREST_WRITE: "write", STATE_INTEREST_BEFORE: "as before"}
    deadlines = {STATE_DEADLINE_BEFORE: "as before", STATE_DEADLINE_HEADER: "header",
                 STATE_DEADLINE_BODY: "body", STATE_DEADLINE_SEND: "send",
                 STATE_DEADLINE_KEEP_ALIVE: "keep-alive", STATE_DEADLINE_LINGER: "linger"}
    actions = {STATE_DO_NOTHING: "", STATE_DO_READ: "read", STATE_DO_FLUSH: "flush",
               STATE_DO_LINGER: "drain", STATE_DO_LISTEN: "listen", STATE_DO_CLOSE: "close"}
    counters = {STATE_COUNTER_NONE: "", STATE_COUNTER_IDLE: "timeouts_idle",
                STATE_COUNTER_HEADER: "timeouts_header", STATE_COUNTER_BODY: "timeouts_body",
                STATE_COUNTER_SEND: "timeouts_send", STATE_COUNTER_ANSWER: "timeouts_answer"}
    stops = {STATE_STOP_GRACE: "grace", STATE_STOP_LEAVE: "grace, uncounted",
             STATE_STOP_CLOSE: "close", STATE_STOP_HURRY: "2 s"}
    found = []
    for i in range(STATE_COUNT):
        row = &state_table[i]
        found.append({
            "name": row.name.decode(), "awaits": row.awaits.decode(),
            "interest": interests[row.interest], "deadline": deadlines[row.deadline],
            "on_ready": actions[row.on_ready], "on_gone": actions[row.on_gone],
            "on_timeout": row.on_timeout, "counter": counters[row.counter],
            "on_stop": stops[row.on_stop],
            "next": [state_table[k].name.decode() for k in range(STATE_COUNT)
                     if state_may_follow(i, k)]})
    return found


def probe_answer(slot: int, generation: int, number: int, result: object) -> bool:
    """The answer to a request that waits; False: nothing waits for it."""
    return wait_answer(slot, generation, number, result)


def probe_statics() -> dict:
    """How many snapshots, resources and files are alive."""
    return {"snapshots": snapshot_count, "resources": statics_resource_count, "files": file_count}


def probe_negotiate(value: bytes) -> tuple:
    """The weights that one Accept-Encoding line gives identity, gzip, br and zstd; thousandths."""
    cdef weights_t weights
    cdef bytes text = value
    negotiate_one(&weights, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return tuple([weights.q[i] for i in range(NEGOTIATE_COUNT)])


def probe_ranges(value: bytes, size: int) -> object:
    """What a Range field asks of so many bytes: [(first, last)], None to be ignored, [] for none
    that can be satisfied."""
    cdef range_t ranges[RANGES_MAX + 1]
    cdef bytes text = value
    cdef int count = ranges_read(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text),
                                 size, ranges)
    if count == RANGES_WHOLE:
        return None
    return [(ranges[i].first, ranges[i].last) for i in range(max(0, count))]


def probe_etag_match(field: bytes, etag: bytes, weak: bool) -> bool:
    """Is the tag (with its quotes) among those of a field?"""
    cdef bytes text = field
    cdef bytes tag = etag
    return precondition_matches(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text),
                                PyBytes_AS_STRING(tag), PyBytes_GET_SIZE(tag), weak)


def probe_http_date(text: bytes) -> object:
    """The moment that an HTTP-date names, None if it is none."""
    cdef bytes date = text
    clock_update()
    cdef int64_t moment = calendar_read(<const uint8_t*>PyBytes_AS_STRING(date),
                                        PyBytes_GET_SIZE(date), clock_wall_s)
    return None if moment == CALENDAR_NONE else moment


def probe_cold_files(on: bool) -> None:
    """From now on no byte of a file counts as being in memory, until it has been read ahead."""
    global file_always_cold
    file_always_cold = on


def probe_hold_disk(on: bool) -> None:
    """From now on nothing is read ahead, until this is taken back."""
    global readahead_held
    readahead_lock()
    readahead_held = on
    readahead_call()
    readahead_unlock()
