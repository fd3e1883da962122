# Reading entries.

cdef object _NOTHING = object()     # no such entry
cdef object _UNPINNED = object()    # the entry cannot be pinned: copy it


cdef tuple _times(shoal_meta *meta):
    """(size, created, modified, expires, version): microseconds since 1970; expires is None for never."""
    expires = None
    if meta.expires_ns:
        expires = shoal_clock_wall_us() + (meta.expires_ns - shoal_clock_mono_ns()) // 1000
    return meta.size, meta.created_us, meta.modified_us, expires, meta.version


cdef class Reader(Handle):
    """What only looks."""

    @cython.final
    cdef inline object _find(self, object key, call_t *c):
        """The value, or _NOTHING."""
        cdef uint8_t small[SMALL]
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena = self._arena.ptr
        _key(key, c)
        if arena != NULL:
            status = shoal_get(arena, &self._space, c.key, c.key_size, small, 0, SMALL, &c.meta, 0)
            if status == SHOAL_OK and c.meta.size <= SMALL:
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
            if size <= SMALL:
                return _read(small, size, self._pickle)
            if size > RELEASE:
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
            if c.meta.version == version:
                return _finish(made, &head, self._pickle)
            status = SHOAL_BUSY
        return self._find_whole(key, c)

    @cython.final
    cdef object _find_pinned(self, object key, call_t *c):
        """A large value's bytes stay where they are while they are copied without the GIL."""
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
                with nogil:
                    memcpy(to, c.pin.data + head.size, size - head.size)
            finally:
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
            if c.meta.size <= room:
                return _read(<const uint8_t *>c.dst, c.meta.size, self._pickle)
            room = 2 * c.meta.size

    def get(self, key, default=None):
        """The value, or `default` if there is no entry."""
        cdef call_t c
        value = self._find(key, &c)
        return default if value is _NOTHING else value

    def __getitem__(self, key):
        cdef call_t c
        value = self._find(key, &c)
        if value is _NOTHING:
            raise failure("MISS", key=key, name=self._name)
        return value

    def get_versioned(self, key) -> tuple:
        """The value and the version it has, of one and the same moment. Raises `KeyNotFound`."""
        cdef call_t c
        value = self._find(key, &c)
        if value is _NOTHING:
            raise failure("MISS", key=key, name=self._name)
        return value, c.meta.version

    def get_many(self, keys) -> dict:
        """Those of the entries that are there."""
        cdef call_t c
        cdef dict found = {}
        for key in check_keys(keys):
            value = self._find(key, &c)
            if value is not _NOTHING:
                found[key] = value
        return found

    @cython.final
    cdef inline bint _look(self, object key, call_t *c, void *dst, size_t cap) except -1:
        """Metadata of the entry and its first bytes; whether there is one. Counted neither as a hit nor as a miss."""
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena = self._arena.ptr
        _key(key, c)
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

    def __contains__(self, key):
        cdef call_t c
        return self._look(key, &c, NULL, 0)

    def exists(self, key) -> bool:
        """Whether there is an entry."""
        cdef call_t c
        return self._look(key, &c, NULL, 0)

    def ttl(self, key):
        """The seconds left, or None if the entry never expires. Raises `KeyNotFound`."""
        cdef call_t c
        cdef int64_t left
        if not self._look(key, &c, NULL, 0):
            raise failure("MISS", key=key, name=self._name)
        if c.meta.expires_ns == 0:
            return None
        left = c.meta.expires_ns - shoal_clock_mono_ns()
        return left / 1e9 if left > 0 else 0.0

    def _metadata(self, key, Py_ssize_t prefix):
        """(size, created, modified, expires, version, first bytes), or None; times as in `_times`."""
        cdef call_t c
        cdef uint8_t small[SMALL]
        cdef size_t cap = min(max(prefix, 0), SMALL)
        if not self._look(key, &c, small, cap):
            return None
        return (*_times(&c.meta), small[: min(cap, c.meta.size)])

    def _get_bytes(self, key):
        """(size, created, modified, expires, version, encoded bytes), or None."""
        cdef call_t c
        cdef size_t room = SMALL
        while True:
            data = PyBytes_FromStringAndSize(NULL, room)
            if not self._look(key, &c, PyBytes_AS_STRING(data), room):
                return None
            if c.meta.size <= room:
                return (*_times(&c.meta), data[: c.meta.size])
            room = c.meta.size
