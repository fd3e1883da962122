/* Making room: expiry to the instant, the sweep, SIEVE, and arenas that are full. */
#include "fixture.h"
#include "room.h"

/* ---- expiry */

static void an_entry_expires_exactly_at_its_instant(void)
{
    shoal_arena *a = arena_new("instant", MIB), *reader = arena_attach("instant", 'r');
    shoal_namespace ns = ns_default(a);
    for (int i = 0; i < 10; i++) {
        shoal_meta meta;
        REQUIRE(put_ttl(a, &ns, "k", "v", (3 + i) * MILLISECOND) == SHOAL_OK);
        shoal_status there = peek(a, &ns, "k", 1, &meta);
        if (there != SHOAL_OK)
            continue; /* the machine was busy for all of its life */
        unsigned seen = 0;
        for (;; seen++) { /* the answers turn once, and neither before nor after the deadline */
            int64_t before = shoal_clock_mono_ns();
            shoal_status status = shoal_get(seen % 2 ? a : reader, &ns, "k", 1, NULL, 0, 0, NULL, WAIT);
            int64_t after = shoal_clock_mono_ns();
            if (status == SHOAL_OK)
                REQUIRE(before < meta.expires_ns);
            else
                REQUIRE(status == SHOAL_MISS && after >= meta.expires_ns);
            if (status != SHOAL_OK && seen % 2)
                break;
        }
        CHECK_EQ(keys_of(a, &ns, ""), 0u);
        CHECK_EQ(keys_of(reader, &ns, ""), 0u);
        CHECK_EQ(count_of(reader, &ns), 0u);
        CHECK_EQ(count_of(a, &ns), 0u);
        CHECK_STATUS(del(a, &ns, "k"), SHOAL_MISS);
    }
    shoal_close(reader);
    ARENA_END(a);
}

static void an_expired_entry_is_nowhere(void)
{
    shoal_arena *a = arena_new("nowhere", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    const size_t sizes[] = {1, 1000, 100000};
    for (size_t i = 0; i < 3; i++) {
        static uint8_t value[100000];
        shoal_put_args args = {.head = value, .head_size = sizes[i], .ttl = 1};
        shoal_bytes old;
        shoal_meta meta;
        shoal_number one = {.i = 1}, zero = {.i = 0}, result;
        uint64_t version;
        REQUIRE(shoal_put(a, &ns, "k", 1, &args, &version, WAIT) == SHOAL_OK);
        CHECK_STATUS(shoal_get(a, &ns, "k", 1, value, 0, 1, NULL, WAIT), SHOAL_MISS);
        CHECK_STATUS(peek(a, &ns, "k", 1, &meta), SHOAL_MISS);
        CHECK_STATUS(shoal_touch(a, &ns, "k", 1, SECOND, WAIT), SHOAL_MISS);
        REQUIRE(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT) == SHOAL_OK);
        CHECK_STATUS(shoal_delete(a, &ns, "k", 1, &old, WAIT), SHOAL_MISS);
        REQUIRE(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT) == SHOAL_OK);
        args = (shoal_put_args){.head = "new", .head_size = 3, .condition = SHOAL_IF_PRESENT};
        CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_MISS);
        args = (shoal_put_args){.head = value, .head_size = sizes[i], .ttl = 1};
        REQUIRE(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT) == SHOAL_OK);
        args = (shoal_put_args){.head = "new", .head_size = 3, .condition = SHOAL_IF_ABSENT, .old = &old};
        CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_OK);
        CHECK(old.data == NULL);
        args = (shoal_put_args){.head = value, .head_size = sizes[i], .ttl = 1};
        REQUIRE(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT) == SHOAL_OK);
        CHECK_STATUS(shoal_incr(a, &ns, "k", 1, &one, &zero, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
        CHECK_EQ(result.i, 1);
        CHECK_EQ(stat_of(a, &ns, "k").expires_ns, 0);
        CHECK_STATUS(del(a, &ns, "k"), SHOAL_OK);
    }
    CHECK(stats_of(a).expired > 0);
    ARENA_END(a);
}

