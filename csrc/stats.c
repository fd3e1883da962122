/* Figures of the whole arena, and the sweep that anybody may ask for. */
#include <sys/stat.h>

#include "pins.h"
#include "process.h"
#include "room.h"

shoal_status shoal_get_stats(shoal_arena *a, shoal_stats *out)
{
    struct stat st;
    *out = (shoal_stats){0};
    shoal_status status = process_ready(a, PROCESS_WAIT_NS);
    if (status != SHOAL_OK)
        return status;
    if (fstat(a->fd, &st) != 0)
        return SHOAL_OS;
    out->capacity = a->pages << PAGE_SHIFT;
    out->used = load_relaxed(&a->header->used) << PAGE_SHIFT;
    out->committed = (uint64_t)st.st_blocks * 512;
    out->shards = a->nshards;
    out->processes = process_count(a);
    for (uint32_t s = 0; s < a->nshards; s++)
        out->entries += load_relaxed(&a->shards[s].entries);
    uint64_t namespaces = load_acquire(&a->header->namespaces_high), slots = load_acquire(&a->header->slots_high);
    for (uint64_t i = 0; i < namespaces && i < NAMESPACE_MAX; i++)
        out->namespaces += load_relaxed(&a->records[i].uid) != 0 && load_relaxed(&a->records[i].kind) == KIND_KEYS;
    uint64_t sums[COUNT_END] = {0};
    for (uint64_t i = 0; i < slots && i < PROCESS_MAX; i++)
        for (int c = 0; c < COUNT_END; c++)
            sums[c] += load_relaxed(&a->slots[i].counters[c]);
    out->pinned_bytes = pins_bytes(a);
    if (a->read_only) /* these are not in the arena */
        for (int c = 0; c < COUNT_END; c++)
            sums[c] += load_relaxed(&a->own_counters[c]);
    out->hits = sums[COUNT_HITS];
    out->misses = sums[COUNT_MISSES];
    out->sets = sums[COUNT_SETS];
    out->deletes = sums[COUNT_DELETES];
    out->expired = sums[COUNT_EXPIRED];
    out->evicted = sums[COUNT_EVICTED];
    out->retries = sums[COUNT_RETRIES];
    out->lock_waits = sums[COUNT_LOCK_WAITS];
    out->recoveries = sums[COUNT_RECOVERIES];
    return SHOAL_OK;
}

shoal_status shoal_sweep(shoal_arena *a, int64_t wait)
{
    waiting w = {.wait = wait};
    uint64_t removed = 0;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK)
        return status;
    pins_retry(a);
    status = sweep_all(a, NULL, &removed, &w);
    return status == SHOAL_OK ? pages_trim(a, &w) : status;
}
