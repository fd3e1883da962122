/* Shoal: a key-value store that many processes share through one memory arena.
 *
 * The nouns of this interface:
 *   arena      one shared-memory segment and this process's mapping of it
 *   namespace  a named part of an arena with its own keys, expiry and limits
 *   entry      one key, its value bytes and its metadata
 *   pin        a promise that a large entry's bytes stay where they are
 *   view       a pin that lasts, and that a forked child gets one of its own of
 *   draft      a large value that its writer fills in place before it is published
 *
 * Rules for callers
 *   - Every call may be made from any thread. A call never blocks longer than
 *     its `wait` (nanoseconds): 0 means "spin briefly, then SHOAL_BUSY", so a
 *     caller that holds an interpreter lock tries with 0 first and repeats the
 *     call with a real wait after letting go of that lock.
 *   - The core stores bytes. It reads them only in shoal_incr (numbers).
 *   - After fork() the child calls shoal_after_fork() on every arena it
 *     inherited before any other call.
 *   - shoal_close() must not race other calls on the same arena; the binding
 *     counts calls in flight.
 *   - A returned status is one of those that the function's comment names,
 *     or SHOAL_CORRUPT / SHOAL_OS, which any call may return.
 */
#ifndef SHOAL_H
#define SHOAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHOAL_KEY_MAX 65535u           /* bytes of a key */
#define SHOAL_VALUE_MAX 0xFFFFFFFFu    /* bytes of a value: MessagePack's own limit */
#define SHOAL_NAME_MAX 200u            /* bytes of an arena's or a namespace's name */
#define SHOAL_PREFIX "shoal."          /* how the segments of arenas are named in /dev/shm */
#define SHOAL_SIZE_MIN ((uint64_t)1 << 20)
#define SHOAL_SIZE_MAX ((uint64_t)1018 << 30) /* references reach 1 TiB, and the arena's own tables need some of it */

typedef enum shoal_status {
    SHOAL_OK = 0,
    SHOAL_MISS,            /* no such key */
    SHOAL_EXISTS,          /* IF_ABSENT, and the key is there */
    SHOAL_CONFLICT,        /* IF_VERSION, and the version is another */
    SHOAL_IS_OBJECT,       /* an object lies where a value would go */
    SHOAL_NOT_OBJECT,      /* a value lies where the path needs an object */
    SHOAL_STALE,           /* the namespace was dropped since it was opened: open it again */
    SHOAL_BUSY,            /* a live process holds the lock for longer than `wait` */
    SHOAL_INTERRUPTED,     /* the wait hook asked to stop */
    SHOAL_FULL_ARENA,      /* no room for this value in the arena's capacity */
    SHOAL_FULL_SYSTEM,     /* the file system that holds the arena is full */
    SHOAL_FULL_KEYS,       /* the namespace's max_keys is reached */
    SHOAL_FULL_NAMESPACES, /* the arena has as many namespaces as it can */
    SHOAL_FULL_PROCESSES,  /* the process table is full */
    SHOAL_FULL_PINS,       /* this process holds as many pins as it can */
    SHOAL_NOT_NUMBER,      /* incr of something that is no number */
    SHOAL_OVERFLOW,        /* incr past int64 */
    SHOAL_READ_ONLY,       /* a write through a read-only mapping */
    SHOAL_NOT_FOUND,       /* no arena, or no namespace, of that name */
    SHOAL_DENIED,          /* the arena belongs to another user, or its mode forbids */
    SHOAL_FOREIGN,         /* the segment is not an arena, or one of another layout */
    SHOAL_CORRUPT,         /* the arena contradicts itself; shoal_detail() says where */
    SHOAL_INVALID,         /* an argument out of range */
    SHOAL_NO_MEMORY,       /* malloc failed in this process */
    SHOAL_OS,              /* a system call failed; shoal_error.os_errno tells */
    SHOAL_STATUS_COUNT
} shoal_status;

const char *shoal_status_name(shoal_status status);

