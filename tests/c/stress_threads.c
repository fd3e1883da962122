/* Threads of one process on the same keys, for as many seconds as asked: stress_threads [seconds [seed]].
 *
 * Each value begins with a seed that tells all its other bytes, so that a torn read shows. Counters that are only added to
 * end at exactly the sum of what was added. Meant for the thread sanitizer, useful without it.
 */
#include <pthread.h>

#include "fixture.h"

enum { THREADS = 4, KEYS = 120, COUNTERS = 3, VIEWS = 250 }; /* so that all views are more than a slot has records */

static shoal_arena *arena, *reader;
static shoal_namespace spaces[4]; /* plain, limited, cache, timed */
static int64_t end_time;
static uint64_t added[THREADS][COUNTERS], swapped[THREADS];

#define HOLDS(condition) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
            return false; \
        } \
    } while (0)

static size_t value_size(uint64_t r) { return 8 + (r >> 20) % (r % 16 ? 300 : r % 64 ? 5000 : 120000); }

static bool value_whole(const uint8_t *value, size_t size)
{
    uint64_t seed;
    memcpy(&seed, value, 8);
    return size >= 8 && pattern_holds(value + 8, seed, size - 8);
}

static bool is_one_of(shoal_status status, shoal_status one, shoal_status two, shoal_status three)
{
    return status == one || status == two || status == three;
}

typedef struct worker {
    unsigned number;
    uint64_t seed;
    uint8_t *value;
    shoal_pin held[VIEWS];
} worker;

static bool draft_key(const shoal_namespace *ns, const char *key, size_t length, uint64_t r, size_t size)
{
    shoal_draft draft;
    shoal_put_args args = {.ttl = SHOAL_TTL_DEFAULT};
    shoal_status status = shoal_draft_begin(arena, ns, key, length, size, &draft, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_FULL_ARENA, SHOAL_FULL_ARENA));
    if (status != SHOAL_OK)
        return true;
    memcpy(draft.data, &r, 8);
    pattern_fill(draft.data + 8, r, size - 8);
    status = r & 512 ? shoal_draft_publish(arena, ns, key, length, &draft, &args, NULL, WAIT) : SHOAL_OK;
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_FULL_ARENA, SHOAL_FULL_KEYS));
    HOLDS(value_whole(draft.data, size));
    shoal_unpin(arena, &draft.pin);
    return true;
}

/* A view stays for a while, whatever becomes of its key. */
static bool hold_view(worker *w, const shoal_namespace *ns, const char *key, size_t length, uint64_t r)
{
    shoal_pin *pin = &w->held[r % VIEWS];
    HOLDS(pin->block == 0 || value_whole(pin->data, pin->meta.size));
    if (r & 1 || !shoal_unpin_at_once(arena, pin))
        shoal_unpin(arena, pin);
    shoal_status status = shoal_view_take(arena, ns, key, length, pin, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_MISS, SHOAL_INVALID) || status == SHOAL_FULL_PINS);
    if (status != SHOAL_OK)
        pin->block = 0;
    return true;
}

static bool write_key(worker *w, const shoal_namespace *ns, const char *key, size_t length, uint64_t r)
{
    size_t size = value_size(r);
    if (size > 40000 && r & 256)
        return draft_key(ns, key, length, r, size);
    memcpy(w->value, &r, 8);
    pattern_fill(w->value + 8, r, size - 8);
    shoal_bytes old = {0};
    shoal_put_args args = {.head = w->value, .head_size = 8, .body = w->value + 8, .body_size = size - 8, .align = r & 1,
                           .ttl = SHOAL_TTL_DEFAULT, .condition = r % 10 ? SHOAL_IF_ANY : SHOAL_IF_ABSENT, .old = r % 7 ? NULL : &old};
    shoal_status status = shoal_put(arena, ns, key, length, &args, NULL, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_EXISTS, SHOAL_FULL_ARENA) || status == SHOAL_FULL_KEYS);
    HOLDS(!old.data || value_whole(old.data, old.size));
    shoal_bytes_free(&old);
    return true;
}

