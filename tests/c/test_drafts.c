/* Drafts: values that are filled in place, published or not. */
#include "fixture.h"
#include "pins.h"
#include "process.h"
#include "recover.h"

#define LARGE ((size_t)100000)

static shoal_status begin(shoal_arena *a, const shoal_namespace *ns, const char *key, size_t size, shoal_draft *out)
{
    return shoal_draft_begin(a, ns, key, strlen(key), size, out, WAIT);
}

static shoal_status publish(shoal_arena *a, const shoal_namespace *ns, const char *key, shoal_draft *d, uint8_t condition)
{
    shoal_put_args args = {.condition = condition, .ttl = SHOAL_TTL_DEFAULT};
    uint64_t version = 0;
    shoal_status status = shoal_draft_publish(a, ns, key, strlen(key), d, &args, &version, WAIT);
    CHECK((status == SHOAL_OK) == (version != 0));
    return status;
}

static void a_draft_appears_when_it_is_published(void)
{
    shoal_arena *a = arena_new("appears", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_draft d;
    shoal_pin p;
    const char *keys[] = {"k", "a key of another length", "old"};
    REQUIRE(put_pattern(a, &ns, "old", 77, 100, false) == SHOAL_OK);
    int64_t created = stat_of(a, &ns, "old").created_us;
    for (int i = 0; i < 3; i++) {
        REQUIRE(begin(a, &ns, keys[i], LARGE, &d) == SHOAL_OK);
        CHECK_EQ((uintptr_t)d.data % 64, 0u);
        pattern_fill(d.data, (uint64_t)i, LARGE);
        CHECK_SOUND(a);
        CHECK_STATUS(get_pattern(a, &ns, keys[i], 77, 100), i == 2 ? SHOAL_OK : SHOAL_MISS);
        CHECK_STATUS(publish(a, &ns, keys[i], &d, SHOAL_IF_ANY), SHOAL_OK);
        CHECK_STATUS(get_pattern(a, &ns, keys[i], (uint64_t)i, LARGE), SHOAL_OK);
        REQUIRE(shoal_pin_take(a, &ns, keys[i], strlen(keys[i]), &p, WAIT) == SHOAL_OK);
        CHECK(p.data == d.data);
        shoal_unpin(a, &p);
        CHECK_STATUS(publish(a, &ns, keys[i], &d, SHOAL_IF_ANY), SHOAL_INVALID); /* only once */
        CHECK_STATUS(put(a, &ns, keys[i], "overwritten"), SHOAL_OK);
        CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
        CHECK(pattern_holds(d.data, (uint64_t)i, LARGE)); /* a view by now */
        CHECK_SOUND(a);
        shoal_unpin(a, &d.pin);
        CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    }
    CHECK_EQ(stat_of(a, &ns, "old").created_us, created);
    ARENA_END(a);
}

static void a_discarded_draft_leaves_nothing(void)
{
    shoal_arena *a = arena_new("discarded", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_draft d;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    uint64_t used = stats_of(a).used;
    for (int i = 0; i < 100; i++) {
        REQUIRE(begin(a, &ns, "key", LARGE, &d) == SHOAL_OK);
        memset(d.data, i, LARGE);
        shoal_unpin(a, &d.pin);
    }
    CHECK_EQ(stats_of(a).used, used);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_ANY), SHOAL_INVALID);
    CHECK_STATUS(get_pattern(a, &ns, "key", 1, LARGE), SHOAL_OK);
    ARENA_END(a);
}

static void a_refusal_leaves_the_draft_as_it_was(void)
{
    shoal_arena *a = arena_new("refused", 4 * MIB);
    shoal_namespace ns = ns_open(a, "limited", 50 * SECOND, 1, SHOAL_EVICT_ERROR);
    shoal_draft d;
    REQUIRE(put(a, &ns, "key", "here") == SHOAL_OK);
    REQUIRE(begin(a, &ns, "key", LARGE, &d) == SHOAL_OK);
    pattern_fill(d.data, 5, LARGE);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_ABSENT), SHOAL_EXISTS);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_VERSION), SHOAL_CONFLICT);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_PRESENT), SHOAL_MISS);
    REQUIRE(put(a, &ns, "other", "takes the only place") == SHOAL_OK);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_ANY), SHOAL_FULL_KEYS);
    CHECK_SOUND(a);
    CHECK_STATUS(del(a, &ns, "other"), SHOAL_OK);
    shoal_put_args args = {.condition = SHOAL_IF_ABSENT, .ttl = SHOAL_TTL_DEFAULT};
    CHECK_STATUS(shoal_draft_publish(a, &ns, "key", 3, &d, &args, NULL, WAIT), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "key", 5, LARGE), SHOAL_OK);
    CHECK(stat_of(a, &ns, "key").expires_ns != 0);
    shoal_unpin(a, &d.pin);
    ARENA_END(a);
}

