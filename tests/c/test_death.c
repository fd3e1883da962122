/* Death at every instruction of what changes keys. */
#include "death.h"

#ifdef DEATH
/* ---- what is done */

static void check_either(shoal_arena *a, const shoal_namespace *ns, bool done, const char *old, const char *new)
{
    const char *got = get_text(a, ns, "key");
    if (strcmp(got, new) != 0 && (done || strcmp(got, old) != 0))
        check_fail(__FILE__, __LINE__, "key: \"%s\" is neither \"%s\" nor \"%s\"%s", got, old, new, done ? " (done)" : "");
}

static void put_new(shoal_arena *a, const shoal_namespace *ns) { put(a, ns, "key", "new"); }
static void put_old(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "old"), SHOAL_OK); }
static void delete_key(shoal_arena *a, const shoal_namespace *ns) { del(a, ns, "key"); }
static void absent_or_new(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "(miss)", "new"); }
static void old_or_new(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "old", "new"); }
static void old_or_absent(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "old", "(miss)"); }

/* Written twice: it has all that its header will ever need, and is overwritten where it lies. */
static void put_twice(shoal_arena *a, const shoal_namespace *ns)
{
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(put(a, ns, "key", "much longer"), SHOAL_OK);
}
static void put_shorter(shoal_arena *a, const shoal_namespace *ns) { put(a, ns, "key", "longer"); }
static void long_or_short(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "much longer", "longer"); }
static void put_timed_twice(shoal_arena *a, const shoal_namespace *ns)
{
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(put_ttl(a, ns, "key", "old", 1000 * SECOND), SHOAL_OK);
}
static void put_new_timed(shoal_arena *a, const shoal_namespace *ns) { put_ttl(a, ns, "key", "new", 3000 * SECOND); }
static void old_or_new_each_with_its_time(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    old_or_new(a, ns, done);
    int64_t left = stat_of(a, ns, "key").expires_ns - shoal_clock_mono_ns();
    CHECK((left > 2000 * SECOND) == (strcmp(get_text(a, ns, "key"), "new") == 0));
}

static void inserting(void) { walk(&(scenario){nothing, put_new, absent_or_new}); }
static void replacing(void) { walk(&(scenario){put_old, put_new, old_or_new}); }
static void overwriting(void) { walk(&(scenario){put_twice, put_shorter, long_or_short}); }
static void overwriting_with_a_time(void) { walk(&(scenario){put_timed_twice, put_new_timed, old_or_new_each_with_its_time}); }
static void deleting(void) { walk(&(scenario){put_old, delete_key, old_or_absent}); }

/* A chain of overflow buckets, all keys of one bucket; "key" is among them at the end. */
static void make_chain(shoal_arena *a, const shoal_namespace *ns)
{
    uint64_t wanted = hash_key(a->secret, ns->uid, "key", 3) >> 8 & 0xFF;
    unsigned number = 0;
    for (int i = 0; i < 15; number++) {
        const char *name = numbered("c", number);
        if ((hash_key(a->secret, ns->uid, name, strlen(name)) >> 8 & 0xFF) == wanted) {
            CHECK_STATUS(put(a, ns, name, "chained"), SHOAL_OK);
            i++;
        }
    }
    while (a->shards[0].entries * 100 + 100 > a->shards[0].nbuckets * BUCKET_SLOTS * LOAD_PERCENT) /* no split in the next insert */
        CHECK_STATUS(put(a, ns, numbered("split", number++), "x"), SHOAL_OK);
    CHECK(a->shards[0].chained > 0);
}

static void make_chain_with_key(shoal_arena *a, const shoal_namespace *ns)
{
    make_chain(a, ns);
    put_old(a, ns);
}

static void inserting_into_a_chain(void) { walk(&(scenario){make_chain, put_new, absent_or_new}); }
static void deleting_from_a_chain(void) { walk(&(scenario){make_chain_with_key, delete_key, old_or_absent}); }

static uint64_t index_of(shoal_arena *a, const shoal_namespace *ns, const char *name)
{
    return bucket_index(tag_of(hash_key(a->secret, ns->uid, name, strlen(name)) >> 8), a->shards[0].nbuckets);
}

/* The next insert splits a bucket, and that bucket is one with a chain: enough keys of other buckets are exchanged for
 * keys of that one. */
