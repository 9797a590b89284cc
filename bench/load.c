/* load: the client of the benchmark, cheaper than the servers it measures.
 *
 *   load --port N --request FILE [--connections 64] [--depth 1] [--idle 0] [--churn]
 *        [--warmup 0.3] [--seconds 3] [--status 200] [--body BYTES]
 *        [--cookies FILE [--step N]]
 *
 * Writes FILE (one whole request) on each of --connections connections, reads the answer, writes it
 * again: a closed loop. --depth sends that many copies in one write and waits for all their
 * answers. --churn opens a connection for each request and reads until the server closes it. --idle
 * opens that many connections beside, gets one answer on each and leaves them open.
 *
 * --cookies: FILE holds the value of a Cookie field on each line, and each request has one of them,
 * taken at random among those that no other connection is asking with. With --step the body of each
 * answer is a number, as many above that of the same cookie's answer before as --step says: 1 where
 * the server counts; 0 where the count is in the cookie, which stays the one it was. A count that
 * was lost, given twice, or another session's is an error.
 *
 * The books are closed at both ends. After the warm-up it waits until every request is answered,
 * prints a line "ready", and goes on when a line arrives on standard input; after --seconds it
 * stops sending, waits for the last answer and prints one line of JSON. Who reads the server's CPU
 * time at those two moments, with the server at rest, has exactly the time of exactly the requests
 * counted. Then it waits for a second line before it closes the connections.
 *
 * Every answer is checked: the status, a Content-Length, and as many bytes as that says, no more,
 * no less; with --body it must say so many: those of the answer that was decoded and compared before
 * the load. A 304 has no body, whatever length it gives (RFC 9110 §15.4.5). When the head ends where
 * that of the first answer ended, only status, Content-Length's value and the empty line are
 * compared. Nothing answered for STALL_SECONDS_MAX ends the run with an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define SCRATCH_SIZE (64 * 1024)
#define HEAD_SIZE_MAX 4096      /* of an answer; a longer head is an error */
#define DEPTH_MAX 64
#define CONNECTIONS_MAX 20000   /* the hard limit of descriptors on common machines */
#define IDLE_BATCH 64           /* idle connections opened at once; below any backlog */
#define STALL_SECONDS_MAX 5     /* without any answer: the server does not answer this workload */
#define DISCARD_SIZE_MIN 16384  /* bytes of a body left that are worth a recv that does not copy */
#define COOKIES_MAX (1 << 20)
#define COOKIE_SIZE_MAX 4096    /* as browsers have it, name and all */
#define COUNT_DIGITS_MAX 9      /* a count fits 32 bits */

typedef struct {
    int fd;                     /* -1: closed after an error */
    unsigned outstanding;       /* requests sent and not answered */
    size_t body_left;           /* bytes of the present answer's body still to come */
    char *spill;                /* an incomplete head; NULL until the first */
    size_t spill_size;
    unsigned cookie;            /* the one that its request was sent with */
} line_t;

typedef struct {
    uint32_t at;                /* where its value begins in cookie_text */
    uint16_t size;
    uint16_t busy;              /* a request with it is not answered */
    uint32_t count;             /* of its last answer; 0: none yet */
} cookie_t;

static line_t *lines;
static char *request;           /* DEPTH_MAX copies at most, end to end */
static size_t request_size;
static int port, connections = 64, depth = 1, idle, churn;
static cookie_t *cookies;
static char *cookie_text;
static unsigned cookie_count;   /* 0: requests have none */
static uint64_t cookie_random = 0x9E3779B97F4A7C15;     /* the same sequence each time */
static int step = -1;           /* from a cookie's count to the next; -1: bodies are no counts */
static char status[4] = "200";  /* of each answer */
static long long body_wanted = -1;  /* bytes of each body; -1: whatever the length says */
static double warmup = 0.3, seconds = 3;

static char scratch[SCRATCH_SIZE];
static int poller;
static int receive_flags = MSG_DONTWAIT;     /* 0 while the idle connections are opened */
static int sending;             /* 0 while draining: an answer is not followed by another request */
static unsigned outstanding;    /* over all lines */
static uint64_t answers, answer_bytes, errors;
static char error_text[256];

/* The shape of the first answer, by which the others are recognised at a glance. */
static struct { size_t head_size, length_at, length_size, body_size; char length[24]; } shape;
static const char *wrong;       /* what head_read found, when it is not the head itself */

