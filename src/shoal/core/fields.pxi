# Fields of a tree, by paths.

cdef object _split = None
cdef object _MemoryRef = None   # a named tuple of five fields
cdef object _join = None
cdef object _itself = None      # what is raised for a value at the path ""


cdef int _load_paths() except -1:
    global _split, _join, _itself, _MemoryRef
    from shoal.memory.path import itself_in_the_way, join, split
    from shoal.memory.ref import MemoryRef

    _MemoryRef = MemoryRef
    _join = join
    _itself = itself_in_the_way
    _split = split
    return 0


cdef extern from *:
    """
    /* Tuples have remembered their hash since CPython 3.14; whoever makes one says that there is none yet. */
    #if PY_VERSION_HEX >= 0x030E0000
    #define has_no_hash_yet(made) (((PyTupleObject *)(made))->ob_hash = -1)
    #else
    #define has_no_hash_yet(made) ((void)(made))
    #endif
    """
    void has_no_hash_yet(object made)


cdef inline bint is_empty(object path):
    """Whether a str is, whatever a subclass says."""
    return PyUnicode_GET_LENGTH(path) == 0


cdef Handle _nowhere = Handle.__new__(Handle)   # the home of what was not made by a store: closed


cdef object _make_ref(str path, str namespace, uint64_t version, object expires, str kind):
    # A named tuple by its class is four times as slow as its memory.
    cdef object ref = PyType_GenericAlloc(<PyTypeObject *>_MemoryRef, 5)
    cdef object number = PyLong_FromUnsignedLongLong(version)
    has_no_hash_yet(ref)
    Py_INCREF(path)
    Py_INCREF(namespace)
    Py_INCREF(number)
    Py_INCREF(expires)
    Py_INCREF(kind)
    PyTuple_SET_ITEM(ref, 0, path)
    PyTuple_SET_ITEM(ref, 1, namespace)
    PyTuple_SET_ITEM(ref, 2, number)
    PyTuple_SET_ITEM(ref, 3, expires)
    PyTuple_SET_ITEM(ref, 4, kind)
    return ref


