# Arrays: their encoding, from and to the memory of numpy.
#
# The format is the codec's (shoal.codec.arrays), which describes each dtype once; after that an array costs a head and
# one copy. numpy itself is loaded by whoever makes the first array.

cdef extern from *:
    """
    /* What numpy's __array_struct__ capsule points to (its documented array interface, C side). */
    typedef struct {
        int two, nd;
        char typekind;
        int itemsize, flags;
        Py_ssize_t *shape, *strides;
        void *data;
        PyObject *descr;
    } array_interface;
    """
    ctypedef struct array_interface:
        int nd
        int itemsize
        Py_ssize_t *shape
        Py_ssize_t *strides
        void *data

cdef object _numpy = None
cdef PyTypeObject *_ndarray = NULL
cdef object _empty = None
cdef dict _descriptions = {}        # dtype, or (structured dtype, its type) -> its description in an encoded array
cdef dict _dtypes = {}              # description -> (dtype, itemsize)
cdef dict _faces = {}               # head of an encoded array -> (shape, dtype, order)


cdef inline size_t data_offset(size_t ndim, size_t description) noexcept nogil:
    return (ARRAY_HEAD + 8 * ndim + description + ARRAY_ALIGN - 1) // ARRAY_ALIGN * ARRAY_ALIGN


cdef inline void write_array_head(
    uint8_t *to, size_t offset, uint64_t data, uint8_t order, int ndim, size_t description
) noexcept nogil:
    to[0] = 0xC9
    store_be(to + 1, offset + data - 6, 4)
    to[5] = ARRAY_EXT
    to[6] = order
    to[7] = <uint8_t>ndim
    to[8] = <uint8_t>description
    to[9] = <uint8_t>(description >> 8)
    to[10] = <uint8_t>offset
    to[11] = <uint8_t>(offset >> 8)


cdef inline bint contiguous(
    int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, Py_ssize_t itemsize, bint columns
) noexcept nogil:
    """Whether an array's elements lie one after the other, by columns or by rows."""
    cdef Py_ssize_t step = itemsize
    cdef int i, axis
    for i in range(ndim):
        if shape[i] == 0:
            return True
    for i in range(ndim):
        axis = i if columns else ndim - 1 - i
        if shape[axis] != 1 and strides[axis] != step:
            return False
        step *= shape[axis]
    return True


cdef int _load_numpy(object numpy) except -1:
    global _numpy, _ndarray, _empty
    _empty = numpy.empty
    _ndarray = <PyTypeObject *>numpy.ndarray
    _numpy = numpy
    return 0


cdef inline bint _is_array(object value) except -1:
    if _ndarray != NULL:
        return Py_TYPE(value) == _ndarray
    # Whoever has an array has loaded numpy; who has not must not pay for it.
    numpy = sys.modules.get("numpy")
    if numpy is None or getattr(numpy, "ndarray", None) is not type(value):
        return False
    _load_numpy(numpy)
    return True


cdef object _remember(dict cache, object key, object value):
    if len(cache) >= 256:
        cache.clear()
    cache[key] = value


cdef bytes _describe(object dtype):
    """The dtype's description in an encoded array, or None if the codec stores such arrays in another way.

    Learnt from the codec, whose format it is, by an empty array.
    """
    cdef head_t head
    cdef size_t size
    cdef bytes sample
    cdef const uint8_t *p
    # numpy.record dtypes equal plain structured ones, but are not the same.
    key = dtype if dtype.names is None else (dtype, dtype.type)
    found = _descriptions.get(key)
    if found is None and dtype.itemsize and not dtype.hasobject:
        if _encode is None:
            _load_codec()
        try:
            sample = _encode(_empty(0, dtype), False)
        except InvalidValue:
            return None
        p = <const uint8_t *>PyBytes_AS_STRING(sample)
        read_head(p, PyBytes_GET_SIZE(sample), PyBytes_GET_SIZE(sample), &head)
        if head.kind == KIND_ARRAY:
            size = p[8] | <size_t>p[9] << 8
            found = sample[ARRAY_HEAD + 8 : ARRAY_HEAD + 8 + size]
            _remember(_descriptions, key, found)
    return found


cdef tuple _dtype_of(bytes description):
    """The dtype of a description and its itemsize; the codec, asked by an empty array, checks what it reads."""
    cdef size_t size = PyBytes_GET_SIZE(description), offset
    cdef uint8_t head[ARRAY_HEAD]
    found = _dtypes.get(description)
    if found is None:
        if _decode is None:
            _load_codec()
        offset = data_offset(1, size)
        memset(head, 0, ARRAY_HEAD)
        write_array_head(head, offset, 0, 67, 1, size)
        sample = head[:ARRAY_HEAD] + bytes(8) + description
        dtype = _decode(sample.ljust(offset, b"\0"), False).dtype
        found = (dtype, dtype.itemsize)
        _remember(_dtypes, description, found)
    return found


