# A handle: its mapping, its namespace or tree, its options, and how calls to the core are made through it.


cdef enum tree_t:
    NO_TREE, TREE_OF_NAMESPACE, TREE_OF_RUNS


cdef int _raise_pending() except -1:
    """For after a visit: the wait hook has raised."""
    return -1


@cython.no_gc_clear
cdef class Handle:
    """A place that calls go to: a mapping, one of its namespaces or the tree of one, a few options."""

    cdef Arena _arena
    cdef shoal_namespace _space
    cdef shoal_namespace_config _config     # for the namespace, should it be made anew
    cdef int64_t _wait
    cdef bint _pickle
    cdef str _name
    cdef str _namespace
    cdef bint _read_only
    cdef tree_t _tree
    cdef bytes _prefix                      # of a tree: the packed names that all paths begin with, else None
    cdef object __weakref__

    def __cinit__(self, *args, **kwargs):
        self._arena = _closed
        self._name = self._namespace = ""

    def __dealloc__(self):
        if self._tree == NO_TREE and self._arena is not None and self._arena is not _closed:
            self._arena.release(False)  # a tree's handle has only borrowed it

    # -------------------------------------------------- how calls are made

    @cython.final
    cdef int _renew(self, bint create) except -1:
        """Look the namespace up, again if it was dropped meanwhile."""
        cdef bytes name = self._namespace.encode()
        cdef const char *text = name
        cdef size_t size = len(name)
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef shoal_namespace space, home
        cdef visit_t visit
        cdef int status
        cdef int64_t wait = self._wait
        arena.enter(&visit)
        with nogil:
            status = shoal_namespace_open(raw, text, size, create, &self._config, &space, wait)
            if status == SHOAL_OK and self._tree != NO_TREE:
                home = space
                if self._tree == TREE_OF_NAMESPACE:
                    status = shoal_tree_open(raw, &home, create, &space, wait)
                else:
                    status = shoal_runs_open(raw, &home, create, &space, wait)
        arena.leave(&visit)
        if PyErr_Occurred() != NULL:
            return -1
        if status == SHOAL_OK:
            space.base = self._space.base
            self._space = space
        return status

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
                c.space.base = NULL  # a cache that is used under the GIL only
                arena.enter(&visit)
                with nogil:
                    status = perform(c)
                arena.leave(&visit)
                if PyErr_Occurred() != NULL:
                    return -1
            if status != SHOAL_STALE:
                return status
            status = self._renew(c.op in (OP_PUT, OP_INCR, OP_CONFIGURE, OP_DRAFT, OP_PUBLISH))
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
        self._explain(status, key)
        facts = {"timeout": self._wait / 1e9, "size": size}
        if self._arena.ptr != NULL:
            facts["cause"] = self._arena.cause() if status == SHOAL_CORRUPT else ""
            if status == SHOAL_FULL_ARENA and shoal_get_stats(self._arena.ptr, &stats) == SHOAL_OK:
                facts["capacity"] = stats.capacity
            if status == SHOAL_FULL_KEYS and (
                shoal_namespace_get_config(self._arena.ptr, &self._space, &config) == SHOAL_OK
            ):
                facts["max_keys"] = config.max_keys
                facts["namespace"] = self._namespace
        raise failure(_NAMES[status], key=self._whole(key), name=self._name, **facts)

    cdef object _whole(self, object key):
        """The key as errors have it."""
        return key

    cdef object _explain(self, int status, object key):
        """Raise, if there is more to say of this status than of the same in any other store."""
