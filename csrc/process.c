#include "process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "namespace.h"
#include "os.h"
#include "pins.h"

#define LEAVE_WAIT_NS ((int64_t)100 * 1000 * 1000)

static uint32_t slots_high(const shoal_arena *a)
{
    uint64_t high = load_acquire(&a->header->slots_high);
    return high < PROCESS_MAX ? (uint32_t)high : PROCESS_MAX;
}

/* What cannot be asked for (no descriptor is free, say) must not declare anybody dead: then the pid alone counts. */
static bool pid_lives(const process_slot *slot)
{
    uint64_t pid = load_relaxed(&slot->pid), signed_at = load_relaxed(&slot->start_time), start = os_start_time(pid);
    if (start == 0 || signed_at == 0)
        return pid != 0 && pid <= INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
    return start == signed_at;
}

static bool slot_lives(shoal_arena *a, uint32_t slot)
{
    if (!os_has_claims())
        return pid_lives(&a->slots[slot]);
    bool any;
    /* An error here must not declare anybody dead. */
    return !is_segment(a, a->fd) || os_claimed(a->fd, CLAIM_SLOTS + slot, 1, &any) != 0 || any;
}

bool process_alive(shoal_arena *a, uint32_t slot, uint32_t generation)
{
    if (slot >= slots_high(a))
        return false;
    uint64_t state = load_acquire(&a->slots[slot].state);
    if ((uint32_t)(state >> 32) != generation || (uint32_t)state != SLOT_USED)
        return false;
    if (a->me == &a->slots[slot])
        return true;
    return slot_lives(a, slot);
}

/* 0: the slot is ours, or whoever else gets this open file. */
static int claim_slot(shoal_arena *a, int fd, uint32_t slot)
{
    if (os_has_claims())
        return is_segment(a, fd) ? os_claim(fd, CLAIM_SLOTS + slot, false) : EBADF;
    bool used = slot < slots_high(a) && (uint32_t)load_relaxed(&a->slots[slot].state) == SLOT_USED;
    return used && pid_lives(&a->slots[slot]) ? EAGAIN : 0;
}

static void sign_slot(process_slot *slot)
{
    store_relaxed(&slot->pid, (uint64_t)getpid());
    store_relaxed(&slot->start_time, os_start_time((uint64_t)getpid()));
}

/* A slot that nobody alive has, claimed through `fd`, under a new generation. The caller holds the gate. */
static shoal_status new_slot(shoal_arena *a, int fd, uint32_t *index)
{
    for (uint32_t i = 0; i < PROCESS_MAX; i++) {
        int error = claim_slot(a, fd, i);
        if (error == EAGAIN)
            continue;
        if (error)
            return SHOAL_OS;
        process_slot *slot = &a->slots[i];
        if (i >= slots_high(a)) {
            error = os_commit(a->fd, (uint64_t)((uint8_t *)slot - a->base), PAGE_SIZE);
            if (error) {
                os_unclaim(fd, CLAIM_SLOTS + i);
                return os_commit_status(error);
            }
            store_release(&a->header->slots_high, i + 1);
        }
        uint32_t generation = (uint32_t)(load_relaxed(&slot->state) >> 32) + 1;
        generation += generation == 0;
        sign_slot(slot);
        store_release(&slot->state, (uint64_t)generation << 32 | SLOT_USED);
        *index = i;
        return SHOAL_OK;
    }
    return SHOAL_FULL_PROCESSES;
}

static void enter_slot(shoal_arena *a, uint32_t index)
{
    process_slot *slot = &a->slots[index];
    a->slot = index;
    a->me = slot;
    a->lock_word = (load_relaxed(&slot->state) >> 32) << 32 | (index + 1);
    pointer_publish(&a->counters, slot->counters);
}

shoal_status process_join(shoal_arena *a)
{
    uint32_t index;
    shoal_status status = new_slot(a, a->fd, &index);
    if (status != SHOAL_OK)
        return status;
    enter_slot(a, index);
    /* A dead predecessor's pins are ours now; give them back, and remove its runs, under our own identity. */
    pins_drop_all(a, a->me, &(waiting){.wait = LEAVE_WAIT_NS});
    namespace_drop_runs(a, index, (uint32_t)(a->lock_word >> 32) - 1, &(waiting){.wait = LEAVE_WAIT_NS});
    status = pins_begin(a, false);
    if (status != SHOAL_OK) {
        process_leave(a);
        return status;
    }
    os_unclaim(a->fd, CLAIM_READERS); /* a forked child's, until it had a slot */
    return SHOAL_OK;
}

void process_leave(shoal_arena *a)
{
    if (!a->me)
        return;
    /* Pins and runs that cannot be dropped now leave the slot in use but unclaimed: to be reaped. */
    uint64_t generation = load_relaxed(&a->me->state) >> 32;
    bool runs = namespace_drop_runs(a, a->slot, (uint32_t)generation, &(waiting){.wait = LEAVE_WAIT_NS});
    if (pins_drop_all(a, a->me, &(waiting){.wait = LEAVE_WAIT_NS}) && runs) {
        store_release(&a->me->state, generation << 32 | SLOT_FREE);
    }
    a->me = NULL;
    a->counters = NULL;
    pins_end(a);
    os_unclaim(a->fd, CLAIM_SLOTS + a->slot);
}

