# Loans: bytes that stay where they are as long as somebody looks at them, through the buffer protocol.

cdef enum:
    LOAN_ALIGN = 64     # where the payload of a private copy begins; in arenas arrays do


@cython.final
@cython.no_gc
@cython.freelist(16)
cdef class Loan:
    """What views export: a large value in its arena, which is pinned and keeps the mapping; or a copy of its own."""

    cdef Arena arena        # None: `keep` has the bytes
    cdef bytes keep
    cdef shoal_pin pin
    cdef uint8_t *data
    cdef Py_ssize_t size
    cdef bint writable
    cdef bint filling       # a draft that somebody may write to

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.size, not self.writable, flags)

    def __dealloc__(self):
        cdef Arena arena = self.arena
        cdef visit_t visit
        if arena is None:
            return
        if arena.raw != NULL and not shoal_unpin_at_once(arena.raw, &self.pin):
            arena.enter(&visit)
            with nogil:
                shoal_unpin(arena.raw, &self.pin)
            arena.leave(&visit)
        arena.loans -= 1
        if self.filling:
            arena.fillings -= 1
        arena.settle()


cdef Loan _borrow(Arena arena):
    """A loan of the arena that has nothing yet. From here on the mapping stays."""
    cdef Loan loan = Loan.__new__(Loan)
    loan.pin.block = 0
    loan.arena = arena
    arena.loans += 1
    return loan


cdef Loan _private(size_t size, size_t head):
    """Room for a value of which all but `head` bytes are to be aligned."""
    cdef Loan loan = Loan.__new__(Loan)
    cdef uint64_t at
    loan.keep = PyBytes_FromStringAndSize(NULL, size + 2 * LOAN_ALIGN)
    at = <uint64_t>PyBytes_AS_STRING(loan.keep) + head
    loan.data = <uint8_t *>((at + LOAN_ALIGN - 1) // LOAN_ALIGN * LOAN_ALIGN - head)
    loan.size = size
    return loan


cdef Loan _duplicate(Loan other, size_t head):
    cdef Loan loan = _private(other.size, head)
    memcpy(loan.data, other.data, other.size)
    return loan


cdef object _array_in(Loan loan, size_t offset):
    """An array over the loan, whose value's head says what it is; None if the codec must look at it."""
    cdef tuple face = _array_face(loan.data, loan.size, loan.size, offset)
    if face is None:
        return None
    if _ndarray == NULL:
        import numpy

        _load_numpy(numpy)
    try:
        if face[2] == "F":
            return (<object>_ndarray)(face[0], face[1], loan, offset, None, "F")
        return (<object>_ndarray)(face[0], face[1], loan, offset)
    except ValueError:
        return None  # a shape that numpy does not want, with a zero in it


cdef object _lend(Loan loan, bint pickle):
    """The read-only array or memoryview of a value; None if it is of another type. A private loan may be changed by it."""
    cdef head_t head
    cdef object made
    read_head(loan.data, loan.size, loan.size, &head)
    if head.kind == KIND_ARRAY:
        made = _array_in(loan, head.size)
        if made is None:
            made = _read(loan.data, loan.size, pickle)
            made.setflags(write=False)
        return made
    if head.kind != KIND_BYTES and head.kind != KIND_STR:
        return None
    if (<uint64_t>loan.data + head.size) % LOAN_ALIGN:
        loan = _duplicate(loan, head.size)  # of little more than 32 KiB: only longer heads have a place that is aligned
    loan.data += head.size
    loan.size -= head.size
    return PyMemoryView_FromObject(loan)
