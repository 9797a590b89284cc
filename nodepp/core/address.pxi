# core/address.pxi — is this peer on a list?
#   Prefix: address
#   Owns:  addresses as 16 bytes, IPv4 among them; class AddressList; the lists in force
#   Uses:  transport
#   Never: reading a file; what becomes of a peer
#   Holds: the ranges of a list rise and do not touch

cdef struct address_t:                 # an address as a number; IPv4 is ::ffff:a.b.c.d
    uint64_t high
    uint64_t low

cdef struct address_range_t:
    address_t first
    address_t last

cdef AddressList address_black         # None: there is none
cdef AddressList address_white


cdef inline bint address_above(const address_t* a, const address_t* b) noexcept nogil:
    return a.high > b.high or a.high == b.high and a.low > b.low


cdef void address_read(const uint8_t* bytes_, address_t* into) noexcept nogil:
    """Of 16 bytes in network order."""
    cdef int i
    into.high = into.low = 0
    for i in range(8):
        into.high = into.high << 8 | bytes_[i]
        into.low = into.low << 8 | bytes_[8 + i]


cdef bint address_of(uint8_t family, const uint8_t* peer, address_t* into) noexcept nogil:
    """Of a peer as a connection has it; False: it has none, over a unix socket."""
    cdef uint8_t whole[16]
    if family == AF_INET:
        memset(whole, 0, 10)
        whole[10] = whole[11] = 0xFF
        memcpy(whole + 12, peer, 4)
        address_read(whole, into)
        return True
    if family == AF_INET6:
        address_read(peer, into)
        return True
    return False


cdef bint address_is_loopback(const address_t* address) noexcept nogil:
    """127.0.0.0/8, or ::1."""
    if address.high:
        return False
    return address.low == 1 or address.low >> 24 == 0xFFFF7F


@cython.final
@cython.no_gc
cdef class AddressList:
    """Addresses and networks, immutable: `"192.0.2.7" in list`.

    ranges: (first, last) address of each, 16 bytes in network order, IPv4 as ::ffff:a.b.c.d;
    they may overlap. ValueError: not 16 bytes, or the last is below the first.
    """
    cdef address_range_t* ranges
    cdef Py_ssize_t count

    def __init__(self, ranges):
        cdef address_range_t* range_
        pairs = sorted([(bytes(first), bytes(last)) for first, last in ranges])
        if self.ranges != NULL:
            raise RuntimeError("an AddressList is filled once")
        self.ranges = <address_range_t*>calloc(len(pairs) + 1, sizeof(address_range_t))
        if self.ranges == NULL:
            raise MemoryError("no room for a list of addresses")
        end = None
        for first, last in pairs:
            if len(first) != 16 or len(last) != 16 or last < first:
                raise ValueError(f"{first!r} to {last!r} is no range of addresses")
            if end is not None and int.from_bytes(first, "big") <= end + 1:
                range_ = &self.ranges[self.count - 1]
                if int.from_bytes(last, "big") <= end:
                    continue
            else:
                range_ = &self.ranges[self.count]
                self.count += 1
                address_read(<const uint8_t*>PyBytes_AS_STRING(first), &range_.first)
            address_read(<const uint8_t*>PyBytes_AS_STRING(last), &range_.last)
            end = int.from_bytes(last, "big")

    def __dealloc__(self):
        free(self.ranges)

    def __contains__(self, ip):
        cdef peer_t peer
        cdef address_t address
        address_parse(ip, &peer)
        address_of(peer.family, peer.address, &address)
        return address_is_on(self, &address)

    def __len__(self):
        """How many ranges are left after merging."""
        return self.count


cdef int address_parse(ip, peer_t* peer) except -1:
    """An address as text. ValueError: it is none."""
    text = ip.encode("ascii", "replace") if isinstance(ip, str) else b""
    peer.family = <uint8_t>AF_INET
    if inet_pton(AF_INET, text, peer.address) != 1:
        peer.family = <uint8_t>AF_INET6
        if inet_pton(AF_INET6, text, peer.address) != 1:
            raise ValueError(f"{ip!r} is not an IP address")
    return 0


cdef bint address_is_on(AddressList addresses, const address_t* address) noexcept nogil:
    """Binary search for the last range that does not begin above it."""
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = addresses.count
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if address_above(&addresses.ranges[middle].first, address):
            high = middle
        else:
            low = middle + 1
    return low > 0 and not address_above(address, &addresses.ranges[low - 1].last)


cdef bint address_is_welcome(const address_t* address) noexcept:
    """Is it on the white list?"""
    return address_white is not None and address_is_on(address_white, address)
