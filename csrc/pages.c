#include "pages.h"

#include "os.h"

#define CHUNK 16u         /* pages to commit at the frontier at least; more make the insert slow that needs them (0.1 ms for 64) */
#define SPARE_MIN 4096u /* free committed pages that are kept for reuse however little is in use */
#define BIN_LOOK 64     /* runs of unequal length to look at within one bin, unless nothing else is left */

static uint32_t bin_of(uint64_t length)
{
    if (length < 32)
        return (uint32_t)length;
    uint32_t bin = 27 + (63 - (uint32_t)__builtin_clzll(length));
    return bin < PAGE_BINS ? bin : PAGE_BINS - 1;
}

static uint64_t frontier_of(const shoal_arena *a)
{
    uint64_t frontier = load_acquire(&a->header->frontier);
    return frontier <= a->pages ? frontier : 0;
}

/* Nobody may believe one past the arena's pages, least of all begin anew at the first page. */
static shoal_status check_frontier(shoal_arena *a)
{
    return load_acquire(&a->header->frontier) <= a->pages ? SHOAL_OK : corrupt(a, "page map: frontier past the arena's pages");
}

bool page_walk(shoal_arena *a, uint64_t page, uint64_t frontier, uint64_t *state)
{
    *state = load_acquire(&a->map[page].state);
    uint32_t kind = page_kind(*state);
    uint64_t length = page_length(*state);
    return kind != PAGE_INSIDE && kind < PAGE_KINDS && length > 0 && length <= frontier - page &&
           (kind == PAGE_FREE || page_shard(*state) < a->nshards);
}

uint64_t page_head(shoal_arena *a, uint64_t page, uint32_t kind, uint32_t owner)
{
    uint64_t state, frontier = frontier_of(a);
    if (page >= frontier || !page_walk(a, page, frontier, &state))
        return 0;
    return page_kind(state) == kind && page_shard(state) == owner ? state : 0;
}

/* ---- bins: doubly linked lists of free runs, one set per touched flag. */

static uint32_t *bin_head(shoal_arena *a, uint64_t state)
{
    return &a->header->bins[(page_flags(state) & PAGE_TOUCHED) ? 1 : 0][bin_of(page_length(state))];
}

static void set_tail(shoal_arena *a, uint64_t page, uint64_t length)
{
    if (length > 1 && length <= a->pages - page)
        store_relaxed(&a->map[page + length - 1].state, page_state(PAGE_INSIDE, 0, 0, length - 1));
}

static bool spare(uint64_t state) { return page_kind(state) == PAGE_FREE && page_flags(state) == 0; }

static void bin_add(shoal_arena *a, uint64_t page)
{
    uint64_t state = load_relaxed(&a->map[page].state);
    uint32_t *head = bin_head(a, state), first = *head;
    store_relaxed(&a->map[page].aux, first);
    if (first && first - 1 < a->pages)
        store_relaxed(&a->map[first - 1].aux, (load_relaxed(&a->map[first - 1].aux) & 0xFFFFFFFFu) | (page + 1) << 32);
    *head = (uint32_t)page + 1;
    set_tail(a, page, page_length(state));
    if (spare(state))
        store_relaxed(&a->header->spare_pages, load_relaxed(&a->header->spare_pages) + page_length(state));
}

static bool bin_remove(shoal_arena *a, uint64_t page)
{
    uint64_t state = load_relaxed(&a->map[page].state), aux = load_relaxed(&a->map[page].aux);
    uint64_t previous = aux >> 32, next = aux & 0xFFFFFFFFu, frontier = frontier_of(a);
    if (previous > frontier || next > frontier)
        return false;
    if (previous)
        store_relaxed(&a->map[previous - 1].aux, (load_relaxed(&a->map[previous - 1].aux) & ~0xFFFFFFFFull) | next);
    else
        *bin_head(a, state) = (uint32_t)next;
    if (next)
        store_relaxed(&a->map[next - 1].aux, (load_relaxed(&a->map[next - 1].aux) & 0xFFFFFFFFu) | previous << 32);
    if (spare(state))
        store_relaxed(&a->header->spare_pages, load_relaxed(&a->header->spare_pages) - page_length(state));
    return true;
}

/* After a lock taken over from the dead: the heads' states are whole, all else is made anew. With
 * `merge`, neighbours that differ in flags become one run as well (it counts as touched, and as a hole). */
