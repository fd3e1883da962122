# Values: what the binding encodes and decodes itself (None, bool, int, float, str, bytes, arrays); the codec does the rest.

cdef object _encode = None          # of shoal.codec, which is loaded by the first value that needs it
cdef object _decode = None


cdef int _load_codec() except -1:
    global _encode, _decode
    from shoal import codec

    _encode, _decode = codec.encode, codec.decode
    return 0


cdef object _too_big(object value, size_t size):
    return InvalidValue(
        f"a value must have at most {SHOAL_VALUE_MAX:,} bytes, this {type(value).__name__} has {size:,}",
        limit=SHOAL_VALUE_MAX,
    )


cdef inline bint _is_plain(object value) except -1:
    """Whether it can be stored for sure, and in so few steps that they may be done twice."""
    cdef int overflow = 0
    kind = <object>Py_TYPE(value)
    if kind is str:
        return PyUnicode_IS_COMPACT_ASCII(value) and PyUnicode_GET_LENGTH(value) <= SHOAL_VALUE_MAX - HEAD_MAX
    if kind is int:
        PyLong_AsLongLongAndOverflow(value, &overflow)
        return overflow == 0
    if kind is bytes:
        return PyBytes_GET_SIZE(value) <= SHOAL_VALUE_MAX - HEAD_MAX
    return value is None or kind is float or kind is bool


cdef object _write(object value, bint pickle, shoal_put_args *put, uint8_t *scratch):
    """Point head and body of `put` to the encoded value; the result keeps them where they are."""
    cdef Py_ssize_t n
    cdef const char *text
    cdef int overflow = 0
    cdef long long i
    put.head = scratch
    put.body = NULL
    put.body_size = 0
    put.align = SHOAL_ALIGN_NONE
    kind = <object>Py_TYPE(value)
    if kind is str:
        owner = None
        if PyUnicode_IS_COMPACT_ASCII(value):
            text = <const char *>PyUnicode_DATA(value)
            n = PyUnicode_GET_LENGTH(value)
        else:
            if PyUnicode_GET_LENGTH(value) > SMALL:  # encoding it in place would keep a second copy in the str
                try:
                    owner = value.encode()
                except UnicodeEncodeError:
                    return _write_other(value, pickle, put)
                text = PyBytes_AS_STRING(owner)
                n = PyBytes_GET_SIZE(owner)
            else:
                try:
                    text = _utf8(value, &n)
                except UnicodeEncodeError:
                    return _write_other(value, pickle, put)
        if n > SHOAL_VALUE_MAX - HEAD_MAX:
            raise _too_big(value, n)
        put.head_size = write_str(scratch, n)
        if put.head_size == SHOAL_HEAD:
            put.align = SHOAL_ALIGN_BODY
        put.body = text
        put.body_size = n
        return owner
    if kind is int:
        i = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            return _write_other(value, pickle, put)
        put.head_size = write_int(scratch, i)
        return None
    if kind is float:
        put.head_size = write_float(scratch, PyFloat_AS_DOUBLE(value))
        return None
    if kind is bytes:
        n = PyBytes_GET_SIZE(value)
        if n > SHOAL_VALUE_MAX - HEAD_MAX:
            raise _too_big(value, n)
        put.head_size = write_bytes(scratch, n)
        if put.head_size == SHOAL_HEAD:
            put.align = SHOAL_ALIGN_BODY
        put.body = PyBytes_AS_STRING(value)
        put.body_size = n
        return None
    if value is None or kind is bool:
        scratch[0] = 0xC0 if value is None else 0xC3 if value is True else 0xC2
        put.head_size = 1
        return None
    if kind is dict or kind is list:
        owner = _pack_plain(value, put)
        if owner is not None:
            return owner
    elif _is_array(value):
        owner = _write_array(value, put, scratch)
        if owner is not None:
            return owner
    return _write_other(value, pickle, put)


cdef inline const char *_utf8(object text, Py_ssize_t *size) except NULL:
    return PyUnicode_AsUTF8AndSize(text, size)


cdef object _write_other(object value, bint pickle, shoal_put_args *put):
    """By the codec, whatever it is; and what cannot be stored raises there."""
    if _encode is None:
        _load_codec()
    return _write_encoded(_encode(value, pickle), put)


