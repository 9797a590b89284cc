# core/ident.pxi — ids that nobody can guess, and how a cookie carries them
#   Prefix: ident
#   Owns:  drawing an id, its form as text, comparing in constant time, the tag that marks it
#   Uses:  limits, vault
#   Never: whether a session has it
#   Holds: how long a comparison takes says nothing of where two ids differ

cdef enum:
    IDENT_PLACE_SIZE = 3               # bytes: the slot, masked
    IDENT_TAG_SIZE = 3                 # bytes; a guess passes for ours once in 16 million
    IDENT_WHOLE_SIZE = VAULT_ID_SIZE + IDENT_PLACE_SIZE + IDENT_TAG_SIZE
    IDENT_TEXT_SIZE = 40               # characters of that in base64url

cdef const char* IDENT_DIGITS = \
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# The bits of a digit, shifted to its place in a group of four; no digit: the highest bits.
cdef uint32_t ident_value[4][256]
cdef object ident_blake2b              # the function, once it was needed


cdef void ident_init() noexcept:
    cdef int i, place
    memset(ident_value, 0xFF, sizeof(ident_value))
    for place in range(4):
        for i in range(64):
            ident_value[place][<uint8_t>IDENT_DIGITS[i]] = <uint32_t>i << (18 - 6 * place)


ident_init()


cdef int ident_draw(uint8_t* into, size_t size) except -1:
    """Random bytes of the system's generator."""
    if getentropy(into, size) != 0:
        raise OSError(errno, "the system's random generator gave nothing")
    return 0


cdef inline uint64_t ident_key(const uint8_t* id) noexcept nogil:
    """What an id is searched by: its first 8 bytes as a number, most significant first."""
    cdef uint64_t key = 0
    cdef int i
    for i in range(8):
        key = key << 8 | id[i]
    return key


cdef inline bint ident_same(const uint8_t* a, const uint8_t* b) noexcept nogil:
    """All 24 bytes, in a time that does not depend on them."""
    cdef uint64_t x[3]
    cdef uint64_t y[3]
    memcpy(x, a, VAULT_ID_SIZE)
    memcpy(y, b, VAULT_ID_SIZE)
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0


cdef bint ident_same_text(const uint8_t* a, const uint8_t* b, size_t size) noexcept nogil:
    """The same for texts of equal size."""
    cdef uint8_t difference = 0
    cdef size_t i
    for i in range(size):
        difference |= a[i] ^ b[i]
    return difference == 0


cdef size_t ident_encode(const uint8_t* data, size_t size, char* into) noexcept nogil:
    """base64url of RFC 4648 §5 without padding, of a multiple of three bytes; gives its size."""
    cdef size_t i
    cdef uint32_t word
    ensure(size % 3 == 0)
    for i in range(size // 3):
        word = <uint32_t>data[3 * i] << 16 | <uint32_t>data[3 * i + 1] << 8 | data[3 * i + 2]
        into[4 * i] = IDENT_DIGITS[word >> 18]
        into[4 * i + 1] = IDENT_DIGITS[word >> 12 & 63]
        into[4 * i + 2] = IDENT_DIGITS[word >> 6 & 63]
        into[4 * i + 3] = IDENT_DIGITS[word & 63]
    return size // 3 * 4


cdef inline bint ident_decode(const uint8_t* text, size_t size, uint8_t* into) noexcept nogil:
    """Back, of a multiple of four characters; False: these are other characters."""
    cdef size_t i
    cdef uint32_t word
    cdef uint32_t strange = 0
    for i in range(size // 4):
        word = ident_value[0][text[4 * i]] | ident_value[1][text[4 * i + 1]] \
            | ident_value[2][text[4 * i + 2]] | ident_value[3][text[4 * i + 3]]
        strange |= word
        into[3 * i] = <uint8_t>(word >> 16)
        into[3 * i + 1] = <uint8_t>(word >> 8)
        into[3 * i + 2] = <uint8_t>word
    return strange >> 24 == 0


cdef inline uint32_t ident_mask(const vault_t* v, const uint8_t* id) noexcept nogil:
    """24 bits that hide the slot, for nobody needs to know how many sessions there are."""
    return <uint32_t>(((ident_key(id) ^ v.place_salt) * <uint64_t>0x9E3779B97F4A7C15) >> 40)


cdef inline uint32_t ident_place(const vault_t* v, const uint8_t* whole) noexcept nogil:
    """The slot that the cookie says, where the session surely was when it was made: it is found
    without a search, and what it holds can be fetched while the handler is. A hint: the id decides,
    and the index knows better."""
    cdef const uint8_t* place = whole + VAULT_ID_SIZE
    return (<uint32_t>place[0] << 16 | <uint32_t>place[1] << 8 | place[2]) ^ ident_mask(v, whole)


cdef int ident_open(vault_t* v) except -1:
    """Derives from the key what hides slots, and what browsers are told apart by."""
    cdef bytes salt = ident_hash(v, b"place", 8)
    memcpy(&v.place_salt, PyBytes_AS_STRING(salt), 8)
    salt = ident_hash(v, b"agent", 8)
    memcpy(&v.agent_salt, PyBytes_AS_STRING(salt), 8)
    return 0


cdef bytes ident_tag(const vault_t* v, const uint8_t* whole):
    """What only the holder of the key can put behind an id and its place."""
    return ident_hash(v, whole[:VAULT_ID_SIZE + IDENT_PLACE_SIZE], IDENT_TAG_SIZE)


cdef bytes ident_hash(const vault_t* v, bytes data, int size):
    """BLAKE2b, RFC 7693, keyed."""
    global ident_blake2b
    if ident_blake2b is None:
        from nodepp.library import library
        try:                           # hashlib would load OpenSSL too: 4 ms
            ident_blake2b = library("_blake2").blake2b
        except ImportError:
            ident_blake2b = library("hashlib").blake2b
    return ident_blake2b(data, digest_size=size, key=v.secret[:VAULT_KEY_SIZE]).digest()


cdef bytes ident_text(const vault_t* v, const uint8_t* id, uint32_t slot):
    """An id with its place and its tag, as a cookie has it."""
    cdef uint8_t whole[IDENT_WHOLE_SIZE]
    cdef char text[IDENT_TEXT_SIZE]
    cdef uint32_t place = slot ^ ident_mask(v, id)
    cdef bytes tag
    memcpy(whole, id, VAULT_ID_SIZE)
    whole[VAULT_ID_SIZE] = <uint8_t>(place >> 16)
    whole[VAULT_ID_SIZE + 1] = <uint8_t>(place >> 8)
    whole[VAULT_ID_SIZE + 2] = <uint8_t>place
    tag = ident_tag(v, whole)
    memcpy(whole + VAULT_ID_SIZE + IDENT_PLACE_SIZE, PyBytes_AS_STRING(tag), IDENT_TAG_SIZE)
    ident_encode(whole, IDENT_WHOLE_SIZE, text)
    return text[:IDENT_TEXT_SIZE]


cdef bint ident_is_ours(const vault_t* v, const uint8_t* text, size_t size) except -1:
    """Was this cookie made with our key, whether or not its session still lives?"""
    cdef uint8_t whole[IDENT_WHOLE_SIZE]
    cdef bytes tag
    if size != IDENT_TEXT_SIZE or not ident_decode(text, size, whole):
        return False
    tag = ident_tag(v, whole)
    return ident_same_text(<const uint8_t*>PyBytes_AS_STRING(tag),
                           whole + VAULT_ID_SIZE + IDENT_PLACE_SIZE, IDENT_TAG_SIZE)
