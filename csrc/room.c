#include "room.h"

#include "os.h"
#include "process.h"

shoal_status lookup_make(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, lookup *out)
{
    if (key_size == 0 || key_size > SHOAL_KEY_MAX || ns->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    uint64_t hash = hash_key(a->secret, ns->uid, key, key_size);
    *out = (lookup){.key = key, .key_size = (uint32_t)key_size, .ns = ns->id,
                    .shard_index = (uint32_t)hash & (a->nshards - 1), .bucket_hash = hash >> 8};
    return SHOAL_OK;
}

uint64_t entry_hash(shoal_arena *a, uint64_t uid, const block *b, const entry *e)
{
    return hash_key(a->secret, uid, (const uint8_t *)b + entry_key_at(e->flags), e->key_size) >> 8;
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
    table_remove(a, shard_index, p);
    list_remove(a, nh, p->ref, &p->e);
    store_relaxed(&nh->count, nh->count - 1);
    store_relaxed(&nh->bytes, nh->bytes - p->e.key_size - p->e.value_size);
    if (limited) {
        store_relaxed(&record->total, load_relaxed(&record->total) - 1);
        lock_drop(&record->count_lock);
    }
    store_relaxed(&sh->entries, sh->entries - 1);
    slab_give(a, shard_index, p->ref, entry_bytes(p->e.flags, p->e.key_size, p->e.value_size));
    return SHOAL_OK;
}

/* The entry that a list says lies at `ref`: checked, because lists may be damaged. */
static shoal_status listed(shoal_arena *a, uint32_t shard_index, uint32_t ns, uint64_t uid, uint64_t ref, place *p)
{
    block *b = block_at(a, ref);
    if (!b)
        return corrupt(a, "list: link leaves the arena");
    entry e = entry_load(b);
    if (e.ns != ns || e.key_size == 0 || !range_known(a, ref << REF_SHIFT, entry_key_at(e.flags) + e.key_size))
        return corrupt(a, "list: an entry of another namespace");
    return table_find_ref(a, shard_index, entry_hash(a, uid, b, &e), ref, p);
}

shoal_status sweep_steps(shoal_arena *a, uint32_t shard_index, uint32_t ns, uint64_t uid, uint64_t steps, waiting *w)
{
    namespace_head *nh = head_of(a, ns, shard_index);
    uint64_t now = (uint64_t)os_mono_ns(), most = (a->pages << PAGE_SHIFT) / sizeof(block);
    for (steps = steps < most ? steps : most; steps > 0; steps--) {
        if (nh->cursor == 0) {
            nh->cursor = nh->oldest;
            nh->due_next = NEVER_DUE;
        }
        uint64_t ref = nh->cursor;
        block *b = ref ? block_at(a, ref) : NULL;
        if (ref && !b)
            return corrupt(a, "list: link leaves the arena");
        if (b) {
            entry e = entry_load(b);
            bool timed = (e.flags & BLOCK_EXPIRES) && range_known(a, ref << REF_SHIFT, sizeof(block) + 8);
            uint64_t expires = timed ? load_relaxed(entry_expires(b)) : 0;
            nh->cursor = e.prev;
            if (expires != 0 && expires <= now) {
                place p;
                shoal_status status = listed(a, shard_index, ns, uid, ref, &p);
                if (status == SHOAL_OK)
                    status = entry_remove(a, shard_index, &p, w);
                if (status != SHOAL_OK) {
                    nh->cursor = ref;
                    return status;
                }
                count_one(a, COUNT_EXPIRED);
            } else if (expires != 0 && expires < nh->due_next) {
                nh->due_next = expires;
            }
        }
        if (nh->cursor == 0) { /* a whole round: nothing expires before the least that was seen */
            store_relaxed(&nh->due, nh->due_next);
            break;
        }
    }
    return SHOAL_OK;
}

shoal_status sweep_all(shoal_arena *a, const uint32_t *only, uint64_t *removed, waiting *w)
{
    uint64_t high = load_acquire(&a->header->namespaces_high);
    if (!only)
        process_reap(a, w);
    for (uint32_t s = 0; s < a->nshards; s++) {
        if (only && !sweep_due(head_of(a, *only, s), os_mono_ns()))
            continue;
        shoal_status status = shard_lock(a, s, w);
        if (status != SHOAL_OK)
            return status;
        uint64_t before = a->shards[s].entries;
        for (uint32_t ns = only ? *only : 0; ns < high && ns < NAMESPACE_MAX && status == SHOAL_OK; ns++) {
            namespace_head *nh = head_of(a, ns, s);
            uint64_t uid = load_relaxed(&a->records[ns].uid);
            if (uid && sweep_due(nh, os_mono_ns())) {
                nh->cursor = 0;
                status = sweep_steps(a, s, ns, uid, nh->count + 1, w);
            }
            if (only)
                break;
        }
        if (!only) {
            slab_reclaim(a, s);
            slab_trim(a, s);
        }
        *removed += before - a->shards[s].entries;
        shard_unlock(a, s);
        if (status != SHOAL_OK)
            return status;
    }
    return SHOAL_OK;
}

/* In one shard: until an entry is evicted or the hand is past the newest. `forgive`: what was visited is passed over. */
static shoal_status evict_here(shoal_arena *a, uint32_t shard_index, const shoal_namespace *ns, bool forgive, bool *done, waiting *w)
{
    namespace_head *nh = head_of(a, ns->id, shard_index);
    place p;
    *done = false;
    if (nh->hand == 0)
        nh->hand = nh->oldest;
    for (uint64_t left = nh->count; nh->hand && left > 0; left--) {
        shoal_status status = listed(a, shard_index, ns->id, ns->uid, nh->hand, &p);
        if (status != SHOAL_OK)
            return status;
        if (forgive && (p.word & SLOT_VISITED)) {
            /* Only readers touch this bit besides, and only to set it: nothing to lose. */
            store_relaxed(&p.in->slots[p.slot], p.word & ~SLOT_VISITED);
            nh->hand = p.e.prev;
            continue;
        }
        bool expired = entry_expired(p.b, &p.e);
        status = entry_remove(a, shard_index, &p, w);
        if (status == SHOAL_OK) {
            count_one(a, expired ? COUNT_EXPIRED : COUNT_EVICTED);
            *done = true;
        }
        return status;
    }
    return SHOAL_OK;
}

shoal_status evict(shoal_arena *a, const shoal_namespace *ns, uint64_t count, uint64_t *evicted, waiting *w)
{
    namespace_record *record = &a->records[ns->id];
    /* One round may only clear visited bits, the next then evicts; a third forgives nothing, because readers may visit
     * faster than the hand moves. */
    for (uint32_t misses = 0; count > 0 && misses < 3 * a->nshards;) {
        uint32_t s = (uint32_t)load_relaxed(&record->hand) % a->nshards;
        bool done = false;
        if (load_relaxed(&head_of(a, ns->id, s)->count) != 0) {
            shoal_status status = shard_lock(a, s, w);
            if (status != SHOAL_OK)
                return status;
            status = load_relaxed(&record->uid) == ns->uid ? evict_here(a, s, ns, misses < 2 * a->nshards, &done, w) : SHOAL_STALE;
            shard_unlock(a, s);
            if (status != SHOAL_OK)
                return status;
        }
        if (done) {
            count--;
            ++*evicted;
            misses = 0;
        } else {
            store_relaxed(&record->hand, s + 1);
            misses++;
        }
    }
    return SHOAL_OK;
}
