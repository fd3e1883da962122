/* The wall clock of writes. To ask the system takes a sixth of a hot write, most of which waits until the processor's counter may
 * be read in order. So the system is asked rarely, and the counter, read out of order, tells how far the time has moved since.
 *
 *   origin   the counter when the arena was attached, and the monotonic clock then: later they tell the counter's rate
 *   look     the system's clock beside the counter; from it on the counter is believed for CLOCK_TICKS
 *
 * Threads share it without a lock: the rate is set once, and of whatever two looks one reads a mixture, both are right.
 * The clocks of two processes differ by what it takes to read one, some 50 ns, and by 0.2 us while the system's is adjusted.
 */
#ifndef SHOAL_CLOCK_H
#define SHOAL_CLOCK_H

#include "atomics.h"
#include "compiler.h"
#include "os.h"

#define CLOCK_TICKS (1ull << 20) /* 0.2 to 1 ms */
#define CLOCK_SLACK_US 1000u     /* by more than this one clock is behind another only if somebody has set it back */

typedef struct wall_clock {
    uint64_t looked; /* the counter at the last look; 0 = ask the system */
    uint64_t offset; /* ns since 1970 when the counter was at its origin */
    uint64_t rate;   /* ns in a tick, times 2^32; 0 = not known yet */
    uint64_t origin, origin_ns, origin_wall_ns;
} wall_clock;

void clock_start(wall_clock *c);
uint64_t clock_ask(wall_clock *c);

#if defined(__x86_64__) && defined(SHOAL_LINUX)
#define SHOAL_COUNTER 1
static inline uint64_t clock_counter(void) { return __builtin_ia32_rdtsc(); }
static inline uint64_t clock_elapsed(uint64_t ticks, uint64_t rate) { return (uint64_t)((unsigned __int128)ticks * rate >> 32); }
#endif

/* Microseconds since 1970. */
static inline uint64_t clock_wall_us(wall_clock *c)
{
#ifdef SHOAL_COUNTER
    uint64_t now = clock_counter(), looked = load_acquire(&c->looked);
    if (likely(now - looked < CLOCK_TICKS)) /* (a counter that went back is far ahead) */
        return (load_relaxed(&c->offset) + clock_elapsed(now - c->origin, load_relaxed(&c->rate))) / 1000;
#endif
    return clock_ask(c);
}

#endif
