/* A small entry that is overwritten where it lies. One store cannot publish that, so what it was before is kept in the shard
 * until all of it is new:
 *
 *   undo_keep      image, then ref: from here on a death brings the old entry back
 *   (sequence odd, header and value overwritten)
 *   undo_commit    ref = 0: from here on a death leaves the new one
 *   (sequence even: the first moment at which a reader can see it)
 *
 * Under the shard's lock. Recovery undoes before it does anything else.
 */
#ifndef SHOAL_UNDO_H
#define SHOAL_UNDO_H

#include "entry.h"

static inline void undo_keep(shard *sh, uint64_t ref, const block *b, size_t size)
{
    racing_write(sh->image, b, size);
    store_release(&sh->undo, ref);
}

static inline void undo_commit(shard *sh) { store_release(&sh->undo, 0); }

/* The entry as it was, if its overwriting was begun; for who reads beside a dead owner's lock. It may reach beyond the image. */
static inline block *undo_image(shard *sh, uint64_t ref) { return load_acquire(&sh->undo) == ref ? (block *)sh->image : NULL; }

/* Put the entry back whose overwriting was not committed, if any. False: damaged, nothing was done. */
static inline bool undo_apply(shoal_arena *a, shard *sh)
{
    uint64_t ref = load_relaxed(&sh->undo);
    if (likely(ref == 0))
        return true;
    entry e = entry_load((block *)sh->image);
    uint64_t size = entry_value_at(&e, ref) + e.value_size;
    block *b = block_at(a, ref);
    if (!b || size > UNDO_BYTES || !range_known(a, ref << REF_SHIFT, size) || load_relaxed(&b->next) != sh->image[0])
        return false; /* (overwriting leaves a block's first word as it is) */
    racing_write(b, sh->image, size);
    undo_commit(sh);
    return true;
}

#endif
