/* Death at every instruction of an operation.
 *
 * A child does one operation while its parent single-steps it. After each step that changed a byte of the arena, the
 * parent copies the arena as it is: the very state that a SIGKILL at this instruction would leave. The copy is opened as
 * another arena, whose users are all dead. There the operation must have happened or not, what else was stored must be as
 * it was, the verifier must be content after the recovery, and everything must work on.
 */
#ifndef SHOAL_TESTS_DEATH_H
#define SHOAL_TESTS_DEATH_H

#include "fixture.h"

#if defined(SHOAL_LINUX) && !defined(__SANITIZE_THREAD__)
#define DEATH 1
#include <fcntl.h>
#include <sys/ptrace.h>

#include "places.h"
#include "process.h"
#include "room.h"

#define BASE 30u            /* keys that the operation does not concern */
#define LARGE ((size_t)33000)
#ifndef STATES
#define STATES 150u         /* all of the first states are tried, then one in so many */
#define STRIDE 8u
#endif
#ifndef RECOVERIES
#define RECOVERIES 5u       /* one in so many states of a recovery */
#endif

typedef struct scenario {
    void (*setup)(shoal_arena *a, const shoal_namespace *ns);
    void (*act)(shoal_arena *a, const shoal_namespace *ns);
    void (*check)(shoal_arena *a, const shoal_namespace *ns, bool done); /* done: the operation had returned */
} scenario;

/* ---- copies of an arena */

typedef struct copy {
    uint8_t *bytes;
    size_t size, room;
} copy;

typedef struct piece {
    uint64_t at, size;
} piece;

/* What is in use of the arena. */
static inline int pieces_of(const shoal_arena *a, piece out[7])
{
    const arena_header *h = a->header;
    uint64_t frontier = load_acquire(&h->frontier), namespaces = load_acquire(&h->namespaces_high);
    piece p[7] = {{0, PAGE_SIZE},
                  {(uint64_t)((uint8_t *)a->slots - a->base), h->slots_high * PAGE_SIZE},
                  {(uint64_t)((uint8_t *)a->shards - a->base), a->nshards * sizeof(shard)},
                  {(uint64_t)((uint8_t *)a->records - a->base), namespaces * sizeof(namespace_record)},
                  {(uint64_t)((uint8_t *)a->heads - a->base), namespaces * a->nshards * sizeof(namespace_head)},
                  {(uint64_t)((uint8_t *)a->map - a->base), frontier * sizeof(page_entry)},
                  {a->pages_at, frontier << PAGE_SHIFT}};
    memcpy(out, p, sizeof p);
    return 7;
}

/* False if nothing changed since the last time. */
static inline bool copy_take(const shoal_arena *a, copy *c)
{
    piece pieces[7];
    int n = pieces_of(a, pieces);
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += pieces[i].size;
    if (size > c->room)
        c->bytes = realloc(c->bytes, c->room = size * 2);
    bool changed = size != c->size;
    uint8_t *to = c->bytes;
    for (int i = 0; i < n; to += pieces[i].size, i++)
        if (changed || memcmp(to, a->base + pieces[i].at, pieces[i].size) != 0) {
            memcpy(to, a->base + pieces[i].at, pieces[i].size);
            changed = true; /* what follows is copied without a look */
        }
    c->size = size;
    return changed;
}

