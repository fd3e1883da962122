# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, autotestdict=False
"""The binding: the C core's calls as methods of `ArenaStore`, without a Python frame in between.

    Arena        this process's one mapping of an arena, counted by its handles and by the calls in flight
    ArenaStore   a handle: an Arena, a namespace of it and a few options

Two rules hold throughout. While the GIL is held nobody else can close a mapping, so a call that keeps the GIL
needs no accounting; a call that lets go of it is a *visit*, and the mapping stays until the last visit ends.
A call never waits with the GIL: it is tried with no wait first, and repeated without the GIL if that was not enough.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear, PyErr_Fetch, PyErr_Occurred, PyErr_Restore
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset, strlen

from shoal._call cimport *
from shoal._capi cimport *
from shoal._value cimport *

import os
import sys
from _thread import allocate_lock

from shoal._failures import failure
from shoal._lifetime import Lifetime, identity
from shoal.errors import InvalidKey, InvalidValue, KeyNotFound, StoreClosed
from shoal.keys import check_key, check_keys
from shoal.options import DEFAULT, KEEP, MISSING, parse_ttl, ttl_to_ns

cdef extern from "Python.h":
    bint PyUnicode_Check(object text)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    object PyLong_FromLongLong(long long i)
    object PyLong_FromUnsignedLongLong(unsigned long long i)
    object PyFloat_FromDouble(double f)
    long long PyLong_AsLongLongAndOverflow(object i, int *overflow) except? -1
    PyTypeObject *Py_TYPE(object)
    int PyErr_CheckSignals()  # what it raises stays pending: it is not for Cython to report

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

cdef enum:
    SMALL = 512             # values up to this size are copied to the stack and decoded from there
    SCRATCH = 1024          # room for the head that a value gets
    RELEASE = 65536         # from this size on copies let go of the GIL (SHOAL_PIN_THRESHOLD)
    PATIENCE = 16           # how often a value, or a namespace, may change between two looks at it


# Names of the core's status codes.
_NAMES = {
    SHOAL_OK: "OK",
    SHOAL_MISS: "MISS",
    SHOAL_EXISTS: "EXISTS",
    SHOAL_CONFLICT: "CONFLICT",
    SHOAL_STALE: "STALE",
    SHOAL_BUSY: "BUSY",
    SHOAL_INTERRUPTED: "INTERRUPTED",
    SHOAL_FULL_ARENA: "FULL_ARENA",
    SHOAL_FULL_SYSTEM: "FULL_SYSTEM",
    SHOAL_FULL_KEYS: "FULL_KEYS",
    SHOAL_FULL_NAMESPACES: "FULL_NAMESPACES",
    SHOAL_FULL_PROCESSES: "FULL_PROCESSES",
    SHOAL_FULL_PINS: "FULL_PINS",
    SHOAL_NOT_NUMBER: "NOT_NUMBER",
    SHOAL_OVERFLOW: "OVERFLOW",
    SHOAL_READ_ONLY: "READ_ONLY",
    SHOAL_NOT_FOUND: "NOT_FOUND",
    SHOAL_DENIED: "DENIED",
    SHOAL_FOREIGN: "FOREIGN",
    SHOAL_CORRUPT: "CORRUPT",
    SHOAL_INVALID: "INVALID",
    SHOAL_NO_MEMORY: "NO_MEMORY",
    SHOAL_OS: "OS",
}


def statuses() -> list:
    """The names of the core's status codes, in their order."""
    return [_NAMES.get(status) for status in range(SHOAL_STATUS_COUNT)]


