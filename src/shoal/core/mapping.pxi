# The mappings of this process: one of each arena, counted by its handles, by the calls in flight and by what looks at it.

cdef dict _registry = {}    # (name, read_only) -> Arena
cdef list _live = []        # every Arena that is mapped, also those that lost their name to another


cdef int _check_signals(void *context) noexcept nogil:
    with gil:
        # One that is pending from an earlier look stays; handlers must not run on top of it.
        if PyErr_Occurred() != NULL:
            return 1
        return PyErr_CheckSignals()


@cython.final
@cython.no_gc
cdef class Arena:
    """This process's mapping of an arena. `ptr` is for new calls, NULL once closing; `raw` lasts until detached."""

    cdef shoal_arena *ptr
    cdef shoal_arena *raw
    cdef visit_t *visits
    cdef Py_ssize_t refs
    cdef Py_ssize_t loans       # what looks at its memory (loans.pxi)
    cdef Py_ssize_t fillings    # those of them that may write there
    cdef tuple key
    cdef list waiters

    cdef void enter(self, visit_t *visit) noexcept:
        visit.thread = PyThread_get_thread_ident()
        visit.next = self.visits
        self.visits = visit

    cdef void leave(self, visit_t *visit) noexcept:
        """End a visit. A pending exception (of the wait hook) stays pending."""
        cdef visit_t **link = &self.visits
        while link[0] != visit:
            link = &link[0].next
        link[0] = visit.next
        self.settle()

    cdef void settle(self) noexcept:
        """After the last visit to a closing mapping, those who wait for it go on; with the last loan it goes."""
        if self.ptr != NULL or self.visits != NULL or self.raw == NULL:
            return
        if self.loans == 0:
            self.detach()
        for waiter in self.waiters:
            waiter.release()
        self.waiters = []

    cdef void detach(self) noexcept:
        cdef shoal_arena *raw = self.raw
        cdef PyObject *kind
        cdef PyObject *value
        cdef PyObject *trace
        if raw == NULL:
            return
        PyErr_Fetch(&kind, &value, &trace)
        self.raw = NULL
        if self in _live:
            _live.remove(self)
        with nogil:
            shoal_close(raw)
        PyErr_Restore(kind, value, trace)

    cdef object quit(self):
        """At the end of the process: leave, but what somebody may still look at stays mapped."""
        cdef shoal_arena *raw = self.raw
        cdef bint filling = self.fillings > 0
        if raw == NULL or self.visits != NULL:
            return
        self.raw = NULL
        _live.remove(self)
        with nogil:
            shoal_quit(raw, filling)

    cdef bint retire(self) noexcept:
        """No new calls from here on; detach now if nobody is in a call or has a loan. Says whether calls are under way."""
        if self.ptr != NULL:
            self.ptr = NULL
            if _registry.get(self.key) is self:
                del _registry[self.key]
        self.settle()
        return self.visits != NULL

    cdef object drain(self, double seconds):
        """Wait for the visits of other threads; but not if this very thread is inside one (a signal handler)."""
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef visit_t *visit = self.visits
        while visit != NULL:
            if visit.thread == me:
                return
            visit = visit.next
        waiter = allocate_lock()
        waiter.acquire()
        self.waiters.append(waiter)
        waiter.acquire(True, seconds)

    cdef object release(self, bint wait):
        self.refs -= 1
        if self.refs == 0 and self.retire() and wait:
            self.drain(-1)

    cdef object inherit(self):
        """In a forked child: of all threads only this one lives on."""
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef visit_t **link = &self.visits
        while link[0] != NULL:
            if link[0].thread == me:
                link = &link[0].next
            else:
                link[0] = link[0].next
        self.waiters = []
        if self.raw != NULL:
            shoal_after_fork(self.raw)
        self.settle()

    cdef str cause(self):
        cdef bytes detail = shoal_detail(self.raw) if self.raw != NULL else b""
        return f" ({detail.decode('utf-8', 'replace')})" if detail else ""


cdef Arena _closed = Arena.__new__(Arena)


cdef shoal_arena *_map(str name, str flag, uint64_t size, bint persist, uint32_t mode, int64_t wait) except NULL:
    cdef shoal_options options
    cdef shoal_error error
    cdef shoal_arena *raw = NULL
    cdef bytes text = name.encode()
    cdef const char *chars = text
    cdef int status
    cdef int64_t deadline = shoal_clock_mono_ns() + wait
    memset(&error, 0, sizeof(error))
    options.flag = <char>ord(flag)
    options.persist = persist
    options.mode = mode
    options.size = size
    options.wait = min(wait, <int64_t>50_000_000)
    while True:
        with nogil:
            status = shoal_open(chars, &options, &raw, &error)
        if status != SHOAL_BUSY or shoal_clock_mono_ns() >= deadline:
            break
        # There is no hook before there is an arena: look for signals between two tries.
        if PyErr_CheckSignals() != 0:
            _raise_pending()
    if status != SHOAL_OK:
        what = error.what.decode("utf-8", "replace") if error.what != NULL else ""
        if error.os_errno:
            what = f"{what}: {os.strerror(error.os_errno)}" if what else os.strerror(error.os_errno)
        cause = f" ({what})" if what else ""
        raise failure(
            _NAMES[status], name=name, size=size, timeout=wait / 1e9, cause=cause, errno=error.os_errno
        )
    return raw


cdef Arena _open(str name, str flag, uint64_t size, bint persist, uint32_t mode, int64_t wait):
    """The mapping, with one reference for the caller."""
    cdef Arena arena
    cdef shoal_arena *raw
    cdef bint read_only = flag == "r"
    cdef tuple key = (name, read_only)
    with _lifetime.opening:
        arena = _registry.get(key) if flag != "n" else None
        if arena is not None and shoal_is_named(arena.ptr):
            if persist and not read_only:
                shoal_persist(arena.ptr)
            arena.refs += 1
            return arena
        raw = _map(name, flag, size, persist, mode, wait)
        shoal_set_wait_hook(raw, _check_signals, NULL)
        arena = Arena.__new__(Arena)
        arena.ptr = arena.raw = raw
        arena.refs = 1
        arena.key = key
        arena.waiters = []
        _registry[key] = arena
        _live.append(arena)
        _lifetime.enlist()
        return arena


def _close_all():
    """At exit: leave every arena, so that the last user's end removes it."""
    cdef Arena arena
    for arena in list(_live):
        if arena.retire():
            arena.drain(1.0)
        arena.quit()


def _before_fork():
    cdef Arena arena
    for arena in _live:
        shoal_before_fork(arena.raw)


def _after_fork():
    """In the parent."""
    cdef Arena arena
    for arena in _live:
        shoal_after_fork_in_parent(arena.raw)


def _inherit_all():
    """In a forked child."""
    cdef Arena arena
    for arena in list(_live):
        arena.inherit()


_lifetime = Lifetime(_close_all, _before_fork, _after_fork, _inherit_all)
