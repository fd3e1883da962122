/* No memory for the n-th request, n = 1, 2, ... until the operation asks no more: of the arena's file system (os_commit), or of
 * the process (malloc, calloc, realloc). Each time: a status that says so, all that was there is there, the verifier is content, no
 * descriptor and no page is lost, and the same operation succeeds as soon as there is memory. */
#include "paths.h"

#ifdef __linux__
#include <sys/mman.h>

#include "handle.h"
#include "process.h"

/* ---- requests that fail */

typedef enum request { COMMIT, HEAP } request;

typedef struct faults {
    bool on, from_then_on; /* the n-th fails, or it and all after it */
    request which;
    unsigned calls, at;
} faults;

static faults *fault; /* with forked children */

static bool fails(request which)
{
    if (!fault || !fault->on || which != fault->which)
        return false;
    fault->calls++;
    return fault->calls == fault->at || (fault->from_then_on && fault->calls > fault->at);
}

int __real_os_commit(int fd, uint64_t offset, uint64_t length);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __wrap_os_commit(int fd, uint64_t offset, uint64_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

int __wrap_os_commit(int fd, uint64_t offset, uint64_t length)
{
    return fails(COMMIT) ? ENOSPC : __real_os_commit(fd, offset, length);
}
void *__wrap_malloc(size_t size) { return fails(HEAP) ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails(HEAP) ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return fails(HEAP) ? NULL : __real_realloc(old, size); }

static void fail_from(request which, unsigned at, bool from_then_on)
{
    fault->which = which;
    fault->at = at;
    fault->calls = 0;
    fault->from_then_on = from_then_on;
    fault->on = true;
}

static void fail_no_more(void) { fault->on = false; }

/* ---- operations */

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
    static void has_##label(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK_EQ(size_of(a, ns, "key"), done ? (size_t)(size) : SIZE_MAX); }
PUT(tiny, 1)
PUT(medium, 3000)
PUT(page_sized, 30000)
PUT(run, LARGE)

static void old_run(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put_size(a, ns, "key", LARGE - 5000, NULL), SHOAL_OK); }
static void old_tiny(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "old"), SHOAL_OK); }
static void run_replaced(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK_EQ(size_of(a, ns, "key"), done ? LARGE : LARGE - 5000); }
static void run_or_tiny(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK_EQ(size_of(a, ns, "key"), done ? LARGE : 3u); }

static shoal_status swap(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes old = {0};
    shoal_status status = put_size(a, ns, "key", 1000, &old);
    CHECK_EQ(old.data != NULL, status == SHOAL_OK);
    shoal_bytes_free(&old);
    return status;
}
static void swapped(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK_EQ(size_of(a, ns, "key"), done ? 1000u : 3u); }

static shoal_status pop(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes old = {0};
    shoal_status status = shoal_delete(a, ns, "key", 3, &old, WAIT);
    shoal_bytes_free(&old);
    return status;
}
static void popped(shoal_arena *a, const shoal_namespace *ns, bool done) { CHECK_TEXT(get_text(a, ns, "key"), done ? "(miss)" : "old"); }

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
static void old_run_stays(shoal_arena *a, const shoal_namespace *ns, bool done) { (void)done; CHECK_EQ(size_of(a, ns, "key"), LARGE - 5000); }

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
static void no_second(shoal_arena *a, const shoal_namespace *ns, bool done) { (void)a, (void)ns, (void)done; CHECK(!arena_exists("second")); }

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
enum { BASE = 12, SLACK = 8 * PAGE_SIZE }; /* tables differ with the arena's secret, and so do their overflow buckets */

/* ---- the walk */

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

static size_t base_size(unsigned i) { return i == 0 ? 11 : i == 1 ? LARGE : i * i * 50; }

/* What was there before, and is not concerned. */
static void base_is_there(shoal_arena *a, const shoal_namespace *ns)
{
    static uint8_t got[LARGE];
    shoal_meta meta;
    for (unsigned i = 0; i < BASE; i++) {
        const char *key = numbered("k", i);
        CHECK_STATUS(shoal_get(a, ns, key, strlen(key), got, 0, sizeof got, &meta, WAIT), SHOAL_OK);
        CHECK_EQ(meta.size, base_size(i));
        CHECK(i == 0 || memcmp(got, bytes, meta.size) == 0);
    }
}

