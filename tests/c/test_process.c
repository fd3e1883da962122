/* The table of processes: who is attached, who lives, what is left of the dead. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "fixture.h"
#include "lock.h"
#include "process.h"

static void each_open_handle_has_a_slot_of_its_own(void)
{
    shoal_arena *a = arena_new("slots", MIB), *b = arena_attach("slots", 'w'), *c = arena_attach("slots", 'c');
    CHECK(a->slot != b->slot && b->slot != c->slot && a->slot != c->slot);
    CHECK_EQ(stats_of(a).processes, 3u);
    uint32_t freed = b->slot;
    shoal_close(b);
    CHECK_EQ(stats_of(a).processes, 2u);
    b = arena_attach("slots", 'w');
    CHECK_EQ(b->slot, freed);
    shoal_close(b);
    shoal_close(c);
    CHECK(!process_others(a));
    ARENA_END(a);
}

static void a_new_tenant_has_a_new_generation(void)
{
    shoal_arena *a = arena_new("tenant", MIB), *b;
    uint32_t last = 0;
    for (int i = 0; i < 5; i++) {
        b = arena_attach("tenant", 'w');
        uint32_t generation = (uint32_t)(b->me->state >> 32);
        CHECK(generation != 0 && generation != last);
        CHECK(process_alive(a, b->slot, generation));
        CHECK(!process_alive(a, b->slot, generation - 1));
        CHECK(!process_alive(a, b->slot, generation + 1));
        uint32_t slot = b->slot;
        shoal_close(b);
        CHECK(!process_alive(a, slot, generation));
        last = generation;
    }
    CHECK(!process_alive(a, PROCESS_MAX, 1));
    CHECK(!process_alive(a, UINT32_MAX, 1));
    ARENA_END(a);
}

static void a_killed_process_is_dead_and_a_stopped_one_is_not(void)
{
    shoal_arena *a = arena_new("killed", MIB);
    int ready[2];
    char byte;
    REQUIRE(pipe(ready) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(write(ready[1], &a->slot, 4) == 4);
        for (;;)
            pause();
    }
    uint32_t slot = 0;
    REQUIRE(read(ready[0], &slot, 4) == 4);
    uint32_t generation = (uint32_t)(a->slots[slot].state >> 32);
    CHECK(slot != a->slot);
    CHECK(process_others(a));
    CHECK(process_alive(a, slot, generation));
    kill(pid, SIGSTOP);
    CHECK(process_alive(a, slot, generation));
    CHECK_EQ(stats_of(a).processes, 2u);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(!process_alive(a, slot, generation));
    CHECK(!process_others(a));
    CHECK_EQ(stats_of(a).processes, 1u);
    CHECK_EQ((uint32_t)a->slots[slot].state, (uint32_t)SLOT_USED);
    arena_reap(a);
    CHECK_EQ((uint32_t)a->slots[slot].state, (uint32_t)SLOT_FREE);
    arena_reap(a);
    (void)byte;
    close(ready[0]);
    close(ready[1]);
    ARENA_END(a);
}

/* The pid of a dead process is reused by somebody else: the claim (or the start time) tells. */
static void a_reused_pid_is_not_mistaken(void)
{
    shoal_arena *a = arena_new("pid", MIB), *b = arena_attach("pid", 'w');
    process_slot *slot = &a->slots[b->slot];
    uint32_t index = b->slot, generation = (uint32_t)(slot->state >> 32);
    shoal_close(b);
    slot->state = (uint64_t)generation << 32 | SLOT_USED; /* as one leaves it that was killed */
    slot->pid = (uint64_t)getpid();
    slot->start_time = 1;
    CHECK(!process_alive(a, index, generation));
    arena_reap(a);
    CHECK_EQ((uint32_t)slot->state, (uint32_t)SLOT_FREE);
    ARENA_END(a);
}

/* Without claims, pid and start time tell who lives; to read them takes a descriptor. Who has none left must not declare the
 * others dead, nor be taken for dead because it could not sign with its own. */
