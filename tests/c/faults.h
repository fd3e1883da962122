/* The operations that test_faults.c walks: what is there before, what is done, and what is there after it was done or refused. */
#ifndef SHOAL_TESTS_FAULTS_H
#define SHOAL_TESTS_FAULTS_H

#include "handle.h"
#include "paths.h"

typedef struct operation {
    const char *name;
    void (*setup)(shoal_arena *a, const shoal_namespace *ns); /* while there is memory */
    shoal_status (*act)(shoal_arena *a, const shoal_namespace *ns);
    void (*check)(shoal_arena *a, const shoal_namespace *ns, bool done);
    bool commits, allocates; /* it asks for memory of that kind */
    shoal_status also;       /* a status that says the same in this operation's terms */
} operation;

#define LARGE ((size_t)70000)

static uint8_t bytes[LARGE];
static bool leaving; /* a child that has done its part: the system's own calls on the way out are not refused */

static void nothing(shoal_arena *a, const shoal_namespace *ns) { (void)a, (void)ns; }
static void unchanged(shoal_arena *a, const shoal_namespace *ns, bool done) { (void)a, (void)ns, (void)done; }

static shoal_status put_size(shoal_arena *a, const shoal_namespace *ns, const char *key, size_t size, shoal_bytes *old)
{
    shoal_put_args args = {.head = bytes, .head_size = size, .ttl = SHOAL_TTL_DEFAULT, .old = old};
    return shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
}

static size_t size_of(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    shoal_meta meta = {0};
    return peek(a, ns, key, strlen(key), &meta) == SHOAL_OK ? meta.size : SIZE_MAX;
}

#define PUT(label, size) \
    static shoal_status put_##label(shoal_arena *a, const shoal_namespace *ns) { return put_size(a, ns, "key", size, NULL); } \
    static void has_##label(shoal_arena *a, const shoal_namespace *ns, bool done) \
    { \
        CHECK_EQ(size_of(a, ns, "key"), done ? (size_t)(size) : SIZE_MAX); \
    }
PUT(tiny, 1)
PUT(medium, 3000)
PUT(page_sized, 30000)
PUT(run, LARGE)

static void old_run(shoal_arena *a, const shoal_namespace *ns)
{
    CHECK_STATUS(put_size(a, ns, "key", LARGE - 5000, NULL), SHOAL_OK);
}
static void old_tiny(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "old"), SHOAL_OK); }
static void run_replaced(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_EQ(size_of(a, ns, "key"), done ? LARGE : LARGE - 5000);
}
static void run_or_tiny(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_EQ(size_of(a, ns, "key"), done ? LARGE : 3u);
}

static shoal_status swap(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes old = {0};
    shoal_status status = put_size(a, ns, "key", 1000, &old);
    CHECK_EQ(old.data != NULL, status == SHOAL_OK);
    shoal_bytes_free(&old);
    return status;
}
static void swapped(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_EQ(size_of(a, ns, "key"), done ? 1000u : 3u);
}

static shoal_status pop(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes old = {0};
    shoal_status status = shoal_delete(a, ns, "key", 3, &old, WAIT);
    shoal_bytes_free(&old);
    return status;
}
static void popped(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_TEXT(get_text(a, ns, "key"), done ? "(miss)" : "old");
}

enum { MANY = 130 }; /* more entries than what is left of a page has room for */

static shoal_status count_up(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_number one = {.i = 1}, zero = {0}, sum;
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0; i < MANY && status == SHOAL_OK; i++) {
        const char *key = numbered("key", i);
        status = shoal_incr(a, ns, key, strlen(key), &one, &zero, 0, &sum, WAIT);
    }
    return status;
}
static void counted(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK(!done || keys_of(a, ns, "key") == MANY); }

static void many_old(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < MANY; i++)
        CHECK_STATUS(put(a, ns, numbered("key", i), "old"), SHOAL_OK);
}
static shoal_status touch(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0; i < MANY && status == SHOAL_OK; i++)
        status = shoal_touch(a, ns, numbered("key", i), strlen(numbered("key", i)), 100 * SECOND, WAIT);
    return status;
}
static void touched(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_TEXT(get_text(a, ns, numbered("key", i)), "old");
        CHECK(!done || stat_of(a, ns, numbered("key", i)).expires_ns != 0);
    }
}

/* The next insert splits a bucket: a new segment of the table with it. */
static void before_a_split(shoal_arena *a, const shoal_namespace *ns)
{
    unsigned i = 0;
    while (a->shards[0].nbuckets < 256 || (a->shards[0].entries + 1) * 100 <= a->shards[0].nbuckets * BUCKET_SLOTS * 80)
        CHECK_STATUS(put(a, ns, numbered("fill", i++), ""), SHOAL_OK);
}
static shoal_status insert_many(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0; i < MANY && status == SHOAL_OK; i++)
        status = put(a, ns, numbered("key", i), "");
    return status;
}
static void inserted(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK(!done || keys_of(a, ns, "key") == MANY); }