static volatile sig_atomic_t ticks_still;   /* seconds without an answer */
static uint64_t answers_at_tick;

static void tick(int signal_number)
{
    (void)signal_number;
    ticks_still = answers == answers_at_tick ? ticks_still + 1 : 0;
    answers_at_tick = answers;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static void error_note(const char *what)
{
    if (!errors++) snprintf(error_text, sizeof error_text, "%s", what);
}

/* ---- answers ---- */

/* Reads one head, and its Content-Length into *body_size. The head's size; 0 when it has not
 * arrived whole; -1 when it is not the head of an answer as it must be. */
static ssize_t head_read(const char *data, size_t size, size_t *body_size)
{
    const char *empty_line = memmem(data, size, "\r\n\r\n", 4);
    if (!empty_line) return size > HEAD_SIZE_MAX ? -1 : 0;
    size_t head_size = (size_t)(empty_line - data) + 4;
    if (head_size < 16 || memcmp(data, "HTTP/1.", 7) || memcmp(data + 9, status, 3)) return -1;
    if (!strcmp(status, "304")) {
        if (!shape.head_size) shape.head_size = head_size;
        *body_size = 0;
        return (ssize_t)head_size;
    }
    const char *field = data;
    for (; field < empty_line; field = (const char *)memchr(field, '\n', head_size) + 1) {
        if (strncasecmp(field, "content-length:", 15)) continue;
        const char *digits = field + 15 + strspn(field + 15, " \t");
        size_t digits_size = strspn(digits, "0123456789");
        if (digits_size == 0 || digits_size > 20) return -1;
        *body_size = strtoull(digits, NULL, 10);
        if (body_wanted >= 0 && *body_size != (size_t)body_wanted) {
            wrong = "not as many bytes as the answer that was verified";
            return -1;
        }
        if (!shape.head_size) {
            shape.head_size = head_size;
            shape.body_size = *body_size;
            shape.length_at = (size_t)(digits - data);
            shape.length_size = digits_size + 2;    /* with CRLF: "12" must not pass for "123" */
            memcpy(shape.length, digits, shape.length_size);
        }
        return (ssize_t)head_size;
    }
    return -1;
}

/* As head_read, at a glance: the same answer as before but for the values of other fields. */
static ssize_t head_glance(const char *data, size_t size, size_t *body_size)
{
    /* Fast path: removing it changes no answer. */
    if (shape.head_size && size >= shape.head_size && !memcmp(data + 9, status, 3)
        && !memcmp(data + shape.length_at, shape.length, shape.length_size)
        && !memcmp(data + shape.head_size - 4, "\r\n\r\n", 4)) {
        *body_size = shape.body_size;
        return (ssize_t)shape.head_size;
    }
    return head_read(data, size, body_size);
}

static void answer_count(line_t *line)
{
    answers++;
    outstanding--;
    line->outstanding--;
    if (cookie_count) cookies[line->cookie].busy = 0;
}

static void line_break(line_t *line, const char *what)
{
    error_note(what);
    if (line->fd >= 0) close(line->fd);
    line->fd = -1;
    outstanding -= line->outstanding;
    line->outstanding = 0;
}

/* Keeps what has arrived of an answer until there is more. */
static int line_spill(line_t *line, const char *data, size_t size)
{
    if (!line->spill && !(line->spill = malloc(SCRATCH_SIZE))) fail("malloc");
    memcpy(line->spill, data, line->spill_size = size);
    return 1;
}

/* Whether a body is the number that this line's cookie must be answered with. The first answer of a
 * cookie says where its counting begins. */
static int count_taken(const line_t *line, const char *body, size_t size)
{
    cookie_t *cookie = &cookies[line->cookie];
    uint32_t count = 0;
    if (!size || size > COUNT_DIGITS_MAX) return 0;
    for (size_t i = 0; i < size; i++) {
        if (body[i] < '0' || body[i] > '9') return 0;
        count = count * 10 + (uint32_t)(body[i] - '0');
    }
    int right = count && (!cookie->count || count == cookie->count + (uint32_t)step);
    cookie->count = count;
    return right;
}

/* Takes the answers out of what has arrived; keeps an incomplete head (and a count with its head).
 * 0: the line was broken. */
static int line_consume(line_t *line, const char *data, size_t size)
{
    while (size) {
        if (line->body_left) {
            size_t part = line->body_left < size ? line->body_left : size;
            line->body_left -= part;
            data += part, size -= part;
            if (!line->body_left) answer_count(line);
            continue;
        }
        if (!line->outstanding) { line_break(line, "bytes that nobody asked for"); return 0; }
        size_t body_size = 0;
        ssize_t head_size = head_glance(data, size, &body_size);
        if (head_size < 0) {
            char text[128];
            int shown = size < 60 ? (int)size : 60;
            snprintf(text, sizeof text, "unexpected answer: %.*s", shown, data);
            line_break(line, wrong ? wrong : text);
            return 0;
        }
        if (head_size == 0) return line_spill(line, data, size);
        if (step >= 0) {
            if (size - (size_t)head_size < body_size && body_size <= COUNT_DIGITS_MAX)
                return line_spill(line, data, size);
            if (!count_taken(line, data + head_size, body_size)) {
                line_break(line, "not the count that must follow");
                return 0;
            }
        }
        data += head_size, size -= (size_t)head_size;
        if (!(line->body_left = body_size)) answer_count(line);
    }
    return 1;
}

/* ---- connections ---- */

static int stalled(void)
{
    if (ticks_still < STALL_SECONDS_MAX) return 0;
    error_note("no answer for 5 seconds");
    return 1;
}

static int connection_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    /* Blocking: on loopback the handshake is over when it returns; no write event is needed. */
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EISCONN)
        if (errno != EINTR || stalled()) fail("connect");   /* EINTR: the tick; go on waiting */
    return fd;
}

