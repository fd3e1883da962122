/* Read-only mappings: they write nothing, need no lock, and read right beside writers, living and dead. */
#include <fcntl.h>

#include "fixture.h"
#include "recover.h"
#include "remove.h"
#include "undo.h"

static void every_write_is_refused(void)
{
    shoal_arena *a = arena_new("writes", 4 * MIB), *r = arena_attach("writes", 'r');
    shoal_namespace ns = ns_default(a), out;
    REQUIRE(put(a, &ns, "k", "v") == SHOAL_OK);
    shoal_number one = {.i = 1};
    shoal_namespace_config config = {0};
    uint64_t count;
    CHECK(shoal_read_only(r) && !shoal_read_only(a));
    CHECK_STATUS(put(r, &ns, "k", "w"), SHOAL_READ_ONLY);
    CHECK_STATUS(put_pattern(r, &ns, "k", 1, 100000, false), SHOAL_READ_ONLY);
    CHECK_STATUS(del(r, &ns, "k"), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_touch(r, &ns, "k", 1, SECOND, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_incr(r, &ns, "k", 1, &one, &one, 0, &one, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_namespace_open(r, "new", 3, true, NULL, &out, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_namespace_open(r, "new", 3, false, NULL, &out, WAIT), SHOAL_NOT_FOUND);
    CHECK_STATUS(shoal_namespace_set_config(r, &ns, &config, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_namespace_clear(r, &ns, &count, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_namespace_drop(r, &(shoal_namespace){.id = 1, .uid = 1}, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_sweep(r, WAIT), SHOAL_READ_ONLY);
    CHECK_STATUS(arena_verify(r), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_unlink(r), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_persist(r), SHOAL_READ_ONLY);
    CHECK_TEXT(get_text(r, &ns, "k"), "v");
    shoal_close(r);
    ARENA_END(a);
}

static uint64_t sum_of(const uint8_t *p, uint64_t size)
{
    uint64_t sum = 0, word;
    for (uint64_t i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, p + i, 8);
        sum = sum * 1099511628211ull ^ word;
    }
    return sum;
}

/* All that was ever committed, as one number. */
static uint64_t print_of(shoal_arena *a)
{
    uint64_t frontier = a->header->frontier;
    return sum_of(a->base, PAGE_SIZE * (1 + a->header->slots_high)) ^ sum_of((uint8_t *)a->shards, a->nshards * sizeof(shard)) ^
           sum_of((uint8_t *)a->records, a->header->namespaces_high * sizeof(namespace_record)) ^
           sum_of((uint8_t *)a->heads, a->header->namespaces_high * a->nshards * sizeof(namespace_head)) ^
           sum_of((uint8_t *)a->map, frontier * sizeof(page_entry)) ^ sum_of(page_at(a, 0), frontier << PAGE_SHIFT);
}

static void reading_changes_no_byte(void)
{
    shoal_arena *a = arena_new("bytes", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < 300; i++)
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, i % 50 ? i : 70000, false) == SHOAL_OK);
    for (unsigned i = 0; i < 20; i++)
        REQUIRE(put_ttl(a, &ns, numbered("t", i), "v", 1) == SHOAL_OK);
    uint64_t before = print_of(a);
    shoal_arena *r = arena_attach("bytes", 'r');
    shoal_namespace_stats stats;
    for (unsigned i = 0; i < 300; i++)
        CHECK_STATUS(get_pattern(r, &ns, numbered("k", i), i, i % 50 ? i : 70000), SHOAL_OK);
    CHECK_TEXT(get_text(r, &ns, "absent"), "(miss)");
    CHECK_TEXT(get_text(r, &ns, "t3"), "(miss)");
    CHECK_EQ(keys_of(r, &ns, ""), 300u);
    CHECK_EQ(keys_of(r, &ns, "k2"), 111u);
    CHECK_STATUS(shoal_namespace_count(r, &ns, &stats, WAIT), SHOAL_OK);
    CHECK_EQ(stats.entries, 300u);
    CHECK_EQ(stats_of(r).hits, 300u); /* counted outside of the arena */
    CHECK_EQ(stats_of(r).misses, 2u);
    CHECK_EQ(print_of(a), before);
    shoal_close(r);
    CHECK_EQ(print_of(a), before);
    ARENA_END(a);
}

static void a_reader_keeps_the_arena_alive(void)
{
#ifdef SHOAL_LINUX
    shoal_arena *a = arena_new("alive", MIB), *r;
    shoal_namespace ns = ns_default(a);
    bool removed = true;
    REQUIRE(put(a, &ns, "k", "v") == SHOAL_OK);
    r = arena_attach("alive", 'r');
    shoal_close(a);
    CHECK(arena_exists("alive"));
    CHECK_STATUS(shoal_collect(arena_name("alive"), &removed), SHOAL_OK);
    CHECK(!removed);
    CHECK_TEXT(get_text(r, &ns, "k"), "v");
    a = arena_attach("alive", 'w'); /* not abandoned */
    CHECK_TEXT(get_text(a, &ns, "k"), "v");
    shoal_close(a);
    shoal_close(r);
    CHECK(!arena_exists("alive"));
#else
    SKIP("readers make no claims here");
#endif
}

static void a_reader_reads_beside_writers(void)
{
    enum { KEYS = 30 };
    shoal_arena *a = arena_new("beside", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < KEYS; i++)
        REQUIRE(put_pattern(a, &ns, numbered("k", i), 0, 500, false) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        uint64_t seed = 4;
        shoal_after_fork(a);
        for (;;) { /* small and large, so that blocks, runs and the table move all the time */
            unsigned k = (unsigned)(random_next(&seed) % KEYS);
            size_t size = random_next(&seed) % (k % 5 ? 900 : 90000);
            REQUIRE_CHILD(put_pattern(a, &ns, numbered("k", k), size, size, false) == SHOAL_OK);
            put(a, &ns, numbered("other", (unsigned)(random_next(&seed) % 3000)), "v");
        }
    }
    shoal_arena *r = arena_attach("beside", 'r');
    static uint8_t value[100000];
    uint64_t seed = 6, reads = 0;
    for (int64_t end = shoal_clock_mono_ns() + SECOND / 2; shoal_clock_mono_ns() < end; reads++) {
        shoal_meta meta;
        const char *key = numbered("k", (unsigned)(random_next(&seed) % KEYS));
        REQUIRE(shoal_get(r, &ns, key, strlen(key), value, 0, sizeof value, &meta, WAIT) == SHOAL_OK);
        REQUIRE(meta.size == 500 || pattern_holds(value, meta.size, meta.size));
        if (reads % 100 == 0)
            REQUIRE(keys_of(r, &ns, "k") >= KEYS); /* all are there throughout */
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    shoal_close(r);
    ARENA_END(a);
}

/* The last writer died in the middle of a change, and nobody is left who could repair it. */
static void a_reader_reads_beside_a_dead_writers_lock(void)
{
    shoal_arena *a = arena_new("dead", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, i == 7 ? 80000 : i, false) == SHOAL_OK);
    a->shards[0].lock.word = LOCK_OWNER_MASK;
    for (uint64_t i = 0; i < a->shards[0].nbuckets; i++)
        table_begin(bucket_at(a, &a->shards[0], i)); /* odd for good */
    shoal_arena *r = arena_attach("dead", 'r');
    for (unsigned i = 0; i < 100; i++)
        CHECK_STATUS(get_pattern(r, &ns, numbered("k", i), i, i == 7 ? 80000 : i), SHOAL_OK);
    CHECK_TEXT(get_text(r, &ns, "absent"), "(miss)");
    CHECK_EQ(keys_of(r, &ns, "k"), 100u);
    shoal_close(r);
    CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
    ARENA_END(a);
}

/* Of an entry that the dead one was overwriting where it lies, a reader has what it was before. */
static void a_reader_reads_what_a_dead_writer_had_half_overwritten(void)
{
    shoal_arena *a = arena_new("half", MIB);
    shoal_namespace ns = ns_default(a);
    waiting w = {.wait = WAIT};
    place p;
    lookup key;
    REQUIRE(put(a, &ns, "k", "before") == SHOAL_OK && put(a, &ns, "other", "is whole") == SHOAL_OK);
    REQUIRE(lookup_make(a, &ns, "k", 1, &key) == SHOAL_OK && shard_lock(a, 0, &w) == SHOAL_OK);
    REQUIRE(table_find(a, &key, &p) == SHOAL_OK);
    uint64_t at = entry_value_at(&p.e, p.ref);
    undo_keep(&a->shards[0], p.ref, p.b, at + p.e.value_size);
    table_begin(p.head);
    memcpy((uint8_t *)p.b + at, "aft", 3);
    a->shards[0].lock.word = LOCK_OWNER_MASK;
    shoal_arena *r = arena_attach("half", 'r');
    CHECK_TEXT(get_text(r, &ns, "k"), "before");
    CHECK_TEXT(get_text(r, &ns, "other"), "is whole");
    shoal_close(r);
    CHECK_TEXT(get_text(a, &ns, "k"), "before");
    CHECK_SOUND(a);
    ARENA_END(a);
}

/* A stopped writer is not dead: the bucket that it holds odd is waited for, and not for ever. */
static void a_reader_waits_for_a_living_writer(void)
{
    shoal_arena *a = arena_new("living", MIB);
    shoal_namespace ns = ns_default(a);
    waiting w = {.wait = WAIT};
    shoal_meta meta;
    REQUIRE(put(a, &ns, "k", "v") == SHOAL_OK);
    shoal_arena *r = arena_attach("living", 'r');
    REQUIRE(shard_lock(a, 0, &w) == SHOAL_OK);
    bucket *head = bucket_at(a, &a->shards[0], 0);
    table_begin(head);
    CHECK_STATUS(shoal_get(r, &ns, "k", 1, NULL, 0, 0, &meta, 0), SHOAL_BUSY);
    int64_t begin = shoal_clock_mono_ns();
    CHECK_STATUS(shoal_get(r, &ns, "k", 1, NULL, 0, 0, &meta, 50 * MILLISECOND), SHOAL_BUSY);
    CHECK(shoal_clock_mono_ns() - begin >= 50 * MILLISECOND && shoal_clock_mono_ns() - begin < 5 * SECOND);
    table_end(head);
    shard_unlock(a, 0);
    CHECK_STATUS(shoal_get(r, &ns, "k", 1, NULL, 0, 0, &meta, 0), SHOAL_OK);
    shoal_close(r);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(every_write_is_refused);
    RUN(reading_changes_no_byte);
    RUN(a_reader_keeps_the_arena_alive);
    RUN(a_reader_reads_beside_writers);
    RUN(a_reader_reads_beside_a_dead_writers_lock);
    RUN(a_reader_reads_what_a_dead_writer_had_half_overwritten);
    RUN(a_reader_waits_for_a_living_writer);
    return check_report();
}

int main(void) { return fixture_main(tests); }
