/* Walking a tree's paths under the lock of their shard. */
#ifndef SHOAL_TREE_H
#define SHOAL_TREE_H

#include "room.h"

/* Where a walk came to: the first name that is missing, or is no object, or is the last. */
typedef struct trail {
    lookup key;      /* of that name */
    bool found;
    bool expired;    /* something lies there that counts as missing: to be removed before anything comes in its place */
    uint64_t object; /* ref of the object that it belongs to; 0: at the top, of the shard's root */
    path rest;       /* the names after it */
} trail;

/* The shard of a valid path. */
uint32_t tree_shard(const shoal_arena *a, const shoal_namespace *tree, const path *p);
/* Under the shard's lock. *at: what lies there, if anything. OK, CORRUPT. */
shoal_status tree_walk(shoal_arena *a, const shoal_namespace *tree, const path *p, uint32_t shard_index, trail *out, place *at);

/* What of a path the cache knows: how many bytes to skip, 0 = nothing, and the object that they lead to. */
static inline size_t base_knows(const shoal_arena *a, const shoal_namespace *tree, const path *p, shoal_way *to)
{
    const shoal_base *base = tree->base;
    if (!base || base->uid != tree->uid || load_acquire(&a->shards[base->shard & (a->nshards - 1)].epoch) != base->epoch)
        return 0;
    size_t size = base->last_size;
    if (size && size < p->size && p->names[size] == SHOAL_PATH_SEPARATOR && memcmp(p->names, base->last_names, size) == 0) {
        *to = base->last;
        return size + 1;
    }
    if (!base->begin.object || base->prefix >= p->size)
        return 0;
    *to = base->begin;
    return base->prefix + 1u;
}
/* Keep what the first `size` bytes of a path led to; `epoch` is from before it was looked up; an odd one vouches for nothing. Nothing
 * on that way may ever expire: no epoch tells when it does. */
static inline void base_learn(const shoal_namespace *tree, const path *p, size_t size, uint32_t shard_index, uint64_t epoch, shoal_way to)
{
    shoal_base *base = tree->base;
    if (!base || (epoch & 1))
        return;
    if (base->epoch != epoch || base->shard != shard_index || base->uid != tree->uid)
        *base = (shoal_base){.prefix = base->prefix, .shard = shard_index, .uid = tree->uid, .epoch = epoch};
    if (size == base->prefix) {
        base->begin = to;
    } else if (size > base->prefix && size <= sizeof base->last_names) {
        base->last = to;
        base->last_size = (uint32_t)size;
        memcpy(base->last_names, p->names, size);
    }
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
shoal_status target_find(shoal_arena *a, const target *t, place *p);

/* Free what graves hold. No lock held; whatever keeps it from that keeps others as well, and they go on with it. */
void tree_tidy(shoal_arena *a, uint32_t shard_index, const waiting *w);
/* Remove what is at the top of one shard, but not what is put there meanwhile. No lock held. */
shoal_status tree_clear(shoal_arena *a, const shoal_namespace *tree, uint32_t shard_index, waiting *w);

#endif
