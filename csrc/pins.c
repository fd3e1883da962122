#include "pins.h"

#include <stdlib.h>

#include "recover.h"

#define VOID (PIN_VIEW | PIN_LEFT) /* pins nothing, but keeps the number from being used */

/* ---- records and their numbers */

static uint32_t segment_records(uint32_t k) { return PIN_PAGE_RECORDS << k; }
static uint32_t segment_first(uint32_t k) { return PIN_RECORDS + PIN_PAGE_RECORDS * ((1u << k) - 1); }
_Static_assert(PIN_RECORDS + (uint64_t)PIN_PAGE_RECORDS * ((1u << PIN_SEGMENTS) - 1) < UINT32_MAX, "records have 32-bit numbers");

static uint64_t *segment_at(shoal_arena *a, const process_slot *slot, uint32_t k)
{
    uint64_t page = load_acquire32(&slot->pin_segments[k]), frontier = load_acquire(&a->header->frontier), state;
    if (page == 0 || frontier > a->pages || page > frontier || !page_walk(a, page - 1, frontier, &state) ||
        page_kind(state) != PAGE_PINS || page_length(state) != 1ull << k)
        return NULL;
    return (uint64_t *)page_at(a, page - 1);
}

uint64_t *pins_record(shoal_arena *a, process_slot *slot, uint32_t number)
{
    if (likely(number < PIN_RECORDS))
        return &slot->pins[number];
    uint32_t k = 31 - (uint32_t)__builtin_clz((number - PIN_RECORDS) / PIN_PAGE_RECORDS + 1);
    uint64_t *records = k < PIN_SEGMENTS ? segment_at(a, slot, k) : NULL;
    return records ? &records[number - segment_first(k)] : NULL;
}

/* Part 0 of a slot is in its page, part k + 1 is segment k. False: there is no such part. */
static bool part_of(shoal_arena *a, process_slot *slot, uint32_t part, pin_part *p)
{
    p->page = part ? load_acquire32(&slot->pin_segments[part - 1]) : 0;
    p->records = part ? segment_at(a, slot, part - 1) : slot->pins;
    p->count = part ? segment_records(part - 1) : PIN_RECORDS;
    return p->records != NULL;
}

bool pins_part(shoal_arena *a, pin_part *p)
{
    uint64_t high = load_acquire(&a->header->slots_high);
    for (; p->slot < high && p->slot < PROCESS_MAX; p->slot++, p->part = 0) {
        process_slot *slot = &a->slots[p->slot];
        if ((uint32_t)load_acquire(&slot->state) != SLOT_USED) /* such a one has no pins */
            continue;
        while (p->part <= PIN_SEGMENTS)
            if (part_of(a, slot, p->part++, p))
                return true;
    }
    return false;
}

/* Give the slot its segment k, filled with zeros. Under the lock of a shard. */
static shoal_status add_segment(shoal_arena *a, process_slot *slot, uint32_t k, uint32_t shard_index, waiting *w)
{
    uint64_t page;
    shoal_status status = pages_take(a, 1ull << k, PAGE_PINS, shard_index, &page, w);
    if (status != SHOAL_OK)
        return status;
    memset(page_at(a, page), 0, PAGE_SIZE << k);
    store_release32(&slot->pin_segments[k], (uint32_t)page + 1);
    return SHOAL_OK;
}

/* With the lock of the shard that owns it: who dies between the two leaves it to that shard's recovery. False: some are left. */
static bool give_segments(shoal_arena *a, process_slot *slot, waiting *w)
{
    bool all = true;
    for (uint32_t k = 0; k < PIN_SEGMENTS; k++) {
        uint64_t page = load_relaxed32(&slot->pin_segments[k]);
        if (page == 0)
            continue;
        if (!segment_at(a, slot, k)) {
            store_relaxed32(&slot->pin_segments[k], 0);
            continue;
        }
        uint32_t shard_index = page_shard(load_relaxed(&a->map[page - 1].state));
        if (shard_lock(a, shard_index, w) != SHOAL_OK) {
            all = false;
            continue;
        }
        if (pages_lock(a, w) == SHOAL_OK) {
            store_release32(&slot->pin_segments[k], 0);
            pages_give(a, page - 1);
            pages_unlock(a);
        } else {
            all = false;
        }
        shard_unlock(a, shard_index);
    }
    return all;
}

