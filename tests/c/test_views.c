/* Views: pins that last, and what becomes of them in forked children. */
#include "fixture.h"
#include "pins.h"
#include "process.h"
#include "recover.h"

#define LARGE ((size_t)100000)

static shoal_status view(shoal_arena *a, const shoal_namespace *ns, const char *key, shoal_pin *out)
{
    return shoal_view_take(a, ns, key, strlen(key), out, WAIT);
}

static uint32_t pins_of(shoal_arena *a, const shoal_pin *p) { return (uint32_t)a->map[page_of(a, (p->word & REF_MASK) << REF_SHIFT)].aux; }

/* As the binding does it: all three parts, in the right process. */
static pid_t fork_with(shoal_arena *a)
{
    shoal_before_fork(a);
    pid_t pid = fork_child();
    if (pid == 0)
        shoal_after_fork(a);
    else
        shoal_after_fork_in_parent(a);
    return pid;
}

/* Two pipes: the parent tells the child to go on, and the other way round. */
typedef struct talk {
    int down[2], up[2];
} talk;

static bool talk_open(talk *t) { return pipe(t->down) == 0 && pipe(t->up) == 0; }
static void talk_close(talk *t)
{
    for (int i = 0; i < 2; i++) {
        close(t->down[i]);
        close(t->up[i]);
    }
}
static void tell(const int ends[2]) { CHECK(write(ends[1], "!", 1) == 1); }
static bool hear(const int ends[2])
{
    char byte;
    return read(ends[0], &byte, 1) == 1;
}

static void a_view_counts_as_a_read(void)
{
    shoal_arena *a = arena_new("read", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, true) == SHOAL_OK);
    REQUIRE(put(a, &ns, "small", "x") == SHOAL_OK);
    CHECK_STATUS(view(a, &ns, "absent", &p), SHOAL_MISS);
    CHECK_STATUS(view(a, &ns, "small", &p), SHOAL_INVALID);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    CHECK_EQ(stats_of(a).hits, 1u);
    CHECK_EQ(stats_of(a).misses, 1u);
    CHECK(pattern_holds(p.data, 1, LARGE));
    shoal_unpin(a, &p);
    CHECK_EQ(a->pins.views, 0u);
    ARENA_END(a);
}

