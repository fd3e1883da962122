#include "pins.h"

#include "recover.h"

#define DROP_WAIT_NS ((int64_t)1000 * 1000 * 1000)

shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint32_t *record)
{
    uint64_t page = page_of(a, ref << REF_SHIFT);
    if (!page_head(a, page, PAGE_LARGE, shard_index))
        return corrupt(a, "pin: not a large run of this shard");
    for (uint32_t i = 0; i < PIN_RECORDS; i++) {
        pin_record *r = &a->me->pins[i];
        uint64_t none = 0;
        /* Threads in other shards take records at the same time. */
        if (load_relaxed(&r->block) != 0 || !cas_relaxed(&r->block, &none, ref))
            continue;
        store_relaxed(&r->shard, shard_index);
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
        pages_give(a, page);
}

void pins_drop_all(shoal_arena *a, process_slot *slot)
{
    for (uint32_t i = 0; i < PIN_RECORDS; i++) {
        pin_record *r = &slot->pins[i];
        uint32_t shard_index = (uint32_t)load_relaxed(&r->shard);
        if (load_relaxed(&r->block) == 0)
            continue;
        if (shard_index >= a->nshards) {
            store_relaxed(&r->block, 0);
            continue;
        }
        waiting w = {.wait = DROP_WAIT_NS};
        if (shard_lock(a, shard_index, &w) != SHOAL_OK)
            continue; /* a stopped owner: the record stays for the next who reaps */
        pins_drop(a, r);
        shard_unlock(a, shard_index);
    }
}
