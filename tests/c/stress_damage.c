/* Damaged arenas: stress_damage [SECONDS [SEED]], or
 *
 *     stress_damage --rounds N --seed S      so many, and no more
 *     stress_damage --one ROUND              one of them again, telling what is damaged
 *
 * A worker builds an arena, takes its image, and then, round by round, puts the image back, damages it and makes every call on it: at
 * rest, while it is open, and now and then while a thread goes on damaging it. Whatever the calls return, the worker must come to its
 * end in time and by itself: no signal, no endless loop. What is read from an arena whose values were not touched must be a value that
 * was stored under that key. The process that watches sees in a shared word which round it was that went wrong.
 */
#include "damage_use.h"

#ifdef __GLIBC__
#include <execinfo.h>
#endif

#define ROUNDS_PER_IMAGE 200u
#define ROUND_LIMIT 30u /* seconds; a round takes milliseconds, unless locks are garbled */
#define FAILURES 8u
#ifdef __SANITIZE_THREAD__
#define UNDER_LOAD 0 /* a thread that damages what others use is one race */
#else
#define UNDER_LOAD 1
#endif

static double seconds = 5;
static uint64_t rounds_wanted, run_seed = 1, only = UINT64_MAX;

typedef struct watch {
    uint64_t round;
    uint64_t done, refused, read_right, repaired, slowest_ms;
} watch;
static watch *watched;

/* ---- one round */

typedef struct scribbler {
    harm h;
    const image *m;
    uint8_t *base;
    bool stop;
} scribbler;

static void *scribble(void *context)
{
    scribbler *s = context;
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
        for (unsigned i = 0; i < 64; i++)
            harm_one_word(&s->h, s->m, s->base);
    return NULL;
}

static void use_in_child(shoal_arena *a, uint64_t *seed)
{
    shoal_before_fork(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        alarm(ROUND_LIMIT);
        shoal_after_fork(a);
        use_entries(a, 20, seed);
        shoal_close(a);
        _exit(0);
    }
    shoal_after_fork_in_parent(a);
    if (!child_ok(pid))
        raise(SIGABRT);
}

static void use_written(shoal_arena *a, const image *m, harm *h)
{
    scribbler s = {.h = *h, .m = m, .base = a->base};
    pthread_t thread;
    s.h.say = false;
    bool load = harm_pick(h, 8) == 0 && UNDER_LOAD && pthread_create(&thread, NULL, scribble, &s) == 0;
    use_entries(a, 40, &h->seed);
    use_tree(a, &h->seed);
    if (harm_pick(h, 3) == 0)
        harm_mapped(h, m, a->base);
    if (harm_pick(h, 3) == 0) /* with a recovery on top */
        a->shards[0].lock.word = a->header->page_lock.word = LOCK_OWNER_MASK;
    if (harm_pick(h, 24) == 0 && !load)
        use_in_child(a, &h->seed);
    use_whole(a, &h->seed);
    use_entries(a, 10, &h->seed);
    if (load) {
        __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
    }
}

/* What a repair says it has made must stand the verifier. */
static bool repair_is_right(harm *h)
{
    shoal_options options = {.flag = 'w', .mode = 0600, .wait = 200 * MILLISECOND};
    shoal_repaired sum;
    shoal_arena *a;
    if (shoal_repair(arena_name(DAMAGE_NAME), ignore_line, &damage_sink, SHORT, &sum) != SHOAL_OK)
        return true;
    watched->repaired++;
    shoal_status status = shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL);
    if (status != SHOAL_OK) {
        fprintf(stderr, "  repaired, but: %s\n", shoal_status_name(status));
        return false;
    }
    bool right = arena_verify(a) == SHOAL_OK;
    use_entries(a, 20, &h->seed);
    use_tree(a, &h->seed);
    right &= arena_verify(a) == SHOAL_OK;
    shoal_close(a);
    return right;
}

/* False if something was read that nobody wrote. */
static bool damaged_round(const image *m, uint64_t round, bool say)
{
    harm h = {.seed = (round + 1) * 0x9E3779B97F4A7C15ull, .say = say};
    shoal_options options = {.mode = 0600, .wait = 200 * MILLISECOND};
    shoal_arena *reader = NULL, *a = NULL;
    bool right = true, removed;
    random_next(&h.seed);
    int fd = image_put(m, arena_path(DAMAGE_NAME));
    harm_file(&h, m, fd);
    close(fd);
    if (harm_pick(&h, 32) == 0)
        shoal_list(ignore_arena, &damage_sink);
    options.flag = 'r';
    if (shoal_open(arena_name(DAMAGE_NAME), &options, &reader, NULL) == SHOAL_OK) {
        guard(reader, true);
        right = reads_are_right(reader, !h.values);
        uint64_t seed = h.seed;
        use_entries(reader, 30, &seed);
        use_tree(reader, &seed);
        use_whole(reader, &seed);
        guard(reader, false);
        if (harm_pick(&h, 2)) {
            shoal_close(reader);
            reader = NULL;
        }
    }
    options.flag = "wwwc"[harm_pick(&h, 4)];
    if (shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL) == SHOAL_OK && a->file_size == m->size) {
        guard(a, true);
        right &= reads_are_right(a, !h.values);
        watched->read_right += !h.values;
        use_written(a, m, &h);
        guard(a, false);
    } else {
        watched->refused++;
    }
    if (reader) {
        use_entries(reader, 10, &h.seed);
        shoal_close(reader);
    }
    if (a)
        shoal_close(a);
    if (harm_pick(&h, 4) == 0)
        right &= repair_is_right(&h);
    shoal_collect(arena_name(DAMAGE_NAME), &removed);
    return right;
}

