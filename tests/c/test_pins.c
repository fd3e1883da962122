/* Pins: bytes of large values stay where they are, across overwrite, delete and death. */
#include "fixture.h"
#include "pins.h"
#include "process.h"
#include "recover.h"

#define LARGE ((size_t)100000)

static shoal_status pin(shoal_arena *a, const shoal_namespace *ns, const char *key, shoal_pin *out)
{
    return shoal_pin_take(a, ns, key, strlen(key), out, WAIT);
}

static void pinned_bytes_outlive_overwrite_and_delete(void)
{
    shoal_arena *a = arena_new("outlive", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin one, two;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &one) == SHOAL_OK);
    CHECK_EQ(one.meta.size, (uint64_t)LARGE);
    REQUIRE(put_pattern(a, &ns, "key", 2, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &two) == SHOAL_OK);
    CHECK(two.meta.version > one.meta.version);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    for (uint64_t i = 3; i < 20; i++) /* whoever would reuse the memory */
        CHECK_STATUS(put_pattern(a, &ns, numbered("other", (unsigned)i), i, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK(pattern_holds(one.data, 1, LARGE));
    CHECK(pattern_holds(two.data, 2, LARGE));
    CHECK_EQ(stats_of(a).pinned_bytes, 2 * ((LARGE + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1)));
    CHECK_SOUND(a);
    uint64_t used = stats_of(a).used;
    shoal_unpin(a, &one);
    shoal_unpin(a, &two);
    CHECK(used - stats_of(a).used >= 2 * LARGE);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

static void several_pins_of_one_value_count(void)
{
    shoal_arena *a = arena_new("count", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin pins[5];
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, true) == SHOAL_OK);
    for (int i = 0; i < 5; i++)
        REQUIRE(pin(a, &ns, "key", &pins[i]) == SHOAL_OK);
    CHECK(((uintptr_t)pins[0].data - (uintptr_t)a->base) % 64 == 0);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    uint64_t used = stats_of(a).used;
    for (int i = 0; i < 5; i++) {
        CHECK(pattern_holds(pins[i].data, 1, LARGE));
        CHECK_EQ(stats_of(a).used, used);
        CHECK_SOUND(a);
        shoal_unpin(a, &pins[i]);
        shoal_unpin(a, &pins[i]); /* once more does no harm */
    }
    CHECK(stats_of(a).used < used);
    ARENA_END(a);
}

static void what_cannot_be_pinned_says_so(void)
{
    shoal_arena *a = arena_new("cannot", 4 * MIB), *reader;
    shoal_namespace ns = ns_default(a), stale;
    shoal_pin p;
    REQUIRE(put(a, &ns, "small", "value") == SHOAL_OK);
    CHECK_STATUS(pin(a, &ns, "small", &p), SHOAL_INVALID);
    CHECK_STATUS(pin(a, &ns, "absent", &p), SHOAL_MISS);
    CHECK_STATUS(put_pattern(a, &ns, "threshold", 1, SHOAL_PIN_THRESHOLD + 1, false), SHOAL_OK);
    CHECK_STATUS(pin(a, &ns, "threshold", &p), SHOAL_OK);
    shoal_unpin(a, &p);
    shoal_put_args args = {.head = "", .body = a->base, .body_size = LARGE, .ttl = MILLISECOND};
    REQUIRE(shoal_put(a, &ns, "expired", 7, &args, NULL, WAIT) == SHOAL_OK);
    sleep_until(shoal_clock_mono_ns() + 2 * MILLISECOND);
    CHECK_STATUS(pin(a, &ns, "expired", &p), SHOAL_MISS);
    stale = ns_open(a, "gone", 0, 0, 0);
    REQUIRE(put_pattern(a, &stale, "key", 1, LARGE, false) == SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &stale, WAIT), SHOAL_OK);
    CHECK_STATUS(pin(a, &stale, "key", &p), SHOAL_STALE);
    reader = arena_attach("cannot", 'r');
    CHECK_STATUS(pin(reader, &ns, "threshold", &p), SHOAL_READ_ONLY);
    shoal_close(reader);
    ARENA_END(a);
}

#define MANY 5000u

