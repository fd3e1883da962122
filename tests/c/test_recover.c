/* Recovery: what a dead owner leaves is repaired from what the table reaches, once or ten times over. The states a dead
 * one can leave at each of its steps are made by test_death; here they are made by hand, one at a time. */
#include "fixture.h"
#include "process.h"
#include "recover.h"
#include "room.h"

#define KEYS 500u
#define LARGE ((size_t)60000)

/* Somebody died holding the shard's lock. */
static void kill_owner(shoal_arena *a, uint32_t s) { a->shards[s].lock.word = LOCK_OWNER_MASK; }

static void fill(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(put_pattern(a, ns, numbered("k", i), i, i % 50 == 0 ? LARGE : i, i % 2), SHOAL_OK);
}

static void check_filled(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(get_pattern(a, ns, numbered("k", i), i, i % 50 == 0 ? LARGE : i), SHOAL_OK);
    CHECK_EQ(count_of(a, ns), (uint64_t)KEYS);
}

static void touch_all_shards(shoal_arena *a)
{
    for (uint32_t s = 0; s < a->nshards; s++) {
        waiting w = {.wait = WAIT};
        CHECK_STATUS(shard_lock(a, s, &w), SHOAL_OK);
        shard_unlock(a, s);
    }
}

static void whatever_is_derived_is_made_anew(void)
{
    shoal_arena *a = arena_new("derived", 64 * MIB);
    shoal_namespace ns = ns_default(a), limited = ns_open(a, "limited", 0, 1000, 0), timed = ns_open(a, "timed", 1000 * SECOND, 0, 0);
    fill(a, &ns);
    fill(a, &limited);
    fill(a, &timed);
    uint64_t used = stats_of(a).used;
    for (int damage = 0; damage < 8; damage++) {
        for (uint32_t s = 0; s < a->nshards; s++) {
            shard *sh = &a->shards[s];
            kill_owner(a, s);
            switch (damage) {
            case 0: break;
            case 1: memset(sh->classes, 0x5A, sizeof sh->classes); break;
            case 2: sh->entries = 1u << 30, sh->chained = 77; break;
            case 3: memset(head_of(a, ns.id, s), 0x3C, sizeof(namespace_head)); break;
            case 4: list_init(head_of(a, limited.id, s)), a->records[limited.id].total = 3; break;
            case 5: head_of(a, timed.id, s)->due = ~0ull; break;
            case 6: sh->version = 0; break;
            default:
                for (uint64_t i = 0; i < sh->nbuckets; i++) /* all in the middle of a change */
                    table_begin(bucket_at(a, sh, i));
            }
        }
        touch_all_shards(a);
        CHECK_SOUND(a);
        CHECK_EQ(stats_of(a).used, used);
    }
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    check_filled(a, &ns);
    check_filled(a, &limited);
    check_filled(a, &timed);
    CHECK_EQ(stats_of(a).recoveries, 8u * a->nshards);
    ARENA_END(a);
}

static void versions_do_not_fall_back(void)
{
    shoal_arena *a = arena_new("version", MIB);
    shoal_namespace ns = ns_default(a);
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        REQUIRE(put(a, &ns, "k", "v") == SHOAL_OK);
        uint64_t version = stat_of(a, &ns, "k").version;
        CHECK(version > last);
        last = version;
        REQUIRE(del(a, &ns, "k") == SHOAL_OK); /* nothing in the table remembers it */
        kill_owner(a, 0);
    }
    ARENA_END(a);
}

/* Died between publishing the copies of a split and clearing the old chain: doubles, all of them right. */
static void a_split_left_half_done_is_finished(void)
{
    shoal_arena *a = arena_new("split", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    fill(a, &ns);
    shard *sh = &a->shards[0];
    for (int round = 0; round < 20; round++) {
        uint64_t n = sh->nbuckets, level = 1ull << (63 - __builtin_clzll(n));
        waiting w = {.wait = WAIT};
        REQUIRE(shard_lock(a, 0, &w) == SHOAL_OK);
        uint64_t entries = sh->entries; /* grow once whatever the load, then put the old slots back */
        bucket *old = bucket_at(a, sh, n - level), before = *old;
        sh->entries = 1u << 30;
        table_grow(a, 0, &w);
        sh->entries = entries;
        REQUIRE(sh->nbuckets == n + 1);
        if (round % 2 && (before.word & OVERFLOW_MASK) == (old->word & OVERFLOW_MASK))
            memcpy(old->slots, before.slots, sizeof old->slots);
        if (round % 3)
            table_begin(old);
        kill_owner(a, 0);
        check_filled(a, &ns);
        CHECK_SOUND(a);
    }
    ARENA_END(a);
}

/* Entries and runs that nothing reaches any more, or not yet: blocks, overflow buckets, large runs, table runs. */
static void what_nothing_reaches_is_freed(void)
{
    shoal_arena *a = arena_new("lost", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    fill(a, &ns);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    uint64_t used = stats_of(a).used, ref, page;
    for (uint32_t s = 0; s < a->nshards; s++) {
        waiting w = {.wait = WAIT};
        REQUIRE(shard_lock(a, s, &w) == SHOAL_OK);
        for (int i = 0; i < 30; i++) { /* with free runs of both kinds between them, that merge with them */
            REQUIRE(slab_take(a, s, 64 + (uint64_t)i * 700, &ref, &w) == SHOAL_OK);
            REQUIRE(slab_take(a, s, SLAB_BLOCK_MAX + 1 + (uint64_t)i * 1000, &ref, &w) == SHOAL_OK);
            REQUIRE(pages_take(a, 1 + (uint64_t)i % 5, PAGE_TABLE, s, &page, &w) == SHOAL_OK);
        }
        a->shards[s].lock.word = LOCK_OWNER_MASK;
    }
    touch_all_shards(a);
    CHECK_SOUND(a);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).used, used);
    check_filled(a, &ns);
    ARENA_END(a);
}

