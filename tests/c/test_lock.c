/* The writer lock: exclusive, bounded in its waits, survives its owner. */
#include <pthread.h>

#include "fixture.h"
#include "lock.h"
#include "process.h"

static shoal_status take(shoal_arena *a, int64_t wait, bool *dead)
{
    waiting w = {.wait = wait};
    return lock_take(a, &a->shards[0].lock, &w, dead);
}

/* A child that takes the lock, says so through the pipe, and then does what `then` says. */
static pid_t owner_in_child(shoal_arena *a, void (*then)(shoal_arena *a))
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return -1;
    pid_t pid = fork_child();
    if (pid == 0) {
        bool dead;
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(take(a, WAIT, &dead) == SHOAL_OK && !dead);
        REQUIRE_CHILD(write(ready[1], "x", 1) == 1);
        then(a);
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        pid = -1;
    close(ready[0]);
    return pid;
}

static void stop_here(shoal_arena *a)
{
    (void)a;
    for (;;)
        pause();
}

static void release_soon(shoal_arena *a)
{
    struct timespec t = {0, 20 * 1000 * 1000};
    nanosleep(&t, NULL);
    lock_drop(&a->shards[0].lock);
}

static void die_at_once(shoal_arena *a) { (void)a; }

static void a_free_lock_is_one_step_and_shows_its_owner(void)
{
    shoal_arena *a = arena_new("lock", MIB);
    bool dead = true;
    CHECK_EQ(a->shards[0].lock.word, 0u);
    CHECK_STATUS(take(a, 0, &dead), SHOAL_OK);
    CHECK(!dead);
    CHECK_EQ(a->shards[0].lock.word & LOCK_OWNER_MASK, a->slot + 1u);
    CHECK_EQ(a->shards[0].lock.word >> 32, a->me->state >> 32);
    CHECK(!lock_abandoned(a, a->shards[0].lock.word));
    lock_drop(&a->shards[0].lock);
    CHECK_EQ(a->shards[0].lock.word, 0u);
    CHECK(!lock_abandoned(a, 0));
    ARENA_END(a);
}

static void a_held_lock_gives_busy_at_once_or_after_the_wait(void)
{
    shoal_arena *a = arena_new("busy", MIB);
    bool dead;
    pid_t pid = owner_in_child(a, stop_here);
    REQUIRE(pid > 0);
    int64_t begin = shoal_clock_mono_ns();
    CHECK_STATUS(take(a, 0, &dead), SHOAL_BUSY);
    CHECK(shoal_clock_mono_ns() - begin < SECOND);
    begin = shoal_clock_mono_ns();
    CHECK_STATUS(take(a, 120 * MILLISECOND, &dead), SHOAL_BUSY);
    int64_t waited = shoal_clock_mono_ns() - begin;
    CHECK(waited >= 120 * MILLISECOND && waited < 5 * SECOND);
    CHECK(stats_of(a).lock_waits >= 2);
    kill(pid, SIGSTOP); /* stopped is not dead */
    CHECK_STATUS(take(a, 120 * MILLISECOND, &dead), SHOAL_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
    CHECK(dead);
    lock_drop(&a->shards[0].lock);
    ARENA_END(a);
}

static void a_release_wakes_the_waiter(void)
{
    shoal_arena *a = arena_new("wake", MIB);
    bool dead;
    pid_t pid = owner_in_child(a, release_soon);
    REQUIRE(pid > 0);
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
    CHECK(!dead);
    lock_drop(&a->shards[0].lock);
    CHECK(child_ok(pid));
    ARENA_END(a);
}

static void a_dead_owners_lock_is_taken_over_once(void)
{
    shoal_arena *a = arena_new("dead", MIB);
    bool dead;
    pid_t pid = owner_in_child(a, die_at_once);
    REQUIRE(pid > 0);
    CHECK(child_ok(pid));
    CHECK(a->shards[0].lock.word != 0);
    CHECK(lock_abandoned(a, a->shards[0].lock.word));
    CHECK_STATUS(take(a, 0, &dead), SHOAL_BUSY); /* asking who lives is a system call: not without a wait */
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
    CHECK(dead);
    CHECK_EQ(stats_of(a).recoveries, 1u);
    lock_drop(&a->shards[0].lock);
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
    CHECK(!dead);
    lock_drop(&a->shards[0].lock);
    ARENA_END(a);
}

/* The slot of the dead owner has a new tenant: its generation tells that the lock is not the tenant's. */
static void a_reused_slot_does_not_inherit_a_lock(void)
{
    shoal_arena *a = arena_new("tenant", MIB), *b;
    bool dead;
    pid_t pid = owner_in_child(a, die_at_once);
    REQUIRE(pid > 0 && child_ok(pid));
    uint32_t owner = (uint32_t)(a->shards[0].lock.word & LOCK_OWNER_MASK) - 1;
    b = arena_attach("tenant", 'w');
    CHECK_EQ(b->slot, owner);
    CHECK(lock_abandoned(a, a->shards[0].lock.word));
    CHECK(lock_abandoned(b, a->shards[0].lock.word));
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
    CHECK(dead);
    lock_drop(&a->shards[0].lock);
    shoal_close(b);
    ARENA_END(a);
}

static void a_lock_word_of_nobody_is_abandoned(void)
{
    shoal_arena *a = arena_new("nobody", MIB);
    bool dead;
    const uint64_t words[] = {LOCK_OWNER_MASK, 1ull << 32, LOCK_WAITERS, 77, 0xFFFFFFFF00000001ull, 0xFFFFull | 5ull << 32};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        a->shards[0].lock.word = words[i];
        CHECK(lock_abandoned(a, words[i]));
        CHECK_STATUS(take(a, WAIT, &dead), SHOAL_OK);
        CHECK(dead);
        lock_drop(&a->shards[0].lock);
    }
    ARENA_END(a);
}

