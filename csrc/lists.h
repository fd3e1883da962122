/* The entries of a namespace in one shard, newest first, and the two hands that walk them: SIEVE's, which
 * evicts, and the sweep's, which removes what has expired. All under the shard's lock; all derivable.
 */
#ifndef SHOAL_LISTS_H
#define SHOAL_LISTS_H

#include "table.h"

#define NEVER_DUE (~0ull)

static inline void list_init(namespace_head *nh) { *nh = (namespace_head){.due = NEVER_DUE, .due_next = NEVER_DUE}; }

/* The block's next and prev are set here; its other fields are not touched. */
void list_push(shoal_arena *a, namespace_head *nh, uint64_t ref, block *b);
void list_remove(shoal_arena *a, namespace_head *nh, uint64_t ref, const entry *e);
/* `ref` takes the place of `old`, whose links `e` holds. */
void list_replace(shoal_arena *a, namespace_head *nh, uint64_t old, const entry *e, uint64_t ref, block *b);

static inline void list_expect(namespace_head *nh, uint64_t expires)
{
    if (expires != 0) {
        if (expires < nh->due)
            store_relaxed(&nh->due, expires);
        if (expires < nh->due_next)
            store_relaxed(&nh->due_next, expires);
    }
}

#endif
