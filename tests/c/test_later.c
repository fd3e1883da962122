/* What cannot be done now is done later: removed, evicted, freed or given back as soon as the lock is free that somebody alive held. */
#include "busy.h"

/* ---- what has expired is in the way of a call that cannot remove it */

static void what_cannot_be_swept_stays_until_it_can(void)
{
    world w;
    world_make(&w);
    shoal_lock *held = lock_of(&w, COUNT);
    expire(&w, &w.limited, "second");
    held->word = w.a->lock_word;
    for (int64_t now = os_mono_ns(); os_mono_coarse_ns() < now;) /* which is what a write asks */
        ;
    shoal_namespace_stats count;
    CHECK_STATUS(shoal_namespace_count(w.a, &w.limited, &count, 0), SHOAL_BUSY);
    CHECK_STATUS(shoal_sweep(w.a, 0), SHOAL_BUSY);
    CHECK_STATUS(limited_over(&w, 0), SHOAL_BUSY); /* each write sweeps a little */
    CHECK_TEXT(get_text(w.a, &w.limited, "second"), "(miss)"); /* and yet it is gone */
    held->word = 0;
    expire(&w, &w.limited, "first");
    held->word = w.a->lock_word;
    CHECK_STATUS(put_sized(&w, &w.limited, "first", 1, 0), SHOAL_BUSY); /* what it finds there, at the latest */
    held->word = 0;
    CHECK_STATUS(shoal_namespace_count(w.a, &w.limited, &count, 0), SHOAL_OK);
    CHECK_EQ(count.entries, 0u);
    ARENA_END(w.a);
}

static void what_cannot_be_evicted_keeps_the_new_one_out(void)
{
    world w;
    world_make(&w);
    CHECK_STATUS(put_sized(&w, &w.limited, "third", 5, WAIT), SHOAL_OK);
    CHECK_STATUS(put_sized(&w, &w.limited, "fourth", 5, WAIT), SHOAL_OK); /* somebody went */
    CHECK_EQ(count_of(w.a, &w.limited), 3u);
    shoal_lock *held = lock_of(&w, COUNT);
    held->word = w.a->lock_word;
    CHECK_STATUS(put_sized(&w, &w.limited, "fifth", 5, 0), SHOAL_BUSY);
    held->word = 0;
    CHECK_EQ(count_of(w.a, &w.limited), 3u);
    CHECK_STATUS(put_sized(&w, &w.limited, "fifth", 5, 0), SHOAL_OK);
    CHECK_EQ(count_of(w.a, &w.limited), 3u);
    ARENA_END(w.a);
}

/* The shard whose turn it is to lose an entry is not the one that is written to. */
static void another_shards_lock_keeps_an_eviction_waiting(void)
{
    shoal_arena *a = arena_new("shards", 64 * MIB);
    shoal_namespace ns = ns_open(a, "limited", 0, 20, SHOAL_EVICT_SIEVE);
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put(a, &ns, numbered("k", i), "v"), SHOAL_OK);
    uint32_t held = 0;
    while (held < a->nshards && head_of(a, ns.id, held)->count == 0)
        held++;
    lookup key = {0};
    unsigned i = 100;
    do
        CHECK_STATUS(lookup_make(a, &ns, numbered("k", i), strlen(numbered("k", i)), &key), SHOAL_OK);
    while (key.shard_index == held && i++ < 200);
    a->records[ns.id].hand = held;
    a->shards[held].lock.word = a->lock_word;
    shoal_put_args args = {.head = "v", .head_size = 1};
    CHECK_STATUS(shoal_put(a, &ns, numbered("k", i), strlen(numbered("k", i)), &args, NULL, 0), SHOAL_BUSY);
    a->shards[held].lock.word = 0;
    CHECK_STATUS(put(a, &ns, numbered("k", i), "v"), SHOAL_OK);
    CHECK_EQ(count_of(a, &ns), 20u);
    ARENA_END(a);
}