shoal_status process_join_child(shoal_arena *a)
{
    uint32_t index;
    waiting w = {.wait = PROCESS_WAIT_NS, .quiet = true};
    shoal_status status = new_slot(a, a->fork_fd, &index);
    if (status != SHOAL_OK)
        return status;
    a->fork_slot = index + 1;
    namespace_drop_runs(a, index, (uint32_t)(load_relaxed(&a->slots[index].state) >> 32) - 1,
                        &(waiting){.wait = LEAVE_WAIT_NS, .quiet = true});
    status = pins_drop_all(a, &a->slots[index], &w) ? pins_copy(a, &a->slots[index], &w) : SHOAL_BUSY;
    if (status != SHOAL_OK)
        process_drop_child(a);
    return status;
}

/* Give up a slot, whose claim `fd` has. */
static void drop_slot(shoal_arena *a, int fd, uint32_t index, const waiting *w)
{
    /* With the claim nobody else can be the slot's owner, or its reaper: only now does its state stand still. */
    process_slot *slot = &a->slots[index];
    uint64_t state = load_acquire(&slot->state);
    if ((uint32_t)state == SLOT_USED && namespace_drop_runs(a, index, (uint32_t)(state >> 32), w) && pins_drop_all(a, slot, w))
        store_release(&slot->state, (state & ~0xFFFFFFFFull) | SLOT_FREE);
    os_unclaim(fd, CLAIM_SLOTS + index);
}

void process_drop_child(shoal_arena *a)
{
    if (a->fork_slot && a->me)
        drop_slot(a, a->fork_fd, a->fork_slot - 1, &(waiting){.wait = LEAVE_WAIT_NS});
    a->fork_slot = 0;
}

void process_reap_child(shoal_arena *a)
{
    if (a->fork_slot && os_has_claims() && claim_slot(a, a->fd, a->fork_slot - 1) == 0)
        drop_slot(a, a->fd, a->fork_slot - 1, &(waiting){.wait = LEAVE_WAIT_NS});
    a->fork_slot = 0;
}

shoal_status process_become_child(shoal_arena *a)
{
    enter_slot(a, a->fork_slot - 1);
    sign_slot(a->me);
    os_unclaim(a->fd, CLAIM_READERS);
    a->fork_slot = 0;
    return pins_begin(a, true);
}

shoal_status process_join_forked(shoal_arena *a, int64_t wait)
{
    shoal_status status = SHOAL_OK;
    int64_t deadline = deadline_after(os_mono_ns(), wait);
    while (pthread_mutex_trylock(&a->attach_mutex) != 0) { /* another thread is at it, and may wait for longer than this call may */
        uint32_t never = 0;
        if (os_mono_ns() >= deadline)
            return SHOAL_BUSY;
        os_futex_wait(&never, 0, 100 * 1000);
    }
    if (!a->counters) {
        int error = os_gate(a->fd, deadline);
        if (error == 0) {
            status = process_join(a);
            os_ungate(a->fd);
        } else {
            status = error == ETIMEDOUT ? SHOAL_BUSY : SHOAL_OS;
        }
    }
    pthread_mutex_unlock(&a->attach_mutex);
    return status;
}

bool process_others(shoal_arena *a)
{
    bool any = false;
    if (os_has_claims())
        return os_claimed(a->fd, CLAIM_READERS, CLAIM_SLOTS + PROCESS_MAX, &any) != 0 || any;
    for (uint32_t i = 0; i < slots_high(a) && !any; i++)
        any = &a->slots[i] != a->me && (uint32_t)load_relaxed(&a->slots[i].state) == SLOT_USED && pid_lives(&a->slots[i]);
    return any;
}

void process_reap(shoal_arena *a, const waiting *w)
{
    /* Without claims only the gate tells who is who: the next who joins takes dead slots over. */
    if (os_has_claims()) {
        pthread_mutex_lock(&a->attach_mutex);
        for (uint32_t i = 0; i < slots_high(a); i++) {
            process_slot *slot = &a->slots[i];
            if (slot != a->me && (uint32_t)load_relaxed(&slot->state) == SLOT_USED && claim_slot(a, a->fd, i) == 0)
                drop_slot(a, a->fd, i, w);
        }
        pthread_mutex_unlock(&a->attach_mutex);
    }
    namespace_drop_dead_runs(a);
}

uint32_t process_count(shoal_arena *a)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slots_high(a); i++)
        if ((uint32_t)load_relaxed(&a->slots[i].state) == SLOT_USED)
            count += &a->slots[i] == a->me || slot_lives(a, i);
    return count;
}

shoal_status shoal_process(shoal_arena *a, uint32_t *slot, uint32_t *generation)
{
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, PROCESS_WAIT_NS);
    if (status == SHOAL_OK) {
        *slot = a->slot;
        *generation = (uint32_t)(a->lock_word >> 32);
    }
    return status;
}

bool shoal_process_lives(shoal_arena *a, uint32_t slot, uint32_t generation) { return process_alive(a, slot, generation); }

shoal_status shoal_reap(shoal_arena *a, int64_t wait)
{
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, PROCESS_WAIT_NS); /* `wait` is for what the dead have locked */
    if (status == SHOAL_OK)
        process_reap(a, &(waiting){.wait = wait});
    return status;
}
