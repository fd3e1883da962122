/* Which places of the core a walk has met: see places.c. In other builds there is nothing behind these. */
#ifndef SHOAL_TESTS_PLACES_H
#define SHOAL_TESTS_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define PLACES_MAX ((uint64_t)1 << 21)

__attribute__((weak)) void places_trace(void);      /* this process is the one that is stepped */
__attribute__((weak)) void places_stop(void);       /* and stops by itself after each store that is a new one (SIGSTOP) */
__attribute__((weak)) bool places_new(void);        /* its last store is one after which none was killed yet */
__attribute__((weak)) void places_met(bool killed); /* it was killed after it, and all was right; or that state was left out */

/* Samples leave out no place that no other has shown. */
static inline bool place_is_new(void) { return places_new && places_new(); }
static inline void place_met(bool killed)
{
    if (places_met)
        places_met(killed);
}

#endif
