# core/transport.pxi — bytes in and out of a socket
#   Prefix: transport
#   Owns:  accept, recv, send, sendfile, close, and what their failures mean
#   Uses:  limits, trouble, fork, memory
#   Never: HTTP; which slot a socket belongs to
#   Holds: no call here blocks or raises a signal

cdef enum:                             # outcomes, below 0: sizes are 0 and above
    TRANSPORT_CLOSED = -1              # the peer has gone, in whatever way
    TRANSPORT_AGAIN = -2               # nothing now; ask the poller
    TRANSPORT_EXHAUSTED = -3           # accept: no descriptors or memory left on this machine
    TRANSPORT_BROKEN = -6              # accept: this listener will never accept again
    # With TLS these two will be met as well; the loop already treats them as outcomes:
    TRANSPORT_WANTS_READ = -4          # reading must come before this write can go on
    TRANSPORT_PENDING = -5             # decrypted bytes lie ready though the socket is silent

cdef struct peer_t:
    uint8_t family
    uint16_t port                      # host order
    uint8_t address[16]                # network order; 4 bytes for AF_INET

cdef fault_t transport_recv_fault      # the tests arm them
cdef fault_t transport_send_fault
cdef fault_t transport_accept_fault
cdef size_t transport_send_limit       # bytes one send may pass; 0: no limit. For the tests


cdef int transport_accept(int listener, peer_t* peer) noexcept nogil:
    """A connected descriptor, non-blocking and closed on exec, or a transport_outcome."""
    cdef sockaddr_storage address
    cdef socklen_t size = sizeof(address)
    cdef int fd
    if fault_strikes(&transport_accept_fault):
        fd = -1
        transport_set_errno(transport_accept_fault.number)
    else:
        fd = accept4(listener, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if fd >= 0:
        transport_read_peer(&address, peer)
        return fd
    if errno == EMFILE or errno == ENFILE or errno == ENOBUFS or errno == ENOMEM:
        return TRANSPORT_EXHAUSTED
    if errno == EAGAIN or errno == EWOULDBLOCK:
        return TRANSPORT_AGAIN
    if errno == EBADF or errno == EINVAL or errno == ENOTSOCK or errno == EOPNOTSUPP:
        return TRANSPORT_BROKEN
    # ECONNABORTED, EINTR, a network error that was waiting: that peer only, RFC of accept(2).
    return TRANSPORT_CLOSED


cdef extern from *:
    """
    #define transport_set_errno(number) (errno = (number))
    """
    void transport_set_errno(int number) noexcept nogil


cdef void transport_read_peer(const sockaddr_storage* address, peer_t* peer) noexcept nogil:
    """An IPv4 peer of a dual-stack listener is given as IPv4."""
    cdef const sockaddr_in* four = <const sockaddr_in*>address
    cdef const sockaddr_in6* six = <const sockaddr_in6*>address
    cdef const char* mapped = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"
    memset(peer, 0, sizeof(peer_t))
    peer.family = <uint8_t>AF_UNIX
    if address.ss_family == AF_INET:
        peer.family = <uint8_t>AF_INET
        peer.port = ntohs(four.sin_port)
        memcpy(peer.address, &four.sin_addr, 4)
    elif address.ss_family == AF_INET6:
        peer.port = ntohs(six.sin6_port)
        if memcmp(&six.sin6_addr, mapped, 12) == 0:
            peer.family = <uint8_t>AF_INET
            memcpy(peer.address, six.sin6_addr.s6_addr + 12, 4)
        else:
            peer.family = <uint8_t>AF_INET6
            memcpy(peer.address, &six.sin6_addr, 16)


cdef inline ssize_t transport_recv(int fd, void* into, size_t size) noexcept nogil:
    """Bytes received (at least 1), or TRANSPORT_AGAIN or TRANSPORT_CLOSED; errno tells an end of
    input (0) from a failure."""
    cdef ssize_t count
    if fault_strikes(&transport_recv_fault):
        count = -1
        transport_set_errno(transport_recv_fault.number)
    else:
        count = recv(fd, into, size, 0)
    if likely_(count > 0):
        return count
    if count == 0:
        transport_set_errno(0)
        return TRANSPORT_CLOSED
    if errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR:
        return TRANSPORT_AGAIN
    return TRANSPORT_CLOSED


cdef ssize_t transport_send(int fd, iovec* pieces, int count, size_t size,
                            bint more) noexcept nogil:
    """Sends what the socket takes of `count` pieces of `size` bytes in all: bytes sent, or
    TRANSPORT_AGAIN or TRANSPORT_CLOSED. `more`: something follows at once, wait for it."""
    cdef ssize_t sent
    cdef msghdr message
    if unlikely_(transport_send_fault.countdown != 0 or transport_send_limit != 0):
        sent = transport_send_hampered(fd, pieces, size)
    elif count == 1:
        # Fast path: removing it changes no answer. A header less to copy into the kernel.
        sent = send(fd, pieces[0].iov_base, pieces[0].iov_len,
                    MSG_NOSIGNAL | (MSG_MORE if more else 0))
    else:
        memset(&message, 0, sizeof(message))
        message.msg_iov = pieces
        message.msg_iovlen = count
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | (MSG_MORE if more else 0))
    if likely_(sent >= 0):
        return sent
    if errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR:
        return TRANSPORT_AGAIN
    return TRANSPORT_CLOSED


cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/sendfile.h>
    #define transport_sendfile(fd, file, offset, size) sendfile(fd, file, offset, size)
    #else
    /* Elsewhere sendfile has other arguments and meanings: through a buffer. */
    static ssize_t transport_sendfile(int fd, int file, off_t *offset, size_t size) {
        static char buffer[65536];
        ssize_t count = pread(file, buffer, size < sizeof(buffer) ? size : sizeof(buffer), *offset);
        return count <= 0 ? count : send(fd, buffer, count, MSG_NOSIGNAL);
    }
    #endif
    """
    ssize_t transport_sendfile(int fd, int file, off_t* offset, size_t size) nogil


cdef ssize_t transport_send_file(int fd, int file, uint64_t offset, size_t size) noexcept nogil:
    """Sends of a file what the socket takes: bytes sent, or TRANSPORT_AGAIN or TRANSPORT_CLOSED,
    also when the file has fewer bytes than that."""
    cdef off_t at = <off_t>offset
    cdef ssize_t sent
    if fault_strikes(&transport_send_fault):
        if transport_send_fault.number != 0:
            sent = -1
            transport_set_errno(transport_send_fault.number)
        else:
            sent = transport_sendfile(fd, file, &at, 1)
    else:
        if transport_send_limit and size > transport_send_limit:
            size = transport_send_limit
        sent = transport_sendfile(fd, file, &at, size)
    if likely_(sent > 0):
        return sent
    if sent < 0 and (errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR):
        return TRANSPORT_AGAIN
    if sent < 0 and errno == EIO:
        trouble_note(TROUBLE_READ, EIO)    # the disk's failure; a peer's has other numbers
    return TRANSPORT_CLOSED


cdef ssize_t transport_send_hampered(int fd, iovec* pieces, size_t size) noexcept nogil:
    """What a slow or failing network does, for the tests: the first piece only, and part of it."""
    cdef size_t allowed = pieces[0].iov_len
    if fault_strikes(&transport_send_fault):
        if transport_send_fault.number != 0:
            transport_set_errno(transport_send_fault.number)
            return -1
        allowed = 1
    if transport_send_limit and allowed > transport_send_limit:
        allowed = transport_send_limit
    return send(fd, pieces[0].iov_base, allowed, MSG_NOSIGNAL)


cdef inline void transport_close(int fd) noexcept nogil:
    """Ends a connection. A child may still hold a copy of its descriptor, and the peer would wait
    for the end as long as that lives: shutdown ends all copies."""
    if unlikely_(fork_parted):
        shutdown(fd, SHUT_RDWR)
    posix_close(fd)


cdef void transport_send_once(int fd, const char* text, size_t size) noexcept nogil:
    """A last word to a peer that gets no slot: sent if the socket takes it, else not."""
    cdef char input[4096]
    cdef int i
    # Input that lies unread would turn the close into a reset that overtakes the answer.
    for i in range(16):
        if recv(fd, input, sizeof(input), MSG_DONTWAIT) != sizeof(input):
            break
    send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT)
    shutdown(fd, SHUT_WR)
    posix_close(fd)


cdef str transport_peer_text(int family, const uint8_t* address):
    """The peer's IP address as text; "" for a unix socket."""
    cdef char text[64]
    if family == AF_UNIX or inet_ntop(family, address, text, sizeof(text)) == NULL:
        return ""
    return text.decode("ascii")
