/* Taking entries out of a shard.
 *
 *   grave   an object that was removed while it had fields: no path leads there any more, but its block and its fields are still to
 *           be freed. Whoever writes in the shard frees a few. Who dies meanwhile leaves fields without an object, which
 *           recovery drops.
 */
#ifndef SHOAL_REMOVE_H
#define SHOAL_REMOVE_H

#include "fields.h"
#include "recover.h"

/* The bucket hash of an entry that lies in the namespace of that uid. */
uint64_t entry_hash(shoal_arena *a, uint64_t uid, block *b, const entry *e);
/* The place of an entry that a list says lies at `ref`: checked, because lists may be damaged. */
shoal_status entry_listed(shoal_arena *a, uint32_t shard_index, uint32_t ns, uint64_t uid, uint64_t ref, place *p);

/* Unlink the entry from table, lists and counts, and free its block; an object becomes a grave. Under the shard lock. Of a namespace
 * with max_keys the count lock is taken: BUSY leaves everything as it was. */
shoal_status entry_remove(shoal_arena *a, uint32_t shard_index, place *p, waiting *w);

/* The same of one that has expired, and of the objects that were made for nothing but it. Counted. */
shoal_status entry_expire(shoal_arena *a, uint32_t shard_index, place *p, waiting *w);
/* Remove the object at `ref` if it has no fields and nobody asked for it, and so on upwards. */
shoal_status objects_prune(shoal_arena *a, uint32_t shard_index, uint64_t ref, waiting *w);

/* The block of an entry that the table does not reach any more. */
void block_discard(shoal_arena *a, uint32_t shard_index, uint64_t ref, const entry *e);
/* Free up to `steps` fields of graves. Under the shard lock. */
shoal_status graves_reap(shoal_arena *a, uint32_t shard_index, uint64_t steps, waiting *w);

#endif