/* More than fit into the slot: segments of the arena hold the rest. */
static void thousands_of_pins_at_once(void)
{
    shoal_arena *a = arena_new("many", 4 * MIB), *b = arena_attach("many", 'w');
    shoal_namespace ns = ns_default(a);
    static shoal_pin pins[MANY];
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    uint64_t used = stats_of(a).used;
    for (uint32_t i = 0; i < MANY; i++)
        REQUIRE(pin(b, &ns, "key", &pins[i]) == SHOAL_OK);
    page_entry *run = &a->map[page_of(a, (pins[0].word & REF_MASK) << REF_SHIFT)];
    CHECK_EQ((uint32_t)run->aux, MANY);
    CHECK_EQ(stats_of(a).pinned_bytes, (LARGE + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1));
    CHECK_EQ((stats_of(a).used - used) >> PAGE_SHIFT, 1u + 2 + 4 + 8);
    CHECK_SOUND(a);
    for (uint32_t i = 0; i < MANY; i += 2)
        shoal_unpin(b, &pins[i]);
    CHECK_EQ((uint32_t)run->aux, MANY / 2);
    CHECK_SOUND(a);
    for (uint32_t i = 0; i < MANY; i += 2) { /* free numbers first: nothing grows */
        REQUIRE(pin(b, &ns, "key", &pins[i]) == SHOAL_OK);
        CHECK(pins[i].record < MANY);
    }
    a->map[page_of(a, (pins[0].word & REF_MASK) << REF_SHIFT)].aux = 0;
    a->shards[0].lock.word = LOCK_OWNER_MASK; /* recovery finds them all */
    CHECK_STATUS(put(a, &ns, "x", "y"), SHOAL_OK);
    CHECK_EQ((uint32_t)run->aux, MANY);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    CHECK(pattern_holds(pins[MANY - 1].data, 1, LARGE));
    for (uint32_t i = 0; i < MANY - 1; i++)
        shoal_unpin(b, &pins[(i * 7919u) % (MANY - 1)]);
    CHECK(pattern_holds(pins[MANY - 1].data, 1, LARGE));
    shoal_close(b); /* gives the segments back */
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    CHECK(stats_of(a).used < used);
    ARENA_END(a);
}

/* No page for more records: a pin says so, a write makes room first. */
static void records_need_room(void)
{
    shoal_arena *a = arena_new("room", MIB);
    shoal_namespace ns = ns_open(a, "sieve", 0, 0, SHOAL_EVICT_SIEVE);
    static shoal_pin pins[PIN_RECORDS + 1];
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    for (uint32_t i = 0; i < PIN_RECORDS; i++)
        REQUIRE(pin(a, &ns, "key", &pins[i]) == SHOAL_OK);
    uint64_t page;
    waiting w = {.wait = WAIT};
    while (pages_take(a, 1, PAGE_LARGE, 0, &page, &w) == SHOAL_OK) /* nobody's, so the verifier would say */
        a->map[page].aux = PAGE_ORPHAN;
    CHECK_STATUS(pin(a, &ns, "key", &pins[PIN_RECORDS]), SHOAL_FULL_PINS);
    a->shards[0].lock.word = LOCK_OWNER_MASK; /* recovery frees them */
    for (unsigned i = 0; stats_of(a).evicted == 0; i++) /* full, with entries that may go */
        REQUIRE(put_pattern(a, &ns, numbered("k", i), i, 3000, false) == SHOAL_OK);
    while (pages_take(a, 1, PAGE_LARGE, 0, &page, &w) == SHOAL_OK)
        a->map[page].aux = PAGE_ORPHAN;
    CHECK_STATUS(put_pattern(a, &ns, "large", 2, LARGE, false), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "large", 2, LARGE), SHOAL_OK);
    for (uint32_t i = 0; i < PIN_RECORDS; i++)
        shoal_unpin(a, &pins[i]);
    a->shards[0].lock.word = LOCK_OWNER_MASK;
    CHECK_STATUS(put(a, &ns, "x", "y"), SHOAL_OK);
    ARENA_END(a);
}

/* The lock of a pin's shard is held by somebody stopped: the pin goes later. */
static void a_pin_that_waits_for_a_lock_goes_later(void)
{
    shoal_arena *a = arena_new("later", 4 * MIB), *b = arena_attach("later", 'w');
    shoal_namespace ns = ns_default(a);
    shoal_pin p, q, again;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &p) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &q) == SHOAL_OK);
    again = p;
    page_entry *run = &a->map[page_of(a, (p.word & REF_MASK) << REF_SHIFT)];
    a->shards[0].lock.word = b->lock_word;
    CHECK(!shoal_unpin_at_once(a, &q));
    shoal_unpin(a, &p);
    shoal_unpin(a, &again); /* once more does no harm */
    CHECK_EQ(a->pins.left_count, 1u);
    CHECK_EQ((uint32_t)run->aux, 2u);
    a->shards[0].lock.word = 0;
    CHECK(pattern_holds(q.data, 1, LARGE));
    CHECK_STATUS(put_pattern(a, &ns, "other", 1, LARGE, false), SHOAL_OK);
    CHECK_EQ(a->pins.left_count, 0u);
    CHECK_EQ((uint32_t)run->aux, 1u);
    CHECK(shoal_unpin_at_once(a, &q));
    CHECK_EQ((uint32_t)run->aux, 0u);
    shoal_close(b);
    ARENA_END(a);
}

static void leaving_drops_the_pins(void)
{
    shoal_arena *a = arena_new("leave", 4 * MIB), *b = arena_attach("leave", 'w');
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(b, &ns, "key", &p) == SHOAL_OK);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    uint64_t used = stats_of(a).used;
    shoal_close(b);
    CHECK(used - stats_of(a).used >= LARGE);
    ARENA_END(a);
}

