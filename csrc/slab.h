/* Blocks of one shard: size classes over page runs, and large runs for what is bigger.
 *
 *   class   blocks of one size; a LIFO list of free ones, and a newest run not yet handed out in full
 *   trim    runs of a class whose blocks are all free go back to the arena
 *
 * All calls hold the shard's lock. Free lists are derivable: recovery makes them anew.
 */
#ifndef SHOAL_SLAB_H
#define SHOAL_SLAB_H

#include "pages.h"

static inline uint32_t class_of(uint64_t bytes)
{
    if (bytes <= 256)
        return (uint32_t)((bytes + 15) >> 4) - 1;
    uint32_t e = 63 - (uint32_t)__builtin_clzll(bytes - 1);
    return 16 + (e - 8) * 8 + (uint32_t)(((bytes - 1) >> (e - 3)) & 7);
}
static inline uint32_t class_size(uint32_t c)
{
    return c < 16 ? (c + 1) << 4 : (9 + (c & 7)) << (5 + (c - 16) / 8);
}

static inline bool block_is_large(uint64_t bytes) { return bytes > SLAB_BLOCK_MAX; }

/* A block of at least `bytes`; large ones are a page run. Statuses of pages_take. */
shoal_status slab_take(shoal_arena *a, uint32_t shard_index, uint64_t bytes, uint64_t *ref, waiting *w);
/* `bytes` as it was taken with. Cannot fail for the caller: a large run that is pinned becomes an orphan, and so does
 * one whose page lock is not to be had at once; slab_reclaim frees that. */
void slab_give(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint64_t bytes);
/* Free a large run that nothing reaches or pins (marked ORPHAN), now or later. */
void slab_free_run(shoal_arena *a, uint32_t shard_index, uint64_t page);
/* Free large runs that were left for later. */
void slab_reclaim(shoal_arena *a, uint32_t shard_index);
/* Give wholly free runs of all classes back to the arena. */
void slab_trim(shoal_arena *a, uint32_t shard_index);
/* Forget all free lists (recovery fills them again by slab_give_block). */
void slab_reset(shard *sh);
void slab_give_block(shoal_arena *a, shard *sh, uint32_t class_index, uint64_t ref);
/* The class that a SLAB run serves. */
static inline uint32_t slab_run_class(const page_entry *head) { return (uint32_t)(load_relaxed(&head->aux) & 0xFFFF); }

#endif
