# The namespace and the arena as a whole.

cdef struct lines_t:
    char *text              # of each line: its severity, the line, NUL
    size_t used
    size_t room


cdef void _keep_line(void *context, int severity, const char *line) noexcept nogil:
    cdef lines_t *lines = <lines_t *>context
    cdef size_t size = strlen(line) + 1
    cdef char *grown
    if lines.room - lines.used < size + 1:
        grown = <char *>realloc(lines.text, 2 * lines.room + size + 1)
        if grown == NULL:
            return
        lines.text = grown
        lines.room = 2 * lines.room + size + 1
    lines.text[lines.used] = <char>severity
    memcpy(lines.text + lines.used + 1, line, size)
    lines.used += size + 1


cdef int _append_space(void *context, const char *name, size_t size, const shoal_namespace *space) noexcept with gil:
    (<list>context).append((name[:size].decode("utf-8", "replace"), space.id, space.uid))
    return 0


cdef class ArenaStore(Writer):
    """The calls of `shoal.store.Store` that go to the core. `shoal.arena.ArenaStore` adds the rest."""

    # -------------------------------------------------- the namespace

    def __len__(self):
        return self._count().entries

    @cython.final
    cdef shoal_namespace_stats _count(self) except *:
        cdef call_t c
        cdef int status
        c.op = OP_COUNT
        memset(&c.count, 0, sizeof(c.count))
        status = self._run(&c, False)
        if status != SHOAL_MISS:
            self._check(status, None)
        return c.count

    @property
    def _shards(self) -> int:
        return shoal_shards(self._at())

    def _shard_keys(self, str prefix not None, uint32_t shard) -> list:
        """The keys of one shard that start with `prefix`, each once; as they are at one instant, if not read-only."""
        cdef call_t c
        cdef Py_ssize_t n = 0
        cdef int status
        cdef size_t at = 0
        cdef uint16_t size
        cdef list keys = []
        c.key = PyUnicode_AsUTF8AndSize(prefix, &n)
        if c.key == NULL:
            PyErr_Clear()  # lone surrogates: no key has them
            return keys
        c.key_size = n
        c.shard = shard
        c.bytes.data = NULL
        c.bytes.size = 0
        c.op = OP_KEYS
        status = self._run(&c, False)
        if status == SHOAL_MISS:
            return keys
        self._check(status, None)
        try:
            while at < c.bytes.size:
                memcpy(&size, c.bytes.data + at, 2)
                keys.append(PyUnicode_DecodeUTF8(<const char *>c.bytes.data + at + 2, size, NULL))
                at += 2 + size
        finally:
            shoal_bytes_free(&c.bytes)
        # A read-only mapping cannot hold the shard still: a key that moves meanwhile may be met twice.
        return list(dict.fromkeys(keys)) if self._read_only else keys

    def clear(self) -> None:
        """Remove every entry of this namespace; other namespaces stay."""
        cdef call_t c
        cdef int status
        c.op = OP_CLEAR
        status = self._run(&c, False)
        if status != SHOAL_MISS:
            self._check(status, None)

    # -------------------------------------------------- the whole arena

    def _usage(self) -> list:
        """Of each namespace: its name, and (entries, bytes, max_keys, ttl in seconds or None, eviction, fields, bytes of fields)."""
        cdef shoal_namespace space, tree
        cdef shoal_namespace_config config
        cdef shoal_namespace_stats count, fields
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef visit_t visit
        cdef int64_t wait = self._wait
        cdef int status
        cdef list found = [], spaces = []
        self._check(shoal_namespace_list(raw, _append_space, <void *>spaces), None)
        memset(&space, 0, sizeof(space))
        for name, number, uid in sorted(spaces):
            space.id = number
            space.uid = uid
            arena.enter(&visit)
            with nogil:
                status = shoal_namespace_count(raw, &space, &count, wait)
                if status == SHOAL_OK:
                    status = shoal_namespace_get_config(raw, &space, &config)
                if status == SHOAL_OK:
                    status = shoal_tree_open(raw, &space, False, &tree, wait)
                    memset(&fields, 0, sizeof(fields))
                    if status == SHOAL_OK:
                        status = shoal_namespace_count(raw, &tree, &fields, wait)
                    elif status == SHOAL_NOT_FOUND:
                        status = SHOAL_OK
            arena.leave(&visit)
            if status == SHOAL_STALE and PyErr_Occurred() == NULL:
                continue  # dropped meanwhile
            self._check(status, None)
            eviction = "sieve" if config.eviction == SHOAL_EVICT_SIEVE else "error"
            ttl = config.ttl / 1e9 if config.ttl else None
            usage = (count.entries, count.bytes, config.max_keys, ttl, eviction, fields.entries, fields.bytes)
            found.append((name, usage))
            raw = self._at()
            arena = self._arena
        return found

    def _run_fields(self) -> int:
        """How many fields the runs of all processes have."""
        cdef shoal_namespace runs
        cdef shoal_namespace_stats fields
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef visit_t visit
        cdef int64_t wait = self._wait
        cdef int status
        memset(&fields, 0, sizeof(fields))
        arena.enter(&visit)
        with nogil:
            status = shoal_runs_open(raw, &self._space, False, &runs, wait)
            if status == SHOAL_OK:
                status = shoal_namespace_count(raw, &runs, &fields, wait)
        arena.leave(&visit)
        if status != SHOAL_NOT_FOUND:
            self._check(status, None)
        return fields.entries

    def namespaces(self) -> list:
        """The names of all namespaces, sorted; "default" is always among them."""
        cdef list spaces = []
        self._check(shoal_namespace_list(self._at(), _append_space, <void *>spaces), None)
        return sorted([name for name, _, _ in spaces])

    def _drop(self, str name not None) -> bool:
        """Remove a namespace with its entries; whether there was one."""
        cdef bytes text = name.encode()
        cdef const char *chars = text
        cdef size_t size = len(text)
        cdef shoal_namespace space
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef visit_t visit
        cdef int64_t wait = self._wait
        cdef int status
        arena.enter(&visit)
        with nogil:
            status = shoal_namespace_open(raw, chars, size, False, NULL, &space, wait)
            if status == SHOAL_OK:
                status = shoal_namespace_drop(raw, &space, wait)
        arena.leave(&visit)
        if PyErr_Occurred() != NULL:
            _raise_pending()
        if status == SHOAL_NOT_FOUND or status == SHOAL_STALE:
            return False
        self._check(status, None)
        return True

    def _stats(self) -> dict:
        """The core's figures of the whole arena by name."""
        cdef shoal_stats stats
        self._check(shoal_get_stats(self._at(), &stats), None)
        return stats

    def verify(self) -> list:
        """Check every invariant of the arena while it is in use: ("problem" or "note", text) for each finding."""
        cdef lines_t lines
        cdef visit_t visit
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef int64_t wait = self._wait
        cdef int status
        cdef size_t at = 0
        cdef list found = []
        memset(&lines, 0, sizeof(lines))
        arena.enter(&visit)
        with nogil:
            status = shoal_verify(raw, _keep_line, &lines, wait)
        arena.leave(&visit)
        try:
            if PyErr_Occurred() != NULL:
                _raise_pending()
            if status != SHOAL_CORRUPT or lines.used == 0:
                self._check(status, None)
            while at < lines.used:
                line = lines.text + at + 1
                found.append(("problem" if lines.text[at] else "note", line.decode("utf-8", "replace")))
                at += strlen(line) + 2
        finally:
            free(lines.text)
        return found

    def sweep(self) -> None:
        """Remove what has expired and what dead processes left, and give free memory back to the system."""
        cdef visit_t visit
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef int64_t wait = self._wait
        cdef int status
        arena.enter(&visit)
        with nogil:
            status = shoal_sweep(raw, wait)
        arena.leave(&visit)
        self._check(status, None)

    def _process(self) -> tuple:
        """(slot, generation) of this process: its name among all that ever use the arena."""
        cdef uint32_t slot = 0, generation = 0
        self._check(shoal_process(self._at(), &slot, &generation), None)
        return slot, generation

    def _process_lives(self, uint32_t slot, uint32_t generation) -> bool:
        return shoal_process_lives(self._at(), slot, generation)

    def _reap(self) -> None:
        """Remove what dead processes left, as far as that takes no waiting."""
        self._check(shoal_reap(self._at(), 0), None)

    def _unlink(self) -> None:
        """Remove the arena's name, unless another arena has it by now."""
        self._check(shoal_unlink(self._at()), None)