static inline shoal_arena *copy_open(const shoal_arena *a, const copy *c)
{
    piece pieces[7];
    int n = pieces_of(a, pieces), fd = open(arena_path("copy"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    const uint8_t *from = c->bytes;
    if (fd < 0 || ftruncate(fd, (off_t)a->file_size) != 0)
        return NULL;
    for (int i = 0; i < n; from += pieces[i].size, i++)
        if (pwrite(fd, from, pieces[i].size, (off_t)pieces[i].at) != (ssize_t)pieces[i].size)
            return NULL;
    close(fd);
    shoal_arena *b;
    shoal_status status = arena_open("copy", 'w', 0, &b);
    CHECK_STATUS(status, SHOAL_OK);
    return status == SHOAL_OK ? b : NULL;
}

static inline void copy_close(shoal_arena *b)
{
    shoal_close(b);
    unlink(arena_path("copy")); /* it persists, like the arena it was copied from */
}

/* ---- one state */

static inline bool state_is_right(const shoal_arena *a, const copy *c, const scenario *s, bool done)
{
    unsigned before = check_failures;
    shoal_arena *b = copy_open(a, c);
    if (!b) {
        check_fail(__FILE__, __LINE__, "no copy: %s", strerror(errno));
        return false;
    }
    shoal_namespace ns = ns_default(b);
    shoal_number one = {.i = 1}, zero = {0}, sum;
    s->check(b, &ns, done);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(get_pattern(b, &ns, numbered("base", i), i, i ? i * 20 : LARGE), SHOAL_OK);
    CHECK_STATUS(put(b, &ns, "life", "goes on"), SHOAL_OK); /* recovers, at the latest */
    CHECK_SOUND(b);
    CHECK_STATUS(shoal_incr(b, &ns, "n", 1, &one, &zero, 0, &sum, WAIT), SHOAL_OK);
    CHECK_STATUS(put_pattern(b, &ns, "large", 3, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(b, WAIT), SHOAL_OK);
    CHECK_SOUND(b);
    s->check(b, &ns, done);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(del(b, &ns, numbered("base", i)), SHOAL_OK);
    CHECK_STATUS(del(b, &ns, "large"), SHOAL_OK);
    CHECK_EQ(stats_of(b).pinned_bytes, 0u);
    CHECK_SOUND(b);
    copy_close(b);
    return check_failures == before;
}

/* ---- the walk */

static inline bool shard_is_locked(const shoal_arena *a) { return a->shards[0].lock.word != 0; }

/* A child stopped right before it acts on `a`. */
static inline pid_t child_before(shoal_arena *a, const shoal_namespace *ns, void (*act)(shoal_arena *, const shoal_namespace *))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(7);
        shoal_after_fork(a);
        /* Whatever is done lazily is done now, unless it would meet a lock that a dead one left: to take that over is to be stepped. */
        if (!shard_is_locked(a)) {
            if (process_ready(a, WAIT) != SHOAL_OK)
                _exit(8);
            get_text(a, ns, "base1");
        }
        if (places_trace)
            places_trace();
        raise(SIGSTOP);
        act(a, ns);
        raise(SIGSTOP);
        _exit(0);
    }
    return pid;
}

/* One instruction. 1: on it goes; 0: the operation has returned; -1: it went wrong. */
static inline int step(pid_t pid)
{
    int status;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return -1;
    return WSTOPSIG(status) == SIGTRAP ? 1 : WSTOPSIG(status) == SIGSTOP ? 0 : -1;
}

static inline bool begin_steps(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        SKIP("this process may not trace its children");
        return false;
    }
    return true;
}

