/* The writer lock: survives its owner, waits with a bound.
 *
 * Free is 0; taken is the owner's slot and generation, set by CAS. A waiter spins briefly, then sleeps
 * in slices; after each it asks whether the owner lives and takes a dead one's lock over. Whoever gets
 * `dead = true` must repair what the lock guards before it uses it.
 */
#ifndef SHOAL_LOCK_H
#define SHOAL_LOCK_H

#include "handle.h"

/* OK, BUSY, INTERRUPTED. */
shoal_status lock_wait(shoal_arena *a, shoal_lock *lock, waiting *w, bool *dead);
void lock_wake(shoal_lock *lock);

static inline shoal_status lock_take(shoal_arena *a, shoal_lock *lock, waiting *w, bool *dead)
{
    uint64_t expected = 0;
    if (likely(cas_acquire(&lock->word, &expected, a->lock_word))) {
        *dead = false;
        return SHOAL_OK;
    }
    return lock_wait(a, lock, w, dead);
}

static inline void lock_drop(shoal_lock *lock)
{
    if (unlikely(exchange_release(&lock->word, 0) & LOCK_WAITERS))
        lock_wake(lock);
}

/* Is the lock held by somebody dead? For readers that cannot take it. */
bool lock_abandoned(shoal_arena *a, uint64_t word);

#endif
