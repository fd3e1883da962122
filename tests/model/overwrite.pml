/* Overwriting an entry where it lies: a block of two words (header and value) that no one store can publish, the shard's image of
 * what it was, and the word that says whether the image counts (undo).
 *
 * Writers overwrite the block, each with a higher number, or find after the odd sequence that the entry has expired, and leave it.
 * Who finds a dead owner's lock recovers. A reader reads twice, with or without the right to take that lock. Each time it must see
 * both words of one write, none older than what was acknowledged or read by anybody before; and so must each writer. */
#ifndef KILLS
#define KILLS 2 /* a writer, and who recovers after it */
#endif
#define WRITERS 2
#define SEQ 0
#define UNDO 1
#define HEAD 2
#define VALUE 3
#define IMAGE_HEAD 4
#define IMAGE_VALUE 5
#define LOCATIONS 6
#define PUBLISHED(at) skip
#include "memory.pml"

/* Whoever takes a dead owner's lock, or reads beside it, sees all that the owner stored: only the order of the owner's steps matters for
 * image and undo, not that of their way to memory. */

byte version; /* the last write that was begun */
byte settled; /* the last one that was acknowledged or read: nobody may see an older one from then on */

#ifdef NO_ODD
#define BEGIN skip
#define END STORE_RELEASE(SEQ, SEEN(SEQ) + 2)
#else
#ifdef NO_RELEASE_FENCE
#define BEGIN STORE(SEQ, SEEN(SEQ) + 1)
#else
#define BEGIN STORE(SEQ, SEEN(SEQ) + 1); FENCE
#endif
#define END STORE_RELEASE(SEQ, SEEN(SEQ) + 1)
#endif
#define KEEP_IMAGE STORE(IMAGE_HEAD, SEEN(HEAD)); STORE(IMAGE_VALUE, SEEN(VALUE))
#define COMMIT STORE_RELEASE(UNDO, 0)
#define PUT_BACK STORE(HEAD, SEEN(IMAGE_HEAD)); STORE(VALUE, SEEN(IMAGE_VALUE))

proctype writer(byte me)
{
    byte v;
    bool recovering;
    LOCK;
    if
    :: recovering ->
#ifndef NO_UNDO
        if
        :: SEEN(UNDO) != 0 ->
#ifdef COMMIT_BEFORE_UNDO
            COMMIT;
            PUT_BACK;
#else
            PUT_BACK;
            COMMIT;
#endif
        :: else
        fi;
#endif
        if
        :: SEEN(SEQ) % 2 == 0 -> BEGIN
        :: else
        fi;
        END;
    :: else
    fi;
    STEP(true,
        assert(SEEN(SEQ) % 2 == 0);
        assert(SEEN(HEAD) == SEEN(VALUE) && SEEN(HEAD) >= settled);
        version++;
        v = version);
#ifdef IMAGE_LATE
    STORE_RELEASE(UNDO, 1);
    KEEP_IMAGE;
#else
#ifndef NO_IMAGE
    KEEP_IMAGE;
    STORE_RELEASE(UNDO, 1);
#endif
#endif
    BEGIN;
    if
    :: true ->
        STORE(HEAD, v);
        STORE(VALUE, v);
#ifdef COMMIT_LATE
        END;
        COMMIT;
#else
        COMMIT;
        END;
#endif
    :: true -> /* expired: nothing is overwritten */
        END;
        COMMIT;
        v = 0;
    fi;
    UNLOCK;
    atomic { settled = (v > settled -> v : settled) };
over:
    skip
}

#ifdef LOCK_UNWATCHED
#define SAME_OWNER true
#else
#define SAME_OWNER (owner == 0 || lock == owner)
#endif

proctype reader()
{
    byte before, head, value, least, owner, reads;
    bool image;
    do
    :: reads == 2 -> break
    :: reads < 2 ->
        reads++;
        atomic {
            least = settled;
            owner = 0;
            if /* without the right to take the lock: is its owner dead? */
            :: lock != 0 && dead[lock - 1] && stores[lock - 1].count == 0 -> owner = lock
            :: true
            fi
        };
        before = mem[SEQ];
        if
        :: before % 2 == 1 && owner == 0 /* again, later */
        :: else ->
            image = false;
#ifndef IMAGE_IGNORED
            if
            :: owner != 0 -> image = mem[UNDO] != 0
            :: else
            fi;
#endif
            if
            :: head = (image -> mem[IMAGE_HEAD] : mem[HEAD]); value = (image -> mem[IMAGE_VALUE] : mem[VALUE])
            :: value = (image -> mem[IMAGE_VALUE] : mem[VALUE]); head = (image -> mem[IMAGE_HEAD] : mem[HEAD])
            fi;
            atomic {
                if
#ifdef NO_VALIDATE
                :: true ->
#else
                :: mem[SEQ] == before && SAME_OWNER ->
#endif
                    assert(head == value);
                    assert(least <= head && head <= version);
                    settled = (head > settled -> head : settled)
                :: else
                fi
            }
        fi
    od
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
        run writer(0);
        run writer(1);
        run reader();
        run killer();
        run memory()
    }
}
