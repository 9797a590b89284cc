/* limit: what the kernel alone costs.
 *
 *   limit --port N --answer FILE [--body BYTES] [--close]
 *
 * A bare epoll loop that every figure of the benchmark is divided by. It does what no server can
 * leave out and nothing else: one recv, a search for the end of each head, one send of as many
 * bytes as nodepp sends for that request. It does not parse, route, call a handler, look at the
 * clock or make a head: FILE holds one complete answer, recorded from nodepp, and is sent as it is.
 * --body says how many bytes follow each request head (the method is not looked at); --close ends
 * each connection after its answer, for the churn workload.
 *
 * Where there was a choice it took the cheaper one: edge-triggered interest, for no socket is polled
 * a second time after it was read (pipelined 4 % less CPU, hello the same); with --close a recv
 * directly after accept, for the request has often arrived (8 % less); no epoll_ctl unless a send
 * fell short.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 512          /* per turn; more only delays the rest to the next turn */
#define SCRATCH_SIZE (64 * 1024)
#define ANSWERS_MAX 64          /* pipelined answers in one send; deeper takes several */
#define DESCRIPTORS_MAX 20480   /* table size; a descriptor beyond it is closed at once */

typedef struct {
    char *spill;                /* an incomplete request, until its rest arrives */
    unsigned spill_size;
    unsigned answers_owed;      /* complete requests not yet answered because the socket was full */
    unsigned waiting;           /* interest in writability is on */
    size_t answer_sent;         /* bytes of the first owed answer that are out */
} peer_t;

static peer_t peers[DESCRIPTORS_MAX];
static char scratch[SCRATCH_SIZE];
static char *answers;           /* ANSWERS_MAX copies, so that a pipeline leaves in one send */
static size_t answer_size, body_size;
static int poller, closing;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads the recorded answer and lays its copies end to end. */
static void answer_load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    answer_size = (size_t)ftell(file);
    rewind(file);
    answers = malloc(answer_size * ANSWERS_MAX);
    if (!answers || !answer_size || fread(answers, 1, answer_size, file) != answer_size) fail(path);
    fclose(file);
    for (int copy = 1; copy < ANSWERS_MAX; copy++)
        memcpy(answers + copy * answer_size, answers, answer_size);
}

static void peer_close(int fd)
{
    free(peers[fd].spill);
    memset(&peers[fd], 0, sizeof(peer_t));
    close(fd);
}

static void peer_subscribe(int fd, int writable)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
    if (writable) event.events |= EPOLLOUT;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) < 0) fail("epoll_ctl");
    peers[fd].waiting = (unsigned)writable;
}

/* Sends what is owed; interest in writability is asked only when the socket is full. */
static void peer_send(int fd)
{
    peer_t *peer = &peers[fd];
    while (peer->answers_owed) {
        unsigned count = peer->answers_owed < ANSWERS_MAX ? peer->answers_owed : ANSWERS_MAX;
        size_t left = count * answer_size - peer->answer_sent;
        ssize_t sent = send(fd, answers + peer->answer_sent, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) sent = 0;
        if (sent < 0) { peer_close(fd); return; }
        size_t out = peer->answer_sent + (size_t)sent;
        peer->answers_owed -= (unsigned)(out / answer_size);
        peer->answer_sent = out % answer_size;
        if (out < count * answer_size) {
            if (!peer->waiting) peer_subscribe(fd, 1);
            return;
        }
    }
    if (peer->waiting) peer_subscribe(fd, 0);
    if (closing) peer_close(fd);
}

/* Keeps the beginning of a request whose rest has not arrived. Rare: one is one packet here. */
static void peer_spill(peer_t *peer, const char *data, size_t size)
{
    if (!peer->spill && !(peer->spill = malloc(SCRATCH_SIZE))) fail("malloc");
    memcpy(peer->spill, data, size);
    peer->spill_size = (unsigned)size;
}

/* One recv, a search for each head's end, one send.
 * 1: something was read or the peer is gone; 0: nothing was there. */
static int peer_read(int fd)
{
    peer_t *peer = &peers[fd];
    size_t have = peer->spill_size;
    if (have) memcpy(scratch, peer->spill, have);
    ssize_t got = recv(fd, scratch + have, SCRATCH_SIZE - have, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) { peer_close(fd); return 1; }

    char *at = scratch, *end = scratch + have + got, *head_end;
    while ((head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))
           && (size_t)(end - head_end) >= 4 + body_size) {
        at = head_end + 4 + body_size;
        peer->answers_owed++;
    }
    peer->spill_size = 0;
    if (at < end) peer_spill(peer, at, (size_t)(end - at));
    if (peer->answers_owed) peer_send(fd);
    return 1;
}

static void listener_accept(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        if (fd >= DESCRIPTORS_MAX) { close(fd); continue; }
        /* With --close a connection's whole life may be over here; epoll never hears of it. */
        if (closing && peer_read(fd) && !peers[fd].answers_owed && !peers[fd].spill_size) continue;
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
}

static int listener_open(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, 4096) < 0) fail("listen");
    return fd;
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN, .data.fd = listener};
    poller = epoll_create1(0);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) listener_accept(listener);
            else if (peers[fd].answers_owed) peer_send(fd);
            else peer_read(fd);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"answer", 1, 0, 'a'}, {"body", 1, 0, 'b'}, {"close", 0, 0, 'c'},
        {0, 0, 0, 0}};
    int port = 0, option;
    const char *answer = NULL;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'a') answer = optarg;
        else if (option == 'b') body_size = strtoul(optarg, NULL, 10);
        else if (option == 'c') closing = 1;
        else return 2;
    }
    if (!port || !answer || body_size > SCRATCH_SIZE / 2) {
        fprintf(stderr, "usage: limit --port N --answer FILE [--body BYTES] [--close]\n");
        return 2;
    }
    struct rlimit descriptors = {DESCRIPTORS_MAX - 1, DESCRIPTORS_MAX - 1};
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    answer_load(answer);
    serve(listener_open(port));
}
