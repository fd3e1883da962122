/* What no call takes, and what all of them say when this process cannot be one of the arena's. */
#include "paths.h"
#include "process.h"

#ifdef SHOAL_LINUX
#include <fcntl.h>
#endif

#define LARGE ((size_t)50000)
#define FAR ((uint32_t)NAMESPACE_MAX)

static const uint8_t bytes[LARGE];

static void what_is_out_of_range_is_invalid(void)
{
    shoal_arena *a = arena_new("range", MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a), far = {.id = FAR, .uid = 1}, far_tree = tree, far_home = tree;
    shoal_namespace_stats count;
    shoal_bytes out;
    shoal_meta meta;
    shoal_pin pin;
    shoal_put_args args = {.head = "v", .head_size = 1}, object = {.object = true};
    far_tree.id = far_home.home = FAR;
    CHECK_STATUS(set(a, &tree, "a.b", "v"), SHOAL_OK);
    CHECK_STATUS(shoal_keys(a, &ns, shoal_shards(a), "", 0, &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_keys(a, &far, 0, "", 0, &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_count(a, &far, &count, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_fields(a, &ns, "a", 1, 0, &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_fields(a, &far_tree, "a", 1, 0, &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_fields(a, &tree, "", 0, shoal_shards(a), &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_fields(a, &tree, names("a..b"), 4, 0, &out, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &far, "k", 1, &args, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &far_tree, "k", 1, &args, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &far_home, "k", 1, &args, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &object, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(peek(a, &far, "k", 1, &meta), SHOAL_INVALID);
    CHECK_STATUS(peek(a, &far_tree, "k", 1, &meta), SHOAL_INVALID);
    CHECK_STATUS(peek(a, &tree, names("a."), 2, &meta), SHOAL_INVALID);
    CHECK_STATUS(shoal_pin_take(a, &far_tree, "k", 1, &pin, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_pin_take(a, &tree, names(".a"), 2, &pin, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_drop(a, &tree, WAIT), SHOAL_INVALID);
    CHECK_STATUS(get_pattern(a, &ns, "k", 0, 0), SHOAL_MISS);
    CHECK_EQ(count_of(a, &tree), 2u);
    ARENA_END(a);
}

static void a_value_longer_than_any_is_invalid(void)
{
    shoal_arena *a = arena_new("long", MIB);
    shoal_namespace ns = ns_default(a);
    shoal_put_args head = {.head = bytes, .head_size = (size_t)SHOAL_VALUE_MAX + 1};
    shoal_put_args both = {.head = bytes, .head_size = LARGE, .body = bytes, .body_size = SHOAL_VALUE_MAX};
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &head, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &both, NULL, WAIT), SHOAL_INVALID);
    ARENA_END(a);
}

static void a_namespace_that_was_never_there_is_stale(void)
{
    shoal_arena *a = arena_new("never", MIB);
    shoal_namespace never = {.id = 1000, .uid = 7}, never_tree = {.id = 1000, .uid = 7, .tree = true};
    shoal_namespace_config config = {0};
    shoal_namespace made;
    uint64_t gone;
    CHECK_STATUS(shoal_namespace_get_config(a, &never, &config), SHOAL_STALE);
    CHECK_STATUS(shoal_namespace_set_config(a, &never, &config, WAIT), SHOAL_STALE);
    CHECK_STATUS(shoal_namespace_drop(a, &never, WAIT), SHOAL_STALE);
    CHECK_STATUS(shoal_namespace_clear(a, &never, &gone, WAIT), SHOAL_STALE);
    CHECK_STATUS(shoal_namespace_clear(a, &never_tree, &gone, WAIT), SHOAL_STALE);
    CHECK_STATUS(shoal_tree_open(a, &never, true, &made, WAIT), SHOAL_STALE);
    ARENA_END(a);
}

static void a_tree_without_fields_counts_none(void)
{
    shoal_arena *a = arena_new("none", 64 * MIB);
    shoal_namespace tree = tree_of(a);
    uint64_t gone;
    CHECK_EQ(count_of(a, &tree), 0u);
    CHECK_STATUS(shoal_namespace_clear(a, &tree, &gone, WAIT), SHOAL_OK);
    CHECK_EQ(gone, 0u);
    ARENA_END(a);
}

/* Of several shards: what can be done is done, and then the call says why it could not go on. */
static void a_shard_that_is_held_ends_a_walk_over_all(void)
{
    shoal_arena *a = arena_new("walk", 64 * MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    shoal_namespace_stats count;
    uint64_t gone;
    CHECK(shoal_shards(a) > 2);
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put(a, &tree, numbered("f", i), "v"), SHOAL_OK);
    a->shards[1].lock.word = a->lock_word;
    CHECK_STATUS(shoal_namespace_count(a, &ns, &count, 0), SHOAL_BUSY);
    CHECK_STATUS(shoal_namespace_clear(a, &tree, &gone, 0), SHOAL_BUSY);
    CHECK_STATUS(shoal_verify(a, arena_report, &(unsigned){0}, 0), SHOAL_BUSY);
    CHECK_STATUS(shoal_sweep(a, 0), SHOAL_BUSY);
    a->shards[1].lock.word = 0;
    CHECK_STATUS(shoal_namespace_clear(a, &tree, &gone, 0), SHOAL_OK);
    CHECK_EQ(count_of(a, &tree), 0u);
    ARENA_END(a);
}

static void a_write_tells_when_its_entry_expires(void)
{
    shoal_arena *a = arena_new("expires", MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    for (int round = 0; round < 4; round++) { /* new, with a header that gets longer, and then where it lies */
        int64_t expires = -1, before = shoal_clock_mono_ns();
        shoal_put_args args = {.head = "v", .head_size = 1, .ttl = 100 * SECOND, .expires = &expires};
        CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_OK);
        CHECK(expires >= before + 100 * SECOND);
        CHECK_EQ(stat_of(a, &ns, "k").expires_ns, expires);
    }
    for (int round = 0; round < 2; round++) { /* made, and found */
        int64_t expires = -1;
        shoal_put_args args = {.object = true, .ttl = round ? SHOAL_TTL_NEVER : 100 * SECOND, .expires = &expires};
        CHECK_STATUS(shoal_put(a, &tree, "o", 1, &args, NULL, WAIT), SHOAL_OK);
        CHECK(expires > 0);
        CHECK_EQ(stat_of(a, &tree, "o").expires_ns, expires);
    }
    ARENA_END(a);
}

static void a_published_draft_hands_out_what_it_replaced(void)
{
    shoal_arena *a = arena_new("draft", MIB), *r = arena_attach("draft", 'r');
    shoal_namespace ns = ns_default(a);
    shoal_draft d;
    shoal_bytes old;
    shoal_put_args args = {.old = &old};
    CHECK_STATUS(put(a, &ns, "k", "old"), SHOAL_OK);
    CHECK_STATUS(shoal_draft_begin(a, &ns, "k", 1, LARGE, &d, WAIT), SHOAL_OK);
    memset(d.data, 1, LARGE);
    CHECK_STATUS(shoal_draft_publish(r, &ns, "k", 1, &d, &args, NULL, WAIT), SHOAL_READ_ONLY);
    CHECK(old.data == NULL);
    CHECK_STATUS(shoal_draft_publish(a, &ns, "k", 1, &d, &args, NULL, WAIT), SHOAL_OK);
    CHECK(old.size == 3 && memcmp(old.data, "old", 3) == 0);
    shoal_bytes_free(&old);
    shoal_unpin(a, &d.pin);
    shoal_close(r);
    ARENA_END(a);
}

static int stop_at_once(void *context, const char *name, size_t length, const shoal_namespace *ns)
{
    (void)name, (void)length, (void)ns;
    ++*(unsigned *)context;
    return 1;
}

static void a_list_stops_when_it_is_told_to(void)
{
    shoal_arena *a = arena_new("stops", MIB);
    unsigned seen = 0;
    ns_open(a, "one", 0, 0, 0);
    ns_open(a, "two", 0, 0, 0);
    CHECK_STATUS(shoal_namespace_list(a, stop_at_once, &seen), SHOAL_OK);
    CHECK_EQ(seen, 1u);
    CHECK_TEXT(shoal_name(a), arena_name("stops"));
    CHECK_TEXT(shoal_status_name((shoal_status)-1), shoal_status_name(SHOAL_STATUS_COUNT));
    ARENA_END(a);
}

static void objects_are_not_popped_and_pins_are_dropped_once(void)
{
    shoal_arena *a = arena_new("once", MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    shoal_bytes old;
    shoal_pin pin;
    CHECK_STATUS(set(a, &tree, "o.f", "v"), SHOAL_OK);
    CHECK_STATUS(shoal_delete(a, &tree, "o", 1, &old, WAIT), SHOAL_IS_OBJECT);
    CHECK(old.data == NULL);
    CHECK_TEXT(get(a, &tree, "o.f"), "v");
    CHECK_STATUS(put_pattern(a, &ns, "k", 1, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_pin_take(a, &ns, "k", 1, &pin, WAIT), SHOAL_OK);
    CHECK(shoal_unpin_at_once(a, &pin) && shoal_unpin_at_once(a, &pin));
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

/* What is longer than a cache of ways has room for is looked up each time; and a fetch ahead changes nothing, worth it or not. */
static void long_ways_and_fetches_ahead(void)
{
    shoal_arena *a = arena_new("ways", MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    shoal_base base = {0};
    char path[200];
    tree.base = &base;
    memset(path, 'x', sizeof path);
    path[150] = path[152] = (char)SHOAL_PATH_SEPARATOR;
    for (int round = 0; round < 3; round++) {
        shoal_put_args args = {.head = "v", .head_size = 1};
        CHECK_STATUS(shoal_put(a, &tree, path, 160, &args, NULL, WAIT), SHOAL_OK);
        CHECK_EQ(base.last_size, 0u);
    }
    shoal_prefetch(a, &ns, &(shoal_key){"k", 1}, 1);
    a->header->used += 10000; /* as if it paid */
    shoal_prefetch(a, &tree, &(shoal_key){"k", 1}, 1);
    shoal_prefetch(a, &ns, &(shoal_key){"", 0}, 1);
    a->header->used -= 10000;
    CHECK_EQ(count_of(a, &tree), 3u);
    ARENA_END(a);
}

/* Names of processes are canonical numbers; whatever else somebody calls a run stays. */
static void runs_with_odd_names_stay(void)
{
    static const char *const odd[] = {"x", "1", "1-", "01-1", "1-1x", "-1-1", "99999999999-1", "123456789012345678901234567890-12345"};
    shoal_arena *a = arena_new("odd", MIB);
    shoal_namespace ns = ns_default(a), runs;
    CHECK_STATUS(shoal_runs_open(a, &ns, true, &runs, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++)
        CHECK_STATUS(put(a, &runs, odd[i], "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &runs, "77-7", "of nobody"), SHOAL_OK);
    CHECK_STATUS(shoal_reap(a, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++)
        CHECK_TEXT(get_text(a, &runs, odd[i]), "v");
    CHECK_TEXT(get_text(a, &runs, "77-7"), "(miss)");
    ARENA_END(a);
}

/* ---- a process that has no place in the arena */

#ifdef SHOAL_LINUX
static void overlook(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }

static shoal_status tried[24];
static unsigned tries;
static void try(shoal_status status) { tried[tries++] = status; }

/* Everything that needs one, none of which may do anything; and what needs none. */
static void try_all(shoal_arena *a, const shoal_namespace *ns, const shoal_namespace *tree)
{
    shoal_namespace other;
    shoal_namespace_stats count;
    shoal_namespace_config config = {0};
    shoal_stats stats;
    shoal_bytes out;
    shoal_pin pin;
    shoal_draft draft;
    shoal_number one = {.i = 1};
    shoal_meta meta;
    unsigned seen = 0;
    uint64_t gone;
    uint32_t slot, generation;
    shoal_put_args args = {.head = "v", .head_size = 1};
    tries = 0;
    try(peek(a, ns, "k", 1, &meta));
    try(peek(a, tree, "f", 1, &meta));
    try(shoal_put(a, ns, "k", 1, &args, NULL, MILLISECOND));
    try(shoal_delete(a, ns, "k", 1, NULL, MILLISECOND));
    try(shoal_touch(a, ns, "k", 1, SECOND, MILLISECOND));
    try(shoal_incr(a, ns, "k", 1, &one, &one, 0, &one, MILLISECOND));
    try(shoal_pin_take(a, ns, "k", 1, &pin, MILLISECOND));
    try(shoal_draft_begin(a, ns, "k", 1, LARGE, &draft, MILLISECOND));
    try(shoal_keys(a, ns, 0, "", 0, &out, MILLISECOND));
    try(shoal_fields(a, tree, "f", 1, 0, &out, MILLISECOND));
    try(shoal_namespace_count(a, ns, &count, MILLISECOND));
    try(shoal_namespace_open(a, "fresh", 5, true, NULL, &other, MILLISECOND));
    try(shoal_namespace_set_config(a, ns, &config, MILLISECOND));
    try(shoal_namespace_clear(a, ns, &gone, MILLISECOND));
    try(shoal_namespace_drop(a, &(shoal_namespace){.id = 1, .uid = 2}, MILLISECOND));
    try(shoal_namespace_list(a, stop_at_once, &seen));
    try(shoal_get_stats(a, &stats));
    try(shoal_process(a, &slot, &generation));
    try(shoal_reap(a, MILLISECOND));
    try(shoal_sweep(a, MILLISECOND));
    try(shoal_verify(a, overlook, NULL, MILLISECOND));
    shoal_prefetch(a, ns, &(shoal_key){"k", 1}, 1);
}

static void without_a_place_every_call_says_so(void)
{
    shoal_arena *a = arena_new("place", MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &tree, "f", "v"), SHOAL_OK);
    a->header->used += 10000; /* as if there were so much in it that fetching ahead pays */
    int fd = open(arena_path("place"), O_RDWR); /* somebody who has all places but ours; where claims lie is os_linux.c's choice */
    struct flock taken = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = ((off_t)1 << 52) + CLAIM_SLOTS + 1, .l_len = PROCESS_MAX};
    REQUIRE(fd >= 0 && a->slot == 0 && fcntl(fd, F_OFD_SETLK, &taken) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        try_all(a, &ns, &tree);
        for (unsigned i = 0; i < tries; i++)
            if (tried[i] != SHOAL_FULL_PROCESSES) {
                fprintf(stderr, "  call %u: %s\n", i, shoal_status_name(tried[i]));
                _exit(1);
            }
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    close(fd);
    a->header->used -= 10000;
    CHECK_TEXT(get_text(a, &ns, "k"), "v");
    CHECK_EQ(stats_of(a).processes, 1u);
    ARENA_END(a);
}
#endif

static int tests(void)
{
    RUN(what_is_out_of_range_is_invalid);
    RUN(a_value_longer_than_any_is_invalid);
    RUN(a_namespace_that_was_never_there_is_stale);
    RUN(a_tree_without_fields_counts_none);
    RUN(a_shard_that_is_held_ends_a_walk_over_all);
    RUN(a_write_tells_when_its_entry_expires);
    RUN(a_published_draft_hands_out_what_it_replaced);
    RUN(a_list_stops_when_it_is_told_to);
    RUN(objects_are_not_popped_and_pins_are_dropped_once);
    RUN(long_ways_and_fetches_ahead);
    RUN(runs_with_odd_names_stay);
#ifdef SHOAL_LINUX
    RUN(without_a_place_every_call_says_so);
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
