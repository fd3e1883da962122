#include "slab.h"

#define LISTED (1ull << 31) /* in the aux of a slab run, while it is being trimmed */
#define TRIM_BYTES 65536u /* free memory of a class that is not worth looking at */

/* Pages of a new run: at least two blocks, at most an eighth wasted at its end, longer runs once the class has proved to
 * be in demand. */
static uint64_t run_pages(const slab_class *sc, uint32_t size)
{
    uint64_t pages = size <= 512 ? 1 : ((uint64_t)size * 2 + PAGE_SIZE - 1) >> PAGE_SHIFT;
    while (((pages << PAGE_SHIFT) % size) * 8 > pages << PAGE_SHIFT)
        pages++;
    /* The newest run is half unused on average: it is a few percent of its class at most. A multiple of the shortest, and
     * of large blocks no longer than that: what one shard gives back another can take without a remainder. */
    uint32_t times = sc->runs < 8 ? 1 : sc->runs < 96 ? 4 : 16;
    uint64_t most = 16 / pages;
    return pages * (most == 0 ? 1 : times < most ? times : most);
}

static uint64_t run_blocks(uint64_t pages, uint32_t size) { return (pages << PAGE_SHIFT) / size; }

static shoal_status new_run(shoal_arena *a, uint32_t shard_index, uint32_t c, waiting *w)
{
    slab_class *sc = &a->shards[shard_index].classes[c];
    uint64_t page, pages = run_pages(sc, class_size(c)), least = run_pages(&(slab_class){0}, class_size(c));
    shoal_status status = pages_take(a, pages, PAGE_SLAB, shard_index, &page, w);
    if (pages_full(status) && pages > least)
        status = pages_take(a, pages = least, PAGE_SLAB, shard_index, &page, w);
    if (status != SHOAL_OK)
        return status;
    store_relaxed(&a->map[page].aux, c);
    sc->runs++;
    sc->bump = (uint64_t)(page_at(a, page) - a->base);
    sc->bump_left = (uint32_t)run_blocks(pages, class_size(c));
    return SHOAL_OK;
}

