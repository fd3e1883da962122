/* Trees: paths, objects made on the way, conflicts, removal of whole subtrees, the cache of where paths begin. */
#include "paths.h"
#include "process.h"
#include "tree.h"

static void values_and_objects(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace ns = ns_default(a), tree = tree_of(a);
    CHECK_STATUS(set(a, &tree, "user.name", "john"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "user.age", "13"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "user.address.city", "Oslo"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "flat", "1"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "user.name"), "john");
    CHECK_TEXT(get(a, &tree, "user.address.city"), "Oslo");
    CHECK_TEXT(get(a, &tree, "user"), "(object)");
    CHECK_TEXT(get(a, &tree, "user.address"), "(object)");
    CHECK_TEXT(get(a, &tree, "user.none"), "(miss)");
    CHECK_TEXT(get(a, &tree, "none.name"), "(miss)");
    CHECK_TEXT(get(a, &tree, "flat.name"), "(miss)");
    CHECK_TEXT(get(a, &tree, "flat"), "1");
    CHECK_TEXT(fields(a, &tree, ""), "flat user/");
    CHECK_TEXT(fields(a, &tree, "user"), "address/ age name");
    CHECK_TEXT(fields(a, &tree, "user.address"), "city");
    CHECK_TEXT(fields(a, &tree, "user.name"), "(miss)");
    CHECK_TEXT(fields(a, &tree, "none"), "(miss)");
    CHECK_STATUS(set(a, &tree, "user.name", "jane"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "user.name"), "jane");
    CHECK_TEXT(fields(a, &tree, "user"), "address/ age name");
    /* keys and fields never see each other */
    CHECK_EQ(count_of(a, &ns), 0u);
    CHECK_TEXT(get_text(a, &ns, "flat"), "(miss)");
    CHECK_STATUS(put(a, &ns, "user", "key"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "user"), "(object)");
    CHECK_STATUS(shoal_namespace_clear(a, &ns, &(uint64_t){0}, WAIT), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "user.name"), "jane");
    ARENA_END(a);
}

static void conflicts(void)
{
    shoal_arena *a = arena_new("tree", MIB);
    shoal_namespace tree = tree_of(a);
    CHECK_STATUS(set(a, &tree, "a.b.c", "1"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "a.b", "x"), SHOAL_IS_OBJECT);
    CHECK_STATUS(set(a, &tree, "a.b.c.d", "x"), SHOAL_NOT_OBJECT);
    CHECK_STATUS(set(a, &tree, "a.b.c.d.e.f", "x"), SHOAL_NOT_OBJECT);
    CHECK_STATUS(make(a, &tree, "a.b.c", false), SHOAL_NOT_OBJECT);
    CHECK_STATUS(make(a, &tree, "a.b", false), SHOAL_OK);
    shoal_number one = {.i = 1}, sum;
    CHECK_STATUS(shoal_incr(a, &tree, names("a.b"), 3, &one, &one, 0, &sum, WAIT), SHOAL_IS_OBJECT);
    CHECK_TEXT(get(a, &tree, "a.b.c"), "1");
    CHECK_TEXT(fields(a, &tree, "a"), "b/");
    CHECK_TEXT(fields(a, &tree, "a.b"), "c");
    CHECK_SOUND(a);
    CHECK_STATUS(replace(a, &tree, "a.b.c.d.e", "deep"), SHOAL_OK); /* a value makes way for objects */
    CHECK_TEXT(get(a, &tree, "a.b.c.d.e"), "deep");
    CHECK_TEXT(fields(a, &tree, "a.b"), "c/");
    CHECK_STATUS(replace(a, &tree, "a.b", "flat"), SHOAL_OK); /* and a subtree for a value */
    CHECK_TEXT(get(a, &tree, "a.b"), "flat");
    CHECK_TEXT(get(a, &tree, "a.b.c.d.e"), "(miss)");
    CHECK_EQ(count_of(a, &tree), 2u); /* a, b */
    CHECK_STATUS(make(a, &tree, "a.b", true), SHOAL_OK);
    CHECK_TEXT(fields(a, &tree, "a.b"), "");
    CHECK_STATUS(set(a, &tree, "a.b.new", "1"), SHOAL_OK);
    shoal_bytes old = {0};
    shoal_put_args args = {.head = "x", .head_size = 1, .overwrite = true, .old = &old};
    CHECK_STATUS(shoal_put(a, &tree, names("a.b"), 3, &args, NULL, WAIT), SHOAL_OK);
    CHECK(old.data == NULL); /* an object has no bytes to show */
    CHECK_STATUS(make(a, &tree, "a", true), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "a.b.new"), "(miss)");
    CHECK_EQ(count_of(a, &tree), 1u);
    ARENA_END(a);
}

