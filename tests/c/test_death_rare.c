/* Death at every instruction of the ways that calls seldom take: entries that expire while they are written, hands that stand at what
 * is written, records used again, values in two pieces; and of what only reads. */
#include "death.h"
#include "paths.h"

#ifdef DEATH
#include <sys/syscall.h>

#include "table.h"

/* ---- a clock that jumps: once armed, an hour ahead from the n-th look on */

static unsigned looks_left;
static bool armed;

int clock_gettime(clockid_t clock, struct timespec *t)
{
    long error = syscall(SYS_clock_gettime, clock, t);
    if (armed && clock != CLOCK_REALTIME && (looks_left == 0 || --looks_left == 0))
        t->tv_sec += 3600;
    return (int)error;
}

static void jump_at(unsigned look) { armed = look != 0, looks_left = look; }

/* ---- entries that expire under the writer's hands */

#define LATE 9u

static void late_ones(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < LATE; i++)
        for (unsigned twice = 0; twice < 2; twice++) /* the second time they get all that their headers will need */
            CHECK_STATUS(put_ttl(a, ns, numbered("late", i), "old", 1000 * SECOND), SHOAL_OK);
}
static void write_late(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < LATE; i++) {
        jump_at(i + 1);
        put_ttl(a, ns, numbered("late", i), "new", 9000 * SECOND);
        jump_at(0);
    }
}
static void write_longer_late(shoal_arena *a, const shoal_namespace *ns)
{
    static char longer[900];
    shoal_put_args args = {.head = memset(longer, 'x', sizeof longer), .head_size = sizeof longer, .ttl = SHOAL_TTL_NEVER};
    for (unsigned i = 0; i < LATE; i++) {
        jump_at(i + 1);
        shoal_put(a, ns, numbered("late", i), 5, &args, NULL, WAIT);
        jump_at(0);
    }
}
static void touch_late(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < LATE; i++) {
        jump_at(i + 1);
        shoal_touch(a, ns, numbered("late", i), 5, 9000 * SECOND, WAIT);
        jump_at(0);
    }
}
static void old_new_or_expired(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    uint8_t value[1000];
    shoal_meta meta;
    (void)done;
    for (unsigned i = 0; i < LATE; i++) {
        shoal_status status = shoal_get(a, ns, numbered("late", i), 5, value, 0, sizeof value, &meta, WAIT);
        bool old = status == SHOAL_OK && meta.size == 3 && memcmp(value, "old", 3) == 0;
        bool new = status == SHOAL_OK && ((meta.size == 3 && memcmp(value, "new", 3) == 0) || (meta.size == 900 && value[899] == 'x'));
        if (!old && !new && status != SHOAL_MISS)
            check_fail(__FILE__, __LINE__, "late%u: %s, neither the old value nor the new one", i, shoal_status_name(status));
    }
}
static void overwriting_late(void) { walk(&(scenario){late_ones, write_late, old_new_or_expired}); }
static void replacing_late(void) { walk(&(scenario){late_ones, write_longer_late, old_new_or_expired}); }
static void touching_late(void) { walk(&(scenario){late_ones, touch_late, old_new_or_expired}); }

/* ---- times that change where they lie */

static void timed_twice(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(put_ttl(a, ns, "key", "old", 2000 * SECOND), SHOAL_OK);
    CHECK_STATUS(set(a, &t, "o.x", "1"), SHOAL_OK);
    CHECK_STATUS(shoal_touch(a, &t, "o", 1, 2000 * SECOND, WAIT), SHOAL_OK);
}
static void shorten(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    put_ttl(a, ns, "key", "new", 1000 * SECOND);
    shoal_touch(a, ns, "key", 3, 900 * SECOND, WAIT);
    shoal_touch(a, ns, "no such key", 11, 900 * SECOND, WAIT);
    shoal_touch(a, &t, "o", 1, 800 * SECOND, WAIT);
}
static void old_or_new_with_its_time(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree_of(a);
    bool new = strcmp(get_text(a, ns, "key"), "new") == 0;
    int64_t now = shoal_clock_mono_ns(), left = stat_of(a, ns, "key").expires_ns - now, object = stat_of(a, &t, "o").expires_ns - now;
    CHECK(new || (!done && strcmp(get_text(a, ns, "key"), "old") == 0));
    CHECK(new == (left < 1001 * SECOND) && left > 0);
    CHECK(object > 0 && (object < 801 * SECOND || !done));
    CHECK_TEXT(get(a, &t, "o.x"), "1");
}
static void shortening_times(void) { walk(&(scenario){timed_twice, shorten, old_or_new_with_its_time}); }

