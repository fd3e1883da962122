# Opening a store, and letting go of it.


cdef class Opened(Views):
    """A handle that somebody opened: it holds its mapping until it is closed."""

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

    def _share(self, Opened other not None, str namespace, *, ttl, max_keys, eviction):
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
            raise StoreNotFound(f"there is no namespace {namespace!r} in {self._name!r}", name=namespace)
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
