/* Locks that somebody alive holds: every call says BUSY when its wait is over, or does without, changes nothing if it did not do all,
 * and goes on as if nothing had been as soon as the lock is free. Interrupted waits are told apart from long ones. */
#include "busy.h"

/* ---- calls */

static shoal_status read_small(world *w, int64_t wait)
{
    shoal_meta meta;
    return shoal_get(w->a, &w->keys, "small", 5, NULL, 0, 0, &meta, wait);
}
static shoal_status put_new(world *w, int64_t wait) { return put_sized(w, &w->keys, "new", 5, wait); }
static shoal_status put_over(world *w, int64_t wait) { return put_sized(w, &w->keys, "small", 6, wait); }
static shoal_status put_of_a_new_class(world *w, int64_t wait) { return put_sized(w, &w->keys, "new", 20000, wait); }
static shoal_status delete_small(world *w, int64_t wait) { return shoal_delete(w->a, &w->keys, "small", 5, NULL, wait); }
static shoal_status touch_small(world *w, int64_t wait) { return shoal_touch(w->a, &w->keys, "small", 5, SECOND, wait); }
static shoal_status incr_number(world *w, int64_t wait)
{
    shoal_number one = {.i = 1}, sum;
    return shoal_incr(w->a, &w->keys, "number", 6, &one, &one, SHOAL_TTL_KEEP, &sum, wait);
}
static shoal_status pin_large(world *w, int64_t wait)
{
    shoal_status status = shoal_pin_take(w->a, &w->keys, "large", 5, &w->pin, wait);
    if (status == SHOAL_OK)
        shoal_unpin(w->a, &w->pin);
    return status;
}
static shoal_status draft_large(world *w, int64_t wait)
{
    shoal_draft draft;
    shoal_status status = shoal_draft_begin(w->a, &w->keys, "draft", 5, LARGE, &draft, wait);
    if (status == SHOAL_OK)
        shoal_unpin(w->a, &draft.pin);
    return status;
}
static shoal_status list_keys(world *w, int64_t wait)
{
    shoal_bytes out;
    shoal_status status = shoal_keys(w->a, &w->keys, 0, "", 0, &out, wait);
    shoal_bytes_free(&out);
    return status;
}
static shoal_status count_keys(world *w, int64_t wait)
{
    shoal_namespace_stats count;
    return shoal_namespace_count(w->a, &w->keys, &count, wait);
}
static shoal_status limited_new(world *w, int64_t wait) { return put_sized(w, &w->limited, "third", 5, wait); }
static shoal_status limited_delete(world *w, int64_t wait) { return shoal_delete(w->a, &w->limited, "first", 5, NULL, wait); }
static shoal_status limited_pop(world *w, int64_t wait)
{
    shoal_bytes old;
    shoal_status status = shoal_delete(w->a, &w->limited, "second", 6, &old, wait);
    CHECK_EQ(old.data != NULL, status == SHOAL_OK);
    shoal_bytes_free(&old);
    return status;
}
static shoal_status limited_clear(world *w, int64_t wait)
{
    uint64_t count;
    return shoal_namespace_clear(w->a, &w->limited, &count, wait);
}
static shoal_status open_new(world *w, int64_t wait)
{
    shoal_namespace ns;
    return shoal_namespace_open(w->a, "fresh", 5, true, NULL, &ns, wait);
}
static shoal_status open_old(world *w, int64_t wait)
{
    shoal_namespace ns;
    return shoal_namespace_open(w->a, "limited", 7, true, NULL, &ns, wait);
}
static shoal_status drop_limited(world *w, int64_t wait)
{
    shoal_status status = shoal_namespace_drop(w->a, &w->limited, wait);
    return status;
}
static shoal_status drop_home(world *w, int64_t wait) /* with its tree, which goes first */
{
    shoal_namespace tree;
    if (shoal_tree_open(w->a, &w->limited, false, &tree, WAIT) == SHOAL_NOT_FOUND)
        shoal_tree_open(w->a, &w->limited, true, &tree, wait);
    return shoal_namespace_drop(w->a, &w->limited, wait);
}
static shoal_status limit_keys(world *w, int64_t wait)
{
    return shoal_namespace_set_config(w->a, &w->keys, &(shoal_namespace_config){.max_keys = 10}, wait);
}
static shoal_status change_limit(world *w, int64_t wait)
{
    return shoal_namespace_set_config(w->a, &w->limited, &(shoal_namespace_config){.max_keys = 4}, wait);
}
static shoal_status set_way_to_large(world *w, int64_t wait) { return put_sized(w, &w->tree, names("n.e.w"), LARGE, wait); }
static shoal_status list_fields(world *w, int64_t wait)
{
    shoal_bytes out;
    shoal_status status = shoal_fields(w->a, &w->tree, "a", 1, 0, &out, wait);
    shoal_bytes_free(&out);
    return status;
}
static shoal_status verify_all(world *w, int64_t wait)
{
    unsigned lines = 0;
    return shoal_verify(w->a, arena_report, &lines, wait);
}
static shoal_status sweep_arena(world *w, int64_t wait) { return shoal_sweep(w->a, wait); }
static shoal_status reap_all(world *w, int64_t wait) { return shoal_reap(w->a, wait); }

