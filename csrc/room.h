/* Making room: sweeping out what has expired, and evicting by SIEVE.
 *
 *   sweep   a cursor over a namespace's entries of one shard, run a few steps by each writer while
 *           something is due, and to the end when room or an exact count is asked for
 *   hand    SIEVE's (Zhang et al., NSDI 2024): from old to new, forgives entries that were visited
 *           since it last passed, evicts the first that was not. In the shard that an entry comes to,
 *           if it has its share of all; else it goes on shard by shard.
 */
#ifndef SHOAL_ROOM_H
#define SHOAL_ROOM_H

#include "remove.h"

/* Up to `steps` entries of the cursor's way. Under the shard lock. */
shoal_status sweep_steps(shoal_arena *a, uint32_t shard_index, uint32_t ns, uint64_t uid, uint64_t steps, waiting *w);
static inline bool sweep_due(const namespace_head *nh, int64_t now) { return load_relaxed(&nh->due) <= (uint64_t)now; }

/* Remove all that has expired, in all shards and namespaces (or in `only`), and give free runs back to the arena.
 * No lock held. *removed is added to. */
shoal_status sweep_all(shoal_arena *a, const uint32_t *only, uint64_t *removed, waiting *w);
/* Evict up to `count` entries of the namespace, first from the shard `home`, if it has its share of them. No lock held. */
shoal_status evict(shoal_arena *a, const shoal_namespace *ns, uint32_t home, uint64_t count, uint64_t *evicted, waiting *w);

#endif