/* There is no instant at which only the parent's pin keeps what the child sees. */
static void a_forked_child_holds_pins_of_its_own(void)
{
    shoal_arena *a = arena_new("fork", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p, transient;
    talk t;
    REQUIRE(talk_open(&t));
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(shoal_pin_take(a, &ns, "key", 3, &transient, WAIT) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    pid_t pid = fork_with(a);
    if (pid == 0) {
        shoal_pin own;
        REQUIRE_CHILD(a->me != NULL && a->pins.views == 1);
        shoal_unpin(a, &transient); /* the parent's */
        REQUIRE_CHILD(hear(t.down) && pattern_holds(p.data, 1, LARGE) && pins_of(a, &p) == 1);
        REQUIRE_CHILD(put_pattern(a, &ns, "new", 9, LARGE, false) == SHOAL_OK && view(a, &ns, "new", &own) == SHOAL_OK);
        REQUIRE_CHILD(own.record != p.record && pattern_holds(p.data, 1, LARGE));
        shoal_unpin(a, &p);
        shoal_unpin(a, &own);
        REQUIRE_CHILD(a->pins.views == 0);
        tell(t.up);
        REQUIRE_CHILD(hear(t.down));
        shoal_close(a);
        _exit(0);
    }
    CHECK_EQ(pins_of(a, &p), 3u);
    if (os_has_claims()) /* else a child that has not begun looks like none */
        CHECK_EQ(stats_of(a).processes, 2u);
    shoal_unpin(a, &transient);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    shoal_unpin(a, &p);
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("other", i), i, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK(stats_of(a).pinned_bytes >= LARGE);
    tell(t.down);
    CHECK(hear(t.up));
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    tell(t.down);
    CHECK(child_ok(pid));
    CHECK_EQ(stats_of(a).processes, 1u);
    talk_close(&t);
    ARENA_END(a);
}

static void copies_pass_from_child_to_grandchild(void)
{
    shoal_arena *a = arena_new("grand", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    talk t;
    REQUIRE(talk_open(&t));
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    pid_t pid = fork_with(a);
    if (pid == 0) {
        pid_t grandchild = fork_with(a);
        if (grandchild == 0) {
            REQUIRE_CHILD(hear(t.down) && pattern_holds(p.data, 1, LARGE));
            shoal_unpin(a, &p);
            tell(t.up);
            _exit(0);
        }
        shoal_unpin(a, &p);
        REQUIRE_CHILD(child_ok(grandchild));
        _exit(0);
    }
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    shoal_unpin(a, &p);
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("other", i), i, LARGE, false), SHOAL_OK);
    tell(t.down);
    CHECK(hear(t.up));
    CHECK(child_ok(pid));
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    talk_close(&t);
    arena_reap(a);
    ARENA_END(a);
}

/* Without the part before the fork a child has no copies: what it inherited is the parent's alone. */
static void a_fork_unprepared_copies_nothing(void)
{
    shoal_arena *a = arena_new("unprepared", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_pin own;
        shoal_after_fork(a);
        REQUIRE_CHILD(view(a, &ns, "key", &own) == SHOAL_OK && own.record == p.record);
        shoal_unpin(a, &p);
        REQUIRE_CHILD(pins_of(a, &own) == 2);
        shoal_unpin(a, &own);
        REQUIRE_CHILD(pins_of(a, &own) == 1);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_EQ(pins_of(a, &p), 1u);
    shoal_unpin(a, &p);
    ARENA_END(a);
}

static void a_fork_that_fails_leaves_nothing(void)
{
    shoal_arena *a = arena_new("fails", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    if (!os_has_claims()) {
        SKIP("without claims a child that has not begun looks like none");
        shoal_close(a);
        return;
    }
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    for (int i = 0; i < 3; i++) {
        shoal_before_fork(a);
        CHECK_EQ(pins_of(a, &p), 2u);
        shoal_after_fork_in_parent(a);
        CHECK_EQ(pins_of(a, &p), 1u);
        CHECK_EQ(stats_of(a).processes, 1u);
        CHECK(!process_others(a));
    }
    shoal_before_fork(a); /* and once without any end */
    shoal_before_fork(a);
    CHECK_EQ(pins_of(a, &p), 2u);
    shoal_unpin(a, &p);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    CHECK_SOUND(a);
    shoal_close(a);
    CHECK(!arena_exists("fails"));
}

/* So many that both have segments; the numbers of the dropped ones are free in the child, the others' are not. */
static void copies_have_the_same_numbers(void)
{
    enum { COUNT = 3000 };
    static shoal_pin pins[COUNT];
    shoal_arena *a = arena_new("numbers", 8 * MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    for (uint32_t i = 0; i < COUNT; i++) /* every third a view */
        REQUIRE((i % 3 ? shoal_pin_take(a, &ns, "key", 3, &pins[i], WAIT) : view(a, &ns, "key", &pins[i])) == SHOAL_OK);
    for (uint32_t i = 1; i < COUNT; i += 3)
        shoal_unpin(a, &pins[i]);
    pid_t pid = fork_with(a);
    if (pid == 0) {
        static shoal_pin own[COUNT];
        REQUIRE_CHILD(pins_of(a, &pins[0]) == COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            REQUIRE_CHILD(view(a, &ns, "key", &own[i]) == SHOAL_OK);
        REQUIRE_CHILD(pins_of(a, &pins[0]) == 2 * COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            shoal_unpin(a, &pins[i]); /* of the views only */
        REQUIRE_CHILD(pins_of(a, &pins[0]) == 2 * COUNT - COUNT / 3);
        for (uint32_t i = 0; i < COUNT; i++)
            shoal_unpin(a, &own[i]);
        REQUIRE_CHILD(pins_of(a, &pins[0]) == COUNT - COUNT / 3 && a->pins.views == 0);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_EQ(pins_of(a, &pins[0]), (uint32_t)(COUNT - COUNT / 3));
    CHECK_SOUND(a);
    for (uint32_t i = 0; i < COUNT; i++)
        shoal_unpin(a, &pins[i]);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

static void the_copies_of_a_killed_child_are_reaped(void)
{
    shoal_arena *a = arena_new("killed", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    talk t;
    REQUIRE(talk_open(&t));
    pid_t pid = fork_with(a);
    if (pid == 0) {
        tell(t.up);
        for (;;)
            pause();
    }
    CHECK(hear(t.up));
    talk_close(&t);
    CHECK_EQ(pins_of(a, &p), 2u);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    arena_reap(a);
    CHECK_EQ(pins_of(a, &p), 1u);
    shoal_unpin(a, &p);
    ARENA_END(a);
}

/* Of a pin whose shard's lock a stopped process has, the child gets no copy; its number is not used for another. */
static void a_copy_that_cannot_be_made_keeps_its_number(void)
{
    shoal_arena *a = arena_new("void", 4 * MIB), *b = arena_attach("void", 'w');
    shoal_namespace ns = ns_default(a);
    shoal_pin p, own;
    waiting w = {.wait = MILLISECOND, .quiet = true};
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    a->shards[0].lock.word = b->lock_word;
    CHECK_STATUS(pins_copy(a, b->me, &w), SHOAL_OK);
    a->shards[0].lock.word = 0;
    CHECK_EQ(pins_of(a, &p), 1u);
    b->pins.owner = a->pins.owner;
    CHECK_STATUS(pins_begin(b, true), SHOAL_OK); /* as that child would */
    REQUIRE(view(b, &ns, "key", &own) == SHOAL_OK);
    CHECK(own.record != p.record);
    shoal_pin inherited = p;
    shoal_unpin(b, &inherited);
    CHECK_EQ(pins_of(a, &p), 2u);
    CHECK_SOUND(a);
    shoal_close(b);
    CHECK_EQ(pins_of(a, &p), 1u);
    shoal_unpin(a, &p);
    ARENA_END(a);
}

/* At the end of a process what was viewed can still be read. */
static void quitting_leaves_the_memory_mapped(void)
{
    shoal_arena *a = arena_new("quit", 4 * MIB), *b = arena_attach("quit", 'w'), *c = arena_attach("quit", 'w');
    shoal_namespace ns = ns_default(a);
    shoal_pin p, q;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(view(a, &ns, "key", &p) == SHOAL_OK);
    REQUIRE(view(b, &ns, "key", &q) == SHOAL_OK);
    shoal_quit(a, false);
    CHECK(pattern_holds(p.data, 1, LARGE));
    shoal_unpin(a, &p);
    CHECK_EQ(stats_of(c).processes, 2u);
    shoal_quit(b, true);
    CHECK_EQ(stats_of(c).processes, 2u);
    CHECK_EQ(pins_of(c, &q), 1u);
    shoal_unpin(b, &q);
    shoal_close(b);
    CHECK(arena_exists("quit"));
    ARENA_END(c);
    CHECK(!arena_exists("quit"));
    CHECK(pattern_holds(p.data, 1, LARGE));
    shoal_close(a); /* for the leak checker: nobody does */
}

static int tests(void)
{
    RUN(a_view_counts_as_a_read);
    RUN(a_forked_child_holds_pins_of_its_own);
    RUN(copies_pass_from_child_to_grandchild);
    RUN(a_fork_unprepared_copies_nothing);
    RUN(a_fork_that_fails_leaves_nothing);
    RUN(copies_have_the_same_numbers);
    RUN(the_copies_of_a_killed_child_are_reaped);
    RUN(a_copy_that_cannot_be_made_keeps_its_number);
    RUN(quitting_leaves_the_memory_mapped);
    return check_report();
}

int main(void) { return fixture_main(tests); }
