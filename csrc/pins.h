/* Pins: large runs that stay where they are while somebody reads or fills them without the lock.
 *
 * A pin is a record in the process's slot and a count in the run's page entry; the records are the truth,
 * the count is derived. Records are made and dropped under the run's shard lock. A run that is unlinked
 * while pinned is an orphan, freed with its last pin. So is a run that is filled but not yet published:
 * who dies filling it leaves an orphan with a record, and whoever reaps the slot frees it.
 *
 *   segment   more records, in a PAGE_PINS run of the arena. Taken under some shard's lock and owned by that shard: who dies
 *             before a slot reaches it leaves it to that shard's recovery. Given back when the slot is left or reaped
 *   view      a pin that lasts. Before a fork it is copied, under the same number, into a slot made for the child: so the
 *             child has it from its first instant on, and what the parent unpins stays for the child
 */
#ifndef SHOAL_PINS_H
#define SHOAL_PINS_H

#include "pages.h"

_Static_assert(PROCESS_MAX <= 1u << 11, "a slot's number takes eleven bits");
/* Whose pin it is, above the 36 bits of its ref: a forked child has copies of its parent's pin objects, and may hold one of
 * its own in a record of the same number. */
static inline uint64_t pin_owner(const shoal_arena *a)
{
    uint64_t generation = a->lock_word >> 32;
    return (uint64_t)a->slot << REF_BITS | generation << (REF_BITS + 11);
}

static inline uint64_t pin_word(uint64_t ref, uint32_t shard_index, bool view)
{
    return ref | (uint64_t)shard_index << REF_BITS | (view ? PIN_VIEW : 0);
}
static inline uint32_t pin_shard(uint64_t word) { return (uint32_t)(word >> REF_BITS) & ((1u << PIN_SHARD_BITS) - 1); }

/* Under the shard lock. OK, BUSY, FULL_PINS, FULL_ARENA and FULL_SYSTEM (no room for more records), NO_MEMORY, CORRUPT. */
shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, bool view, uint32_t *number, waiting *w);
/* Is it a pin that this process holds? Else it is a forked child's copy of what only the parent holds, or it was dropped before. */
bool pins_held(shoal_arena *a, const shoal_pin *pin);
/* Own pins, by number. Under the shard lock; frees an orphan with its last pin. */
void pins_drop(shoal_arena *a, uint32_t number);
/* Without a lock: drop the pin, or mark it to be dropped by pins_retry if the shard's lock is not to be had in time. */
void pins_release(shoal_arena *a, uint32_t number, const waiting *w);
void pins_retry(shoal_arena *a);
/* The record of that number in a slot; NULL if there is none. */
uint64_t *pins_record(shoal_arena *a, process_slot *slot, uint32_t number);

/* This process has just taken its slot. What is in the records is to be dropped (a dead predecessor's), or, in a forked child, its
 * own copies. NO_MEMORY. */
shoal_status pins_begin(shoal_arena *a, bool forked);
void pins_end(shoal_arena *a);
/* Give the slot `child` copies of this process's views. Where a shard's lock is not to be had, the number stays unused there. */
shoal_status pins_copy(shoal_arena *a, process_slot *child, waiting *w);
/* All pins and segments of a slot whose owner is dead, or this process itself. Takes the shard locks; false: some are left. */
bool pins_drop_all(shoal_arena *a, process_slot *slot, const waiting *w);

/* A walk over all records of all slots, a contiguous part at a time:
 *     for (pin_part p = {0}; pins_part(a, &p);)
 *         for (uint32_t i = 0; i < p.count; i++) ... p.records[i]
 * It holds still under all shard locks, or as far as one shard's records go under that one. */
typedef struct pin_part {
    uint64_t *records;
    uint32_t count, page; /* of a segment: its first page + 1 */
    uint32_t slot, part;  /* where the walk goes on */
} pin_part;
bool pins_part(shoal_arena *a, pin_part *p);

/* For recovery, under the shard's lock and the page lock: make the pin counts of the shard's large runs anew, and mark (aux) those
 * of its segments that a slot reaches. False: damaged. */
bool pins_recount(shoal_arena *a, uint32_t shard_index, uint64_t frontier);
/* Bytes of all runs that are pinned, each once. */
uint64_t pins_bytes(shoal_arena *a);

#endif
