/* Processes killed at random instants, for as many seconds as asked: stress_kill [seconds [seed]].
 *
 * Workers write down outside of the arena what they are about to do and what was acknowledged. One is killed, the others go
 * on; then each of the dead one's own keys must hold what was acknowledged last, or what it was about to write, and the
 * verifier must be content. The instants are the kernel's, so a seed repeats the workers' choices, not the run.
 */
#include <sys/mman.h>

#include "fixture.h"
#include "atomics.h"

enum { WORKERS = 3, OWN = 24, SHARED = 60, LIMIT = 20, VALUE_MAX = 400000 };

/* Of one own key: seed of a value, 0 = not there. `next` counts only while `busy`. */
typedef struct record {
    uint64_t acknowledged, next;
    uint32_t busy;
} record;

typedef struct worker_log {
    record own[OWN];
    uint64_t added, adding; /* to the counter that all share */
    uint64_t operations;
} worker_log;

static worker_log *logs; /* shared memory, but not the arena's */
static shoal_arena *arena;
static shoal_namespace plain, limited, cache, timed;
static double seconds = 5;
static uint64_t run_seed = 1;

static size_t size_of(uint64_t seed) { return 8 + (seed >> 8) % (seed % 8 ? 200 : seed % 32 ? 3000 : VALUE_MAX - 8); }

static bool whole(const uint8_t *value, size_t size)
{
    uint64_t seed;
    memcpy(&seed, value, 8);
    return size == size_of(seed) && pattern_holds(value + 8, seed, size - 8);
}

static shoal_status put_seed(const shoal_namespace *ns, const char *key, uint64_t seed, uint8_t *value)
{
    size_t size = size_of(seed);
    memcpy(value, &seed, 8);
    pattern_fill(value + 8, seed, size - 8);
    shoal_put_args args = {
        .head = value, .head_size = 8, .body = value + 8, .body_size = size - 8, .align = seed & 1, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(arena, ns, key, strlen(key), &args, NULL, WAIT);
}

static bool refused(shoal_status status) { return status == SHOAL_FULL_ARENA || status == SHOAL_FULL_PINS; }

static const char *own_key(unsigned worker, unsigned k)
{
    static char key[32];
    snprintf(key, sizeof key, "own%u-%u", worker, k);
    return key;
}

/* ---- a worker */

enum { VIEWS = 900 }; /* more than the records in its slot */
static shoal_pin held[VIEWS];

/* A view stays for a while, whatever becomes of its key. */
static void hold_view(const shoal_namespace *ns, const char *key, uint64_t r)
{
    shoal_pin *pin = &held[r % VIEWS];
    if (pin->block) {
        REQUIRE_CHILD(whole(pin->data, pin->meta.size));
        shoal_unpin(arena, pin);
    }
    shoal_status status = shoal_view_take(arena, ns, key, strlen(key), pin, WAIT);
    REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_INVALID || refused(status));
    if (status != SHOAL_OK)
        pin->block = 0;
}

static shoal_status put_draft(const shoal_namespace *ns, const char *key, uint64_t seed)
{
    size_t size = size_of(seed);
    shoal_draft draft;
    shoal_put_args args = {.ttl = SHOAL_TTL_DEFAULT};
    shoal_status status = shoal_draft_begin(arena, ns, key, strlen(key), size, &draft, WAIT);
    if (status != SHOAL_OK)
        return status;
    memcpy(draft.data, &seed, 8);
    pattern_fill(draft.data + 8, seed, size - 8);
    if (seed & 1ull << 40)
        status = shoal_draft_publish(arena, ns, key, strlen(key), &draft, &args, NULL, WAIT);
    shoal_unpin(arena, &draft.pin);
    return status;
}

static void change_own(unsigned me, uint64_t r, uint8_t *value)
{
    unsigned k = (unsigned)((r >> 32) % OWN);
    record *log = &logs[me].own[k];
    const char *key = own_key(me, k);
    uint64_t seed = r % 4 ? r | 1ull << 63 : 0;
    store_relaxed(&log->next, seed);
    __atomic_store_n(&log->busy, 1, __ATOMIC_RELEASE);
    shoal_status status = seed ? put_seed(&plain, key, seed, value) : del(arena, &plain, key);
    if (status == SHOAL_OK)
        store_relaxed(&log->acknowledged, seed);
    else
        REQUIRE_CHILD(seed ? refused(status) : status == SHOAL_MISS && log->acknowledged == 0);
    __atomic_store_n(&log->busy, 0, __ATOMIC_RELEASE);
}