# ---------------------------------------------------------------------- mappings of this process

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
    cdef bint persist
    cdef tuple key
    cdef object identity
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
        if self.visits == NULL and self.ptr == NULL:
            self.detach()

    cdef void detach(self) noexcept:
        """The last visit to a closing mapping is over."""
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
        for waiter in self.waiters:
            waiter.release()
        self.waiters = []
        PyErr_Restore(kind, value, trace)

    cdef bint retire(self) noexcept:
        """No new calls from here on; detach now if nobody is in a call. Says whether some still are."""
        if self.ptr != NULL:
            self.ptr = NULL
            if _registry.get(self.key) is self:
                del _registry[self.key]
        if self.visits == NULL:
            self.detach()
        return self.raw != NULL

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
        if self.ptr == NULL and self.visits == NULL:
            self.detach()

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
    memset(&error, 0, sizeof(error))
    options.flag = <char>ord(flag)
    options.persist = persist
    options.mode = mode
    options.size = size
    options.wait = wait
    with nogil:
        status = shoal_open(chars, &options, &raw, &error)
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
    cdef tuple key = (name, flag == "r")
    with _lifetime.opening:
        arena = _registry.get(key) if flag != "n" else None
        if arena is not None:
            arena.refs += 1
            if arena.identity == identity(name):
                if persist and not arena.persist:
                    raw = _map(name, "w", size, True, mode, wait)
                    with nogil:
                        shoal_close(raw)
                    arena.persist = True
                return arena
            arena.release(False)
        raw = _map(name, flag, size, persist, mode, wait)
        shoal_set_wait_hook(raw, _check_signals, NULL)
        arena = Arena.__new__(Arena)
        arena.ptr = arena.raw = raw
        arena.refs = 1
        arena.persist = persist
        arena.key = key
        arena.waiters = []
        arena.identity = identity(name)
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


def _inherit_all():
    """In a forked child."""
    cdef Arena arena
    for arena in list(_live):
        arena.inherit()


_lifetime = Lifetime(_close_all, _inherit_all)


# ---------------------------------------------------------------------- values

cdef object _NOTHING = object()     # no such entry
cdef object _UNPINNED = object()    # the entry cannot be pinned: copy it
cdef object _MISSING = MISSING
cdef object _DEFAULT = DEFAULT
cdef object _KEEP = KEEP
cdef object _encode = None          # of shoal.codec, which is loaded by the first value that needs it
cdef object _decode = None
cdef object _numpy = None
cdef PyTypeObject *_ndarray = NULL
cdef object _empty = None
cdef dict _descriptions = {}        # dtype -> its description in an encoded array
cdef dict _dtypes = {}              # description -> (dtype, itemsize)


cdef int _load_codec() except -1:
    global _encode, _decode
    from shoal import codec

    _encode, _decode = codec.encode, codec.decode
    return 0


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
    found = _descriptions.get(dtype)
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
            _remember(_descriptions, dtype, found)
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


cdef object _too_big(object value, size_t size):
    return InvalidValue(
        f"a value must have at most {SHOAL_VALUE_MAX:,} bytes, this {type(value).__name__} has {size:,}",
        limit=SHOAL_VALUE_MAX,
    )


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
    put.align = True
    return owner


cdef object _write(object value, bint pickle, shoal_put_args *put, uint8_t *scratch):
    """Point head and body of `put` to the encoded value; the result keeps them where they are."""
    cdef Py_ssize_t n
    cdef const char *text
    cdef int overflow = 0
    cdef long long i
    put.head = scratch
    put.body = NULL
    put.body_size = 0
    put.align = False
    kind = <object>Py_TYPE(value)
    if kind is str:
        owner = None
        if PyUnicode_IS_COMPACT_ASCII(value):
            text = <const char *>PyUnicode_DATA(value)
            n = PyUnicode_GET_LENGTH(value)
        else:
            if PyUnicode_GET_LENGTH(value) > SMALL:  # encoding it in place would keep a second copy in the str
                try:
                    owner = value.encode()
                except UnicodeEncodeError:
                    return _write_other(value, pickle, put)
                text = PyBytes_AS_STRING(owner)
                n = PyBytes_GET_SIZE(owner)
            else:
                try:
                    text = _utf8(value, &n)
                except UnicodeEncodeError:
                    return _write_other(value, pickle, put)
        if n > SHOAL_VALUE_MAX - HEAD_MAX:
            raise _too_big(value, n)
        put.head_size = write_str(scratch, n)
        put.body = text
        put.body_size = n
        return owner
    if kind is int:
        i = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            return _write_other(value, pickle, put)
        put.head_size = write_int(scratch, i)
        return None
    if kind is float:
        put.head_size = write_float(scratch, PyFloat_AS_DOUBLE(value))
        return None
    if kind is bytes:
        n = PyBytes_GET_SIZE(value)
        if n > SHOAL_VALUE_MAX - HEAD_MAX:
            raise _too_big(value, n)
        put.head_size = write_bytes(scratch, n)
        put.body = PyBytes_AS_STRING(value)
        put.body_size = n
        return None
    if value is None or kind is bool:
        scratch[0] = 0xC0 if value is None else 0xC3 if value is True else 0xC2
        put.head_size = 1
        return None
    if _is_array(value):
        owner = _write_array(value, put, scratch)
        if owner is not None:
            return owner
    return _write_other(value, pickle, put)


