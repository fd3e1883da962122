/* Threads of one process on the same trees, for as many seconds as asked: stress_tree [seconds [seed]].
 *
 * What shows when something is half-visible, half-removed, lost or stale:
 *   ways    set with all objects on them, removed as a whole: no object of one is ever seen without its field
 *   groups  filled under a name that was never used before, then told to all, then removed in one of many manners: a listing has
 *           all fields or none, and who has missed one field never meets another, by whatever cached way it looks
 *   keep    each thread's own fields of one object that all write to: hold what their thread wrote last
 *   rest    whatever else: expiry, large values, other namespaces that are cleared and dropped
 * In the end the verifier is content, and when all is removed nothing is left. Meant for the thread sanitizer, useful without it.
 */
#include <pthread.h>
#include <stdarg.h>

#include "atomics.h"
#include "paths.h"

enum { THREADS = 4, WAYS = 6, GROUPS = 5, SIZE = 12, BASES = 24 };

#define HOLDS(condition) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
            return false; \
        } \
    } while (0)

static shoal_arena *arena, *reader;
static shoal_namespace plain, seen; /* the tree, and the same of a read-only mapping */
static int64_t end_time;
static uint64_t current[GROUPS]; /* the group's generation that is whole, or was */
static uint64_t filling[GROUPS]; /* somebody makes the next one */
static uint64_t added[THREADS];
static uint32_t removed_ways;

typedef struct worker {
    unsigned number;
    uint64_t seed, rounds;
    uint64_t own;                /* what it wrote last into its field of "keep" */
    uint64_t missed[GROUPS];     /* the last generation that it has found gone */
    shoal_base bases[BASES];     /* of objects: ways first, then groups, then keep */
    shoal_base group_bases[GROUPS];
    uint64_t group_of[GROUPS];   /* the generation that such a base is of */
} worker;

/* ---- calls with paths as people write them, for several threads */

typedef struct name {
    char text[128];
    size_t size;
} name;

__attribute__((format(printf, 1, 2))) static name name_of(const char *format, ...)
{
    name n;
    va_list args;
    va_start(args, format);
    n.size = (size_t)vsnprintf(n.text, sizeof n.text, format, args);
    va_end(args);
    for (size_t i = 0; i < n.size; i++)
        if (n.text[i] == '.')
            n.text[i] = (char)SHOAL_PATH_SEPARATOR;
    return n;
}

/* The tree through a cached way to the first `prefix` bytes; 0: without. */
static shoal_namespace through(shoal_base *base, size_t prefix)
{
    shoal_namespace tree = plain;
    if (base && prefix) {
        if (base->prefix != prefix)
            *base = (shoal_base){.prefix = (uint32_t)prefix};
        tree.base = base;
    }
    return tree;
}

static shoal_status set_number(const shoal_namespace *tree, const name *n, uint64_t value, int64_t ttl)
{
    shoal_put_args args = {.head = &value, .head_size = 8, .ttl = ttl};
    return shoal_put(arena, tree, n->text, n->size, &args, NULL, WAIT);
}

static shoal_status get_number(shoal_arena *a, const shoal_namespace *tree, const name *n, uint64_t *value)
{
    shoal_meta meta;
    shoal_status status = shoal_get(a, tree, n->text, n->size, value, 0, 8, &meta, WAIT);
    if (status == SHOAL_OK && (meta.object || meta.size != 8))
        return SHOAL_CORRUPT;
    return status;
}

static shoal_status remove_at(const shoal_namespace *tree, const name *n)
{
    return shoal_delete(arena, tree, n->text, n->size, NULL, WAIT);
}

static shoal_status object_at(const name *n, bool overwrite)
{
    shoal_put_args args = {.object = true, .overwrite = overwrite, .ttl = SHOAL_TTL_NEVER};
    return shoal_put(arena, &plain, n->text, n->size, &args, NULL, WAIT);
}