static void add_to_counter(unsigned me, uint64_t r)
{
    shoal_number by = {.i = (int64_t)(r >> 40) % 100}, zero = {0}, sum;
    store_release(&logs[me].adding, (uint64_t)by.i);
    shoal_status status = shoal_incr(arena, &plain, "counter", 7, &by, &zero, SHOAL_TTL_KEEP, &sum, WAIT);
    REQUIRE_CHILD(status == SHOAL_OK || refused(status));
    /* Killed in between, it counts as being added still: the bounds are only wider. */
    if (status == SHOAL_OK)
        store_release(&logs[me].added, logs[me].added + (uint64_t)by.i);
    store_release(&logs[me].adding, 0);
}

static void use_shared(uint64_t r, uint8_t *value)
{
    const shoal_namespace *const spaces[] = {&plain, &limited, &cache, &timed};
    const shoal_namespace *ns = spaces[r % 4];
    const char *key = numbered("shared", (unsigned)((r >> 8) % SHARED));
    shoal_meta meta;
    shoal_status status;
    switch ((r >> 20) % 8) {
    case 0:
    case 1:
    case 2:
        status = put_seed(ns, key, r >> 24 | 1, value);
        REQUIRE_CHILD(status == SHOAL_OK || refused(status) || status == SHOAL_FULL_KEYS);
        break;
    case 3:
        status = del(arena, ns, key);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS);
        break;
    case 4:
        status = shoal_touch(arena, ns, key, strlen(key), r & 1ull << 40 ? SHOAL_TTL_NEVER : 3 * MILLISECOND, WAIT);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || refused(status));
        break;
    case 5: {
        shoal_pin pin;
        status = shoal_pin_take(arena, ns, key, strlen(key), &pin, WAIT);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_INVALID);
        if (status == SHOAL_OK) {
            put_seed(ns, key, r >> 24 | 1, value); /* under the pin */
            REQUIRE_CHILD(whole(pin.data, pin.meta.size));
            shoal_unpin(arena, &pin);
        }
        for (unsigned i = 0; i < 30; i++)
            hold_view(ns, key, r >> 28 ^ i);
        break;
    }
    case 6:
        status = put_draft(ns, key, r >> 24 & ~(uint64_t)31);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_INVALID || refused(status) || status == SHOAL_FULL_KEYS);
        break;
    default:
        status = shoal_get(arena, ns, key, strlen(key), value, 0, VALUE_MAX, &meta, WAIT);
        REQUIRE_CHILD(status == SHOAL_MISS || (status == SHOAL_OK && whole(value, meta.size)));
    }
}

static void do_rare(uint64_t r)
{
    shoal_namespace ns;
    uint64_t count;
    shoal_status status;
    switch (r % 4) {
    case 0: REQUIRE_CHILD(shoal_sweep(arena, WAIT) == SHOAL_OK); break;
    case 1: REQUIRE_CHILD(shoal_namespace_clear(arena, &cache, &count, WAIT) == SHOAL_OK); break;
    case 2: {
        shoal_namespace_config config = {.max_keys = r & 16 ? LIMIT : 0};
        REQUIRE_CHILD(shoal_namespace_set_config(arena, &limited, &config, WAIT) == SHOAL_OK);
        break;
    }
    default:
        REQUIRE_CHILD(shoal_namespace_open(arena, "passing", 7, true, NULL, &ns, WAIT) == SHOAL_OK);
        for (unsigned i = 0; i < 10; i++) {
            status = put(arena, &ns, numbered("k", i), "v");
            REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_STALE || refused(status));
        }
        status = shoal_namespace_drop(arena, &ns, WAIT);
        REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_STALE);
    }
}