typedef struct shoal_arena shoal_arena;

typedef struct shoal_bytes { /* malloc'd by the core, freed by shoal_bytes_free */
    uint8_t *data;
    size_t size;
} shoal_bytes;
void shoal_bytes_free(shoal_bytes *);

/* What went wrong while opening: errno of the failed call and a literal that says what it was. */
typedef struct shoal_error {
    int os_errno;
    const char *what;
} shoal_error;

/* ------------------------------------------------------------------ arena */

typedef struct shoal_options {
    char flag;          /* 'c' open or create, 'w' must exist, 'r' must exist and is read-only, 'n' always new */
    bool persist;       /* outlive the last user; sticky once set */
    uint32_t mode;      /* permission bits of a new segment; a wider one than 0600 also accepts another user's arena */
    uint64_t size;      /* cap in bytes of data pages, rounded up to pages; ignored when the arena exists */
    int64_t wait;       /* ns to wait for other openers */
} shoal_options;

/* Open or create the arena `name` (1..SHOAL_NAME_MAX bytes, no '/', no NUL).
 * NOT_FOUND, DENIED, FOREIGN, CORRUPT, BUSY, FULL_SYSTEM, FULL_PROCESSES, INVALID, OS. */
shoal_status shoal_open(const char *name, const shoal_options *options, shoal_arena **out, shoal_error *error);

/* Detach; the last user of an arena that does not persist removes it. Frees `arena`.
 * Whoever has pins and reads what they hold keeps the arena open. */
void shoal_close(shoal_arena *arena);
/* The same at the end of the process, but what is mapped stays mapped until then: nobody may call anything more, but reading what was
 * pinned does not crash. With `filling` somebody may still write to a draft: the pins stay, too, until the process has ended. */
void shoal_quit(shoal_arena *arena, bool filling);

/* A fork, in three parts. Before it, the child's own open file is made, with a claim: so the child counts as a user from
 * its first instant on; and if this process has views, pins of its own for them. After it, the parent lets go of that file, whether
 * the fork worked or not. The child gives up the parent's place, and takes one of its own at the next call. The first two may be left
 * out: then the child counts from shoal_after_fork on. */
void shoal_before_fork(shoal_arena *arena);
void shoal_after_fork_in_parent(shoal_arena *arena);
void shoal_after_fork(shoal_arena *arena);

/* Called about every 50 ms of a wait, without any lock held. Non-zero ends the wait with SHOAL_INTERRUPTED. */
void shoal_set_wait_hook(shoal_arena *arena, int (*hook)(void *context), void *context);

/* Remove the name now; processes that are attached go on with the memory they have. NOT_FOUND, DENIED, OS. */
shoal_status shoal_destroy(const char *name);
/* The same for an open arena; a no-op when another arena has taken the name meanwhile. */
shoal_status shoal_unlink(shoal_arena *arena);

typedef struct shoal_arena_info {
    char name[SHOAL_NAME_MAX + 1];
    uint64_t capacity;      /* bytes */
    uint64_t committed;     /* bytes of memory the segment occupies now */
    uint32_t uid, mode;
    bool persist;
    bool ready;             /* false: half-created, damaged or of another layout */
    bool alive;             /* some process uses it */
} shoal_arena_info;

/* One call of `each` per segment named like an arena; it returns non-zero to stop. */
shoal_status shoal_list(int (*each)(void *context, const shoal_arena_info *info), void *context);
/* Remove the arena if nobody alive uses it and it does not persist. *removed tells. */
shoal_status shoal_collect(const char *name, bool *removed);

typedef struct shoal_repaired {
    uint64_t namespaces, kept; /* entries */
    uint64_t dropped;       /* entries that were found and are not whole; those that cannot even be found are told by `report` */
} shoal_repaired;
/* Put what is whole of a damaged arena into a new one, which takes its name and persists. `report` gets one line per thing that was
 * dropped. Needs the arena's size once more while it works. Anything but OK leaves the arena as it was. BUSY: somebody uses it.
 * CORRUPT: its header, without which nothing can be told. NOT_FOUND, DENIED, FOREIGN, FULL_SYSTEM, FULL_ARENA, NO_MEMORY. */