static shoal_status new_namespace(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_config config = {.max_keys = 3};
    shoal_namespace fresh;
    shoal_status status = SHOAL_OK;
    (void)ns;
    for (unsigned i = 0; i < 40 && status == SHOAL_OK; i++) { /* records and heads of the next pages, too */
        const char *name = numbered("space", i);
        status = shoal_namespace_open(a, name, strlen(name), true, &config, &fresh, WAIT);
        if (status == SHOAL_OK)
            status = put(a, &fresh, "k", "v");
    }
    return status;
}
static void drop_spaces(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace space;
    unsigned found = 0;
    (void)ns;
    for (unsigned i = 0; i < 40; i++) {
        const char *name = numbered("space", i);
        shoal_status status = shoal_namespace_open(a, name, strlen(name), false, NULL, &space, WAIT);
        CHECK(status == SHOAL_OK || status == SHOAL_NOT_FOUND);
        found += status == SHOAL_OK;
    }
    CHECK(!done || found == 40);
}

static void limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace space = ns_open(a, "limited", 0, 2, SHOAL_EVICT_SIEVE);
    (void)ns;
    CHECK_STATUS(put(a, &space, "one", "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &space, "two", "v"), SHOAL_OK);
}
static shoal_status evict_one(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace space;
    (void)ns;
    shoal_status status = shoal_namespace_open(a, "limited", 7, false, NULL, &space, WAIT);
    return status == SHOAL_OK ? put_size(a, &space, "three", LARGE, NULL) : status;
}
static void two_of_three(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace space = ns_open(a, "limited", 0, 2, SHOAL_EVICT_SIEVE);
    (void)ns;
    CHECK(count_of(a, &space) <= 2); /* evictions make room, or try to */
    CHECK_EQ(size_of(a, &space, "three"), done ? LARGE : SIZE_MAX);
}
static shoal_status drop_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace space;
    (void)ns;
    shoal_status status = shoal_namespace_open(a, "limited", 7, false, NULL, &space, WAIT);
    return status == SHOAL_OK ? shoal_namespace_drop(a, &space, WAIT) : status;
}
static shoal_status clear(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace space;
    uint64_t count;
    (void)ns;
    shoal_status status = shoal_namespace_open(a, "limited", 7, false, NULL, &space, WAIT);
    return status == SHOAL_OK ? shoal_namespace_clear(a, &space, &count, WAIT) : status;
}
static shoal_status limit(shoal_arena *a, const shoal_namespace *ns)
{
    return shoal_namespace_set_config(a, ns, &(shoal_namespace_config){.max_keys = 100000}, WAIT);
}

static void plant(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    CHECK_STATUS(set(a, &tree, "top.field", "v"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "top.sub.deep", "v"), SHOAL_OK);
}
static shoal_status first_tree(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree;
    shoal_status status = shoal_tree_open(a, ns, true, &tree, WAIT);
    return status == SHOAL_OK ? set(a, &tree, "a.b.c", "new") : status;
}
static void way(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace tree;
    if (shoal_tree_open(a, ns, false, &tree, WAIT) == SHOAL_OK) {
        CHECK_TEXT(get(a, &tree, "a.b.c"), done ? "new" : "(miss)");
        CHECK_TEXT(get(a, &tree, "a"), done ? "(object)" : "(miss)");
    } else {
        CHECK(!done);
    }
}
static shoal_status make_way(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    shoal_put_args args = {.head = bytes, .head_size = 40000, .ttl = SHOAL_TTL_DEFAULT};
    (void)ns;
    return shoal_put(a, &tree, names("top.new.er.est"), strlen("top.new.er.est"), &args, NULL, WAIT);
}
static void planted(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    CHECK_TEXT(fields(a, &tree, "top"), done ? "field new/ sub/" : "field sub/");
    CHECK_TEXT(fields(a, &tree, "top.sub"), "deep");
}
static shoal_status flatten(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    shoal_put_args args = {.head = bytes, .head_size = 3000, .ttl = SHOAL_TTL_DEFAULT, .overwrite = true};
    (void)ns;
    return shoal_put(a, &tree, names("top.sub"), strlen("top.sub"), &args, NULL, WAIT);
}
static void flattened(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    CHECK_TEXT(fields(a, &tree, "top"), done ? "field sub" : "field sub/");
    CHECK_TEXT(get(a, &tree, "top.sub.deep"), done ? "(miss)" : "v");
}
static shoal_status new_object(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    return make(a, &tree, "top.sub", true);
}
static void emptied(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    CHECK_TEXT(fields(a, &tree, "top"), "field sub/");
    CHECK_TEXT(fields(a, &tree, "top.sub"), done ? "" : "deep");
}
static shoal_status cut(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    return drop(a, &tree, "top");
}
static void cut_down(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace tree = tree_of(a);
    (void)ns;
    CHECK_TEXT(get(a, &tree, "top.sub.deep"), done ? "(miss)" : "v");
}
static shoal_status list_fields(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree = tree_of(a);
    shoal_bytes out = {0};
    (void)ns;
    shoal_status status = shoal_fields(a, &tree, "top", 3, 0, &out, WAIT);
    shoal_bytes_free(&out);
    return status;
}
static shoal_status run_field(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace runs;
    uint32_t slot, generation;
    char path[64];
    shoal_status status = shoal_runs_open(a, ns, true, &runs, WAIT);
    if (status == SHOAL_OK)
        status = shoal_process(a, &slot, &generation);
    if (status != SHOAL_OK)
        return status;
    snprintf(path, sizeof path, "%u-%u.seen", slot, generation);
    return set(a, &runs, path, "v");
}

