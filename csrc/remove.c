#include "remove.h"

uint64_t entry_hash(shoal_arena *a, uint64_t uid, block *b, const entry *e)
{
    return hash_field(a->secret, uid, entry_parent(b, e->flags), (const uint8_t *)b + entry_key_at(e->flags), e->key_size) >> 8;
}

shoal_status entry_listed(shoal_arena *a, uint32_t shard_index, uint32_t ns, uint64_t uid, uint64_t ref, place *p)
{
    block *b = block_at(a, ref);
    if (!b)
        return corrupt(a, "list: link leaves the arena");
    entry e = entry_load(b);
    if (e.ns != ns || e.key_size == 0 || !range_known(a, ref << REF_SHIFT, entry_key_at(e.flags) + e.key_size))
        return corrupt(a, "list: an entry of another namespace");
    if ((e.flags & (BLOCK_FIELD | BLOCK_OBJECT)) && !field_sound(a, ref, &e))
        return corrupt(a, "list: an entry that is no field");
    return table_find_ref(a, shard_index, entry_hash(a, uid, b, &e), ref, p);
}

shoal_status entry_remove(shoal_arena *a, uint32_t shard_index, place *p, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    namespace_head *nh = head_of(a, p->e.ns, shard_index);
    namespace_record *record = &a->records[p->e.ns];
    bool limited = load_relaxed(&record->max_keys) != 0;
    if (limited) {
        shoal_status status = count_lock(a, p->e.ns, w);
        if (status != SHOAL_OK)
            return status;
    }
    if (p->e.flags & BLOCK_OBJECT)
        objects_begin(sh);
    table_remove(a, shard_index, p);
    if (p->e.flags & BLOCK_OBJECT)
        objects_end(sh);
    list_remove(a, nh, p->ref, &p->e);
    if (p->e.flags & BLOCK_FIELD)
        field_unlink(a, p->b, p->e.flags);
    store_relaxed(&nh->count, nh->count - 1);
    store_relaxed(&nh->bytes, nh->bytes - p->e.key_size - p->e.value_size);
    if (limited) {
        store_relaxed(&record->total, load_relaxed(&record->total) - 1);
        lock_drop(&record->count_lock);
    }
    store_relaxed(&sh->entries, sh->entries - 1);
    block_discard(a, shard_index, p->ref, &p->e);
    return SHOAL_OK;
}

shoal_status objects_prune(shoal_arena *a, uint32_t shard_index, uint64_t ref, waiting *w)
{
    for (;;) {
        block *b = ref ? block_at(a, ref) : NULL;
        entry e = b ? entry_load(b) : (entry){0};
        place p;
        if (!(e.flags & BLOCK_OBJECT) || !(e.flags & BLOCK_MADE) || !field_sound(a, ref, &e) ||
            e.ns >= load_relaxed(&a->header->namespaces_high) || load_relaxed(object_first(b, e.flags, e.key_size)) != 0)
            return SHOAL_OK;
        uint64_t previous = load_relaxed(&entry_links(b, e.flags)->previous);
        shoal_status status = entry_listed(a, shard_index, e.ns, load_relaxed(&a->records[e.ns].last_uid), ref, &p);
        if (status != SHOAL_OK || (status = entry_remove(a, shard_index, &p, w)) != SHOAL_OK)
            return status;
        ref = previous & FIELD_FIRST ? previous & REF_MASK : 0;
    }
}

shoal_status entry_expire(shoal_arena *a, uint32_t shard_index, place *p, waiting *w)
{
    uint64_t previous = (p->e.flags & BLOCK_FIELD) ? load_relaxed(&entry_links(p->b, p->e.flags)->previous) : 0;
    shoal_status status = entry_remove(a, shard_index, p, w);
    if (status != SHOAL_OK)
        return status;
    count_one(a, COUNT_EXPIRED);
    return unlikely(previous & FIELD_FIRST) ? objects_prune(a, shard_index, previous & REF_MASK, w) : SHOAL_OK;
}

void block_discard(shoal_arena *a, uint32_t shard_index, uint64_t ref, const entry *e)
{
    shard *sh = &a->shards[shard_index];
    block *b = (block *)(a->base + (ref << REF_SHIFT));
    if ((e->flags & BLOCK_OBJECT) && load_relaxed(object_first(b, e->flags, e->key_size)) != 0) {
        entry_set_flags(b, e->flags & ~BLOCK_MADE); /* it was removed already, and does not go with its last field once more */
        entry_set_next(b, sh->graves);
        store_relaxed(&sh->graves, ref);
    } else {
        slab_give(a, shard_index, ref, entry_bytes(e->flags, e->key_size, e->value_size));
    }
}

shoal_status graves_reap(shoal_arena *a, uint32_t shard_index, uint64_t steps, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    for (uint64_t ref; steps > 0 && (ref = load_relaxed(&sh->graves)) != 0; steps--) {
        block *b = block_at(a, ref);
        entry e = b ? entry_load(b) : (entry){0};
        place p;
        if (!(e.flags & BLOCK_OBJECT) || !field_sound(a, ref, &e) || e.ns >= load_relaxed(&a->header->namespaces_high)) {
            store_relaxed(&sh->graves, 0); /* what hangs there is lost until the next recovery */
            return corrupt(a, "grave: not an object");
        }
        uint64_t first = load_relaxed(object_first(b, e.flags, e.key_size));
        if (first == 0) {
            store_relaxed(&sh->graves, e.next);
            slab_give(a, shard_index, ref, entry_bytes(e.flags, e.key_size, e.value_size));
            continue;
        }
        shoal_status status = entry_listed(a, shard_index, e.ns, load_relaxed(&a->records[e.ns].last_uid), first, &p);
        if (status != SHOAL_OK) {
            store_relaxed(&sh->graves, e.next);
            return status;
        }
        if ((status = entry_remove(a, shard_index, &p, w)) != SHOAL_OK)
            return status;
    }
    return SHOAL_OK;
}
