# core/state.pxi — a connection's life as a table
#   Prefix: state
#   Owns:  the states; of each: interest, deadline, what readiness, a peer that has gone, a time-out
#          and a stop mean, which counter a time-out books, which states may follow
#   Uses:  nothing
#   Never: a connection; connection_enter is the one function that changes a state
#   Holds: docs/architecture.md has the drawing that is made from it

# The table is C, and constant: where the compiler knows the state it knows the row, so entering a
# state costs no look at it.

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdio.h>
    #include <stdlib.h>

    /* The names say what is awaited. */
    enum {
        CONNECTION_FREE, CONNECTION_TLS_HANDSHAKE, CONNECTION_ACCEPTED, CONNECTION_IDLE,
        CONNECTION_READING_HEAD, CONNECTION_READING_BODY, CONNECTION_STARVED, CONNECTION_HELD,
        CONNECTION_ANSWERING, CONNECTION_WAITING, CONNECTION_WAITING_DEAF, CONNECTION_STREAMING,
        CONNECTION_STREAM_WRITING, CONNECTION_WRITING, CONNECTION_READING_AHEAD,
        CONNECTION_LINGERING, CONNECTION_UPGRADED, STATE_COUNT };
    /* Interest: the poller's bits. BEFORE: what was asked for before stays. */
    enum { STATE_INTEREST_NOTHING = 0, STATE_INTEREST_READ = 1, STATE_INTEREST_WRITE = 2,
           STATE_INTEREST_BEFORE = 4 };
    /* Deadlines. BEFORE: the deadline stays. HEADER is for a whole head: a state with it that is
       entered again keeps it; the others begin again, for progress has been made. */
    enum { STATE_DEADLINE_BEFORE, STATE_DEADLINE_HEADER, STATE_DEADLINE_BODY, STATE_DEADLINE_SEND,
           STATE_DEADLINE_KEEP_ALIVE, STATE_DEADLINE_LINGER };
    /* What readiness leads to, and what a peer that has gone does (an error, or HUP). */
    enum { STATE_DO_NOTHING, STATE_DO_READ, STATE_DO_FLUSH, STATE_DO_LINGER, STATE_DO_LISTEN,
           STATE_DO_CLOSE };
    /* Counters of time-outs; NONE is counted too, and never shown. */
    enum { STATE_COUNTER_NONE, STATE_COUNTER_IDLE, STATE_COUNTER_HEADER, STATE_COUNTER_BODY,
           STATE_COUNTER_SEND, STATE_COUNTER_ANSWER, STATE_COUNTER_COUNT };
    /* What a stop does. GRACE: it has the grace time, and is counted when that cuts it. LEAVE: the
       same, but nothing is lost by a cut. CLOSE: it is read once more, and closed if nothing has
       come. HURRY: the same, but the first word may still come within two seconds. */
    enum { STATE_STOP_GRACE, STATE_STOP_LEAVE, STATE_STOP_CLOSE, STATE_STOP_HURRY };

    typedef struct {
        const char *name, *awaits;
        uint8_t interest, deadline, on_ready, on_gone;
        uint16_t on_timeout;           /* the status that is answered; 0: closed without a word */
        uint8_t counter, on_stop;
        uint32_t next;                 /* one bit for each state that may follow */
    } state_t;

    #define STATE_ROW(state, interest, deadline, ready, gone, timeout, counter, stop, next, \\
                      awaits) \\
        [CONNECTION_##state] = {#state, awaits, STATE_INTEREST_##interest, \\
            STATE_DEADLINE_##deadline, STATE_DO_##ready, STATE_DO_##gone, timeout, \\
            STATE_COUNTER_##counter, STATE_STOP_##stop, next}
    #define TO(state) (1u << CONNECTION_##state)
    #define TO_END (TO(FREE) | TO(WRITING) | TO(LINGERING))
    #define TO_READING (TO(READING_HEAD) | TO(READING_BODY))
    /* After what was queued has left, or some of it. */
    #define TO_AFTER (TO_END | TO_READING | TO(IDLE) | TO(HELD) | TO(STREAMING) \\
                      | TO(STREAM_WRITING) | TO(READING_AHEAD) | TO(WAITING))

    static const state_t state_table[STATE_COUNT] = {
    /*        state         interest deadline    ready    gone   timeout counter stop   next  */
    STATE_ROW(FREE,          BEFORE,  BEFORE,     NOTHING, NOTHING,  0, NONE,   LEAVE,
              TO(ACCEPTED) | TO(TLS_HANDSHAKE), "no connection: the slot is free"),
    STATE_ROW(TLS_HANDSHAKE, READ,    HEADER,     NOTHING, CLOSE,    0, HEADER, LEAVE,
              TO(FREE) | TO(TLS_HANDSHAKE) | TO(ACCEPTED), "the next step of the handshake"),
    STATE_ROW(ACCEPTED,      READ,    HEADER,     READ,    CLOSE,    0, IDLE,   HURRY,
              TO_END | TO_READING | TO(ANSWERING), "the first byte"),
    STATE_ROW(IDLE,          READ,    KEEP_ALIVE, READ,    CLOSE,    0, IDLE,   CLOSE,
              TO_END | TO_READING | TO(ANSWERING), "the next request; owns no buffer"),
    STATE_ROW(READING_HEAD,  READ,    HEADER,     READ,    CLOSE,  408, HEADER, GRACE,
              TO_END | TO_READING | TO(ANSWERING), "the rest of a head"),
    STATE_ROW(READING_BODY,  READ,    BODY,       READ,    CLOSE,  408, BODY,   GRACE,
              TO_END | TO(READING_BODY) | TO(STARVED) | TO(ANSWERING), "the rest of a body"),
    STATE_ROW(STARVED,       NOTHING, BODY,       NOTHING, CLOSE,  503, NONE,   GRACE,
              TO_END | TO(READING_BODY), "buffer memory, for more of a body"),
    STATE_ROW(HELD,          NOTHING, HEADER,     NOTHING, CLOSE,  408, HEADER, GRACE,
              TO_END | TO_READING | TO(ANSWERING), "its turn: pipelined input is here already"),
    STATE_ROW(ANSWERING,     BEFORE,  BEFORE,     READ,    CLOSE,    0, SEND,   GRACE,
              TO_AFTER | TO(ANSWERING) | TO(UPGRADED), "the handler, within a turn"),
    STATE_ROW(WAITING,       READ,    BEFORE,     LISTEN,  CLOSE,  504, ANSWER, GRACE,
              TO_AFTER | TO(WAITING_DEAF), "an answer that comes later"),
    STATE_ROW(WAITING_DEAF,  NOTHING, BEFORE,     NOTHING, CLOSE,  504, ANSWER, GRACE,
              TO_AFTER, "the same, and reads no more"),
    STATE_ROW(STREAMING,     NOTHING, SEND,       NOTHING, CLOSE,    0, SEND,   GRACE,
              TO_AFTER, "its turn: the iterator is asked for more"),
    STATE_ROW(STREAM_WRITING, WRITE,  SEND,       FLUSH,   FLUSH,    0, SEND,   GRACE,
              TO_AFTER, "the peer, to take a share of a stream"),
    STATE_ROW(WRITING,       WRITE,   SEND,       FLUSH,   FLUSH,    0, SEND,   GRACE,
              TO_AFTER | TO(UPGRADED), "the peer, to take the answer"),
    STATE_ROW(READING_AHEAD, NOTHING, SEND,       NOTHING, CLOSE,    0, SEND,   GRACE,
              TO_AFTER, "the disk, for the next bytes of a file"),
    STATE_ROW(LINGERING,     READ,    LINGER,     LINGER,  LINGER,   0, NONE,   LEAVE,
              TO(FREE) | TO(LINGERING), "the peer's end; its input is drained"),
    STATE_ROW(UPGRADED,      READ,    KEEP_ALIVE, NOTHING, CLOSE,    0, IDLE,   GRACE,
              TO(FREE) | TO(UPGRADED), "frames of another protocol"),
    };
    #undef TO_AFTER
    #undef TO_READING
    #undef TO_END
    #undef TO
    #undef STATE_ROW

    static inline int state_may_follow(int before, int state) {
        return state_table[before].next >> state & 1;
    }

    /* A step that the table does not have is a mistake of ours. Builds for tests end there. */
    #ifdef NODEPP_VERIFY
    static void state_verify(int before, int state) {
        if (!state_may_follow(before, state)) {
            fprintf(stderr, "nodepp: broken claim: a connection that is %s becomes %s\\n",
                    state_table[before].name, state_table[state].name);
            abort();
        }
    }
    #else
    #define state_verify(before, state) ((void)0)
    #endif
    """
    enum:
        CONNECTION_FREE, CONNECTION_TLS_HANDSHAKE, CONNECTION_ACCEPTED, CONNECTION_IDLE
        CONNECTION_READING_HEAD, CONNECTION_READING_BODY, CONNECTION_STARVED, CONNECTION_HELD
        CONNECTION_ANSWERING, CONNECTION_WAITING, CONNECTION_WAITING_DEAF, CONNECTION_STREAMING
        CONNECTION_STREAM_WRITING, CONNECTION_WRITING, CONNECTION_READING_AHEAD
        CONNECTION_LINGERING, CONNECTION_UPGRADED, STATE_COUNT
        STATE_INTEREST_NOTHING, STATE_INTEREST_READ, STATE_INTEREST_WRITE, STATE_INTEREST_BEFORE
        STATE_DEADLINE_BEFORE, STATE_DEADLINE_HEADER, STATE_DEADLINE_BODY, STATE_DEADLINE_SEND
        STATE_DEADLINE_KEEP_ALIVE, STATE_DEADLINE_LINGER
        STATE_DO_NOTHING, STATE_DO_READ, STATE_DO_FLUSH, STATE_DO_LINGER, STATE_DO_LISTEN
        STATE_DO_CLOSE
        STATE_COUNTER_NONE, STATE_COUNTER_IDLE, STATE_COUNTER_HEADER, STATE_COUNTER_BODY
        STATE_COUNTER_SEND, STATE_COUNTER_ANSWER, STATE_COUNTER_COUNT
        STATE_STOP_GRACE, STATE_STOP_LEAVE, STATE_STOP_CLOSE, STATE_STOP_HURRY
    ctypedef struct state_t:
        const char* name
        const char* awaits
        uint8_t interest
        uint8_t deadline
        uint8_t on_ready
        uint8_t on_gone
        uint16_t on_timeout
        uint8_t counter
        uint8_t on_stop
        uint32_t next
    const state_t state_table[STATE_COUNT]
    bint state_may_follow(int before, int state) noexcept nogil
    void state_verify(int before, int state) noexcept nogil