static void paths_that_are_none(void)
{
    static char long_name[70000], deep[200];
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a);
    CHECK_STATUS(set(a, &tree, "", "1"), SHOAL_INVALID);
    CHECK_STATUS(set(a, &tree, ".a", "1"), SHOAL_INVALID);
    CHECK_STATUS(set(a, &tree, "a.", "1"), SHOAL_INVALID);
    CHECK_STATUS(set(a, &tree, "a..b", "1"), SHOAL_INVALID);
    CHECK_STATUS(set(a, &tree, ".", "1"), SHOAL_INVALID);
    CHECK_TEXT(get(a, &tree, "a..b"), "(invalid argument)");
    memset(long_name, 'x', sizeof long_name);
    CHECK_STATUS(shoal_put(a, &tree, long_name, 65535, &(shoal_put_args){.head = "v", .head_size = 1}, NULL, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_put(a, &tree, long_name, 65536, &(shoal_put_args){.head = "v", .head_size = 1}, NULL, WAIT), SHOAL_INVALID);
    for (unsigned i = 0; i < SHOAL_DEPTH_MAX; i++)
        memcpy(deep + 2 * i, "d.", 2);
    deep[2 * SHOAL_DEPTH_MAX - 1] = '\0';
    CHECK_STATUS(set(a, &tree, deep, "deepest"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, deep), "deepest");
    CHECK_EQ(count_of(a, &tree), SHOAL_DEPTH_MAX + 1u);
    memcpy(deep + 2 * SHOAL_DEPTH_MAX - 1, ".d", 3);
    CHECK_STATUS(set(a, &tree, deep, "too deep"), SHOAL_INVALID);
    CHECK_SOUND(a);
    CHECK_STATUS(drop(a, &tree, "d"), SHOAL_OK);
    CHECK_TEXT(fields(a, &tree, "d"), "(miss)");
    ARENA_END(a);
}

static void removing_subtrees(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a);
    shoal_stats before = {0}, after;
    char path[64];
    CHECK_STATUS(set(a, &tree, "t.keep", "1"), SHOAL_OK);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(path, sizeof path, "t.o%u.p%u.v%u", i % 3, i % 50, i);
            CHECK_STATUS(set(a, &tree, path, "some value of some length"), SHOAL_OK);
        }
        CHECK_SOUND(a);
        CHECK_STATUS(put_pattern(a, &tree, names("t.o1.large"), 1, 100000, true), SHOAL_OK);
        for (unsigned i = 0; i < 3; i++) {
            CHECK_STATUS(drop(a, &tree, numbered("t.o", i)), SHOAL_OK);
            CHECK_STATUS(drop(a, &tree, numbered("t.o", i)), SHOAL_MISS);
        }
        CHECK_EQ(count_of(a, &tree), 2u);
        CHECK_TEXT(fields(a, &tree, "t"), "keep");
        CHECK_SOUND(a);
        CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
        after = stats_of(a);
        if (round == 0)
            before = after;
        CHECK(after.used <= before.used); /* all of it came back */
    }
    ARENA_END(a);
}

/* Among many some lie at the very end of the last page in use, wherever the hash puts them. */
static void an_object_with_many_fields(void)
{
    for (unsigned round = 0; round < 40; round++) {
        shoal_arena *a = arena_new("tree", 16 * MIB);
        shoal_namespace tree = tree_of(a);
        for (unsigned i = 0; i < 1500 + 13 * round; i++)
            CHECK_STATUS(set(a, &tree, numbered("o.", i), "vv"), SHOAL_OK);
        CHECK_SOUND(a);
        for (unsigned i = 0; i < 1500; i += 2)
            CHECK_STATUS(drop(a, &tree, numbered("o.", i)), SHOAL_OK);
        CHECK_EQ(count_of(a, &tree), 1 + 750u + 13 * round);
        ARENA_END(a);
    }
}