static bool read_key(worker *w, const shoal_namespace *ns, const char *key, size_t length, uint64_t r)
{
    shoal_meta meta;
    shoal_pin pin;
    shoal_arena *from = r % 5 ? arena : reader;
    shoal_status status = shoal_get(from, ns, key, length, w->value, 0, 200000, &meta, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_MISS, SHOAL_MISS));
    HOLDS(status != SHOAL_OK || (meta.version != 0 && value_whole(w->value, meta.size)));
    if (r % 3)
        return true;
    status = shoal_pin_take(arena, ns, key, length, &pin, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_MISS, SHOAL_INVALID));
    if (status == SHOAL_OK) {
        HOLDS(value_whole(pin.data, pin.meta.size));
        shoal_unpin(arena, &pin);
        for (unsigned i = 0; i < 20; i++)
            HOLDS(hold_view(w, ns, key, length, r >> 8 ^ i));
    }
    return true;
}

static bool count_up(worker *w, uint64_t r)
{
    char key[16];
    size_t length = (size_t)snprintf(key, sizeof key, "counter%u", (unsigned)(r % COUNTERS));
    shoal_number by = {.i = (int64_t)(r >> 32) % 1000}, zero = {0}, sum;
    HOLDS(shoal_incr(arena, &spaces[0], key, length, &by, &zero, SHOAL_TTL_KEEP, &sum, WAIT) == SHOAL_OK);
    HOLDS(sum.i >= by.i);
    added[w->number][r % COUNTERS] += (uint64_t)by.i;
    /* The same by hand: read, and write only over what was read. */
    uint64_t number = 0;
    shoal_meta meta = {0};
    shoal_status status = shoal_get(arena, &spaces[0], "swapped", 7, &number, 0, 8, &meta, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_MISS, SHOAL_MISS));
    number++;
    shoal_put_args args = {.head = &number, .head_size = 8, .condition = SHOAL_IF_VERSION,
                           .version = status == SHOAL_OK ? meta.version : 0};
    status = shoal_put(arena, &spaces[0], "swapped", 7, &args, NULL, WAIT);
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_CONFLICT, SHOAL_CONFLICT));
    swapped[w->number] += status == SHOAL_OK;
    return true;
}

static bool look_around(const shoal_namespace *ns, uint64_t r)
{
    shoal_bytes keys;
    shoal_namespace_stats count;
    shoal_stats stats;
    shoal_arena *from = r % 3 ? arena : reader;
    HOLDS(shoal_keys(from, ns, (uint32_t)(r >> 8) % shoal_shards(arena), "k1", 2, &keys, WAIT) == SHOAL_OK);
    for (size_t at = 0; at < keys.size;) {
        uint16_t n;
        memcpy(&n, keys.data + at, 2);
        HOLDS(n >= 2 && at + 2 + n <= keys.size && memcmp(keys.data + at + 2, "k1", 2) == 0);
        at += 2u + n;
    }
    shoal_bytes_free(&keys);
    HOLDS(shoal_namespace_count(from, ns, &count, WAIT) == SHOAL_OK);
    HOLDS(ns != &spaces[1] || count.entries <= KEYS); /* (its limit moves) */
    HOLDS(shoal_get_stats(from, &stats) == SHOAL_OK);
    return true;
}

/* What is rare, and changes everything at once. */
static bool upset(uint64_t r)
{
    shoal_namespace ns;
    uint64_t count;
    shoal_status status;
    switch (r % 5) {
    case 0: HOLDS(shoal_sweep(arena, WAIT) == SHOAL_OK); break;
    case 1: HOLDS(arena_verify(arena) == SHOAL_OK); break;
    case 2: HOLDS(shoal_namespace_clear(arena, &spaces[1 + (r >> 8) % 3], &count, WAIT) == SHOAL_OK); break;
    case 3: {
        shoal_namespace_config config = {.max_keys = (r >> 8) % 3 * 40, .eviction = SHOAL_EVICT_ERROR};
        HOLDS(shoal_namespace_set_config(arena, &spaces[1], &config, WAIT) == SHOAL_OK);
        break;
    }
    default:
        HOLDS(shoal_namespace_open(arena, "passing", 7, true, NULL, &ns, WAIT) == SHOAL_OK);
        status = put(arena, &ns, "k", "v");
        HOLDS(is_one_of(status, SHOAL_OK, SHOAL_STALE, SHOAL_FULL_ARENA));
        if (r & 256) {
            status = shoal_namespace_drop(arena, &ns, WAIT);
            HOLDS(is_one_of(status, SHOAL_OK, SHOAL_STALE, SHOAL_STALE));
        }
    }
    return true;
}