shoal_status slab_take(shoal_arena *a, uint32_t shard_index, uint64_t bytes, uint64_t *ref, waiting *w)
{
    if (block_is_large(bytes)) {
        uint64_t page;
        slab_reclaim(a, shard_index);
        shoal_status status = pages_take(a, (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT, PAGE_LARGE, shard_index, &page, w);
        if (status == SHOAL_OK)
            *ref = ref_of(a, page_at(a, page));
        return status;
    }
    uint32_t c = class_of(bytes);
    slab_class *sc = &a->shards[shard_index].classes[c];
    if (likely(sc->free != 0)) {
        block *b = block_at(a, sc->free);
        if (!b || sc->free_count == 0 || !range_known(a, sc->free << REF_SHIFT, class_size(c)))
            return corrupt(a, "slab: free list leaves the arena");
        *ref = sc->free;
        sc->free = load_relaxed(&b->next) & REF_MASK;
        sc->free_count--;
        return SHOAL_OK;
    }
    if (sc->bump_left == 0) {
        shoal_status status = new_run(a, shard_index, c, w);
        if (status != SHOAL_OK)
            return status;
    }
    if (!range_known(a, sc->bump, class_size(c)))
        return corrupt(a, "slab: newest run leaves the arena");
    *ref = sc->bump >> REF_SHIFT;
    sc->bump += class_size(c);
    sc->bump_left--;
    return SHOAL_OK;
}

void slab_give_block(shoal_arena *a, shard *sh, uint32_t c, uint64_t ref)
{
    slab_class *sc = &sh->classes[c];
    block *b = block_at(a, ref);
    if (!b)
        return;
    store_relaxed(&b->next, sc->free);
    sc->free = ref;
    sc->free_count++;
}

static void trim_class(shoal_arena *a, uint32_t shard_index, uint32_t c, const waiting *w);

static const waiting at_once = {.wait = (int64_t)2 * 1000 * 1000};

void slab_free_run(shoal_arena *a, uint32_t shard_index, uint64_t page)
{
    if (pages_lock(a, &at_once) == SHOAL_OK) {
        pages_give(a, page);
        pages_unlock(a);
    } else {
        a->shards[shard_index].limbo++;
    }
}

void slab_reclaim(shoal_arena *a, uint32_t shard_index)
{
    shard *sh = &a->shards[shard_index];
    uint64_t state;
    if (likely(sh->limbo == 0) || pages_lock(a, &at_once) != SHOAL_OK)
        return;
    uint64_t frontier = load_acquire(&a->header->frontier);
    frontier = frontier <= a->pages ? frontier : 0;
    for (uint64_t page = 0; page < frontier && page_walk(a, page, frontier, &state);) {
        bool left = page_kind(state) == PAGE_LARGE && page_shard(state) == shard_index && load_relaxed(&a->map[page].aux) == PAGE_ORPHAN;
        page = left ? pages_give(a, page) : page + page_length(state);
    }
    sh->limbo = 0;
    pages_unlock(a);
}

void slab_give(shoal_arena *a, uint32_t shard_index, uint64_t ref, uint64_t bytes)
{
    shard *sh = &a->shards[shard_index];
    if (block_is_large(bytes)) {
        uint64_t page = page_of(a, ref << REF_SHIFT);
        if (!page_head(a, page, PAGE_LARGE, shard_index))
            return;
        uint64_t aux = load_relaxed(&a->map[page].aux) | PAGE_ORPHAN;
        store_relaxed(&a->map[page].aux, aux);
        if ((uint32_t)aux == 0)
            slab_free_run(a, shard_index, page);
        return;
    }
    uint32_t c = class_of(bytes);
    slab_give_block(a, sh, c, ref);
    slab_class *sc = &sh->classes[c];
    uint32_t least = TRIM_BYTES / class_size(c) + 8;
    if (unlikely(sc->free_count >= (sc->trim_at > least ? sc->trim_at : least)))
        trim_class(a, shard_index, c, &(waiting){0});
}

void slab_reset(shard *sh) { memset(sh->classes, 0, sizeof sh->classes); }

/* The head page of the slab run that `ref` lies in, or ~0. */
static uint64_t run_of(shoal_arena *a, uint32_t shard_index, uint32_t c, uint64_t ref)
{
    uint64_t page = page_of(a, ref << REF_SHIFT), state = load_relaxed(&a->map[page].state);
    if (page_kind(state) == PAGE_INSIDE) {
        if (page_length(state) > page)
            return ~0ull;
        page -= page_length(state);
    }
    return page_head(a, page, PAGE_SLAB, shard_index) && slab_run_class(&a->map[page]) == c ? page : ~0ull;
}

/* The counts that a walk over a damaged free list left: believed the next time, they would free a run that is in use. */
static void forget_counts(shoal_arena *a, uint32_t shard_index, uint32_t c)
{
    uint64_t state, frontier = load_acquire(&a->header->frontier);
    frontier = frontier <= a->pages ? frontier : 0;
    for (uint64_t page = 0; page < frontier && page_walk(a, page, frontier, &state); page += page_length(state))
        if (page_kind(state) == PAGE_SLAB && page_shard(state) == shard_index && slab_run_class(&a->map[page]) == c)
            store_relaxed(&a->map[page].aux, c);
}

/* Two walks over the free list: count each run's free blocks (in the upper half of its aux), then keep
 * the blocks of runs that are in use. Costs the free list; doubling trim_at makes that constant a free. */
static void trim_class(shoal_arena *a, uint32_t shard_index, uint32_t c, const waiting *w)
{
    slab_class *sc = &a->shards[shard_index].classes[c];
    uint64_t bump_page = sc->bump_left ? page_of(a, sc->bump) : ~0ull, empty = ~0ull;
    uint64_t ref = sc->free, next;
    sc->trim_at = sc->free_count * 2; /* however this ends, not again at the next free */
    if (pages_lock(a, w) != SHOAL_OK)
        return;
    for (uint32_t i = 0; i < sc->free_count && ref; i++, ref = next) {
        block *b = block_at(a, ref);
        uint64_t page = b ? run_of(a, shard_index, c, ref) : ~0ull;
        uint64_t aux = page == ~0ull ? 0 : load_relaxed(&a->map[page].aux);
        /* Damaged, or a cycle: the verifier names it, nothing is given back. */
        if (page == ~0ull || aux >> 32 >= run_blocks(page_length(load_relaxed(&a->map[page].state)), class_size(c))) {
            forget_counts(a, shard_index, c);
            pages_unlock(a);
            return;
        }
        next = load_relaxed(&b->next) & REF_MASK;
        store_relaxed(&a->map[page].aux, aux + (1ull << 32));
    }
    uint64_t kept = 0;
    uint32_t kept_count = 0, count = sc->free_count;
    ref = sc->free;
    for (uint32_t i = 0; i < count && ref; i++, ref = next) {
        block *b = block_at(a, ref);
        uint64_t page = b ? run_of(a, shard_index, c, ref) : ~0ull;
        if (page == ~0ull) { /* blocks that overlap: what the walk changed in one was the link of another */
            forget_counts(a, shard_index, c);
            empty = ~0ull;
            break;
        }
        next = load_relaxed(&b->next) & REF_MASK;
        uint64_t aux = load_relaxed(&a->map[page].aux);
        uint64_t pages = page_length(load_relaxed(&a->map[page].state));
        bool bumping = bump_page >= page && bump_page < page + pages;
        if ((aux >> 32) + (bumping ? sc->bump_left : 0) == run_blocks(pages, class_size(c))) {
            /* Once per run, at the block that lies at its start: list the run for freeing below. */
            if (ref << REF_SHIFT == (uint64_t)(page_at(a, page) - a->base) && !(aux & LISTED)) {
                store_relaxed(&a->map[page].aux, aux | LISTED);
                store_relaxed(&b->prev, empty);
                empty = page;
            }
            continue;
        }
        store_relaxed(&b->next, kept);
        kept = ref;
        kept_count++;
    }
    sc->free = kept;
    sc->free_count = kept_count;
    ref = kept;
    for (uint32_t i = 0; i < kept_count && ref; i++) { /* clear the counts */
        uint64_t page = run_of(a, shard_index, c, ref);
        block *b = block_at(a, ref);
        if (page == ~0ull || !b)
            break;
        store_relaxed(&a->map[page].aux, c);
        ref = load_relaxed(&b->next) & REF_MASK;
    }
    while (empty != ~0ull) {
        uint64_t page = empty;
        if (!page_head(a, page, PAGE_SLAB, shard_index))
            break;
        empty = load_relaxed(&((block *)page_at(a, page))->prev);
        if (bump_page >= page && bump_page < page + page_length(load_relaxed(&a->map[page].state)))
            sc->bump_left = 0;
        store_relaxed(&a->map[page].aux, c);
        sc->runs -= sc->runs > 0;
        pages_give(a, page);
    }
    pages_unlock(a);
    sc->trim_at = kept_count * 2;
}

void slab_trim(shoal_arena *a, uint32_t shard_index)
{
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        if (a->shards[shard_index].classes[c].free_count)
            trim_class(a, shard_index, c, &at_once);
}
