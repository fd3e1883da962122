/* Pins: large runs that stay where they are while somebody reads or fills them without the lock.
 *
 * A pin is a record in the process's slot and a count in the run's page entry; the records are the truth,
 * the count is derived. Records are made and dropped under the run's shard lock. A run that is unlinked
 * while pinned is an orphan, freed with its last pin. So is a run that is filled but not yet published:
 * who dies filling it leaves an orphan with a record, and whoever reaps the slot frees it.
 */
#ifndef SHOAL_PINS_H
#define SHOAL_PINS_H

#include "pages.h"

_Static_assert(PROCESS_MAX <= 1u << 11, "a slot's number takes eleven bits");
/* Whose pin it is, above the 36 bits of its ref: a forked child has copies of its parent's pins, and may hold one of
 * its own in a record of the same number. */
static inline uint64_t pin_block(const shoal_arena *a, uint64_t ref)
{
    uint64_t generation = a->lock_word >> 32;
    return ref | (uint64_t)a->slot << REF_BITS | generation << (REF_BITS + 11);
}

/* Under the shard lock. OK, FULL_PINS, CORRUPT. */
shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint32_t *record);
/* Under the shard lock; frees an orphan with its last pin. */
void pins_drop(shoal_arena *a, pin_record *record);
/* Without a lock: drop the pin, or mark it to be dropped by pins_retry if the shard's lock is not to be had in time. */
void pins_release(shoal_arena *a, pin_record *record, const waiting *w);
void pins_retry(shoal_arena *a);
/* All pins of a slot whose owner is dead, or this process itself. Takes the shard locks; false: some are left. */
bool pins_drop_all(shoal_arena *a, process_slot *slot, const waiting *w);

#endif
