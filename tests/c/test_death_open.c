/* Death while an arena is opened, left, replaced or handed to a child: after each system call, and after each change of the arena in
 * between. The process is killed there, really: claims and gate go as they do when it dies. Then those who use the arena must go on,
 * the next opener must get a sound one, and the last to leave leaves nothing in /dev/shm. */
#include "death.h"

#ifdef DEATH
#include <elf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "arena.h"

typedef struct passage {
    const char *name;
    bool exists;                       /* somebody has the arena open, with "key" in it */
    bool over;                         /* there is one of nobody alive, with "key" in it */
    bool handed;                       /* what is done is done with a handle that was inherited */
    bool dead;                         /* somebody else died in it, with views and a memory of its run */
    shoal_arena *(*before)(void);      /* what the process does before: gives the handle */
    void (*act)(shoal_arena *mine);
    bool lasts;                        /* the arena persists, once it is one */
    unsigned most;                     /* so many instants are enough, evenly spread; `make killed` tries all. 0: all in any case */
    bool renews;                       /* afterwards the name may lead to a new, empty arena */
} passage;

/* ---- what is done */

static void open_as(char flag)
{
    shoal_arena *a;
    if (arena_open("passage", flag, MIB, &a) != SHOAL_OK)
        _exit(9);
}

static void create(shoal_arena *mine) { (void)mine, open_as('c'); }
static void create_new(shoal_arena *mine) { (void)mine, open_as('n'); }

static void create_lasting(shoal_arena *mine)
{
    shoal_options options = {.flag = 'c', .persist = true, .mode = 0600, .size = MIB, .wait = WAIT};
    (void)mine;
    if (shoal_open(arena_name("passage"), &options, &mine, NULL) != SHOAL_OK)
        _exit(9);
}

static void come_and_go(shoal_arena *mine)
{
    shoal_arena *a;
    (void)mine;
    if (arena_open("passage", 'c', MIB, &a) != SHOAL_OK)
        _exit(9);
    shoal_close(a);
}
static void come_and_go_reading(shoal_arena *mine)
{
    shoal_arena *a;
    (void)mine;
    if (arena_open("passage", 'r', 0, &a) != SHOAL_OK)
        _exit(9);
    shoal_close(a);
}

static void create_and_write(shoal_arena *mine)
{
    if (arena_open("passage", 'c', MIB, &mine) != SHOAL_OK)
        _exit(9);
    shoal_namespace ns = ns_default(mine);
    if (put(mine, &ns, "first", "value") != SHOAL_OK || shoal_persist(mine) != SHOAL_OK)
        _exit(9);
}
static void attach_to_last(shoal_arena *mine)
{
    shoal_options options = {.flag = 'w', .persist = true, .mode = 0600, .wait = WAIT};
    if (shoal_open(arena_name("passage"), &options, &mine, NULL) != SHOAL_OK)
        _exit(9);
}
static void destroy(shoal_arena *mine) { (void)mine, shoal_destroy(arena_name("passage")); }
static void collect(shoal_arena *mine)
{
    bool removed;
    (void)mine, shoal_collect(arena_name("passage"), &removed);
}

/* With a pin in hand, which leaving gives back; and a view, which a child gets one of its own of. */
static shoal_pin held;
static shoal_arena *with_a_view(void)
{
    shoal_arena *a;
    if (arena_open("passage", 'w', 0, &a) != SHOAL_OK)
        _exit(9);
    shoal_namespace ns = ns_default(a);
    if (shoal_view_take(a, &ns, "large", 5, &held, WAIT) != SHOAL_OK)
        _exit(9);
    return a;
}
static void leave(shoal_arena *mine) { shoal_close(mine); }
static void fork_hand_over(shoal_arena *mine)
{
    shoal_before_fork(mine);
    shoal_after_fork_in_parent(mine);
}

/* As the child does: with what its parent made for it before the fork. */
static void after_fork(shoal_arena *mine)
{
    shoal_after_fork(mine);
    if (process_ready(mine, WAIT) != SHOAL_OK)
        _exit(9);
    shoal_unpin(mine, &held);
    shoal_close(mine);
}

/* ---- the instants */

/* What of the arena such a passage may change, through a descriptor: a look at a hole through a mapping would fill it. */
typedef struct looks {
    int fd;
    ino_t inode;
    uint8_t *now, *then;
    size_t size;
} looks;

static arena_geometry plan;

static size_t look_at(looks *l, uint64_t at, uint64_t size, size_t used)
{
    ssize_t got = l->fd < 0 ? 0 : pread(l->fd, l->now + used, size, (off_t)at);
    memset(l->now + used + (got > 0 ? got : 0), 0, size - (size_t)(got > 0 ? got : 0));
    return used + size;
}