static shoal_status rebuild(shoal_arena *a, bool merge)
{
    uint64_t frontier = frontier_of(a), state, used = 0, page;
    if (check_frontier(a) != SHOAL_OK)
        return SHOAL_CORRUPT;
    memset(a->header->bins, 0, sizeof a->header->bins);
    store_relaxed(&a->header->spare_pages, 0);
    for (page = 0; page < frontier; page += page_length(state)) {
        if (!page_walk(a, page, frontier, &state))
            return corrupt(a, "page map: a run without a head");
        if (page_kind(state) != PAGE_FREE) {
            used += page_length(state);
            continue;
        }
        for (uint64_t next = page + page_length(state), other; next < frontier; next = page + page_length(state)) {
            if (!page_walk(a, next, frontier, &other))
                return corrupt(a, "page map: a run without a head");
            if (page_kind(other) != PAGE_FREE || (!merge && page_flags(other) != page_flags(state)))
                break;
            state = page_state(PAGE_FREE, page_flags(state) | page_flags(other), 0, page_length(state) + page_length(other));
            store_release(&a->map[page].state, state);
            store_relaxed(&a->map[next].state, 0);
        }
        bin_add(a, page);
    }
    store_relaxed(&a->header->used, used);
    return SHOAL_OK;
}

shoal_status pages_lock(shoal_arena *a, const waiting *w)
{
    bool dead;
    waiting inside = waiting_inside(w);
    shoal_status status = lock_take(a, &a->header->page_lock, &inside, &dead);
    if (status == SHOAL_OK && unlikely(dead) && (status = rebuild(a, false)) != SHOAL_OK)
        lock_drop(&a->header->page_lock);
    return status;
}

/* ---- taking */

/* Without runs that have one of the flags `but`. OK, FULL_ARENA (none fits among the first `most` of each bin), CORRUPT. */
static shoal_status find_free(shoal_arena *a, uint64_t count, int touched, uint32_t but, uint64_t most, uint64_t *page)
{
    uint64_t frontier = frontier_of(a), state;
    for (uint32_t bin = bin_of(count); bin < PAGE_BINS; bin++) {
        uint64_t at = a->header->bins[touched][bin];
        for (uint64_t look = 0; at && look < most; look++) {
            if (look > frontier)
                return corrupt(a, "page map: a bin has a cycle");
            if (at > frontier || !page_walk(a, at - 1, frontier, &state) || page_kind(state) != PAGE_FREE)
                return corrupt(a, "page map: a bin holds a run that is not free");
            if (page_length(state) >= count && !(page_flags(state) & but)) {
                *page = at - 1;
                return SHOAL_OK;
            }
            at = load_relaxed(&a->map[at - 1].aux) & 0xFFFFFFFFu;
        }
    }
    return SHOAL_FULL_ARENA;
}

static shoal_status commit(shoal_arena *a, const void *from, uint64_t length)
{
    if (!is_segment(a, a->fd))
        return SHOAL_OS;
    uint64_t begin = (uint64_t)((const uint8_t *)from - a->base), end = begin + length;
    begin &= ~(uint64_t)(PAGE_SIZE - 1);
    int error = os_commit(a->fd, begin, end - begin);
    store_relaxed(&a->commits, load_relaxed(&a->commits) + 1);
    return os_commit_status(error);
}

static uint64_t free_run_before(shoal_arena *a, uint64_t page, uint64_t frontier);

/* A free run whose length is wrong would hand out what is in use behind it. Heads of free runs may be left inside, others never are. */
static bool is_free_throughout(const shoal_arena *a, uint64_t page, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++)
        if (page_kind(load_relaxed(&a->map[page + i].state)) > PAGE_FREE)
            return false;
    return true;
}

/* Make a free run of `count` pages at the frontier; of fewer if they and the free run that ends there are `count`
 * together (the caller merges). */
