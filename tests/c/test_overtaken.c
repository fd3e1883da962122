/* What changes while a call waits for a lock. The call is known to wait as soon as the lock's word says that somebody does; then the
 * holder changes what the call had looked at before, and lets go. */
#include <pthread.h>

#include "lock.h"
#include "paths.h"
#include "process.h"
#include "tree.h"

#define LARGE ((size_t)50000)

typedef struct world {
    shoal_arena *a;
    shoal_namespace keys, space, tree;
    shoal_status (*call)(struct world *w);
    shoal_status answer;
} world;

static void *call(void *context)
{
    world *w = context;
    w->answer = w->call(w);
    return NULL;
}

static shoal_status overtaken(world *w, shoal_lock *lock, shoal_status (*what)(world *w), void (*meanwhile)(world *w))
{
    pthread_t thread;
    w->call = what;
    lock->word = w->a->lock_word;
    if (pthread_create(&thread, NULL, call, w) != 0)
        return SHOAL_OS;
    while (!(load_relaxed(&lock->word) & LOCK_WAITERS))
        cpu_relax();
    meanwhile(w);
    lock_drop(lock);
    pthread_join(thread, NULL);
    return w->answer;
}

static void world_make(world *w)
{
    *w = (world){.a = arena_new("overtaken", MIB)};
    w->keys = ns_default(w->a);
    w->space = ns_open(w->a, "space", 0, 3, SHOAL_EVICT_SIEVE);
    CHECK_STATUS(shoal_tree_open(w->a, &w->space, true, &w->tree, WAIT), SHOAL_OK);
    CHECK_STATUS(put(w->a, &w->space, "k", "v"), SHOAL_OK);
    CHECK_STATUS(put_pattern(w->a, &w->space, "large", 1, LARGE, false), SHOAL_OK);
    CHECK_STATUS(set(w->a, &w->tree, "o.f", "v"), SHOAL_OK);
}

/* ---- a namespace that is dropped */

static shoal_status do_put(world *w) { return put(w->a, &w->space, "k", "new"); }
static shoal_status do_delete(world *w) { return del(w->a, &w->space, "k"); }
static shoal_status do_pin(world *w)
{
    shoal_pin pin;
    return shoal_pin_take(w->a, &w->space, "large", 5, &pin, WAIT);
}
static shoal_status do_keys(world *w)
{
    shoal_bytes out;
    return shoal_keys(w->a, &w->space, 0, "", 0, &out, WAIT);
}
static shoal_status do_count(world *w)
{
    shoal_namespace_stats count;
    return shoal_namespace_count(w->a, &w->space, &count, WAIT);
}
static shoal_status do_fields(world *w)
{
    shoal_bytes out;
    return shoal_fields(w->a, &w->tree, "o", 1, 0, &out, WAIT);
}
static shoal_status do_clear_tree(world *w)
{
    uint64_t gone;
    return shoal_namespace_clear(w->a, &w->tree, &gone, WAIT);
}
static shoal_status do_drop(world *w) { return shoal_namespace_drop(w->a, &w->space, WAIT); }
static shoal_status do_config(world *w) { return shoal_namespace_set_config(w->a, &w->space, &(shoal_namespace_config){0}, WAIT); }
static shoal_status do_open_tree(world *w)
{
    shoal_namespace tree;
    return shoal_tree_open(w->a, &w->space, true, &tree, WAIT);
}

/* The first step of a drop, the one that everybody sees. */
static void drop_both(world *w)
{
    w->a->records[w->tree.id].uid = w->a->records[w->space.id].uid = 0;
}
static void drop_tree(world *w) { w->a->records[w->tree.id].uid = 0; }

static void a_namespace_that_goes_meanwhile_is_stale(void)
{
    shoal_status (*const calls[])(world *) = {do_put, do_delete, do_pin, do_keys, do_count, do_fields, do_clear_tree};
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        world w;
        world_make(&w);
        shoal_status status = overtaken(&w, &w.a->shards[0].lock, calls[i], drop_both);
        CHECK_STATUS(status, SHOAL_STALE);
        shoal_close(w.a);
    }
    shoal_status (*const names_calls[])(world *) = {do_drop, do_config};
    for (unsigned i = 0; i < sizeof names_calls / sizeof *names_calls; i++) {
        world w;
        world_make(&w);
        shoal_status status = overtaken(&w, &w.a->header->namespace_lock, names_calls[i], drop_both);
        CHECK_STATUS(status, SHOAL_STALE);
        shoal_close(w.a);
    }
}

static void nothing(world *w) { (void)w; }