static void line_open(line_t *line)
{
    int on = 1;
    line->fd = connection_open();
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A cookie that nobody is asking with: the one that chance falls on, or the next that is free.
 * There is one: cookies outnumber lines. */
static unsigned cookie_choose(void)
{
    cookie_random ^= cookie_random << 13;       /* xorshift64 */
    cookie_random ^= cookie_random >> 7;
    cookie_random ^= cookie_random << 17;
    unsigned chosen = (unsigned)((cookie_random >> 32) * cookie_count >> 32);
    while (cookies[chosen].busy) chosen = (chosen + 1) % cookie_count;
    cookies[chosen].busy = 1;
    return chosen;
}

/* The request with a Cookie field behind its others. Gives where it lies, and its size. */
static const char *cookie_request(line_t *line, size_t *size)
{
    static char whole[SCRATCH_SIZE];    /* its beginning, the request, is always the same */
    const cookie_t *cookie = &cookies[line->cookie = cookie_choose()];
    char *at = whole + request_size - 2;
    if (!whole[0]) memcpy(whole, request, request_size - 2);
    memcpy(at, "Cookie: ", 8), at += 8;
    memcpy(at, cookie_text + cookie->at, cookie->size), at += cookie->size;
    memcpy(at, "\r\n\r\n", 4), at += 4;
    *size = (size_t)(at - whole);
    return whole;
}

static void line_send(line_t *line)
{
    size_t size = request_size * (size_t)depth, sent = 0;
    const char *bytes = cookie_count ? cookie_request(line, &size) : request;
    while (sent < size) {
        /* Blocking for the rest is right: a request is small, and servers read, then answer. */
        ssize_t part = send(line->fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) { line_break(line, "send failed"); return; }
        sent += (size_t)part;
    }
    line->outstanding += (unsigned)depth;
    outstanding += (unsigned)depth;
}

/* One recv. Edge-triggered: fewer bytes than asked for mean that it is empty. 1: read again. */
static int line_receive(line_t *line)
{
    if (line->body_left >= DISCARD_SIZE_MIN) {
        ssize_t got = recv(line->fd, NULL, line->body_left, MSG_TRUNC | receive_flags);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (got <= 0) { line_break(line, "closed within an answer"); return 0; }
        answer_bytes += (uint64_t)got;
        if ((line->body_left -= (size_t)got)) return 0;
        answer_count(line);
        return 1;
    }
    size_t have = line->spill_size, room = SCRATCH_SIZE - have;
    if (shape.body_size >= DISCARD_SIZE_MIN) room = HEAD_SIZE_MAX;  /* the rest is discarded */
    if (have) memcpy(scratch, line->spill, have);
    ssize_t got = recv(line->fd, scratch + have, room, receive_flags);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) { line_break(line, got ? "recv failed" : "closed by the server"); return 0; }
    line->spill_size = 0;
    answer_bytes += (uint64_t)got;
    if (!line_consume(line, scratch, have + (size_t)got)) return 0;
    return (size_t)got == room;
}