static shoal_status extend(shoal_arena *a, uint64_t count)
{
    uint64_t frontier = frontier_of(a), chunk = CHUNK;
    shoal_status status = check_frontier(a);
    if (status != SHOAL_OK)
        return status;
    status = SHOAL_FULL_ARENA;
    if (count > a->pages - frontier) {
        uint64_t end = frontier - free_run_before(a, frontier, frontier);
        if (end >= count || count - end > a->pages - frontier)
            return status;
        count -= end;
    }
    if (chunk < count)
        chunk = count;
    if (chunk > a->pages - frontier)
        chunk = a->pages - frontier;
    for (;; chunk = count) {
        status = commit(a, &a->map[frontier], chunk * sizeof(page_entry));
        if (status == SHOAL_OK)
            status = commit(a, page_at(a, frontier), chunk << PAGE_SHIFT);
        if (status != SHOAL_FULL_SYSTEM || chunk == count)
            break;
    }
    if (status != SHOAL_OK)
        return status;
    if (page_kind(load_relaxed(&a->map[frontier].state)) > PAGE_FREE || !is_free_throughout(a, frontier, chunk))
        return corrupt(a, "page map: a run past the frontier");
    store_relaxed(&a->map[frontier].state, page_state(PAGE_FREE, 0, 0, chunk));
    store_release(&a->header->frontier, frontier + chunk);
    bin_add(a, frontier);
    return SHOAL_OK;
}

static shoal_status find(shoal_arena *a, uint64_t count, bool touched, uint64_t *page)
{
    shoal_status status = find_free(a, count, touched, 0, BIN_LOOK, page);
    if (status == SHOAL_FULL_ARENA && touched)
        status = find_free(a, count, false, 0, BIN_LOOK, page);
    if (status != SHOAL_FULL_ARENA)
        return status;
    shoal_status why = extend(a, count);
    if (why == SHOAL_OK) {
        status = find_free(a, count, false, 0, BIN_LOOK, page);
        if (status != SHOAL_FULL_ARENA)
            return status;
    } else if (!pages_full(why)) {
        return why;
    }
    if (!touched)
        status = find_free(a, count, true, 0, BIN_LOOK, page);
    if (status == SHOAL_FULL_ARENA) {
        status = rebuild(a, true);
        if (status == SHOAL_OK && (status = find_free(a, count, false, 0, UINT64_MAX, page)) == SHOAL_FULL_ARENA)
            status = find_free(a, count, true, 0, UINT64_MAX, page);
    }
    return status == SHOAL_FULL_ARENA && why != SHOAL_OK ? why : status;
}

/* The file system is full: what this arena has not given back is still its own. */
static shoal_status find_committed(shoal_arena *a, uint64_t count, uint64_t *page)
{
    shoal_status status = find_free(a, count, false, PAGE_HOLE, UINT64_MAX, page);
    if (status == SHOAL_FULL_ARENA)
        status = find_free(a, count, true, PAGE_HOLE, UINT64_MAX, page);
    return status == SHOAL_FULL_ARENA ? SHOAL_FULL_SYSTEM : status;
}

shoal_status pages_take(shoal_arena *a, uint64_t count, uint32_t kind, uint32_t owner, uint64_t *page, waiting *w)
{
    bool touched = kind != PAGE_LARGE;
    if (count == 0 || count > a->pages)
        return SHOAL_FULL_ARENA;
    shoal_status status = pages_lock(a, w);
    if (status != SHOAL_OK)
        return status;
    status = find(a, count, touched, page);
    if (status == SHOAL_OK && (page_flags(load_relaxed(&a->map[*page].state)) & PAGE_HOLE)) {
        status = commit(a, page_at(a, *page), count << PAGE_SHIFT);
        if (status == SHOAL_FULL_SYSTEM)
            status = find_committed(a, count, page);
    }
    uint64_t p = *page, state = 0;
    if (status == SHOAL_OK && (!page_walk(a, p, frontier_of(a), &state) || page_length(state) < count || !is_free_throughout(a, p, count)))
        status = corrupt(a, "page map: a bin holds a run that is not free");
    if (status == SHOAL_OK && !bin_remove(a, p))
        status = corrupt(a, "page map: bin links out of bounds");
    if (status == SHOAL_OK) {
        uint64_t rest = page_length(state) - count;
        if (rest) /* no walk meets it before the head below is shortened */
            store_relaxed(&a->map[p + count].state, page_state(PAGE_FREE, page_flags(state), 0, rest));
        store_relaxed(&a->map[p].aux, 0);
        if (kind == PAGE_SLAB)
            for (uint64_t i = 1; i < count; i++)
                store_relaxed(&a->map[p + i].state, page_state(PAGE_INSIDE, 0, 0, i));
        uint32_t flags = (page_flags(state) & PAGE_TOUCHED) | (touched ? PAGE_TOUCHED : 0);
        store_release(&a->map[p].state, page_state(kind, flags, owner, count));
        if (rest)
            bin_add(a, p + count);
        store_relaxed(&a->header->used, load_relaxed(&a->header->used) + count);
    }
    lock_drop(&a->header->page_lock);
    return status;
}