static void expiry(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a);
    CHECK_STATUS(put_ttl(a, &tree, names("o.short"), "1", 20 * MILLISECOND), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "o.long", "2"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "p.q.r", "3"), SHOAL_OK);
    CHECK_STATUS(shoal_touch(a, &tree, names("p"), 1, 20 * MILLISECOND, WAIT), SHOAL_OK);
    int64_t then = stat_of(a, &tree, names("p")).expires_ns;
    CHECK_TEXT(get(a, &tree, "p.q.r"), "3");
    sleep_until(then);
    CHECK_TEXT(get(a, &tree, "o.short"), "(miss)");
    CHECK_TEXT(fields(a, &tree, "o"), "long");
    CHECK_TEXT(get(a, &tree, "p.q.r"), "(miss)");
    CHECK_TEXT(get(a, &tree, "p"), "(miss)");
    CHECK_TEXT(fields(a, &tree, ""), "o/");
    CHECK_STATUS(set(a, &tree, "p.q.new", "4"), SHOAL_OK);
    CHECK_TEXT(fields(a, &tree, "p.q"), "new");
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "p.q.r"), "(miss)");
    CHECK_SOUND(a);
    /* a whole expired subtree goes with a sweep */
    CHECK_STATUS(shoal_touch(a, &tree, names("p"), 1, MILLISECOND, WAIT), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(a, &tree), 2u); /* o, o.long */
    /* nor does it count when nobody has swept */
    CHECK_STATUS(set(a, &tree, "p.q.r", "5"), SHOAL_OK);
    CHECK_STATUS(shoal_touch(a, &tree, names("p"), 1, MILLISECOND, WAIT), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_EQ(count_of(a, &tree), 2u);
    /* an object that expires, and then the last of its fields */
    CHECK_STATUS(set(a, &tree, "q.x", "6"), SHOAL_OK);
    CHECK_STATUS(shoal_touch(a, &tree, names("q"), 1, MILLISECOND, WAIT), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("q.y"), "7", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(drop(a, &tree, "q.x"), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(a, &tree), 2u);
    /* the namespace's default is the fields' default, but not that of the objects made on their way */
    shoal_namespace home = ns_default(a);
    CHECK_STATUS(shoal_namespace_set_config(a, &home, &(shoal_namespace_config){.ttl = 5 * SECOND}, WAIT), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "z.timed", "1"), SHOAL_OK);
    CHECK(stat_of(a, &tree, names("z.timed")).expires_ns != 0);
    CHECK_EQ(stat_of(a, &tree, "z").expires_ns, 0);
    ARENA_END(a);
}

static void objects_made_on_the_way_go_with_what_expires(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a);
    CHECK_STATUS(make(a, &tree, "asked", false), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("asked.p.v"), "1", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("way.p.q.v"), "2", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("way.p.r.v"), "3", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("both.p.v"), "4", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "both.w", "5"), SHOAL_OK);
    CHECK_STATUS(put_ttl(a, &tree, names("later.p.v"), "6", MILLISECOND), SHOAL_OK);
    CHECK_STATUS(make(a, &tree, "later.p", false), SHOAL_OK); /* from now on it is asked for */
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_STATUS(drop(a, &tree, "way.p.q.v"), SHOAL_MISS); /* leaves the rest to the sweep */
    CHECK_EQ(count_of(a, &tree), 5u); /* asked, both, both.w, later, later.p */
    CHECK_TEXT(fields(a, &tree, ""), "asked/ both/ later/");
    CHECK_TEXT(fields(a, &tree, "asked"), "");
    CHECK_TEXT(fields(a, &tree, "both"), "w");
    CHECK_SOUND(a);
    CHECK_STATUS(put_ttl(a, &tree, names("way.p.v"), "1", MILLISECOND), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_STATUS(set(a, &tree, "way.p.v", "new"), SHOAL_OK); /* in the place of what has expired, in the same object */
    CHECK_TEXT(get(a, &tree, "way.p.v"), "new");
    CHECK_EQ(count_of(a, &tree), 8u);
    ARENA_END(a);
}

