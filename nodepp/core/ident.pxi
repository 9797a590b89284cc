# core/ident.pxi — ids that nobody can guess, and how a cookie carries them
#   Owns:  drawing an id, its form as text, comparing in constant time, the tag that marks it
#   Uses:  limits, vault
#   Never: whether a session has it
#   Holds: how long a comparison takes says nothing of where two ids differ

cdef enum:
    IDENT_TAG_SIZE = 6                 # bytes; a guess passes for ours once in 2.8e14
    IDENT_TEXT_SIZE = 40               # characters: 24 bytes of id and 6 of tag in base64url

cdef const char* IDENT_DIGITS = \
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
cdef uint8_t ident_value[256]          # of a digit; 64: it is none
cdef object ident_blake2b              # hashlib's, once it was needed


cdef void ident_init() noexcept:
    cdef int i
    memset(ident_value, 64, sizeof(ident_value))
    for i in range(64):
        ident_value[<uint8_t>IDENT_DIGITS[i]] = <uint8_t>i


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


cdef bint ident_decode(const uint8_t* text, size_t size, uint8_t* into) noexcept nogil:
    """Back, of a multiple of four characters; False: these are other characters."""
    cdef size_t i
    cdef uint32_t word
    cdef uint8_t strange = 0
    cdef uint8_t a, b, c, d
    for i in range(size // 4):
        a = ident_value[text[4 * i]]
        b = ident_value[text[4 * i + 1]]
        c = ident_value[text[4 * i + 2]]
        d = ident_value[text[4 * i + 3]]
        strange |= a | b | c | d
        word = <uint32_t>a << 18 | <uint32_t>b << 12 | <uint32_t>c << 6 | d
        into[3 * i] = <uint8_t>(word >> 16)
        into[3 * i + 1] = <uint8_t>(word >> 8)
        into[3 * i + 2] = <uint8_t>word
    return strange & 64 == 0


cdef bytes ident_tag(const vault_t* v, const uint8_t* id):
    """What only the holder of the key can put behind an id: BLAKE2b, RFC 7693, keyed."""
    global ident_blake2b
    if ident_blake2b is None:
        try:                           # hashlib would load OpenSSL too: 4 ms
            from _blake2 import blake2b
        except ImportError:
            from hashlib import blake2b
        ident_blake2b = blake2b
    return ident_blake2b(id[:VAULT_ID_SIZE], digest_size=IDENT_TAG_SIZE,
                         key=v.secret[:VAULT_KEY_SIZE]).digest()


cdef bytes ident_text(const vault_t* v, const uint8_t* id):
    """An id with its tag, as a cookie has it."""
    cdef uint8_t whole[VAULT_ID_SIZE + IDENT_TAG_SIZE]
    cdef char text[IDENT_TEXT_SIZE]
    cdef bytes tag = ident_tag(v, id)
    memcpy(whole, id, VAULT_ID_SIZE)
    memcpy(whole + VAULT_ID_SIZE, PyBytes_AS_STRING(tag), IDENT_TAG_SIZE)
    ident_encode(whole, VAULT_ID_SIZE + IDENT_TAG_SIZE, text)
    return text[:IDENT_TEXT_SIZE]


cdef bint ident_is_ours(const vault_t* v, const uint8_t* text, size_t size) except -1:
    """Was this cookie made with our key, whether or not its session still lives?"""
    cdef uint8_t whole[VAULT_ID_SIZE + IDENT_TAG_SIZE]
    cdef bytes tag
    if size != IDENT_TEXT_SIZE or not ident_decode(text, size, whole):
        return False
    tag = ident_tag(v, whole)
    return ident_same_text(<const uint8_t*>PyBytes_AS_STRING(tag), whole + VAULT_ID_SIZE,
                           IDENT_TAG_SIZE)
