/* A bucket is split while readers look without a lock: one key, which the split moves from bucket 0 to bucket 1; two blocks.
 *
 * Writers split the bucket, give the key another value, or delete it; what they free may at once be filled for another key.
 * A reader must find the key as long as nobody deletes it, with a value that was the last one at some time during the read; and
 * not any more when it is deleted. Who dies half-way leaves the key in both buckets, or in the new one before its time. */
#define WRITERS 2
#ifndef KILLS
#define KILLS 1
#endif
#define OPERATIONS(me) (1 + (me))
#define SEQ(bucket) (bucket)
#define SLOT(bucket) (2 + (bucket))
#define COUNT 4      /* of buckets: 1, then 2 */
#define VALUE(b) (4 + (b))
#define OTHER 0      /* what a block holds that was filled for another key */
#define LOCATIONS 7

byte published = 1; /* the last value that is in a slot */
byte version = 1;
byte free = 2;      /* bit b - 1: block b. Block 1 holds value 1 at first. */
bool deleting, gone;

#define PUBLISHED(at) \
    if \
    :: (at == SLOT(0) || at == SLOT(1)) && mem[at] != 0 -> published = (mem[VALUE(mem[at])] > published -> mem[VALUE(mem[at])] : published) \
    :: else \
    fi
#include "memory.pml"

#define BEGIN(bucket) STORE(SEQ(bucket), SEEN(SEQ(bucket)) + 1); FENCE
#define END(bucket) STORE_RELEASE(SEQ(bucket), SEEN(SEQ(bucket)) + 1)
#define HOME (SEEN(COUNT) - 1)
#define TAKE \
    STEP(true, \
        if :: free & 1 -> b = 1 :: free & 2 -> b = 2 :: free == 0 -> assert(false) fi; \
        free = free & ~(1 << (b - 1)))
#define GIVE(b) STEP(true, assert(!(free & 1 << (b - 1))); free = free | 1 << (b - 1))
#define REFILL \
    if \
    :: STORE(VALUE(old), OTHER) \
    :: true \
    fi
#ifdef RELAXED_COUNT
#define GROW STORE(COUNT, 2)
#else
#define GROW STORE_RELEASE(COUNT, 2)
#endif
#ifdef CLEAR_WITHOUT_SEQUENCE
#define CLEAR STORE(SLOT(0), 0)
#else
#define CLEAR BEGIN(0); STORE(SLOT(0), 0); END(0)
#endif

proctype writer(byte me)
{
    byte b, v, old, home, n;
    bool recovering, deletes;
    do
    :: n == OPERATIONS(me) -> break
    :: n < OPERATIONS(me) ->
        n++;
        LOCK;
        if
        :: recovering ->
            if
            :: SEEN(SEQ(0)) % 2 == 0 -> BEGIN(0)
            :: else
            fi;
#ifndef RECOVERY_KEEPS_DOUBLES
            if
            :: SEEN(COUNT) == 2 -> STORE(SLOT(0), 0)
            :: else
            fi;
#endif
            END(0);
            if
            :: SEEN(SEQ(1)) % 2 == 1 -> END(1)
            :: else
            fi;
            STEP(true, home = HOME; free = (SEEN(SLOT(home)) == 0 -> 3 : 3 & ~(1 << (SEEN(SLOT(home)) - 1))));
        :: else
        fi;
        STEP(true, home = HOME; old = SEEN(SLOT(home)));
        if
        :: SEEN(COUNT) == 1 -> /* split */
#ifdef COUNT_FIRST
            GROW;
#endif
#ifndef NO_ZERO
            STORE(SLOT(1), 0);
#endif
            if
            :: old != 0 -> STORE(SLOT(1), old)
            :: else
            fi;
#ifdef CLEAR_FIRST
            CLEAR;
            GROW;
#else
#ifndef COUNT_FIRST
            GROW;
#endif
            CLEAR;
#endif
        :: old != 0 -> /* another value */
            TAKE;
            STEP(true, version++; v = version);
            STORE(VALUE(b), v);
            BEGIN(home);
            STORE_RELEASE(SLOT(home), b);
            END(home);
            GIVE(old);
            REFILL
        :: old != 0 -> /* delete */
            STEP(true, deleting = true; deletes = true);
            BEGIN(home);
            STORE(SLOT(home), 0);
            END(home);
            GIVE(old);
            REFILL
        :: true
        fi;
        STEP(stores[me].count == 0, assert(lock == me + 1 && published >= v); gone = gone || deletes; lock = 0)
    od;
over:
    skip
}

proctype reader()
{
    byte before, after, slot, value, least, count, again;
    bool was_gone;
    atomic { least = published; was_gone = gone; count = mem[COUNT] };
    before = mem[SEQ(count - 1)];
    if
    :: before % 2 == 0
    :: before % 2 == 1 -> goto over /* again */
    fi;
    slot = mem[SLOT(count - 1)];
    value = (slot != 0 -> mem[VALUE(slot)] : OTHER);
    after = mem[SEQ(count - 1)];
    if
    :: after != before -> goto over /* again */
    :: after == before && value != OTHER -> assert(!was_gone); assert(least <= value && value <= published)
    :: after == before && value == OTHER ->
        again = mem[COUNT];
#ifndef MISS_WITHOUT_COUNT
        if
        :: again != count -> goto over /* again */
        :: else
        fi;
#endif
        assert(deleting)
    fi;
over:
    skip
}

proctype memory()
{
end:
    do
    TO_MEMORY(0, 0) TO_MEMORY(0, 1) TO_MEMORY(0, 2) TO_MEMORY(0, 3) TO_MEMORY(0, 4) TO_MEMORY(0, 5) TO_MEMORY(0, 6)
    TO_MEMORY(1, 0) TO_MEMORY(1, 1) TO_MEMORY(1, 2) TO_MEMORY(1, 3) TO_MEMORY(1, 4) TO_MEMORY(1, 5) TO_MEMORY(1, 6)
    od
}

init
{
    atomic {
        mem[SLOT(0)] = 1;
        mem[VALUE(1)] = 1;
        mem[COUNT] = 1;
        run writer(0);
        run writer(1);
        run reader();
        run killer();
        run memory()
    }
}
