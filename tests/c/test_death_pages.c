/* Death at every instruction while memory changes hands: runs of pages are merged, taken and given back, a table grows into used ones,
 * the dead's pins and places are collected, a recovery dies, and the recovery of that. */
#define STATES 24u
#define STRIDE 50u
#define RECOVERIES 40u
#include "death.h"
#include "paths.h"
#include "slab.h"
#include "table.h"

#ifdef DEATH

static const char *whale(unsigned i) { return numbered("whale", i); }
static uint8_t nines[90000]; /* the pattern of seed 9: a child that is stepped does not fill one */
static void put_nines(shoal_arena *a, const shoal_namespace *ns, const char *key, size_t size) { put_bytes(a, ns, key, nines, size); }

/* ---- runs */

/* Nine neighbours; free ones lie between and beside the others, in several bins. */
static void scatter(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 9; i++)
        CHECK_STATUS(put_pattern(a, ns, whale(i), i, LARGE + i % 3 * 8192, false), SHOAL_OK);
    for (unsigned i = 0; i < 8; i += 2)
        CHECK_STATUS(del(a, ns, whale(i)), SHOAL_OK);
}
static void merge_and_take(shoal_arena *a, const shoal_namespace *ns)
{
    put_nines(a, ns, "small", LARGE); /* of two in one bin */
    del(a, ns, whale(5));             /* between two free ones */
    put_nines(a, ns, "big", 60000);
    del(a, ns, whale(3));
    del(a, ns, whale(1));
    put_nines(a, ns, "bigger", sizeof nines);
}
static void whales(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_status status;
    CHECK_STATUS(get_pattern(a, ns, whale(7), 7, LARGE + 8192), SHOAL_OK);
    status = get_pattern(a, ns, "big", 9, 60000);
    CHECK(status == SHOAL_OK || (!done && status == SHOAL_MISS));
    status = get_pattern(a, ns, "bigger", 9, sizeof nines);
    CHECK(status == SHOAL_OK || (!done && status == SHOAL_MISS));
    status = get_pattern(a, ns, whale(3), 3, LARGE);
    CHECK(status == SHOAL_MISS || (!done && status == SHOAL_OK));
}
static void merging_runs(void) { walk(&(scenario){scatter, merge_and_take, whales}); }

/* Two free runs of one length, neighbours of none: whoever takes the first of their bin makes the other the first. */
static void free_two_alike(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 5; i++)
        CHECK_STATUS(put_pattern(a, ns, whale(i), i, LARGE, false), SHOAL_OK);
    for (unsigned i = 1; i < 5; i += 2)
        CHECK_STATUS(del(a, ns, whale(i)), SHOAL_OK);
}
static void put_key(shoal_arena *a, const shoal_namespace *ns) { put_nines(a, ns, "key", LARGE); }
static void others_and_key(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    for (unsigned i = 0; i < 5; i += 2)
        CHECK_STATUS(get_pattern(a, ns, whale(i), i, LARGE), SHOAL_OK);
    shoal_status status = get_pattern(a, ns, "key", 9, LARGE);
    CHECK(status == SHOAL_OK || (!done && status == SHOAL_MISS));
}
static void taking_one_of_two(void) { walk(&(scenario){free_two_alike, put_key, others_and_key}); }

/* So large that new pages are written through the file, or would be, if the process might write that far. */
static uint8_t many_nines[270000];
static void put_through_file(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_put_args args = {.head = many_nines, .head_size = 8, .body = many_nines + 8, .body_size = sizeof many_nines - 8};
    shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
}
static void put_within_limits(shoal_arena *a, const shoal_namespace *ns)
{
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){PAGE_SIZE, RLIM_INFINITY});
    put_through_file(a, ns);
}
static void absent_or_nines(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_status status = get_pattern(a, ns, "key", 9, sizeof many_nines);
    CHECK(status == SHOAL_OK || (!done && status == SHOAL_MISS));
}
static void writing_through_the_file(void)
{
    walk(&(scenario){nothing, put_through_file, absent_or_nines});
    walk(&(scenario){nothing, put_within_limits, absent_or_nines});
}

/* As who dies in the middle of taking a part of a free run leaves it: in two, which lie in no bin. */
static void cut_a_free_run(shoal_arena *a, const shoal_namespace *ns)
{
    uint64_t state = 0, page = 0, frontier;
    scatter(a, ns);
    frontier = a->header->frontier;
    while (page < frontier && page_walk(a, page, frontier, &state) && (page_kind(state) != PAGE_FREE || page_length(state) < 5))
        page += page_length(state);
    CHECK(page < frontier);
    a->map[page + 2].state = page_state(PAGE_FREE, page_flags(state), 0, page_length(state) - 2);
    a->map[page].state = page_state(PAGE_FREE, page_flags(state), 0, 2);
    a->header->used += 3;
    a->header->page_lock.word = LOCK_OWNER_MASK;
}
static void mending_the_bins(void) { walk(&(scenario){cut_a_free_run, merge_and_take, whales}); }