/* Which of the fields "f0", "f1"... are listed, as bits; of others the 63rd. */
static shoal_status list_at(shoal_arena *a, const shoal_namespace *tree, const name *n, uint64_t *bits)
{
    shoal_bytes out;
    shoal_status status = shoal_fields(a, tree, n->text, n->size, 0, &out, WAIT);
    *bits = 0;
    if (status != SHOAL_OK)
        return status;
    for (size_t at = 0; at < out.size;) {
        uint16_t size;
        memcpy(&size, out.data + at + 1, 2);
        const uint8_t *text = out.data + at + 3;
        unsigned i = size == 2 && text[0] == 'f' ? text[1] - 'a' : 63;
        *bits |= 1ull << (i < 63 ? i : 63);
        at += 3u + size;
    }
    shoal_bytes_free(&out);
    return status;
}

/* ---- ways: "way<k>.fa.fb.f?" */

static bool use_way(worker *w, uint64_t r)
{
    unsigned k = (unsigned)(r % WAYS);
    name top = name_of("way%u", k), deep = name_of("way%u.fa.fb.f%c", k, 'a' + w->number);
    shoal_namespace tree = through(r & 1024 ? &w->bases[k] : NULL, top.size);
    uint64_t value, bits;
    shoal_status status;
    switch ((r >> 16) % 8) {
    case 0:
    case 1:
    case 2:
        status = set_number(&tree, &deep, r, SHOAL_TTL_NEVER);
        HOLDS(status == SHOAL_OK || status == SHOAL_FULL_ARENA);
        break;
    case 3:
        status = remove_at(&plain, &top);
        HOLDS(status == SHOAL_OK || status == SHOAL_MISS);
        if (status == SHOAL_OK)
            add_relaxed32(&removed_ways, 1);
        break;
    default: {
        bool other = (r >> 20) % 16 == 0;
        shoal_arena *from = other ? reader : arena;
        const shoal_namespace *in = other ? &seen : &tree;
        status = get_number(from, in, &deep, &value);
        HOLDS(status == SHOAL_OK || status == SHOAL_MISS);
        status = list_at(from, other ? &seen : &plain, &top, &bits);
        HOLDS((status == SHOAL_OK && bits == 1) || status == SHOAL_MISS);
        name next = name_of("way%u.fa", k), last = name_of("way%u.fa.fb", k);
        status = list_at(from, in, &next, &bits);
        HOLDS((status == SHOAL_OK && bits == 2) || status == SHOAL_MISS);
        status = list_at(from, in, &last, &bits);
        HOLDS((status == SHOAL_OK && bits != 0 && bits >> THREADS == 0) || status == SHOAL_MISS);
    }
    }
    return true;
}

/* ---- groups: "group.g<k>-<generation>.in.fa" ... */

static bool end_group(const name *top, const name *in, uint64_t r)
{
    uint64_t value = 1;
    shoal_put_args flat = {.head = &value, .head_size = 8, .overwrite = true};
    shoal_status status;
    switch (r % 6) {
    case 0: status = remove_at(&plain, top); break;
    case 1: status = remove_at(&plain, in); break;
    case 2: status = object_at(in, true); break;
    case 3: status = object_at(top, true); break;
    case 4: status = shoal_put(arena, &plain, in->text, in->size, &flat, NULL, WAIT); break;
    default: status = shoal_touch(arena, &plain, top->text, top->size, 1, WAIT);
    }
    HOLDS(status == SHOAL_OK);
    return true;
}