/* Another file may be there, or another size of it, only after a system call. */
static bool look(looks *l, bool after_call)
{
    uint64_t was[3];
    memcpy(was, l->then, sizeof was);
    if (after_call) {
        struct stat st = {0};
        int exists = stat(arena_path("passage"), &st);
        if (exists != 0 || st.st_ino != l->inode) {
            if (l->fd >= 0)
                close(l->fd);
            l->fd = exists == 0 ? open(arena_path("passage"), O_RDONLY | O_CLOEXEC) : -1;
            l->inode = exists == 0 ? st.st_ino : 0;
        }
        memcpy(was, &(uint64_t[]){l->inode, (uint64_t)st.st_size, st.st_mode}, sizeof was);
    }
    memcpy(l->now, was, sizeof was);
    if (was[1] == 0 && !after_call)
        return false; /* no arena yet */
    size_t used = look_at(l, 0, 4 * PAGE_SIZE, sizeof was); /* header and slots */
    used = look_at(l, plan.shards_at, sizeof(shard), used);
    used = look_at(l, plan.records_at, 2 * sizeof(namespace_record), used);
    used = look_at(l, plan.heads_at, 2 * sizeof(namespace_head), used);
    used = look_at(l, plan.map_at, 64 * sizeof(page_entry), used);
    bool changed = memcmp(l->now, l->then, used) != 0;
    uint8_t *swap = l->now;
    l->now = l->then;
    l->then = swap;
    return changed;
}

static bool to_next_system_call(pid_t pid) /* its end, of which a kill before the next instruction sees the effect */
{
    int status;
    for (int stop = 0; stop < 2; stop++)
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
            WSTOPSIG(status) != (SIGTRAP | 0x80))
            return false;
    return true;
}

/* An instant: so many system calls are over, and so many changes since the last of them. */
typedef struct instant {
    unsigned calls, changes;
} instant;

#define INSTANTS 3000

/* Whether the child is at a system call's instruction, which a step takes it over the whole of. Forked, it has the code that we have,
 * at the same place. */
static bool at_system_call(pid_t pid)
{
    struct user_regs_struct registers;
    struct iovec io = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, pid, (void *)(uintptr_t)NT_PRSTATUS, &io) != 0)
        return false;
#if defined(__x86_64__)
    return memcmp((const void *)registers.rip, "\x0F\x05", 2) == 0;
#elif defined(__aarch64__)
    return memcmp((const void *)registers.pc, "\x01\x00\x00\xD4", 4) == 0;
#else
    return false;
#endif
}

/* ---- a kill, and what comes after it */

static shoal_arena *user, *inherited; /* who has the arena open all the time; whose handle a child inherits */

static void die_in_it(void)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_arena *a = with_a_view();
        shoal_namespace ns = ns_default(a), runs;
        char name[32];
        REQUIRE_CHILD(shoal_runs_open(a, &ns, true, &runs, WAIT) == SHOAL_OK);
        snprintf(name, sizeof name, "%u-%u%cfield", a->slot, (unsigned)(a->lock_word >> 32), SHOAL_PATH_SEPARATOR);
        REQUIRE_CHILD(put(a, &runs, name, "value") == SHOAL_OK);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
}

static void begin(const passage *p)
{
    shoal_namespace ns;
    user = inherited = NULL;
    if (p->exists || p->over) {
        shoal_arena *a = arena_new("passage", MIB);
        ns = ns_default(a);
        CHECK_STATUS(put(a, &ns, "key", "value"), SHOAL_OK);
        CHECK_STATUS(put_pattern(a, &ns, "large", 1, LARGE, false), SHOAL_OK);
        if (p->over)
            close(a->fd), munmap(a->base, a->file_size), free(a); /* as one leaves it that is killed */
        else
            user = a;
    }
    if (p->dead)
        die_in_it();
    if (p->handed) {
        inherited = arena_attach("passage", 'w');
        ns = ns_default(inherited);
        CHECK_STATUS(shoal_view_take(inherited, &ns, "large", 5, &held, WAIT), SHOAL_OK);
        shoal_before_fork(inherited);
    }
}

static pid_t start(const passage *p)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(7);
        shoal_arena *mine = p->before ? p->before() : inherited;
        if (places_trace)
            places_trace();
        raise(SIGSTOP);
        p->act(mine);
        raise(SIGSTOP);
        _exit(0);
    }
    if (inherited)
        shoal_after_fork_in_parent(inherited);
    return pid;
}