shoal_status shoal_repair(const char *name, void (*report)(void *context, int severity, const char *line), void *context, int64_t wait,
                          shoal_repaired *out);

/* Does the arena's name still lead to it? False once it was destroyed or replaced. */
bool shoal_is_named(const shoal_arena *arena);
/* Let the arena outlive its last user, from now on. READ_ONLY. */
shoal_status shoal_persist(shoal_arena *arena);

const char *shoal_name(const shoal_arena *arena);
bool shoal_read_only(const shoal_arena *arena);
uint32_t shoal_mode(const shoal_arena *arena);      /* permission bits of the segment */
uint32_t shoal_owner(const shoal_arena *arena);     /* uid of the segment's owner */
uint32_t shoal_shards(const shoal_arena *arena);    /* how many shards, for shoal_keys */
const char *shoal_detail(const shoal_arena *arena); /* what the last SHOAL_CORRUPT found, or "" */

/* -------------------------------------------------------------- namespace */

/* A cache, so that paths need not be looked up from the top each time: the object that the first `prefix` bytes of every path lead to, and
 * the one that the last path led to the last name of. Begun by the caller with zeros and `prefix`, kept by the core. Of one thread
 * at a time. */
typedef struct shoal_way {
    uint64_t object, ref;
} shoal_way;
typedef struct shoal_base {
    uint32_t prefix, shard;
    uint64_t uid, epoch;
    shoal_way begin, last;
    uint32_t last_size;
    uint8_t last_names[108];
} shoal_base;

typedef struct shoal_namespace {
    uint32_t id;
    uint64_t uid;           /* tells a namespace from an earlier one with the same id */
    bool tree;              /* of fields: its keys are paths */
    uint32_t home;          /* of a tree: the namespace that gives way when the arena is full, if its policy lets it */
    uint64_t home_uid;
    shoal_base *base;       /* of a tree: where paths begin, NULL = at the top */
} shoal_namespace;

enum { SHOAL_EVICT_ERROR = 0, SHOAL_EVICT_SIEVE = 1 };

typedef struct shoal_namespace_config {
    int64_t ttl;            /* ns, default of entries; 0 = never expires */
    uint64_t max_keys;      /* 0 = no limit */
    uint32_t eviction;      /* SHOAL_EVICT_* */
} shoal_namespace_config;

/* NOT_FOUND when absent and `create` is false. FULL_NAMESPACES, READ_ONLY, INVALID. `config` is used
 * only when the namespace is made now; may be NULL. */
shoal_status shoal_namespace_open(shoal_arena *, const char *name, size_t length, bool create,
                                  const shoal_namespace_config *config, shoal_namespace *out, int64_t wait);
shoal_status shoal_namespace_get_config(shoal_arena *, const shoal_namespace *, shoal_namespace_config *out);
shoal_status shoal_namespace_set_config(shoal_arena *, const shoal_namespace *, const shoal_namespace_config *, int64_t wait);
/* Remove all entries; *count tells how many. */
shoal_status shoal_namespace_clear(shoal_arena *, const shoal_namespace *, uint64_t *count, int64_t wait);
/* Remove the namespace with its entries. Namespace 0 ("default") can only be cleared: INVALID. */
shoal_status shoal_namespace_drop(shoal_arena *, const shoal_namespace *, int64_t wait);
/* One call per namespace; the name is not NUL-terminated. Returning non-zero stops. */
shoal_status shoal_namespace_list(shoal_arena *, int (*each)(void *context, const char *name, size_t length,
                                  const shoal_namespace *ns), void *context);

typedef struct shoal_namespace_stats {
    uint64_t entries;       /* without expired ones; of a tree its fields, objects included */
    uint64_t bytes;         /* of keys and values */
} shoal_namespace_stats;
/* Exact: expired entries are swept (or skipped, read-only) first. Of a tree, a read-only mapping counts what is below a removed or
 * expired object until that is freed. */
