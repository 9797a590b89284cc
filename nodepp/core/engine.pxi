# core/engine.pxi — the engine as Python holds it
#   Prefix: engine
#   Owns:  class Engine: settings into limits, opening and closing all rooms in order, figures
#   Uses:  limits, scan, clock, pulse, fork, memory, tables, deadline, poller, transport, readahead,
#          output, address, body, snapshot, listener, rules, accesslog, connection, queue,
#          callbacks, route, headers, locate, suspect, roster, personal, compress, admit, telling,
#          dispatch, timer, reader, loop, download, house, child
#   Never: a request
#   Holds: one engine is open per process at most, and a turn is never nested

cdef Engine engine_open_now            # the open one
cdef double engine_started_s

cdef dict engine_pollers = {"epoll": POLLER_EPOLL, "poll": POLLER_POLL, "select": POLLER_SELECT,
                            "selectors": POLLER_SELECTORS}


@cython.final
cdef class Engine:
    """The event loop with its tables. `open` takes listening sockets, `turn` does one pass, `run`
    turns until stopped and drained, `close` gives all back.

    settings: a dict as `nodepp.config` makes it (see there for keys and units); router: frozen;
    host: answers for what the core leaves to Python (error, stream_error, log, json_encode,
    json_decode). One engine may be open per process at a time.
    """
    cdef dict settings
    cdef Router router
    cdef object host
    cdef readonly str poller           # the poller in use, after open()
    cdef Snapshot snapshot             # the public files
    cdef AddressList black             # who is let in
    cdef AddressList white
    cdef int64_t stop_at_open_ms       # stop() was called before open(): its grace; else -1

    def __init__(self, dict settings not None, Router router not None, host):
        unknown = set(settings) - engine_keys
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        engine_part()
        self.settings = settings
        self.router = router
        self.host = host
        self.stop_at_open_ms = -1

    def open(self, list listeners not None) -> None:
        """Reserves the tables and watches `listeners`: (descriptor, "tcp" or "unix") of bound,
        listening, non-blocking sockets. RuntimeError: an engine is open already. OSError,
        MemoryError: the system refuses."""
        global engine_open_now, fork_orphaned
        engine_part()
        if engine_open_now is not None:
            raise RuntimeError("an engine is open in this process already")
        self.router.freeze()
        fork_orphaned = False
        engine_open_now = self
        try:
            engine_open_rooms(self, listeners)
            if self.stop_at_open_ms >= 0:
                house_stop(self.stop_at_open_ms)
        except BaseException:
            self.close()
            raise
        finally:
            self.stop_at_open_ms = -1

    def turn(self, int timeout_ms=-1) -> int:
        """One pass of the loop: waits `timeout_ms` at most (-1: until something is due), then
        advances what is ready; how many connections that were. RuntimeError when called from a
        handler, or when not open."""
        global loop_in_turn
        if unlikely_(loop_in_turn or not engine_is_open(self)):
            engine_refuse_turn(self)
        loop_in_turn = True
        try:
            count = loop_turn(timeout_ms)
        finally:
            loop_in_turn = False
        if callback_interrupt is not None:
            engine_raise_interrupt()
        return count

    def run(self) -> None:
        """Turns until stop() was called and every connection has ended."""
        while not (connection_draining and tables_used_count == 0):
            self.turn(-1)
        pulse_wait()                       # what follows is no turn: a cut must not interrupt it

    def stop(self, int64_t grace_ms=30000) -> None:
        """Accepts nobody any more, closes idle connections, finishes what is under way and cuts
        the rest after `grace_ms`. May be called from a handler or a signal handler, again with a
        shorter grace too; before open() it is done as soon as that has been."""
        grace_ms = max(0, min(grace_ms, <int64_t>1 << 40))
        engine_check_parent(self)
        if engine_open_now is self:
            house_stop(grace_ms)
        else:
            self.stop_at_open_ms = grace_ms    # a signal may be quicker than the start

    def close(self) -> None:
        """Closes all connections and gives the tables back; listening sockets are left alone.
        Nothing happens in a child of the process that opened it: there all is closed."""
        global loop_in_turn
        if engine_is_open(self):
            if loop_in_turn:
                raise RuntimeError("close() was called from within a turn: use stop()")
            loop_in_turn = True        # close() of an iterator may call the engine again
            try:
                engine_close_rooms()
            finally:
                loop_in_turn = False

    def fileno(self) -> int:
        """The descriptor that another loop can watch (epoll only), else -1."""
        return poller_epoll_fd if engine_is_open(self) else -1

    def adopt(self, int fd, peer=None) -> int:
        """Takes over a connected, non-blocking stream socket; its slot. `peer`: (ip, port), None
        for a unix socket. The descriptor is the engine's to close from now on."""
        cdef peer_t address
        from os import fstat
        engine_check_open(self)
        fstat(fd)                      # OSError: there is no such descriptor
        if not loop_in_turn:
            clock_update()
        memset(&address, 0, sizeof(address))
        address.family = <uint8_t>AF_UNIX
        if peer is not None:
            engine_read_peer(peer, &address)
        cdef connection_t* c = connection_begin(fd, &address)
        if c == NULL:
            raise OSError(errno, f"descriptor {fd} cannot be taken over")
        slot = tables_slot(c)
        if house_refuses(&address):
            stats.blocked += 1
            loop_close(c)
        return slot

    def every(self, double seconds, callback) -> None:
        """Calls `callback()` every so often, on the engine's thread."""
        engine_check_parent(self)
        clock_update()
        timer_add(seconds, callback, False)

    def later(self, double seconds, callback) -> None:
        """Calls `callback()` once, after that time, on the engine's thread."""
        engine_check_parent(self)
        clock_update()
        timer_add(seconds, callback, True)

    def publish(self, Snapshot snapshot) -> None:
        """Serves these files from now on, in place of those before; None serves none. Answers that
        are under way keep the bytes they began with. May be called before open()."""
        engine_check_parent(self)
        if snapshot is not None and snapshot.host_count == 0:
            raise ValueError("this Snapshot was never filled")
        self.snapshot = snapshot
        if engine_open_now is self:
            locate_publish(snapshot)

    def set_lists(self, AddressList black, AddressList white) -> None:
        """From now on peers that `black` names, or that `white` does not name, are closed without a
        word; also those that are connected. None: no such list. May be called before open()."""
        engine_check_parent(self)
        self.black = black
        self.white = white
        if engine_open_now is self:
            house_set_lists(black, white)
            engine_expel()

    def blocked_addresses(self) -> list:
        """(address, until, why) of each address that is blocked for guessing ids of sessions: of
        IPv6 the first one of its /64; seconds since 1970."""
        return suspect_blocked() if engine_open_now is self else []

    def unblock(self, str ip not None) -> bool:
        """Ends the block of an address, of IPv6 of its /64; False: it was not blocked. ValueError:
        this is no address."""
        return engine_open_now is self and suspect_let_in(ip)

    def add_reader(self, int fd, callback) -> None:
        """Calls `callback()` on the engine's thread whenever `fd` is readable, until it is removed.
        OSError: it cannot be watched."""
        engine_check_open(self)
        reader_add(fd, callback)

    def remove_reader(self, int fd) -> None:
        """Ends that; before the descriptor is closed. Nothing happens if it has no reader."""
        if engine_is_open(self):
            reader_remove(fd)

    def set_access_log(self, write, int format) -> None:
        """Gives lines of the access log to `write` from now on, None: to nothing. format: 1
        Node++'s line, 2 combined, 3 JSON. It is called as write(lines, lost): bytes, and how many
        lines before them were dropped; it gives how many bytes it has taken, whole lines, and must
        not wait. What it leaves waits for the next call, 64 KiB at most."""
        engine_check_parent(self)
        accesslog_set(write, format)

    def flush_access_log(self) -> None:
        """Gives it the lines that wait."""
        accesslog_flush()

    @property
    def running(self) -> bool:
        """True while open."""
        return engine_is_open(self)

    @property
    def stopping(self) -> bool:
        """True after stop()."""
        return engine_is_open(self) and connection_draining

    @property
    def connection_count(self) -> int:
        """Connections that are open now."""
        return tables_used_count if engine_is_open(self) else 0

    def stats(self) -> dict:
        """Counters since the engine was opened, and how full its tables are."""
        engine_check_parent(self)
        return engine_stats(self)