/* The home of a tree is gone before the tree is: who finds the tree must not use it. */
static void a_tree_whose_home_goes_is_stale(void)
{
    world w;
    world_make(&w);
    w.a->records[w.space.id].uid = 0;
    CHECK_STATUS(do_open_tree(&w), SHOAL_STALE);
    w.a->records[w.space.id].uid = w.space.uid;
    drop_tree(&w);
    shoal_status status = overtaken(&w, &w.a->header->namespace_lock, do_open_tree, drop_both);
    CHECK_STATUS(status, SHOAL_STALE);
    shoal_close(w.a);
}

/* ---- another who makes, or removes, the same */

static shoal_status do_open_fresh(world *w)
{
    shoal_namespace ns;
    return shoal_namespace_open(w->a, "fresh", 5, true, NULL, &ns, WAIT);
}
static void make_fresh(world *w) /* as the holder of the lock may */
{
    shoal_namespace ns;
    shoal_lock *lock = &w->a->header->namespace_lock;
    uint64_t word = lock->word;
    lock->word = 0;
    CHECK_STATUS(shoal_namespace_open(w->a, "fresh", 5, true, NULL, &ns, WAIT), SHOAL_OK);
    lock->word = word;
}

static void who_comes_second_finds_what_the_first_made(void)
{
    world w;
    shoal_namespace ns;
    world_make(&w);
    /* Both have not found it; a third would find one. */
    shoal_status status = overtaken(&w, &w.a->header->namespace_lock, do_open_fresh, make_fresh);
    CHECK_STATUS(status, SHOAL_OK);
    uint64_t high = w.a->header->namespaces_high;
    CHECK_STATUS(shoal_namespace_open(w.a, "fresh", 5, true, NULL, &ns, WAIT), SHOAL_OK);
    CHECK_EQ(w.a->header->namespaces_high, high);
    ARENA_END(w.a);
}

/* A path of so many names as there may be, below an object that the handle knows. It is removed meanwhile: from the top it is too long. */
static shoal_base base;
static shoal_status do_put_deep(world *w)
{
    char path[300] = "o\xFFp";
    size_t n = 3;
    for (unsigned i = 0; i < SHOAL_DEPTH_MAX; i++) {
        path[n++] = (char)SHOAL_PATH_SEPARATOR;
        path[n++] = 'n';
    }
    shoal_namespace tree = w->tree;
    tree.base = &base;
    return shoal_put(w->a, &tree, path, n, &(shoal_put_args){.head = "v", .head_size = 1}, NULL, WAIT);
}
static void remove_object(world *w) /* as the holder of the lock may; to let go of it for shoal_delete would be to let the waiter in */
{
    target t;
    place p;
    waiting patience = {.wait = WAIT};
    CHECK_STATUS(target_make(w->a, &w->tree, "o", 1, &t), SHOAL_OK);
    CHECK_STATUS(target_find(w->a, &t, &p), SHOAL_OK);
    CHECK_STATUS(entry_remove(w->a, 0, &p, &patience), SHOAL_OK);
}

static void a_known_object_that_goes_meanwhile(void)
{
    world w;
    world_make(&w);
    base = (shoal_base){.prefix = 3};
    shoal_namespace tree = w.tree;
    tree.base = &base;
    CHECK_STATUS(put(w.a, &tree, "o\xFFp\xFFq", "v"), SHOAL_OK);
    CHECK_STATUS(put(w.a, &tree, "o\xFFp\xFFr", "v"), SHOAL_OK); /* known from here on */
    CHECK_STATUS(overtaken(&w, &w.a->shards[0].lock, do_put_deep, remove_object), SHOAL_INVALID);
    CHECK_STATUS(do_put_deep(&w), SHOAL_INVALID); /* and so it stays */
    CHECK_EQ(count_of(w.a, &w.tree), 0u);
    ARENA_END(w.a);
}

static void a_lock_that_is_let_go_is_had(void)
{
    world w;
    world_make(&w);
    CHECK_STATUS(overtaken(&w, &w.a->shards[0].lock, do_put, nothing), SHOAL_OK);
    CHECK_TEXT(get_text(w.a, &w.space, "k"), "new");
    ARENA_END(w.a);
}

static int tests(void)
{
    RUN(a_namespace_that_goes_meanwhile_is_stale);
    RUN(a_tree_whose_home_goes_is_stale);
    RUN(who_comes_second_finds_what_the_first_made);
    RUN(a_known_object_that_goes_meanwhile);
    RUN(a_lock_that_is_let_go_is_had);
    return check_report();
}

int main(void) { return fixture_main(tests); }