/* The child is dead. */
static void check_after(const passage *p)
{
    shoal_arena *next = NULL;
    shoal_namespace ns;
    shoal_status status;
    if (inherited) {
        CHECK(pattern_holds(held.data, 1, LARGE)); /* the parent's view is the parent's */
        shoal_unpin(inherited, &held);
        shoal_close(inherited);
    }
    if (user) {
        ns = ns_default(user);
        CHECK_STATUS(shoal_sweep(user, WAIT), SHOAL_OK);
        CHECK_EQ(stats_of(user).pinned_bytes, 0u);
        CHECK_EQ(stats_of(user).processes, 1u);
        CHECK_TEXT(get_text(user, &ns, "key"), "value");
        CHECK_SOUND(user);
    }
    bool named = user && shoal_is_named(user);
    CHECK(!user || named || p->renews);
    status = arena_open("passage", 'c', MIB, &next);
    CHECK_STATUS(status, SHOAL_OK);
    if (status != SHOAL_OK)
        return;
    ns = ns_default(next);
    CHECK_TEXT(get_text(next, &ns, "key"), named ? "value" : "(miss)");
    CHECK_STATUS(put(next, &ns, "next", "wrote"), SHOAL_OK);
    CHECK_STATUS(put_pattern(next, &ns, "other", 2, LARGE, false), SHOAL_OK);
    CHECK_SOUND(next);
    CHECK_EQ(stats_of(next).processes, named ? 2u : 1u);
    if (user)
        shoal_close(user);
    if (p->lasts)
        shoal_unlink(next);
    shoal_close(next);
    CHECK(!arena_exists("passage"));
    unlink(arena_path("passage"));
}

static const passage *current;

static unsigned find_instants(looks *l, instant *found)
{
    unsigned n = 0, changes = 0, calls = 0, steps = 0;
    pid_t pid = start(current);
    if (!begin_steps(pid)) {
        end_steps(pid);
        return 0;
    }
    look(l, true);
    for (int on = 1; on == 1 && n < INSTANTS;) {
        bool call = at_system_call(pid);
        steps++;
        on = step(pid);
        bool changed = look(l, call);
        if (on < 0)
            check_fail(__FILE__, __LINE__, "the child failed after %u system calls", calls);
        if (call)
            calls++, changes = 0;
        else if (changed)
            changes++;
        if (on == 1 && (call || changed))
            found[n++] = (instant){calls, changes};
    }
    end_steps(pid);
    CHECK(n < INSTANTS && steps > n);
    return n;
}

static void kill_at(looks *l, const instant *i)
{
    unsigned changes = 0;
    pid_t pid = start(current);
    if (begin_steps(pid)) {
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD);
        bool there = true;
        for (unsigned call = 0; call < i->calls && there; call++)
            there = to_next_system_call(pid);
        look(l, true);
        for (unsigned steps = 0; there && changes < i->changes && steps < 500000; steps++) {
            there = step(pid) == 1;
            changes += look(l, false);
        }
        CHECK_EQ(changes, i->changes);
    }
    end_steps(pid);
}

static void walk_passage(void)
{
    static instant found[INSTANTS];
    looks l = {.fd = -1, .size = 24 + 4 * PAGE_SIZE + sizeof(shard) + 2 * sizeof(namespace_record) + 2 * sizeof(namespace_head) +
                                  64 * sizeof(page_entry)};
    l.now = calloc(1, l.size);
    l.then = calloc(1, l.size);
    begin(current);
    unsigned n = find_instants(&l, found);
    check_after(current);
    CHECK(n > 8);
    unsigned stride = current->most && !places_met ? n / current->most + 1 : 1;
    for (unsigned i = 0; i < n && check_failures == 0; i += stride) {
        begin(current);
        kill_at(&l, &found[i]);
        check_after(current);
        if (check_failures)
            check_fail(__FILE__, __LINE__, "killed after %u system calls and %u changes since", found[i].calls, found[i].changes);
        place_met(check_failures == 0 && found[i].changes);
    }
    printf("  %s: %u instants\n", current->name, (n + stride - 1) / stride);
    if (l.fd >= 0)
        close(l.fd);
    free(l.now);
    free(l.then);
}

/* Shorter ones - attaching without leaving, say - are the beginnings of these. */
static const passage passages[] = {
    {"create and leave as the last", .act = come_and_go},
    {"create one that persists", .act = create_lasting, .lasts = true},
    {"create in place of what the dead left", .over = true, .act = create, .renews = true},
    {"replace a living arena", .exists = true, .act = create_new, .renews = true},
    {"attach and leave", .exists = true, .act = come_and_go},
    {"attach to read and leave", .exists = true, .act = come_and_go_reading},
    {"create, write, and let it persist", .act = create_and_write, .lasts = true, .most = 30},
    {"attach to one and let it persist", .exists = true, .act = attach_to_last, .lasts = true},
    {"attach in the place of the dead", .exists = true, .dead = true, .act = come_and_go, .most = 30},
    {"destroy", .exists = true, .act = destroy, .renews = true},
    {"collect", .over = true, .act = collect, .renews = true},
    {"leave with a view", .exists = true, .before = with_a_view, .act = leave},
    {"prepare a fork, and tidy up after it", .exists = true, .before = with_a_view, .act = fork_hand_over},
    {"a child takes over what it inherited", .exists = true, .handed = true, .act = after_fork},
};

static int tests(void)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("single steps through all of an opening take too long with the address sanitizer");
    check_passed++;
    return check_report();
#endif
    cpu_set_t here; /* parent and child take turns: on one processor that is a switch, on two a call for help */
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    arena_plan(MIB, &plan);
    for (unsigned i = 0; i < sizeof passages / sizeof *passages; i++) {
        current = &passages[i];
        check_run(current->name, walk_passage);
    }
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