static void what_cannot_be_a_draft_says_so(void)
{
    shoal_arena *a = arena_new("cannot", 4 * MIB), *reader = arena_attach("cannot", 'r');
    shoal_namespace ns = ns_default(a), gone = ns_open(a, "gone", 0, 0, 0);
    shoal_draft d;
    uint64_t used = stats_of(a).used;
    CHECK_STATUS(begin(a, &ns, "key", 0, &d), SHOAL_INVALID);
    CHECK_STATUS(begin(a, &ns, "key", 32000, &d), SHOAL_INVALID);
    CHECK_STATUS(begin(a, &ns, "", LARGE, &d), SHOAL_INVALID);
    CHECK_STATUS(begin(a, &ns, "key", (size_t)SHOAL_VALUE_MAX + 1, &d), SHOAL_INVALID);
    CHECK_STATUS(begin(a, &ns, "key", 5 * MIB, &d), SHOAL_FULL_ARENA);
    CHECK_STATUS(begin(reader, &ns, "key", LARGE, &d), SHOAL_READ_ONLY);
    CHECK_STATUS(shoal_namespace_drop(a, &gone, WAIT), SHOAL_OK);
    CHECK_STATUS(begin(a, &gone, "key", LARGE, &d), SHOAL_STALE);
    CHECK_EQ(stats_of(a).used, used);
    shoal_close(reader);
    ARENA_END(a);
}

/* In the namespace's successor the key may belong to another shard, where the draft's memory has no place. */
static void a_namespace_that_goes_takes_no_draft(void)
{
    shoal_arena *a = arena_new("goes", 64 * MIB);
    unsigned taken = 0, refused = 0;
    for (int i = 0; i < 40 && (!taken || !refused); i++) {
        shoal_namespace ns = ns_open(a, "goes", 0, 0, 0);
        shoal_draft d;
        REQUIRE(begin(a, &ns, "key", LARGE, &d) == SHOAL_OK);
        pattern_fill(d.data, 1, LARGE);
        CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
        CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_ANY), SHOAL_STALE);
        ns = ns_open(a, "goes", 0, 0, 0);
        shoal_status status = publish(a, &ns, "key", &d, SHOAL_IF_ANY);
        CHECK(status == SHOAL_OK || status == SHOAL_INVALID);
        CHECK_STATUS(get_pattern(a, &ns, "key", 1, LARGE), status == SHOAL_OK ? SHOAL_OK : SHOAL_MISS);
        *(status == SHOAL_OK ? &taken : &refused) += 1;
        shoal_unpin(a, &d.pin);
        CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    }
    CHECK(taken && refused);
    ARENA_END(a);
}

/* A field of a tree: the objects on its way are made when it is published. */
static void a_draft_may_be_a_field(void)
{
    shoal_arena *a = arena_new("field", 64 * MIB);
    shoal_namespace home = ns_default(a), tree;
    shoal_draft d;
    REQUIRE(shoal_tree_open(a, &home, true, &tree, WAIT) == SHOAL_OK);
    REQUIRE(begin(a, &tree, "one\xFFtwo\xFFthree", LARGE, &d) == SHOAL_OK);
    pattern_fill(d.data, 1, LARGE);
    CHECK_STATUS(get_pattern(a, &tree, "one\xFFtwo\xFFthree", 1, LARGE), SHOAL_MISS);
    CHECK_SOUND(a);
    CHECK_STATUS(put(a, &tree, "one\xFFtwo", "in the way"), SHOAL_OK);
    CHECK_STATUS(publish(a, &tree, "one\xFFtwo\xFFthree", &d, SHOAL_IF_ANY), SHOAL_NOT_OBJECT);
    CHECK_STATUS(del(a, &tree, "one"), SHOAL_OK);
    CHECK_STATUS(publish(a, &tree, "one\xFFtwo\xFFthree", &d, SHOAL_IF_ANY), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &tree, "one\xFFtwo\xFFthree", 1, LARGE), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK_STATUS(del(a, &tree, "one"), SHOAL_OK);
    CHECK(pattern_holds(d.data, 1, LARGE));
    shoal_unpin(a, &d.pin);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

static void room_is_made_for_a_draft(void)
{
    shoal_arena *a = arena_new("evicts", 2 * MIB);
    shoal_namespace ns = ns_open(a, "sieve", 0, 0, SHOAL_EVICT_SIEVE);
    shoal_draft d;
    for (unsigned i = 0; i < 30; i++)
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, LARGE, false) == SHOAL_OK);
    REQUIRE(begin(a, &ns, "key", 1000000, &d) == SHOAL_OK);
    pattern_fill(d.data, 3, 1000000);
    for (unsigned i = 0; i < 30; i++) /* others go, a draft stays */
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, LARGE, false) == SHOAL_OK);
    CHECK_STATUS(publish(a, &ns, "key", &d, SHOAL_IF_ANY), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "key", 3, 1000000), SHOAL_OK);
    shoal_unpin(a, &d.pin);
    ARENA_END(a);
}

