#include "room.h"

#include "os.h"
#include "process.h"

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
                shoal_status status = entry_listed(a, shard_index, ns, uid, ref, &p);
                if (status == SHOAL_OK)
                    status = entry_expire(a, shard_index, &p, w);
                if (status != SHOAL_OK) {
                    nh->cursor = 0;
                    return status;
                }
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
                status = sweep_steps(a, s, ns, uid, list_most(a, nh) + 1, w);
            }
            if (only)
                break;
        }
        if (!only) {
            if (status == SHOAL_OK)
                status = graves_reap(a, s, UINT64_MAX, w);
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

/* In one shard: until an entry is evicted or the hand is past the newest (`past`), maybe both at once. `forgive`: what was
 * visited is passed over. */
static shoal_status evict_here(shoal_arena *a, uint32_t shard_index, const shoal_namespace *ns, bool forgive, bool *done, bool *past,
                               waiting *w)
{
    namespace_head *nh = head_of(a, ns->id, shard_index);
    place p;
    *done = false;
    *past = true;
    if (nh->hand == 0)
        nh->hand = nh->oldest;
    for (uint64_t left = nh->count; nh->hand && left > 0; left--) {
        shoal_status status = entry_listed(a, shard_index, ns->id, ns->uid, nh->hand, &p);
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
            *past = nh->hand == 0;
        }
        return status;
    }
    return SHOAL_OK;
}

/* Where a namespace has fewer entries per shard, SIEVE takes them from all shards by turns: a short list alone remembers too little. */
#define OWN_LIST_MIN 8

/* Has this shard at least as many entries of a namespace with a limit as shards have on average, and are those enough for SIEVE? */
static bool has_its_share(shoal_arena *a, uint32_t ns, uint32_t shard_index)
{
    uint64_t average = load_relaxed(&a->records[ns].total) / a->nshards;
    return average >= OWN_LIST_MIN && load_relaxed(&head_of(a, ns, shard_index)->count) >= average;
}

/* One try in one shard; as evict_here(). */
static shoal_status evict_in(shoal_arena *a, uint32_t shard_index, const shoal_namespace *ns, bool forgive, bool *done, bool *past,
                             waiting *w)
{
    *done = false;
    *past = true;
    if (load_relaxed(&head_of(a, ns->id, shard_index)->count) == 0)
        return SHOAL_OK;
    shoal_status status = shard_lock(a, shard_index, w);
    if (status != SHOAL_OK)
        return status;
    status = load_relaxed(&a->records[ns->id].uid) == ns->uid ? evict_here(a, shard_index, ns, forgive, done, past, w) : SHOAL_STALE;
    shard_unlock(a, shard_index);
    return status;
}

shoal_status evict(shoal_arena *a, const shoal_namespace *ns, uint32_t home, uint64_t count, uint64_t *evicted, waiting *w)
{
    namespace_record *record = &a->records[ns->id];
    bool done, past;
    /* Where an entry comes, one goes: so the hand of each list stays as far from its newest entries as SIEVE keeps it, and
     * those have the time to be visited that they would have in one list of all. */
    for (uint32_t misses = 0; count > 0 && misses < 3 && has_its_share(a, ns->id, home);) {
        shoal_status status = evict_in(a, home, ns, misses < 2, &done, &past, w);
        if (status != SHOAL_OK)
            return status;
        misses = done ? 0 : misses + 1;
        count -= done;
        *evicted += done;
    }
    /* One round may only clear visited bits, the next then evicts; a third forgives nothing, because readers may visit
     * faster than the hand moves. */
    for (uint32_t misses = 0; count > 0 && misses < 3 * a->nshards;) {
        uint32_t s = (uint32_t)load_relaxed(&record->hand) % a->nshards;
        shoal_status status = evict_in(a, s, ns, misses < 2 * a->nshards, &done, &past, w);
        if (status != SHOAL_OK)
            return status;
        misses = done ? 0 : misses + 1;
        count -= done;
        *evicted += done;
        /* Only then: from its oldest on, this shard has just lost its visited bits, and its turn comes after all others. */
        if (past)
            store_relaxed(&record->hand, s + 1);
    }
    return SHOAL_OK;
}
