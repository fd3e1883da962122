/* Processes killed at random instants of what they do to trees, for as many seconds as asked: stress_kill_tree [seconds [seed]].
 *
 * Each worker has fields of its own, and writes down outside of the arena what it is about to do to them and what was acknowledged.
 * After its death each field holds what was acknowledged last, or what it was about to write; a subtree that it was removing or
 * replacing is whole or gone; the objects list exactly the fields that are there; the verifier is content. Beside that all work in
 * trees that they share, and in the end, when all is removed, nothing is left. As in stress_kill, a seed repeats the workers'
 * choices, not the run.
 */
#include <sys/mman.h>

#include "atomics.h"
#include "paths.h"

enum { WORKERS = 3, OBJECTS = 4, FIELDS = 8, OWN = OBJECTS * FIELDS, VALUE_MAX = 60000 };

/* What is under way: one field of an own object gets `seed` (0: is removed), or the whole object goes. */
enum { NOTHING, SET_ONE, DROP_ALL, RENEW_ALL, FLATTEN_ALL };

typedef struct worker_log {
    uint64_t own[OWN];  /* seed of a value, 0 = not there */
    uint32_t flat[OBJECTS]; /* a value is where the object was */
    uint32_t busy, at;
    uint64_t seed;
    uint64_t added, adding; /* to the counter that all share */
    uint64_t operations;
} worker_log;

static worker_log *logs; /* shared memory, but not the arena's */
static shoal_arena *arena;
static shoal_namespace tree, home;
static double seconds = 5;
static uint64_t run_seed = 1;

static size_t size_of(uint64_t seed) { return 8 + (seed >> 8) % (seed % 8 ? 100 : seed % 32 ? 3000 : VALUE_MAX - 8); }

static bool whole(const uint8_t *value, size_t size)
{
    uint64_t seed;
    memcpy(&seed, value, 8);
    return size == size_of(seed) && pattern_holds(value + 8, seed, size - 8);
}

static shoal_status put_seed(const shoal_namespace *in, const char *path, uint64_t seed, bool overwrite, int64_t ttl)
{
    static uint8_t value[VALUE_MAX];
    size_t size = size_of(seed);
    memcpy(value, &seed, 8);
    pattern_fill(value + 8, seed, size - 8);
    shoal_put_args args = {.head = value, .head_size = size, .align = seed & 1, .ttl = ttl, .overwrite = overwrite};
    return shoal_put(arena, in, names(path), strlen(path), &args, NULL, WAIT);
}

static bool refused(shoal_status status) { return status == SHOAL_FULL_ARENA; }

/* Own objects lie at "own<w>.a<object>.b.c", their fields are "f<i>"; so each of the first fields is a way of three objects. */
static const char *own_object(unsigned w, unsigned object)
{
    static char path[2][48];
    static unsigned turn;
    char *to = path[turn++ % 2];
    snprintf(to, sizeof path[0], "own%u.a%u.b.c", w, object);
    return to;
}

static const char *own_field(unsigned w, unsigned k)
{
    static char path[64];
    snprintf(path, sizeof path, "%s.f%u", own_object(w, k / FIELDS), k % FIELDS);
    return path;
}

/* ---- a worker */

static void change_one(unsigned me, uint64_t r, const shoal_namespace *in)
{
    worker_log *log = &logs[me];
    unsigned k = (unsigned)((r >> 32) % OWN);
    uint64_t seed = r % 4 ? r | 1ull << 63 : 0;
    bool flat = log->flat[k / FIELDS];
    if (flat && !seed)
        return;
    store_relaxed(&log->seed, seed);
    log->at = k;
    __atomic_store_n(&log->busy, SET_ONE, __ATOMIC_RELEASE);
    const char *path = own_field(me, k);
    shoal_status status = seed ? put_seed(in, path, seed, flat, SHOAL_TTL_NEVER) : drop(arena, in, path);
    if (status == SHOAL_OK) {
        store_relaxed(&log->own[k], seed);
        log->flat[k / FIELDS] = 0;
    } else {
        REQUIRE_CHILD(seed ? refused(status) : status == SHOAL_MISS && log->own[k] == 0);
    }
    __atomic_store_n(&log->busy, NOTHING, __ATOMIC_RELEASE);
}