/* Through a base: the same answers, whatever becomes of the object. */
static void a_cached_way(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB), *b = arena_attach("tree", 'w');
    shoal_namespace plain = tree_of(a), tree = plain, others = tree_of(b);
    shoal_base base = {.prefix = 3};
    tree.base = &base;
    CHECK_TEXT(get(a, &tree, "x.o.v"), "(miss)");
    CHECK_EQ(base.begin.object, 0u);
    CHECK_STATUS(set(a, &tree, "x.o.v", "1"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "x.o.v"), "1");
    CHECK(base.begin.object != 0);
    uint64_t first = base.begin.object;
    CHECK_STATUS(set(a, &tree, "x.o.w", "2"), SHOAL_OK); /* begins at the cached object, and links to it */
    CHECK_STATUS(set(a, &tree, "x.o.deep.er", "3"), SHOAL_OK);
    CHECK_EQ(base.begin.object, first);
    CHECK_TEXT(fields(a, &plain, "x.o"), "deep/ v w");
    CHECK_SOUND(a);
    CHECK_STATUS(drop(b, &others, "x"), SHOAL_OK); /* by somebody else, further up */
    CHECK_TEXT(get(a, &tree, "x.o.v"), "(miss)");
    CHECK_STATUS(drop(a, &tree, "x.o.v"), SHOAL_MISS);
    CHECK_STATUS(set(b, &others, "x.o.v", "new"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "x.o.v"), "new");
    CHECK(base.begin.object != first);
    CHECK_STATUS(replace(b, &others, "x.o", "value"), SHOAL_OK);
    CHECK_TEXT(get(a, &tree, "x.o.v"), "(miss)");
    CHECK_STATUS(set(a, &tree, "x.o.v", "1"), SHOAL_NOT_OBJECT);
    CHECK_STATUS(make(b, &others, "x.o", true), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "x.o.v", "again"), SHOAL_OK);
    CHECK_TEXT(get(b, &others, "x.o.v"), "again");
    CHECK_TEXT(get(a, &tree, "x.o.v"), "again");
    /* an expiry that is set later is seen through the cache */
    CHECK_STATUS(shoal_touch(b, &others, names("x"), 1, MILLISECOND, WAIT), SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_TEXT(get(a, &tree, "x.o.v"), "(miss)");
    CHECK_STATUS(set(a, &tree, "x.o.v", "last"), SHOAL_OK);
    CHECK_TEXT(get(b, &others, "x.o.v"), "last");
    shoal_close(b);
    ARENA_END(a);
}