/* ---- values in two pieces, as the binding hands them over */

static void put_pieces(shoal_arena *a, const shoal_namespace *ns, const char *key, const void *body, size_t size)
{
    shoal_put_args args = {.head = "abc", .head_size = 3, .body = body, .body_size = size, .ttl = SHOAL_TTL_NEVER};
    shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
}
static void pieces(shoal_arena *a, const shoal_namespace *ns)
{
    for (int i = 0; i < 2; i++)
        put_pieces(a, ns, "key", "old", 3);
}
static uint8_t body[LARGE];
static void write_pieces(shoal_arena *a, const shoal_namespace *ns)
{
    memset(body, 'x', sizeof body);
    put_pieces(a, ns, "key", "new", 3);
    put_pieces(a, ns, "fresh", "new", 3);
    put_pieces(a, ns, "whale", body, sizeof body);
}
static void whole_pieces(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    static uint8_t value[LARGE + 3];
    shoal_meta meta;
    const char *got = get_text(a, ns, "key");
    CHECK(strcmp(got, "abcnew") == 0 || (!done && strcmp(got, "abcold") == 0));
    got = get_text(a, ns, "fresh");
    CHECK(strcmp(got, "abcnew") == 0 || (!done && strcmp(got, "(miss)") == 0));
    shoal_status status = shoal_get(a, ns, "whale", 5, value, 0, sizeof value, &meta, WAIT);
    CHECK((status == SHOAL_OK && meta.size == sizeof value && memcmp(value, "abcx", 4) == 0 && value[LARGE + 2] == 'x') ||
          (!done && status == SHOAL_MISS));
}
static void writing_in_pieces(void) { walk(&(scenario){pieces, write_pieces, whole_pieces}); }

/* ---- hands of lists at what is written */

#define LISTED 16u

static shoal_namespace single(shoal_arena *a) { return ns_open(a, "single", 0, 1, SHOAL_EVICT_SIEVE); }
static shoal_namespace sieve(shoal_arena *a) { return ns_open(a, "sieve", 0, LISTED, SHOAL_EVICT_SIEVE); }

/* The hand is past its first eviction, and nobody visited anything since. */
static void fill_sieve(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = sieve(a), one = single(a);
    (void)ns;
    CHECK_STATUS(put(a, &one, "k1", "v"), SHOAL_OK);
    for (unsigned i = 0; i < 2 * LISTED + 1; i++)
        CHECK_STATUS(put(a, &other, numbered("k", i % LISTED + i / (2 * LISTED) * LISTED), "v"), SHOAL_OK);
}
static void write_at_the_hand(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = sieve(a), one = single(a);
    (void)ns;
    put(a, &one, "k2", "v"); /* the hand is through with this shard */
    put(a, &other, "k1", "w"); /* where it lies: it is seen as visited again */
    for (unsigned i = 1; i < 3; i++) {
        put_pattern(a, &other, numbered("k", i), i, 700, false);
        put(a, &other, numbered("new", i), "v");
        get_text(a, &other, numbered("k", 8 + i));
    }
    for (unsigned i = 1; i < 6; i++)
        del(a, &other, numbered("k", i));
}
static void no_more_than_limited(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other = sieve(a);
    (void)ns;
    uint64_t count = count_of(a, &other);
    CHECK(count <= LISTED && (!done || count < LISTED));
    CHECK_EQ(keys_of(a, &other, ""), count);
}
static void writing_at_the_hand(void) { walk(&(scenario){fill_sieve, write_at_the_hand, no_more_than_limited}); }

static shoal_namespace timed(shoal_arena *a) { return ns_open(a, "timed", 1000 * SECOND, 0, 0); }

