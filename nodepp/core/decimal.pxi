# core/decimal.pxi — which digits has this double?
#   Prefix: decimal
#   Owns:  doubles of everyday size → decimal digits, rounded exactly
#   Uses:  scan
#   Never: Python objects, signs
#   Holds: the digits are those of Python's "%.*f", which rounds the exact binary value half to even

cdef enum:
    DECIMAL_PRECISION_MAX = 9   # digits after the point; more: not for this room
    DECIMAL_SIZE_MAX = 24       # bytes written at most: ten digits, the point, nine digits


cdef extern from *:
    """
    #include <math.h>
    typedef unsigned __int128 decimal_wide_t;

    /* value * 10**precision as an integer. A double is m / 2**shift with m below 2**53, so the
       product is below 2**83: it fits in 128 bits, and rounding is one comparison. 0: not done,
       for the value is negative, 1e9 or more, or no number. */
    static int decimal_scale(double value, int precision, uint64_t *scaled) {
        static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
                                         100000000, 1000000000};
        int exponent, shift;
        double fraction;
        decimal_wide_t product, half, rest;
        uint64_t whole;
        if (!(value >= 0 && value < 1e9))
            return 0;
        fraction = frexp(value, &exponent);     /* value = fraction * 2**exponent */
        shift = 53 - exponent;                  /* 23 at least, for the value is below 2**30 */
        if (shift > 120) {                      /* the value is below 2**-67: 0 at any precision */
            *scaled = 0;
            return 1;
        }
        product = (decimal_wide_t)(uint64_t)ldexp(fraction, 53) * power[precision];
        half = (decimal_wide_t)1 << (shift - 1);
        rest = product & ((half << 1) - 1);
        whole = (uint64_t)(product >> shift);
        *scaled = whole + (rest > half || (rest == half && (whole & 1)));
        return 1;
    }
    """
    bint decimal_scale(double value, int precision, uint64_t* scaled) noexcept nogil
    double fabs(double value) noexcept nogil
    bint signbit(double value) noexcept nogil


cdef int decimal_write(char* into, double value, int precision) noexcept nogil:
    """Writes `value` with `precision` digits after the point (DECIMAL_SIZE_MAX bytes at most) and
    gives the size. 0: this room cannot; PyOS_double_to_string() can, in 150 ns instead of 15."""
    cdef char digits[32]
    cdef const char* first
    cdef uint64_t scaled
    cdef int size, whole_size
    if precision > DECIMAL_PRECISION_MAX or not decimal_scale(value, precision, &scaled):
        return 0
    # Zeros in front, of which as many are used as bring a digit before the point.
    memset(digits, c'0', 10)
    size = 10 + scan_write_decimal(digits + 10, scaled)
    whole_size = max(1, size - 10 - precision)
    first = digits + size - precision - whole_size
    memcpy(into, first, whole_size)
    if precision == 0:
        return whole_size
    into[whole_size] = c'.'
    memcpy(into + whole_size + 1, first + whole_size, precision)
    return whole_size + 1 + precision