cdef inline const char *_utf8(object text, Py_ssize_t *size) except NULL:
    return PyUnicode_AsUTF8AndSize(text, size)


cdef object _write_other(object value, bint pickle, shoal_put_args *put):
    """By the codec, whatever it is; and what cannot be stored raises there."""
    if _encode is None:
        _load_codec()
    return _write_encoded(_encode(value, pickle), put)


cdef object _write_encoded(bytes data, shoal_put_args *put):
    cdef head_t head
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef size_t n = PyBytes_GET_SIZE(data)
    if n > SHOAL_VALUE_MAX:
        raise _too_big(data, n)
    read_head(p, n, n, &head)
    put.head = p
    put.head_size = n
    put.body = NULL
    put.body_size = 0
    put.align = head.kind == KIND_ARRAY
    return data


cdef inline object _text(const uint8_t *p, size_t n):
    """From bytes that nobody changes meanwhile."""
    cdef object text
    if all_ascii(p, n):
        text = PyUnicode_New(n, 127)
        memcpy(PyUnicode_DATA(text), p, n)
        return text
    return _text_utf8(p, n)


cdef object _text_utf8(const uint8_t *p, size_t n):
    try:
        return PyUnicode_DecodeUTF8(<const char *>p, n, NULL)
    except UnicodeDecodeError as error:
        raise InvalidValue(f"the stored text is not UTF-8: {error}") from error


cdef object _new_array(const uint8_t *p, size_t have, uint64_t size, size_t offset, uint8_t **to):
    """An array as the head says, with room for its data; None if the codec must look at the whole value."""
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
    if _empty is None:
        import numpy

        _load_numpy(numpy)
    try:
        array = _empty(tuple(shape), known[0], "F" if p[6] == 70 else "C")
    except ValueError:
        return None  # a shape that numpy does not want, with a zero in it
    capsule = array.__array_struct__
    to[0] = <uint8_t *>(<const array_interface *>PyCapsule_GetPointer(capsule, NULL)).data
    return array


cdef object _room(const uint8_t *p, size_t have, uint64_t size, head_t *head, uint8_t **to):
    """The object that a value of several bytes will be, or will be made from: its payload goes to `to`."""
    cdef object made
    read_head(p, have, size, head)
    if head.kind == KIND_STR:
        # Taken for ASCII until all of it is there.
        made = PyUnicode_New(size - head.size, 127)
        to[0] = <uint8_t *>PyUnicode_DATA(made)
        return made
    if head.kind == KIND_ARRAY:
        made = _new_array(p, have, size, head.size, to)
        if made is not None:
            return made
    if head.kind != KIND_BYTES:
        head.kind = KIND_OTHER
        head.size = 0
    made = PyBytes_FromStringAndSize(NULL, size - head.size)
    to[0] = <uint8_t *>PyBytes_AS_STRING(made)
    return made


cdef object _finish(object made, head_t *head, bint pickle):
    """The value, now that all bytes are there."""
    cdef const uint8_t *p
    cdef size_t n
    cdef bint ascii
    if head.kind == KIND_STR:
        p = <const uint8_t *>PyUnicode_DATA(made)
        n = PyUnicode_GET_LENGTH(made)
        if n < RELEASE:
            ascii = all_ascii(p, n)
        else:
            with nogil:
                ascii = all_ascii(p, n)
        return made if ascii else _text_utf8(p, n)
    if head.kind == KIND_OTHER:
        if _decode is None:
            _load_codec()
        return _decode(made, pickle)
    return made


