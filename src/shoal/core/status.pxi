# The core's status codes by name; shoal._failures has an exception for each name.

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