/* ---- many */

static uint64_t image_of(uint64_t round) { return round / ROUNDS_PER_IMAGE; }

/* Where it was: a race with the thread that damages does not come a second time for the asking. */
static void tell(int number)
{
#ifdef __GLIBC__
    void *frames[24];
    backtrace_symbols_fd(frames, backtrace(frames, 24), 2); /* addr2line -f -e PROGRAM ADDRESS names them */
#endif
    signal(number, SIG_DFL);
    raise(number);
}

static int work(uint64_t first, uint64_t end, int64_t until, bool say)
{
    image m = {0};
    signal(SIGALRM, tell);
#ifndef __SANITIZE_ADDRESS__ /* which has a handler of its own */
    signal(SIGSEGV, tell);
    signal(SIGBUS, tell);
    signal(SIGABRT, tell);
#endif
    image_build(&m, image_of(first));
    for (uint64_t round = first; round < end && shoal_clock_mono_ns() < until; round++) {
        int64_t begin = shoal_clock_mono_ns();
        __atomic_store_n(&watched->round, round, __ATOMIC_RELAXED);
        alarm(ROUND_LIMIT);
        bool right = damaged_round(&m, round, say);
        alarm(0);
        if (!right) {
            image_free(&m);
            return 4;
        }
        watched->done++;
        uint64_t took = (uint64_t)((shoal_clock_mono_ns() - begin) / MILLISECOND);
        watched->slowest_ms = took > watched->slowest_ms ? took : watched->slowest_ms;
    }
    image_free(&m);
    return 0;
}

static bool worker_ends_well(uint64_t first, uint64_t end, int64_t until, bool say)
{
    int status = 0;
    pid_t pid = fork_child();
    if (pid == 0)
        exit(work(first, end, until, say));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        fprintf(stderr, "  signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it did not end" : "");
    else if (WEXITSTATUS(status))
        fprintf(stderr, "  exit %d%s\n", WEXITSTATUS(status), WEXITSTATUS(status) == 4 ? ": what was read is wrong" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void damage_gives_statuses_and_nothing_else(void)
{
    uint64_t first = run_seed * 1000000000, round = first, end = rounds_wanted ? first + rounds_wanted : UINT64_MAX;
    int64_t until = rounds_wanted ? INT64_MAX : shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND);
    for (unsigned failures = 0; round < end && shoal_clock_mono_ns() < until && failures < FAILURES;) {
        uint64_t next = (image_of(round) + 1) * ROUNDS_PER_IMAGE;
        next = next < end ? next : end;
        if (!worker_ends_well(round, next, until, false)) {
            failures++;
            next = watched->round + 1;
            check_fail(__FILE__, __LINE__, "damage %" PRIu64 ": again with stress_damage --one %" PRIu64, next - 1, next - 1);
        }
        round = next;
    }
    unlink(arena_path(DAMAGE_NAME));
    printf("  %" PRIu64 " damaged arenas from seed %" PRIu64 ": %" PRIu64 " refused, %" PRIu64
            " with all that was read checked, %" PRIu64 " repaired, slowest %" PRIu64
           " ms\n",
           watched->done, run_seed, watched->refused, watched->read_right, watched->repaired, watched->slowest_ms);
}

static void one_damage(void)
{
    CHECK(worker_ends_well(only, only + 1, INT64_MAX, true));
    unlink(arena_path(DAMAGE_NAME));
}

static int tests(void)
{
#ifndef SHOAL_LINUX
    SKIP("claims and holes are Linux's");
    return 0;
#endif
    watched = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (only != UINT64_MAX)
        RUN(one_damage);
    else
        RUN(damage_gives_statuses_and_nothing_else);
    return check_report();
}

int main(int argc, char **argv)
{
    int place = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds_wanted = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            run_seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--one") == 0 && i + 1 < argc)
            only = strtoull(argv[++i], NULL, 0);
        else if (place++ == 0)
            seconds = atof(argv[i]);
        else
            run_seed = strtoull(argv[i], NULL, 0);
    }
    return fixture_main(tests);
}
