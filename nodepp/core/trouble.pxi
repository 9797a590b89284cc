# core/trouble.pxi — what goes wrong that an operator can put right
#   Prefix: trouble
#   Owns:  for each cause: how often, the system's last error number, when that was told last
#   Uses:  nothing
#   Never: words, which are telling's; a peer's mistakes; an application's
#   Holds: a count costs an addition and needs no Python: it may be taken anywhere

cdef enum:                             # causes
    TROUBLE_SPOOL                      # no file could be made for a long body: 503
    TROUBLE_SPOOL_WRITE                # it was made, and could not be written: 507
    TROUBLE_BUDGET                     # bufferMemory is spent: 503, or a stream that is cut
    TROUBLE_MEMORY                     # the system gives no memory: the same
    TROUBLE_CONNECTIONS                # the table of connections is full: 503
    TROUBLE_WATCH                      # the poller takes no more descriptors: 503
    TROUBLE_ACCEPT                     # no descriptors are left: peers have to wait
    TROUBLE_SESSIONS                   # the table of sessions is full: 503
    TROUBLE_FILE                       # a public file could not be opened for now: 503
    TROUBLE_READ                       # the disk failed while a file was being sent: cut
    TROUBLE_COUNT

cdef struct trouble_t:
    uint64_t count                     # all so far
    uint64_t told                      # of them, by a line in the log
    int64_t told_ms                    # when there was one; 0: never
    int number                         # errno of the last one; 0: the system was not at fault

cdef trouble_t trouble_table[TROUBLE_COUNT]
cdef bint trouble_waits                # there is a count that no line has told


cdef void trouble_note(int cause, int number) noexcept nogil:
    """Once more. The line is written when this turn is over, or when the next one is due."""
    global trouble_waits
    trouble_table[cause].count += 1
    trouble_table[cause].number = number
    trouble_waits = True


cdef void trouble_forget() noexcept nogil:
    """An engine begins with clean books."""
    global trouble_waits
    memset(trouble_table, 0, sizeof(trouble_table))
    trouble_waits = False
