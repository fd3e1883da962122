# An arena that nobody uses, made anew from what is whole in it.


cdef void _append_line(void *context, int severity, const char *line) noexcept with gil:
    (<list>context).append(line.decode("utf-8", "replace"))


def repair(str name not None, double timeout) -> tuple:
    """(namespaces, entries kept, entries dropped, a line for each thing that is lost)."""
    cdef list lines = []
    cdef void *context = <void *>lines
    cdef shoal_repaired sum
    cdef bytes text = name.encode()
    cdef const char *raw = text
    cdef int64_t wait = <int64_t>(timeout * 1e9)
    cdef int status
    with nogil:
        status = shoal_repair(raw, _append_line, context, wait, &sum)
    if status != SHOAL_OK:
        raise failure(_NAMES[status], name=name, timeout=timeout, cause=": " + "; ".join(lines[:3]) if lines else "")
    return sum.namespaces, sum.kept, sum.dropped, lines
