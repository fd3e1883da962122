/* The table of attached processes: who of them lives, and what dead ones left.
 *
 *   slot         a page of the arena that belongs to one attached process
 *   generation   tells a slot's owner from earlier ones; part of every lock word
 *   claim        the kernel's knowledge that the owner lives (os.h)
 */
#ifndef SHOAL_PROCESS_H
#define SHOAL_PROCESS_H

#include "handle.h"

/* Take a slot for this process. The caller holds the gate. OK, FULL_PROCESSES, FULL_SYSTEM. */
shoal_status process_join(shoal_arena *a);
void process_leave(shoal_arena *a);
/* In a forked child before its first call: take the gate and join. As process_join, BUSY. */
shoal_status process_join_forked(shoal_arena *a, int64_t wait);
#define PROCESS_WAIT_NS ((int64_t)5 * 1000 * 1000 * 1000) /* of calls that have no wait of their own */
/* Before a fork: a slot for the child, claimed through its own open file, with copies of the views that this process has. The caller
 * holds the gate. As process_join, BUSY. */
shoal_status process_join_child(shoal_arena *a);
void process_drop_child(shoal_arena *a); /* while the parent has that open file */
void process_reap_child(shoal_arena *a); /* after that: if there is no child that has it */
/* In the child: that slot is its own. NO_MEMORY. */
shoal_status process_become_child(shoal_arena *a);

bool process_alive(shoal_arena *a, uint32_t slot, uint32_t generation);
/* Is anybody but this open file using the arena? The caller holds the gate. */
bool process_others(shoal_arena *a);
/* Undo what dead processes left in their slots, as far as `w` lasts. */
void process_reap(shoal_arena *a, const waiting *w);
uint32_t process_count(shoal_arena *a);

static inline shoal_status process_ready(shoal_arena *a, int64_t wait)
{
    /* Acquire: who sees the counters sees the slot and the lock word, too. */
    return likely(pointer_acquire(&a->counters) != NULL) ? SHOAL_OK : process_join_forked(a, wait);
}

#endif