/* While one shard is recovered, processes work in the others and cut and merge the page map under its walk. */
static void recovery_runs_beside_writers(void)
{
    shoal_arena *a = arena_new("beside", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pids[2];
    fill(a, &ns);
    for (uint64_t p = 0; p < 2; p++)
        if ((pids[p] = fork_child()) == 0) {
            uint64_t seed = p + 1;
            shoal_after_fork(a);
            for (;;) {
                char key[24];
                snprintf(key, sizeof key, "w%u-%u", (unsigned)p, (unsigned)(random_next(&seed) % 40));
                size_t size = random_next(&seed) % 200000;
                shoal_status status = put_pattern(a, &ns, key, size, size, false);
                REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_FULL_ARENA);
                REQUIRE_CHILD(status != SHOAL_OK || get_pattern(a, &ns, key, size, size) == SHOAL_OK);
            }
        }
    int64_t end = shoal_clock_mono_ns() + SECOND;
    for (uint32_t i = 0; shoal_clock_mono_ns() < end; i++) {
        bool dead;
        waiting w = {.wait = WAIT};
        uint32_t s = i % a->nshards;
        REQUIRE(lock_take(a, &a->shards[s].lock, &w, &dead) == SHOAL_OK);
        REQUIRE(recover_shard(a, s, SECOND) == SHOAL_OK);
        shard_unlock(a, s);
        if (i % 40 == 0)
            REQUIRE(arena_verify(a) == SHOAL_OK);
    }
    for (int p = 0; p < 2; p++) {
        int status;
        CHECK(kill(pids[p], 0) == 0 && waitpid(pids[p], &status, WNOHANG) == 0); /* nothing went wrong in it */
        kill(pids[p], SIGKILL);
        waitpid(pids[p], NULL, 0);
    }
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, i % 50 == 0 ? LARGE : i), SHOAL_OK);
    ARENA_END(a);
}

static void a_dead_count_lock_is_counted_anew(void)
{
    shoal_arena *a = arena_new("count", 64 * MIB);
    shoal_namespace ns = ns_open(a, "space", 0, KEYS, 0);
    fill(a, &ns);
    a->records[ns.id].total = 5;
    a->records[ns.id].count_lock.word = LOCK_OWNER_MASK;
    CHECK_STATUS(put(a, &ns, "one more", "v"), SHOAL_FULL_KEYS);
    CHECK_EQ(a->records[ns.id].total, (uint64_t)KEYS);
    ARENA_END(a);
}

/* What no write leaves is not recovered but reported, by everybody, and readers of sound buckets go on. */
static void a_table_that_is_nonsense_is_reported_and_stays_locked(void)
{
    shoal_arena *a = arena_new("nonsense", MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put(a, &ns, "good", "value") == SHOAL_OK);
    uint64_t n = a->shards[0].nbuckets;
    a->shards[0].nbuckets = BUCKETS_MAX + 5;
    kill_owner(a, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(put(a, &ns, "other", "v"), SHOAL_CORRUPT);
        CHECK(shoal_detail(a)[0] != '\0');
        CHECK_STATUS(del(a, &ns, "good"), SHOAL_CORRUPT);
    }
    a->shards[0].nbuckets = n; /* (it heals) */
    CHECK_TEXT(get_text(a, &ns, "good"), "value");
    CHECK_STATUS(put(a, &ns, "other", "v"), SHOAL_OK);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(whatever_is_derived_is_made_anew);
    RUN(versions_do_not_fall_back);
    RUN(a_split_left_half_done_is_finished);
    RUN(what_nothing_reaches_is_freed);
    RUN(recovery_runs_beside_writers);
    RUN(a_dead_count_lock_is_counted_anew);
    RUN(a_table_that_is_nonsense_is_reported_and_stays_locked);
    return check_report();
}

int main(void) { return fixture_main(tests); }
