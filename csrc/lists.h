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

/* Steps after which a walk goes in circles: as many entries as are said to be there, but no more than there is room for. */
static inline uint64_t entries_most(const shoal_arena *a, uint64_t said)
{
    uint64_t frontier = load_acquire(&a->header->frontier);
    uint64_t room = (frontier <= a->pages ? frontier : a->pages) * (PAGE_SIZE / (sizeof(block) + 16));
    return said < room ? said : room;
}
static inline uint64_t list_most(const shoal_arena *a, const namespace_head *nh) { return entries_most(a, nh->count); }

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
