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

/* Under the shard lock. OK, FULL_PINS, CORRUPT. */
shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint32_t *record);
/* Under the shard lock; frees an orphan with its last pin. */
void pins_drop(shoal_arena *a, pin_record *record);
/* All pins of a slot whose owner is dead, or this process itself. Takes the shard locks. */
void pins_drop_all(shoal_arena *a, process_slot *slot);

#endif