static void the_longest_lives_do_not_wrap(void)
{
    shoal_arena *a = arena_new("long", MIB);
    shoal_namespace ns = ns_default(a);
    const int64_t ttls[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, 1000000 * SECOND};
    for (size_t i = 0; i < sizeof ttls / sizeof *ttls; i++) {
        CHECK_STATUS(put_ttl(a, &ns, "k", "v", ttls[i]), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, "k"), "v");
        CHECK_STATUS(shoal_touch(a, &ns, "k", 1, ttls[i], WAIT), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, "k"), "v");
        CHECK_EQ(count_of(a, &ns), 1u);
    }
    ARENA_END(a);
}

static void writers_sweep_what_has_expired_as_they_go(void)
{
    enum { KEYS = 2000 };
    shoal_arena *a = arena_new("sweep", 4 * MIB);
    shoal_namespace ns = ns_default(a), other = ns_open(a, "other", 0, 0, 0);
    for (unsigned i = 0; i < KEYS; i++)
        REQUIRE(put_ttl(a, &ns, numbered("k", i), "v", i % 2 ? MILLISECOND : 1000 * SECOND) == SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 20 * MILLISECOND); /* the coarse clock too */
    CHECK_EQ(stats_of(a).entries + stats_of(a).expired, (uint64_t)KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        REQUIRE(put(a, &ns, "one", "v") == SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, (uint64_t)KEYS / 2 + 1);
    CHECK_EQ(stats_of(a).expired, (uint64_t)KEYS / 2);
    uint64_t cursor = head_of(a, 0, 0)->cursor; /* nothing is due any more: nobody walks */
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(put(a, &ns, "one", "v") == SHOAL_OK);
    CHECK_EQ(head_of(a, 0, 0)->cursor, cursor);
    CHECK(head_of(a, 0, 0)->due > (uint64_t)shoal_clock_mono_ns() + 900 * (uint64_t)SECOND);
    CHECK_EQ(count_of(a, &other), 0u);
    ARENA_END(a);
}

/* `due` never promises too much, whatever order expiries are set, touched, replaced and deleted in. */
static void the_sweep_misses_nothing(void)
{
    shoal_arena *a = arena_new("due", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    uint64_t seed = 5;
    for (int step = 0; step < 20000; step++) {
        const char *key = numbered("k", (unsigned)(random_next(&seed) % 300));
        int64_t ttl = (int64_t)(random_next(&seed) % 3000) * 1000 + 1;
        switch (random_next(&seed) % 6) {
        case 0: REQUIRE(put_ttl(a, &ns, key, "v", SHOAL_TTL_NEVER) == SHOAL_OK); break;
        case 1:
        case 2: REQUIRE(put_ttl(a, &ns, key, "v", ttl) == SHOAL_OK); break;
        case 3: shoal_touch(a, &ns, key, strlen(key), random_next(&seed) % 2 ? ttl : SHOAL_TTL_NEVER, WAIT); break;
        case 4: del(a, &ns, key); break;
        default:
            if (random_next(&seed) % 50 == 0) { /* meanwhile some more expire */
                uint64_t before = keys_of(a, &ns, ""), count = count_of(a, &ns);
                CHECK(count <= before && count >= keys_of(a, &ns, ""));
            }
        }
        if (step % 1000 == 0)
            REQUIRE(arena_verify(a) == SHOAL_OK);
    }
    sleep_until(shoal_clock_mono_ns() + 4 * MILLISECOND);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, keys_of(a, &ns, ""));
    ARENA_END(a);
}

/* An entry that a sweep under way has passed already gets an earlier expiry: the end of the round must not forget it. */
static void a_sweep_under_way_remembers_what_changes_behind_it(void)
{
    shoal_arena *a = arena_new("behind", MIB);
    shoal_namespace ns = ns_default(a);
    namespace_head *nh = head_of(a, 0, 0);
    waiting w = {.wait = WAIT};
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(put_ttl(a, &ns, numbered("k", i), "v", 1000 * SECOND) == SHOAL_OK);
    REQUIRE(shard_lock(a, 0, &w) == SHOAL_OK);
    CHECK_STATUS(sweep_steps(a, 0, 0, ns.uid, 5, &w), SHOAL_OK);
    CHECK(nh->cursor != 0);
    shard_unlock(a, 0);
    CHECK_STATUS(shoal_touch(a, &ns, "k0", 2, 5 * SECOND, WAIT), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &ns, "k1", "v", 6 * SECOND), SHOAL_OK);
    REQUIRE(shard_lock(a, 0, &w) == SHOAL_OK);
    CHECK_STATUS(sweep_steps(a, 0, 0, ns.uid, 100, &w), SHOAL_OK);
    CHECK_EQ(nh->cursor, 0u);
    shard_unlock(a, 0);
    CHECK_EQ(nh->due, (uint64_t)stat_of(a, &ns, "k0").expires_ns);
    ARENA_END(a);
}