/* Room is made by evicting from a namespace whose count is held. */
static void a_full_arena_cannot_evict_what_is_counted(void)
{
    world w;
    world_make(&w);
    shoal_namespace ns = ns_open(w.a, "many", 0, 100000, SHOAL_EVICT_SIEVE);
    unsigned n = 0;
    for (size_t size = 20000; size > 20; size /= 2)
        while (put_sized(&w, &w.keys, numbered("fill", n), size, WAIT) == SHOAL_OK)
            n++;
    CHECK_STATUS(del(w.a, &w.keys, "fill0"), SHOAL_OK);
    CHECK_STATUS(put_sized(&w, &ns, "one", 10, WAIT), SHOAL_OK);
    CHECK_STATUS(put_sized(&w, &ns, "two", 10, WAIT), SHOAL_OK);
    while (put_sized(&w, &w.keys, numbered("fill", n), 500, WAIT) == SHOAL_OK)
        n++;
    shoal_lock *held = &w.a->records[ns.id].count_lock;
    held->word = w.a->lock_word;
    CHECK_STATUS(put_sized(&w, &ns, "one", 30000, 0), SHOAL_BUSY);
    held->word = 0;
    CHECK_EQ(count_of(w.a, &ns), 2u);
    ARENA_END(w.a);
}

/* ---- what is to be removed, or was begun to be, while a lock is held */

static void a_dropped_namespace_is_finished_when_it_can_be(void)
{
    for (int earlier = 0; earlier < 2; earlier++) {
        world w;
        world_make(&w);
        shoal_namespace first = ns_open(w.a, "first", 0, 0, 0), second = ns_open(w.a, "second", 0, 0, 0), ns;
        CHECK_STATUS(put(w.a, &second, "k", "v"), SHOAL_OK);
        if (earlier) /* its record is there to be used */
            CHECK_STATUS(shoal_namespace_drop(w.a, &first, WAIT), SHOAL_OK);
        shoal_lock *held = lock_of(&w, SHARD);
        held->word = w.a->lock_word;
        CHECK_STATUS(shoal_namespace_drop(w.a, &second, 0), SHOAL_BUSY);
        CHECK_STATUS(shoal_namespace_open(w.a, "third", 5, true, NULL, &ns, 0), earlier ? SHOAL_OK : SHOAL_BUSY);
        held->word = 0;
        CHECK_STATUS(shoal_namespace_drop(w.a, &(shoal_namespace){.id = second.id, .uid = 12345}, 0), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_open(w.a, "fourth", 6, true, NULL, &ns, 0), SHOAL_OK);
        CHECK_EQ(count_of(w.a, &ns), 0u);
        ARENA_END(w.a);
    }
}

static bool leaves_alone(void) /* a handle of a process that goes on */
{
    if (!os_has_claims())
        SKIP("without claims a handle that was closed counts as dead when its process is");
    return os_has_claims();
}

