/* Death at every instruction of what changes trees. */
#include "death.h"
#include "paths.h"

#ifdef DEATH

static shoal_namespace tree(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace tree;
    CHECK_STATUS(shoal_tree_open(a, ns, true, &tree, WAIT), SHOAL_OK);
    return tree;
}

/* "a.keep", "a.b.c.old", "a.b.x.y" and "a.b.x.z", in a namespace with other keys. */
static void plant(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    CHECK_STATUS(set(a, &t, "a.keep", "kept"), SHOAL_OK);
    CHECK_STATUS(set(a, &t, "a.b.c.old", "1"), SHOAL_OK);
    CHECK_STATUS(set(a, &t, "a.b.x.y", "2"), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, &t, names("a.b.x.z"), 5, LARGE, true), SHOAL_OK);
}

/* The subtree at a.b is whole, or it is what came instead: never a part of it. Counting finds what nobody reaches. */
static bool whole(shoal_arena *a, const shoal_namespace *t)
{
    CHECK_TEXT(get(a, t, "a.keep"), "kept");
    if (strcmp(get(a, t, "a.b"), "(object)") != 0 || strcmp(get(a, t, "a.b.c"), "(object)") != 0)
        return false;
    CHECK_TEXT(get(a, t, "a.b.c.old"), "1");
    CHECK_TEXT(get(a, t, "a.b.x.y"), "2");
    CHECK_STATUS(get_pattern(a, t, names("a.b.x.z"), 5, LARGE), SHOAL_OK);
    CHECK_TEXT(fields(a, t, "a"), "b/ keep");
    CHECK_TEXT(fields(a, t, "a.b"), "c/ x/");
    CHECK_TEXT(fields(a, t, "a.b.x"), "y z");
    return true;
}

/* Once the dead are cleared up: a, keep, and what the subtree holds. */
static void counted(shoal_arena *a, const shoal_namespace *t, uint64_t rest)
{
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(a, t), 2 + rest);
}

static void make_a_way(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    set(a, &t, "a.p.q.r.s", "new");
}
static void way_or_nothing(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    const char *got = get(a, &t, "a.p.q.r.s");
    bool made = strcmp(got, "new") == 0;
    CHECK(made || (!done && strcmp(got, "(miss)") == 0));
    if (made)
        CHECK_TEXT(fields(a, &t, "a.p.q.r"), "s");
    else
        CHECK_TEXT(get(a, &t, "a.p"), "(miss)"); /* no empty objects on a way that leads nowhere */
    CHECK_TEXT(fields(a, &t, "a"), made ? "b/ keep p/" : "b/ keep");
    CHECK_TEXT(get(a, &t, "a.keep"), "kept");
    counted(a, &t, 6 + (made ? 4 : 0));
}
static void making_a_way(void) { walk(&(scenario){plant, make_a_way, way_or_nothing}); }

static void first_of_all(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    set(a, &t, "p.q", "new");
}
static void first_or_nothing(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    bool made = strcmp(get(a, &t, "p.q"), "new") == 0;
    CHECK(made || !done);
    CHECK_TEXT(fields(a, &t, ""), made ? "p/" : "");
    CHECK_TEXT(get(a, &t, "p"), made ? "(object)" : "(miss)");
}
static void making_the_first_tree(void) { walk(&(scenario){nothing, first_of_all, first_or_nothing}); }

static void through_a_value(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    replace(a, &t, "a.b.c.old.p.q", "new");
}
static void value_or_way(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    bool made = strcmp(get(a, &t, "a.b.c.old"), "(object)") == 0;
    CHECK(made || !done);
    CHECK_TEXT(get(a, &t, made ? "a.b.c.old.p.q" : "a.b.c.old"), made ? "new" : "1");
    CHECK_TEXT(fields(a, &t, "a.b.c"), made ? "old/" : "old");
    counted(a, &t, 6 + (made ? 2 : 0));
}
static void a_value_makes_way(void) { walk(&(scenario){plant, through_a_value, value_or_way}); }