static void expired_entries_make_room(void)
{
    shoal_arena *a = arena_new("room", MIB);
    shoal_namespace ns = ns_default(a), limited = ns_open(a, "limited", 0, 3, 0);
    unsigned count = 0;
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    while (put_ttl(a, &ns, numbered("k", count), text, 1000 * SECOND) == SHOAL_OK)
        count++;
    CHECK(count > 250);
    for (unsigned i = 0; i < count; i++)
        CHECK_STATUS(shoal_touch(a, &ns, numbered("k", i), strlen(numbered("k", i)), 1, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < 3; i++)
        put_ttl(a, &limited, numbered("k", i), "v", 1);
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 700000, false), SHOAL_OK); /* the freed runs come together */
    CHECK_EQ(count_of(a, &ns), 1u);
    for (unsigned i = 0; i < 3; i++)
        CHECK_STATUS(put_ttl(a, &limited, numbered("new", i), "v", 1), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + MILLISECOND);
    for (unsigned i = 0; i < 3; i++)
        CHECK_STATUS(put(a, &limited, numbered("newer", i), "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &limited, "fourth", "v"), SHOAL_FULL_KEYS);
    ARENA_END(a);
}

/* ---- full arenas */

static void a_full_arena_refuses_and_loses_nothing(void)
{
    const size_t sizes[] = {1, 100, 3000, 20000, 40000, 150000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        shoal_arena *a = arena_new("full", MIB);
        shoal_namespace ns = ns_default(a);
        unsigned count = 0;
        shoal_status status;
        while ((status = put_pattern(a, &ns, numbered("k", count), count, sizes[s], s % 2)) == SHOAL_OK)
            count++;
        CHECK_STATUS(status, SHOAL_FULL_ARENA);
        if ((uint64_t)count * sizes[s] * 100 < MIB * (sizes[s] < 100 ? 1 : sizes[s] < 1000 ? 40 : 60))
            check_fail(__FILE__, __LINE__, "%u values of %zu bytes fill a MiB", count, sizes[s]);
        for (unsigned i = 0; i < count; i++)
            CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, sizes[s]), SHOAL_OK);
        CHECK_SOUND(a);
        for (int round = 0; round < 3; round++) { /* what is deleted can be used again, to the last byte */
            for (unsigned i = 0; i < count; i += 2)
                CHECK_STATUS(del(a, &ns, numbered("k", i)), SHOAL_OK);
            for (unsigned i = 0; i < count; i += 2)
                CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, sizes[s], s % 2), SHOAL_OK);
        }
        uint64_t gone;
        CHECK_STATUS(shoal_namespace_clear(a, &ns, &gone, WAIT), SHOAL_OK);
        CHECK_EQ(gone, count);
        if (sizes[s] > 1000) /* of small entries the table is left, all over the arena */
            CHECK_STATUS(put_pattern(a, &ns, "large", 7, 700000, false), SHOAL_OK); /* sizes are not fixed for ever */
        ARENA_END(a);
    }
}

static void a_value_nearly_as_large_as_the_arena_comes_and_goes(void)
{
    shoal_arena *a = arena_new("nearly", MIB);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < 20; i++) {
        size_t size = 700000 + (i * 37717) % 240000;
        CHECK_STATUS(put_pattern(a, &ns, "k", i, size, i % 2), SHOAL_OK);
        CHECK_STATUS(get_pattern(a, &ns, "k", i, size), SHOAL_OK);
        CHECK_STATUS(del(a, &ns, "k"), SHOAL_OK);
    }
    ARENA_END(a);
}