cdef object _read(const uint8_t *p, size_t n, bint pickle):
    """The value of bytes that nobody changes meanwhile."""
    cdef head_t head
    cdef uint8_t *to = NULL
    cdef object made
    read_head(p, n, n, &head)
    if head.kind == KIND_STR:
        return _text(p + head.size, n - head.size)
    if head.kind == KIND_INT:
        return PyLong_FromLongLong(head.i)
    if head.kind == KIND_FLOAT:
        return PyFloat_FromDouble(head.f)
    if head.kind == KIND_NONE:
        return None
    if head.kind == KIND_TRUE:
        return True
    if head.kind == KIND_FALSE:
        return False
    if head.kind == KIND_UINT:
        return PyLong_FromUnsignedLongLong(head.u)
    made = _room(p, n, n, &head, &to)
    if n < RELEASE:
        memcpy(to, p + head.size, n - head.size)
    else:
        with nogil:
            memcpy(to, p + head.size, n - head.size)
    return _finish(made, &head, pickle)


cdef object _take(shoal_bytes *data, bint pickle):
    """The value of bytes that the core handed over; None if there are none."""
    if data.data == NULL:
        return None
    try:
        return _read(data.data, data.size, pickle)
    finally:
        shoal_bytes_free(data)


cdef int64_t _ns(object ttl) except? -3:
    if ttl is _DEFAULT:
        return SHOAL_TTL_DEFAULT
    if ttl is None:
        return SHOAL_TTL_NEVER
    if ttl is _KEEP:
        return SHOAL_TTL_KEEP
    seconds = parse_ttl(ttl)
    return SHOAL_TTL_NEVER if seconds is None else ttl_to_ns(seconds)


cdef int _number(object value, object key, shoal_number *out) except -1:
    cdef int overflow = 0
    if isinstance(value, float):
        out.is_float = True
        out.f = PyFloat_AS_DOUBLE(value)
        out.i = 0
        return 0
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidValue(f"incr adds an int or a float, not {type(value).__name__}", key=key)
    out.is_float = False
    out.f = 0
    out.i = PyLong_AsLongLongAndOverflow(value.__index__(), &overflow)
    if overflow:
        raise failure(_NAMES[SHOAL_OVERFLOW], key=key)
    return 0


cdef inline int _key(object key, call_t *c) except -1:
    cdef Py_ssize_t n = 0
    if PyUnicode_Check(key):
        if PyUnicode_IS_COMPACT_ASCII(key):
            c.key = PyUnicode_DATA(key)
            n = PyUnicode_GET_LENGTH(key)
        else:
            c.key = PyUnicode_AsUTF8AndSize(key, &n)
            if c.key == NULL:
                PyErr_Clear()
                n = 0
        if 0 < n <= SHOAL_KEY_MAX:
            c.key_size = n
            return 0
    check_key(key)  # has the words for what is wrong with it
    raise InvalidKey("not a key", key=key)


# ---------------------------------------------------------------------- arenas by name, and what the core reports

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


cdef int _append_info(void *context, const shoal_arena_info *info) noexcept with gil:
    (<list>context).append((
        (<const char *>info.name).decode("utf-8", "replace"), info.capacity, info.committed, info.uid, info.mode,
        bool(info.persist), bool(info.ready), bool(info.alive),
    ))
    return 0


cdef tuple _times(shoal_meta *meta):
    """(size, created, modified, expires, version): microseconds since 1970; expires is None for never."""
    expires = None
    if meta.expires_ns:
        expires = shoal_clock_wall_us() + (meta.expires_ns - shoal_clock_mono_ns()) // 1000
    return meta.size, meta.created_us, meta.modified_us, expires, meta.version


cdef int _raise_pending() except -1:
    return -1


def list_arenas() -> list:
    """(name, capacity, committed, uid, mode, persist, ready, alive) of each arena of this machine."""
    cdef list found = []
    cdef int status = shoal_list(_append_info, <void *>found)
    if status != SHOAL_OK:
        raise failure(_NAMES[status])
    return found


def collect(str name not None) -> bool:
    """Remove the arena if nobody alive uses it and it does not persist; whether it was removed."""
    cdef c_bool removed = False
    cdef bytes text = name.encode()
    cdef int status = shoal_collect(text, &removed)
    if status == SHOAL_NOT_FOUND:
        return False
    if status != SHOAL_OK:
        raise failure(_NAMES[status], name=name)
    return removed


