# Entries: how one is found, written and removed, whatever the public name of that is.

cdef object _NOTHING = object()     # no such entry
cdef object _OBJECT = object()      # no value, but an object of a tree
cdef object _UNPINNED = object()    # the entry cannot be pinned: copy it


cdef tuple _times(shoal_meta *meta):
    """(size, created, modified, expires, version): microseconds since 1970; expires is None for never."""
    expires = None
    if meta.expires_ns:
        expires = shoal_clock_wall_us() + (meta.expires_ns - shoal_clock_mono_ns()) // 1000
    return meta.size, meta.created_us, meta.modified_us, expires, meta.version


cdef class Entries(Handle):
    """The calls on single entries that all handles are made of."""

    @cython.final
    cdef inline object _aim(self, object key, call_t *c):
        """Point the call to the entry. The result keeps the key's bytes where they are."""
        if self._prefix is None:
            _key(key, c)
            return None
        return self._follow(key, c)

    cdef object _follow(self, object path, call_t *c):
        """The same by a path, of a handle that has a tree."""

    @cython.final
    cdef int _prefetch(self, list names, Py_ssize_t first) except -1:
        """Have the memory of some of these keys, from one on, fetched at once."""
        cdef shoal_key keys[SHOAL_PREFETCH]
        cdef Py_ssize_t i, size = 0, n = min(len(names) - first, <Py_ssize_t>SHOAL_PREFETCH)
        if self._arena.ptr == NULL or self._prefix is not None:
            return 0
        for i in range(n):
            keys[i].data = PyUnicode_AsUTF8AndSize(names[first + i], &size)
            keys[i].size = size
        shoal_prefetch(self._arena.ptr, &self._space, keys, n)
        return 0

    @cython.final
    cdef inline object _find(self, object key, call_t *c):
        """The value, or _NOTHING."""
        cdef uint8_t small[SMALL]
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena
        owner = self._aim(key, c)
        arena = self._arena.ptr
        if arena != NULL:
            status = shoal_get(arena, &self._space, c.key, c.key_size, small, 0, SMALL, &c.meta, 0)
            if status == SHOAL_OK and c.meta.size <= SMALL:
                if c.meta.is_object:
                    return _OBJECT
                return _read(small, c.meta.size, self._pickle)
            if status == SHOAL_MISS:
                return _NOTHING
        return self._find_slowly(key, c, small, status)

    @cython.final
    cdef object _find_slowly(self, object key, call_t *c, uint8_t *small, int status):
        """For values of more than SMALL bytes, locks that are held, and all that can go wrong."""
        cdef head_t head
        cdef uint8_t *to = NULL
        cdef size_t size, first
        cdef uint64_t version
        cdef int again
        cdef object made
        cdef op_t look = OP_GET  # the first look that finds something is counted as a hit, the others are not
        for again in range(PATIENCE):
            if status != SHOAL_OK:
                c.op = look
                c.dst = small
                c.skip = 0
                c.cap = SMALL
                status = self._run(c, True)
                if status == SHOAL_MISS:
                    return _NOTHING
                self._check(status, key)
            look = OP_PEEK
            size = c.meta.size
            version = c.meta.version
            if c.meta.is_object:
                return _OBJECT
            if size <= SMALL:
                return _read(small, size, self._pickle)
            if size > PINNED:
                made = self._find_pinned(key, c)
                if made is not _UNPINNED:
                    return made
            made = _room(small, SMALL, size, &head, &to)
            # What is on the stack already, then the rest: both of one version, or all over again.
            first = SMALL - head.size if head.size < SMALL else 0
            memcpy(to, small + head.size, first)
            c.op = OP_PEEK
            c.skip = head.size + first
            c.dst = to + first
            c.cap = size - c.skip
            status = self._run(c, c.cap <= RELEASE)
            if status == SHOAL_MISS:
                return _NOTHING
            self._check(status, key)
            if c.meta.version == version and not c.meta.is_object:
                return _finish(made, &head, self._pickle)
            status = SHOAL_BUSY
        return self._find_whole(key, c)

    @cython.final
    cdef object _find_pinned(self, object key, call_t *c):
        """A large value's bytes stay where they are while they are copied, without the GIL if they are many."""
        cdef head_t head
        cdef uint8_t *to = NULL
        cdef size_t size
        cdef int status
        cdef visit_t visit
        cdef Arena arena = self._arena
        cdef object made
        self._at()
        arena.enter(&visit)  # the pin must not outlive the mapping
        try:
            c.op = OP_PIN
            status = self._run(c, True)
            if status == SHOAL_MISS:
                return _NOTHING
            if status in (SHOAL_INVALID, SHOAL_READ_ONLY, SHOAL_FULL_PINS):
                return _UNPINNED
            self._check(status, key)
            try:
                c.meta = c.pin.meta
                size = c.meta.size
                made = _room(c.pin.data, size, size, &head, &to)
                if size < RELEASE:
                    memcpy(to, c.pin.data + head.size, size - head.size)
                else:
                    with nogil:
                        memcpy(to, c.pin.data + head.size, size - head.size)
            finally:
                if not shoal_unpin_at_once(c.arena, &c.pin):
                    with nogil:
                        shoal_unpin(c.arena, &c.pin)
            if PyErr_Occurred() != NULL:
                _raise_pending()
        finally:
            arena.leave(&visit)
        return _finish(made, &head, self._pickle)

    @cython.final
    cdef object _find_whole(self, object key, call_t *c):
        """A value that changes between any two looks: one look at all of it."""
        cdef size_t room = 2 * c.meta.size
        cdef int status
        while True:
            block = bytearray(room)
            c.op = OP_PEEK
            c.dst = <uint8_t *>(<char *>block)
            c.skip = 0
            c.cap = room
            status = self._run(c, room <= RELEASE)
            if status == SHOAL_MISS:
                return _NOTHING
            self._check(status, key)
            if c.meta.is_object:
                return _OBJECT
            if c.meta.size <= room:
                return _read(<const uint8_t *>c.dst, c.meta.size, self._pickle)
            room = 2 * c.meta.size

    @cython.final
    cdef inline bint _look(self, object key, call_t *c, void *dst, size_t cap) except -1:
        """Metadata of the entry and its first bytes; whether there is one. Counted neither as a hit nor as a miss."""
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena
        owner = self._aim(key, c)
        arena = self._arena.ptr
        if arena != NULL and cap <= RELEASE:
            status = shoal_peek(arena, &self._space, c.key, c.key_size, dst, 0, cap, &c.meta, 0)
            if status == SHOAL_OK:
                return True
            if status == SHOAL_MISS:
                return False
        return self._look_slowly(key, c, dst, cap)

    @cython.final
    cdef bint _look_slowly(self, object key, call_t *c, void *dst, size_t cap) except -1:
        cdef int status
        c.op = OP_PEEK
        c.dst = dst
        c.skip = 0
        c.cap = cap
        status = self._run(c, cap <= RELEASE)
        if status == SHOAL_MISS:
            return False
        self._check(status, key)
        return True

    @cython.final
    cdef object _left(self, object key):
        """The seconds left, None if the entry never expires, _NOTHING."""
        cdef call_t c
        cdef int64_t left
        if not self._look(key, &c, NULL, 0):
            return _NOTHING
        if c.meta.expires_ns == 0:
            return None
        left = c.meta.expires_ns - shoal_clock_mono_ns()
        return left / 1e9 if left > 0 else 0.0

    @cython.final
    cdef tuple _facts(self, object key, Py_ssize_t prefix):
        """(size, created, modified, expires, version, first bytes - None of an object), or None; times as in `_times`."""
        cdef call_t c
        cdef uint8_t small[SMALL]
        cdef size_t cap = min(max(prefix, 0), SMALL)
        if not self._look(key, &c, small, cap):
            return None
        return (*_times(&c.meta), None if c.meta.is_object else small[: min(cap, c.meta.size)])

    @cython.final
    cdef tuple _copy(self, object key):
        """(size, created, modified, expires, version, encoded bytes), or None: no such entry, or an object."""
        cdef call_t c
        cdef size_t room = SMALL
        while True:
            data = PyBytes_FromStringAndSize(NULL, room)
            if not self._look(key, &c, PyBytes_AS_STRING(data), room):
                return None
            if c.meta.is_object:
                return None
            if c.meta.size <= room:
                return (*_times(&c.meta), data[: c.meta.size])
            room = c.meta.size

    @cython.final
    cdef int _put(
        self, object key, object value, int64_t ttl, int condition, call_t *c, bint overwrite=False
    ) except -1:
        """OK, MISS, EXISTS or CONFLICT; anything else raises."""
        cdef uint8_t scratch[SCRATCH]
        name = self._aim(key, c)
        c.put.ttl = ttl
        owner = _write(value, self._pickle, &c.put, scratch)
        c.put.condition = condition
        c.put.is_object = False
        c.put.overwrite = overwrite
        c.put.expires = &c.expires
        return self._send(key, c)

    @cython.final
    cdef inline int _send(self, object key, call_t *c) except -1:
        """Make the write that `c.put` says. OK, MISS, EXISTS or CONFLICT; anything else raises."""
        cdef int status = SHOAL_BUSY
        cdef size_t size = c.put.head_size + c.put.body_size
        cdef shoal_arena *arena = self._arena.ptr  # encoding may have run anything, so not earlier
        if arena != NULL and size <= RELEASE:
            status = shoal_put(arena, &self._space, c.key, c.key_size, &c.put, &c.version, 0)
            if status == SHOAL_OK:
                return status
        return self._put_slowly(key, c, status, size)

    @cython.final
    cdef int _put_slowly(self, object key, call_t *c, int status, size_t size) except -1:
        if status == SHOAL_BUSY or status == SHOAL_STALE:
            c.op = OP_PUT
            status = self._run(c, size <= RELEASE)
        if status == SHOAL_OK or status == SHOAL_MISS or status == SHOAL_EXISTS or status == SHOAL_CONFLICT:
            return status
        self._check(status, key, c.key_size + size)
        return status

    @cython.final
    cdef uint64_t _put_bytes(self, object key, bytes data, int64_t ttl, bint overwrite=False) except 0:
        cdef call_t c
        name = self._aim(key, &c)
        _write_encoded(data, &c.put)
        c.put.old = NULL
        c.put.is_object = False
        c.put.overwrite = overwrite
        c.put.expires = &c.expires
        c.put.ttl = ttl
        c.put.condition = SHOAL_IF_ANY
        self._send(key, &c)
        return c.version

    @cython.final
    cdef inline bint _delete(self, object key, shoal_bytes *old) except -1:
        cdef call_t c
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena
        name = self._aim(key, &c)
        arena = self._arena.ptr
        if arena != NULL:
            status = shoal_delete(arena, &self._space, c.key, c.key_size, old, 0)
            if status == SHOAL_OK:
                return True
            if status == SHOAL_MISS:
                return False
        c.put.old = old
        return self._change_slowly(OP_DELETE, key, &c, status, 0) == SHOAL_OK

    @cython.final
    cdef int _change_slowly(self, op_t op, object key, call_t *c, int status, size_t size) except -1:
        """OK or MISS; anything else raises."""
        if status == SHOAL_BUSY or status == SHOAL_STALE:
            c.op = op
            status = self._run(c, True)
        if status != SHOAL_MISS:
            self._check(status, key, size)
        return status

    @cython.final
    cdef inline object _add(self, object key, object by, object initial, object ttl):
        cdef call_t c
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena
        name = self._aim(key, &c)
        _number(by, key, &c.by)
        _number(initial, key, &c.initial)
        c.ttl = SHOAL_TTL_KEEP if ttl is _DEFAULT else _ns(ttl)
        arena = self._arena.ptr
        if arena != NULL:
            status = shoal_incr(arena, &self._space, c.key, c.key_size, &c.by, &c.initial, c.ttl, &c.result, 0)
        if status != SHOAL_OK and self._change_slowly(OP_INCR, key, &c, status, c.key_size + HEAD_MAX) == SHOAL_MISS:
            self._check(SHOAL_MISS, key)
        if c.result.is_float:
            return PyFloat_FromDouble(c.result.f)
        return PyLong_FromLongLong(c.result.i)

    @cython.final
    cdef bint _touch(self, object key, object ttl) except -1:
        cdef call_t c
        name = self._aim(key, &c)
        c.ttl = _ns(ttl)
        return self._change_slowly(OP_TOUCH, key, &c, SHOAL_BUSY, c.key_size) == SHOAL_OK