static inline void end_steps(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Of a child whose operation has returned: it ends by itself. */
static inline void end_returned(pid_t pid)
{
    int status;
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline shoal_arena *prepared(const scenario *s, shoal_namespace *ns)
{
    shoal_arena *a = arena_new("death", MIB);
    shoal_persist(a);
    *ns = ns_default(a);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(put_pattern(a, ns, numbered("base", i), i, i ? i * 20 : LARGE, i % 2), SHOAL_OK);
    s->setup(a, ns);
    return a;
}

static inline void finished(shoal_arena *a)
{
    shoal_unlink(a);
    shoal_close(a);
}

static inline void walk(const scenario *s)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(s, &ns);
    copy c = {0};
    unsigned states = 0, steps = 0;
    bool returned = false;
    pid_t pid = child_before(a, &ns, s->act);
    if (begin_steps(pid)) {
        int on = 1;
        bool right = true;
        copy_take(a, &c);
        while (on == 1 && right) {
            on = step(pid);
            steps++;
            if (on < 0) {
                check_fail(__FILE__, __LINE__, "the child failed at step %u", steps);
                break;
            }
            bool changed = copy_take(a, &c), tried = on == 0;
            if (changed)
                tried |= states++ < STATES || states % STRIDE == 0 || place_is_new();
            if (tried)
                right = state_is_right(a, &c, s, on == 0);
            if (changed)
                place_met(tried && right);
        }
        if (!right)
            check_fail(__FILE__, __LINE__, "killed after %u instructions (state %u)", steps, states);
        CHECK(!right || states > 3);
        returned = on == 0;
    }
    if (returned)
        end_returned(pid);
    else
        end_steps(pid);
    free(c.bytes);
    finished(a);
}

static inline void nothing(shoal_arena *a, const shoal_namespace *ns) { (void)a, (void)ns; }

/* ---- death of who recovers */

static inline void take_over(shoal_arena *a, const shoal_namespace *ns)
{
    if (put(a, ns, "life", "goes on") != SHOAL_OK)
        _exit(9);
}

/* What a process leaves that is killed at the n-th state of `act` in which `when` holds; its name is gone already. NULL: there is
 * no such state. */
static inline shoal_arena *left_at(shoal_arena *a, const shoal_namespace *ns, void (*act)(shoal_arena *, const shoal_namespace *),
                                   bool (*when)(const shoal_arena *), unsigned n)
{
    shoal_arena *b = NULL;
    copy c = {0};
    unsigned states = 0;
    pid_t pid = child_before(a, ns, act);
    if (begin_steps(pid)) {
        copy_take(a, &c);
        while (states < n && step(pid) == 1)
            states += copy_take(a, &c) && when(a);
    }
    end_steps(pid);
    if (states < n)
        check_fail(__FILE__, __LINE__, "it has only %u such states", states);
    if (states == n && (b = copy_open(a, &c)))
        unlink(arena_path("copy"));
    free(c.bytes);
    return b;
}

/* Each state that the recovery of what is in `a` goes through, recovered again from its beginning. */
static inline void walk_taking_over(shoal_arena *a, const shoal_namespace *ns, const scenario *s)
{
    copy c = {0};
    unsigned steps = 0, tried = 0, states = 0, most = places_met ? 3000000 : 150000;
    bool right = true;
    pid_t pid = child_before(a, ns, take_over);
    if (begin_steps(pid)) {
        int on = 1;
        CHECK(shard_is_locked(a));
        copy_take(a, &c);
        for (; right && steps < most && (on = step(pid)) == 1; steps++)
            if (copy_take(a, &c)) {
                bool try = (states++ % RECOVERIES == 0 && tried++ < 400) || place_is_new();
                if (try)
                    right = state_is_right(a, &c, &(scenario){nothing, nothing, s->check}, false);
                place_met(try && right);
            }
        if (!right)
            check_fail(__FILE__, __LINE__, "recovery killed after %u instructions (state %u)", steps, states);
        CHECK(on >= 0 && states > 20);
    }
    end_steps(pid);
    free(c.bytes);
}

/* Killed at its victim'th state in which `when` holds; then, if `again`, whoever recovers that at its again'th state with the lock held;
 * then the states that the recovery of what that left goes through. */
static inline void walk_recoveries(const scenario *s, bool (*when)(const shoal_arena *), unsigned victim, unsigned again)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(s, &ns), *b = left_at(a, &ns, s->act, when, victim);
    if (b && again) {
        shoal_arena *twice = left_at(b, &ns, take_over, shard_is_locked, again);
        finished(b);
        b = twice;
    }
    if (b) {
        walk_taking_over(b, &ns, s);
        finished(b);
    }
    finished(a);
}
static inline void walk_recovery(const scenario *s, unsigned victim) { walk_recoveries(s, shard_is_locked, victim, 0); }

/* A copy by `rep movs` is a step per byte: ask the C library for its loops of vector moves instead. */
static inline int death_main(int argc, char **argv, int (*tests)(void))
{
    (void)argc;
    if (!getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=268435456:glibc.cpu.x86_rep_stosb_threshold=268435456", 1);
        execv("/proc/self/exe", argv);
    }
    return fixture_main(tests);
}
#else

/* In place of all: what stands between #ifdef DEATH and #endif is left out. */
static void death_at_every_instruction(void) { SKIP("needs single steps of a Linux process, claims, and no thread sanitizer"); }

static int no_tests(void)
{
    RUN(death_at_every_instruction);
    return check_report();
}

int main(void) { return fixture_main(no_tests); }
#endif
#endif
