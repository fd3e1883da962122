# The heads of MessagePack objects: how the binding writes and reads the values that it encodes itself.
#
# Plain functions on bytes, without Python objects. What a head is followed by (text, bytes, array data) is
# moved by the caller, once.

cdef enum:
    HEAD_MAX = 9        # bytes of the longest head (and of the longest number)
    ARRAY_EXT = 1       # MessagePack ext code of an array
    ARRAY_HEAD = 12     # bytes before an array's shape
    ARRAY_ALIGN = 64
    ARRAY_NDIM_MAX = 64
    ARRAY_DATA_MAX = 65472  # the largest offset of an array's data

cdef enum kind_t:
    KIND_OTHER = 0      # the codec's
    KIND_NONE
    KIND_FALSE
    KIND_TRUE
    KIND_INT
    KIND_UINT           # above int64
    KIND_FLOAT
    KIND_STR
    KIND_BYTES
    KIND_ARRAY

cdef struct head_t:
    kind_t kind
    size_t size         # bytes of the head; the rest of the value is what it announces
    int64_t i
    uint64_t u
    double f


cdef inline void store_be(uint8_t *to, uint64_t word, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        to[i] = <uint8_t>(word >> (8 * (count - 1 - i)))


cdef inline uint64_t load_be(const uint8_t *data, int count) noexcept nogil:
    cdef uint64_t word = 0
    cdef int i
    for i in range(count):
        word = word << 8 | data[i]
    return word


cdef inline size_t write_int(uint8_t *to, int64_t i) noexcept nogil:
    if i >= 0:
        if i < 0x80:
            to[0] = <uint8_t>i
            return 1
        if i < 0x100:
            to[0] = 0xCC
            to[1] = <uint8_t>i
            return 2
        if i < 0x10000:
            to[0] = 0xCD
            store_be(to + 1, <uint64_t>i, 2)
            return 3
        if i < 0x100000000LL:
            to[0] = 0xCE
            store_be(to + 1, <uint64_t>i, 4)
            return 5
        to[0] = 0xCF
        store_be(to + 1, <uint64_t>i, 8)
        return 9
    if i >= -32:
        to[0] = <uint8_t>i
        return 1
    if i >= -0x80:
        to[0] = 0xD0
        to[1] = <uint8_t>i
        return 2
    if i >= -0x8000:
        to[0] = 0xD1
        store_be(to + 1, <uint64_t>i, 2)
        return 3
    if i >= -0x80000000LL:
        to[0] = 0xD2
        store_be(to + 1, <uint64_t>i, 4)
        return 5
    to[0] = 0xD3
    store_be(to + 1, <uint64_t>i, 8)
    return 9


cdef inline size_t write_float(uint8_t *to, double f) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, &f, 8)
    to[0] = 0xCB
    store_be(to + 1, word, 8)
    return 9


cdef inline size_t write_sized(uint8_t *to, uint8_t code8, size_t n) noexcept nogil:
    """str8 or bin8 and the two codes that follow it, for n bytes."""
    if n < 0x100:
        to[0] = code8
        to[1] = <uint8_t>n
        return 2
    if n < 0x10000:
        to[0] = code8 + 1
        store_be(to + 1, n, 2)
        return 3
    to[0] = code8 + 2
    store_be(to + 1, n, 4)
    return 5


cdef inline size_t write_count(uint8_t *to, uint8_t fix, uint8_t code16, size_t n) noexcept nogil:
    """The head of an array or a map of n items."""
    if n < 16:
        to[0] = <uint8_t>(fix | n)
        return 1
    if n < 0x10000:
        to[0] = code16
        store_be(to + 1, n, 2)
        return 3
    to[0] = code16 + 1
    store_be(to + 1, n, 4)
    return 5


cdef inline size_t write_str(uint8_t *to, size_t n) noexcept nogil:
    if n < 32:
        to[0] = <uint8_t>(0xA0 | n)
        return 1
    return write_sized(to, 0xD9, n)


