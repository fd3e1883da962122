#include "shoal.h"

const char *shoal_status_name(shoal_status status)
{
    static const char *const names[SHOAL_STATUS_COUNT] = {
        [SHOAL_OK] = "ok", [SHOAL_MISS] = "miss", [SHOAL_EXISTS] = "exists", [SHOAL_CONFLICT] = "conflict",
        [SHOAL_IS_OBJECT] = "an object is there", [SHOAL_NOT_OBJECT] = "a value is there",
        [SHOAL_STALE] = "stale namespace", [SHOAL_BUSY] = "busy", [SHOAL_INTERRUPTED] = "interrupted",
        [SHOAL_FULL_ARENA] = "arena full", [SHOAL_FULL_SYSTEM] = "file system full", [SHOAL_FULL_KEYS] = "max_keys reached",
        [SHOAL_FULL_NAMESPACES] = "too many namespaces", [SHOAL_FULL_PROCESSES] = "too many processes",
        [SHOAL_FULL_PINS] = "too many pins", [SHOAL_NOT_NUMBER] = "not a number", [SHOAL_OVERFLOW] = "overflow",
        [SHOAL_READ_ONLY] = "read-only", [SHOAL_NOT_FOUND] = "not found", [SHOAL_DENIED] = "denied",
        [SHOAL_FOREIGN] = "not an arena of this layout", [SHOAL_CORRUPT] = "corrupt", [SHOAL_INVALID] = "invalid argument",
        [SHOAL_NO_MEMORY] = "out of memory", [SHOAL_OS] = "system call failed",
    };
    return status >= 0 && status < SHOAL_STATUS_COUNT ? names[status] : "unknown";
}
