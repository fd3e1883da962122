/* Damage that stress_damage found to be followed, each once more by hand; and what a repair makes of damaged arenas. */
#include "damage_use.h"

#include "recover.h"
#include "slab.h"

#define ENTRIES 300u

static shoal_arena *filled(void)
{
    shoal_arena *a = arena_new("damage", MIB);
    shoal_namespace ns = ns_default(a);
    shoal_persist(a);
    for (unsigned i = 0; i < ENTRIES; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, i, false), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, &ns, "large", 7, 50000, false), SHOAL_OK);
    return a;
}

static void end(shoal_arena *a)
{
    if (a)
        shoal_close(a);
    unlink(arena_path("damage"));
}

/* Reads what it should, or says that it cannot. */
static void check_values(shoal_arena *a)
{
    static uint8_t value[60000];
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < ENTRIES; i++) {
        shoal_meta meta;
        const char *key = numbered("k", i);
        if (shoal_get(a, &ns, key, strlen(key), value, 0, sizeof value, &meta, SHORT) == SHOAL_OK)
            CHECK(meta.size == i && pattern_holds(value, i, i));
    }
}

/* A free list of so many blocks that none of the class is left to be taken, and the list is all there is. */
static uint32_t class_with_free_blocks(shoal_arena *a)
{
    shoal_namespace ns = ns_default(a);
    uint32_t best = 0;
    for (unsigned i = 0; i < ENTRIES; i += 2)
        del(a, &ns, numbered("k", i));
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        best = a->shards[0].classes[c].free_count > a->shards[0].classes[best].free_count ? c : best;
    CHECK(a->shards[0].classes[best].free_count > 3);
    return best;
}

static void a_free_list_in_a_circle_ends(void)
{
    shoal_arena *a = filled();
    slab_class *c = &a->shards[0].classes[class_with_free_blocks(a)];
    block_at(a, c->free)->next = c->free;
    c->free_count = UINT32_MAX; /* a walk of that many steps takes minutes */
    alarm(20);
    shoal_sweep(a, WAIT);
    shoal_sweep(a, WAIT); /* what the first left behind is not believed either */
    alarm(0);
    end(a);
}

/* Lists are walked for as long as they say they are, but not for longer than the arena has room. */
static void lists_in_a_circle_end_whatever_they_count(void)
{
    shoal_arena *a = filled();
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    shoal_namespace_stats count;
    shoal_bytes out;
    set(a, &tree, "o.f", "1");
    namespace_head *nh = head_of(a, ns.id, 0), *fields = head_of(a, tree.id, 0);
    place p = {.ref = fields->newest};
    p.b = block_at(a, p.ref);
    field_links *links = entry_links(p.b, entry_load(p.b).flags);
    nh->count = a->shards[0].entries = 1ull << 40;
    entry_set_next(block_at(a, nh->newest), nh->newest);
    entry_set_prev(block_at(a, nh->newest), nh->newest);
    nh->cursor = nh->newest;
    nh->due = 1;
    links->next = p.ref;
    alarm(20);
    CHECK_STATUS(shoal_keys(a, &ns, 0, "k", 1, &out, WAIT), SHOAL_CORRUPT);
    shoal_bytes_free(&out);
    shoal_fields(a, &tree, "o", 1, 0, &out, WAIT);
    shoal_bytes_free(&out);
    shoal_namespace_count(a, &ns, &count, WAIT);
    shoal_sweep(a, WAIT);
    alarm(0);
    check_values(a);
    end(a);
}

/* The recovery that a call does on the way waits no longer than the call may. */
static void a_recovery_waits_as_long_as_its_caller(void)
{
    shoal_arena *a = filled();
    shoal_namespace ns = ns_default(a);
    shoal_put_args args = {.head = "x", .head_size = 1};
    a->header->page_lock.word = a->lock_word; /* somebody alive, who will never let go */
    a->shards[0].lock.word = LOCK_OWNER_MASK; /* nobody */
    alarm(20);
    for (unsigned i = 0; i < 30; i++)
        CHECK_STATUS(shoal_put(a, &ns, "k1", 2, &args, NULL, 2 * MILLISECOND), SHOAL_BUSY);
    alarm(0);
    a->header->page_lock.word = 0;
    CHECK_STATUS(put(a, &ns, "k1", "y"), SHOAL_OK);
    CHECK_SOUND(a);
    end(a);
}

static uint64_t run_of_kind(shoal_arena *a, uint32_t kind, uint64_t from)
{
    uint64_t state, frontier = a->header->frontier;
    for (uint64_t page = 0; page < frontier && page_walk(a, page, frontier, &state); page += page_length(state))
        if (page >= from && page_kind(state) == kind)
            return page;
    return frontier;
}