static bool fill_group(worker *w, unsigned k, uint64_t r)
{
    uint64_t none = 0, old = load_relaxed(&current[k]), next = old + 1;
    if (!cas_acquire(&filling[k], &none, 1))
        return true;
    old = load_relaxed(&current[k]);
    next = old + 1;
    name top = name_of("group.g%u-%" PRIu64, k, next), in = name_of("group.g%u-%" PRIu64 ".in", k, next);
    shoal_base base = {.prefix = (uint32_t)top.size};
    shoal_namespace tree = plain;
    tree.base = r & 4096 ? &base : NULL;
    for (unsigned i = 0; i < SIZE; i++) {
        name field = name_of("group.g%u-%" PRIu64 ".in.f%c", k, next, 'a' + i);
        HOLDS(set_number(&tree, &field, next * 100 + i, SHOAL_TTL_NEVER) == SHOAL_OK);
    }
    if (r & 8192) { /* so that the newest is not the last */
        name field = name_of("group.g%u-%" PRIu64 ".in.fa", k, next);
        HOLDS(remove_at(&tree, &field) == SHOAL_OK && set_number(&tree, &field, next * 100, SHOAL_TTL_NEVER) == SHOAL_OK);
    }
    store_release(&current[k], next);
    if (old) {
        top = name_of("group.g%u-%" PRIu64, k, old);
        in = name_of("group.g%u-%" PRIu64 ".in", k, old);
        HOLDS(end_group(&top, &in, r >> 20));
        uint64_t value;
        name field = name_of("group.g%u-%" PRIu64 ".in.fb", k, old);
        HOLDS(get_number(arena, &plain, &field, &value) == SHOAL_MISS);
        HOLDS(get_number(reader, &seen, &field, &value) == SHOAL_MISS);
        remove_at(&plain, &top); /* whatever is left of it */
        if (w->missed[k] < old)
            w->missed[k] = old;
    }
    store_release(&filling[k], 0);
    return true;
}

static bool look_at_group(worker *w, unsigned k, uint64_t r)
{
    uint64_t generation = load_acquire(&current[k]), value, bits;
    if (generation == 0)
        return true;
    if (r & 64 && w->group_of[k])
        generation = w->group_of[k]; /* an older one, with a way that was cached then */
    name in = name_of("group.g%u-%" PRIu64 ".in", k, generation);
    name field = name_of("group.g%u-%" PRIu64 ".in.f%c", k, generation, (int)('a' + (r >> 8) % SIZE));
    if (w->group_of[k] != generation)
        w->group_bases[k] = (shoal_base){0};
    w->group_of[k] = generation;
    bool gone = w->missed[k] >= generation;
    shoal_namespace tree = through(&w->group_bases[k], (r >> 16) % 3 == 0 ? 5 : in.size); /* "group", or all */
    shoal_status status = get_number(arena, &tree, &field, &value);
    HOLDS((status == SHOAL_OK && !gone && value == generation * 100 + (r >> 8) % SIZE) || status == SHOAL_MISS);
    gone |= status == SHOAL_MISS;
    if (r & 128) {
        status = get_number(reader, &seen, &field, &value);
        HOLDS((status == SHOAL_OK && !gone) || status == SHOAL_MISS);
        gone |= status == SHOAL_MISS;
    }
    bool other = (r >> 24) % 16 == 0;
    status = list_at(other ? reader : arena, other ? &seen : (r >> 26) % 2 ? &plain : &tree, &in, &bits);
    HOLDS(status == SHOAL_MISS || status == SHOAL_OK);
    HOLDS(status == SHOAL_MISS || bits == 0 || (bits == (1ull << SIZE) - 1 && !gone));
    gone |= bits == 0;
    status = get_number(arena, (r >> 28) % 2 ? &plain : &tree, &field, &value);
    HOLDS((status == SHOAL_OK && !gone) || status == SHOAL_MISS);
    gone |= status == SHOAL_MISS;
    if (gone)
        w->missed[k] = generation > w->missed[k] ? generation : w->missed[k];
    return true;
}

/* ---- keep */