/* ---- giving */

static void merge_next(shoal_arena *a, uint64_t page, uint64_t frontier)
{
    uint64_t state = load_relaxed(&a->map[page].state), next = page + page_length(state), other;
    if (next >= frontier || !page_walk(a, next, frontier, &other) || page_kind(other) != PAGE_FREE ||
        page_flags(other) != page_flags(state) || !bin_remove(a, next))
        return;
    store_release(&a->map[page].state, page_state(PAGE_FREE, page_flags(state), 0, page_length(state) + page_length(other)));
    store_relaxed(&a->map[next].state, 0);
}

/* Where the free run begins that ends right before `page`; `page` itself if there is none. */
static uint64_t free_run_before(shoal_arena *a, uint64_t page, uint64_t frontier)
{
    uint64_t state;
    if (page == 0)
        return page;
    uint64_t tail = load_relaxed(&a->map[page - 1].state), head = page - 1;
    if (page_kind(tail) == PAGE_INSIDE) {
        if (page_length(tail) > head)
            return page;
        head -= page_length(tail);
    }
    bool fits = page_walk(a, head, frontier, &state) && page_kind(state) == PAGE_FREE && page_length(state) == page - head;
    return fits ? head : page;
}

/* The same, if it has the flags of the run at `page`. */
static uint64_t previous_free(shoal_arena *a, uint64_t page, uint64_t frontier)
{
    uint64_t head = free_run_before(a, page, frontier);
    return page_flags(load_relaxed(&a->map[head].state)) == page_flags(load_relaxed(&a->map[page].state)) ? head : page;
}

/* It says HOLE before it is one: who dies in between costs a needless commit, not a page that is not there. */
static void punch(shoal_arena *a, uint64_t page, uint64_t length)
{
    store_release(&a->map[page].state, page_state(PAGE_FREE, PAGE_HOLE, 0, length));
    if (is_segment(a, a->fd))
        os_punch(a->fd, (uint64_t)(page_at(a, page) - a->base), length << PAGE_SHIFT);
}

/* In a run that is free but not binned yet. Large free memory goes back to the system unless about as
 * much is in use: then the next value of that size would only fetch it again, page by page. */
static void punch_if_many(shoal_arena *a, uint64_t page)
{
    uint64_t state = load_relaxed(&a->map[page].state), length = page_length(state);
    uint64_t keep = load_relaxed(&a->header->used) + SPARE_MIN;
    if (page_flags(state) == 0 && load_relaxed(&a->header->spare_pages) + length > keep)
        punch(a, page, length);
}

uint64_t pages_give(shoal_arena *a, uint64_t page)
{
    uint64_t frontier = frontier_of(a), state;
    if (page >= frontier || !page_walk(a, page, frontier, &state))
        return a->pages; /* (not the frontier: if that is damaged a walk would begin again) */
    if (page_kind(state) != PAGE_FREE) {
        store_relaxed(&a->header->used, load_relaxed(&a->header->used) - page_length(state));
        store_relaxed(&a->map[page].aux, 0);
        store_release(&a->map[page].state, page_state(PAGE_FREE, page_flags(state) & PAGE_TOUCHED, 0, page_length(state)));
        punch_if_many(a, page);
        merge_next(a, page, frontier);
        uint64_t head = previous_free(a, page, frontier);
        if (head != page && bin_remove(a, head)) {
            uint64_t length = page_length(load_relaxed(&a->map[page].state)) + (page - head);
            store_release(&a->map[head].state, page_state(PAGE_FREE, page_flags(load_relaxed(&a->map[page].state)), 0, length));
            store_relaxed(&a->map[page].state, 0);
            page = head;
        }
        bin_add(a, page);
    }
    return page + page_length(load_relaxed(&a->map[page].state));
}

shoal_status pages_trim(shoal_arena *a, waiting *w)
{
    shoal_status status = pages_lock(a, w);
    if (status != SHOAL_OK)
        return status;
    uint64_t frontier = frontier_of(a), state;
    for (uint64_t page = 0; page < frontier; page += page_length(state)) {
        if (!page_walk(a, page, frontier, &state)) {
            status = corrupt(a, "page map: a run without a head");
            break;
        }
        if (spare(state))
            punch(a, page, page_length(state));
    }
    if (status == SHOAL_OK)
        status = rebuild(a, false);
    lock_drop(&a->header->page_lock);
    return status;
}
