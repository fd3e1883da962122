#include "pins.h"

#include "recover.h"

#define RESERVED (~0ull) /* in place of a ref: outside of any arena */

shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint32_t *record)
{
    uint64_t page = page_of(a, ref << REF_SHIFT);
    if (!page_head(a, page, PAGE_LARGE, shard_index))
        return corrupt(a, "pin: not a large run of this shard");
    for (uint32_t i = 0; i < PIN_RECORDS; i++) {
        pin_record *r = &a->me->pins[i];
        uint64_t none = 0;
        /* Threads in other shards take records at the same time. */
        if (load_relaxed(&r->block) != 0 || !cas_relaxed(&r->block, &none, RESERVED))
            continue;
        store_relaxed(&r->shard, shard_index);
        store_release(&r->block, ref); /* whole: who dies before this has pinned nothing */
        store_relaxed(&a->map[page].aux, load_relaxed(&a->map[page].aux) + 1);
        *record = i;
        return SHOAL_OK;
    }
    return SHOAL_FULL_PINS;
}

void pins_drop(shoal_arena *a, pin_record *record)
{
    uint64_t page = page_of(a, load_relaxed(&record->block) << REF_SHIFT);
    uint32_t shard_index = (uint32_t)load_relaxed(&record->shard);
    store_relaxed(&record->block, 0);
    if (!page_head(a, page, PAGE_LARGE, shard_index))
        return;
    uint64_t aux = load_relaxed(&a->map[page].aux);
    if ((uint32_t)aux == 0)
        return;
    store_relaxed(&a->map[page].aux, --aux);
    if (aux == PAGE_ORPHAN)
        slab_free_run(a, shard_index, page);
}

void pins_release(shoal_arena *a, pin_record *record, const waiting *w)
{
    uint64_t shard_word = load_relaxed(&record->shard);
    uint32_t shard_index = (uint32_t)shard_word;
    waiting inside = waiting_inside(w);
    if (shard_lock(a, shard_index, &inside) == SHOAL_OK) {
        pins_drop(a, record);
        shard_unlock(a, shard_index);
    } else if (!(shard_word & PIN_LEFT)) {
        store_relaxed(&record->shard, shard_word | PIN_LEFT);
        add_relaxed32(&a->pins_left, 1);
    }
}

void pins_retry(shoal_arena *a)
{
    if (likely(load_relaxed32(&a->pins_left) == 0))
        return;
    pthread_mutex_lock(&a->attach_mutex); /* one thread at a time: a record must not be dropped twice */
    for (uint32_t i = 0; i < PIN_RECORDS; i++) {
        pin_record *r = &a->me->pins[i];
        if (load_relaxed(&r->block) == 0 || !(load_relaxed(&r->shard) & PIN_LEFT))
            continue;
        pins_release(a, r, &(waiting){0});
        if (load_relaxed(&r->block) == 0)
            add_relaxed32(&a->pins_left, (uint32_t)-1);
    }
    pthread_mutex_unlock(&a->attach_mutex);
}

bool pins_drop_all(shoal_arena *a, process_slot *slot, const waiting *w)
{
    waiting inside = waiting_inside(w);
    bool all = true;
    for (uint32_t i = 0; i < PIN_RECORDS; i++) {
        pin_record *r = &slot->pins[i];
        uint32_t shard_index = (uint32_t)load_relaxed(&r->shard);
        if (load_relaxed(&r->block) == 0)
            continue;
        if (shard_index >= a->nshards) {
            store_relaxed(&r->block, 0);
        } else if (shard_lock(a, shard_index, &inside) == SHOAL_OK) {
            pins_drop(a, r);
            shard_unlock(a, shard_index);
        } else {
            all = false; /* a stopped owner: the record stays for the next who reaps */
        }
    }
    return all;
}