static shoal_status list_keys(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes out = {0};
    shoal_status status = shoal_keys(a, ns, 0, "", 0, &out, WAIT);
    shoal_bytes_free(&out);
    return status;
}

static shoal_status take_pin(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    shoal_status status = shoal_pin_take(a, ns, "key", 3, &pin, WAIT);
    if (status == SHOAL_OK)
        shoal_unpin(a, &pin);
    return status;
}
static void old_run_stays(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_EQ(size_of(a, ns, "key"), LARGE - 5000);
}

/* All of them until the records in the slot are used up: the next needs a segment. */
static shoal_pin pins[PIN_RECORDS + 1];
static shoal_status take_many_pins(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_status status = SHOAL_OK;
    unsigned n = 0;
    while (n < PIN_RECORDS + 1 && (status = shoal_view_take(a, ns, "key", 3, &pins[n], WAIT)) == SHOAL_OK)
        n++;
    while (n)
        shoal_unpin(a, &pins[--n]);
    return status;
}

static shoal_status draft(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_draft d;
    shoal_status status = shoal_draft_begin(a, ns, "key", 3, LARGE, &d, WAIT);
    if (status != SHOAL_OK)
        return status;
    memcpy(d.data, bytes, LARGE);
    shoal_put_args args = {.ttl = SHOAL_TTL_NEVER};
    status = shoal_draft_publish(a, ns, "key", 3, &d, &args, NULL, WAIT);
    shoal_unpin(a, &d.pin);
    return status;
}

static void expiring(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put_ttl(a, ns, numbered("gone", i), "v", 1), SHOAL_OK);
}
static shoal_status sweep(shoal_arena *a, const shoal_namespace *ns) { (void)ns; return shoal_sweep(a, WAIT); }
static void swept(shoal_arena *a, const shoal_namespace *ns, bool done) { (void)done; CHECK_EQ(keys_of(a, ns, "gone"), 0u); }
static shoal_status verify(shoal_arena *a, const shoal_namespace *ns) { (void)ns; return arena_verify(a); }

/* A dead owner: who takes the lock next recovers the shard. */
static void orphan_lock(shoal_arena *a, const shoal_namespace *ns)
{
    old_tiny(a, ns);
    a->shards[0].lock.word = LOCK_OWNER_MASK;
}

static shoal_status attach(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_arena *b;
    (void)a, (void)ns;
    shoal_status status = arena_open("faults", 'w', 0, &b);
    if (status == SHOAL_OK)
        shoal_close(b);
    return status;
}
static shoal_status attach_to_read(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_arena *b;
    (void)a, (void)ns;
    shoal_status status = arena_open("faults", 'r', 0, &b);
    if (status == SHOAL_OK)
        shoal_close(b);
    return status;
}
static shoal_status create(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_arena *b;
    (void)a, (void)ns;
    shoal_status status = arena_open("second", 'c', MIB, &b);
    if (status == SHOAL_OK)
        shoal_close(b);
    return status;
}
static void no_second(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)a, (void)ns, (void)done;
    CHECK(!arena_exists("second"));
}

