#include "lists.h"

/* A neighbour's link is changed only if the neighbour is a block at all: a damaged list stays damaged,
 * the verifier names it, and the next recovery makes it anew from the table. */
static void set_next(shoal_arena *a, uint64_t ref, uint64_t to)
{
    block *b = block_at(a, ref);
    if (b)
        entry_set_next(b, to);
}

static void set_prev(shoal_arena *a, uint64_t ref, uint64_t to)
{
    block *b = block_at(a, ref);
    if (b)
        entry_set_prev(b, to);
}

void list_push(shoal_arena *a, namespace_head *nh, uint64_t ref, block *b)
{
    entry_set_next(b, nh->newest);
    entry_set_prev(b, 0);
    if (nh->newest)
        set_prev(a, nh->newest, ref);
    else
        nh->oldest = ref;
    nh->newest = ref;
}

void list_remove(shoal_arena *a, namespace_head *nh, uint64_t ref, const entry *e)
{
    if (e->prev)
        set_next(a, e->prev, e->next);
    else
        nh->newest = e->next;
    if (e->next)
        set_prev(a, e->next, e->prev);
    else
        nh->oldest = e->prev;
    /* Both hands walk from old to new. */
    if (nh->hand == ref)
        nh->hand = e->prev;
    if (nh->cursor == ref)
        nh->cursor = e->prev;
}

void list_replace(shoal_arena *a, namespace_head *nh, uint64_t old, const entry *e, uint64_t ref, block *b)
{
    entry_set_next(b, e->next);
    entry_set_prev(b, e->prev);
    if (e->prev)
        set_next(a, e->prev, ref);
    else
        nh->newest = ref;
    if (e->next)
        set_prev(a, e->next, ref);
    else
        nh->oldest = ref;
    if (nh->hand == old)
        nh->hand = ref;
    if (nh->cursor == old)
        nh->cursor = ref;
}