static void random_sizes_to_the_brim_agree_with_a_model(void)
{
    enum { KEYS = 60 };
    shoal_arena *a = arena_new("brim", MIB);
    shoal_namespace ns = ns_default(a);
    struct { uint64_t seed; size_t size; bool there; } model[KEYS] = {{0}};
    uint64_t seed = 31;
    unsigned refused = 0;
    for (int step = 0; step < 12000; step++) {
        unsigned k = (unsigned)(random_next(&seed) % KEYS);
        const char *key = numbered("k", k);
        uint64_t r = random_next(&seed);
        if (r % 3) {
            size_t size = (r >> 8) % (r & 64 ? 200 : r & 128 ? 33000 : 120000);
            shoal_status status = put_pattern(a, &ns, key, r, size, r & 4);
            if (status == SHOAL_OK) {
                model[k].seed = r, model[k].size = size, model[k].there = true;
            } else {
                REQUIRE(status == SHOAL_FULL_ARENA);
                refused++;
            }
        } else {
            REQUIRE(del(a, &ns, key) == (model[k].there ? SHOAL_OK : SHOAL_MISS));
            model[k].there = false;
        }
        k = (unsigned)(random_next(&seed) % KEYS);
        shoal_status status = get_pattern(a, &ns, numbered("k", k), model[k].seed, model[k].size);
        REQUIRE(status == (model[k].there ? SHOAL_OK : SHOAL_MISS));
        if (step % 500 == 0)
            REQUIRE(arena_verify(a) == SHOAL_OK);
    }
    CHECK(refused > 100);
    ARENA_END(a);
}

/* ---- SIEVE */

static void sieve_evicts_the_oldest_that_nobody_visited(void)
{
    shoal_arena *a = arena_new("sieve", MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 5, SHOAL_EVICT_SIEVE);
    for (unsigned i = 0; i < 5; i++)
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
    get_text(a, &ns, "k0");
    get_text(a, &ns, "k2");
    REQUIRE(put(a, &ns, "k5", "v") == SHOAL_OK); /* the hand forgives k0, takes k1 */
    CHECK_TEXT(get_text(a, &ns, "k1"), "(miss)");
    REQUIRE(put(a, &ns, "k6", "v") == SHOAL_OK); /* goes on: forgives k2, takes k3 */
    CHECK_TEXT(get_text(a, &ns, "k3"), "(miss)");
    REQUIRE(put(a, &ns, "k7", "v") == SHOAL_OK); /* k4 */
    CHECK_TEXT(get_text(a, &ns, "k4"), "(miss)");
    CHECK_TEXT(get_text(a, &ns, "k0"), "v");
    CHECK_TEXT(get_text(a, &ns, "k2"), "v");
    CHECK_EQ(count_of(a, &ns), 5u);
    CHECK_EQ(stats_of(a).evicted, 3u);
    ARENA_END(a);
}

static void sieve_works_across_shards_and_only_in_its_namespace(void)
{
    shoal_arena *a = arena_new("across", 64 * MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 100, SHOAL_EVICT_SIEVE), other = ns_default(a);
    CHECK(shoal_shards(a) > 1);
    for (unsigned i = 0; i < 500; i++)
        REQUIRE(put(a, &other, numbered("k", i), "v") == SHOAL_OK);
    for (unsigned i = 0; i < 5000; i++) {
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
        if (i % 3 == 0)
            get_text(a, &ns, numbered("k", i));
        CHECK_TEXT(get_text(a, &ns, "k0"), "v"); /* always in use */
    }
    CHECK_EQ(count_of(a, &ns), 100u);
    CHECK_EQ(count_of(a, &other), 500u);
    CHECK_EQ(stats_of(a).evicted, 4900u);
    ARENA_END(a);
}

static void sieve_makes_room_in_a_full_arena(void)
{
    shoal_arena *a = arena_new("cache", 2 * MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 0, SHOAL_EVICT_SIEVE), kept = ns_default(a);
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(put_pattern(a, &kept, numbered("kept", i), i, 20000, false) == SHOAL_OK);
    uint64_t seed = 77;
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = random_next(&seed) % (i % 100 == 0 ? 300000 : i % 10 == 0 ? 20000 : 200);
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, size, i & 1) == SHOAL_OK);
        REQUIRE(get_pattern(a, &ns, numbered("k", i), i, size) == SHOAL_OK);
        if (i % 4000 == 0)
            CHECK_SOUND(a);
    }
    CHECK(stats_of(a).evicted > 10000);
    for (unsigned i = 0; i < 10; i++)
        CHECK_STATUS(get_pattern(a, &kept, numbered("kept", i), i, 20000), SHOAL_OK);
    /* What cannot fit at all is refused before anything goes for it. */
    uint64_t count = count_of(a, &ns);
    CHECK_STATUS(put_pattern(a, &ns, "too large", 1, 3 * MIB, false), SHOAL_FULL_ARENA);
    CHECK_EQ(count_of(a, &ns), count);
    ARENA_END(a);
}

