/* Taking a shard's lock, and making the shard whole when its last owner died inside.
 *
 * Recovery keeps what the table reaches and what is pinned, and derives all else: sequences even, free
 * lists, namespace lists and counts, pin counts. It only repeats itself when killed and begun again.
 */
#ifndef SHOAL_RECOVER_H
#define SHOAL_RECOVER_H

#include "lists.h"

/* OK, BUSY, INTERRUPTED, CORRUPT. */
shoal_status shard_lock(shoal_arena *a, uint32_t shard_index, waiting *w);
static inline void shard_unlock(shoal_arena *a, uint32_t shard_index) { lock_drop(&a->shards[shard_index].lock); }

/* The lock of a namespace's exact count; a dead owner's count is made anew. Under a shard lock. */
shoal_status count_lock(shoal_arena *a, uint32_t ns, waiting *w);

/* Under the shard lock. CORRUPT: what is left cannot be trusted; readers go on. BUSY: the page lock, or a count's, was not to be
 * had in `wait`. */
shoal_status recover_shard(shoal_arena *a, uint32_t shard_index, int64_t wait);

#endif
