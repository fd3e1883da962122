# The arenas of this machine, by name.


cdef int _append_info(void *context, const shoal_arena_info *info) noexcept with gil:
    (<list>context).append((
        (<const char *>info.name).decode("utf-8", "replace"), info.capacity, info.committed, info.uid, info.mode,
        bool(info.persist), bool(info.ready), bool(info.alive),
    ))
    return 0


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
    if status == SHOAL_NOT_FOUND or status == SHOAL_DENIED or status == SHOAL_BUSY:
        return False  # gone, another user's, or just being opened
    if status != SHOAL_OK:
        raise failure(_NAMES[status], name=name)
    return removed


def destroy(str name not None) -> None:
    """Remove the name now; processes that are attached go on with the memory they have."""
    cdef bytes text = name.encode()
    cdef int status = shoal_destroy(text)
    if status != SHOAL_OK:
        raise failure(_NAMES[status], name=name)