static void without_a_descriptor_nobody_is_declared_dead(void)
{
    shoal_arena *a = arena_new("none", MIB);
    shoal_namespace ns = ns_default(a);
    int ready[2], go[2];
    char byte;
    REQUIRE(pipe(ready) == 0 && pipe(go) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        struct rlimit none = {0, 20000};
        shoal_after_fork(a);
        REQUIRE_CHILD(setrlimit(RLIMIT_NOFILE, &none) == 0); /* from here on it opens nothing */
        shoal_status status = process_ready(a, WAIT);
        REQUIRE_CHILD(status == SHOAL_OK);
        a->shards[0].lock.word = a->lock_word;
        REQUIRE_CHILD(write(ready[1], &a->slot, 4) == 4 && read(go[0], &byte, 1) == 1);
        a->shards[0].lock.word = 0;
        _exit(process_alive(a, 0, (uint32_t)(a->slots[0].state >> 32)) ? 0 : 2); /* its parent */
    }
    uint32_t slot = 0;
    REQUIRE(read(ready[0], &slot, 4) == 4);
    CHECK(process_alive(a, slot, (uint32_t)(a->slots[slot].state >> 32)));
    CHECK_EQ(stats_of(a).processes, 2u);
    shoal_put_args args = {.head = "x", .head_size = 1, .ttl = SHOAL_TTL_DEFAULT};
    CHECK_STATUS(shoal_put(a, &ns, "key", 3, &args, NULL, 100 * MILLISECOND), SHOAL_BUSY); /* its lock is not taken away */
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(child_ok(pid));
    CHECK(!process_alive(a, slot, (uint32_t)(a->slots[slot].state >> 32)));
    CHECK_STATUS(put(a, &ns, "key", "x"), SHOAL_OK);
    for (int i = 0; i < 2; i++)
        close(ready[i]), close(go[i]);
    arena_reap(a);
    ARENA_END(a);
}

/* A child's pid is given to another process while its slot says that it holds the lock: both in a namespace of pids of their own. */
static void forked_into_a_dead_ones_pid(void)
{
    shoal_arena *a = arena_new("reused", MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pid, again = 0;
    int status;
    if ((pid = fork_child()) == 0) { /* holds the lock, and dies */
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        a->shards[0].lock.word = a->lock_word;
        _exit(0);
    }
    REQUIRE_CHILD(waitpid(pid, &status, 0) == pid && status == 0);
    sleep_until(shoal_clock_mono_ns() + 30 * MILLISECOND); /* start times count in ticks */
    for (int tries = 0; tries < 200 && again != pid; tries++) { /* others here may fork, too */
        char text[16];
        int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
        int size = snprintf(text, sizeof text, "%d", pid - 1);
        if (fd < 0 || write(fd, text, (size_t)size) != size) {
            SKIP("no say in which pid comes next");
            _exit(0);
        }
        close(fd);
        if ((again = fork_child()) == 0)
            for (;;)
                pause();
        if (again != pid) {
            kill(again, SIGKILL);
            waitpid(again, NULL, 0);
        }
    }
    REQUIRE_CHILD(again == pid);
    REQUIRE_CHILD(put(a, &ns, "key", "taken over") == SHOAL_OK);
    REQUIRE_CHILD(stats_of(a).recoveries == 1 && stats_of(a).processes == 1);
    kill(again, SIGKILL);
    waitpid(again, NULL, 0);
    CHECK_SOUND(a);
    shoal_close(a);
}

static void a_pid_that_is_really_reused_is_not_mistaken(void)
{
#ifdef __linux__
    pid_t outer = fork_child();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
            SKIP("no namespace of pids of its own here");
            fflush(stdout);
            _exit(0);
        }
        pid_t inner = fork_child();
        if (inner == 0) {
            if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0)
                forked_into_a_dead_ones_pid();
            else
                SKIP("no /proc of its own here");
            fflush(stdout);
            _exit(check_failures ? 1 : 0);
        }
        _exit(child_ok(inner) ? 0 : 1);
    }
    CHECK(child_ok(outer));
#else
    SKIP("which pid comes next cannot be said here");
#endif
}