static void drop_subtree(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    drop(a, &t, "a.b");
}
static void whole_or_gone(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    bool there = whole(a, &t);
    CHECK(!there || !done);
    if (!there) {
        CHECK_TEXT(get(a, &t, "a.b"), "(miss)");
        CHECK_TEXT(get(a, &t, "a.b.x.y"), "(miss)");
        CHECK_TEXT(fields(a, &t, "a"), "keep");
    }
    counted(a, &t, there ? 6 : 0);
}
static void removing_a_subtree(void) { walk(&(scenario){plant, drop_subtree, whole_or_gone}); }

static void renew(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    make(a, &t, "a.b", true);
}
static void whole_or_empty(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    bool there = whole(a, &t);
    CHECK(!there || !done);
    if (!there)
        CHECK_TEXT(fields(a, &t, "a.b"), "");
    CHECK_TEXT(fields(a, &t, "a"), "b/ keep");
    counted(a, &t, there ? 6 : 1);
}
static void renewing_an_object(void) { walk(&(scenario){plant, renew, whole_or_empty}); }

static void flatten(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    replace(a, &t, "a.b", "flat");
}
static void whole_or_flat(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    bool there = whole(a, &t);
    CHECK(!there || !done);
    CHECK_TEXT(get(a, &t, "a.b"), there ? "(object)" : "flat");
    counted(a, &t, there ? 6 : 1);
}
static void a_value_for_a_subtree(void) { walk(&(scenario){plant, flatten, whole_or_flat}); }

static void clear_tree(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    uint64_t count;
    shoal_namespace_clear(a, &t, &count, WAIT);
}
static void whole_or_cleared(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    if (strcmp(get(a, &t, "a"), "(object)") == 0) {
        CHECK(!done);
        CHECK(whole(a, &t));
        counted(a, &t, 6);
    } else {
        CHECK_TEXT(fields(a, &t, ""), "");
        CHECK_TEXT(get(a, &t, "a.b.x.y"), "(miss)");
        CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
        CHECK_EQ(count_of(a, &t), 0u);
    }
}
static void clearing(void) { walk(&(scenario){plant, clear_tree, whole_or_cleared}); }

static void expire(shoal_arena *a, const shoal_namespace *ns)
{
    plant(a, ns);
    shoal_namespace t = tree(a, ns);
    CHECK_STATUS(shoal_touch(a, &t, names("a.b"), 3, 1, WAIT), SHOAL_OK);
    while (stat_of(a, &t, "a").version && strcmp(get(a, &t, "a.b"), "(miss)") != 0)
        ;
}
static void sweep(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    shoal_sweep(a, WAIT);
}
static void gone(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns);
    (void)done;
    CHECK(!whole(a, &t));
    CHECK_TEXT(get(a, &t, "a.b.x.y"), "(miss)");
    CHECK_TEXT(fields(a, &t, "a"), "keep");
    counted(a, &t, 0);
}
static void sweeping_an_expired_subtree(void) { walk(&(scenario){expire, sweep, gone}); }

static shoal_namespace second(shoal_arena *a) { return ns_open(a, "second", 0, 0, 0); }

static void plant_second(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = second(a);
    plant(a, &other);
    plant(a, ns);
    CHECK_STATUS(put(a, &other, "k", "v"), SHOAL_OK);
}
static void drop_second(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = second(a);
    (void)ns;
    shoal_namespace_drop(a, &other, WAIT);
}
static void no_memory_of_the_dropped(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace t = tree(a, ns), other, theirs;
    CHECK(whole(a, &t));
    if (shoal_namespace_open(a, "second", 6, false, NULL, &other, WAIT) == SHOAL_OK) {
        CHECK(!done);
        CHECK_STATUS(shoal_namespace_drop(a, &other, WAIT), SHOAL_OK);
    }
    other = second(a);
    CHECK_STATUS(shoal_tree_open(a, &other, false, &theirs, WAIT), SHOAL_NOT_FOUND);
    CHECK_EQ(count_of(a, &other), 0u);
    CHECK_STATUS(shoal_namespace_drop(a, &other, WAIT), SHOAL_OK);
}
static void dropping_a_namespace_with_memory(void) { walk(&(scenario){plant_second, drop_second, no_memory_of_the_dropped}); }