static void clearing_and_dropping(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace other = ns_open(a, "other", 0, 0, 0), tree, again;
    uint64_t count;
    char path[64];
    CHECK_STATUS(shoal_tree_open(a, &other, false, &tree, WAIT), SHOAL_NOT_FOUND);
    CHECK_STATUS(shoal_tree_open(a, &other, true, &tree, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "t%u.v%u", i % 700, i);
        CHECK_STATUS(set(a, &tree, path, "v"), SHOAL_OK);
    }
    CHECK_STATUS(shoal_namespace_clear(a, &tree, &count, WAIT), SHOAL_OK);
    CHECK_TEXT(fields(a, &tree, ""), "");
    CHECK_EQ(count_of(a, &tree), 0u);
    CHECK_SOUND(a);
    CHECK_STATUS(set(a, &tree, "a.b", "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &other, "k", "v"), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &other, WAIT), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "a.c", "v"), SHOAL_STALE);
    CHECK_TEXT(get(a, &tree, "a.b"), "(stale namespace)");
    CHECK_TEXT(fields(a, &tree, "a"), "(stale namespace)");
    CHECK_EQ(stats_of(a).entries, 0u);
    other = ns_open(a, "other", 0, 0, 0);
    CHECK_STATUS(shoal_tree_open(a, &other, false, &again, WAIT), SHOAL_NOT_FOUND);
    CHECK_STATUS(shoal_tree_open(a, &other, true, &again, WAIT), SHOAL_OK);
    CHECK_TEXT(get(a, &again, "a.b"), "(miss)");
    ARENA_END(a);
}

/* Who drops a namespace dies after the first step; somebody else has a way into its memory, and gets a new one under another number. */
static void a_cached_way_into_a_half_dropped_tree(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace passing = ns_open(a, "passing", 0, 0, 0), home = ns_open(a, "home", 0, 0, 0), old, tree;
    CHECK_STATUS(shoal_tree_open(a, &home, true, &old, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &passing, WAIT), SHOAL_OK);
    shoal_base base = {.prefix = 1};
    old.base = &base;
    CHECK_STATUS(set(a, &old, "o.v", "1"), SHOAL_OK);
    CHECK_STATUS(set(a, &old, "o.w", "1"), SHOAL_OK);
    CHECK(base.begin.object != 0);
    a->records[old.id].state = NAMESPACE_DROPPING;
    a->records[old.id].uid = 0;
    CHECK_STATUS(set(a, &old, "o.v", "2"), SHOAL_STALE);
    CHECK_STATUS(shoal_tree_open(a, &home, true, &tree, WAIT), SHOAL_OK);
    tree.base = &base;
    CHECK_TEXT(get(a, &tree, "o.v"), "(miss)");
    CHECK_STATUS(set(a, &tree, "o.v", "3"), SHOAL_OK);
    tree.base = NULL;
    CHECK_TEXT(get(a, &tree, "o.v"), "3");
    CHECK_TEXT(fields(a, &tree, "o"), "v");
    CHECK_EQ(count_of(a, &tree), 2u);
    CHECK_EQ(stats_of(a).entries, 3u); /* with the root of a shard: what was to be dropped is gone */
    ARENA_END(a);
}

static void a_full_arena_leaves_nothing_half_made(void)
{
    shoal_arena *a = arena_new("tree", MIB);
    shoal_namespace tree = tree_of(a);
    char path[128];
    unsigned made = 0;
    shoal_status status;
    do {
        snprintf(path, sizeof path, "o%u.p.q.r.s.t", made);
        status = put_pattern(a, &tree, names(path), made, 900, false);
    } while (status == SHOAL_OK && ++made < 5000);
    CHECK_STATUS(status, SHOAL_FULL_ARENA);
    CHECK(made > 100);
    CHECK_TEXT(get(a, &tree, numbered("o", made)), "(miss)");
    CHECK_SOUND(a);
    /* large values fail in the same way */
    CHECK_STATUS(put_pattern(a, &tree, names("big.one"), 1, 500000, true), SHOAL_FULL_ARENA);
    CHECK_TEXT(get(a, &tree, "big"), "(miss)");
    for (unsigned i = 0; i < made; i++)
        CHECK_STATUS(drop(a, &tree, numbered("o", i)), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, &tree, names("big.one"), 1, 300000, true), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &tree, names("big.one"), 1, 300000), SHOAL_OK);
    ARENA_END(a);
}

/* Blocks that end where the arena ends are fields like any other. */
static void the_last_block_of_a_full_arena(void)
{
    char path[64];
    for (unsigned fill = 0; fill < 10; fill++) {
        shoal_arena *a = arena_new("tree", MIB);
        shoal_namespace tree = tree_of(a);
        shoal_status status;
        unsigned made = 0;
        for (unsigned i = 0; i < fill * 7; i++)
            CHECK_STATUS(put_pattern(a, &tree, names(numbered("p", i)), i, 300 + fill * 50, false), SHOAL_OK);
        do {
            snprintf(path, sizeof path, "o.%u", made);
            status = set(a, &tree, path, "v");
        } while (status == SHOAL_OK && ++made < 50000);
        CHECK_STATUS(status, SHOAL_FULL_ARENA);
        CHECK_SOUND(a);
        for (unsigned i = 0; i < made; i++) {
            snprintf(path, sizeof path, "o.%u", i);
            CHECK_STATUS(drop(a, &tree, path), SHOAL_OK);
        }
        CHECK_TEXT(fields(a, &tree, "o"), "");
        ARENA_END(a);
    }
}

