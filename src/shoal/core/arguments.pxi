# What callers pass besides values: keys, times to live, numbers.

cdef object _MISSING = MISSING
cdef object _DEFAULT = DEFAULT
cdef object _KEEP = KEEP


cdef double _MAX_TTL = _LONGEST


cdef inline int64_t _ns(object ttl) except? -3:
    if ttl is _DEFAULT:
        return SHOAL_TTL_DEFAULT
    if ttl is None:
        return SHOAL_TTL_NEVER
    return _seconds_ns(ttl)


cdef int64_t _seconds_ns(object ttl) except? -3:
    cdef double seconds = 0
    cdef int overflow = 0
    if ttl is _KEEP:
        return SHOAL_TTL_KEEP
    if type(ttl) is int:
        seconds = PyLong_AsLongLongAndOverflow(ttl, &overflow)
    elif type(ttl) is float:
        seconds = PyFloat_AS_DOUBLE(ttl)
    if 0 < seconds <= _MAX_TTL and not overflow:
        return max(<int64_t>(seconds * 1e9 + 0.5), <int64_t>1)
    parsed = parse_ttl(ttl)  # has the words for what is wrong with it
    return SHOAL_TTL_NEVER if parsed is None else ttl_to_ns(parsed)


cdef inline int _number(object value, object key, shoal_number *out) except -1:
    cdef int overflow = 0
    out.is_float = False
    out.f = 0
    if type(value) is int:
        out.i = PyLong_AsLongLongAndOverflow(value, &overflow)
    elif isinstance(value, float):
        out.is_float = True
        out.f = PyFloat_AS_DOUBLE(value)
        out.i = 0
    elif isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidValue(f"incr adds an int or a float, not {type(value).__name__}", key=key)
    else:
        out.i = PyLong_AsLongLongAndOverflow(value.__index__(), &overflow)
    if overflow:
        raise failure(_NAMES[SHOAL_OVERFLOW], key=key)
    return 0


cdef inline int _key(object key, call_t *c) except -1:
    cdef Py_ssize_t n = 0
    if PyUnicode_Check(key):
        if PyUnicode_IS_COMPACT_ASCII(key):
            c.key = PyUnicode_DATA(key)
            n = PyUnicode_GET_LENGTH(key)
        else:
            c.key = PyUnicode_AsUTF8AndSize(key, &n)
            if c.key == NULL:
                PyErr_Clear()
                n = 0
        if 0 < n <= SHOAL_KEY_MAX:
            c.key_size = n
            return 0
    check_key(key)  # has the words for what is wrong with it
    raise InvalidKey("not a key", key=key)


cdef list _keys(object keys):
    """Several keys, all of them checked before anything is done with the first."""
    cdef list names
    cdef Py_ssize_t i, n
    if PyUnicode_Check(keys):
        return check_keys(keys)  # refuses it
    names = list(keys)
    for i in range(len(names)):
        key = names[i]
        if type(key) is str and PyUnicode_IS_COMPACT_ASCII(key):
            n = PyUnicode_GET_LENGTH(key)
            if 0 < n <= SHOAL_KEY_MAX:
                continue
        names[i] = check_key(key)
    return names


cdef int _check_version(object version, object key) except -1:
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 1 << 64:
        raise InvalidValue(f"a version is an int, 0 or more, not {version!r}", key=key)
    return 0