static void change_all(unsigned me, uint64_t r, const shoal_namespace *in)
{
    worker_log *log = &logs[me];
    unsigned object = (unsigned)((r >> 32) % OBJECTS);
    uint32_t how = DROP_ALL + (uint32_t)(r % 3);
    char path[48];
    snprintf(path, sizeof path, "own%u.a%u.b", me, object); /* one above, so that there are objects to go, too */
    shoal_status status;
    log->at = object;
    if (log->flat[object])
        return;
    __atomic_store_n(&log->busy, how, __ATOMIC_RELEASE);
    if (how == DROP_ALL)
        status = drop(arena, in, path);
    else if (how == RENEW_ALL)
        status = make(arena, in, path, true);
    else
        status = replace(arena, in, path, "flat");
    REQUIRE_CHILD(status == SHOAL_OK || refused(status) || (how == DROP_ALL && status == SHOAL_MISS));
    if (status == SHOAL_OK) {
        for (unsigned i = 0; i < FIELDS; i++)
            store_relaxed(&log->own[object * FIELDS + i], 0);
        log->flat[object] = how == FLATTEN_ALL;
    }
    __atomic_store_n(&log->busy, NOTHING, __ATOMIC_RELEASE);
}

static void add_to_counter(unsigned me, uint64_t r, const shoal_namespace *in)
{
    shoal_number by = {.i = (int64_t)(r >> 40) % 100}, zero = {0}, sum;
    const char *path = "all.of.us.counter";
    store_release(&logs[me].adding, (uint64_t)by.i);
    shoal_status status = shoal_incr(arena, in, names(path), strlen(path), &by, &zero, SHOAL_TTL_KEEP, &sum, WAIT);
    REQUIRE_CHILD(status == SHOAL_OK || refused(status));
    if (status == SHOAL_OK)
        store_release(&logs[me].added, logs[me].added + (uint64_t)by.i);
    store_release(&logs[me].adding, 0);
}

static void use_shared(uint64_t r, const shoal_namespace *in)
{
    static const char *const forms[] = {"s%u", "s%u.p%u", "s%u.p%u.q%u", "s%u.p%u.q%u.r%u"};
    static uint8_t value[VALUE_MAX];
    static const int64_t ttls[] = {SHOAL_TTL_NEVER, MILLISECOND, 5 * MILLISECOND};
    char path[64];
    snprintf(path, sizeof path, forms[(r >> 8) % 4], (unsigned)(r >> 10) % 4, (unsigned)(r >> 14) % 3, (unsigned)(r >> 17) % 3,
             (unsigned)(r >> 20) % 3);
    int64_t ttl = ttls[(r >> 30) % 3];
    bool overwrite = r & 1ull << 40;
    shoal_meta meta;
    shoal_status status;
    shoal_draft draft;
    shoal_bytes listed;
    switch ((r >> 24) % 9) {
    case 0:
    case 1: status = put_seed(in, path, r >> 32 | 1, overwrite, ttl); break;
    case 2: status = make(arena, in, path, overwrite); break;
    case 3: status = drop(arena, in, path); break;
    case 4: status = shoal_touch(arena, in, names(path), strlen(path), ttl, WAIT); break;
    case 5:
        status = shoal_fields(arena, in, names(path), strlen(path), 0, &listed, WAIT);
        shoal_bytes_free(&listed);
        break;
    case 6:
        status = shoal_draft_begin(arena, in, names(path), strlen(path), 50000, &draft, WAIT);
        if (status == SHOAL_OK) {
            memset(draft.data, 0, draft.size);
            status = shoal_draft_publish(arena, in, names(path), strlen(path), &draft, &(shoal_put_args){.overwrite = overwrite}, NULL,
                                         WAIT);
            shoal_unpin(arena, &draft.pin);
        }
        break;
    default:
        status = shoal_get(arena, in, names(path), strlen(path), value, 0, VALUE_MAX, &meta, WAIT);
        if (status == SHOAL_OK && !meta.object && meta.size != 50000)
            REQUIRE_CHILD(whole(value, meta.size));
    }
    REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_IS_OBJECT || status == SHOAL_NOT_OBJECT || refused(status));
}

/* A run, left when its process is killed; memory of a namespace that comes and goes. */
static void do_rare(uint64_t r)
{
    shoal_namespace ns, other;
    uint32_t slot, generation;
    char path[64];
    shoal_status status;
    switch (r % 3) {
    case 0: REQUIRE_CHILD(shoal_sweep(arena, WAIT) == SHOAL_OK); break;
    case 1:
        REQUIRE_CHILD(shoal_runs_open(arena, &home, true, &other, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(shoal_process(arena, &slot, &generation) == SHOAL_OK);
        for (unsigned i = 0; i < 20; i++) {
            snprintf(path, sizeof path, "%u-%u.run.v%u", slot, generation, i);
            status = put_seed(&other, path, r >> 8 | 1, false, SHOAL_TTL_NEVER);
            REQUIRE_CHILD(status == SHOAL_OK || refused(status));
        }
        break;
    default:
        REQUIRE_CHILD(shoal_namespace_open(arena, "passing", 7, true, NULL, &ns, WAIT) == SHOAL_OK);
        status = shoal_tree_open(arena, &ns, true, &other, WAIT);
        for (unsigned i = 0; i < 10 && status == SHOAL_OK; i++) {
            snprintf(path, sizeof path, "x%u.y.z", i);
            status = set(arena, &other, path, "v");
        }
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_STALE || refused(status));
        status = shoal_namespace_drop(arena, &ns, WAIT);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_STALE);
    }
}

