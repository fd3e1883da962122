/* Publishing an entry, reading it without a lock, and recovery: one bucket of one slot, two blocks of two words.
 *
 * Writers replace the entry, or remove it (it has expired) and insert it anew in the same critical section, where the block
 * that was just freed may be taken again. A reader must see both words of one write, one that was published between the begin
 * and the end of the read; and nothing only if there was nothing. No block may be lost for good, no lock may be held for good. */
#ifndef KILLS
#define KILLS 1
#endif
#define WRITERS 2
#define SEQ 0
#define SLOT 1
#define WORD(b) (2 * (b))
#define LOCATIONS 6
#define LINK 99 /* of the list of free blocks: what a removal empties (an overflow bucket) may be freed while the sequence is odd */

byte published; /* the last write that is in the slot */
byte removed;   /* how often the slot was emptied */
byte version;
byte free = 2;  /* bit b - 1: block b. Block 1 holds write 0 at first. */

#define PUBLISHED(at) \
    if \
    :: at == SLOT && mem[SLOT] != 0 -> published = (mem[WORD(mem[SLOT])] > published -> mem[WORD(mem[SLOT])] : published) \
    :: at == SLOT && mem[SLOT] == 0 -> removed++ \
    :: else \
    fi
#include "memory.pml"

#ifdef NO_ODD
#define BEGIN skip
#define END STORE_RELEASE(SEQ, SEEN(SEQ) + 2)
#else
#ifdef NO_RELEASE_FENCE
#define BEGIN STORE(SEQ, SEEN(SEQ) + 1)
#else
#define BEGIN STORE(SEQ, SEEN(SEQ) + 1); FENCE
#endif
#ifdef RELAXED_EVEN
#define END STORE_IF(!stores[me].pending[SEQ], SEQ, SEEN(SEQ) + 1)
#else
#define END STORE_RELEASE(SEQ, SEEN(SEQ) + 1)
#endif
#endif
#define TAKE \
    STEP(true, \
        if :: free & 1 -> b = 1 :: free & 2 -> b = 2 :: free == 0 -> assert(false) fi; \
        free = free & ~(1 << (b - 1)))
#define GIVE(b) STEP(true, free = free | 1 << (b - 1))
#define FILL STEP(true, version++; v = version); STORE(WORD(b), v); STORE(WORD(b) + 1, v)

proctype writer(byte me)
{
    byte b, v, old;
    bool recovering;
    LOCK;
    if
    :: recovering ->
#ifndef RECOVERY_LEAVES_SEQUENCE
        if
        :: SEEN(SEQ) % 2 == 0 -> BEGIN
        :: else
        fi;
        END;
#endif
#ifndef RECOVERY_LEAKS
        STEP(true, free = (SEEN(SLOT) == 0 -> 3 : 3 & ~(1 << (SEEN(SLOT) - 1))));
#endif
    :: else
    fi;
    STEP(true, assert(SEEN(SEQ) % 2 == 0); old = SEEN(SLOT); assert(old == 0 || !(free & 1 << (old - 1))));
    if
    :: old != 0 -> /* replace */
#ifdef FREE_EARLY
        GIVE(old);
#endif
        TAKE;
        FILL;
        BEGIN;
        STORE_RELEASE(SLOT, b);
        END;
#ifndef FREE_EARLY
        GIVE(old);
#endif
    :: true ->
        if
        :: old != 0 -> /* remove */
            BEGIN;
            STORE(SLOT, 0);
            STORE(WORD(old), LINK);
            END;
            GIVE(old);
        :: else
        fi;
        TAKE; /* and insert */
        FILL;
        BEGIN;
        STORE_RELEASE(SLOT, b);
        END;
    fi;
    UNLOCK;
    assert(published >= v); /* acknowledged */
over:
    skip
}

#ifdef NO_VALIDATE
#define VALID true
#else
#define VALID (after == before)
#endif

proctype reader()
{
    byte before, after, slot, first, second, least, removals;
    bool nothing, early;
    atomic { least = published; removals = removed; nothing = mem[SLOT] == 0; before = mem[SEQ] };
    /* An odd sequence: again, unless the owner is dead. Then each slot is still one store, the old or the new one. */
    if
    :: before % 2 == 0
    :: before % 2 == 1 && lock != 0 && dead[lock - 1] && stores[lock - 1].count == 0
    :: before % 2 == 1 -> goto over
    fi;
    slot = mem[SLOT];
#ifdef NO_ACQUIRE_FENCE
    if
    :: after = mem[SEQ]; early = true
    :: true
    fi;
#endif
    if
    :: slot == 0
    :: slot != 0 ->
        if
        :: first = mem[WORD(slot)]; second = mem[WORD(slot) + 1]
        :: second = mem[WORD(slot) + 1]; first = mem[WORD(slot)]
        fi
    fi;
    atomic {
        after = (early -> after : mem[SEQ]);
        if
        :: !VALID
        :: VALID ->
            if
            :: slot == 0 -> assert(nothing || removed != removals)
            :: slot != 0 -> assert(first == second); assert(least <= first && first <= published)
            fi
        fi
    };
over:
    skip
}

proctype memory()
{
end:
    do
    TO_MEMORY(0, 0) TO_MEMORY(0, 1) TO_MEMORY(0, 2) TO_MEMORY(0, 3) TO_MEMORY(0, 4) TO_MEMORY(0, 5)
    TO_MEMORY(1, 0) TO_MEMORY(1, 1) TO_MEMORY(1, 2) TO_MEMORY(1, 3) TO_MEMORY(1, 4) TO_MEMORY(1, 5)
    od
}

init
{
    atomic {
        mem[SLOT] = 1;
        run writer(0);
        run writer(1);
        run reader();
        run killer();
        run memory()
    }
}