static void work(unsigned me, uint64_t seed)
{
    uint8_t *value = malloc(VALUE_MAX);
    for (;;) {
        uint64_t r = random_next(&seed);
        if (r % 16 < 6)
            change_own(me, random_next(&seed), value);
        else if (r % 16 < 8)
            add_to_counter(me, random_next(&seed));
        else if (r % 500 != 499)
            use_shared(random_next(&seed), value);
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

static bool settle(unsigned w, uint8_t *value)
{
    for (unsigned k = 0; k < OWN; k++) {
        record *log = &logs[w].own[k];
        shoal_meta meta = {0};
        uint64_t seed = 0;
        shoal_status status = shoal_get(arena, &plain, own_key(w, k), strlen(own_key(w, k)), value, 0, VALUE_MAX, &meta, WAIT);
        if (status == SHOAL_OK) {
            memcpy(&seed, value, 8);
            if (!whole(value, meta.size)) {
                check_fail(__FILE__, __LINE__, "%s: a torn value of %" PRIu64 " bytes", own_key(w, k), meta.size);
                return false;
            }
        } else if (status != SHOAL_MISS) {
            check_fail(__FILE__, __LINE__, "%s: %s, %s", own_key(w, k), shoal_status_name(status), shoal_detail(arena));
            return false;
        }
        if (seed != log->acknowledged && !(log->busy && seed == log->next)) {
            check_fail(__FILE__, __LINE__, "%s: holds %" PRIx64 ", acknowledged was %" PRIx64 "%s", own_key(w, k), seed, log->acknowledged,
                       log->busy ? " (a write was under way)" : "");
            return false;
        }
        log->acknowledged = seed;
        log->busy = 0;
    }
    return true;
}

static void the_killed_lose_nothing_and_block_nobody(void)
{
    uint8_t *value = malloc(VALUE_MAX);
    pid_t pids[WORKERS];
    uint64_t seed = run_seed * 0x9E3779B97F4A7C15ull + 1, kills = 0, added = 0, uncertain = 0;
    logs = mmap(NULL, sizeof(worker_log) * WORKERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(logs != MAP_FAILED);
    arena = arena_new("kill", 48 * MIB);
    plain = ns_default(arena);
    limited = ns_open(arena, "limited", 0, LIMIT, SHOAL_EVICT_ERROR);
    cache = ns_open(arena, "cache", 0, 30, SHOAL_EVICT_SIEVE);
    timed = ns_open(arena, "timed", 2 * MILLISECOND, 0, SHOAL_EVICT_ERROR);
    for (unsigned w = 0; w < WORKERS; w++)
        pids[w] = start(w, random_next(&seed));
    bool right = true;
    for (int64_t end = shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND); right && shoal_clock_mono_ns() < end; kills++) {
        uint64_t r = random_next(&seed);
        unsigned w = (unsigned)(r % WORKERS);
        sleep_until(shoal_clock_mono_ns() + (int64_t)((r >> 8) % 4000000));
        if (r % 16 == 0) { /* stopped for a while first: the others wait for it, then find it dead */
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
        right = right && settle(w, value);
        if (right && r % 4 == 0) {
            shoal_status sound = arena_verify(arena);
            CHECK_STATUS(sound, SHOAL_OK);
            right = sound == SHOAL_OK;
        }
        if (r % 8 == 1) /* without anybody who works in between */
            CHECK_STATUS(shoal_sweep(arena, WAIT), SHOAL_OK);
        pids[w] = start(w, random_next(&seed));
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        kill(pids[w], SIGKILL);
        waitpid(pids[w], NULL, 0);
    }
    uint64_t operations = 0;
    for (unsigned w = 0; w < WORKERS; w++) {
        right = right && settle(w, value);
        uncertain += logs[w].adding;
        added += logs[w].added;
        operations += logs[w].operations;
    }
    shoal_number zero = {0}, sum = {0};
    CHECK_STATUS(shoal_incr(arena, &plain, "counter", 7, &zero, &zero, SHOAL_TTL_KEEP, &sum, WAIT), SHOAL_OK);
    CHECK((uint64_t)sum.i >= added && (uint64_t)sum.i <= added + uncertain);
    CHECK_SOUND(arena);
    /* Nothing is lost for good either: with all entries gone, only the tables are left. */
    uint64_t count;
    const shoal_namespace *const spaces[] = {&plain, &limited, &cache, &timed};
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(shoal_namespace_clear(arena, spaces[i], &count, WAIT), SHOAL_OK);
    CHECK_STATUS(put(arena, &plain, "last", "words"), SHOAL_OK); /* (a dead one may have left a lock in an empty shard) */
    shoal_namespace ns = ns_open(arena, "finishes what dead droppers began", 0, 0, 0);
    CHECK_EQ(count_of(arena, &ns), 0u);
    arena_reap_all(arena, WORKERS);
    shoal_stats stats = stats_of(arena);
    CHECK_EQ(stats.pinned_bytes, 0u);
    CHECK_EQ(stats.processes, 1u);
    CHECK(stats.entries <= 11); /* of the namespace that comes and goes */
    CHECK(stats.used <= MIB);
    printf("  %" PRIu64 " kills, %" PRIu64 " operations, %" PRIu64 " recoveries, seed %" PRIu64 "\n", kills, operations,
           stats.recoveries, run_seed);
    munmap(logs, sizeof(worker_log) * WORKERS);
    free(value);
    ARENA_END(arena);
}

static int tests(void)
{
    RUN(the_killed_lose_nothing_and_block_nobody);
    return check_report();
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? atof(argv[1]) : seconds;
    run_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : run_seed;
    return fixture_main(tests);
}