static void line_advance(line_t *line)
{
    if (line->fd < 0) return;
    while (line_receive(line)) {}
    if (line->fd >= 0 && !line->outstanding && sending) line_send(line);
}

/* ---- runs ---- */

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(poller, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) line_advance(&lines[events[i].data.u32]);
}

/* Keeps all lines busy until the deadline, then waits for the last answer. */
static void run_loop(double duration)
{
    double deadline = now() + duration;
    sending = 1;
    for (int i = 0; i < connections; i++)
        if (lines[i].fd >= 0) line_send(&lines[i]);
    while (now() < deadline && outstanding && !stalled()) turn(100);
    sending = 0;
    while (outstanding && !stalled()) turn(100);
}

static void churn_begin(line_t *line)
{
    line->fd = connection_open();
    line_send(line);
}

/* Reads until the server closes: head, body and end usually come with one call. */
static void churn_end(line_t *line)
{
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(line->fd, scratch + have, SCRATCH_SIZE - have, MSG_WAITALL);
        if (got < 0 && errno == EINTR && !stalled()) continue;
        if (got < 0) { line_break(line, "recv failed"); return; }
        if (got == 0) break;
        have += (size_t)got;
        if (have == SCRATCH_SIZE) { line_break(line, "answer too long for churn"); return; }
    }
    answer_bytes += have;
    line->spill_size = 0;
    if (!line_consume(line, scratch, have)) return;
    if (line->outstanding) { line_break(line, "closed before the answer was whole"); return; }
    close(line->fd);
    line->fd = -1;
}

/* A ring of connections, the oldest awaited first: without epoll, for the client is the slower one
 * here, and every system call saved keeps the server busier. */
static void run_churn(double duration)
{
    double deadline = now() + duration;
    uint64_t begun = 0, ended = 0, ring = (uint64_t)connections;
    while (ended < begun || now() < deadline) {
        if (errors > 100 || stalled()) break;
        while (begun - ended < ring && now() < deadline) churn_begin(&lines[begun++ % ring]);
        if (ended < begun) churn_end(&lines[ended++ % ring]);
    }
}

static void idle_begin(line_t *line)
{
    line_open(line);
    line->outstanding = 1, outstanding++;
    ssize_t sent = send(line->fd, request, request_size, MSG_NOSIGNAL);
    if (sent != (ssize_t)request_size) fail("send on an idle connection");
}

/* Opens the idle connections; each gets one answer first, as a browser's connection that stays.
 * IDLE_BATCH at once: a server whose poller looks through all of them does so once for many. */
static void idle_open(void)
{
    int end = connections + idle;
    receive_flags = 0;
    for (int first = connections; first < end && !errors; first += IDLE_BATCH) {
        int last = first + IDLE_BATCH < end ? first + IDLE_BATCH : end;
        for (int i = first; i < last; i++) idle_begin(&lines[i]);
        for (int i = first; i < last; i++)
            while (lines[i].fd >= 0 && lines[i].outstanding && !stalled()) line_receive(&lines[i]);
    }
    receive_flags = MSG_DONTWAIT;
}

static unsigned idle_closed_count(void)
{
    unsigned closed = 0;
    for (int i = connections; i < connections + idle; i++) {
        char byte;
        if (lines[i].fd < 0 || recv(lines[i].fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) closed++;
    }
    return closed;
}

/* A whole file, with room for `copies` of it and one byte more. */
static char *file_load(const char *path, size_t copies, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*size * copies + 1);
    if (!text || !*size || fread(text, 1, *size, file) != *size) fail(path);
    fclose(file);
    return text;
}

static void request_load(const char *path)
{
    request = file_load(path, (size_t)depth, &request_size);
    for (int copy = 1; copy < depth; copy++)
        memcpy(request + (size_t)copy * request_size, request, request_size);
}