/* ---- cached ways of those who look on while somebody changes an object, stopped at every instruction */

enum { ONLOOKERS = 4096 };

/* a.b.x has no objects below it: nothing that is freed after it has others look anew as well. */
static void remove_x(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    drop(a, &t, "a.b.x");
}
static void renew_x(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    make(a, &t, "a.b.x", true);
}
static void flatten_x(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    replace(a, &t, "a.b.x", "flat");
}
static void expire_x(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace t = tree(a, ns);
    shoal_touch(a, &t, names("a.b.x"), 5, 1, WAIT);
}

static void look_on(void (*act)(shoal_arena *, const shoal_namespace *))
{
    shoal_namespace ns;
    shoal_arena *a = prepared(&(scenario){plant, nothing, NULL}, &ns);
    static shoal_base bases[ONLOOKERS];
    shoal_namespace plain = tree(a, &ns), t = plain;
    copy c = {0};
    unsigned lookers = 0;
    shoal_base known = {.prefix = 5};
    t.base = &known;
    CHECK_TEXT(get(a, &t, "a.b.x.y"), "2");
    pid_t pid = child_before(a, &ns, act);
    if (begin_steps(pid)) {
        int on = 1;
        copy_take(a, &c);
        while ((on = step(pid)) == 1 && lookers < ONLOOKERS)
            if (copy_take(a, &c)) {
                shoal_meta meta;
                shoal_base copied = known;
                shoal_status status = shoal_peek(a, &plain, names("a.b.x.y"), 7, NULL, 0, 0, &meta, 0);
                t.base = &copied; /* once somebody has seen that it is gone, nobody sees it */
                CHECK(shoal_peek(a, &t, names("a.b.x.y"), 7, NULL, 0, 0, &meta, 0) != SHOAL_OK || status != SHOAL_MISS);
                t.base = &bases[lookers];
                bases[lookers++] = (shoal_base){.prefix = 5};
                shoal_peek(a, &t, names("a.b.x.y"), 7, NULL, 0, 0, &meta, 0);
            }
        CHECK_EQ(on, 0);
        CHECK(lookers > 3);
        for (unsigned i = 0; i < lookers; i++) {
            t.base = &bases[i];
            CHECK_TEXT(get(a, &t, "a.b.x.y"), "(miss)");
        }
        CHECK_STATUS(replace(a, &plain, "a.b.x.y", "after"), SHOAL_OK);
        for (unsigned i = 0; i < lookers; i++) {
            t.base = &bases[i];
            CHECK_TEXT(get(a, &t, "a.b.x.y"), "after");
            CHECK_STATUS(set(a, &t, "a.b.x.by", numbered("", i)), SHOAL_OK);
            CHECK_TEXT(get(a, &plain, "a.b.x.by"), numbered("", i));
        }
        CHECK_SOUND(a);
    }
    end_steps(pid);
    free(c.bytes);
    finished(a);
}
static void looking_on_while_an_object_is_removed(void) { look_on(remove_x); }
static void looking_on_while_an_object_is_renewed(void) { look_on(renew_x); }
static void looking_on_while_a_value_replaces_an_object(void) { look_on(flatten_x); }
static void looking_on_while_an_object_expires(void) { look_on(expire_x); }

static void recovering(void)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("single steps through a recovery take too long with the address sanitizer");
#else
    walk_recovery(&(scenario){plant, drop_subtree, whole_or_gone}, 20);
    if (places_met) /* as in test_death.c */
        walk_recovery(&(scenario){plant, make_a_way, way_or_nothing}, 40);
#endif
}

static int tests(void)
{
    RUN(making_a_way);
    RUN(making_the_first_tree);
    RUN(a_value_makes_way);
    RUN(removing_a_subtree);
    RUN(renewing_an_object);
    RUN(a_value_for_a_subtree);
    RUN(clearing);
    RUN(sweeping_an_expired_subtree);
    RUN(dropping_a_namespace_with_memory);
    RUN(looking_on_while_an_object_is_removed);
    RUN(looking_on_while_an_object_is_renewed);
    RUN(looking_on_while_a_value_replaces_an_object);
    RUN(looking_on_while_an_object_expires);
    RUN(recovering);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