@cython.no_gc_clear
cdef class Fields(Views):
    """One object of a tree, and the fields below it. `shoal.arena_memory.ArenaMemory` adds the rest.

    A handle borrows the mapping of the store that it was made from, and is closed with that.
    """

    cdef readonly object store
    cdef readonly str kind
    cdef readonly tuple _names      # that lead here from the root
    cdef Handle _home               # the store
    cdef str _text                  # the names as a path, and a dot if there are any
    cdef shoal_base _base
    # The path that was used last, packed, and from the root on: programs use the same few literals all the time.
    cdef object _last
    cdef object _last_text
    cdef size_t _last_size
    cdef uint8_t _last_packed[PATH]

    def __cinit__(self, *args, **kwargs):
        self._home = _nowhere
        self._tree = TREE_OF_NAMESPACE
        self._names = ()
        self._text = self.kind = ""
        self._prefix = b""

    def _settle(self, Handle home not None, str kind not None, tuple names not None):
        """Become the handle of this place; once per handle. The names have been checked."""
        if _split is None:
            _load_paths()
        home._at()  # of a closed store there are no handles
        self._tree = TREE_OF_RUNS if kind == "sensory" else TREE_OF_NAMESPACE
        self.store = self._home = home
        self.kind = kind
        self._names = names
        self._text = _join(names) + "." if names else ""
        self._prefix = b"\xff".join([(<str>name).encode() for name in names])
        self._config = home._config
        self._wait = home._wait
        self._pickle = home._pickle
        self._name = home._name
        self._namespace = home._namespace
        self._read_only = home._read_only
        self._space.tree = True
        self._base.prefix = PyBytes_GET_SIZE(self._prefix)
        self._space.base = &self._base

    # -------------------------------------------------- paths

    cdef object _follow(self, object path, call_t *c):
        cdef Py_ssize_t n = 0, i, at = PyBytes_GET_SIZE(self._prefix), depth = len(self._names) + 1
        cdef const char *text = NULL
        cdef uint8_t *to = c.path
        cdef uint8_t byte
        self._arena = self._home._arena
        if path is self._last:
            memcpy(c.path, self._last_packed, self._last_size)
            c.key = c.path
            c.key_size = self._last_size
            return None
        if PyUnicode_Check(path):
            if PyUnicode_IS_COMPACT_ASCII(path):
                text = <const char *>PyUnicode_DATA(path)
                n = PyUnicode_GET_LENGTH(path)
            else:
                text = PyUnicode_AsUTF8AndSize(path, &n)
                if text == NULL:
                    PyErr_Clear()
        if text == NULL:
            _split(path, self._names)  # has the words for what is wrong with it
            raise InvalidKey("not a path", key=path)
        owner = None
        if at + n + 1 > PATH:
            owner = PyBytes_FromStringAndSize(NULL, at + n + 1)
            to = <uint8_t *>PyBytes_AS_STRING(owner)
        c.key = to
        memcpy(to, PyBytes_AS_STRING(self._prefix), at)
        if n == 0:
            c.key_size = at
            return owner
        if at:
            to[at] = SHOAL_PATH_SEPARATOR
            at += 1
        for i in range(n):
            byte = text[i]
            if byte == c'.':
                byte = SHOAL_PATH_SEPARATOR
                depth += 1
            elif byte == c'\\':
                return self._follow_names(_split(path, self._names), c)
            to[at + i] = byte
        c.key_size = at + n
        if depth > SHOAL_DEPTH_MAX or c.key_size > SHOAL_KEY_MAX:
            _split(path, self._names)
            raise InvalidKey("a path that is too long", key=path)
        if owner is None and type(path) is str:
            memcpy(self._last_packed, to, c.key_size)
            self._last_size = c.key_size
            self._last = path
            self._last_text = None
        return owner

    @cython.final
    cdef object _follow_names(self, tuple names, call_t *c):
        packed = b"\xff".join([(<str>name).encode() for name in names])
        c.key = PyBytes_AS_STRING(packed)
        c.key_size = PyBytes_GET_SIZE(packed)
        return packed

    cdef object _explain(self, int status, object path):
        if status == SHOAL_INVALID or status == SHOAL_IS_OBJECT or status == SHOAL_NOT_OBJECT:
            # A malformed path raises in split; what is left of INVALID is something else.
            self._conflict(_split(path, self._names), _NAMES[status])

    @cython.final
    cdef str _absolute(self, object path):
        if type(path) is not str:
            path = str.__str__(path)  # a subclass could be added otherwise; what counts is the text
        return self._text[: len(self._text) - 1] if is_empty(path) else self._text + path

    cdef object _whole(self, object path):
        return self._absolute(path) if PyUnicode_Check(path) else path

    @cython.final
    cdef object _missing(self, object path):
        _split(path, self._names)  # of a malformed path nothing is said but that
        key = self._absolute(path)
        return KeyNotFound(f"there is nothing at {key!r}", key=key, name=self._name)

    cdef object _absent(self, object path):
        return self._missing(path)

    # -------------------------------------------------- reading

    def get(self, path, default=None):
        """The value there; a `MemoryObject` if it is an object; `default` if there is nothing, also below a value."""
        cdef call_t c
        if not PyUnicode_Check(path):
            return self._get_ref(path, default)
        if is_empty(path):
            return self
        value = self._find(path, &c)
        if value is _NOTHING:
            return default
        return self._handle(path) if value is _OBJECT else value

    def __getitem__(self, path):
        cdef call_t c
        if not PyUnicode_Check(path):
            value = self._get_ref(path, _NOTHING)
        elif is_empty(path):
            return self
        else:
            value = self._find(path, &c)
            if value is _OBJECT:
                return self._handle(path)
        if value is _NOTHING:
            raise self._missing(path) if PyUnicode_Check(path) else KeyNotFound(f"there is nothing at {path}", key=path)
        return value

    @cython.final
    cdef object _handle(self, object path):
        cdef Fields other = type(self).__new__(type(self))
        other._settle(self._home, self.kind, _split(path, self._names))
        return other

    def get_versioned(self, path) -> tuple:
        """What `get` gives and the version it has, of one and the same moment. Raises `KeyNotFound`."""
        cdef call_t c
        if self._is_root(path):
            raise self._missing(path)
        value = self._find(path, &c)
        if value is _NOTHING:
            raise self._missing(path)
        if value is _OBJECT:
            value = self if is_empty(path) else self._handle(path)
        return value, c.meta.version

    def is_exist(self, path="") -> bool:
        """Whether there is a value or an object. The root is always there."""
        cdef call_t c
        if self._is_root(path):
            return True
        return self._look(path, &c, NULL, 0)

    @cython.final
    cdef bint _is_root(self, object path) except -1:
        if self._prefix or not PyUnicode_Check(path) or not is_empty(path):
            return False
        self._arena = self._home._arena
        self._at()  # closed?
        return True

    def ttl(self, path=""):
        """The seconds left, or None if this field does not expire by itself. Raises `KeyNotFound`."""
        if self._is_root(path):
            raise self._missing(path)
        left = self._left(path)
        if left is _NOTHING:
            raise self._missing(path)
        return left

    def _metadata(self, path, Py_ssize_t prefix):
        """(size, created, modified, expires, version, first bytes - None of an object), or None; as of a store."""
        return None if self._is_root(path) else self._facts(path, prefix)

    def _get_bytes(self, path):
        """(size, created, modified, expires, version, encoded bytes), or None if there is no value."""
        return None if self._is_root(path) else self._copy(path)

    def _fields(self, path="") -> list:
        """(name, whether it is an object) of each field of the object there, in any order; none if there is no object."""
        cdef list found = []
        cdef uint32_t shard
        if not self._is_root(path):
            self._list(path, 0, found)
        else:
            for shard in range(shoal_shards(self._at())):
                self._list(path, shard, found)
        # A read-only mapping cannot hold an object still: a field that moves meanwhile may be met twice.
        return list(dict(found).items()) if self._read_only else found

    @cython.final
    cdef int _list(self, object path, uint32_t shard, list found) except -1:
        cdef call_t c
        cdef int status
        cdef size_t at = 0
        cdef uint16_t size
        name = self._aim(path, &c)
        c.shard = shard
        c.bytes.data = NULL
        c.bytes.size = 0
        c.op = OP_FIELDS
        status = self._run(&c, True)
        if status == SHOAL_MISS:
            return 0
        self._check(status, path)
        try:
            while at < c.bytes.size:
                memcpy(&size, c.bytes.data + at + 1, 2)
                text = PyUnicode_DecodeUTF8(<const char *>c.bytes.data + at + 3, size, NULL)
                found.append((text, c.bytes.data[at] != 0))
                at += 3 + size
        finally:
            shoal_bytes_free(&c.bytes)
        return 0

    def view(self, path):
        """As of a store. Raises `InvalidValue` of an object, and `KeyNotFound` of the root, which is no entry."""
        if self._is_root(path):
            raise self._missing(path)
        return Views.view(self, path)

    # -------------------------------------------------- writing

    def create_array(self, path, shape, dtype, *, ttl=DEFAULT):
        """As of a store. Raises `PathConflict`, at the latest when the block ends."""
        return Views.create_array(self, path, shape, dtype, ttl=ttl)

    @cython.final
    cdef inline int _check_field(self, object path) except -1:
        """A place that may have a value."""
        if PyUnicode_Check(path) and is_empty(path):
            raise _itself(self._names)
        return 0

    cdef int _check_room(self, object path) except -1:
        cdef call_t c
        _split(path, self._names)
        self._check_field(path)
        if self._look(path, &c, NULL, 0) and c.meta.is_object:
            self._check(SHOAL_IS_OBJECT, path)
        return 0

    def set(self, path, value, *, bint overwrite=False, ttl=DEFAULT):
        """Write a field, and make the objects on the way to it, all at once; the result is a `MemoryRef`."""
        cdef call_t c
        self._check_field(path)
        c.put.old = NULL
        self._put(path, value, _ns(ttl), SHOAL_IF_ANY, &c, overwrite)
        expires = None
        if c.expires:
            expires = (shoal_clock_wall_us() + (c.expires - shoal_clock_mono_ns()) // 1000) / 1e6
        if path is not self._last:
            text = self._absolute(path)
        elif self._last_text is None:
            text = self._last_text = self._absolute(path)
        else:
            text = self._last_text
        return _make_ref(text, self._namespace, c.version, expires, self.kind)

    def _set_encoded(self, path, bytes data not None, ttl, *, bint overwrite=False) -> int:
        """As `set`, with a value that is encoded already; the result is the version."""
        self._check_field(path)
        return self._put_bytes(path, data, _ns(ttl), overwrite)

    def new_object(self, path, bint overwrite=False, *, ttl=DEFAULT):
        """See to it that there is an object, and return it. One that is there stays, unless `overwrite`."""
        cdef call_t c
        if self._is_root(path):
            _ns(ttl)
            if overwrite:
                self.delete("")
            return self
        name = self._aim(path, &c)
        memset(&c.put, 0, sizeof(c.put))
        c.put.ttl = _ns(ttl)
        c.put.is_object = True
        c.put.overwrite = overwrite
        c.op = OP_PUT
        self._check(self._run(&c, True), path, c.key_size)
        return self if is_empty(path) else self._handle(path)

    def delete(self, path="") -> bool:
        """Remove a value, or an object with all that is below it, at once; whether there was one."""
        cdef call_t c
        cdef int status
        if not self._is_root(path):
            return self._delete(path, NULL)
        there = bool(self._fields())
        c.op = OP_CLEAR
        status = self._run(&c, False)
        if status != SHOAL_MISS:
            self._check(status, path)
        return there

    def compare_and_set(self, path, value, version, *, ttl=DEFAULT) -> bool:
        """Write the value only if it still has this version; version 0 means that nothing must be there."""
        cdef call_t c
        self._check_field(path)
        _check_version(version, self._whole(path))
        c.put.old = NULL
        c.put.version = version
        return self._put(path, value, _ns(ttl), SHOAL_IF_VERSION, &c) == SHOAL_OK

    def incr(self, path, by=1, *, initial=0, ttl=DEFAULT):
        """Add to the number there, or to `initial` if there is none, as of a store."""
        self._check_field(path)
        return self._add(path, by, initial, ttl)

    def touch(self, path, ttl) -> bool:
        """Give a field a new time to live, from now; whether there was one. The root takes none."""
        if self._is_root(path):
            _ns(ttl)
            return False
        return self._touch(path, ttl)
