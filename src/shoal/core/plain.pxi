# Plain containers: lists, and dicts with text for keys, of None, bool, int, float, str, bytes and each other.
#
# Most values of programs are these, and the codec takes a multiple of the time. What this meets of anything else (a tuple,
# an array, an int of more than 64 bits, a subclass, deep nesting) is left to the codec as a whole: it writes the same bytes.

cdef enum:
    PLAIN_DEPTH = 24        # containers inside one another; more are the codec's
    NAMES = 512             # keys of dicts that are remembered, each in one of two places
    NAME_MAX = 40           # bytes of such a key
    PRESIZED = 1024         # entries of a dict that get room at once: damaged bytes may promise any number

cdef struct packer_t:
    PyObject *block         # a bytes object
    uint8_t *at
    uint8_t *end

# Keys of dicts come again and again: of the same bytes, the same str, whose hash is known already.
cdef struct name_t:
    uint64_t first          # its first eight bytes
    uint64_t last           # and its last, if it has more
    size_t size
    PyObject *text

cdef name_t _names[NAMES]


cdef bint _reserve(packer_t *p, size_t n) except -1:
    """See to it that n bytes more have room."""
    cdef size_t used
    cdef Py_ssize_t size
    if n <= <size_t>(p.end - p.at):
        return True
    used = p.at - <uint8_t *>PyBytes_AS_STRING(<object>p.block)
    size = 2 * (used + n)
    _PyBytes_Resize(&p.block, size)
    p.at = <uint8_t *>PyBytes_AS_STRING(<object>p.block) + used
    p.end = p.at + (size - used)
    return True


cdef bint _pack_text(object text, packer_t *p) except -1:
    cdef Py_ssize_t n = 0
    cdef const char *chars
    if PyUnicode_IS_COMPACT_ASCII(text):
        chars = <const char *>PyUnicode_DATA(text)
        n = PyUnicode_GET_LENGTH(text)
    else:
        if PyUnicode_GET_LENGTH(text) > SMALL:
            return False  # its UTF-8 would stay with it as a second copy
        chars = PyUnicode_AsUTF8AndSize(text, &n)
        if chars == NULL:
            PyErr_Clear()
            return False
    if <size_t>n > SHOAL_VALUE_MAX // 2:
        return False
    _reserve(p, n + HEAD_MAX)
    p.at += write_str(p.at, n)
    memcpy(p.at, chars, n)
    p.at += n
    return True


cdef bint _pack(object value, packer_t *p, int depth) except -1:
    """Whether it was written; if not, what was written so far means nothing."""
    cdef PyTypeObject *kind = Py_TYPE(value)
    cdef PyObject *key
    cdef PyObject *item
    cdef Py_ssize_t at = 0, n, i
    cdef int overflow = 0
    cdef long long number
    if kind == <PyTypeObject *>str:
        return _pack_text(value, p)
    _reserve(p, HEAD_MAX)
    if kind == <PyTypeObject *>int:
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            return False
        p.at += write_int(p.at, number)
    elif kind == <PyTypeObject *>float:
        p.at += write_float(p.at, PyFloat_AS_DOUBLE(value))
    elif value is None or kind == <PyTypeObject *>bool:
        p.at[0] = 0xC0 if value is None else 0xC3 if value is True else 0xC2
        p.at += 1
    elif kind == <PyTypeObject *>dict:
        n = PyDict_Size(value)
        if depth == 0 or n > 0xFFFFFF:
            return False
        p.at += write_count(p.at, 0x80, 0xDE, n)
        while PyDict_Next(value, &at, &key, &item):
            if Py_TYPE(<object>key) != <PyTypeObject *>str or not _pack_text(<object>key, p):
                return False
            if not _pack(<object>item, p, depth - 1):
                return False
    elif kind == <PyTypeObject *>list:
        n = PyList_GET_SIZE(value)
        if depth == 0 or n > 0xFFFFFF:
            return False
        p.at += write_count(p.at, 0x90, 0xDC, n)
        for i in range(n):
            if not _pack(<object>PyList_GET_ITEM(value, i), p, depth - 1):
                return False
    elif kind == <PyTypeObject *>bytes:
        n = PyBytes_GET_SIZE(value)
        if <size_t>n > SHOAL_VALUE_MAX // 2:
            return False
        _reserve(p, n + HEAD_MAX)
        p.at += write_bytes(p.at, n)
        memcpy(p.at, PyBytes_AS_STRING(value), n)
        p.at += n
    else:
        return False
    return True


