/* A small arena whose locks are held by somebody alive, and some of the calls that meet that. */
#ifndef SHOAL_TESTS_BUSY_H
#define SHOAL_TESTS_BUSY_H

#include "lock.h"
#include "paths.h"
#include "pins.h"
#include "process.h"
#include "tree.h"

#define LARGE ((size_t)50000)

typedef struct world {
    shoal_arena *a;
    shoal_namespace keys, limited, tree;
    shoal_pin pin;
} world;

static const uint8_t bytes[LARGE];

static inline shoal_status put_sized(const world *w, const shoal_namespace *ns, const char *key, size_t size, int64_t wait)
{
    shoal_put_args args = {.head = bytes, .head_size = size, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(w->a, ns, key, strlen(key), &args, NULL, wait);
}

static inline void world_make(world *w)
{
    *w = (world){.a = arena_new("busy", MIB)};
    w->keys = ns_default(w->a);
    w->limited = ns_open(w->a, "limited", 0, 3, SHOAL_EVICT_SIEVE);
    w->tree = tree_of(w->a);
    CHECK_STATUS(put(w->a, &w->keys, "small", "value"), SHOAL_OK);
    CHECK_STATUS(put(w->a, &w->keys, "number", "\x05"), SHOAL_OK);
    CHECK_STATUS(put_sized(w, &w->keys, "large", LARGE, WAIT), SHOAL_OK);
    CHECK_STATUS(put(w->a, &w->limited, "first", "1"), SHOAL_OK);
    CHECK_STATUS(put_ttl(w->a, &w->limited, "second", "2", 1000 * SECOND), SHOAL_OK);
    CHECK_STATUS(set(w->a, &w->tree, "a.b", "deep"), SHOAL_OK);
    CHECK_STATUS(put_ttl(w->a, &w->tree, "timed", "t", 1000 * SECOND), SHOAL_OK);
}

/* ---- locks */

enum { SHARD, PAGES, NAMES, COUNT, LOCKS };

static inline shoal_lock *lock_of(world *w, int which)
{
    switch (which) {
    case SHARD: return &w->a->shards[0].lock;
    case PAGES: return &w->a->header->page_lock;
    case NAMES: return &w->a->header->namespace_lock;
    default: return &w->a->records[w->limited.id].count_lock;
    }
}

static inline shoal_status put_large(world *w, int64_t wait) { return put_sized(w, &w->keys, "new", LARGE, wait); }
static inline shoal_status limited_over(world *w, int64_t wait) { return put_sized(w, &w->limited, "first", 1, wait); }
static inline void expire(world *w, const shoal_namespace *ns, const char *key)
{
    shoal_touch(w->a, ns, key, strlen(key), 1, WAIT); /* refused while the lock is held: then it expires in a later round */
}
static inline shoal_status set_way(world *w, int64_t wait) { return put_sized(w, &w->tree, names("n.e.w"), 1, wait); }
static inline shoal_status clear_tree(world *w, int64_t wait)
{
    uint64_t count;
    return shoal_namespace_clear(w->a, &w->tree, &count, wait);
}

#endif