/* Somebody alive has the page lock: what is freed waits, until it is to be had. */
static void hold_the_pages(shoal_arena *a, const shoal_namespace *ns)
{
    scatter(a, ns);
    a->header->page_lock.word = a->lock_word;
}
static void free_later(shoal_arena *a, const shoal_namespace *ns)
{
    del(a, ns, whale(3));
    del(a, ns, whale(5));
    a->header->page_lock.word = 0;
    shoal_sweep(a, WAIT);
}
static void whale_7(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_STATUS(get_pattern(a, ns, whale(7), 7, LARGE + 8192), SHOAL_OK);
    CHECK(!done || get_pattern(a, ns, whale(3), 3, LARGE) == SHOAL_MISS);
}
static void freeing_later(void) { walk(&(scenario){hold_the_pages, free_later, whale_7}); }

/* ---- memory given back */

/* Three runs and more of a class, most of whose blocks are free; one of the runs is still being filled. */
static void empty_runs(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 30; i++)
        CHECK_STATUS(put_pattern(a, ns, numbered("s", i), i, 1700, false), SHOAL_OK);
    for (unsigned i = 1; i < 30; i++)
        CHECK_STATUS(del(a, ns, numbered("s", i)), SHOAL_OK);
}
static void give_back(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    shoal_sweep(a, WAIT);
}
static void first_is_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_STATUS(get_pattern(a, ns, "s0", 0, 1700), SHOAL_OK);
}
static void giving_runs_back(void) { walk(&(scenario){empty_runs, give_back, first_is_there}); }

/* So many blocks are freed that the free itself looks for empty runs; in vain, for others have the page lock; then not. */
static void nearly_trimmed(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 60; i++)
        CHECK_STATUS(put_pattern(a, ns, numbered("s", i), i, 1700, false), SHOAL_OK);
    for (unsigned i = 1; i < 41; i++)
        CHECK_STATUS(del(a, ns, numbered("s", i)), SHOAL_OK);
}
static void free_more(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 41; i < 46; i++)
        del(a, ns, numbered("s", i));
    for (unsigned i = 1; i < 8; i++)
        put_nines(a, ns, numbered("s", i), 1700);
}
static void trimming(void) { walk(&(scenario){nearly_trimmed, free_more, first_is_there}); }

/* ---- a table grows */

/* Bytes that were a large value's lie where the next segment goes. */
static void before_a_segment(shoal_arena *a, const shoal_namespace *ns)
{
    shard *sh = &a->shards[0];
    unsigned fills = 0;
    while (sh->nbuckets < SEGMENT_BUCKETS || (sh->entries + 1) * 100 <= sh->nbuckets * BUCKET_SLOTS * LOAD_PERCENT)
        CHECK_STATUS(put(a, ns, numbered("fill", fills++), "x"), SHOAL_OK);
    CHECK_EQ(sh->nbuckets, SEGMENT_BUCKETS);
    for (unsigned i = 0; i < 2; i++)
        CHECK_STATUS(put_pattern(a, ns, whale(i), i, 500000 - i * 480000, false), SHOAL_OK);
    CHECK_STATUS(del(a, ns, whale(0)), SHOAL_OK);
}
static void put_five(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 5; i++)
        put(a, ns, numbered("key", i), "new");
}
static void fills_are_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    for (unsigned i = 0; i < 1000; i += 77)
        CHECK_TEXT(get_text(a, ns, numbered("fill", i)), "x");
    CHECK(!done || strcmp(get_text(a, ns, "key4"), "new") == 0);
}
static void adding_a_segment(void) { walk(&(scenario){before_a_segment, put_five, fills_are_there}); }