/* Killed with pins, one of them an orphan's: the sweep frees what only the dead held. */
static void a_dead_processs_pins_are_reaped(void)
{
    shoal_arena *a = arena_new("reap", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put_pattern(a, &ns, "kept", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(put_pattern(a, &ns, "deleted", 2, LARGE, false) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_pin p, q;
        shoal_after_fork(a);
        REQUIRE_CHILD(pin(a, &ns, "kept", &p) == SHOAL_OK);
        REQUIRE_CHILD(pin(a, &ns, "deleted", &q) == SHOAL_OK);
        REQUIRE_CHILD(del(a, &ns, "deleted") == SHOAL_OK);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_SOUND(a);
    uint64_t used = stats_of(a).used;
    CHECK(stats_of(a).pinned_bytes >= 2 * LARGE);
    arena_reap(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    CHECK(used - stats_of(a).used >= LARGE);
    CHECK_STATUS(get_pattern(a, &ns, "kept", 1, LARGE), SHOAL_OK);
    CHECK_STATUS(del(a, &ns, "kept"), SHOAL_OK);
    ARENA_END(a);
}

/* Recovery counts the pins of the living anew from their records. */
static void recovery_keeps_the_pins_of_the_living(void)
{
    shoal_arena *a = arena_new("recover", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p, q;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &p) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &q) == SHOAL_OK);
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK); /* an orphan from here on */
    uint64_t page = page_of(a, (p.block & REF_MASK) << REF_SHIFT);
    for (int i = 0; i < 3; i++) {
        a->map[page].aux = (uint64_t)i * 1000; /* what the dead left */
        a->shards[0].lock.word = LOCK_OWNER_MASK;
        CHECK_STATUS(put(a, &ns, "x", "y"), SHOAL_OK);
        CHECK_EQ(a->map[page].aux, PAGE_ORPHAN | 2);
        CHECK(pattern_holds(p.data, 1, LARGE));
    }
    shoal_unpin(a, &p);
    CHECK(pattern_holds(q.data, 1, LARGE));
    shoal_unpin(a, &q);
    ARENA_END(a);
}

/* The child has the parent's pin objects, and pins of its own in records of the same number: dropping the
 * inherited object must not drop the child's own. */
static void a_childs_copy_of_a_pin_is_the_parents(void)
{
    shoal_arena *a = arena_new("child", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin p;
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    REQUIRE(pin(a, &ns, "key", &p) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_pin own;
        shoal_after_fork(a);
        shoal_unpin(a, &p); /* before the child has a place at all */
        REQUIRE_CHILD(pin(a, &ns, "key", &own) == SHOAL_OK);
        shoal_unpin(a, &p);
        const page_entry *run = &a->map[page_of(a, (own.block & REF_MASK) << REF_SHIFT)];
        REQUIRE_CHILD((uint32_t)run->aux == 2);
        shoal_unpin(a, &own);
        REQUIRE_CHILD((uint32_t)run->aux == 1);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_STATUS(del(a, &ns, "key"), SHOAL_OK);
    CHECK(pattern_holds(p.data, 1, LARGE));
    shoal_unpin(a, &p);
    ARENA_END(a);
}

static void damaged_records_harm_nobody(void)
{
    shoal_arena *a = arena_new("half", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(shoal_shards(a) >= 2);
    REQUIRE(put_pattern(a, &ns, "key", 1, LARGE, false) == SHOAL_OK);
    shoal_pin p;
    REQUIRE(pin(a, &ns, "key", &p) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        a->me->pins[3] = ~0ull;
        a->me->pins[4] = pin_word(p.word & REF_MASK, (pin_shard(p.word) + 1) % shoal_shards(a), false);
        a->me->pins[5] = pin_word(1, 255, true);
        a->me->pins[6] = PIN_VIEW | PIN_LEFT;
        a->pins.end = 7;
        a->pins.views = 1;
        shoal_before_fork(a); /* copies none of them */
        shoal_after_fork_in_parent(a);
        pins_release(a, 5, &(waiting){0});
        a->me->pin_segments[0] = 1;
        a->me->pin_segments[3] = ~0u;
        _exit(0);
    }
    CHECK(child_ok(pid));
    arena_reap(a);
    CHECK_EQ((uint32_t)a->map[page_of(a, (p.block & REF_MASK) << REF_SHIFT)].aux, 1u);
    CHECK(pattern_holds(p.data, 1, LARGE));
    shoal_unpin(a, &p);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(pinned_bytes_outlive_overwrite_and_delete);
    RUN(several_pins_of_one_value_count);
    RUN(what_cannot_be_pinned_says_so);
    RUN(thousands_of_pins_at_once);
    RUN(records_need_room);
    RUN(a_pin_that_waits_for_a_lock_goes_later);
    RUN(leaving_drops_the_pins);
    RUN(a_dead_processs_pins_are_reaped);
    RUN(recovery_keeps_the_pins_of_the_living);
    RUN(a_childs_copy_of_a_pin_is_the_parents);
    RUN(damaged_records_harm_nobody);
    return check_report();
}

int main(void) { return fixture_main(tests); }