static bool keep_own(worker *w, uint64_t r)
{
    name object = name_of("keep.of.all"), own = name_of("keep.of.all.f%c", 'a' + w->number), sum = name_of("keep.of.all.sum");
    shoal_namespace tree = through(r & 1 ? &w->bases[BASES - 1] : NULL, r & 2 ? 4 : object.size);
    uint64_t value = 0, bits;
    shoal_status status;
    if (r % 5 == 0) {
        shoal_number by = {.i = (int64_t)(r >> 32) % 1000}, zero = {0}, result;
        HOLDS(shoal_incr(arena, &tree, sum.text, sum.size, &by, &zero, SHOAL_TTL_KEEP, &result, WAIT) == SHOAL_OK);
        added[w->number] += (uint64_t)by.i;
        return true;
    }
    if (w->own) {
        HOLDS(get_number(arena, &tree, &own, &value) == SHOAL_OK && value == w->own);
        HOLDS(list_at(arena, &tree, &object, &bits) == SHOAL_OK && (bits >> w->number & 1));
        if (r % 7 == 0) {
            HOLDS(remove_at(&tree, &own) == SHOAL_OK);
            HOLDS(get_number(arena, &plain, &own, &value) == SHOAL_MISS);
            w->own = 0;
            return true;
        }
    }
    status = set_number(&tree, &own, r | 1, r % 3 ? SHOAL_TTL_NEVER : 100 * SECOND);
    HOLDS(status == SHOAL_OK || status == SHOAL_FULL_ARENA);
    if (status == SHOAL_OK)
        w->own = r | 1;
    return true;
}

/* ---- rest */

static bool use_rest(uint64_t r)
{
    static const int64_t ttls[] = {SHOAL_TTL_NEVER, MILLISECOND, 3 * MILLISECOND};
    static const char *const forms[] = {"rest%u", "rest%u.p%u", "rest%u.p%u.q%u", "rest%u.p%u.q%u.r%u"};
    char text[64];
    snprintf(text, sizeof text, forms[(r >> 8) % 4], (unsigned)(r >> 10) % 5, (unsigned)(r >> 14) % 3, (unsigned)(r >> 17) % 3,
             (unsigned)(r >> 20) % 3);
    name n = name_of("%s", text);
    uint64_t bits;
    uint8_t large[40000];
    shoal_meta meta;
    shoal_status status;
    bool overwrite = r & 1ull << 40;
    shoal_put_args args = {.head = "value", .head_size = 5, .overwrite = overwrite, .ttl = ttls[(r >> 30) % 3]};
    switch ((r >> 24) % 9) {
    case 0:
    case 1: status = shoal_put(arena, &plain, n.text, n.size, &args, NULL, WAIT); break;
    case 2:
        memset(large, (int)r, sizeof large);
        args.body = large;
        args.body_size = sizeof large - (r >> 41) % 10000;
        status = shoal_put(arena, &plain, n.text, n.size, &args, NULL, WAIT);
        break;
    case 3: status = object_at(&n, overwrite); break;
    case 4:
    case 5: status = remove_at(&plain, &n); break;
    case 6: status = shoal_touch(arena, &plain, n.text, n.size, ttls[(r >> 30) % 3], WAIT); break;
    case 7: status = list_at(r & 1ull << 42 ? reader : arena, r & 1ull << 42 ? &seen : &plain, &n, &bits); break;
    default: status = shoal_peek(arena, &plain, n.text, n.size, NULL, 0, 0, &meta, WAIT);
    }
    HOLDS(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_IS_OBJECT || status == SHOAL_NOT_OBJECT ||
          status == SHOAL_FULL_ARENA);
    return true;
}

static bool upset(uint64_t r)
{
    shoal_namespace passing, tree;
    shoal_namespace_stats count;
    shoal_status status;
    uint64_t cleared;
    switch (r % 6) {
    case 0: HOLDS(shoal_sweep(arena, WAIT) == SHOAL_OK); break;
    case 1: HOLDS(arena_verify(arena) == SHOAL_OK); break;
    case 2: HOLDS(shoal_namespace_count(r & 64 ? reader : arena, r & 64 ? &seen : &plain, &count, WAIT) == SHOAL_OK); break;
    default:
        HOLDS(shoal_namespace_open(arena, "passing", 7, true, NULL, &passing, WAIT) == SHOAL_OK);
        status = shoal_tree_open(arena, &passing, true, &tree, WAIT);
        HOLDS(status == SHOAL_OK || status == SHOAL_STALE);
        for (unsigned i = 0; i < 20 && status == SHOAL_OK; i++) {
            name n = name_of("a%u.b.c%u", i % 3, i);
            status = set_number(&tree, &n, i, SHOAL_TTL_NEVER);
            HOLDS(status == SHOAL_OK || status == SHOAL_STALE || status == SHOAL_FULL_ARENA);
        }
        if (status == SHOAL_OK && r & 256) {
            status = shoal_namespace_clear(arena, &tree, &cleared, WAIT);
            HOLDS(status == SHOAL_OK || status == SHOAL_STALE);
        }
        if (r & 512) {
            status = shoal_namespace_drop(arena, &passing, WAIT);
            HOLDS(status == SHOAL_OK || status == SHOAL_STALE);
        }
    }
    return true;
}