/* More entries move into the new bucket than one holds. */
static void before_a_long_split(shoal_arena *a, const shoal_namespace *ns)
{
    shard *sh = &a->shards[0];
    unsigned fills = 0, movers = 0;
    while (sh->nbuckets < 40)
        CHECK_STATUS(put(a, ns, numbered("fill", fills++), "x"), SHOAL_OK);
    uint64_t n = sh->nbuckets;
    for (unsigned i = 0; movers < 9; i++) {
        const char *name = numbered("m", i);
        if (bucket_index(tag_of(hash_key(a->secret, ns->uid, name, strlen(name)) >> 8), n + 1) != n)
            continue;
        CHECK_STATUS(del(a, ns, numbered("fill", movers)), SHOAL_OK); /* so that it does not split yet */
        CHECK_STATUS(put(a, ns, name, "moves"), SHOAL_OK);
        movers++;
    }
    CHECK_EQ(sh->nbuckets, n);
    while ((sh->entries + 1) * 100 <= n * BUCKET_SLOTS * LOAD_PERCENT && sh->nbuckets == n)
        CHECK_STATUS(put(a, ns, numbered("fill", fills++), "x"), SHOAL_OK);
    CHECK_EQ(sh->nbuckets, n);
}
static void movers_are_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_EQ(keys_of(a, ns, "m"), 9u);
    CHECK(!done || strcmp(get_text(a, ns, "key4"), "new") == 0);
}
static void splitting_a_long_chain(void) { walk(&(scenario){before_a_long_split, put_five, movers_are_there}); }

/* An overflow bucket in a block that had other bytes. */
static void before_a_chain(shoal_arena *a, const shoal_namespace *ns)
{
    uint64_t wanted = hash_key(a->secret, ns->uid, "key", 3) >> 8 & 0xFF;
    unsigned i = 0;
    for (unsigned found = 0; found < 14; i++) {
        const char *name = numbered("c", i);
        if ((hash_key(a->secret, ns->uid, name, strlen(name)) >> 8 & 0xFF) == wanted) {
            CHECK_STATUS(put(a, ns, name, "chained"), SHOAL_OK);
            found++;
        }
    }
    CHECK_STATUS(put(a, ns, "x", "xxxxxxxxxxxxxxxxxxxxxxxx"), SHOAL_OK);
    CHECK_STATUS(del(a, ns, "x"), SHOAL_OK);
}
static void put_key_and_more(shoal_arena *a, const shoal_namespace *ns)
{
    put(a, ns, "key", "new");
    put_five(a, ns);
}
static void chained_are_there(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_EQ(keys_of(a, ns, "c"), 14u);
    CHECK(!done || strcmp(get_text(a, ns, "key"), "new") == 0);
}
static void lengthening_a_chain(void) { walk(&(scenario){before_a_chain, put_key_and_more, chained_are_there}); }

/* ---- what the dead had */

