# Reading entries.


cdef class Reader(Opened):
    """What only looks."""

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
        cdef list names = _keys(keys)
        cdef dict found = dict_for(len(names))
        cdef Py_ssize_t i
        for i in range(len(names)):
            if i % SHOAL_PREFETCH == 0:
                self._prefetch(names, i)
            value = self._find(names[i], &c)
            if value is not _NOTHING:
                found[names[i]] = value
        return found

    def __contains__(self, key):
        cdef call_t c
        return self._look(key, &c, NULL, 0)

    def exists(self, key) -> bool:
        """Whether there is an entry."""
        cdef call_t c
        return self._look(key, &c, NULL, 0)

    def ttl(self, key):
        """The seconds left, or None if the entry never expires. Raises `KeyNotFound`."""
        left = self._left(key)
        if left is _NOTHING:
            raise failure("MISS", key=key, name=self._name)
        return left

    def _metadata(self, key, Py_ssize_t prefix):
        """(size, created, modified, expires, version, first bytes), or None; times as in `_times`."""
        return self._facts(key, prefix)

    def _get_bytes(self, key):
        """(size, created, modified, expires, version, encoded bytes), or None."""
        return self._copy(key)


# `key in store` goes through a slot of the type. Who binds `store.__contains__`, as one does in a loop, would get a wrapper of that
# slot, which makes a tuple at each call; so there is a method beside the slot, as `dict` has one (METH_COEXIST).
cdef PyMethodDef _contains_def


cdef object _contains(object store, object key):
    cdef call_t c
    return (<Reader>store)._look(key, &c, NULL, 0)


def add_contains(kind):
    """Give a class of stores, whose slots are made already, the method."""
    _contains_def.ml_name = "__contains__"
    _contains_def.ml_meth = <PyCFunction>_contains
    _contains_def.ml_flags = METH_O
    _contains_def.ml_doc = "Whether there is an entry."
    (<dict><object>(<PyTypeObject *>kind).tp_dict)["__contains__"] = PyDescr_NewMethod(<PyTypeObject *>kind, &_contains_def)
    PyType_Modified(<PyTypeObject *>kind)