cdef object _compact(object array):
    """A copy in C order."""
    if array.dtype.names is None:
        return array.copy("C")
    # A copy does not touch the padding between fields: it must not show what was in that memory before.
    made = _numpy.zeros(array.shape, array.dtype)
    made[...] = array
    return made


cdef object _write_array(object array, shoal_put_args *put, uint8_t *scratch):
    """As `_write`, for an exact ndarray. None for one that the codec must store."""
    cdef const array_interface *face
    cdef bytes description = _describe(array.dtype)
    cdef size_t size, offset
    cdef uint64_t data
    cdef uint8_t *head = scratch
    cdef bint rows
    cdef object owner
    if description is None:
        return None
    # numpy frees the interface, and the shape that it points to, with the capsule.
    capsule = array.__array_struct__
    face = <const array_interface *>PyCapsule_GetPointer(capsule, NULL)
    # Not by the interface's flags, which numpy leaves out for structured arrays.
    rows = contiguous(face.nd, face.shape, face.strides, face.itemsize, False)
    if not rows and not contiguous(face.nd, face.shape, face.strides, face.itemsize, True):
        rows = True
        array = _compact(array)
        capsule = array.__array_struct__
        face = <const array_interface *>PyCapsule_GetPointer(capsule, NULL)
    size = PyBytes_GET_SIZE(description)
    offset = data_offset(face.nd, size)
    data = array.nbytes
    if offset > ARRAY_DATA_MAX:
        return None
    if offset + data > SHOAL_VALUE_MAX:
        raise _too_big(array, offset + data)
    owner = (array, capsule)
    if offset > SCRATCH:
        block = PyBytes_FromStringAndSize(NULL, offset)
        head = <uint8_t *>PyBytes_AS_STRING(block)
        owner = (array, capsule, block)
    memset(head, 0, offset)
    write_array_head(head, offset, data, 67 if rows else 70, face.nd, size)
    if face.nd:
        memcpy(head + ARRAY_HEAD, face.shape, 8 * face.nd)
    memcpy(head + ARRAY_HEAD + 8 * face.nd, PyBytes_AS_STRING(description), size)
    put.head = head
    put.head_size = offset
    put.body = face.data
    put.body_size = data
    put.align = SHOAL_ALIGN_VALUE
    return owner


cdef tuple _array_face(const uint8_t *p, size_t have, uint64_t size, size_t offset):
    """(shape, dtype, order) of an array as its head says; None if the codec must look at the whole value.

    `read_head` has found that an array it is, and of `size` bytes.
    """
    cdef size_t ndim = p[7], description = p[8] | <size_t>p[9] << 8, i
    cdef uint64_t items = 1, n, itemsize
    cdef tuple known
    if (
        offset % ARRAY_ALIGN
        or offset > size
        or ndim > ARRAY_NDIM_MAX
        or ARRAY_HEAD + 8 * ndim + description > (offset if offset < have else have)
        or p[6] not in (67, 70)
    ):
        return None
    head = PyBytes_FromStringAndSize(<const char *>p, ARRAY_HEAD + 8 * ndim + description)
    face = _faces.get(head)
    if face is not None:
        return face
    known = _dtype_of(PyBytes_FromStringAndSize(<const char *>p + ARRAY_HEAD + 8 * ndim, description))
    itemsize = known[1]
    shape = []
    for i in range(ndim):
        memcpy(&n, p + ARRAY_HEAD + 8 * i, 8)
        shape.append(n)
        if n and items > SHOAL_VALUE_MAX // n:
            return None
        items *= n
    if itemsize == 0 or items > SHOAL_VALUE_MAX // itemsize or items * itemsize != size - offset:
        return None
    face = (tuple(shape), known[0], chr(p[6]))
    _remember(_faces, head, face)
    return face


cdef object _new_array(const uint8_t *p, size_t have, uint64_t size, size_t offset, uint8_t **to):
    """An array as the head says, with room for its data; None if the codec must look at the whole value."""
    cdef tuple face = _array_face(p, have, size, offset)
    if face is None:
        return None
    if _empty is None:
        import numpy

        _load_numpy(numpy)
    try:
        array = _empty(face[0], face[1], face[2])
    except ValueError:
        return None  # a shape that numpy does not want, with a zero in it
    capsule = array.__array_struct__
    to[0] = <uint8_t *>(<const array_interface *>PyCapsule_GetPointer(capsule, NULL)).data
    return array