/* Killed while it fills, and when it had published: nothing but the published value stays. */
static void a_dead_processs_drafts_go(void)
{
    shoal_arena *a = arena_new("killed", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    uint64_t used = stats_of(a).used;
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_draft d, e;
        shoal_after_fork(a);
        REQUIRE_CHILD(begin(a, &ns, "key", LARGE, &d) == SHOAL_OK && begin(a, &ns, "lost", LARGE, &e) == SHOAL_OK);
        pattern_fill(d.data, 2, LARGE);
        REQUIRE_CHILD(publish(a, &ns, "key", &d, SHOAL_IF_ANY) == SHOAL_OK);
        kill(getpid(), SIGKILL);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(stats_of(a).pinned_bytes >= 2 * LARGE);
    CHECK_SOUND(a);
    arena_reap(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    CHECK_EQ(stats_of(a).used, used);
    CHECK_STATUS(get_pattern(a, &ns, "key", 2, LARGE), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "lost", 2, LARGE), SHOAL_MISS);
    ARENA_END(a);
}

/* Children may help to fill a draft. It is the parent's to publish, and stays where it is as long as they have it. */
static void a_forked_childs_draft_is_the_parents(void)
{
    shoal_arena *a = arena_new("child", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_draft d;
    int ends[2];
    char byte;
    REQUIRE(pipe(ends) == 0);
    for (unsigned i = 0; i < 10; i++) /* what the table takes for them, it keeps */
        CHECK_STATUS(put_pattern(a, &ns, numbered("other", i), i, LARGE, false), SHOAL_OK);
    for (unsigned i = 0; i < 10; i++)
        CHECK_STATUS(del(a, &ns, numbered("other", i)), SHOAL_OK);
    uint64_t used = stats_of(a).used;
    REQUIRE(begin(a, &ns, "key", LARGE, &d) == SHOAL_OK);
    shoal_before_fork(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(publish(a, &ns, "key", &d, SHOAL_IF_ANY) == SHOAL_INVALID);
        REQUIRE_CHILD(read(ends[0], &byte, 1) == 1);
        pattern_fill(d.data, 1, LARGE); /* the parent has given it up */
        shoal_unpin(a, &d.pin);
        shoal_close(a);
        _exit(0);
    }
    shoal_after_fork_in_parent(a);
    shoal_unpin(a, &d.pin);
    for (unsigned i = 0; i < 10; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("other", i), i, LARGE, false), SHOAL_OK);
    CHECK(write(ends[1], "!", 1) == 1);
    CHECK(child_ok(pid));
    for (unsigned i = 0; i < 10; i++) {
        CHECK_STATUS(get_pattern(a, &ns, numbered("other", i), i, LARGE), SHOAL_OK);
        CHECK_STATUS(del(a, &ns, numbered("other", i)), SHOAL_OK);
    }
    CHECK_STATUS(get_pattern(a, &ns, "key", 1, LARGE), SHOAL_MISS);
    CHECK_EQ(stats_of(a).used, used);
    close(ends[0]);
    close(ends[1]);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(a_draft_appears_when_it_is_published);
    RUN(a_discarded_draft_leaves_nothing);
    RUN(a_refusal_leaves_the_draft_as_it_was);
    RUN(what_cannot_be_a_draft_says_so);
    RUN(a_namespace_that_goes_takes_no_draft);
    RUN(a_draft_may_be_a_field);
    RUN(room_is_made_for_a_draft);
    RUN(a_dead_processs_drafts_go);
    RUN(a_forked_childs_draft_is_the_parents);
    return check_report();
}

int main(void) { return fixture_main(tests); }
