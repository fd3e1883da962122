#include "tree.h"

#include "process.h"

#define BATCH 256 /* entries to remove before the lock is let go once */

uint32_t tree_shard(const shoal_arena *a, const shoal_namespace *tree, const path *p)
{
    shoal_way to;
    if (base_knows(a, tree, p, &to))
        return tree->base->shard;
    return field_lookup(a, tree, 0, p->names, path_name(p)).shard_index;
}

shoal_status tree_walk(shoal_arena *a, const shoal_namespace *tree, const path *p, uint32_t shard_index, trail *t, place *at)
{
    shoal_way way = {0, 0};
    size_t skip = base_knows(a, tree, p, &way);
    if (way.ref == 0) { /* unknown, or learnt by a reader, who does not see where it lies */
        skip = 0;
        way.object = 0;
    }
    const size_t known = skip;
    const uint64_t epoch = load_relaxed(&a->shards[shard_index].epoch);
    bool lasting = true;
    t->rest = (path){p->names + skip, p->size - skip};
    for (;;) {
        size_t name = path_name(&t->rest);
        t->key = field_lookup(a, tree, way.object, t->rest.names, name);
        t->rest = path_after(&t->rest, name);
        t->object = way.ref;
        shoal_status status = field_find(a, &t->key, at);
        t->expired = status == SHOAL_OK && unlikely(entry_expired(at->b, &at->e));
        t->found = status == SHOAL_OK && !t->expired;
        if (status != SHOAL_OK && status != SHOAL_MISS)
            return status;
        if (!t->found || t->rest.size == 0 || !(at->e.flags & BLOCK_OBJECT))
            return SHOAL_OK;
        lasting &= load_relaxed(entry_expires(at->b)) == 0;
        way = (shoal_way){object_id(at->e.version, shard_index), at->ref};
        skip += name + 1;
        if (lasting && skip > known)
            base_learn(tree, p, skip - 1, shard_index, epoch, way);
    }
}

shoal_status target_make(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, target *t)
{
    t->ns = ns;
    if (likely(!ns->tree))
        return lookup_make(a, ns, key, key_size, &t->key);
    t->names = (path){key, key_size};
    if (ns->id >= NAMESPACE_MAX || !path_valid(key, key_size))
        return SHOAL_INVALID;
    t->key.shard_index = tree_shard(a, ns, &t->names);
    return SHOAL_OK;
}

shoal_status target_find(shoal_arena *a, const target *t, place *p)
{
    if (likely(!t->ns->tree))
        return table_find(a, &t->key, p);
    trail found;
    shoal_status status = tree_walk(a, t->ns, &t->names, t->key.shard_index, &found, p);
    return status == SHOAL_OK && (!found.found || found.rest.size) ? SHOAL_MISS : status;
}

void tree_tidy(shoal_arena *a, uint32_t shard_index, const waiting *w)
{
    waiting patience = waiting_inside(w);
    while (load_relaxed(&a->shards[shard_index].graves) != 0) {
        if (shard_lock(a, shard_index, &patience) != SHOAL_OK)
            return;
        shoal_status status = graves_reap(a, shard_index, BATCH, &patience);
        shard_unlock(a, shard_index);
        if (status != SHOAL_OK)
            return;
    }
}

/* The next field from `ref` on that is no newer than `version`. */
static shoal_status older(shoal_arena *a, const shoal_namespace *tree, uint32_t s, uint64_t ref, uint64_t version, place *p, bool *found)
{
    for (uint64_t left = entries_most(a, a->shards[s].entries); ref; left--) {
        shoal_status status = left ? entry_listed(a, s, tree->id, tree->uid, ref, p) : corrupt(a, "fields: a cycle");
        if (status != SHOAL_OK)
            return status;
        if (!(p->e.flags & BLOCK_FIELD))
            return corrupt(a, "fields: an entry that is no field");
        if (p->e.version <= version) {
            *found = true;
            return SHOAL_OK;
        }
        ref = load_relaxed(&entry_links(p->b, p->e.flags)->next);
    }
    *found = false;
    return SHOAL_OK;
}

shoal_status tree_clear(shoal_arena *a, const shoal_namespace *tree, uint32_t s, waiting *w)
{
    uint64_t version = VERSION_MASK;
    for (bool more = true, first = true; more; first = false) {
        lookup key = root_lookup(a, tree, s);
        place root, p;
        shoal_status status = shard_lock(a, s, w);
        if (status != SHOAL_OK)
            return status;
        if (first)
            version = load_relaxed(&a->shards[s].version);
        if (load_relaxed(&a->records[tree->id].uid) != tree->uid)
            status = SHOAL_STALE;
        for (uint32_t i = 0; i < BATCH && more && status == SHOAL_OK; i++) {
            status = field_find(a, &key, &root);
            more = status == SHOAL_OK;
            if (more)
                status = older(a, tree, s, load_relaxed(object_first(root.b, root.e.flags, root.e.key_size)), version, &p, &more);
            if (more && status == SHOAL_OK && (status = entry_remove(a, s, &p, w)) == SHOAL_OK)
                count_one(a, COUNT_DELETES);
        }
        shard_unlock(a, s);
        if (status != SHOAL_OK && status != SHOAL_MISS)
            return status;
    }
    tree_tidy(a, s, w);
    return SHOAL_OK;
}
