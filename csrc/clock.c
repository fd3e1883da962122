#include "clock.h"

#ifdef SHOAL_COUNTER

#define CALIBRATION_NS 10000000ull /* 5 ppm are left of the 50 ns that a look is uncertain */
#define UNDISTURBED 2000u          /* ticks; a look that takes longer was interrupted: its two clocks belong to different times */
#define SLEEP_NS 100000000ull      /* no machine sleeps for less; a clock that was set by as much is not told from that */
#define DISTRUSTED (~0ull)

static bool look(int64_t (*clock)(void), uint64_t *counter, uint64_t *ns)
{
    uint64_t before = clock_counter();
    *ns = (uint64_t)clock();
    uint64_t took = clock_counter() - before;
    *counter = before + took / 2;
    return took < UNDISTURBED;
}

void clock_start(wall_clock *c)
{
    *c = (wall_clock){0};
    for (int tries = 0; tries < 8 && !look(os_mono_ns, &c->origin, &c->origin_ns); tries++)
        c->origin = 0;
    c->origin_wall_ns = (uint64_t)os_wall_ns();
}

/* The monotonic clock tells the rate, because nobody sets it. But it stands still while the machine sleeps, and the counter does not, or
 * begins anew: the wall clock shows that. */
static void calibrate(wall_clock *c)
{
    uint64_t counter, ns, unknown = 0;
    if (!look(os_mono_ns, &counter, &ns) || ns - c->origin_ns < CALIBRATION_NS)
        return;
    uint64_t ticks = counter - c->origin, elapsed = ns - c->origin_ns;
    uint64_t missed = (uint64_t)os_wall_ns() - c->origin_wall_ns - elapsed; /* of a sleep; or a little below 0 */
    bool awake = missed + SLEEP_NS < 2 * SLEEP_NS;
    bool trusted = c->origin != 0 && awake && ticks < 1ull << 62 && os_counter_is_clock();
    uint64_t rate = trusted ? (uint64_t)(((unsigned __int128)elapsed << 32) / ticks) : DISTRUSTED;
    cas_relaxed(&c->rate, &unknown, rate ? rate : DISTRUSTED);
}

uint64_t clock_ask(wall_clock *c)
{
    uint64_t rate = load_relaxed(&c->rate), counter, ns;
    if (unlikely(rate == 0))
        calibrate(c);
    else if (rate != DISTRUSTED && look(os_wall_ns, &counter, &ns)) {
        store_relaxed(&c->offset, ns - clock_elapsed(counter - c->origin, rate));
        store_release(&c->looked, counter);
        return ns / 1000;
    }
    return (uint64_t)os_wall_ns() / 1000;
}

#else

void clock_start(wall_clock *c) { *c = (wall_clock){0}; }
uint64_t clock_ask(wall_clock *c) { return (void)c, (uint64_t)os_wall_ns() / 1000; }

#endif
