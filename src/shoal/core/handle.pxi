# A handle: its mapping, its namespace, its options, and how calls to the core are made through it.


cdef int _raise_pending() except -1:
    """For after a visit: the wait hook has raised."""
    return -1


@cython.no_gc_clear
cdef class Handle:
    """An open store: its mapping, one of its namespaces, a few options."""

    cdef Arena _arena
    cdef shoal_namespace _space
    cdef shoal_namespace_config _config     # for the namespace, should it be made anew
    cdef int64_t _wait
    cdef bint _pickle
    cdef str _name
    cdef str _namespace
    cdef bint _read_only
    cdef object __weakref__

    def __cinit__(self, *args, **kwargs):
        self._arena = _closed
        self._name = self._namespace = ""

    def __dealloc__(self):
        if self._arena is not None and self._arena is not _closed:
            self._arena.release(False)

    # -------------------------------------------------- opening and closing

    def _attach(
        self, str name, str flag, *,
        size, bint persist, mode, timeout, allow_pickle, str namespace, ttl, max_keys, eviction
    ):
        """Open or create the arena; once per handle."""
        cdef Arena arena
        cdef int64_t wait = <int64_t>(min(timeout, 1e9) * 1e9)
        if self._arena is not _closed:
            raise RuntimeError("this handle is attached already")
        arena = _open(name, flag, size, persist, mode, wait)
        self._name = name
        self._read_only = flag == "r"
        self._wait = wait
        self._arena = arena
        if allow_pickle is None:
            # Only where every writer is this very user: reading a pickle runs what its writer chose.
            allow_pickle = shoal_mode(arena.raw) & 0o177 == 0 and shoal_owner(arena.raw) == os.geteuid()
        self._pickle = allow_pickle
        try:
            self._enter_namespace(namespace, ttl, max_keys, eviction)
        except BaseException:
            self.close()
            raise

    def _share(self, Handle other not None, str namespace, *, ttl, max_keys, eviction):
        """Become a handle of another namespace of the other's arena; once per handle."""
        if self._arena is not _closed:
            raise RuntimeError("this handle is attached already")
        other._at()
        self._arena = other._arena
        self._arena.refs += 1
        self._name = other._name
        self._read_only = other._read_only
        self._wait = other._wait
        self._pickle = other._pickle
        try:
            self._enter_namespace(namespace, ttl, max_keys, eviction)
        except BaseException:
            self.close()
            raise

    @cython.final
    cdef object _enter_namespace(self, str namespace, object ttl, object max_keys, object eviction):
        """Open the namespace, made if it is new; settings that are given (not DEFAULT) are written to it."""
        cdef call_t c
        cdef int status
        self._namespace = namespace
        self._config.ttl = 0 if ttl is _DEFAULT else _ns(ttl)
        self._config.max_keys = 0 if max_keys is _DEFAULT else max_keys
        self._config.eviction = SHOAL_EVICT_SIEVE if eviction == "sieve" else SHOAL_EVICT_ERROR
        status = self._renew(not self._read_only)
        if status == SHOAL_NOT_FOUND:
            raise failure(_NAMES[status], name=f"{self._name}?namespace={namespace}")
        self._check(status, None)
        if ttl is _DEFAULT and max_keys is _DEFAULT and eviction is _DEFAULT:
            return
        self._check(shoal_namespace_get_config(self._at(), &self._space, &c.config), None)
        if (
            (ttl is _DEFAULT or c.config.ttl == self._config.ttl)
            and (max_keys is _DEFAULT or c.config.max_keys == self._config.max_keys)
            and (eviction is _DEFAULT or c.config.eviction == self._config.eviction)
        ):
            return
        if ttl is not _DEFAULT:
            c.config.ttl = self._config.ttl
        if max_keys is not _DEFAULT:
            c.config.max_keys = self._config.max_keys
        if eviction is not _DEFAULT:
            c.config.eviction = self._config.eviction
        c.op = OP_CONFIGURE
        self._check(self._run(&c, False), None)

    @cython.final
    cdef int _renew(self, bint create) except -1:
        """Look the namespace up, again if it was dropped meanwhile."""
        cdef bytes name = self._namespace.encode()
        cdef const char *text = name
        cdef size_t size = len(name)
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef shoal_namespace space
        cdef visit_t visit
        cdef int status
        cdef int64_t wait = self._wait
        arena.enter(&visit)
        with nogil:
            status = shoal_namespace_open(raw, text, size, create, &self._config, &space, wait)
        arena.leave(&visit)
        if PyErr_Occurred() != NULL:
            return -1
        if status == SHOAL_OK:
            self._space = space
        return status

    def close(self) -> None:
        """Let go of the store. Closing twice is fine; any other use raises `StoreClosed`.

        Calls that other threads are inside of are waited for.
        """
        cdef Arena arena = self._arena
        if arena is not _closed:
            self._arena = _closed
            arena.release(True)

    @property
    def closed(self) -> bool:
        """Whether `close` was called on this handle."""
        return self._arena.ptr == NULL

    @property
    def name(self) -> str:
        """The store's name."""
        return self._name

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that this handle reads and writes."""
        return self._namespace

    @property
    def read_only(self) -> bool:
        """Whether writing raises `AccessDenied`."""
        return self._read_only

    @property
    def allow_pickle(self) -> bool:
        """Whether values that only pickle can express are written and read."""
        return self._pickle

    @property
    def _mode(self) -> int:
        return shoal_mode(self._at())

    @property
    def _timeout(self) -> float:
        return self._wait / 1e9

    # -------------------------------------------------- how calls are made

    @cython.final
    cdef shoal_arena *_at(self) except NULL:
        if self._arena.ptr == NULL:
            raise StoreClosed(f"the store {self._name!r} is closed", name=self._name)
        return self._arena.ptr

    @cython.final
    cdef int _run(self, call_t *c, bint quick) except -1:
        """Make the call; without the GIL if it is not quick, or has to wait. A dropped namespace is looked up again."""
        cdef int status = SHOAL_BUSY, again
        cdef Arena arena
        cdef visit_t visit
        for again in range(PATIENCE):
            c.arena = self._at()
            c.space = self._space
            if quick:
                c.wait = 0
                status = perform(c)
            if not quick or (status == SHOAL_BUSY and self._wait > 0):
                arena = self._arena
                c.wait = self._wait
                arena.enter(&visit)
                with nogil:
                    status = perform(c)
                arena.leave(&visit)
                if PyErr_Occurred() != NULL:
                    return -1
            if status != SHOAL_STALE:
                return status
            status = self._renew(c.op == OP_PUT or c.op == OP_INCR or c.op == OP_CONFIGURE)
            if status == SHOAL_NOT_FOUND:
                return SHOAL_MISS
            if status != SHOAL_OK:
                return status
        return SHOAL_STALE

    @cython.final
    cdef int _check(self, int status, object key, size_t size=0) except -1:
        cdef shoal_stats stats
        cdef shoal_namespace_config config
        if status == SHOAL_OK:
            return 0
        if PyErr_Occurred() != NULL:
            return -1
        facts = {"timeout": self._wait / 1e9, "size": size}
        if self._arena.ptr != NULL:
            facts["cause"] = self._arena.cause() if status == SHOAL_CORRUPT else ""
            if status == SHOAL_FULL_ARENA and shoal_get_stats(self._arena.ptr, &stats) == SHOAL_OK:
                facts["capacity"] = stats.capacity
            if status == SHOAL_FULL_KEYS and (
                shoal_namespace_get_config(self._arena.ptr, &self._space, &config) == SHOAL_OK
            ):
                facts["max_keys"] = config.max_keys
        raise failure(_NAMES[status], key=key, name=self._name, **facts)