static int stop_now(void *context)
{
    ++*(int *)context;
    return 1;
}

static void the_hook_interrupts_a_wait(void)
{
    shoal_arena *a = arena_new("hook", MIB);
    bool dead;
    int calls = 0;
    pid_t pid = owner_in_child(a, stop_here);
    REQUIRE(pid > 0);
    shoal_set_wait_hook(a, stop_now, &calls);
    int64_t begin = shoal_clock_mono_ns();
    CHECK_STATUS(take(a, WAIT, &dead), SHOAL_INTERRUPTED);
    CHECK(shoal_clock_mono_ns() - begin < 5 * SECOND);
    CHECK_EQ(calls, 1);
    shoal_set_wait_hook(a, NULL, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ARENA_END(a);
}

typedef struct counting {
    shoal_arena *a;
    uint64_t *sum;
} counting;

enum { ROUNDS = 20000, PARTIES = 3 };

static void *count_up(void *context)
{
    counting *c = context;
    for (int i = 0; i < ROUNDS; i++) {
        bool dead;
        if (take(c->a, WAIT, &dead) != SHOAL_OK || dead)
            return "not taken";
        *c->sum += 1; /* not atomic: the lock makes it right, or the sum is short (and the thread sanitizer speaks) */
        lock_drop(&c->a->shards[0].lock);
    }
    return NULL;
}

static void threads_exclude_each_other(void)
{
    shoal_arena *a = arena_new("threads", MIB);
    uint64_t sum = 0;
    counting c = {.a = a, .sum = &sum};
    pthread_t threads[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        REQUIRE(pthread_create(&threads[i], NULL, count_up, &c) == 0);
    for (int i = 0; i < PARTIES; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        CHECK(problem == NULL);
    }
    CHECK_EQ(sum, (uint64_t)ROUNDS * PARTIES);
    ARENA_END(a);
}

static void processes_exclude_each_other(void)
{
    shoal_arena *a = arena_new("processes", MIB);
    uint64_t *sum = (uint64_t *)(void *)a->shards[0].pad; /* which nothing else uses */
    counting c = {.a = a, .sum = sum};
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        if ((pids[i] = fork_child()) == 0) {
            shoal_after_fork(a);
            REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
            REQUIRE_CHILD(count_up(&c) == NULL);
            _exit(0);
        }
    for (int i = 0; i < PARTIES; i++)
        CHECK(child_ok(pids[i]));
    CHECK_EQ(*sum, (uint64_t)ROUNDS * PARTIES);
    *sum = 0;
    ARENA_END(a);
}

/* A lock and a page lock below it share one deadline: the sum of all waits is bounded. */
static void a_deadline_that_has_passed_still_ends_the_wait(void)
{
    shoal_arena *a = arena_new("deadline", MIB);
    pid_t pid = owner_in_child(a, stop_here);
    bool dead;
    REQUIRE(pid > 0);
    waiting w = {.wait = SECOND, .deadline = shoal_clock_mono_ns() - SECOND};
    int64_t begin = shoal_clock_mono_ns();
    CHECK_STATUS(lock_take(a, &a->shards[0].lock, &w, &dead), SHOAL_BUSY);
    CHECK(shoal_clock_mono_ns() - begin < SECOND);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(a_free_lock_is_one_step_and_shows_its_owner);
    RUN(a_held_lock_gives_busy_at_once_or_after_the_wait);
    RUN(a_release_wakes_the_waiter);
    RUN(a_dead_owners_lock_is_taken_over_once);
    RUN(a_reused_slot_does_not_inherit_a_lock);
    RUN(a_lock_word_of_nobody_is_abandoned);
    RUN(the_hook_interrupts_a_wait);
    RUN(threads_exclude_each_other);
    RUN(processes_exclude_each_other);
    RUN(a_deadline_that_has_passed_still_ends_the_wait);
    return check_report();
}

int main(void) { return fixture_main(tests); }
