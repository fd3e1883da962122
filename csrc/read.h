/* Reading a chain without the lock: what the reads of one entry and of whole tables share. */
#ifndef SHOAL_READ_H
#define SHOAL_READ_H

#include "tree.h"

#define TRIES 64 /* of a lock-free read, before it asks for the lock or looks for a dead writer */

enum outcome { FOUND, ABSENT, CHANGED, NEEDS_LOCK, DAMAGED };

static inline bool moved(const bucket *head, uint64_t before)
{
    fence_acquire(); /* what was read so far, before the sequence is looked at again */
    return seq_of(load_relaxed(&head->word)) != seq_of(before);
}

/* A millisecond, for who may not lock and so cannot be woken. */
void read_pause(void);

#endif
