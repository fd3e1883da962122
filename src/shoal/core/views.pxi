# Values where they lie: looked at, and filled, without a copy.


cdef class Views(Entries):
    """What all handles can do with large values in place."""

    cdef object _absent(self, object key):
        """The exception for an entry that is not there."""
        return failure("MISS", key=key, name=self._name)

    cdef int _check_room(self, object key) except -1:
        """Raise, if it can be told already that no value can be written there."""
        return 0

    def view(self, key):
        """The value without a copy: a read-only `numpy.ndarray` of an array, a read-only `memoryview` of bytes or text (UTF-8).

        It stays valid and as it is as long as it, or anything made from it, lives: whatever becomes of the entry, of the
        store, of this handle, and in forked children. As long as that, the arena has that much less room.
        Arrays of less than about 32 KiB, and bytes and text of less than 64 KiB, are copied, which is cheaper; so is what a
        read-only store gives. The data begins at a multiple of 64.

        Raises:
            KeyNotFound: There is no entry.
            InvalidValue: The value has another type.
        """
        cdef call_t c
        cdef Loan loan
        cdef int status
        owner = self._aim(key, &c)
        self._at()
        loan = _borrow(self._arena)
        c.op = OP_VIEW
        status = self._run(&c, True)
        if status == SHOAL_OK:
            loan.pin = c.pin
            loan.data = <uint8_t *>c.pin.data
            loan.size = c.pin.meta.size
        elif status == SHOAL_MISS:
            raise self._absent(key)
        elif status == SHOAL_INVALID or status == SHOAL_READ_ONLY:
            loan = self._copied(key, &c)
        else:
            self._check(status, key)
        made = None if loan is None else _lend(loan, self._pickle)
        if made is None:
            raise self._unviewable(key, loan)
        return made

    @cython.final
    cdef object _unviewable(self, object key, Loan loan):
        if loan is None:
            what = "an object"
        else:
            from shoal.codec import kind

            what = kind(loan.data[: min(loan.size, <Py_ssize_t>16)])
        key = self._whole(key)
        return InvalidValue(f"views are of arrays, bytes and str; the value of {key!r} is {what}: get() it", key=key)

    @cython.final
    cdef Loan _copied(self, object key, call_t *c):
        """A private copy of the encoded value; None of an object."""
        cdef uint8_t small[SMALL]
        cdef head_t head
        cdef Loan loan
        cdef size_t size, payload
        cdef uint64_t version
        cdef int status, again
        cdef op_t look = OP_GET
        for again in range(PATIENCE):
            c.op = look
            c.dst = small
            c.skip = 0
            c.cap = SMALL
            status = self._run(c, True)
            if status == SHOAL_MISS:
                raise self._absent(key)
            self._check(status, key)
            if c.meta.is_object:
                return None
            look = OP_PEEK
            size = c.meta.size
            version = c.meta.version
            read_head(small, min(size, <size_t>SMALL), size, &head)
            payload = head.size if head.kind == KIND_BYTES or head.kind == KIND_STR else 0
            loan = _private(size, payload)
            if size <= SMALL:
                memcpy(loan.data, small, size)
                return loan
            c.op = OP_PEEK
            c.dst = loan.data
            c.cap = size
            status = self._run(c, size <= RELEASE)
            if status == SHOAL_MISS:
                raise self._absent(key)
            self._check(status, key)
            if c.meta.version == version:
                return loan
        raise failure("BUSY", key=self._whole(key), name=self._name, timeout=self._wait / 1e9)

    def create_array(self, key, shape, dtype, *, ttl=DEFAULT):
        """A context manager whose block gets a new array in the arena to fill, and which writes the entry when it ends.

        The array is in C order, begins at a multiple of 64, and holds at first whatever was there (as `numpy.empty`). Nobody
        else sees it before the end of the block. Then it is the entry's value, replaces what was there, and is read-only;
        it stays valid like a `view`. (Slices made in the block stay writable: whoever writes to them changes what others
        read.) If the block raises, or the process dies, nothing is written and nothing stays.
        Small arrays are filled in private memory and copied. Children that are forked inside the block may fill parts; what
        they leave it with does not count.

        Raises:
            InvalidValue: The dtype holds objects or cannot be stored in place, or the shape is none.
            CapacityExceeded: When the block begins or ends.
            StoreClosed: The store was closed inside the block.
        """
        cdef call_t c
        self._check_room(key)
        owner = self._aim(key, &c)
        self._at()
        if self._read_only:
            raise failure("READ_ONLY", key=self._whole(key), name=self._name)
        return _new_draft(self, key, shape, dtype, ttl)