cdef inline size_t write_bytes(uint8_t *to, size_t n) noexcept nogil:
    return write_sized(to, 0xC4, n)


cdef inline void read_head(const uint8_t *p, size_t have, uint64_t size, head_t *out) noexcept nogil:
    """What a value of `size` bytes is, by the first `have` of them (at least HEAD_MAX, or all).

    Anything but one whole object of a known kind is KIND_OTHER, for the codec to read or to refuse.
    """
    cdef uint8_t code
    cdef uint32_t word4
    cdef float single
    cdef uint64_t word
    cdef int length = 0
    out.kind = KIND_OTHER
    out.size = 0
    if have == 0:
        return
    code = p[0]
    if 0xA0 <= code <= 0xBF:
        if size == 1 + <uint64_t>(code & 0x1F):
            out.kind = KIND_STR
            out.size = 1
        return
    if 0xD9 <= code <= 0xDB or 0xC4 <= code <= 0xC6:
        length = 1 << (code - 0xD9 if code >= 0xD9 else code - 0xC4)
        if have > <size_t>length and size == 1 + length + load_be(p + 1, length):
            out.kind = KIND_STR if code >= 0xD9 else KIND_BYTES
            out.size = 1 + length
        return
    if code <= 0x7F or code >= 0xE0:
        if size == 1:
            out.kind = KIND_INT
            out.i = <int8_t>code
        return
    if 0xCC <= code <= 0xD3:
        length = 1 << (code & 3)
        if size != 1 + <uint64_t>length or have < size:
            return
        word = load_be(p + 1, length)
        out.kind = KIND_INT
        if code == 0xCF and word > 0x7FFFFFFFFFFFFFFFULL:
            out.kind = KIND_UINT
            out.u = word
        elif code < 0xD0 or code == 0xD3:
            out.i = <int64_t>word
        elif code == 0xD0:
            out.i = <int8_t>word
        elif code == 0xD1:
            out.i = <int16_t>word
        else:
            out.i = <int32_t>word
        return
    if code == 0xCB and size == 9 and have >= 9:
        word = load_be(p + 1, 8)
        memcpy(&out.f, &word, 8)
        out.kind = KIND_FLOAT
    elif code == 0xCA and size == 5 and have >= 5:
        word4 = <uint32_t>load_be(p + 1, 4)
        memcpy(&single, &word4, 4)
        out.f = single
        out.kind = KIND_FLOAT
    elif code == 0xC9 and have >= ARRAY_HEAD and p[5] == ARRAY_EXT and size == 6 + load_be(p + 1, 4):
        out.kind = KIND_ARRAY
        out.size = <size_t>p[10] | <size_t>p[11] << 8
    elif size == 1:
        if code == 0xC0:
            out.kind = KIND_NONE
        elif code == 0xC2:
            out.kind = KIND_FALSE
        elif code == 0xC3:
            out.kind = KIND_TRUE


cdef extern from *:
    """
    /* Whether no byte has its highest bit set. Words overlap at the end instead of a loop over the last bytes. */
    static inline int all_ascii(const uint8_t *p, size_t n)
    {
        uint64_t word, last, seen = 0;
        uint32_t half, end;
        if (n >= 8) {
            memcpy(&last, p + n - 8, 8);
            size_t i = 0;
            for (; i + 32 <= n; i += 32) {
                uint64_t four[4];
                memcpy(four, p + i, 32);
                seen |= four[0] | four[1] | four[2] | four[3];
            }
            for (; i + 8 < n; i += 8) {
                memcpy(&word, p + i, 8);
                seen |= word;
            }
            return ((seen | last) & 0x8080808080808080ull) == 0;
        }
        if (n >= 4) {
            memcpy(&half, p, 4);
            memcpy(&end, p + n - 4, 4);
            return ((half | end) & 0x80808080u) == 0;
        }
        for (size_t i = 0; i < n; i++)
            seen |= p[i];
        return (seen & 0x80) == 0;
    }
    """
    bint all_ascii(const uint8_t *p, size_t n) noexcept nogil