static void work(unsigned me, uint64_t seed)
{
    shoal_base base = {.prefix = 4}; /* "own?", and "all.of.us" */
    for (;;) {
        uint64_t r = random_next(&seed);
        shoal_namespace in = tree;
        if (r & 1ull << 60)
            in.base = &base;
        if (r % 16 < 5)
            change_one(me, random_next(&seed), &in);
        else if (r % 16 < 7)
            change_all(me, random_next(&seed), &in);
        else if (r % 16 < 8)
            add_to_counter(me, random_next(&seed), &tree);
        else if (r % 300 != 299)
            use_shared(random_next(&seed), &tree);
        else
            do_rare(random_next(&seed));
        store_relaxed(&logs[me].operations, logs[me].operations + 1);
    }
}

static pid_t start(unsigned me, uint64_t seed)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(arena);
        work(me, seed);
    }
    return pid;
}

/* ---- the one who kills */

/* The seed that is there, 0 if nothing is. */
static bool seed_at(unsigned w, unsigned k, uint64_t *seed)
{
    static uint8_t value[VALUE_MAX];
    const char *path = own_field(w, k);
    shoal_meta meta = {0};
    shoal_status status = shoal_get(arena, &tree, names(path), strlen(path), value, 0, VALUE_MAX, &meta, WAIT);
    *seed = 0;
    if (status == SHOAL_MISS)
        return true;
    if (status == SHOAL_OK && whole(value, meta.size)) {
        memcpy(seed, value, 8);
        return true;
    }
    check_fail(__FILE__, __LINE__, "%s: %s, %" PRIu64 " bytes; %s", path, shoal_status_name(status), meta.size, shoal_detail(arena));
    return false;
}

/* All fields as acknowledged, but for what was under way. */
static bool settle_object(unsigned w, unsigned object)
{
    worker_log *log = &logs[w];
    uint64_t found[FIELDS], listed = 0, there = 0;
    bool as_acknowledged = true, gone = true;
    bool over = log->busy >= DROP_ALL && log->at == object;
    for (unsigned i = 0; i < FIELDS; i++) {
        unsigned k = object * FIELDS + i;
        if (!seed_at(w, k, &found[i]))
            return false;
        bool one = log->busy == SET_ONE && log->at == k && found[i] == log->seed;
        as_acknowledged &= found[i] == log->own[k] || one;
        gone &= found[i] == 0;
        there += found[i] != 0;
    }
    if (!as_acknowledged && !(over && gone)) {
        for (unsigned i = 0; i < FIELDS; i++)
            check_fail(__FILE__, __LINE__, "%s.f%u: holds %" PRIx64 ", acknowledged was %" PRIx64 " (busy %u at %u)",
                       own_object(w, object), i,
                       found[i], log->own[object * FIELDS + i], log->busy, log->at);
        return false;
    }
    const char *text = fields(arena, &tree, own_object(w, object));
    for (const char *p = text; text[0] == 'f' && p; p = strchr(p, ' '), p = p ? p + 1 : NULL)
        listed++;
    if (listed != there) {
        check_fail(__FILE__, __LINE__, "%s lists \"%s\", and has %" PRIu64 " fields", own_object(w, object), text, there);
        return false;
    }
    for (unsigned i = 0; i < FIELDS; i++)
        log->own[object * FIELDS + i] = found[i];
    char above[48];
    snprintf(above, sizeof above, "own%u.a%u.b", w, object);
    log->flat[object] = strcmp(get(arena, &tree, above), "flat") == 0;
    return true;
}

static bool settle(unsigned w)
{
    bool right = true;
    for (unsigned object = 0; object < OBJECTS && right; object++)
        right = settle_object(w, object);
    logs[w].busy = NOTHING;
    return right;
}