enum { OK = SHOAL_OK, BUSY = SHOAL_BUSY };

static const struct {
    const char *name;
    shoal_status (*call)(world *w, int64_t wait);
    int answers[LOCKS]; /* while somebody holds it: */
} calls[] = {/*                            shard pages names count */
    {"get", read_small,                   {OK,   OK,   OK,   OK}},
    {"put of a new key", put_new,         {BUSY, OK,   OK,   OK}},
    {"put over a value", put_over,        {BUSY, OK,   OK,   OK}},
    {"put of a large value", put_large,   {BUSY, BUSY, OK,   OK}},
    {"put that needs a run", put_of_a_new_class, {BUSY, BUSY, OK, OK}},
    {"delete", delete_small,              {BUSY, OK,   OK,   OK}},
    {"touch", touch_small,                {BUSY, OK,   OK,   OK}},
    {"incr", incr_number,                 {BUSY, OK,   OK,   OK}},
    {"pin", pin_large,                    {BUSY, OK,   OK,   OK}},
    {"draft", draft_large,                {BUSY, BUSY, OK,   OK}},
    {"keys", list_keys,                   {BUSY, OK,   OK,   OK}},
    {"count", count_keys,                 {BUSY, OK,   OK,   OK}},
    {"put within a limit", limited_new,   {BUSY, OK,   OK,   BUSY}},
    {"put over a limited value", limited_over, {BUSY, OK, OK, OK}},
    {"delete within a limit", limited_delete, {BUSY, OK, OK, BUSY}},
    {"pop within a limit", limited_pop,   {BUSY, OK,   OK,   BUSY}},
    {"clear within a limit", limited_clear, {BUSY, OK, OK,   BUSY}},
    {"a new namespace", open_new,         {OK,   OK,   BUSY, OK}},
    {"a namespace that is there", open_old, {OK, OK,   OK,   OK}},
    {"drop", drop_limited,                {BUSY, OK,   BUSY, BUSY}},
    {"drop with a tree", drop_home,       {BUSY, OK,   BUSY, BUSY}},
    {"a limit where none was", limit_keys, {BUSY, OK,  BUSY, OK}},
    {"another limit", change_limit,       {OK,   OK,   BUSY, OK}},
    {"a field and its way", set_way,      {BUSY, OK,   OK,   OK}},
    {"a large field and its way", set_way_to_large, {BUSY, BUSY, OK, OK}},
    {"fields", list_fields,               {BUSY, OK,   OK,   OK}},
    {"clear of a tree", clear_tree,       {BUSY, OK,   OK,   OK}},
    {"verify", verify_all,                {BUSY, BUSY, OK,   OK}},
    {"sweep", sweep_arena,                  {BUSY, BUSY, OK,   OK}},
    {"reap", reap_all,                    {OK,   OK,   OK,   OK}},
};
enum { CALLS = sizeof calls / sizeof *calls };

static void check_answer(unsigned i, int lock)
{
    unsigned before = check_failures;
    world w;
    world_make(&w);
    shoal_lock *held = lock_of(&w, lock);
    held->word = w.a->lock_word; /* ours, so of somebody alive */
    CHECK_STATUS(calls[i].call(&w, 0), (shoal_status)calls[i].answers[lock]);
    held->word = 0;
    CHECK_SOUND(w.a);
    if (calls[i].answers[lock] == BUSY) {
        CHECK_TEXT(get_text(w.a, &w.keys, "small"), "value");
        CHECK_STATUS(calls[i].call(&w, WAIT), SHOAL_OK);
    }
    ARENA_END(w.a);
    if (check_failures != before)
        fprintf(stderr, "  %s, lock %d\n", calls[i].name, lock);
}

static void every_call_says_busy_or_does_without(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        for (int lock = 0; lock < LOCKS; lock++)
            check_answer(i, lock);
}

