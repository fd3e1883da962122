# Writing entries.


cdef class Writer(Reader):
    """What changes single entries."""

    def set(self, key, value, *, ttl=DEFAULT):
        """Write the entry, whether there is one or not. The result is its new version."""
        cdef call_t c
        c.put.old = NULL
        self._put(key, value, _ns(ttl), SHOAL_IF_ANY, &c)
        return PyLong_FromUnsignedLongLong(c.version)

    def __setitem__(self, key, value):
        cdef call_t c
        c.put.old = NULL
        self._put(key, value, SHOAL_TTL_DEFAULT, SHOAL_IF_ANY, &c)

    def add(self, key, value, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it is absent. Of several callers at once, one gets True."""
        cdef call_t c
        c.put.old = NULL
        return self._put(key, value, _ns(ttl), SHOAL_IF_ABSENT, &c) == SHOAL_OK

    def replace(self, key, value, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it is there."""
        cdef call_t c
        c.put.old = NULL
        return self._put(key, value, _ns(ttl), SHOAL_IF_PRESENT, &c) == SHOAL_OK

    def swap(self, key, value, *, ttl=DEFAULT):
        """Write the entry; the result is the value that it replaced, or None.

        A value that this handle may not read (`allow_pickle`) stays, and is an `InvalidValue`.
        """
        cdef call_t c
        if not self._pickle:
            self._check_readable(key)
        c.bytes.data = NULL
        c.put.old = &c.bytes
        self._put(key, value, _ns(ttl), SHOAL_IF_ANY, &c)
        return _take(&c.bytes, self._pickle)

    def compare_and_set(self, key, value, version, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it still has this version; version 0 means that it must be absent."""
        cdef call_t c
        _check_version(version, key)
        c.put.old = NULL
        c.put.version = version
        return self._put(key, value, _ns(ttl), SHOAL_IF_VERSION, &c) == SHOAL_OK

    def set_many(self, mapping, *, ttl=DEFAULT) -> None:
        """Write all entries, each atomically.

        A key or value that cannot be stored is found before the first write: then nothing changes.
        """
        cdef call_t c
        cdef list names, values, items
        cdef list encoded = None
        cdef int64_t nanoseconds = _ns(ttl)
        cdef Py_ssize_t i
        if type(mapping) is dict:
            names, values = _keys(mapping), list((<dict>mapping).values())
        else:
            items = list(mapping.items())
            names, values = _keys([key for key, _ in items]), [value for _, value in items]
        for value in values:
            if not _is_plain(value):
                encoded = [None if _is_plain(value) else self._encode(value) for value in values]
                break
        for i in range(len(names)):
            if i % SHOAL_PREFETCH == 0:
                self._prefetch(names, i)
            if encoded is None or encoded[i] is None:
                c.put.old = NULL
                self._put(names[i], values[i], nanoseconds, SHOAL_IF_ANY, &c)
            else:
                self._put_bytes(names[i], encoded[i], nanoseconds)

    def _set_encoded(self, key, bytes data not None, ttl) -> int:
        """As `set`, with a value that is encoded already."""
        return self._put_bytes(key, data, _ns(ttl))

    def _encode(self, value) -> bytes:
        """The bytes that `set` would store."""
        cdef shoal_put_args put
        cdef uint8_t scratch[SCRATCH]
        owner = _write(value, self._pickle, &put, scratch)
        if put.body_size == 0 and type(owner) is bytes and put.head_size == <size_t>PyBytes_GET_SIZE(owner):
            return owner
        data = PyBytes_FromStringAndSize(NULL, put.head_size + put.body_size)
        memcpy(PyBytes_AS_STRING(data), put.head, put.head_size)
        if put.body_size:
            memcpy(PyBytes_AS_STRING(data) + put.head_size, put.body, put.body_size)
        return data

    def delete(self, key) -> bool:
        """Remove the entry; whether there was one."""
        return self._delete(key, NULL)

    def __delitem__(self, key):
        if not self._delete(key, NULL):
            raise failure("MISS", key=key, name=self._name)

    def delete_many(self, keys) -> int:
        """Remove the entries; how many of them were there."""
        cdef list names = _keys(keys)
        cdef Py_ssize_t i, count = 0
        for i in range(len(names)):
            if i % SHOAL_PREFETCH == 0:
                self._prefetch(names, i)
            count += self._delete(names[i], NULL)
        return count

    def pop(self, key, default=MISSING):
        """Remove the entry and return its value: one caller gets it. Without a `default`, `KeyNotFound` if absent.

        A value that this handle may not read (`allow_pickle`) stays, and is an `InvalidValue`.
        """
        cdef shoal_bytes old
        if not self._pickle:
            self._check_readable(key)
        old.data = NULL
        if self._delete(key, &old):
            return _take(&old, self._pickle)
        if default is _MISSING:
            raise failure("MISS", key=key, name=self._name)
        return default

    @cython.final
    cdef object _check_readable(self, object key):
        """Raise while nothing has changed yet. (What somebody else writes after this look is not in it.)"""
        cdef call_t c
        cdef head_t head
        cdef uint8_t small[SMALL]
        if not self._look(key, &c, small, SMALL):
            return
        read_head(small, c.meta.size if c.meta.size < SMALL else SMALL, c.meta.size, &head)
        if head.kind == KIND_OTHER:
            found = self._copy(key)
            if found is not None:
                _read_bytes(found[5], False)

    def incr(self, key, by=1, *, initial=0, ttl=DEFAULT):
        """Add to the number stored there, or to `initial` if there is none; the result is the new number.

        An int plus an int is an int; with a float it is a float. What is not a number, or leaves the range of 64-bit
        ints, is an `InvalidValue` and the entry stays. With `ttl` left out an existing entry keeps its expiry.
        """
        return self._add(key, by, initial, ttl)

    def touch(self, key, ttl) -> bool:
        """Give the entry a new time to live, from now; whether there was one. Neither value nor version change."""
        return self._touch(key, ttl)