static void the_killed_lose_nothing_and_leave_nothing(void)
{
    pid_t pids[WORKERS];
    uint64_t seed = run_seed * 0x9E3779B97F4A7C15ull + 1, kills = 0, added = 0, uncertain = 0, operations = 0;
    logs = mmap(NULL, sizeof(worker_log) * WORKERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(logs != MAP_FAILED);
    arena = arena_new("killtree", 24 * MIB);
    home = ns_default(arena);
    tree = tree_of(arena);
    for (unsigned w = 0; w < WORKERS; w++)
        pids[w] = start(w, random_next(&seed));
    bool right = true;
    for (int64_t end = shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND); right && shoal_clock_mono_ns() < end; kills++) {
        uint64_t r = random_next(&seed);
        unsigned w = (unsigned)(r % WORKERS);
        sleep_until(shoal_clock_mono_ns() + (int64_t)((r >> 8) % 4000000));
        if (r % 16 == 0) {
            kill(pids[w], SIGSTOP);
            sleep_until(shoal_clock_mono_ns() + 3 * MILLISECOND);
        }
        kill(pids[w], SIGKILL);
        int status = 0;
        waitpid(pids[w], &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            check_fail(__FILE__, __LINE__, "worker %u had ended by itself (%x)", w, (unsigned)status);
            right = false;
        }
        uncertain += logs[w].adding;
        logs[w].adding = 0;
        right = right && settle(w);
        if (right && r % 2 == 0) {
            shoal_status sound = arena_verify(arena);
            CHECK_STATUS(sound, SHOAL_OK);
            right = sound == SHOAL_OK;
        }
        if (r % 8 == 1)
            CHECK_STATUS(shoal_sweep(arena, WAIT), SHOAL_OK);
        pids[w] = start(w, random_next(&seed));
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        kill(pids[w], SIGKILL);
        waitpid(pids[w], NULL, 0);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        right = right && settle(w);
        uncertain += logs[w].adding;
        added += logs[w].added;
        operations += logs[w].operations;
    }
    shoal_number zero = {0}, sum = {0};
    const char *counter = "all.of.us.counter";
    CHECK_STATUS(shoal_incr(arena, &tree, names(counter), strlen(counter), &zero, &zero, SHOAL_TTL_KEEP, &sum, WAIT), SHOAL_OK);
    CHECK((uint64_t)sum.i >= added && (uint64_t)sum.i <= added + uncertain);
    CHECK_SOUND(arena);
    /* Each worker's fields, and nothing else of theirs; then nothing at all. What is timed has expired by then. */
    uint64_t count;
    sleep_until(shoal_clock_mono_ns() + 10 * MILLISECOND);
    for (unsigned w = 0; w < WORKERS && right; w++) {
        uint64_t before = count_of(arena, &tree), expected = 1; /* own<w> */
        for (unsigned object = 0; object < OBJECTS; object++) {
            char path[48];
            shoal_meta meta;
            snprintf(path, sizeof path, "own%u.a%u", w, object);
            for (unsigned depth = 0; depth < 3; depth++) { /* a, a.b, a.b.c */
                expected += peek(arena, &tree, names(path), strlen(path), &meta) == SHOAL_OK;
                strcat(path, depth ? ".c" : ".b");
            }
            for (unsigned i = 0; i < FIELDS; i++)
                expected += logs[w].own[object * FIELDS + i] != 0;
        }
        if (drop(arena, &tree, numbered("own", w)) == SHOAL_OK) {
            uint64_t now = count_of(arena, &tree);
            CHECK_EQ(before - now, expected);
        }
    }
    CHECK_STATUS(shoal_namespace_clear(arena, &tree, &count, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(arena, &tree), 0u);
    CHECK_STATUS(put(arena, &home, "last", "words"), SHOAL_OK);
    arena_reap_all(arena, WORKERS);
    shoal_namespace runs, ns = ns_open(arena, "finishes what dead droppers began", 0, 0, 0), theirs;
    CHECK_STATUS(shoal_tree_open(arena, &ns, true, &theirs, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_runs_open(arena, &home, true, &runs, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(arena, &runs), 0u);
    CHECK_STATUS(shoal_sweep(arena, WAIT), SHOAL_OK);
    shoal_stats stats = stats_of(arena);
    CHECK_EQ(stats.pinned_bytes, 0u);
    CHECK_EQ(stats.processes, 1u);
    CHECK(stats.entries <= 1 + 3 * shoal_shards(arena) + 32); /* "last", roots of three trees, the namespace that comes and goes */
    CHECK(stats.used <= MIB);
    printf("  %" PRIu64 " kills, %" PRIu64 " operations, %" PRIu64 " recoveries, seed %" PRIu64 "\n", kills, operations,
           stats.recoveries, run_seed);
    munmap(logs, sizeof(worker_log) * WORKERS);
    ARENA_END(arena);
}

static int tests(void)
{
    RUN(the_killed_lose_nothing_and_leave_nothing);
    return check_report();
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? atof(argv[1]) : seconds;
    run_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : run_seed;
    return fixture_main(tests);
}