cdef object _write_encoded(bytes data, shoal_put_args *put):
    cdef head_t head
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef size_t n = PyBytes_GET_SIZE(data)
    if n > SHOAL_VALUE_MAX:
        raise _too_big(data, n)
    read_head(p, n, n, &head)
    put.head = p
    put.head_size = n
    put.body = NULL
    put.body_size = 0
    put.align = SHOAL_ALIGN_NONE
    if head.kind == KIND_ARRAY:
        put.align = SHOAL_ALIGN_VALUE
    elif head.size == SHOAL_HEAD and (head.kind == KIND_STR or head.kind == KIND_BYTES):
        put.align = SHOAL_ALIGN_BODY
    return data


cdef inline object _text(const uint8_t *p, size_t n):
    """From bytes that nobody changes meanwhile."""
    cdef object text
    if all_ascii(p, n):
        text = PyUnicode_New(n, 127)
        memcpy(PyUnicode_DATA(text), p, n)
        return text
    return _text_utf8(p, n)


cdef object _text_utf8(const uint8_t *p, size_t n):
    try:
        return PyUnicode_DecodeUTF8(<const char *>p, n, NULL)
    except UnicodeDecodeError as error:
        raise InvalidValue(f"the stored text is not UTF-8: {error}") from error


cdef object _room(const uint8_t *p, size_t have, uint64_t size, head_t *head, uint8_t **to):
    """The object that a value of several bytes will be, or will be made from: its payload goes to `to`."""
    cdef object made
    read_head(p, have, size, head)
    if head.kind == KIND_STR:
        # Taken for ASCII until all of it is there.
        made = PyUnicode_New(size - head.size, 127)
        to[0] = <uint8_t *>PyUnicode_DATA(made)
        return made
    if head.kind == KIND_ARRAY:
        made = _new_array(p, have, size, head.size, to)
        if made is not None:
            return made
    if head.kind != KIND_BYTES:
        head.kind = KIND_OTHER
        head.size = 0
    made = PyBytes_FromStringAndSize(NULL, size - head.size)
    to[0] = <uint8_t *>PyBytes_AS_STRING(made)
    return made


cdef object _finish(object made, head_t *head, bint pickle):
    """The value, now that all bytes are there."""
    cdef const uint8_t *p
    cdef size_t n
    cdef bint ascii, plain = False
    if head.kind == KIND_STR:
        p = <const uint8_t *>PyUnicode_DATA(made)
        n = PyUnicode_GET_LENGTH(made)
        if n < RELEASE:
            ascii = all_ascii(p, n)
        else:
            with nogil:
                ascii = all_ascii(p, n)
        return made if ascii else _text_utf8(p, n)
    if head.kind == KIND_OTHER:
        p = <const uint8_t *>PyBytes_AS_STRING(made)
        if _is_container(p[0]):
            value = _unpack_plain(p, PyBytes_GET_SIZE(made), &plain)
            if plain:
                return value
        if _decode is None:
            _load_codec()
        return _decode(made, pickle)
    return made


cdef object _read(const uint8_t *p, size_t n, bint pickle):
    """The value of bytes that nobody changes meanwhile."""
    cdef head_t head
    cdef uint8_t *to = NULL
    cdef object made
    cdef bint plain = False
    read_head(p, n, n, &head)
    if head.kind == KIND_STR:
        return _text(p + head.size, n - head.size)
    if head.kind == KIND_INT:
        return PyLong_FromLongLong(head.i)
    if head.kind == KIND_FLOAT:
        return PyFloat_FromDouble(head.f)
    if head.kind == KIND_NONE:
        return None
    if head.kind == KIND_TRUE:
        return True
    if head.kind == KIND_FALSE:
        return False
    if head.kind == KIND_UINT:
        return PyLong_FromUnsignedLongLong(head.u)
    if n and _is_container(p[0]):
        made = _unpack_plain(p, n, &plain)
        if plain:
            return made
    made = _room(p, n, n, &head, &to)
    if n < RELEASE:
        memcpy(to, p + head.size, n - head.size)
    else:
        with nogil:
            memcpy(to, p + head.size, n - head.size)
    return _finish(made, &head, pickle)


cdef object _read_bytes(bytes data, bint pickle):
    return _read(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), pickle)


cdef object _take(shoal_bytes *data, bint pickle):
    """The value of bytes that the core handed over; None if there are none."""
    if data.data == NULL:
        return None
    try:
        return _read(data.data, data.size, pickle)
    finally:
        shoal_bytes_free(data)