static void a_run_that_swallows_others_is_not_freed_into_them(void)
{
    shoal_arena *a = filled();
    for (uint64_t page = 0; (page = run_of_kind(a, PAGE_SLAB, page)) < a->header->frontier; page++) {
        uint64_t state = a->map[page].state;
        a->map[page].state = page_state(PAGE_SLAB, page_flags(state), page_shard(state), page_length(state) + 4);
        a->shards[0].lock.word = LOCK_OWNER_MASK;
        shoal_sweep(a, 5 * MILLISECOND);
        check_values(a);
        a->map[page].state = state;
    }
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK); /* nothing was lost by it */
    CHECK_EQ(count_of(a, &(shoal_namespace){.uid = ns_default(a).uid}), ENTRIES + 1u);
    CHECK_SOUND(a);
    end(a);
}

static void a_free_run_that_is_too_long_is_not_handed_out(void)
{
    shoal_arena *a = filled();
    shoal_namespace ns = ns_default(a);
    put_pattern(a, &ns, "first", 1, 70000, false);
    put_pattern(a, &ns, "second", 2, 70000, false);
    del(a, &ns, "first");
    uint64_t page = run_of_kind(a, PAGE_FREE, 0), state = a->map[page].state;
    CHECK(page < a->header->frontier);
    a->map[page].state = page_state(PAGE_FREE, page_flags(state), 0, a->header->frontier - page);
    for (unsigned i = 0; i < 12; i++)
        put_pattern(a, &ns, numbered("more", i), i, 60000 + i * 4096, false);
    shoal_status status = get_pattern(a, &ns, "second", 2, 70000);
    CHECK(status == SHOAL_OK);
    check_values(a);
    end(a);
}

/* ---- repair */

static void count_line(void *context, int severity, const char *line)
{
    (void)severity;
    *(unsigned *)context += strlen(line) > 0;
}

static shoal_status mend(shoal_repaired *sum, unsigned *lines)
{
    *lines = 0;
    return shoal_repair(arena_name("damage"), count_line, lines, SECOND, sum);
}

static shoal_arena *damaged_at_rest(void (*harm)(shoal_arena *a))
{
    shoal_arena *a = filled();
    shoal_namespace tree = tree_of(a);
    set(a, &tree, "a.b.c", "1");
    put_ttl(a, &tree, names("a.t"), "2", 1000 * SECOND);
    ns_open(a, "limited", 5 * SECOND, 60, SHOAL_EVICT_SIEVE);
    harm(a);
    shoal_close(a);
    return NULL;
}

static void nothing(shoal_arena *a) { (void)a; }

static void check_mended(uint64_t most_lost)
{
    shoal_arena *a = arena_attach("damage", 'w');
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    CHECK_SOUND(a);
    check_values(a);
    CHECK(count_of(a, &ns) + most_lost >= ENTRIES + 1u);
    CHECK_STATUS(put(a, &ns, "k0", "new"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "z.y.x", "new"), SHOAL_OK);
    CHECK_SOUND(a);
    end(a);
}

static void a_whole_arena_is_kept_whole(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(nothing);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK_EQ(sum.dropped, 0u);
    CHECK_EQ(lines, 0u);
    shoal_arena *a = arena_attach("damage", 'w');
    shoal_namespace ns = ns_default(a), tree = tree_of(a), limited = ns_open(a, "limited", 0, 0, 0);
    shoal_namespace_config config;
    CHECK_STATUS(get_pattern(a, &ns, "large", 7, 50000), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "a.b.c"), "1");
    CHECK_TEXT(get(a, &tree, "a.t"), "2");
    CHECK_STATUS(shoal_namespace_get_config(a, &limited, &config), SHOAL_OK);
    CHECK_EQ(config.max_keys, 60u);
    CHECK_EQ(config.ttl, 5 * SECOND);
    shoal_close(a);
    check_mended(0);
}

static void lose_derived(shoal_arena *a)
{
    memset(a->shards[0].classes, 0x5A, sizeof a->shards[0].classes);
    memset(a->header->bins, 0xA5, sizeof a->header->bins);
    memset(a->map, 0xFF, a->header->frontier * sizeof *a->map);
    memset(a->heads, 0x3C, sizeof(namespace_head) * 3);
    a->header->frontier = a->header->used = a->header->namespaces_high = ~0ull;
    a->shards[0].lock.word = a->header->page_lock.word = a->header->namespace_lock.word = 0x123456789ull;
    a->shards[0].entries = a->shards[0].chained = 12345678;
}

