# core/child.pxi — what a fork leaves to a child of the engine: nothing
#   Prefix: child
#   Owns:  which rooms hold descriptors and threads; what an engine of the child's own needs
#   Uses:  fork, tables, poller, readahead, output, listener, request, accesslog, connection,
#          callbacks, objects, current, roster, personal, pool, dispatch, timer, reader, watchdog,
#          loop
#   Never: shutdown, EPOLL_CTL_DEL, free: what the parent shares, and what frames of the parent's
#          turn still point to, stays as it is
#   Holds: the session table stays: it is shared memory

cdef void child_forget() noexcept nogil:
    """The child's hook, without the GIL: closes what the engine has open."""
    connection_forget()
    listener_forget()
    poller_forget()
    readahead_forget()
    accesslog_forget()
    watchdog_forget()


fork_set_forget(child_forget)


cdef void child_reset() noexcept:
    """The child is about to have an engine of its own: the rooms become as if closed. What lies in
    the old tables is given up, with its memory, once."""
    global loop_in_turn
    current_leave(NULL)
    child_end_requests()
    tables_forget()
    poller_close_child()
    request_forget()
    timer_close()
    reader_forget()
    connection_close_buffers()
    output_close()
    personal_close_room()
    roster_close()
    dispatch_close()
    callback_close()
    loop_in_turn = False


cdef void child_end_requests() noexcept:
    """Requests of the parent's turn are over: a handler of the child that kept one is told."""
    cdef uint32_t slot
    if pool_taken is not None:
        pool_release(pool_taken)
    for slot in range(tables_highest_used):
        if tables_connection[slot].state != CONNECTION_FREE \
                and tables_connection[slot].stream != NULL:
            pool_release(<RequestState>tables_connection[slot].stream)