/* Views beyond the records of a slot, a pin that waits to be dropped, a memory of its run. */
static void die_pinning(shoal_arena *a, const shoal_namespace *ns)
{
    CHECK_STATUS(put_pattern(a, ns, "key", 1, LARGE, false), SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        arena_attach("death", 'w'); /* whoever comes next gets the place of this one */
        shoal_arena *mine = arena_attach("death", 'w');
        shoal_namespace home = ns_default(mine), runs;
        shoal_pin pin;
        char name[32];
        uint32_t slot, generation;
        for (unsigned i = 0; i < 3; i++)
            REQUIRE_CHILD(shoal_view_take(mine, &home, "key", 3, &pin, WAIT) == SHOAL_OK);
        mine->pins.end = mine->pins.room = PIN_RECORDS; /* the others count as taken */
        for (unsigned i = 0; i < 2; i++)
            REQUIRE_CHILD(shoal_view_take(mine, &home, "key", 3, &pin, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(shoal_runs_open(mine, &home, true, &runs, WAIT) == SHOAL_OK && shoal_process(mine, &slot, &generation) == SHOAL_OK);
        snprintf(name, sizeof name, "%u-%u.field", slot, generation);
        REQUIRE_CHILD(set(mine, &runs, name, "v") == SHOAL_OK && del(mine, &home, "key") == SHOAL_OK);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    CHECK_EQ(stats_of(a).pinned_bytes, (LARGE / PAGE_SIZE + 1) * PAGE_SIZE);
}
static void collect_pins(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    shoal_reap(a, WAIT);
}
static void nothing_pinned(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace runs;
    CHECK_TEXT(get_text(a, ns, "key"), "(miss)");
    CHECK_STATUS(shoal_runs_open(a, ns, false, &runs, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    CHECK_TEXT(fields(a, &runs, ""), "");
    (void)done;
}
static void collecting_pins(void) { walk(&(scenario){die_pinning, collect_pins, nothing_pinned}); }

/* The records in the slot count as taken: the pin needs a segment, and what lies there was a value's. */
static void fragments(shoal_arena *a, const shoal_namespace *ns)
{
    CHECK_STATUS(put_pattern(a, ns, "huge", 1, 600000, false), SHOAL_OK); /* no page is as it was made */
    CHECK_STATUS(del(a, ns, "huge"), SHOAL_OK);
    scatter(a, ns);
    CHECK_STATUS(put_pattern(a, ns, "key", 1, LARGE, false), SHOAL_OK);
}
static void pin_in_used_pages(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    a->pins.end = a->pins.room = PIN_RECORDS;
    if (shoal_pin_take(a, ns, "key", 3, &pin, WAIT) == SHOAL_OK)
        shoal_unpin(a, &pin);
}
static void key_and_whale(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_STATUS(get_pattern(a, ns, "key", 1, LARGE), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, ns, whale(7), 7, LARGE + 8192), SHOAL_OK);
}
static void pinning_in_used_pages(void) { walk(&(scenario){fragments, pin_in_used_pages, key_and_whale}); }

/* Who has the shard's lock does not let go of it in time: the pin is left, and dropped by a later call. */
static void pin_is_left(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    if (shoal_view_take(a, ns, "key", 3, &pin, WAIT) != SHOAL_OK)
        return;
    a->shards[0].lock.word = 1ull << 32 | 1; /* our parent's */
    shoal_unpin(a, &pin);
    a->shards[0].lock.word = 0;
    put_nines(a, ns, "key", LARGE);
}
static void put_key_large(shoal_arena *a, const shoal_namespace *ns)
{
    CHECK_EQ(a->lock_word, 1ull << 32 | 1);
    CHECK_STATUS(put_pattern(a, ns, "key", 1, LARGE, false), SHOAL_OK);
}
static void one_or_two(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK(get_pattern(a, ns, "key", 9, LARGE) == SHOAL_OK || (!done && get_pattern(a, ns, "key", 1, LARGE) == SHOAL_OK));
}
static void leaving_a_pin(void) { walk(&(scenario){put_key_large, pin_is_left, one_or_two}); }

/* ---- recoveries that die, one in another */

static bool pages_are_locked(const shoal_arena *a) { return a->header->page_lock.word != 0; }
static shoal_namespace limited(shoal_arena *a) { return ns_open(a, "limited", 0, 50, SHOAL_EVICT_SIEVE); }
static bool count_is_locked(const shoal_arena *a) { return a->records[1].count_lock.word != 0; }
static bool table_has_grown(const shoal_arena *a) { return shard_is_locked(a) && a->shards[0].nbuckets == 41; }

static void put_timed_and_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    CHECK_STATUS(put(a, &other, "one", "v"), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &other, "two", "v", 1000 * SECOND), SHOAL_OK);
}
static void put_three(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    put(a, &other, "three", "v");
}
static void two_or_three(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other = limited(a);
    (void)ns, (void)done;
    uint64_t count = count_of(a, &other);
    CHECK(count == 2 || count == 3);
    CHECK_EQ(keys_of(a, &other, ""), count);
}
static void recovering(void)
{
    walk_recoveries(&(scenario){scatter, put_key, whale_7}, pages_are_locked, 4, 0);
    walk_recoveries(&(scenario){before_a_long_split, put_five, movers_are_there}, table_has_grown, 2, 0);
    if (places_met) /* it takes long, and is like these: `make killed` walks it, too */
        walk_recoveries(&(scenario){put_timed_and_limited, put_three, two_or_three}, count_is_locked, 3, 0);
}

static void recovering_from_a_recovery(void)
{
    static const unsigned again[] = {40, 3, 120, 260};
    for (unsigned i = 0; i < (places_met ? sizeof again / sizeof *again : 1); i++)
        walk_recoveries(&(scenario){scatter, put_key, whale_7}, shard_is_locked, 12, again[i]);
    if (places_met)
        walk_recoveries(&(scenario){before_a_long_split, put_five, movers_are_there}, table_has_grown, 2, 12);
}

static int tests(void)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("so many single steps take too long with the address sanitizer");
    check_passed++;
    return check_report();
#endif
    pattern_fill(nines, 9, sizeof nines);
    pattern_fill(many_nines, 9, sizeof many_nines);
    RUN(merging_runs);
    RUN(taking_one_of_two);
    RUN(writing_through_the_file);
    RUN(mending_the_bins);
    RUN(freeing_later);
    RUN(giving_runs_back);
    RUN(trimming);
    RUN(adding_a_segment);
    RUN(splitting_a_long_chain);
    RUN(lengthening_a_chain);
    RUN(collecting_pins);
    RUN(pinning_in_used_pages);
    RUN(leaving_a_pin);
    RUN(recovering);
    RUN(recovering_from_a_recovery);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