cdef object _pack_plain(object value, shoal_put_args *put):
    """Point `put` to the encoded container; the result keeps it where it is. None: it is the codec's."""
    cdef packer_t p
    cdef bint done
    block = PyBytes_FromStringAndSize(NULL, 256)
    Py_INCREF(block)
    p.block = <PyObject *>block
    p.at = <uint8_t *>PyBytes_AS_STRING(block)
    p.end = p.at + 256
    block = None  # the only reference is p's: growing must be able to move it
    try:
        done = _pack(value, &p, PLAIN_DEPTH)
    finally:
        if p.block != NULL:
            block = <object>p.block
            Py_DECREF(block)
    put.head = <const uint8_t *>PyBytes_AS_STRING(block)
    put.head_size = p.at - <uint8_t *>PyBytes_AS_STRING(block)
    return block if done and put.head_size <= SHOAL_VALUE_MAX else None


# -------------------------------------------------- reading

cdef struct source_t:
    const uint8_t *at
    const uint8_t *end


cdef inline uint64_t _take_be(source_t *s, int count, bint *ok) noexcept:
    cdef uint64_t word
    if s.end - s.at < count:
        ok[0] = False
        return 0
    word = load_be(s.at, count)
    s.at += count
    return word


cdef inline uint64_t _short_word(const uint8_t *p, size_t n) noexcept:
    """1 to 7 bytes as a word: loads that overlap are faster than a loop over them."""
    cdef uint32_t low, high
    if n < 4:
        return p[0] | <uint64_t>p[n // 2] << (8 * (n // 2)) | <uint64_t>p[n - 1] << (8 * (n - 1))
    memcpy(&low, p, 4)
    memcpy(&high, p + n - 4, 4)
    return low | <uint64_t>high << (8 * (n - 4))


cdef inline bint _is_name(const name_t *name, uint64_t first, uint64_t last, const uint8_t *p, size_t n) noexcept:
    if name.first != first or name.last != last or name.size != n:
        return False
    return n <= 16 or memcmp(PyUnicode_DATA(<object>name.text), p, n) == 0


cdef object _name_of(const uint8_t *p, size_t n):
    """The str of a dict's key."""
    cdef uint64_t first = 0, last = 0
    cdef size_t place
    cdef object text
    if not 0 < n <= NAME_MAX:
        return PyUnicode_DecodeUTF8(<const char *>p, n, NULL)
    if n >= 8:
        memcpy(&first, p, 8)
        memcpy(&last, p + n - 8, 8)
    else:
        first = _short_word(p, n)
    place = <size_t>(((first ^ last * 3 ^ n) * <uint64_t>0x9E3779B97F4A7C15) >> 55) % NAMES
    if _is_name(&_names[place], first, last, p, n):
        return <object>_names[place].text
    if _is_name(&_names[place ^ 1], first, last, p, n):
        return <object>_names[place ^ 1].text
    if not all_ascii(p, n):
        return PyUnicode_DecodeUTF8(<const char *>p, n, NULL)
    text = PyUnicode_New(n, 127)
    memcpy(PyUnicode_DATA(text), p, n)
    Py_XDECREF(_names[place ^ 1].text)
    _names[place ^ 1] = _names[place]
    Py_INCREF(text)
    _names[place].first = first
    _names[place].last = last
    _names[place].size = n
    _names[place].text = <PyObject *>text
    return text


cdef object _unpack(source_t *s, int depth, bint *ok):
    """The next object. With `ok` False the bytes are the codec's, for whatever reason."""
    cdef uint8_t code
    cdef uint64_t n = 0, i
    cdef double f
    cdef uint32_t single
    cdef float short
    cdef dict mapping
    cdef list items
    if s.at >= s.end:
        ok[0] = False
        return None
    code = s.at[0]
    s.at += 1
    if code <= 0x7F:
        return PyLong_FromLongLong(code)
    if code >= 0xE0:
        return PyLong_FromLongLong(<int8_t>code)
    if 0xA0 <= code <= 0xBF or 0xD9 <= code <= 0xDB:
        n = code & 0x1F if code <= 0xBF else _take_be(s, 1 << (code - 0xD9), ok)
        if not ok[0] or n > <uint64_t>(s.end - s.at):
            ok[0] = False
            return None
        s.at += n
        return _text(s.at - n, n)
    if code <= 0x8F or code == 0xDE or code == 0xDF:
        n = code & 0x0F if code <= 0x8F else _take_be(s, 2 if code == 0xDE else 4, ok)
        if not ok[0] or depth == 0 or n > <uint64_t>(s.end - s.at):
            ok[0] = False
            return None
        mapping = dict_for(n) if 5 < n <= PRESIZED else {}  # (one that is made is large enough for five)
        for i in range(n):
            key = _unpack_key(s, ok)
            if not ok[0]:
                return None
            value = _unpack(s, depth - 1, ok)
            if not ok[0]:
                return None
            mapping[key] = value
        return mapping
    if code <= 0x9F or code == 0xDC or code == 0xDD:
        n = code & 0x0F if code <= 0x9F else _take_be(s, 2 if code == 0xDC else 4, ok)
        if not ok[0] or depth == 0 or n > <uint64_t>(s.end - s.at):
            ok[0] = False
            return None
        items = PyList_New(n)
        for i in range(n):
            value = _unpack(s, depth - 1, ok)
            if not ok[0]:
                return None
            Py_INCREF(value)
            PyList_SET_ITEM(items, i, value)
        return items
    if code == 0xC0:
        return None
    if code == 0xC2:
        return False
    if code == 0xC3:
        return True
    if code == 0xCB:
        n = _take_be(s, 8, ok)
        memcpy(&f, &n, 8)
        return PyFloat_FromDouble(f)
    if code == 0xCA:
        single = <uint32_t>_take_be(s, 4, ok)
        memcpy(&short, &single, 4)
        return PyFloat_FromDouble(short)
    if 0xCC <= code <= 0xCF:
        return PyLong_FromUnsignedLongLong(_take_be(s, 1 << (code - 0xCC), ok))
    if code == 0xD0:
        return PyLong_FromLongLong(<int8_t>_take_be(s, 1, ok))
    if code == 0xD1:
        return PyLong_FromLongLong(<int16_t>_take_be(s, 2, ok))
    if code == 0xD2:
        return PyLong_FromLongLong(<int32_t>_take_be(s, 4, ok))
    if code == 0xD3:
        return PyLong_FromLongLong(<int64_t>_take_be(s, 8, ok))
    if 0xC4 <= code <= 0xC6:
        n = _take_be(s, 1 << (code - 0xC4), ok)
        if not ok[0] or n > <uint64_t>(s.end - s.at):
            ok[0] = False
            return None
        s.at += n
        return PyBytes_FromStringAndSize(<const char *>s.at - n, n)
    ok[0] = False  # an extension, or no MessagePack at all
    return None


cdef object _unpack_key(source_t *s, bint *ok):
    cdef uint64_t n
    cdef uint8_t code
    if s.at >= s.end:
        ok[0] = False
        return None
    code = s.at[0]
    if not (0xA0 <= code <= 0xBF or code == 0xD9):
        ok[0] = False
        return None
    s.at += 1
    n = code & 0x1F if code <= 0xBF else _take_be(s, 1, ok)
    if not ok[0] or n > <uint64_t>(s.end - s.at):
        ok[0] = False
        return None
    s.at += n
    return _name_of(s.at - n, n)


cdef inline bint _is_container(uint8_t code) noexcept nogil:
    return 0x80 <= code <= 0x9F or 0xDC <= code <= 0xDF


cdef object _unpack_plain(const uint8_t *p, size_t n, bint *ok):
    """The container that these bytes are, with `ok`; else they are the codec's, which also says what is wrong with them."""
    cdef source_t s
    s.at = p
    s.end = p + n
    ok[0] = True
    try:
        value = _unpack(&s, PLAIN_DEPTH, ok)
    except (InvalidValue, UnicodeDecodeError):  # text that is none
        ok[0] = False
        return None
    if s.at != s.end:
        ok[0] = False
    return value