def destroy(str name not None) -> None:
    """Remove the name now; processes that are attached go on with the memory they have."""
    cdef bytes text = name.encode()
    cdef int status = shoal_destroy(text)
    if status != SHOAL_OK:
        raise failure(_NAMES[status], name=name)


# ---------------------------------------------------------------------- the handle

@cython.no_gc_clear
cdef class ArenaStore:
    """The calls of `shoal.store.Store` that go to the core. `shoal.arena.ArenaStore` adds the rest."""

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

    def _share(self, ArenaStore other not None, str namespace, *, ttl, max_keys, eviction):
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

    # -------------------------------------------------- reading

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
        for again in range(PATIENCE):
            if status != SHOAL_OK:
                c.op = OP_GET
                c.dst = small
                c.skip = 0
                c.cap = SMALL
                status = self._run(c, True)
                if status == SHOAL_MISS:
                    return _NOTHING
                self._check(status, key)
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
            c.op = OP_GET
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
            c.op = OP_GET
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
    cdef bint _stat_call(self, object key, call_t *c) except -1:
        """Metadata of the entry; whether there is one."""
        cdef int status = SHOAL_BUSY
        cdef shoal_arena *arena = self._arena.ptr
        _key(key, c)
        if arena != NULL:
            status = shoal_stat(arena, &self._space, c.key, c.key_size, &c.meta, 0)
        if status != SHOAL_OK and status != SHOAL_MISS:
            c.op = OP_STAT
            status = self._run(c, True)
        if status == SHOAL_MISS:
            return False
        self._check(status, key)
        return True

    def __contains__(self, key):
        cdef call_t c
        return self._stat_call(key, &c)

    def exists(self, key) -> bool:
        """Whether there is an entry."""
        cdef call_t c
        return self._stat_call(key, &c)

    def ttl(self, key):
        """The seconds left, or None if the entry never expires. Raises `KeyNotFound`."""
        cdef call_t c
        cdef int64_t left
        if not self._stat_call(key, &c):
            raise failure("MISS", key=key, name=self._name)
        if c.meta.expires_ns == 0:
            return None
        left = c.meta.expires_ns - shoal_clock_mono_ns()
        return left / 1e9 if left > 0 else 0.0

    def _stat(self, key, Py_ssize_t prefix):
        """(size, created, modified, expires, version, first bytes), or None; times as in `_times`."""
        cdef call_t c
        cdef uint8_t small[SMALL]
        cdef int status
        # Absence is told by a call that is not counted as a miss.
        if not self._stat_call(key, &c):
            return None
        c.op = OP_GET
        c.dst = small
        c.skip = 0
        c.cap = min(max(prefix, 0), SMALL)
        status = self._run(&c, True)
        if status == SHOAL_MISS:
            return None
        self._check(status, key)
        return (*_times(&c.meta), small[: min(c.cap, c.meta.size)])

    def _get_bytes(self, key):
        """(size, created, modified, expires, version, encoded bytes), or None."""
        cdef call_t c
        cdef int status
        if not self._stat_call(key, &c):
            return None
        c.op = OP_GET
        if c.meta.size < SMALL:
            c.meta.size = SMALL
        while True:
            data = PyBytes_FromStringAndSize(NULL, c.meta.size)
            c.dst = PyBytes_AS_STRING(data)
            c.skip = 0
            c.cap = PyBytes_GET_SIZE(data)
            status = self._run(&c, c.cap <= RELEASE)
            if status == SHOAL_MISS:
                return None
            self._check(status, key)
            if c.meta.size <= c.cap:
                return (*_times(&c.meta), data[: c.meta.size] if c.meta.size < c.cap else data)

    # -------------------------------------------------- writing

    @cython.final
    cdef int _put(self, object key, object value, object ttl, int condition, call_t *c) except -1:
        """OK, MISS, EXISTS or CONFLICT; anything else raises."""
        cdef uint8_t scratch[SCRATCH]
        cdef int status = SHOAL_BUSY
        cdef size_t size
        cdef shoal_arena *arena
        _key(key, c)
        c.put.ttl = SHOAL_TTL_DEFAULT if ttl is _DEFAULT else _ns(ttl)
        owner = _write(value, self._pickle, &c.put, scratch)
        c.put.condition = condition
        size = c.put.head_size + c.put.body_size
        arena = self._arena.ptr  # encoding may have run anything, so not earlier
        if arena != NULL and size <= RELEASE:
            status = shoal_put(arena, &self._space, c.key, c.key_size, &c.put, &c.version, 0)
            if status == SHOAL_OK:
                return status
        return self._put_slowly(key, c, status, size)

    @cython.final
    cdef int _put_slowly(self, object key, call_t *c, int status, size_t size) except -1:
        if status == SHOAL_BUSY or status == SHOAL_STALE:
            c.op = OP_PUT
            status = self._run(c, size <= RELEASE)
        if status == SHOAL_OK or status == SHOAL_MISS or status == SHOAL_EXISTS or status == SHOAL_CONFLICT:
            return status
        self._check(status, key, c.key_size + size)
        return status

    def set(self, key, value, *, ttl=DEFAULT) -> int:
        """Write the entry, whether there is one or not. The result is its new version."""
        cdef call_t c
        c.put.old = NULL
        self._put(key, value, ttl, SHOAL_IF_ANY, &c)
        return PyLong_FromUnsignedLongLong(c.version)

    def __setitem__(self, key, value):
        cdef call_t c
        c.put.old = NULL
        self._put(key, value, _DEFAULT, SHOAL_IF_ANY, &c)

    def add(self, key, value, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it is absent. Of several callers at once, one gets True."""
        cdef call_t c
        c.put.old = NULL
        return self._put(key, value, ttl, SHOAL_IF_ABSENT, &c) == SHOAL_OK

    def replace(self, key, value, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it is there."""
        cdef call_t c
        c.put.old = NULL
        return self._put(key, value, ttl, SHOAL_IF_PRESENT, &c) == SHOAL_OK

    def swap(self, key, value, *, ttl=DEFAULT):
        """Write the entry; the result is the value that it replaced, or None."""
        cdef call_t c
        c.bytes.data = NULL
        c.put.old = &c.bytes
        self._put(key, value, ttl, SHOAL_IF_ANY, &c)
        return _take(&c.bytes, self._pickle)

    def compare_and_set(self, key, value, version, *, ttl=DEFAULT) -> bool:
        """Write the entry only if it still has this version; version 0 means that it must be absent."""
        cdef call_t c
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 1 << 64:
            raise InvalidValue(f"a version is an int, 0 or more, not {version!r}", key=key)
        c.put.old = NULL
        c.put.version = version
        return self._put(key, value, ttl, SHOAL_IF_VERSION, &c) == SHOAL_OK

    def set_many(self, mapping, *, ttl=DEFAULT) -> None:
        """Write all entries, each atomically.

        A key or value that cannot be stored is found before the first write: then nothing changes.
        """
        cdef list encoded = [(check_key(key), self._encode(value)) for key, value in mapping.items()]
        cdef int64_t nanoseconds = _ns(ttl)
        for key, data in encoded:
            self._put_bytes(key, data, nanoseconds)

    @cython.final
    cdef uint64_t _put_bytes(self, object key, bytes data, int64_t ttl) except 0:
        cdef call_t c
        cdef size_t size
        _key(key, &c)
        _write_encoded(data, &c.put)
        c.put.old = NULL
        c.put.ttl = ttl
        c.put.condition = SHOAL_IF_ANY
        size = c.put.head_size
        self._put_slowly(key, &c, SHOAL_BUSY, size)
        return c.version

    def _set_encoded(self, key, bytes data not None, ttl) -> int:
        """As `set`, with a value that is encoded already."""
        return self._put_bytes(key, data, _ns(ttl))

    def _encode(self, value) -> bytes:
        """The bytes that `set` would store."""
        cdef shoal_put_args put
        cdef uint8_t scratch[SCRATCH]
        owner = _write(value, self._pickle, &put, scratch)
        if put.body_size == 0 and type(owner) is bytes and put.head_size == <size_t>PyBytes_GET_SIZE(owner):
            return owner
        data = PyBytes_FromStringAndSize(NULL, put.head_size + put.body_size)
        memcpy(PyBytes_AS_STRING(data), put.head, put.head_size)
        if put.body_size:
            memcpy(PyBytes_AS_STRING(data) + put.head_size, put.body, put.body_size)
        return data

    @cython.final
    cdef bint _delete(self, object key, shoal_bytes *old) except -1:
        cdef call_t c
        cdef int status
        _key(key, &c)
        c.op = OP_DELETE
        c.put.old = old
        status = self._run(&c, True)
        if status == SHOAL_MISS:
            return False
        self._check(status, key)
        return True

    def delete(self, key) -> bool:
        """Remove the entry; whether there was one."""
        return self._delete(key, NULL)

    def __delitem__(self, key):
        if not self._delete(key, NULL):
            raise failure("MISS", key=key, name=self._name)

    def delete_many(self, keys) -> int:
        """Remove the entries; how many of them were there."""
        cdef Py_ssize_t count = 0
        for key in check_keys(keys):
            count += self._delete(key, NULL)
        return count

    def pop(self, key, default=MISSING):
        """Remove the entry and return its value: one caller gets it. Without a `default`, `KeyNotFound` if absent."""
        cdef shoal_bytes old
        old.data = NULL
        if self._delete(key, &old):
            return _take(&old, self._pickle)
        if default is _MISSING:
            raise failure("MISS", key=key, name=self._name)
        return default

    def incr(self, key, by=1, *, initial=0, ttl=DEFAULT):
        """Add to the number stored there, or to `initial` if there is none; the result is the new number.

        An int plus an int is an int; with a float it is a float. What is not a number, or leaves the range of 64-bit
        ints, is an `InvalidValue` and the entry stays. With `ttl` left out an existing entry keeps its expiry.
        """
        cdef call_t c
        _key(key, &c)
        _number(by, key, &c.by)
        _number(initial, key, &c.initial)
        c.ttl = SHOAL_TTL_KEEP if ttl is _DEFAULT else _ns(ttl)
        c.op = OP_INCR
        self._check(self._run(&c, True), key, c.key_size + HEAD_MAX)
        if c.result.is_float:
            return c.result.f
        return c.result.i

    def touch(self, key, ttl) -> bool:
        """Give the entry a new time to live, from now; whether there was one. Neither value nor version change."""
        cdef call_t c
        cdef int status
        _key(key, &c)
        c.ttl = _ns(ttl)
        c.op = OP_TOUCH
        status = self._run(&c, True)
        if status == SHOAL_MISS:
            return False
        self._check(status, key, c.key_size)
        return True

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
        """The keys of one shard that start with `prefix`, as they are at one instant."""
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
        return keys

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
        """Of each namespace: its name, and (entries, bytes, max_keys, ttl in seconds or None, eviction)."""
        cdef shoal_namespace space
        cdef shoal_namespace_config config
        cdef shoal_namespace_stats count
        cdef shoal_arena *raw = self._at()
        cdef Arena arena = self._arena
        cdef visit_t visit
        cdef int64_t wait = self._wait
        cdef int status
        cdef list found = [], spaces = []
        self._check(shoal_namespace_list(raw, _append_space, <void *>spaces), None)
        for name, number, uid in sorted(spaces):
            space.id = number
            space.uid = uid
            arena.enter(&visit)
            with nogil:
                status = shoal_namespace_count(raw, &space, &count, wait)
                if status == SHOAL_OK:
                    status = shoal_namespace_get_config(raw, &space, &config)
            arena.leave(&visit)
            if status == SHOAL_STALE and PyErr_Occurred() == NULL:
                continue  # dropped meanwhile
            self._check(status, None)
            eviction = "sieve" if config.eviction == SHOAL_EVICT_SIEVE else "error"
            ttl = config.ttl / 1e9 if config.ttl else None
            found.append((name, (count.entries, count.bytes, config.max_keys, ttl, eviction)))
            raw = self._at()
            arena = self._arena
        return found

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

    def _unlink(self) -> None:
        """Remove the arena's name, unless another arena has it by now."""
        self._check(shoal_unlink(self._at()), None)
