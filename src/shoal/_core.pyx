# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, autotestdict=False
"""The binding: the C core's calls as methods of `ArenaStore`, without a Python frame in between.

One extension module from several parts, bottom-up:

    status      the core's status codes by name
    call        one call to the core as a struct
    mapping     `Arena`: this process's one mapping of an arena, counted by its handles and by the calls in flight
    heads       the heads of MessagePack objects
    arrays      numpy's arrays as encoded values
    plain       lists, and dicts with text for keys, as encoded values
    values      Python values as encoded values
    arguments   keys, times to live, numbers
    arenas      the arenas of this machine by name
    handle      `Handle`: an Arena, a namespace of it or the tree of one, and a few options; how calls are made
    entries     `Entries(Handle)`: how one entry is found, written and removed
    loans       `Loan`: bytes that stay where they are as long as somebody looks at them
    drafts      `Draft`: an array that is filled in place
    views       `Views(Entries)`: values where they lie, looked at and filled
    fields      `Fields(Views)`: all of it by paths, of a tree
    opening     `Opened(Views)`: opening and closing
    reading     `Reader(Opened)`: get and what else only looks
    writing     `Writer(Reader)`: set and what else changes an entry
    store       `ArenaStore(Writer)`: the namespace and the arena as a whole
    repair      an arena that nobody uses, made anew from what is whole in it

Two rules hold throughout. While the GIL is held nobody else can close a mapping, so a call that keeps the GIL
needs no accounting; a call that lets go of it is a *visit*, and the mapping stays until the last visit ends.
A loan keeps it, too, whoever closes the store.
A call never waits with the GIL: it is tried with no wait first, and repeated without the GIL if that was not enough.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear, PyErr_Fetch, PyErr_Occurred, PyErr_Restore
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.object cimport PyCFunction, PyMethodDef, PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shoal._capi cimport *

import os
import sys
from _thread import allocate_lock

from shoal._failures import failure
from shoal._lifetime import Lifetime
from shoal.errors import InvalidKey, InvalidValue, KeyNotFound, StoreClosed, StoreNotFound
from shoal.keys import check_key, check_keys
from shoal.options import DEFAULT, KEEP, MISSING, parse_ttl, ttl_to_ns
from shoal.options import MAX_TTL as _LONGEST

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
    enum: METH_O
    PyTypeObject *Py_TYPE(object)
    object PyDescr_NewMethod(PyTypeObject *kind, PyMethodDef *method)
    void PyType_Modified(PyTypeObject *kind)
    int PyDict_Next(object mapping, Py_ssize_t *at, PyObject **key, PyObject **value)
    Py_ssize_t PyDict_Size(object mapping)
    Py_ssize_t PyList_GET_SIZE(object items)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t at)
    int _PyBytes_Resize(PyObject **block, Py_ssize_t size) except -1
    object PyType_GenericAlloc(PyTypeObject *kind, Py_ssize_t items)
    int PyBuffer_FillInfo(Py_buffer *view, object exporter, void *data, Py_ssize_t size, int read_only, int flags) except -1
    object PyMemoryView_FromObject(object exporter)
    object dict_for "__Pyx_PyDict_NewPresized"(Py_ssize_t items)  # as Cython's own code makes dicts: with room
    int PyErr_CheckSignals()  # what it raises stays pending: it is not for Cython to report

cdef enum:
    SMALL = 512             # values up to this size are copied to the stack and decoded from there
    SCRATCH = 1024          # room for the head that a value gets
    PATH = 256              # bytes of a path that a call has room for itself
    PINNED = 65536          # from this size on values are pinned while they are copied (SHOAL_PIN_THRESHOLD)
    RELEASE = 262144        # from this size on copies let go of the GIL: to take it back costs as much as to copy some 20 KB
    PATIENCE = 16           # how often a value, or a namespace, may change between two looks at it

include "core/status.pxi"
include "core/call.pxi"
include "core/mapping.pxi"
include "core/heads.pxi"
include "core/arrays.pxi"
include "core/plain.pxi"
include "core/values.pxi"
include "core/arguments.pxi"
include "core/arenas.pxi"
include "core/handle.pxi"
include "core/entries.pxi"
include "core/loans.pxi"
include "core/drafts.pxi"
include "core/views.pxi"
include "core/fields.pxi"
include "core/opening.pxi"
include "core/reading.pxi"
include "core/writing.pxi"
include "core/store.pxi"
include "core/repair.pxi"