static void keys_give_way_to_fields(void)
{
    shoal_arena *a = arena_new("tree", MIB);
    shoal_namespace cache = ns_open(a, "cache", 0, 0, SHOAL_EVICT_SIEVE), tree;
    CHECK_STATUS(shoal_tree_open(a, &cache, true, &tree, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < 3000; i++)
        CHECK_STATUS(put_pattern(a, &cache, numbered("k", i), i, 1000, false), SHOAL_OK);
    for (unsigned i = 0; i < 300; i++)
        CHECK_STATUS(put_pattern(a, &tree, names(numbered("o.f", i)), i, 1000, false), SHOAL_OK);
    for (unsigned i = 0; i < 3000; i++)
        CHECK_STATUS(put_pattern(a, &cache, numbered("l", i), i, 1000, false), SHOAL_OK);
    for (unsigned i = 0; i < 300; i++)
        CHECK_STATUS(get_pattern(a, &tree, names(numbered("o.f", i)), i, 1000), SHOAL_OK);
    ARENA_END(a);
}

static void read_only(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB), *r = arena_attach("tree", 'r');
    shoal_namespace tree = tree_of(a), seen, home = ns_default(r);
    CHECK_STATUS(set(a, &tree, "o.p.v", "1"), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, &tree, names("o.large"), 1, 100000, true), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "q", "2"), SHOAL_OK);
    CHECK_STATUS(shoal_tree_open(r, &home, true, &seen, WAIT), SHOAL_OK);
    CHECK_TEXT(get(r, &seen, "o.p.v"), "1");
    CHECK_EQ(count_of(r, &seen), 5u);
    shoal_namespace_stats mine, theirs;
    CHECK_STATUS(shoal_namespace_count(r, &seen, &mine, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_count(a, &tree, &theirs, WAIT), SHOAL_OK);
    CHECK_EQ(mine.bytes, theirs.bytes);
    CHECK_STATUS(get_pattern(r, &seen, names("o.large"), 1, 100000), SHOAL_OK);
    CHECK_TEXT(fields(r, &seen, ""), "o/ q");
    CHECK_TEXT(fields(r, &seen, "o"), "large p/");
    CHECK_TEXT(fields(r, &seen, "o.p"), "v");
    CHECK_TEXT(fields(r, &seen, "q"), "(miss)");
    CHECK_STATUS(set(r, &seen, "o.p.v", "x"), SHOAL_READ_ONLY);
    CHECK_STATUS(drop(a, &tree, "o"), SHOAL_OK);
    CHECK_TEXT(get(r, &seen, "o.p.v"), "(miss)");
    CHECK_TEXT(fields(r, &seen, ""), "q");
    shoal_close(r);
    ARENA_END(a);
}

static void large_values_and_pins(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a);
    shoal_pin pin;
    CHECK_STATUS(put_pattern(a, &tree, names("o.p.large"), 1, 200000, true), SHOAL_OK);
    CHECK_STATUS(shoal_pin_take(a, &tree, names("o.p.large"), 9, &pin, WAIT), SHOAL_OK);
    CHECK(pattern_holds(pin.data, 1, 200000));
    CHECK_STATUS(shoal_pin_take(a, &tree, names("o.p.none"), 8, &(shoal_pin){0}, WAIT), SHOAL_MISS);
    CHECK_STATUS(shoal_pin_take(a, &tree, names("o.p"), 3, &(shoal_pin){0}, WAIT), SHOAL_INVALID);
    CHECK_STATUS(drop(a, &tree, "o"), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK_STATUS(put_pattern(a, &tree, names("o.p.large"), 2, 200000, true), SHOAL_OK);
    CHECK(pattern_holds(pin.data, 1, 200000));
    shoal_unpin(a, &pin);
    CHECK_STATUS(get_pattern(a, &tree, names("o.p.large"), 2, 200000), SHOAL_OK);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(values_and_objects);
    RUN(conflicts);
    RUN(paths_that_are_none);
    RUN(removing_subtrees);
    RUN(an_object_with_many_fields);
    RUN(expiry);
    RUN(objects_made_on_the_way_go_with_what_expires);
    RUN(a_cached_way);
    RUN(clearing_and_dropping);
    RUN(a_cached_way_into_a_half_dropped_tree);
    RUN(a_full_arena_leaves_nothing_half_made);
    RUN(the_last_block_of_a_full_arena);
    RUN(keys_give_way_to_fields);
    RUN(read_only);
    RUN(large_values_and_pins);
    return check_report();
}

int main(void) { return fixture_main(tests); }