/* One has expired, so each write steps along the list. */
static void fill_timed(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = timed(a);
    (void)ns;
    for (unsigned i = 0; i < 30; i++)
        CHECK_STATUS(put_ttl(a, &other, numbered("t", i), "v", (1000 + i) * SECOND), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &other, "expired", "v", 1), SHOAL_OK);
}
/* Each write steps over four: the i-th finds the cursor at t(4 i + 4). */
static void write_at_the_cursor(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = timed(a);
    shoal_namespace_stats count;
    (void)ns;
    put_pattern(a, &other, "t4", 4, 600, false);
    put_pattern(a, &other, "t8", 8, 600, false);
    del(a, &other, "t12");
    del(a, &other, "t16");
    shoal_namespace_count(a, &other, &count, WAIT);
    put_ttl(a, &other, "expired", "v", 1);
    shoal_touch(a, &other, "t0", 2, 1000 * SECOND, WAIT);
    shoal_sweep(a, WAIT);
    put_ttl(a, &other, "expired", "v", 1);
    shoal_touch(a, &other, "expired", 7, SECOND, WAIT);
}
static void timed_are_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other = timed(a);
    (void)ns;
    CHECK_TEXT(get_text(a, &other, "t29"), "v");
    CHECK_TEXT(get_text(a, &other, "expired"), "(miss)");
    CHECK(!done || count_of(a, &other) == 28);
    CHECK(keys_of(a, &other, "t") >= 28);
}
static void writing_at_the_cursor(void) { walk(&(scenario){fill_timed, write_at_the_cursor, timed_are_there}); }

/* ---- namespaces */

static shoal_namespace stale;

