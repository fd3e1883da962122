# Drafts: arrays that are filled in place.

cdef object _plan = None


@cython.final
cdef class Draft:
    """What `create_array` gives: a context manager, of one block."""

    cdef Entries _place
    cdef object _key
    cdef int64_t _ttl
    cdef tuple _shape
    cdef object _dtype
    cdef bytes _head        # of the encoded value: all but the array's data
    cdef uint64_t _size
    cdef Loan _loan
    cdef object _array
    cdef shoal_draft _draft
    cdef bint _in_place     # not a private array that is written at the end
    cdef bint _begun
    cdef object _pid
    cdef readonly object version

    def __enter__(self):
        cdef call_t c
        cdef Loan loan
        cdef Entries place = self._place
        cdef int status
        if self._begun:
            raise RuntimeError("a create_array() is good for one block: call it again")
        owner = place._aim(self._key, &c)
        place._at()
        loan = _borrow(place._arena)
        c.op = OP_DRAFT
        c.draft = &self._draft
        c.cap = self._size
        status = place._run(&c, False)
        self._in_place = status == SHOAL_OK
        if self._in_place:
            loan.pin = self._draft.pin
            loan.data = self._draft.data
            loan.size = self._size
            loan.filling = True
            loan.arena.fillings += 1
        elif status == SHOAL_INVALID and self._size <= RELEASE:
            loan = _private(self._size, 0)
        else:
            place._check(status, self._key, c.key_size + self._size)
        memcpy(loan.data, PyBytes_AS_STRING(self._head), PyBytes_GET_SIZE(self._head))
        loan.writable = True
        self._begun = True
        self._pid = os.getpid()
        self._array = _array_in(loan, PyBytes_GET_SIZE(self._head))
        self._loan = loan
        return self._array

    def __exit__(self, kind, error, trace):
        cdef Loan loan = self._loan
        array, self._array, self._loan = self._array, None, None
        if loan is None:
            raise RuntimeError("this create_array() has no block that could end")
        # A forked child that comes here has a copy of the block; the entry is its parent's to write.
        if kind is None and os.getpid() == self._pid:
            self._publish(loan)
            loan.writable = False
            array.flags.writeable = False

    @cython.final
    cdef int _publish(self, Loan loan) except -1:
        cdef call_t c
        cdef Entries place = self._place
        cdef int status = SHOAL_INVALID
        owner = place._aim(self._key, &c)
        memset(&c.put, 0, sizeof(c.put))
        c.put.ttl = self._ttl
        c.put.align = SHOAL_ALIGN_VALUE
        c.put.expires = &c.expires
        if self._in_place:
            c.op = OP_PUBLISH
            c.draft = &self._draft
            status = place._run(&c, True)
        if status == SHOAL_INVALID:
            # Small; or the namespace was dropped and made anew meanwhile: in it the key belongs to another shard.
            c.put.head = loan.data
            c.put.head_size = self._size
            c.op = OP_PUT
            status = place._run(&c, self._size <= RELEASE)
        place._check(status, self._key, c.key_size + self._size)
        if loan.filling:
            loan.filling = False
            loan.arena.fillings -= 1
        self.version = c.version
        return 0


cdef Draft _new_draft(Entries place, object key, object shape, object dtype, object ttl):
    """Checks all that can be checked before anything is allocated."""
    cdef Draft draft = Draft.__new__(Draft)
    cdef uint8_t *to
    cdef bytes description
    cdef size_t size, offset
    cdef Py_ssize_t i
    cdef uint64_t n
    global _plan
    if _plan is None:
        import numpy
        from shoal.views import plan_array

        _load_numpy(numpy)
        _plan = plan_array
    draft._shape, draft._dtype, data = _plan(shape, dtype)
    draft._ttl = _ns(ttl)
    description = _describe(draft._dtype)
    size = 0 if description is None else PyBytes_GET_SIZE(description)
    offset = data_offset(len(draft._shape), size)
    if size == 0 or offset > ARRAY_DATA_MAX:
        raise InvalidValue(f"arrays of dtype {draft._dtype} cannot be filled in place: set() them", key=key)
    draft._size = offset + <uint64_t>data
    if draft._size > SHOAL_VALUE_MAX:
        raise InvalidValue(
            f"a value must have at most {SHOAL_VALUE_MAX:,} bytes, this array has {draft._size:,}",
            key=key, limit=SHOAL_VALUE_MAX,
        )
    draft._head = PyBytes_FromStringAndSize(NULL, offset)
    to = <uint8_t *>PyBytes_AS_STRING(draft._head)
    memset(to, 0, offset)
    write_array_head(to, offset, data, 67, len(draft._shape), size)
    for i in range(len(draft._shape)):
        n = draft._shape[i]
        memcpy(to + ARRAY_HEAD + 8 * i, &n, 8)
    memcpy(to + ARRAY_HEAD + 8 * len(draft._shape), PyBytes_AS_STRING(description), size)
    draft._place = place
    draft._key = key
    return draft