static void fill_before_split(shoal_arena *a, const shoal_namespace *ns)
{
    shard *sh = &a->shards[0];
    unsigned fills = 0, gone = 0;
    while (sh->nbuckets < 40 || (sh->entries + 1) * 100 <= sh->nbuckets * BUCKET_SLOTS * LOAD_PERCENT)
        CHECK_STATUS(put(a, ns, numbered("fill", fills++), "x"), SHOAL_OK);
    uint64_t target = sh->nbuckets - (1ull << (63 - __builtin_clzll(sh->nbuckets)));
    for (unsigned number = 0; bucket_at(a, sh, target)->word % SEQ_ONE == 0 && gone < fills; number++) {
        if (index_of(a, ns, numbered("c", number)) != target)
            continue;
        while (gone < fills && index_of(a, ns, numbered("fill", gone)) == target)
            gone++;
        CHECK_STATUS(del(a, ns, numbered("fill", gone++)), SHOAL_OK);
        CHECK_STATUS(put(a, ns, numbered("c", number), "chained"), SHOAL_OK);
    }
    CHECK(bucket_at(a, sh, target)->word % SEQ_ONE != 0);
}

static void split_if_new(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    absent_or_new(a, ns, done);
    CHECK(!done || a->shards[0].nbuckets > 40);
}
static void splitting(void) { walk(&(scenario){fill_before_split, put_new, split_if_new}); }

/* ---- large values */

static void put_large_old(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put_pattern(a, ns, "key", 1, LARGE, false), SHOAL_OK); }
static uint8_t large_new[LARGE + 5000]; /* filled by tests(): that is no part of the operation */
static void put_large_new(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_put_args args = {.head = large_new, .head_size = sizeof large_new, .align = true};
    shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
}
static void large_old_or_new(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK(get_pattern(a, ns, "key", 2, LARGE + 5000) == SHOAL_OK || (!done && get_pattern(a, ns, "key", 1, LARGE) == SHOAL_OK));
}
static void large_old_or_absent(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_status status = get_pattern(a, ns, "key", 1, LARGE);
    CHECK(status == SHOAL_MISS || (!done && status == SHOAL_OK));
}
static void replacing_a_large_value(void) { walk(&(scenario){put_large_old, put_large_new, large_old_or_new}); }
static void deleting_a_large_value(void) { walk(&(scenario){put_large_old, delete_key, large_old_or_absent}); }

static void pin_delete_unpin(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    if (shoal_pin_take(a, ns, "key", 3, &pin, WAIT) == SHOAL_OK) {
        del(a, ns, "key");
        shoal_unpin(a, &pin);
    }
}
static void deleting_what_is_pinned(void) { walk(&(scenario){put_large_old, pin_delete_unpin, large_old_or_absent}); }

static void draft_and_publish(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_draft d;
    if (shoal_draft_begin(a, ns, "key", 3, LARGE + 5000, &d, WAIT) != SHOAL_OK)
        return;
    memcpy(d.data, large_new, LARGE + 5000);
    shoal_put_args args = {.ttl = SHOAL_TTL_NEVER};
    shoal_draft_publish(a, ns, "key", 3, &d, &args, NULL, WAIT);
    shoal_unpin(a, &d.pin);
}
static void publishing_a_draft(void) { walk(&(scenario){put_large_old, draft_and_publish, large_old_or_new}); }

/* The records in the slot count as taken: the pin needs a segment, which goes when the process leaves. */
static void pin_in_a_new_segment(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    a->pins.end = a->pins.room = PIN_RECORDS;
    if (shoal_pin_take(a, ns, "key", 3, &pin, WAIT) == SHOAL_OK)
        shoal_unpin(a, &pin);
    process_leave(a);
}
static void large_old(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_STATUS(get_pattern(a, ns, "key", 1, LARGE), SHOAL_OK);
}
static void growing_the_pin_records(void) { walk(&(scenario){put_large_old, pin_in_a_new_segment, large_old}); }

/* ---- numbers and times */

static void put_number(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "\x05"), SHOAL_OK); }
static void add_200(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_number by = {.i = 200}, zero = {0}, sum;
    shoal_incr(a, ns, "key", 3, &by, &zero, SHOAL_TTL_KEEP, &sum, WAIT);
}
static void five_or_205(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "\x05", "\xCC\xCD"); }
static void counting(void) { walk(&(scenario){put_number, add_200, five_or_205}); }

static void touch_key(shoal_arena *a, const shoal_namespace *ns) { shoal_touch(a, ns, "key", 3, 1000 * SECOND, WAIT); }
static void old_and_maybe_timed(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK(!done || stat_of(a, ns, "key").expires_ns != 0);
}
static void touching(void) { walk(&(scenario){put_old, touch_key, old_and_maybe_timed}); }