cdef set engine_keys = {
    "max_connections", "poller", "selector_factory", "header_timeout_ms", "body_timeout_ms",
    "send_timeout_ms", "keep_alive_timeout_ms", "half_close", "max_payload", "head_size_max",
    "target_size_max", "field_count_max", "buffer_memory", "spool_size", "spool_dir",
    "form_part_count_max", "form_field_size_max", "server_header", "reserved_descriptors",
    "wakeup_fd", "owns_signals", "compress_threshold", "sessions", "session_timeout_s",
    "session_auth_timeout_s",
    "session_keep_s", "session_lifetime_s", "session_cookie", "login_cookie",
    "session_bind_agent", "sessions_for_bots", "secure_cookies", "csrf", "login_path",
    "auth_rules", "guard_loopback", "forged_grace_s", "block_time_s"}


cdef inline bint engine_is_open(Engine engine) noexcept:
    return engine_open_now is engine and not fork_orphaned


cdef int engine_check_open(Engine engine) except -1:
    engine_check_parent(engine)
    if engine_open_now is not engine:
        raise RuntimeError("the engine is not open")
    return 0


cdef int engine_refuse_turn(Engine engine) except -1:
    engine_check_open(engine)
    raise RuntimeError("turn() was called from within a turn: "
                       "the engine serves one handler at a time")