static void a_run_that_cannot_be_removed_is_reaped(void)
{
    world w;
    shoal_namespace runs;
    uint32_t slot, generation;
    char name[64];
    if (!leaves_alone())
        return;
    world_make(&w);
    shoal_arena *b = arena_attach("busy", 'w');
    CHECK_STATUS(shoal_runs_open(b, &w.keys, true, &runs, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_process(b, &slot, &generation), SHOAL_OK);
    snprintf(name, sizeof name, "%u-%u.seen", slot, generation);
    CHECK_STATUS(set(b, &runs, name, "v"), SHOAL_OK);
    shoal_lock *held = lock_of(&w, SHARD);
    held->word = w.a->lock_word;
    shoal_close(b);
    CHECK_STATUS(shoal_reap(w.a, 0), SHOAL_OK); /* not yet */
    held->word = 0;
    CHECK_EQ(count_of(w.a, &runs), 2u);
    arena_reap(w.a);
    CHECK_EQ(count_of(w.a, &runs), 0u);
    ARENA_END(w.a);
}

/* Trees are not limited; were one to be, every field and every object on the way would be counted. */
static void a_tree_whose_count_is_held(void)
{
    world w;
    world_make(&w);
    CHECK_STATUS(shoal_namespace_set_config(w.a, &w.tree, &(shoal_namespace_config){.max_keys = 100}, WAIT), SHOAL_OK);
    shoal_lock *held = &w.a->records[w.tree.id].count_lock;
    held->word = w.a->lock_word;
    CHECK_STATUS(shoal_delete(w.a, &w.tree, names("a.b"), 3, NULL, 0), SHOAL_BUSY);
    CHECK_STATUS(set_way(&w, 0), SHOAL_BUSY);
    CHECK_STATUS(clear_tree(&w, 0), SHOAL_BUSY);
    CHECK_TEXT(get(w.a, &w.tree, "a.b"), "deep");
    held->word = 0;
    CHECK_STATUS(put_ttl(w.a, &w.tree, names("m.timed"), "t", 1), SHOAL_OK); /* "m" is made for it, and goes with it */
    held->word = w.a->lock_word;
    CHECK_STATUS(shoal_sweep(w.a, 0), SHOAL_BUSY);
    shoal_put_args args = {.head = "t", .head_size = 1};
    CHECK_STATUS(shoal_put(w.a, &w.tree, names("m.timed"), 7, &args, NULL, 0), SHOAL_BUSY);
    held->word = 0;
    waiting wait = {.wait = WAIT};
    target t;
    place p;
    CHECK_STATUS(target_make(w.a, &w.tree, "a", 1, &t), SHOAL_OK);
    CHECK_STATUS(target_find(w.a, &t, &p), SHOAL_OK);
    CHECK_STATUS(entry_remove(w.a, 0, &p, &wait), SHOAL_OK); /* as who dies before it has freed the fields */
    CHECK(w.a->shards[0].graves != 0);
    held->word = w.a->lock_word;
    shoal_namespace_stats count;
    CHECK_STATUS(shoal_namespace_count(w.a, &w.tree, &count, 0), SHOAL_BUSY);
    held->word = 0;
    w.a->shards[0].lock.word = w.a->lock_word;
    tree_tidy(w.a, 0, &(waiting){0}); /* not now */
    CHECK(w.a->shards[0].graves != 0);
    w.a->shards[0].lock.word = 0;
    CHECK_STATUS(shoal_sweep(w.a, WAIT), SHOAL_OK);
    CHECK_EQ(w.a->shards[0].graves, 0u);
    ARENA_END(w.a);
}

/* ---- memory that is freed while the page map is held: later */

static void a_large_run_that_cannot_be_freed_now_is_freed_later(void)
{
    world w;
    world_make(&w);
    shoal_lock *pages = lock_of(&w, PAGES);
    CHECK_STATUS(shoal_sweep(w.a, WAIT), SHOAL_OK);
    uint64_t used = stats_of(w.a).used;
    pages->word = w.a->lock_word;
    CHECK_STATUS(shoal_delete(w.a, &w.keys, "large", 5, NULL, WAIT), SHOAL_OK); /* waits two milliseconds for it */
    CHECK_EQ(w.a->shards[0].limbo, 1u);
    CHECK_STATUS(put_large(&w, 0), SHOAL_BUSY);
    pages->word = 0;
    CHECK_EQ(stats_of(w.a).used, used);
    CHECK_SOUND(w.a);
    CHECK_STATUS(put_large(&w, 0), SHOAL_OK);
    CHECK_EQ(stats_of(w.a).used, used); /* in its place */
    CHECK_EQ(w.a->shards[0].limbo, 0u);
    ARENA_END(w.a);
}

static void a_class_that_cannot_be_trimmed_now_is_trimmed_later(void)
{
    world w;
    world_make(&w);
    shoal_lock *pages = lock_of(&w, PAGES);
    for (unsigned i = 0; i < 60; i++)
        CHECK_STATUS(put_sized(&w, &w.keys, numbered("k", i), 6000, WAIT), SHOAL_OK);
    uint64_t used = stats_of(w.a).used;
    pages->word = w.a->lock_word;
    for (unsigned i = 0; i < 60; i++)
        CHECK_STATUS(del(w.a, &w.keys, numbered("k", i)), SHOAL_OK);
    CHECK_EQ(stats_of(w.a).used, used);
    pages->word = 0;
    CHECK_STATUS(shoal_sweep(w.a, WAIT), SHOAL_OK);
    CHECK(stats_of(w.a).used < used / 2);
    ARENA_END(w.a);
}

/* ---- leaving while a lock is held: what stays is reaped by the next who can */

/* More pins than the slot has records for: of `low`, but the last, whose shard the segment belongs to, is of `high`. */
static shoal_arena *with_a_segment(shoal_namespace *ns, uint32_t *low, uint32_t *high)
{
    static shoal_pin pins[PIN_RECORDS + 1];
    shoal_arena *b = arena_attach("leaving", 'w');
    const char *keys[2] = {NULL, NULL};
    *ns = ns_default(b);
    for (unsigned i = 0; i < 100 && !keys[1]; i++) {
        static char names_of[100][8];
        lookup key = {0};
        snprintf(names_of[i], sizeof names_of[i], "k%u", i);
        CHECK_STATUS(lookup_make(b, ns, names_of[i], strlen(names_of[i]), &key), SHOAL_OK);
        if (!keys[0])
            keys[0] = names_of[i], *low = key.shard_index;
        else if (key.shard_index != *low)
            keys[1] = names_of[i], *high = key.shard_index;
    }
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(put_pattern(b, ns, keys[i], 1, LARGE, false), SHOAL_OK);
    for (unsigned i = 0; i <= PIN_RECORDS; i++)
        CHECK_STATUS(shoal_pin_take(b, ns, keys[i == PIN_RECORDS], 2, &pins[i], WAIT), SHOAL_OK);
    shoal_unpin(b, &pins[PIN_RECORDS]);
    return b;
}

static void a_segment_that_cannot_be_given_back_is_reaped(void)
{
    if (!leaves_alone())
        return;
    for (int pages = 0; pages < 2; pages++) {
        shoal_arena *a = arena_new("leaving", 64 * MIB);
        shoal_namespace ns;
        uint32_t low = 0, high = 0;
        shoal_arena *b = with_a_segment(&ns, &low, &high);
        shoal_lock *held = pages ? &a->header->page_lock : &a->shards[high].lock;
        uint64_t used = stats_of(a).used;
        held->word = a->lock_word;
        shoal_close(b);
        held->word = 0;
        CHECK_EQ(stats_of(a).used, used);
        CHECK_SOUND(a);
        arena_reap(a);
        CHECK(stats_of(a).used < used);
        CHECK_EQ(stats_of(a).pinned_bytes, 0u);
        ARENA_END(a);
    }
}

static void a_pin_that_cannot_be_dropped_is_reaped(void)
{
    if (!leaves_alone())
        return;
    shoal_arena *a = arena_new("leaving", 64 * MIB);
    shoal_namespace ns;
    uint32_t low = 0, high = 0;
    shoal_arena *b = with_a_segment(&ns, &low, &high);
    a->shards[low].lock.word = a->lock_word;
    shoal_close(b);
    a->shards[low].lock.word = 0;
    CHECK(stats_of(a).pinned_bytes > 0);
    CHECK_SOUND(a);
    arena_reap(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(what_cannot_be_swept_stays_until_it_can);
    RUN(what_cannot_be_evicted_keeps_the_new_one_out);
    RUN(another_shards_lock_keeps_an_eviction_waiting);
    RUN(a_full_arena_cannot_evict_what_is_counted);
    RUN(a_dropped_namespace_is_finished_when_it_can_be);
    RUN(a_run_that_cannot_be_removed_is_reaped);
    RUN(a_tree_whose_count_is_held);
    RUN(a_large_run_that_cannot_be_freed_now_is_freed_later);
    RUN(a_class_that_cannot_be_trimmed_now_is_trimmed_later);
    RUN(a_segment_that_cannot_be_given_back_is_reaped);
    RUN(a_pin_that_cannot_be_dropped_is_reaped);
    return check_report();
}

int main(void) { return fixture_main(tests); }
