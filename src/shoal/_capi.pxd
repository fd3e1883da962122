"""The C API of the core (csrc/include/shoal.h), as far as the binding calls it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"

cdef extern from "shoal.h" nogil:
    enum:
        SHOAL_KEY_MAX
        SHOAL_VALUE_MAX
        SHOAL_NAME_MAX
        SHOAL_PIN_THRESHOLD
        SHOAL_EVICT_ERROR
        SHOAL_EVICT_SIEVE
        SHOAL_ALIGN_NONE
        SHOAL_ALIGN_VALUE
        SHOAL_ALIGN_BODY
        SHOAL_HEAD
        SHOAL_TTL_NEVER
        SHOAL_TTL_DEFAULT
        SHOAL_TTL_KEEP
        SHOAL_IF_ANY
        SHOAL_IF_ABSENT
        SHOAL_IF_PRESENT
        SHOAL_IF_VERSION
        SHOAL_PATH_SEPARATOR
        SHOAL_DEPTH_MAX

    ctypedef enum shoal_status:
        SHOAL_OK
        SHOAL_MISS
        SHOAL_EXISTS
        SHOAL_CONFLICT
        SHOAL_IS_OBJECT
        SHOAL_NOT_OBJECT
        SHOAL_STALE
        SHOAL_BUSY
        SHOAL_INTERRUPTED
        SHOAL_FULL_ARENA
        SHOAL_FULL_SYSTEM
        SHOAL_FULL_KEYS
        SHOAL_FULL_NAMESPACES
        SHOAL_FULL_PROCESSES
        SHOAL_FULL_PINS
        SHOAL_NOT_NUMBER
        SHOAL_OVERFLOW
        SHOAL_READ_ONLY
        SHOAL_NOT_FOUND
        SHOAL_DENIED
        SHOAL_FOREIGN
        SHOAL_CORRUPT
        SHOAL_INVALID
        SHOAL_NO_MEMORY
        SHOAL_OS
        SHOAL_STATUS_COUNT

    const char *shoal_status_name(shoal_status status)

    ctypedef struct shoal_arena:
        pass

    ctypedef struct shoal_error:
        int os_errno
        const char *what

    # arena

    ctypedef struct shoal_options:
        char flag
        c_bool persist
        uint32_t mode
        uint64_t size
        int64_t wait

    ctypedef struct shoal_arena_info:
        char name[201]
        uint64_t capacity
        uint64_t committed
        uint32_t uid
        uint32_t mode
        c_bool persist
        c_bool ready
        c_bool alive

    shoal_status shoal_open(const char *name, const shoal_options *options, shoal_arena **out, shoal_error *error)
    void shoal_close(shoal_arena *arena)
    void shoal_quit(shoal_arena *arena, c_bool filling)
    void shoal_before_fork(shoal_arena *arena)
    void shoal_after_fork_in_parent(shoal_arena *arena)
    void shoal_after_fork(shoal_arena *arena)
    void shoal_set_wait_hook(shoal_arena *arena, int (*hook)(void *context) noexcept nogil, void *context)
    shoal_status shoal_destroy(const char *name)
    shoal_status shoal_unlink(shoal_arena *arena)
    shoal_status shoal_list(int (*each)(void *context, const shoal_arena_info *info) noexcept, void *context)
    ctypedef struct shoal_repaired:
        uint64_t namespaces, kept, dropped
    shoal_status shoal_repair(const char *name, void (*report)(void *context, int severity, const char *line) noexcept nogil,
                              void *context, int64_t wait, shoal_repaired *out) nogil
    shoal_status shoal_collect(const char *name, c_bool *removed)
    c_bool shoal_is_named(const shoal_arena *arena)
    shoal_status shoal_persist(shoal_arena *arena)
    uint32_t shoal_mode(const shoal_arena *arena)
    uint32_t shoal_owner(const shoal_arena *arena)
    uint32_t shoal_shards(const shoal_arena *arena)
    const char *shoal_detail(const shoal_arena *arena)

    # namespace

    ctypedef struct shoal_base:
        uint32_t prefix

    ctypedef struct shoal_namespace:
        uint32_t id
        uint64_t uid
        c_bool tree
        shoal_base *base

    ctypedef struct shoal_namespace_config:
        int64_t ttl
        uint64_t max_keys
        uint32_t eviction

    ctypedef struct shoal_namespace_stats:
        uint64_t entries
        uint64_t bytes

    shoal_status shoal_namespace_open(shoal_arena *, const char *name, size_t length, c_bool create,
                                      const shoal_namespace_config *config, shoal_namespace *out, int64_t wait)
    shoal_status shoal_namespace_get_config(shoal_arena *, const shoal_namespace *, shoal_namespace_config *out)
    shoal_status shoal_namespace_set_config(shoal_arena *, const shoal_namespace *, const shoal_namespace_config *,
                                            int64_t wait)
    shoal_status shoal_namespace_clear(shoal_arena *, const shoal_namespace *, uint64_t *count, int64_t wait)
    shoal_status shoal_namespace_drop(shoal_arena *, const shoal_namespace *, int64_t wait)
    shoal_status shoal_namespace_list(shoal_arena *, int (*each)(void *context, const char *name, size_t length,
                                      const shoal_namespace *ns) noexcept, void *context)
    shoal_status shoal_namespace_count(shoal_arena *, const shoal_namespace *, shoal_namespace_stats *out, int64_t wait)

    # tree

    shoal_status shoal_tree_open(shoal_arena *, const shoal_namespace *home, c_bool create, shoal_namespace *out,
                                 int64_t wait)
    shoal_status shoal_runs_open(shoal_arena *, const shoal_namespace *home, c_bool create, shoal_namespace *out,
                                 int64_t wait)
    shoal_status shoal_fields(shoal_arena *, const shoal_namespace *, const void *path, size_t path_size, uint32_t shard,
                              shoal_bytes *out, int64_t wait)
    shoal_status shoal_process(shoal_arena *, uint32_t *slot, uint32_t *generation)
    c_bool shoal_process_lives(shoal_arena *, uint32_t slot, uint32_t generation)
    shoal_status shoal_reap(shoal_arena *, int64_t wait)

    # entry

    ctypedef struct shoal_meta:
        uint64_t version
        uint64_t size
        int64_t created_us
        int64_t modified_us
        int64_t expires_ns
        c_bool is_object "object"

    ctypedef struct shoal_bytes:
        uint8_t *data
        size_t size

    void shoal_bytes_free(shoal_bytes *)

    ctypedef struct shoal_put_args:
        const void *head
        size_t head_size
        const void *body
        size_t body_size
        uint8_t align
        uint8_t condition
        uint64_t version
        int64_t ttl
        c_bool is_object "object"
        c_bool overwrite
        int64_t *expires
        shoal_bytes *old

    ctypedef struct shoal_number:
        c_bool is_float
        int64_t i
        double f

    enum: SHOAL_PREFETCH
    ctypedef struct shoal_key:
        const void *data
        size_t size
    void shoal_prefetch(shoal_arena *, const shoal_namespace *, const shoal_key *keys, size_t count)

    shoal_status shoal_get(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                           void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
    shoal_status shoal_peek(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                            void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
    shoal_status shoal_put(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                           const shoal_put_args *args, uint64_t *version, int64_t wait)
    shoal_status shoal_delete(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                              shoal_bytes *old, int64_t wait)
    shoal_status shoal_touch(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                             int64_t ttl, int64_t wait)
    shoal_status shoal_incr(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                            const shoal_number *by, const shoal_number *initial, int64_t ttl,
                            shoal_number *result, int64_t wait)
    shoal_status shoal_keys(shoal_arena *, const shoal_namespace *, uint32_t shard, const void *prefix,
                            size_t prefix_size, shoal_bytes *out, int64_t wait)

    # pin

    ctypedef struct shoal_pin:
        const uint8_t *data
        shoal_meta meta
        uint64_t block

    ctypedef struct shoal_draft:
        uint8_t *data
        size_t size
        shoal_pin pin

    shoal_status shoal_pin_take(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                                shoal_pin *out, int64_t wait)
    shoal_status shoal_view_take(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                                 shoal_pin *out, int64_t wait)
    void shoal_unpin(shoal_arena *, shoal_pin *pin)
    c_bool shoal_unpin_at_once(shoal_arena *, shoal_pin *pin)
    shoal_status shoal_draft_begin(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size, size_t size,
                                   shoal_draft *out, int64_t wait)
    shoal_status shoal_draft_publish(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                                     shoal_draft *draft, const shoal_put_args *args, uint64_t *version, int64_t wait)

    # whole

    ctypedef struct shoal_stats:
        uint64_t capacity, used, committed, entries, namespaces, processes, shards
        uint64_t hits, misses, sets, deletes, expired, evicted, retries, lock_waits, recoveries
        uint64_t pinned_bytes

    shoal_status shoal_get_stats(shoal_arena *, shoal_stats *out)
    shoal_status shoal_verify(shoal_arena *,
                              void (*report)(void *context, int severity, const char *line) noexcept nogil,
                              void *context, int64_t wait)
    shoal_status shoal_sweep(shoal_arena *, int64_t wait)
    int64_t shoal_clock_wall_us()
    int64_t shoal_clock_mono_ns()