static void a_forked_child_takes_its_own_slot_at_its_first_call(void)
{
    shoal_arena *a = arena_new("fork", MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put(a, &ns, "key", "parent") == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        uint32_t parent = a->slot;
        shoal_after_fork(a);
        REQUIRE_CHILD(a->me == NULL);
        REQUIRE_CHILD(strcmp(get_text(a, &ns, "key"), "parent") == 0);
        REQUIRE_CHILD(a->me != NULL && a->slot != parent);
        REQUIRE_CHILD(put(a, &ns, "key", "child") == SHOAL_OK);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_TEXT(get_text(a, &ns, "key"), "child");
    CHECK_EQ(stats_of(a).processes, 1u);
    CHECK(arena_exists("fork"));
    ARENA_END(a);
}

static shoal_arena *forked;
static shoal_namespace forked_keys;

static void *first_call(void *to)
{
    *(shoal_status *)to = put(forked, &forked_keys, "thread", "wrote");
    return NULL;
}

/* Somebody is stopped while it opens the arena, or leaves it. A child's first call needs the gate, too, and may not wait longer for it
 * than it may for anything else; neither behind another thread's first call. */
static void a_forked_childs_first_call_waits_as_long_as_it_may(void)
{
    forked = arena_new("patience", MIB);
    forked_keys = ns_default(forked);
    int fd = open(arena_path("patience"), O_RDWR);
    REQUIRE(put(forked, &forked_keys, "key", "parent") == SHOAL_OK);
    REQUIRE(fd >= 0 && os_gate(fd, os_mono_ns() + WAIT) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_meta meta;
        shoal_status thread_wrote = SHOAL_OS;
        pthread_t thread;
        shoal_after_fork(forked);
        int64_t begun = os_mono_ns();
        REQUIRE_CHILD(shoal_peek(forked, &forked_keys, "key", 3, NULL, 0, 0, &meta, 0) == SHOAL_BUSY);
        REQUIRE_CHILD(shoal_delete(forked, &forked_keys, "key", 3, NULL, 10 * MILLISECOND) == SHOAL_BUSY);
        REQUIRE_CHILD(pthread_create(&thread, NULL, first_call, &thread_wrote) == 0);
        while (pthread_mutex_trylock(&forked->attach_mutex) == 0)
            pthread_mutex_unlock(&forked->attach_mutex);
        REQUIRE_CHILD(shoal_peek(forked, &forked_keys, "key", 3, NULL, 0, 0, &meta, 0) == SHOAL_BUSY);
        REQUIRE_CHILD(shoal_peek(forked, &forked_keys, "key", 3, NULL, 0, 0, &meta, MILLISECOND) == SHOAL_BUSY);
        REQUIRE_CHILD(os_mono_ns() - begun < 4 * SECOND);
        flock(fd, LOCK_UN); /* it goes on */
        REQUIRE_CHILD(pthread_join(thread, NULL) == 0 && thread_wrote == SHOAL_OK);
        REQUIRE_CHILD(shoal_peek(forked, &forked_keys, "key", 3, NULL, 0, 0, &meta, 0) == SHOAL_OK);
        shoal_close(forked);
        _exit(0);
    }
    CHECK(child_ok(pid));
    close(fd);
    CHECK_TEXT(get_text(forked, &forked_keys, "thread"), "wrote");
    CHECK_EQ(stats_of(forked).processes, 1u);
    ARENA_END(forked);
}

/* The parent is gone, the child works on: the parent's claim must not have gone over to it. */
static void a_dead_parent_does_not_live_on_in_its_child(void)
{
    shoal_arena *a = arena_new("parent", MIB);
    int slots[2], go[2];
    REQUIRE(pipe(slots) == 0 && pipe(go) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        uint64_t mine = a->lock_word;
        if (fork() == 0) { /* the grandchild, which outlives it; it may well take the slot of the dead */
            char byte;
            shoal_after_fork(a);
            REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
            REQUIRE_CHILD(write(slots[1], &mine, sizeof mine) == sizeof mine);
            REQUIRE_CHILD(read(go[0], &byte, 1) == 1);
            shoal_close(a);
            _exit(0);
        }
        _exit(0); /* holding its slot */
    }
    uint64_t parent = 0;
    CHECK(child_ok(pid));
    REQUIRE(read(slots[0], &parent, sizeof parent) == sizeof parent);
    CHECK(lock_abandoned(a, parent));
    CHECK_EQ(stats_of(a).processes, 2u);
    REQUIRE(write(go[1], "x", 1) == 1);
    for (int i = 0; i < 2; i++)
        close(slots[i]), close(go[i]);
    while (stats_of(a).processes != 1)
        sleep_until(shoal_clock_mono_ns() + MILLISECOND);
    ARENA_END(a);
}

static void counters_add_up_over_processes_and_outlive_them(void)
{
    shoal_arena *a = arena_new("counters", MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put(a, &ns, "key", "v") == SHOAL_OK);
    shoal_stats before = stats_of(a);
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            shoal_after_fork(a);
            for (int k = 0; k < 10; k++) {
                get_text(a, &ns, "key");
                get_text(a, &ns, "absent");
            }
            REQUIRE_CHILD(put(a, &ns, "other", "v") == SHOAL_OK);
            REQUIRE_CHILD(del(a, &ns, "other") == SHOAL_OK);
            _exit(0); /* without leaving */
        }
        CHECK(child_ok(pid));
    }
    shoal_stats after = stats_of(a);
    CHECK_EQ(after.hits - before.hits, 30u);
    CHECK_EQ(after.misses - before.misses, 30u);
    CHECK_EQ(after.sets - before.sets, 3u);
    CHECK_EQ(after.deletes - before.deletes, 3u);
    shoal_meta meta; /* a stat is no use of the value */
    CHECK_STATUS(shoal_peek(a, &ns, "key", 3, NULL, 0, 0, &meta, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).hits, after.hits);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(each_open_handle_has_a_slot_of_its_own);
    RUN(a_new_tenant_has_a_new_generation);
    RUN(a_killed_process_is_dead_and_a_stopped_one_is_not);
    RUN(a_reused_pid_is_not_mistaken);
    RUN(a_pid_that_is_really_reused_is_not_mistaken);
    RUN(without_a_descriptor_nobody_is_declared_dead);
    RUN(a_forked_child_takes_its_own_slot_at_its_first_call);
    RUN(a_forked_childs_first_call_waits_as_long_as_it_may);
    RUN(a_dead_parent_does_not_live_on_in_its_child);
    RUN(counters_add_up_over_processes_and_outlive_them);
    return check_report();
}

int main(void) { return fixture_main(tests); }