static void put_expired(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 6; i++)
        CHECK_STATUS(put_ttl(a, ns, numbered("expired", i), "x", 1), SHOAL_OK);
    put_old(a, ns);
}
static void sweep(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    shoal_sweep(a, WAIT);
}
static void old_and_nothing_expired(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK_EQ(keys_of(a, ns, "expired"), 0u);
}
static void sweeping(void) { walk(&(scenario){put_expired, sweep, old_and_nothing_expired}); }

/* ---- namespaces */

static shoal_namespace limited(shoal_arena *a) { return ns_open(a, "limited", 0, 4, SHOAL_EVICT_SIEVE); }

static void fill_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    put_old(a, ns);
    for (unsigned i = 0; i < 4; i++)
        CHECK_STATUS(put(a, &other, numbered("k", i), "v"), SHOAL_OK);
}
static void evict_one(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    put(a, &other, "k4", "v");
}
static void three_or_four(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other = limited(a);
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    uint64_t count = count_of(a, &other);
    CHECK(count == 4 || (!done && count == 3));
    CHECK_EQ(keys_of(a, &other, "k"), count);
    CHECK(!done || strcmp(get_text(a, &other, "k4"), "v") == 0);
}
static void evicting(void) { walk(&(scenario){fill_limited, evict_one, three_or_four}); }

static void drop_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    shoal_namespace_drop(a, &other, WAIT);
}
static void made_again(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    if (shoal_namespace_open(a, "limited", 7, false, NULL, &other, WAIT) == SHOAL_OK) {
        CHECK(!done);
        CHECK(count_of(a, &other) == 4);
        return;
    }
    other = ns_open(a, "other", 0, 0, 0); /* finishes what the dead one began */
    CHECK_EQ(count_of(a, &other), 0u);
    CHECK_EQ(keys_of(a, &other, ""), 0u);
    CHECK_STATUS(put(a, &other, "k1", "v"), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &other, WAIT), SHOAL_OK);
}
static void dropping_a_namespace(void) { walk(&(scenario){fill_limited, drop_limited, made_again}); }

static void make_namespace(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other;
    (void)ns;
    shoal_namespace_open(a, "fresh", 5, true, NULL, &other, WAIT);
}
static void fresh_can_be_made(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    shoal_status status = shoal_namespace_open(a, "fresh", 5, !done, NULL, &other, WAIT);
    CHECK_STATUS(status, SHOAL_OK);
    CHECK_STATUS(put(a, &other, "k", "v"), SHOAL_OK);
    CHECK_TEXT(get_text(a, &other, "k"), "v");
}
static void making_a_namespace(void) { walk(&(scenario){put_old, make_namespace, fresh_can_be_made}); }

/* The clock is advanced by nothing: a limit is switched on for what is there. */
static void set_limit(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_config config = {.max_keys = 1000};
    shoal_namespace_set_config(a, ns, &config, WAIT);
}
static void old_and_counted(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace_config config;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK_STATUS(shoal_namespace_get_config(a, ns, &config), SHOAL_OK);
    CHECK(config.max_keys == 1000 || (!done && config.max_keys == 0));
}
static void limiting(void) { walk(&(scenario){put_old, set_limit, old_and_counted}); }

#if defined(__SANITIZE_ADDRESS__)
static void recovering(void) { SKIP("single steps through a recovery take too long with the address sanitizer"); }
#else
static void old_or_large_new(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK(get_pattern(a, ns, "key", 2, LARGE + 5000) == SHOAL_OK || (!done && strcmp(get_text(a, ns, "key"), "old") == 0));
}

static bool is_overwriting(const shoal_arena *a) { return a->shards[0].undo != 0; }

static void recovering(void)
{
    walk_recoveries(&(scenario){put_twice, put_shorter, long_or_short}, is_overwriting, 4, 0);
    if (!places_met) /* the others take long, and are like this one: `make killed` walks them all */
        return;
    walk_recovery(&(scenario){put_old, put_new, old_or_new}, 20);
    walk_recovery(&(scenario){put_old, put_large_new, old_or_large_new}, 25);
}
#endif

static int tests(void)
{
    pattern_fill(large_new, 2, sizeof large_new);
    RUN(inserting);
    RUN(replacing);
    RUN(overwriting);
    RUN(overwriting_with_a_time);
    RUN(deleting);
    RUN(inserting_into_a_chain);
    RUN(deleting_from_a_chain);
    RUN(splitting);
    RUN(replacing_a_large_value);
    RUN(deleting_a_large_value);
    RUN(deleting_what_is_pinned);
    RUN(publishing_a_draft);
    RUN(growing_the_pin_records);
    RUN(counting);
    RUN(touching);
    RUN(sweeping);
    RUN(evicting);
    RUN(dropping_a_namespace);
    RUN(making_a_namespace);
    RUN(limiting);
    RUN(recovering);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
