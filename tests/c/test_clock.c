/* The wall clock of writes: the system's, to a microsecond or two, whoever asks and whatever becomes of the system's. */
#include <pthread.h>

#include "clock.h"
#include "fixture.h"
#include "handle.h"

#define NEAR_US 2u /* what rounding and reading two clocks one after the other make of the promise */

static uint64_t system_us(void) { return (uint64_t)os_wall_ns() / 1000; }

/* Right at the moment it is asked. */
static bool right(wall_clock *c)
{
    uint64_t before = system_us(), said = clock_wall_us(c), after = system_us();
    return said + NEAR_US >= before && said <= after + NEAR_US;
}

/* For so long it is asked, it must be right. */
static bool right_for(wall_clock *c, int64_t ns)
{
    for (int64_t end = os_mono_ns() + ns; os_mono_ns() < end;)
        if (!right(c))
            return false;
    return true;
}

static void it_is_right_before_and_after_it_knows_the_counter(void)
{
    wall_clock c;
    clock_start(&c);
    CHECK(right(&c));
    CHECK(right_for(&c, 100 * MILLISECOND));
#ifdef SHOAL_COUNTER
    CHECK_EQ(load_relaxed(&c.looked) != 0, os_counter_is_clock());
#endif
}

static void a_counter_that_is_no_clock_is_not_used(void)
{
    wall_clock c;
    clock_start(&c);
    c.rate = ~0ull;
    CHECK(right_for(&c, 20 * MILLISECOND));
    CHECK_EQ(load_relaxed(&c.looked), 0);
}

/* As it looks from here when somebody sets the system's clock. */
static void a_step_of_the_system_s_clock_is_seen_within_milliseconds(void)
{
    for (int back = 0; back < 2; back++) {
        wall_clock c;
        clock_start(&c);
        CHECK(right_for(&c, 30 * MILLISECOND));
        store_relaxed(&c.offset, load_relaxed(&c.offset) + (uint64_t)(back ? -SECOND : SECOND));
        int64_t end = os_mono_ns() + SECOND;
        while (!right(&c) && os_mono_ns() < end) {
        }
        CHECK(right_for(&c, 10 * MILLISECOND));
    }
}

static void a_counter_that_jumps_is_not_believed(void)
{
    wall_clock c;
    clock_start(&c);
    CHECK(right_for(&c, 30 * MILLISECOND));
    store_relaxed(&c.looked, load_relaxed(&c.looked) + (1ull << 40)); /* it went back since; */
    CHECK(right(&c));
    store_relaxed(&c.looked, load_relaxed(&c.looked) - (1ull << 40)); /* or far ahead */
    CHECK(right(&c));
}

/* While a machine sleeps the monotonic clock stands still, and the counter may go on, or begin anew: in a process that had not written
 * before, the two tell no rate. */
static void a_machine_that_slept_tells_no_rate(void)
{
#ifdef SHOAL_COUNTER
    uint64_t hour = 3600ull * 2000000000;
    for (int anew = 0; anew < 2; anew++) {
        wall_clock c;
        clock_start(&c);
        c.origin_wall_ns -= 3600 * (uint64_t)SECOND;
        c.origin -= anew ? 0 : hour;
        if (anew)
            c.origin_ns -= 100 * (uint64_t)SECOND; /* it was awake for so long before, of which the counter knows nothing now */
        CHECK(right_for(&c, 50 * MILLISECOND));
    }
#endif
}

static void *ask(void *clock)
{
    return right_for(clock, 50 * MILLISECOND) ? clock : NULL;
}

static void threads_share_it(void)
{
    wall_clock c;
    clock_start(&c);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, ask, &c), 0);
    for (int i = 0; i < 4; i++) {
        void *said;
        CHECK_EQ(pthread_join(threads[i], &said), 0);
        CHECK(said == &c);
    }
}

/* Two write the same key in turn, and the second one's clock is behind. */
static void an_entry_is_never_modified_before_what_it_replaces(void)
{
    shoal_arena *ahead = arena_new("clock", MIB), *behind = arena_attach("clock", 'w');
    shoal_namespace space = ns_default(ahead);
    CHECK(right_for(&ahead->clock, 30 * MILLISECOND) && right_for(&behind->clock, 30 * MILLISECOND));
    int64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        shoal_meta meta;
        store_relaxed(&behind->clock.looked, 0);
        clock_wall_us(&behind->clock);
        store_relaxed(&behind->clock.offset, load_relaxed(&behind->clock.offset) - 300 * 1000);
        CHECK_STATUS(put(i % 2 ? behind : ahead, &space, "key", i % 3 ? "small" : "of another size, so written elsewhere"), SHOAL_OK);
        CHECK_STATUS(shoal_peek(ahead, &space, "key", 3, NULL, 0, 0, &meta, WAIT), SHOAL_OK);
        CHECK(meta.modified_us >= last && meta.created_us <= meta.modified_us);
        last = meta.modified_us;
    }
    shoal_close(behind);
    ARENA_END(ahead);
}

static int tests(void)
{
    RUN(it_is_right_before_and_after_it_knows_the_counter);
    RUN(a_counter_that_is_no_clock_is_not_used);
    RUN(a_step_of_the_system_s_clock_is_seen_within_milliseconds);
    RUN(a_counter_that_jumps_is_not_believed);
    RUN(a_machine_that_slept_tells_no_rate);
    RUN(threads_share_it);
    RUN(an_entry_is_never_modified_before_what_it_replaces);
    return check_report();
}

int main(void) { return fixture_main(tests); }