/* ---- this process's numbers */

/* Under the mutex. */
static bool pool_grow(pin_pool *pool, uint32_t room)
{
    uint32_t *grown = realloc(pool->free, room * sizeof *grown);
    if (grown)
        pool->free = grown;
    uint32_t *left = grown ? realloc(pool->left, room * sizeof *left) : NULL;
    if (left) {
        pool->left = left;
        pool->room = room;
    }
    return left != NULL;
}

static uint32_t records_of(shoal_arena *a, const process_slot *slot)
{
    uint32_t k = 0;
    while (k < PIN_SEGMENTS && segment_at(a, slot, k))
        k++;
    return segment_first(k);
}

/* A number whose record is free. Under the shard's lock. */
static shoal_status take_number(shoal_arena *a, uint32_t shard_index, uint32_t *number, waiting *w)
{
    pin_pool *pool = &a->pins;
    shoal_status status = SHOAL_OK;
    pthread_mutex_lock(&pool->mutex);
    if (pool->free_count) {
        *number = pool->free[--pool->free_count];
    } else {
        if (unlikely(pool->end == pool->room)) {
            uint32_t room = records_of(a, a->me), k = 0;
            if (room == pool->end) {
                while (k < PIN_SEGMENTS && segment_first(k) != room)
                    k++;
                status = k == PIN_SEGMENTS ? SHOAL_FULL_PINS : add_segment(a, a->me, k, shard_index, w);
                room = segment_first(k + 1);
            }
            if (status == SHOAL_OK && !pool_grow(pool, room))
                status = SHOAL_NO_MEMORY;
        }
        if (status == SHOAL_OK)
            *number = pool->end++;
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

static void give_number(shoal_arena *a, uint32_t number)
{
    pthread_mutex_lock(&a->pins.mutex);
    a->pins.free[a->pins.free_count++] = number;
    pthread_mutex_unlock(&a->pins.mutex);
}

shoal_status pins_begin(shoal_arena *a, bool forked)
{
    pin_pool *pool = &a->pins;
    pin_part p;
    /* Without a copy a forked child cannot tell its own pins of a number from those of the objects that it inherited. */
    if (!forked)
        pool->owner = pin_owner(a);
    pool->end = pool->free_count = pool->left_count = pool->views = 0;
    uint32_t first = 0, room = records_of(a, a->me);
    for (uint32_t part = 0; part <= PIN_SEGMENTS && part_of(a, a->me, part, &p); first += p.count, part++)
        for (uint32_t i = 0; i < p.count; i++)
            if (load_relaxed(&p.records[i]))
                pool->end = first + i + 1;
    if (pool->end == 0)
        return SHOAL_OK;
    if (pool->room < room && !pool_grow(pool, room))
        return SHOAL_NO_MEMORY;
    for (uint32_t i = pool->end; i-- > 0;) {
        uint64_t *record = pins_record(a, a->me, i), word = load_relaxed(record);
        if (word == 0)
            pool->free[pool->free_count++] = i;
        else if (forked)
            pool->views += word != VOID;
        else
            pool->left[pool->left_count++] = i;
    }
    return SHOAL_OK;
}

void pins_end(shoal_arena *a)
{
    free(a->pins.free);
    free(a->pins.left);
    a->pins.free = a->pins.left = NULL;
    a->pins.room = a->pins.end = a->pins.free_count = a->pins.left_count = a->pins.views = 0;
}

/* ---- pins */

static void count_pin(shoal_arena *a, uint64_t page) { store_relaxed(&a->map[page].aux, load_relaxed(&a->map[page].aux) + 1); }

shoal_status pins_add(shoal_arena *a, uint32_t shard_index, uint64_t ref, bool view, uint32_t *number, waiting *w)
{
    uint64_t page = page_of(a, ref << REF_SHIFT);
    if (!page_head(a, page, PAGE_LARGE, shard_index))
        return corrupt(a, "pin: not a large run of this shard");
    shoal_status status = take_number(a, shard_index, number, w);
    if (status != SHOAL_OK)
        return status;
    uint64_t *record = pins_record(a, a->me, *number);
    if (!record)
        return corrupt(a, "pin: its records are not where they were");
    store_release(record, pin_word(ref, shard_index, view));
    count_pin(a, page);
    if (view)
        add_relaxed32(&a->pins.views, 1);
    return SHOAL_OK;
}

bool pins_held(shoal_arena *a, const shoal_pin *pin)
{
    if (!a->me || pin->block == 0)
        return false;
    uint64_t owner = (pin->word & PIN_VIEW) ? a->pins.owner : pin_owner(a);
    uint64_t *record = pins_record(a, a->me, pin->record);
    return pin->block == ((pin->word & REF_MASK) | owner) && record && load_relaxed(record) == pin->word;
}

/* Under the shard's lock. */
static void drop(shoal_arena *a, uint64_t *record)
{
    uint64_t word = load_relaxed(record), page = page_of(a, (word & REF_MASK) << REF_SHIFT);
    uint32_t shard_index = pin_shard(word);
    store_relaxed(record, 0);
    if (!page_head(a, page, PAGE_LARGE, shard_index))
        return;
    uint64_t aux = load_relaxed(&a->map[page].aux);
    if ((uint32_t)aux == 0)
        return;
    store_relaxed(&a->map[page].aux, --aux);
    if (aux == PAGE_ORPHAN)
        slab_free_run(a, shard_index, page);
}

static void drop_own(shoal_arena *a, uint64_t *record)
{
    if (load_relaxed(record) & PIN_VIEW)
        add_relaxed32(&a->pins.views, (uint32_t)-1);
    drop(a, record);
}

void pins_drop(shoal_arena *a, uint32_t number)
{
    uint64_t *record = pins_record(a, a->me, number);
    if (!record)
        return;
    drop_own(a, record);
    give_number(a, number);
}

void pins_release(shoal_arena *a, uint32_t number, const waiting *w)
{
    uint64_t *record = pins_record(a, a->me, number);
    uint64_t word = record ? load_relaxed(record) : 0;
    waiting inside = waiting_inside(w);
    if (word == 0 || pin_shard(word) >= a->nshards) /* damaged */
        return;
    if (shard_lock(a, pin_shard(word), &inside) == SHOAL_OK) {
        pins_drop(a, number);
        shard_unlock(a, pin_shard(word));
        return;
    }
    store_relaxed(record, word | PIN_LEFT);
    pthread_mutex_lock(&a->pins.mutex);
    a->pins.left[a->pins.left_count] = number;
    store_relaxed32(&a->pins.left_count, a->pins.left_count + 1);
    pthread_mutex_unlock(&a->pins.mutex);
}

void pins_retry(shoal_arena *a)
{
    pin_pool *pool = &a->pins;
    if (likely(load_relaxed32(&pool->left_count) == 0))
        return;
    pthread_mutex_lock(&pool->mutex); /* held before a shard lock, for once: that one is not waited for */
    for (uint32_t i = pool->left_count; i-- > 0;) {
        uint32_t number = pool->left[i];
        uint64_t *record = pins_record(a, a->me, number), word = record ? load_relaxed(record) : 0;
        if (shard_lock(a, pin_shard(word) % a->nshards, &(waiting){0}) != SHOAL_OK)
            continue;
        if (record)
            drop_own(a, record);
        shard_unlock(a, pin_shard(word) % a->nshards);
        pool->left[i] = pool->left[pool->left_count - 1];
        store_relaxed32(&pool->left_count, pool->left_count - 1);
        pool->free[pool->free_count++] = number;
    }
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- whole slots */

bool pins_drop_all(shoal_arena *a, process_slot *slot, const waiting *w)
{
    waiting inside = waiting_inside(w);
    bool all = true;
    pin_part p;
    for (uint32_t part = 0; part <= PIN_SEGMENTS; part++) {
        if (!part_of(a, slot, part, &p))
            continue;
        for (uint32_t i = 0; i < p.count; i++) {
            uint64_t word = load_relaxed(&p.records[i]);
            if (word == 0)
                continue;
            if (pin_shard(word) >= a->nshards || word == VOID) {
                store_relaxed(&p.records[i], 0);
            } else if (shard_lock(a, pin_shard(word), &inside) == SHOAL_OK) {
                drop(a, &p.records[i]);
                shard_unlock(a, pin_shard(word));
            } else {
                all = false; /* a stopped owner: the record stays for the next who reaps */
            }
        }
    }
    return all && give_segments(a, slot, &inside);
}

/* One record of the child's. Under the shard's lock. */
static void copy_pin(shoal_arena *a, process_slot *child, uint32_t number, uint64_t word)
{
    uint64_t *to = pins_record(a, child, number), page = page_of(a, (word & REF_MASK) << REF_SHIFT);
    if (!to || !page_head(a, page, PAGE_LARGE, pin_shard(word)))
        return;
    store_release(to, word);
    count_pin(a, page);
}

shoal_status pins_copy(shoal_arena *a, process_slot *child, waiting *w)
{
    uint32_t first = 0;
    pin_part p;
    for (uint32_t part = 0; part <= PIN_SEGMENTS && part_of(a, a->me, part, &p); first += p.count, part++) {
        bool made = false;
        for (uint32_t i = 0; i < p.count && first + i < load_relaxed32(&a->pins.end); i++) {
            uint64_t word = load_relaxed(&p.records[i]);
            if (!(word & PIN_VIEW) || (word & PIN_LEFT) || pin_shard(word) >= a->nshards)
                continue;
            shoal_status status = shard_lock(a, pin_shard(word), w);
            bool locked = status == SHOAL_OK;
            if (part && !made) { /* all segments below have to be there, too, for the numbers to be right */
                for (uint32_t k = 0; k < part && locked && status == SHOAL_OK; k++)
                    if (load_relaxed32(&child->pin_segments[k]) == 0)
                        status = add_segment(a, child, k, pin_shard(word), w);
                made = status == SHOAL_OK;
            }
            if (locked && status == SHOAL_OK && load_relaxed(&p.records[i]) == word)
                copy_pin(a, child, first + i, word);
            if (locked)
                shard_unlock(a, pin_shard(word));
            if (status == SHOAL_OK)
                continue;
            if (status != SHOAL_BUSY || (part && !made))
                return status;
            uint64_t *to = pins_record(a, child, first + i);
            if (to)
                store_relaxed(to, VOID);
        }
    }
    return SHOAL_OK;
}

/* ---- the arena's pins */

bool pins_recount(shoal_arena *a, uint32_t shard_index, uint64_t frontier)
{
    uint64_t state;
    for (uint64_t page = 0; page < frontier; page += page_length(state)) {
        if (!page_walk(a, page, frontier, &state))
            return false;
        if ((page_kind(state) == PAGE_LARGE || page_kind(state) == PAGE_PINS) && page_shard(state) == shard_index)
            store_relaxed(&a->map[page].aux, load_relaxed(&a->map[page].aux) & PAGE_ORPHAN);
    }
    for (pin_part p = {0}; pins_part(a, &p);) {
        if (p.page && page_head(a, p.page - 1, PAGE_PINS, shard_index))
            store_relaxed(&a->map[p.page - 1].aux, 1);
        for (uint32_t i = 0; i < p.count; i++) {
            uint64_t word = load_relaxed(&p.records[i]), page = page_of(a, (word & REF_MASK) << REF_SHIFT);
            if (word != 0 && pin_shard(word) == shard_index && page_head(a, page, PAGE_LARGE, shard_index))
                count_pin(a, page);
        }
    }
    return true;
}

uint64_t pins_bytes(shoal_arena *a)
{
    double pages = 0; /* a run with n pins is met n times */
    uint64_t frontier = load_acquire(&a->header->frontier);
    for (pin_part p = {0}; frontier <= a->pages && pins_part(a, &p);)
        for (uint32_t i = 0; i < p.count; i++) {
            uint64_t word = load_relaxed(&p.records[i]), page = page_of(a, (word & REF_MASK) << REF_SHIFT);
            if (word == 0 || page >= frontier || page_kind(load_relaxed(&a->map[page].state)) != PAGE_LARGE)
                continue;
            uint32_t pins = (uint32_t)load_relaxed(&a->map[page].aux);
            pages += (double)page_length(load_relaxed(&a->map[page].state)) / (pins ? pins : 1);
        }
    return (uint64_t)(pages + 0.5) << PAGE_SHIFT;
}