shoal_status shoal_namespace_count(shoal_arena *, const shoal_namespace *, shoal_namespace_stats *out, int64_t wait);

/* ------------------------------------------------------------------- tree
 *
 * A tree is a namespace of fields. Its keys are paths: names of 1..SHOAL_KEY_MAX bytes with a separator between them, SHOAL_DEPTH_MAX
 * at most (anything else is INVALID). A field holds a value, or it is an object: a place for fields of its own. All below takes
 * paths of a tree where it takes keys, with these differences:
 *   - What lies under one top-level field lies in one shard, and changes of it happen under that shard's lock: one at a time, each whole.
 *   - shoal_put makes the objects on the way. IS_OBJECT: an object is there already, NOT_OBJECT: a value is on the way
 *     (or where `object` is to be); `overwrite` puts the new thing in its place instead.
 *   - Removing or replacing an object, also when it expires, takes all that is below it along: at one instant for every reader and writer.
 *     The memory is freed after that, by the remover and, should that die, by the next who write in that shard.
 *   - A miss on the way is a miss; so, for a reader, is a value on the way.
 */
#define SHOAL_PATH_SEPARATOR 0xFF /* a byte that no UTF-8 has */
#define SHOAL_DEPTH_MAX 64u

/* The tree that belongs to `home` and is dropped with it. NOT_FOUND if there is none yet and `create` is false; as shoal_namespace_open. */
shoal_status shoal_tree_open(shoal_arena *, const shoal_namespace *home, bool create, shoal_namespace *out, int64_t wait);
/* The tree of what belongs to processes: a top-level field named "SLOT-GENERATION" (decimal; shoal_process) is removed when that
 * process has left or died. Of `home` only the eviction counts. */
shoal_status shoal_runs_open(shoal_arena *, const shoal_namespace *home, bool create, shoal_namespace *out, int64_t wait);

/* The fields of the object at `path`, packed as uint8 (1: an object), native uint16 length, name; as they are at one instant. With
 * path_size 0 those at the top of one `shard`. Through a read-only mapping only each bucket is seen at one instant - but all of them
 * while the object is there -, a field may appear twice, and the cost is the shard's. MISS: no object there. */
shoal_status shoal_fields(shoal_arena *, const shoal_namespace *, const void *path, size_t path_size, uint32_t shard,
                          shoal_bytes *out, int64_t wait);

/* This process's place in the arena; FULL_PROCESSES and the like in a forked child that has none yet. READ_ONLY. */
shoal_status shoal_process(shoal_arena *, uint32_t *slot, uint32_t *generation);
/* Whether the process of that place still uses the arena. */
bool shoal_process_lives(shoal_arena *, uint32_t slot, uint32_t generation);
/* Remove what dead processes left: pins, runs. */
shoal_status shoal_reap(shoal_arena *, int64_t wait);

/* ------------------------------------------------------------------ entry */

typedef struct shoal_meta {
    uint64_t version;       /* grows with each write; never 0 */
    uint64_t size;          /* bytes of the value */
    int64_t created_us;     /* microseconds since 1970, UTC */
    int64_t modified_us;
    int64_t expires_ns;     /* CLOCK_MONOTONIC, 0 = never */
    bool object;            /* of a tree: no value, but a place for fields */
} shoal_meta;

enum { SHOAL_TTL_NEVER = 0, SHOAL_TTL_DEFAULT = -1, SHOAL_TTL_KEEP = -2 }; /* in place of a ttl in ns */

/* The value's first byte (of an array its data, too: they lie a multiple of 64 further), or what follows its head: with a head of
 * SHOAL_HEAD bytes, the longest that text and bytes have. */
enum { SHOAL_ALIGN_NONE = 0, SHOAL_ALIGN_VALUE, SHOAL_ALIGN_BODY };
#define SHOAL_HEAD 5