static void cookies_load(const char *path)
{
    size_t size, at = 0;
    cookie_text = file_load(path, 1, &size);
    cookies = calloc(COOKIES_MAX, sizeof(cookie_t));
    if (!cookies) fail("calloc");
    while (at < size && cookie_count < COOKIES_MAX) {
        const char *end = memchr(cookie_text + at, '\n', size - at);
        size_t line_size = end ? (size_t)(end - cookie_text) - at : size - at;
        if (!line_size || line_size > COOKIE_SIZE_MAX || at > UINT32_MAX) break;
        cookies[cookie_count++] = (cookie_t){.at = (uint32_t)at, .size = (uint16_t)line_size};
        at += line_size + 1;
    }
    errno = EINVAL;
    if (cookie_count <= (unsigned)connections || at < size) fail(path);
    if (depth > 1 || churn || idle) fail(path);
    if (request_size + COOKIE_SIZE_MAX + 16 > SCRATCH_SIZE) fail(path);
}

static void options_read(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"request", 1, 0, 'r'}, {"connections", 1, 0, 'c'},
        {"depth", 1, 0, 'd'}, {"idle", 1, 0, 'i'}, {"churn", 0, 0, 'x'}, {"warmup", 1, 0, 'w'},
        {"seconds", 1, 0, 's'}, {"status", 1, 0, 'S'}, {"body", 1, 0, 'b'},
        {"cookies", 1, 0, 'k'}, {"step", 1, 0, 't'}, {0, 0, 0, 0}};
    const char *path = NULL, *cookies_path = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'r') path = optarg;
        else if (option == 'c') connections = atoi(optarg);
        else if (option == 'd') depth = atoi(optarg);
        else if (option == 'i') idle = atoi(optarg);
        else if (option == 'x') churn = 1;
        else if (option == 'w') warmup = atof(optarg);
        else if (option == 's') seconds = atof(optarg);
        else if (option == 'S') snprintf(status, sizeof status, "%s", optarg);
        else if (option == 'b') body_wanted = atoll(optarg);
        else if (option == 'k') cookies_path = optarg;
        else if (option == 't') step = atoi(optarg);
        else exit(2);
    }
    int counts_bad = connections < 1 || connections + idle > CONNECTIONS_MAX;
    int steps_bad = step >= 0 && !cookies_path;     /* counts are kept by cookie */
    if (!port || !path || counts_bad || steps_bad || depth < 1 || depth > DEPTH_MAX) {
        fprintf(stderr, "usage: load --port N --request FILE [--connections N] [--depth N]"
                        " [--idle N] [--churn] [--warmup S] [--seconds S] [--status N]"
                        " [--body BYTES] [--cookies FILE [--step N]]\n");
        exit(2);
    }
    request_load(path);
    if (cookies_path) cookies_load(cookies_path);
}

static void wait_for_line(void)
{
    char line[64];
    while (!fgets(line, sizeof line, stdin)) {
        if (feof(stdin) || errno != EINTR) exit(0);
        clearerr(stdin);
    }
}

static void lines_open(void)
{
    lines = calloc((size_t)(connections + idle), sizeof(line_t));
    poller = epoll_create1(0);
    if (!lines || poller < 0) fail("set-up");
    if (churn) return;
    /* The idle ones first: one that says nothing yet holds a thread of a server that has few. */
    idle_open();
    for (int i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
        event.data.u32 = (uint32_t)i;
        line_open(&lines[i]);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, lines[i].fd, &event) < 0) fail("epoll_ctl");
    }
}

static void result_print(double elapsed)
{
    for (char *at = error_text; *at; at++)      /* a quoted answer may hold anything */
        if (*at == '"' || *at == '\\' || *at < ' ' || *at > '~') *at = '\'';
    printf("{\"requests\": %llu, \"bytes\": %llu, \"errors\": %llu, \"seconds\": %.6f, "
           "\"answer_size\": %zu, \"idle_closed\": %u, \"message\": \"%s\"}\n",
           (unsigned long long)answers, (unsigned long long)answer_bytes,
           (unsigned long long)errors, elapsed, shape.head_size + shape.body_size,
           idle_closed_count(), error_text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    options_read(argc, argv);
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    struct itimerval second = {{1, 0}, {1, 0}};
    struct sigaction action = {.sa_handler = tick};     /* no SA_RESTART: recv must see a stall */
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &second, NULL);

    lines_open();
    void (*run)(double) = churn ? run_churn : run_loop;
    if (!errors) run(warmup);
    printf("ready\n");
    fflush(stdout);
    wait_for_line();

    answers = answer_bytes = 0;
    ticks_still = 0;
    double start = now();
    if (!errors) run(seconds);
    double elapsed = now() - start;
    result_print(elapsed);
    wait_for_line();
}