cdef int engine_check_parent(Engine engine) except -1:
    """A child may have an engine of its own, and leaves that of its parent alone."""
    if engine_open_now is engine and fork_orphaned:
        raise RuntimeError("the engine serves in the process that this one was forked from")
    return 0


cdef void engine_part() noexcept:
    """In a child that makes an engine of its own: that of the parent is forgotten."""
    global engine_open_now
    if fork_orphaned and engine_open_now is not None:
        child_reset()
        engine_open_now = None


cdef int engine_expel() except -1:
    """Whoever may not stay goes now, or at the end of this turn: close() of an iterator may call
    the engine again."""
    global loop_in_turn
    if loop_in_turn:
        return 0
    loop_in_turn = True
    try:
        house_expel()
    finally:
        loop_in_turn = False
    return 0


cdef int engine_raise_interrupt() except -1:
    global callback_interrupt
    problem = callback_interrupt
    callback_interrupt = None
    raise problem


cdef int engine_read_peer(peer, peer_t* address) except -1:
    ip, port = peer
    address_parse(ip, address)
    address.port = port
    return 0


cdef int64_t engine_number(dict settings, str name, int64_t default, int64_t low,
                           int64_t high) except? -1:
    """A setting within its bounds. ValueError says which."""
    value = settings.get(name, default)
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}: {low} to {high} is possible")
    return value


cdef int engine_apply(dict settings) except -1:
    """Settings into limits; what is not set has its default."""
    limits_default()
    limits.connection_count_max = engine_number(
        settings, "max_connections", limits.connection_count_max, 1, 1000000)
    limits.head_size_max = engine_number(
        settings, "head_size_max", limits.head_size_max, 256, HEAD_SIZE_CEILING)
    limits.target_size_max = engine_number(
        settings, "target_size_max", limits.target_size_max, 64, HEAD_SIZE_CEILING)
    limits.field_count_max = engine_number(
        settings, "field_count_max", limits.field_count_max, 1, FIELD_COUNT_CEILING - 1)
    limits.payload_size_max = engine_number(
        settings, "max_payload", limits.payload_size_max, 0, <int64_t>1 << 50)
    limits.buffer_memory_max = engine_number(
        settings, "buffer_memory", limits.buffer_memory_max, 64 * 1024, <int64_t>1 << 46)
    limits.spool_size = engine_number(
        settings, "spool_size", limits.spool_size, 0, <int64_t>1 << 40)
    limits.form_part_count_max = engine_number(
        settings, "form_part_count_max", limits.form_part_count_max, 1, 1000000)
    limits.form_field_size_max = engine_number(
        settings, "form_field_size_max", limits.form_field_size_max, 1, <int64_t>1 << 40)
    limits.header_timeout_ms = engine_number(
        settings, "header_timeout_ms", limits.header_timeout_ms, 1, <int64_t>1 << 40)
    limits.body_timeout_ms = engine_number(
        settings, "body_timeout_ms", limits.body_timeout_ms, 1, <int64_t>1 << 40)
    limits.send_timeout_ms = engine_number(
        settings, "send_timeout_ms", limits.send_timeout_ms, 1, <int64_t>1 << 40)
    limits.keep_alive_timeout_ms = engine_number(
        settings, "keep_alive_timeout_ms", limits.keep_alive_timeout_ms, 1, <int64_t>1 << 40)
    limits.half_close = bool(settings.get("half_close", False))
    return engine_apply_texts(settings)


cdef int engine_apply_texts(dict settings) except -1:
    """Settings that are not numbers of limits."""
    server = settings.get("server_header", b"nodepp")
    if server and not headers_all_of(server, SCAN_VALUE):
        raise ValueError("server_header holds a control character")
    clock_identify(server)
    folder = settings.get("spool_dir") or engine_temporary_folder()
    folder = folder.encode("utf-8", "surrogateescape")
    if len(folder) >= sizeof(body_spool_dir):
        raise ValueError("spool_dir is too long")
    memcpy(body_spool_dir, <const char*>folder, len(folder) + 1)
    return 0


cdef str engine_temporary_folder():
    from os import environ
    return environ.get("TMPDIR") or "/tmp"


cdef int engine_poller_kind(Engine engine) except -1:
    """auto: epoll, which measured best, or what the selectors module finds. (docs/decisions)"""
    name = engine.settings.get("poller", "auto")
    if name == "auto":
        name = "epoll" if NODEPP_HAVE_EPOLL else "selectors"
    if name not in engine_pollers or (name == "epoll" and not NODEPP_HAVE_EPOLL):
        raise ValueError(f"there is no poller {name!r} here")
    if name == "selectors" and engine.settings.get("selector_factory") is None:
        raise ValueError("the selectors poller needs a selector_factory")
    engine.poller = name
    return engine_pollers[name]


