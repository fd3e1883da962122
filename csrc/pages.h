/* Pages of the arena: runs with one purpose each, found through bins of free runs.
 *
 *   frontier   runs cover pages [0, frontier); beyond, nothing was ever used
 *   touched    a run that lock-free readers may look into, however late. It is never punched
 *   hole       a free run whose memory was given back; committed again before its next use
 *
 * Everything but the heads' states is derived from them: bins, counts, tails, INSIDE distances.
 * The page lock is taken after a shard lock, never before one.
 */
#ifndef SHOAL_PAGES_H
#define SHOAL_PAGES_H

#include "lock.h"

static inline uint32_t page_kind(uint64_t state) { return (uint32_t)state & 0xFF; }
static inline uint32_t page_flags(uint64_t state) { return (uint32_t)(state >> 8) & 0xFF; }
static inline uint32_t page_shard(uint64_t state) { return (uint32_t)(state >> 16) & 0xFFFF; }
static inline uint64_t page_length(uint64_t state) { return state >> 32; }
static inline uint64_t page_state(uint32_t kind, uint32_t flags, uint32_t owner, uint64_t length)
{
    return length << 32 | (uint64_t)owner << 16 | flags << 8 | kind;
}

/* A run of `count` committed pages. SLAB and TABLE runs become touched. The caller holds `owner`'s shard lock.
 * OK, BUSY, INTERRUPTED, FULL_ARENA, FULL_SYSTEM, OS, CORRUPT. */
shoal_status pages_take(shoal_arena *a, uint64_t count, uint32_t kind, uint32_t owner, uint64_t *page, waiting *w);
/* Was there no run to be had, be it the arena or the file system that is full? */
static inline bool pages_full(shoal_status status) { return status == SHOAL_FULL_ARENA || status == SHOAL_FULL_SYSTEM; }
/* The page lock, for what must see or change several runs at one instant. The caller's w is not used up by it: no hook. */
shoal_status pages_lock(shoal_arena *a, const waiting *w);
static inline void pages_unlock(shoal_arena *a) { lock_drop(&a->header->page_lock); }
/* Free the run that begins at `page`, under the page lock. Where a walk goes on: after the free run that it is part of now. */
uint64_t pages_give(shoal_arena *a, uint64_t page);
/* Give the memory of all free punchable runs back. */
shoal_status pages_trim(shoal_arena *a, waiting *w);
/* The state of the run's head, checked: kind, owner and bounds. 0 if it is not such a head. */
uint64_t page_head(shoal_arena *a, uint64_t page, uint32_t kind, uint32_t owner);
/* Pages [0, frontier) as they are now; False: damaged. */
bool page_walk(shoal_arena *a, uint64_t page, uint64_t frontier, uint64_t *state);
/* Map what was in use before, maybe by another process alone. The fault of a read maps 64 KB around it, that of a write one page;
 * where all is mapped, this takes a cache line in a thousand. */
static inline void pages_prefault(const void *from, uint64_t length)
{
    for (uint64_t at = 0; at < length; at += 65536)
        read_for_page((const uint8_t *)from + at);
}

#endif
