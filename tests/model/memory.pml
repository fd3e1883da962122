/* Weak memory and death, for the models: included after LOCATIONS, WRITERS and PUBLISHED(at) are defined.
 *
 * A store of a writer goes into its buffer and from there to memory at any time and in any order, except that of one place
 * the older goes first. A fence, or a store with release, waits until the buffer is empty. (A load with acquire is one that is
 * not moved behind; where a reader's fence is missing the models load early.) A process dies between any two steps; its buffer
 * still gets to memory, and nobody knows that it is dead before that. */

byte mem[LOCATIONS];
typedef buffer {
    byte value[LOCATIONS];
    bool pending[LOCATIONS];
    byte count
};
buffer stores[WRITERS];
bool dead[WRITERS];
byte kills;
byte lock; /* owner + 1 */

/* One step of a writer, or its end. */
#define STEP(guard, action) \
    if :: atomic { dead[me] -> goto over } :: atomic { !dead[me] && (guard) -> action } fi
#define SEEN(at) (stores[me].pending[at] -> stores[me].value[at] : mem[at])
#define STORE_IF(guard, at, what) \
    STEP((guard) && !stores[me].pending[at], stores[me].value[at] = what; stores[me].pending[at] = true; stores[me].count++)
#define STORE(at, what) STORE_IF(true, at, what)
#define STORE_RELEASE(at, what) STORE_IF(stores[me].count == 0, at, what)
#define FENCE STEP(stores[me].count == 0, skip)

#ifdef STEAL
#define ABANDONED (lock != 0 && lock != me + 1)
#else
#define ABANDONED (lock != 0 && dead[lock - 1] && stores[lock - 1].count == 0)
#endif
#define LOCK \
    if \
    :: atomic { dead[me] -> goto over } \
    :: atomic { !dead[me] && lock == 0 -> lock = me + 1; recovering = false } \
    :: atomic { !dead[me] && ABANDONED -> lock = me + 1; recovering = true } \
    fi
#define UNLOCK STEP(stores[me].count == 0, assert(lock == me + 1); lock = 0)

#define TO_MEMORY(w, at) \
    :: atomic { \
        stores[w].pending[at] -> mem[at] = stores[w].value[at]; stores[w].value[at] = 0; stores[w].pending[at] = false; \
        stores[w].count--; PUBLISHED(at) \
    }

proctype killer()
{
end:
    do
    :: atomic { kills < KILLS && !dead[0] -> dead[0] = true; kills++ }
    :: atomic { kills < KILLS && !dead[1] -> dead[1] = true; kills++ }
#if WRITERS > 2
    :: atomic { kills < KILLS && !dead[2] -> dead[2] = true; kills++ }
#endif
    od
}