/* One large value takes the place of thousands of small ones. What stays is the table, which by its growth lies in a
 * few places of the arena: a sixth of it can be had in one piece. */
static void sieve_evicts_as_many_as_it_takes(void)
{
    shoal_arena *a = arena_new("many", 16 * MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 0, SHOAL_EVICT_SIEVE);
    unsigned count = 0;
    for (; stats_of(a).evicted == 0 && count < 400000; count++)
        REQUIRE(put_pattern(a, &ns, numbered("k", count), count, 900, false) == SHOAL_OK);
    CHECK(count > 12000);
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 8 * MIB / 3, false), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "large", 1, 8 * MIB / 3), SHOAL_OK);
    ARENA_END(a);
}

static void a_lowered_limit_is_met_at_the_next_write(void)
{
    shoal_arena *a = arena_new("lowered", 64 * MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 1000, SHOAL_EVICT_SIEVE);
    for (unsigned i = 0; i < 1000; i++)
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
    shoal_namespace_config config = {.max_keys = 10, .eviction = SHOAL_EVICT_SIEVE};
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &config, WAIT), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "new", "v"), SHOAL_OK);
    CHECK_EQ(count_of(a, &ns), 10u);
    CHECK_TEXT(get_text(a, &ns, "new"), "v");
    ARENA_END(a);
}

/* Readers that visit every entry all the time: the write must get its place nevertheless. */
static void sieve_does_not_starve_under_readers(void)
{
    shoal_arena *a = arena_new("starve", MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 1, SHOAL_EVICT_SIEVE);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        for (;;) {
            get_text(a, &ns, "k0");
            get_text(a, &ns, "k1");
        }
    }
    for (unsigned i = 0; i < 20000; i++)
        REQUIRE(put(a, &ns, numbered("k", i % 2), "v") == SHOAL_OK);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ARENA_END(a);
}

static void every_eviction_while_the_hand_is_on_a_removed_entry(void)
{
    shoal_arena *a = arena_new("hand", MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 20, SHOAL_EVICT_SIEVE);
    uint64_t seed = 13;
    for (int step = 0; step < 20000; step++) {
        const char *key = numbered("k", (unsigned)(random_next(&seed) % 40));
        switch (random_next(&seed) % 4) {
        case 0: del(a, &ns, key); break;
        case 1: get_text(a, &ns, key); break;
        default: REQUIRE(put_ttl(a, &ns, key, "v", random_next(&seed) % 5 ? SHOAL_TTL_NEVER : 1000 * 50) == SHOAL_OK);
        }
        if (step % 500 == 0)
            REQUIRE(arena_verify(a) == SHOAL_OK); /* the hand is on an entry of the list, or nowhere */
    }
    CHECK(count_of(a, &ns) <= 20);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(an_entry_expires_exactly_at_its_instant);
    RUN(an_expired_entry_is_nowhere);
    RUN(the_longest_lives_do_not_wrap);
    RUN(writers_sweep_what_has_expired_as_they_go);
    RUN(the_sweep_misses_nothing);
    RUN(a_sweep_under_way_remembers_what_changes_behind_it);
    RUN(expired_entries_make_room);
    RUN(a_full_arena_refuses_and_loses_nothing);
    RUN(a_value_nearly_as_large_as_the_arena_comes_and_goes);
    RUN(random_sizes_to_the_brim_agree_with_a_model);
    RUN(sieve_evicts_the_oldest_that_nobody_visited);
    RUN(sieve_works_across_shards_and_only_in_its_namespace);
    RUN(sieve_makes_room_in_a_full_arena);
    RUN(sieve_evicts_as_many_as_it_takes);
    RUN(a_lowered_limit_is_met_at_the_next_write);
    RUN(sieve_does_not_starve_under_readers);
    RUN(every_eviction_while_the_hand_is_on_a_removed_entry);
    return check_report();
}

int main(void) { return fixture_main(tests); }
