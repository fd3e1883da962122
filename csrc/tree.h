/* Walking a tree's paths under the lock of their shard. */
#ifndef SHOAL_TREE_H
#define SHOAL_TREE_H

#include "room.h"

/* Where a walk came to: the first name that is missing, or is no object, or is the last. */
typedef struct trail {
    lookup key;      /* of that name */
    bool found;
    place at;        /* what lies there, if anything */
    uint64_t object; /* ref of the object that it belongs to; 0: at the top, of the shard's root */
    path rest;       /* the names after it */
} trail;

/* The shard of a valid path. */
uint32_t tree_shard(const shoal_arena *a, const shoal_namespace *tree, const path *p);
/* Under the shard's lock. What has expired is removed on the way. OK, BUSY, CORRUPT. */
shoal_status tree_walk(shoal_arena *a, const shoal_namespace *tree, const path *p, uint32_t shard_index, trail *out, waiting *w);

/* Does the cache still hold? */
static inline bool base_holds(const shoal_arena *a, const shoal_namespace *tree, size_t path_size)
{
    const shoal_base *base = tree->base;
    return base && base->object && base->prefix < path_size && load_acquire(&a->shards[base->shard & (a->nshards - 1)].epoch) == base->epoch;
}

/* What an operation is about, in any kind of namespace: its shard is known before the lock, its place under it. */
typedef struct target {
    const shoal_namespace *ns;
    lookup key;
    path names;
} target;
/* OK, INVALID. */
shoal_status target_make(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, target *out);
/* Under the lock. OK, MISS, CORRUPT. */
shoal_status target_find(shoal_arena *a, target *t, place *p, waiting *w);

/* Free what graves hold. No lock held; whatever keeps it from that keeps others as well, and they go on with it. */
void tree_tidy(shoal_arena *a, uint32_t shard_index, const waiting *w);
/* Remove what is at the top of one shard, but not what is put there meanwhile. No lock held. */
shoal_status tree_clear(shoal_arena *a, const shoal_namespace *tree, uint32_t shard_index, waiting *w);
/* Remove the runs of a process that has left; whether all is done. */
bool tree_drop_runs(shoal_arena *a, uint32_t slot, uint32_t generation, const waiting *w);

#endif