typedef struct shoal_put_args {
    const void *head;       /* the value is head + body, so that no caller needs to join them */
    size_t head_size;
    const void *body;
    size_t body_size;
    uint8_t align;          /* SHOAL_ALIGN_*: what is to lie at a multiple of 64 */
    uint8_t condition;      /* SHOAL_IF_* */
    uint64_t version;       /* for SHOAL_IF_VERSION; 0 = must be absent */
    int64_t ttl;            /* ns, or SHOAL_TTL_* */
    bool object;            /* of a tree: make an object, not a value; one that is there stays unless `overwrite` */
    bool overwrite;         /* of a tree */
    int64_t *expires;       /* not NULL: gets when the entry expires, as in shoal_meta */
    shoal_bytes *old;       /* not NULL: gets the replaced value, data = NULL if there was none (or an object) */
} shoal_put_args;
enum { SHOAL_IF_ANY = 0, SHOAL_IF_ABSENT, SHOAL_IF_PRESENT, SHOAL_IF_VERSION };

/* Copy bytes [skip, skip + cap) of the value to `dst`, as far as there are any; `meta` (not NULL) tells the
 * whole size. Metadata and bytes are of one and the same version. Lock-free; takes the lock (if it
 * may write and `wait` > 0) only when writers keep it from a stable view. OK, MISS, STALE, BUSY, INTERRUPTED. */
shoal_status shoal_get(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                       void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait);

/* The same, not counted as a hit or a miss: for a look at the metadata, or at more of a value that was got in part. */
shoal_status shoal_peek(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                        void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait);

/* Several keys that are about to be read or written: have the memory of all of them fetched at once, not one after the other.
 * Changes nothing; of at most SHOAL_PREFETCH keys, the rest are left. */
#define SHOAL_PREFETCH 16
typedef struct shoal_key {
    const void *data;
    size_t size;
} shoal_key;
void shoal_prefetch(shoal_arena *, const shoal_namespace *, const shoal_key *keys, size_t count);

/* OK (*version is the new one), MISS (IF_PRESENT), EXISTS, CONFLICT, STALE, BUSY, INTERRUPTED, FULL_*,
 * READ_ONLY, INVALID. Anything but OK leaves the entry as it was. */
shoal_status shoal_put(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                       const shoal_put_args *args, uint64_t *version, int64_t wait);

/* OK, MISS, STALE, BUSY, INTERRUPTED, READ_ONLY. `old` as in shoal_put_args. */
shoal_status shoal_delete(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                          shoal_bytes *old, int64_t wait);

/* Set the time to live: ns or SHOAL_TTL_NEVER / DEFAULT. OK, MISS, ... as shoal_put. */
shoal_status shoal_touch(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                         int64_t ttl, int64_t wait);

typedef struct shoal_number {
    bool is_float;
    int64_t i;
    double f;
} shoal_number;
/* Add `by` to the number stored there, or to `initial` when the key is absent. The sum is an int unless one
 * of the two is a float. `ttl`: SHOAL_TTL_KEEP leaves an existing entry's expiry (and means DEFAULT for a new
 * one). NOT_NUMBER, OVERFLOW, and as shoal_put. */
shoal_status shoal_incr(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                        const shoal_number *by, const shoal_number *initial, int64_t ttl,
                        shoal_number *result, int64_t wait);

/* All keys of one shard (0 .. shoal_shards() - 1) that start with `prefix`, without expired ones, packed as
 * native uint16 length + bytes. The entries of a shard are seen at one instant, so that an entry which is there
 * throughout a walk over all shards appears exactly once. Through a read-only mapping only each bucket is seen at one
 * instant, and while others insert a key may appear twice: the caller drops doubles. */
shoal_status shoal_keys(shoal_arena *, const shoal_namespace *, uint32_t shard, const void *prefix,
                        size_t prefix_size, shoal_bytes *out, int64_t wait);

/* -------------------------------------------------------------------- pin */