/* With a view that the child is to have a pin of its own for. The child answers with the status of its first write. */
static shoal_status fork_with_a_view(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin view;
    int status = 0;
    CHECK_STATUS(shoal_view_take(a, ns, "key", 3, &view, WAIT), SHOAL_OK);
    shoal_before_fork(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        shoal_status wrote = put(a, ns, "k0", "the child's");
        if (wrote == SHOAL_OK && view.meta.size != LARGE - 5000)
            wrote = SHOAL_CORRUPT;
        shoal_unpin(a, &view);
        shoal_close(a);
        leaving = true;
        _exit((int)wrote);
    }
    shoal_after_fork_in_parent(a);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(memcmp(view.data, bytes, LARGE - 5000) == 0);
    shoal_unpin(a, &view);
    return (shoal_status)WEXITSTATUS(status);
}

static shoal_status repair(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_repaired out;
    unsigned lines = 0;
    (void)a, (void)ns;
    shoal_status status = shoal_repair(arena_name("damaged"), arena_report, &lines, WAIT, &out);
    CHECK(status != SHOAL_OK || out.kept >= 20);
    CHECK(lines == 0 && out.dropped == 0); /* all of it is whole */
    return status;
}
static void damaged(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_arena *b = arena_new("damaged", MIB);
    shoal_namespace other = ns_default(b);
    (void)a, (void)ns;
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put_size(b, &other, numbered("k", i), i * i * 100, NULL), SHOAL_OK);
    plant(b, &other);
    CHECK_STATUS(shoal_persist(b), SHOAL_OK);
    shoal_close(b);
}
static void mended(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_arena *b;
    (void)a, (void)ns, (void)done;
    CHECK_STATUS(arena_open("damaged", 'w', 0, &b), SHOAL_OK);
    shoal_namespace other = ns_default(b);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(size_of(b, &other, numbered("k", i)), (size_t)i * i * 100);
    CHECK_SOUND(b);
    shoal_close(b);
}

static const operation operations[] = {
    {"put of a new key", nothing, put_tiny, has_tiny, false, false, 0},
    {"put of 3 kB", nothing, put_medium, has_medium, true, false, 0},
    {"put of 30 kB", nothing, put_page_sized, has_page_sized, true, false, 0},
    {"put of 70 kB", nothing, put_run, has_run, true, false, 0},
    {"put over 65 kB", old_run, put_run, run_replaced, true, false, 0},
    {"put of 70 kB over a small value", old_tiny, put_run, run_or_tiny, true, false, 0},
    {"put that returns the old value", old_tiny, swap, swapped, true, true, 0},
    {"delete that returns the old value", old_tiny, pop, popped, false, true, 0},
    {"incr of new keys", nothing, count_up, counted, true, false, 0},
    {"touch that needs a longer header", many_old, touch, touched, true, false, 0},
    {"inserts that split buckets and chain others", before_a_split, insert_many, inserted, true, false, 0},
    {"new namespaces", nothing, new_namespace, drop_spaces, true, false, 0},
    {"put that evicts", limited, evict_one, two_of_three, true, false, 0},
    {"clear of a namespace", limited, clear, unchanged, false, false, 0},
    {"drop of a namespace", limited, drop_limited, unchanged, false, false, 0},
    {"a limit for a namespace", nothing, limit, unchanged, false, false, 0},
    {"first field of a tree", nothing, first_tree, way, true, false, 0},
    {"field with a way of new objects", plant, make_way, planted, true, false, 0},
    {"value over an object", plant, flatten, flattened, true, false, 0},
    {"new object over an object", plant, new_object, emptied, true, false, 0},
    {"delete of an object", plant, cut, cut_down, false, false, SHOAL_MISS},
    {"fields of an object", plant, list_fields, unchanged, false, true, 0},
    {"field of a run", nothing, run_field, unchanged, true, false, 0},
    {"list of keys", old_tiny, list_keys, unchanged, false, true, 0},
    {"pin", old_run, take_pin, old_run_stays, false, false, SHOAL_FULL_PINS},
    {"more pins than a slot holds", old_run, take_many_pins, old_run_stays, true, true, SHOAL_FULL_PINS},
    {"draft", old_run, draft, run_replaced, true, false, SHOAL_FULL_PINS},
    {"sweep", expiring, sweep, swept, false, false, 0},
    {"verify", old_tiny, verify, unchanged, false, true, 0},
    {"write that recovers a dead owner's shard", orphan_lock, put_run, run_or_tiny, true, true, 0},
    {"attach", nothing, attach, unchanged, true, true, 0},
    {"attach to read", nothing, attach_to_read, unchanged, false, true, 0},
    {"create", nothing, create, no_second, true, true, 0},
    {"fork with a view", old_run, fork_with_a_view, old_run_stays, true, true, SHOAL_FULL_PINS},
    {"repair", damaged, repair, mended, true, true, 0},
};

#endif