static bool act(worker *w)
{
    char key[16];
    uint64_t r = random_next(&w->seed);
    const shoal_namespace *ns = &spaces[(r >> 56) % 4];
    size_t length = (size_t)snprintf(key, sizeof key, "k%u", (unsigned)((r >> 48) % KEYS));
    shoal_status status;
    r = random_next(&w->seed);
    switch (r % 100) {
    case 0 ... 29: return write_key(w, ns, key, length, random_next(&w->seed));
    case 30 ... 69: return read_key(w, ns, key, length, random_next(&w->seed));
    case 70 ... 79: return count_up(w, random_next(&w->seed));
    case 80 ... 87: status = shoal_delete(arena, ns, key, length, NULL, WAIT); break;
    case 88 ... 94:
        status = shoal_touch(arena, ns, key, length, r & 128 ? SHOAL_TTL_NEVER : (int64_t)(r >> 20) % (5 * MILLISECOND) + 1, WAIT);
        break;
    case 95 ... 98: return look_around(ns, random_next(&w->seed));
    default: return r % 700 ? true : upset(random_next(&w->seed));
    }
    HOLDS(is_one_of(status, SHOAL_OK, SHOAL_MISS, SHOAL_FULL_ARENA));
    return true;
}

static void *work(void *context)
{
    worker *w = context;
    for (uint64_t i = 0; (i % 16 || shoal_clock_mono_ns() < end_time) && act(w); i++)
        ;
    return NULL;
}

static double seconds = 5;
static uint64_t run_seed = 1;

static void threads_agree(void)
{
    pthread_t threads[THREADS];
    static worker workers[THREADS];
    arena = arena_new("threads", 48 * MIB);
    reader = arena_attach("threads", 'r');
    spaces[0] = ns_default(arena);
    spaces[1] = ns_open(arena, "limited", 0, 40, SHOAL_EVICT_ERROR);
    spaces[2] = ns_open(arena, "cache", 0, 30, SHOAL_EVICT_SIEVE);
    spaces[3] = ns_open(arena, "timed", 3 * MILLISECOND, 0, SHOAL_EVICT_ERROR);
    end_time = shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){.number = i, .seed = run_seed * 0x9E3779B97F4A7C15ull + i + 1, .value = malloc(200000)};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        free(workers[i].value);
        for (unsigned k = 0; k < VIEWS; k++)
            shoal_unpin(arena, &workers[i].held[k]);
    }
    uint64_t number = 0, total = 0;
    for (unsigned c = 0; c < COUNTERS; c++) {
        char key[16];
        shoal_number zero = {0}, sum = {0};
        size_t length = (size_t)snprintf(key, sizeof key, "counter%u", c);
        CHECK_STATUS(shoal_incr(arena, &spaces[0], key, length, &zero, &zero, SHOAL_TTL_KEEP, &sum, WAIT), SHOAL_OK);
        total = 0;
        for (unsigned i = 0; i < THREADS; i++)
            total += added[i][c];
        CHECK_EQ((uint64_t)sum.i, total);
    }
    shoal_get(arena, &spaces[0], "swapped", 7, &number, 0, 8, NULL, WAIT);
    total = 0;
    for (unsigned i = 0; i < THREADS; i++)
        total += swapped[i];
    CHECK_EQ(number, total);
    CHECK_EQ(stats_of(arena).pinned_bytes, 0u);
    shoal_stats stats = stats_of(arena);
    printf("  %" PRIu64 " writes, %" PRIu64 " hits, %" PRIu64 " retries, %" PRIu64 " lock waits, %" PRIu64
           " expired, %" PRIu64 " evicted\n",
           stats.sets, stats.hits, stats.retries, stats.lock_waits, stats.expired, stats.evicted);
    shoal_close(reader);
    ARENA_END(arena);
}

static int tests(void)
{
    RUN(threads_agree);
    return check_report();
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? atof(argv[1]) : seconds;
    run_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : run_seed;
    return fixture_main(tests);
}