cdef int engine_clamp(Engine engine, int kind) except -1:
    """select cannot watch a descriptor of FD_SETSIZE or more: the table is made that small."""
    cdef int64_t reserved = engine_number(engine.settings, "reserved_descriptors", 32, 0, 1000000)
    if kind == POLLER_SELECT and limits.connection_count_max > FD_SETSIZE - reserved:
        limits.connection_count_max = <uint32_t>max(1, FD_SETSIZE - reserved)
        callback_log(2, f"select: the table is limited to {limits.connection_count_max} "
                        f"connections (FD_SETSIZE {FD_SETSIZE} less {reserved} reserved)")
    return 0


cdef int engine_open_rooms(Engine engine, list listeners) except -1:
    """In the order of the floors."""
    global house_capacity, engine_started_s, stats, memory_high_water, loop_wakeup_fd
    global connection_draining
    cdef int kind = engine_poller_kind(engine)
    engine_apply(engine.settings)
    clock_update()
    callback_open(engine.host, engine.settings.get("owns_signals", False))
    dispatch_open(engine.router)
    compress_open(engine.host, engine_number(engine.settings, "compress_threshold", -1, -1,
                                             <int64_t>1 << 50))
    locate_publish(engine.snapshot)
    roster_serve(engine.settings.get("sessions"), engine.settings, engine.host)
    suspect_open(engine.settings)
    personal_open_room(engine.host)
    admit_open(engine.settings)
    house_set_lists(engine.black, engine.white)
    engine_clamp(engine, kind)
    memset(&stats, 0, sizeof(stats))
    memory_high_water = memory_used
    connection_draining = False
    queue_open()
    download_open()
    house_capacity = limits.connection_count_max
    tables_open(house_capacity)
    deadline_open()
    poller_open(kind, engine.settings.get("selector_factory"))
    output_open()
    connection_open_buffers()
    telling_open(len(listeners) > 0)
    listener_open(listeners)
    loop_wakeup_fd = engine.settings.get("wakeup_fd", -1)
    if loop_wakeup_fd >= 0 and poller_add(loop_wakeup_fd, LOOP_KEY_WAKEUP, POLLER_READ) < 0:
        raise OSError(errno, "the wake-up descriptor cannot be watched")
    engine_started_s = clock_now_ms / 1000.0
    return 0


cdef int engine_close_rooms() except -1:
    """Backwards; each room may be closed that was not opened."""
    global engine_open_now, fork_orphaned
    if tables_connection != NULL:
        house_empty()
    listener_close()
    telling_close()
    accesslog_set(None, ACCESSLOG_OFF)
    if tables_connection != NULL:
        house_empty()                      # the logs are Python's too, and may adopt a connection
    timer_close()
    reader_close()
    readahead_close()
    connection_close_buffers()
    output_close()
    poller_close()
    tables_close()
    house_set_lists(None, None)
    rules_close()
    personal_close_room()
    suspect_close()
    roster_close()
    dispatch_close()
    callback_close()
    engine_open_now = None
    fork_orphaned = fork_generation > 0     # a turn of the parent's may lie below on the stack
    return 0


cdef dict engine_stats(Engine engine):
    answered = max(1, stats.requests)
    figures = {f"status_{i}xx": stats.status_class[i] for i in range(1, 6)}
    figures.update(
        requests=stats.requests, bytes_in=stats.bytes_in, bytes_out=stats.bytes_out,
        accepted=stats.accepted, connections=tables_used_count,
        connections_high_water=tables_high_water, connection_slots=house_capacity,
        connection_size=sizeof(connection_t), refused_full=stats.refused_full,
        refused_memory=stats.refused_memory, parse_errors=stats.parse_errors,
        timeouts_header=stats.timeouts[STATE_COUNTER_HEADER],
        timeouts_body=stats.timeouts[STATE_COUNTER_BODY],
        timeouts_send=stats.timeouts[STATE_COUNTER_SEND],
        timeouts_idle=stats.timeouts[STATE_COUNTER_IDLE],
        timeouts_answer=stats.timeouts[STATE_COUNTER_ANSWER],
        handler_errors=stats.handler_errors, detached_requests=stats.detached_requests,
        reads_ahead=readahead_count,
        busy_ns=stats.busy_ns, average_us=stats.busy_ns / 1000.0 / answered,
        buffer_memory_used=memory_used, buffer_memory_high_water=memory_high_water,
        turns=stats.turns, accept_pauses=stats.accept_pauses, poller=engine.poller,
        blocked=stats.blocked, cut=stats.cut, draining=house_draining_count,
        uptime_s=clock_now_ms / 1000.0 - engine_started_s)
    if roster_served is not None:
        figures.update(roster_stats(roster_served))
    return figures