static int interrupt(void *context) { return ++*(int *)context; }

/* The hook runs while no lock is held: so of the first that a call takes. */
static void a_wait_for_the_first_lock_is_interrupted(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        for (int lock = SHARD; lock <= NAMES; lock += NAMES - SHARD) {
            if (calls[i].answers[lock] != BUSY || (lock == SHARD && calls[i].answers[NAMES] == BUSY))
                continue;
            world w;
            int hooks = 0;
            world_make(&w);
            shoal_lock *held = lock_of(&w, lock);
            shoal_set_wait_hook(w.a, interrupt, &hooks);
            held->word = w.a->lock_word;
            CHECK_STATUS(calls[i].call(&w, WAIT), SHOAL_INTERRUPTED);
            CHECK(hooks > 0);
            held->word = 0;
            ARENA_END(w.a);
        }
}

/* A mapping that may not lock has nothing to wait for but a bucket that somebody is changing. */
static void a_reader_is_interrupted_or_gives_up(void)
{
    world w;
    int hooks = 0;
    world_make(&w);
    world r = w;
    r.a = arena_attach("busy", 'r');
    for (uint64_t i = 0; i < w.a->shards[0].nbuckets; i++)
        table_begin(bucket_at(w.a, &w.a->shards[0], i));
    shoal_status (*const reads[])(world *, int64_t) = {read_small, list_keys, list_fields};
    for (unsigned i = 0; i < 3; i++) {
        CHECK_STATUS(reads[i](&r, 0), SHOAL_BUSY);
        CHECK_STATUS(reads[i](&r, MILLISECOND), SHOAL_BUSY);
        shoal_set_wait_hook(r.a, interrupt, &hooks);
        CHECK_STATUS(reads[i](&r, WAIT), SHOAL_INTERRUPTED);
        shoal_set_wait_hook(r.a, NULL, NULL);
    }
    for (uint64_t i = 0; i < w.a->shards[0].nbuckets; i++)
        table_end(bucket_at(w.a, &w.a->shards[0], i));
    for (unsigned i = 0; i < 3; i++)
        CHECK_STATUS(reads[i](&r, 0), SHOAL_OK);
    shoal_close(r.a);
    ARENA_END(w.a);
}

static int go_on_once(void *context) { return ++*(int *)context > 1; }

/* A hook that does not interrupt is asked again, until it does. */
static void a_hook_that_lets_go_on(void)
{
    world w;
    int hooks = 0;
    shoal_meta meta;
    world_make(&w);
    world r = w;
    r.a = arena_attach("busy", 'r');
    shoal_set_wait_hook(w.a, go_on_once, &hooks);
    shoal_set_wait_hook(r.a, go_on_once, &hooks);
    w.a->shards[0].lock.word = w.a->lock_word;
    CHECK_STATUS(put_over(&w, WAIT), SHOAL_INTERRUPTED);
    CHECK_EQ(hooks, 2);
    for (uint64_t i = 0; i < w.a->shards[0].nbuckets; i++)
        table_begin(bucket_at(w.a, &w.a->shards[0], i));
    hooks = 0;
    CHECK_STATUS(read_small(&r, WAIT), SHOAL_INTERRUPTED);
    hooks = 0;
    CHECK_STATUS(list_keys(&r, WAIT), SHOAL_INTERRUPTED);
    CHECK_EQ(hooks, 2);
    shoal_set_wait_hook(w.a, NULL, NULL);
    CHECK_STATUS(read_small(&w, MILLISECOND), SHOAL_BUSY); /* what is in the middle of a change is read under the lock */
    w.a->shards[0].lock.word = 0;
    CHECK_STATUS(peek(w.a, &w.keys, "absent", 6, &meta), SHOAL_MISS);
    CHECK_STATUS(read_small(&w, 0), SHOAL_OK);
    for (uint64_t i = 0; i < w.a->shards[0].nbuckets; i++)
        table_end(bucket_at(w.a, &w.a->shards[0], i));
    CHECK_STATUS(list_keys(&r, INT64_MAX), SHOAL_OK); /* for ever is long enough */
    shoal_close(r.a);
    ARENA_END(w.a);
}

static int tests(void)
{
    RUN(every_call_says_busy_or_does_without);
    RUN(a_wait_for_the_first_lock_is_interrupted);
    RUN(a_reader_is_interrupted_or_gives_up);
    RUN(a_hook_that_lets_go_on);
    return check_report();
}

int main(void) { return fixture_main(tests); }