/* All memory that the arena has is in use: whoever needs any must ask for it. */
static void use_up(shoal_arena *a)
{
    const size_t sizes[] = {LARGE, 40000, 30000, 20000, 12000, 8000, 4000, 3000, 2000, 1000, 700, 500, 300, 215, 200, 185, 170, 155, 140, 125, 110, 95, 80, 65, 50, 35, 20, 5, 0};
    shoal_namespace ballast = ns_open(a, "ballast", 0, 0, SHOAL_EVICT_ERROR);
    unsigned key = 0;
    fail_from(COMMIT, 1, true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned failed = 0; failed < 20; key++) /* one may lack a bucket, and the next not */
            failed += put_size(a, &ballast, numbered("", key), sizes[i], NULL) != SHOAL_OK;
    fail_no_more();
}

static shoal_arena *prepared(const operation *o, shoal_namespace *ns, bool full)
{
    shoal_arena *a = arena_new("faults", 2 * MIB);
    *ns = ns_default(a);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(put_size(a, ns, numbered("k", i), base_size(i), NULL), SHOAL_OK);
    o->setup(a, ns);
    if (full && a->shards[0].lock.word == 0)
        use_up(a);
    return a;
}

static void finished(shoal_arena *a)
{
    shoal_close(a);
    CHECK(!arena_exists("faults"));
    unlink(arena_path("damaged"));
}

static uint64_t used_without_fault(const operation *o, bool full)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(o, &ns, full);
    CHECK_STATUS(o->act(a, &ns), SHOAL_OK);
    uint64_t used = stats_of(a).used;
    finished(a);
    return used;
}

/* True: it failed, or got along without, and there may be more requests to let fail. */
static bool with_fault(const operation *o, request which, unsigned at, bool from_then_on, uint64_t used)
{
    unsigned before = check_failures;
    shoal_namespace ns;
    shoal_arena *a = prepared(o, &ns, which == COMMIT);
    shoal_status wanted = which == COMMIT ? SHOAL_FULL_SYSTEM : SHOAL_NO_MEMORY;
    unsigned open_before = descriptors();
    fail_from(which, at, from_then_on);
    shoal_status status = o->act(a, &ns);
    fail_no_more();
    bool reached = fault->calls >= at;
    if (status != SHOAL_OK && status != wanted && (o->also == SHOAL_OK || status != o->also))
        check_fail(__FILE__, __LINE__, "%s", shoal_status_name(status));
    CHECK(reached || status == SHOAL_OK);
    CHECK_EQ(descriptors(), open_before);
    CHECK_SOUND(a);
    base_is_there(a, &ns);
    o->check(a, &ns, status == SHOAL_OK);
    if (!os_has_claims()) /* what a child has left is found later there */
        arena_reap(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    if (status != SHOAL_OK)
        CHECK_STATUS(o->act(a, &ns), SHOAL_OK);
    CHECK_SOUND(a);
    base_is_there(a, &ns);
    o->check(a, &ns, true);
    CHECK(stats_of(a).used <= used + SLACK);
    if (check_failures != before)
        fprintf(stderr, "  %s: %s request %u%s\n", o->name, which == COMMIT ? "commit" : "heap", at, from_then_on ? " and all after it" : "");
    finished(a);
    return reached && check_failures == before;
}

static const operation *current;
static request kind;

static void walk(void)
{
    uint64_t used = used_without_fault(current, kind == COMMIT);
    unsigned n = 1;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++)
        for (n = 1; with_fault(current, kind, n, from_then_on != 0, used); n++)
            ;
    if ((kind == COMMIT ? current->commits : current->allocates) && n == 1 && check_failures == 0)
        check_fail(__FILE__, __LINE__, "it asked for nothing");
}

static void walk_all(request which, const char *title)
{
    printf("  %s:\n", title);
    kind = which;
    for (unsigned i = 0; i < sizeof operations / sizeof *operations; i++) {
        current = &operations[i];
        if (current->act == repair && !os_has_claims())
            continue; /* nobody can tell there that no one uses the arena */
        check_run(current->name, walk);
    }
}
#endif

static int tests(void)
{
#ifdef __linux__
    pattern_fill(bytes, 9, sizeof bytes);
    fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    walk_all(COMMIT, "the file system has no memory for the n-th request");
    walk_all(HEAP, "the process has no memory for the n-th request");
#else
    SKIP("the linker here cannot put a test between the core and its calls");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