static bool act(worker *w)
{
    uint64_t r = random_next(&w->seed), s = random_next(&w->seed);
    switch (r % 100) {
    case 0 ... 29: return use_way(w, s);
    case 30 ... 59: return look_at_group(w, (unsigned)(r >> 8) % GROUPS, s);
    case 60 ... 65: return fill_group(w, (unsigned)(r >> 8) % GROUPS, s);
    case 66 ... 84: return keep_own(w, s);
    case 85 ... 98: return use_rest(s);
    default: return (r >> 8) % 8 ? true : upset(s);
    }
}

static void *work(void *context)
{
    worker *w = context;
    for (uint64_t i = 0; (i % 16 || shoal_clock_mono_ns() < end_time) && act(w); i++)
        w->rounds++;
    return NULL;
}

static double seconds = 5;
static uint64_t run_seed = 1;

static void threads_agree(void)
{
    pthread_t threads[THREADS];
    static worker workers[THREADS];
    arena = arena_new("trees", 32 * MIB);
    reader = arena_attach("trees", 'r');
    plain = tree_of(arena);
    shoal_namespace home = ns_default(reader);
    CHECK_STATUS(shoal_tree_open(reader, &home, false, &seen, WAIT), SHOAL_OK);
    end_time = shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){.number = i, .seed = run_seed * 0x9E3779B97F4A7C15ull + i + 1};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    uint64_t rounds = 0, total = 0, generations = 0, value;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        rounds += workers[i].rounds;
        total += added[i];
    }
    for (unsigned k = 0; k < GROUPS; k++)
        generations += current[k];
    for (unsigned i = 0; i < THREADS; i++) {
        name own = name_of("keep.of.all.f%c", 'a' + i);
        shoal_status status = get_number(arena, &plain, &own, &value);
        CHECK_STATUS(status, workers[i].own ? SHOAL_OK : SHOAL_MISS);
        CHECK(status != SHOAL_OK || value == workers[i].own);
    }
    name sum = name_of("keep.of.all.sum");
    shoal_number zero = {0}, result = {0};
    CHECK_STATUS(shoal_incr(arena, &plain, sum.text, sum.size, &zero, &zero, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
    CHECK_EQ((uint64_t)result.i, total);
    CHECK_SOUND(arena);
    /* Nothing hangs where no path leads to. */
    uint64_t cleared;
    CHECK_STATUS(shoal_namespace_clear(arena, &plain, &cleared, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(arena, &plain), 0u);
    shoal_namespace passing = ns_open(arena, "passing", 0, 0, 0);
    CHECK_STATUS(shoal_namespace_drop(arena, &passing, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(arena, WAIT), SHOAL_OK);
    CHECK(stats_of(arena).entries <= shoal_shards(arena)); /* a root in each */
    CHECK(stats_of(arena).used <= MIB);
    shoal_stats stats = stats_of(arena);
    printf("  %" PRIu64 " rounds, %" PRIu64 " writes, %" PRIu64 " hits, %" PRIu64 " retries, %" PRIu64 " expired, %" PRIu64
           " groups, %u ways removed\n",
           rounds, stats.sets, stats.hits, stats.retries, stats.expired, generations, removed_ways);
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