static void what_is_derived_may_be_lost_altogether(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(lose_derived);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK_EQ(sum.dropped, 0u);
    check_mended(0);
}

static void lose_directory(shoal_arena *a)
{
    memset(a->shards[0].directory, 0, sizeof a->shards[0].directory);
    a->shards[0].nbuckets = 1ull << 40;
}

static void entries_are_found_without_the_directory(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(lose_directory);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK_EQ(sum.dropped, 0u);
    check_mended(0);
}

static void count_too_many_buckets(shoal_arena *a) { a->shards[0].nbuckets = BUCKETS_MAX; }

static void a_count_of_millions_is_told_in_a_line(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(count_too_many_buckets);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK_EQ(sum.dropped, 0u);
    CHECK_EQ(lines, 1u);
    check_mended(0);
}

static void spoil_entries(shoal_arena *a)
{
    image m = {0};
    find_refs(&m, a);
    for (unsigned i = 0; i < 20; i++)
        block_at(a, m.refs[i * 3])->size ^= 0x40000000;
}

static void damaged_entries_are_dropped_and_named(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(spoil_entries);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK(sum.dropped >= 20 && sum.dropped <= 24); /* with the fields of an object among them */
    CHECK(lines >= sum.dropped);
    check_mended(20);
}

static void spoil_versions(shoal_arena *a)
{
    image m = {0};
    find_refs(&m, a);
    block_at(a, m.refs[0])->version |= VERSION_MASK;
    a->shards[0].version = VERSION_MASK - 1;
}

static void versions_go_on_from_what_is_in_reason(void)
{
    shoal_repaired sum;
    unsigned lines;
    damaged_at_rest(spoil_versions);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK(sum.dropped >= 1);
    check_mended(1);
}

static void spoil_secret(shoal_arena *a) { a->header->geometry.secret[1] ^= 1; }

static void nothing_is_touched_that_cannot_be_repaired(void)
{
    shoal_repaired sum;
    unsigned lines;
    struct stat before, after;
    damaged_at_rest(spoil_secret);
    CHECK_EQ(stat(arena_path("damage"), &before), 0);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_CORRUPT);
    CHECK_EQ(stat(arena_path("damage"), &after), 0);
    CHECK_EQ(before.st_ino, after.st_ino);
    end(NULL);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_NOT_FOUND);
}

static void who_is_in_use_is_not_repaired(void)
{
    shoal_repaired sum;
    unsigned lines;
    shoal_arena *a = filled(), *reader;
    CHECK_STATUS(mend(&sum, &lines), SHOAL_BUSY);
    CHECK_STATUS(arena_open("damage", 'r', 0, &reader), SHOAL_OK);
    shoal_close(a);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_BUSY); /* a reader would go on with what is no longer there */
    shoal_close(reader);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK_EQ(sum.kept, ENTRIES + 1u);
    end(NULL);
}

static void a_cut_file_gives_what_is_left(void)
{
    shoal_repaired sum;
    unsigned lines;
    shoal_arena *a = filled();
    shoal_close(a);
    a = arena_attach("damage", 'w');
    uint64_t size = a->file_size;
    shoal_close(a);
    CHECK_EQ(truncate(arena_path("damage"), (off_t)(size - MIB + 24 * PAGE_SIZE)), 0);
    CHECK_STATUS(arena_open("damage", 'w', 0, &a), SHOAL_CORRUPT);
    CHECK_STATUS(mend(&sum, &lines), SHOAL_OK);
    CHECK(sum.kept > 0 && sum.kept < ENTRIES + 1u && lines > 0);
    check_mended(ENTRIES + 1);
}

static int tests(void)
{
#ifndef SHOAL_LINUX
    SKIP("claims and holes are Linux's");
    return 0;
#endif
    RUN(a_free_list_in_a_circle_ends);
    RUN(lists_in_a_circle_end_whatever_they_count);
    RUN(a_recovery_waits_as_long_as_its_caller);
    RUN(a_run_that_swallows_others_is_not_freed_into_them);
    RUN(a_free_run_that_is_too_long_is_not_handed_out);
    RUN(a_whole_arena_is_kept_whole);
    RUN(what_is_derived_may_be_lost_altogether);
    RUN(entries_are_found_without_the_directory);
    RUN(a_count_of_millions_is_told_in_a_line);
    RUN(damaged_entries_are_dropped_and_named);
    RUN(versions_go_on_from_what_is_in_reason);
    RUN(nothing_is_touched_that_cannot_be_repaired);
    RUN(who_is_in_use_is_not_repaired);
    RUN(a_cut_file_gives_what_is_left);
    return check_report();
}

int main(void) { return fixture_main(tests); }