static void leave_a_record(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = ns_open(a, "first", 7 * SECOND, 70, SHOAL_EVICT_SIEVE), third;
    tree_of(a);
    stale = ns_open(a, "stale", 0, 0, 0);
    CHECK_STATUS(shoal_namespace_drop(a, &stale, WAIT), SHOAL_OK);
    CHECK_STATUS(put(a, &other, "k", "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &other, "l", "v"), SHOAL_OK);
    third = ns_open(a, "third", 0, 0, 0);
    CHECK_STATUS(put(a, &third, "k", "v"), SHOAL_OK);
    (void)ns;
    /* As who dies while it drops them leaves them: before the first step, and after it. */
    a->records[other.id].hand = 5;
    a->records[other.id].state = NAMESPACE_DROPPING;
    a->records[other.id].uid = 0;
    a->records[third.id].state = NAMESPACE_DROPPING;
}
static void make_another(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other;
    shoal_namespace_config config = {.ttl = 1000 * SECOND};
    put(a, &stale, "k", "v"); /* refused */
    shoal_namespace_open(a, "second", 6, true, &config, &other, WAIT);
    shoal_namespace_set_config(a, &other, &(shoal_namespace_config){.max_keys = 10, .eviction = SHOAL_EVICT_SIEVE}, WAIT);
    shoal_namespace_set_config(a, &other, &(shoal_namespace_config){.max_keys = 20}, WAIT);
    shoal_namespace_set_config(a, &other, &(shoal_namespace_config){.ttl = 3 * SECOND}, WAIT);
    shoal_namespace_set_config(a, ns, &(shoal_namespace_config){.ttl = 2000 * SECOND}, WAIT); /* which has a tree */
}
static void either_made_or_not(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other;
    (void)ns;
    CHECK_STATUS(shoal_namespace_open(a, "first", 5, false, NULL, &other, WAIT), SHOAL_NOT_FOUND);
    shoal_status status = shoal_namespace_open(a, "second", 6, false, NULL, &other, WAIT);
    CHECK(status == SHOAL_OK || (!done && status == SHOAL_NOT_FOUND));
    if (status == SHOAL_OK)
        CHECK_EQ(count_of(a, &other), 0u);
    status = shoal_namespace_open(a, "third", 5, false, NULL, &other, WAIT);
    CHECK_STATUS(status, SHOAL_OK);
    CHECK_TEXT(get_text(a, &other, "k"), "v");
}
static void using_a_record_again(void) { walk(&(scenario){leave_a_record, make_another, either_made_or_not}); }

/* Somebody alive has the lock that the count needs. */
static void hold_the_shard(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    a->shards[0].lock.word = a->lock_word;
}
static void limit_in_vain(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_set_config(a, ns, &(shoal_namespace_config){.max_keys = 1000}, MILLISECOND);
}
static void no_limit(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace_config config;
    CHECK_STATUS(shoal_namespace_get_config(a, ns, &config), SHOAL_OK);
    CHECK_EQ(config.max_keys, 0u);
    (void)done;
}
static void limiting_in_vain(void) { walk(&(scenario){hold_the_shard, limit_in_vain, no_limit}); }

/* ---- objects */

static void made_on_the_way(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    (void)ns;
    CHECK_STATUS(put_ttl(a, &t, names("a.b"), "v", 1000 * SECOND), SHOAL_OK);
    CHECK_STATUS(set(a, &t, "a.d", "w"), SHOAL_OK);
    CHECK_STATUS(set(a, &t, "a.e", "w"), SHOAL_OK);
    CHECK_STATUS(drop(a, &t, "a.d"), SHOAL_OK);
    CHECK_STATUS(drop(a, &t, "a.e"), SHOAL_OK); /* the next field gets its block */
}
static void ask_for_it(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    int64_t expires;
    shoal_put_args args = {.object = true, .ttl = SHOAL_TTL_DEFAULT, .expires = &expires};
    (void)ns;
    shoal_put(a, &t, "a", 1, &args, NULL, WAIT);
    set(a, &t, "a.c", "w");
}
static void object_with_its_field(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree_of(a);
    (void)ns, (void)done;
    CHECK_TEXT(get(a, &t, "a"), "(object)");
    CHECK_TEXT(get(a, &t, "a.b"), "v");
}
static void asking_for_what_was_made(void) { walk(&(scenario){made_on_the_way, ask_for_it, object_with_its_field}); }

/* ---- reading */

static void something(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    CHECK_STATUS(set(a, &t, "o.x", "1"), SHOAL_OK);
    CHECK_STATUS(put(a, ns, "key", "old"), SHOAL_OK);
    CHECK_STATUS(put(a, ns, "other", "old"), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, ns, "whale", 5, LARGE, true), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, ns, "whale2", 5, LARGE, true), SHOAL_OK);
}
static void ignore_report(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }
static void read_all(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree_of(a);
    shoal_pin pin;
    get_text(a, ns, "key");
    get_text(a, ns, "nothing");
    get(a, &t, "o.x");
    get(a, &t, "o.nothing");
    if (shoal_view_take(a, ns, "whale", 5, &pin, WAIT) == SHOAL_OK)
        shoal_unpin(a, &pin);
    shoal_view_take(a, ns, "nothing", 7, &pin, WAIT);
    if (shoal_pin_take(a, ns, "whale2", 6, &pin, WAIT) == SHOAL_OK)
        shoal_unpin_at_once(a, &pin);
    fields(a, &t, "o");
    keys_of(a, ns, "k");
    count_of(a, ns);
    if (places_trace) /* of many steps, and with nothing to see but its locks */
        shoal_verify(a, ignore_report, NULL, WAIT);
    a->shards[0].lock.word = LOCK_OWNER_MASK; /* a writer that died there: what is read is read under the lock, after it */
    for (uint64_t i = 0; i < a->shards[0].nbuckets; i++)
        bucket_at(a, &a->shards[0], i)->word += SEQ_ONE;
    get_text(a, ns, "other");
}
static void all_is_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree_of(a);
    (void)done;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK_TEXT(get_text(a, ns, "other"), "old");
    CHECK_TEXT(get(a, &t, "o.x"), "1");
    CHECK_STATUS(get_pattern(a, ns, "whale", 5, LARGE), SHOAL_OK);
}
static void reading(void) { walk(&(scenario){something, read_all, all_is_there}); }

static int tests(void)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("so many single steps take too long with the address sanitizer");
    check_passed++;
    return check_report();
#endif
    RUN(overwriting_late);
    RUN(replacing_late);
    RUN(touching_late);
    RUN(shortening_times);
    RUN(writing_in_pieces);
    RUN(writing_at_the_hand);
    RUN(writing_at_the_cursor);
    RUN(using_a_record_again);
    RUN(limiting_in_vain);
    RUN(asking_for_what_was_made);
    RUN(reading);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