/* Values above this many bytes lie in page runs of their own and are read through a pin. */
#define SHOAL_PIN_THRESHOLD ((size_t)64 << 10)

typedef struct shoal_pin {
    const uint8_t *data;    /* the value's bytes, stable until shoal_unpin */
    shoal_meta meta;
    uint64_t block, word;   /* private to the core, as is the next line */
    uint32_t record;
} shoal_pin;

/* Pin the entry's bytes. Only values that lie in a page run of their own can be pinned: INVALID otherwise (read
 * them with shoal_get). READ_ONLY through a read-only mapping. MISS, STALE, BUSY, INTERRUPTED, FULL_PINS. */
shoal_status shoal_pin_take(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                            shoal_pin *out, int64_t wait);
/* The same for somebody who keeps it: a child that is forked meanwhile (shoal_before_fork) holds a pin of its own, which
 * shoal_unpin drops there. Counted as a hit or a miss. */
shoal_status shoal_view_take(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                             shoal_pin *out, int64_t wait);
/* Never fails for the caller. If a stopped process keeps the lock, the bytes stay pinned until a
 * later call of this process can drop the pin. */
void shoal_unpin(shoal_arena *, shoal_pin *pin);
/* The same if the lock is free; false: nothing has changed. */
bool shoal_unpin_at_once(shoal_arena *, shoal_pin *pin);

/* ------------------------------------------------------------------ draft
 *
 * A value that its writer fills in place: memory of the arena that nobody reaches, then an entry like any other. The writer has it
 * pinned as a view, before and after; shoal_unpin(&draft.pin) discards a draft, and ends the view of one that was published. Should
 * the process die, its draft goes. */
typedef struct shoal_draft {
    uint8_t *data;          /* the value's bytes, at a multiple of 64; what they hold at first is anybody's guess */
    size_t size;
    shoal_pin pin;
    uint64_t owner;         /* private to the core, as is the next line */
    uint32_t flags;
} shoal_draft;

/* Only for values that lie in a page run of their own: INVALID otherwise. Makes room as shoal_put does. STALE, BUSY, INTERRUPTED,
 * FULL_*, READ_ONLY. */
shoal_status shoal_draft_begin(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size, size_t size,
                               shoal_draft *out, int64_t wait);
/* Publish it under the key that it was begun for. Of `args` condition, version, ttl and old count. Statuses of shoal_put; anything but
 * OK leaves the draft as it was. INVALID: it was published or discarded before, or belongs to the parent of this forked process, or the
 * namespace was made anew and has no place for it: put its bytes instead. */
shoal_status shoal_draft_publish(shoal_arena *, const shoal_namespace *, const void *key, size_t key_size,
                                 shoal_draft *draft, const shoal_put_args *args, uint64_t *version, int64_t wait);

/* ------------------------------------------------------------------ whole */

typedef struct shoal_stats {
    uint64_t capacity;      /* bytes of data pages at most */
    uint64_t used;          /* bytes of pages in use */
    uint64_t committed;     /* bytes of memory that the segment occupies */
    uint64_t entries;       /* of all namespaces; expired ones not yet swept included */
    uint64_t namespaces, processes, shards;
    uint64_t hits, misses, sets, deletes, expired, evicted, retries, lock_waits, recoveries;
    uint64_t pinned_bytes;
} shoal_stats;
shoal_status shoal_get_stats(shoal_arena *, shoal_stats *out);

/* Walk every invariant of the live arena, with all writers locked out; readers go on. `report` gets one line per violation
 * (severity: 0 note, 1 violation). CORRUPT if there was any. READ_ONLY through a read-only mapping. */
shoal_status shoal_verify(shoal_arena *, void (*report)(void *context, int severity, const char *line),
                          void *context, int64_t wait);

/* Sweep every expired entry, reap dead processes and give free page runs back. */
shoal_status shoal_sweep(shoal_arena *, int64_t wait);

int64_t shoal_clock_wall_us(void);
int64_t shoal_clock_mono_ns(void);

#endif
