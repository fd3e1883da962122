#include "lock.h"

#include "os.h"
#include "process.h"

#define SPINS 400
#define FIRST_SLICE_NS ((int64_t)1000 * 1000)
#define SLICE_NS ((int64_t)50 * 1000 * 1000)

/* The futex compares the half that holds owner and waiters flag (arenas are little-endian). */
static uint32_t *futex_word(shoal_lock *lock) { return (uint32_t *)&lock->word; }

bool lock_abandoned(shoal_arena *a, uint64_t word)
{
    uint32_t owner = (uint32_t)(word & LOCK_OWNER_MASK);
    if (word == 0)
        return false;
    return owner == 0 || !process_alive(a, owner - 1, (uint32_t)(word >> 32));
}

void lock_wake(shoal_lock *lock) { os_futex_wake(futex_word(lock), 1); }

shoal_status lock_wait(shoal_arena *a, shoal_lock *lock, waiting *w, bool *dead)
{
    uint64_t seen = load_relaxed(&lock->word);
    *dead = false;
    for (int i = 0; i < SPINS; i++) {
        if (seen == 0) {
            if (cas_acquire(&lock->word, &seen, a->lock_word))
                return SHOAL_OK;
            continue;
        }
        cpu_relax();
        seen = load_relaxed(&lock->word);
    }
    count_one(a, COUNT_LOCK_WAITS);
    if (w->wait <= 0)
        return SHOAL_BUSY;
    int64_t now = os_mono_ns(), slice = FIRST_SLICE_NS;
    if (w->deadline == 0)
        w->deadline = deadline_after(now, w->wait);
    for (;;) {
        seen = load_relaxed(&lock->word);
        if (seen == 0) {
            /* Others may still sleep: keep their flag, so that our release wakes the next. */
            if (cas_acquire(&lock->word, &seen, a->lock_word | LOCK_WAITERS))
                return SHOAL_OK;
            continue;
        }
        if (!(seen & LOCK_WAITERS) && !cas_relaxed(&lock->word, &seen, seen | LOCK_WAITERS))
            continue;
        int64_t left = w->deadline - now;
        os_futex_wait(futex_word(lock), (uint32_t)(seen | LOCK_WAITERS), left < slice ? left : slice);
        now = os_mono_ns();
        slice = SLICE_NS;
        seen = load_relaxed(&lock->word);
        if (seen != 0 && lock_abandoned(a, seen)) {
            if (cas_acquire(&lock->word, &seen, a->lock_word | LOCK_WAITERS)) {
                count_one(a, COUNT_RECOVERIES);
                *dead = true;
                return SHOAL_OK;
            }
            continue;
        }
        if (now >= w->deadline)
            return seen == 0 && cas_acquire(&lock->word, &seen, a->lock_word | LOCK_WAITERS) ? SHOAL_OK : SHOAL_BUSY;
        if (!w->quiet && a->hook && a->hook(a->hook_context))
            return SHOAL_INTERRUPTED;
    }
}
