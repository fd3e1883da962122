/* One wrong word among pins and the records of them: a process's slot, its segments, the counts in the page map. */
#include "words.h"

static shoal_pin held[PIN_RECORDS + 3];

/* ---- calls */

static shoal_status drop_first(world *w)
{
    shoal_unpin(w->a, &held[0]);
    return SHOAL_OK;
}
static shoal_status drop_last(world *w)
{
    shoal_unpin(w->a, &held[PIN_RECORDS + 2]);
    return SHOAL_OK;
}
static shoal_status drop_all(world *w)
{
    for (unsigned i = 0; i < PIN_RECORDS + 3; i++)
        shoal_unpin(w->a, &held[i]);
    return SHOAL_OK;
}
static shoal_status stats(world *w)
{
    shoal_stats out;
    return shoal_get_stats(w->a, &out);
}
static shoal_status fork_it(world *w) /* with copies of the views for a child, which then is not made */
{
    shoal_before_fork(w->a);
    shoal_after_fork_in_parent(w->a);
    return SHOAL_OK;
}
static shoal_status join_anew(world *w) /* in the slot of one that died there */
{
    process_slot *slot = w->a->me;
    uint64_t *record = pins_record(w->a, slot, 3), word = record ? *record : 0;
    shoal_status status = pins_begin(w->a, false);
    CHECK(!record || *record == word);
    return status;
}
static shoal_status leave(world *w)
{
    shoal_arena *b = arena_attach("words", 'w');
    process_leave(w->a);
    shoal_status status = shoal_reap(b, 20 * MILLISECOND);
    shoal_close(b);
    return status;
}
static shoal_status release_after_busy(world *w) /* a drop that finds the lock held is tried again by a later call */
{
    w->sh->lock.word = w->a->lock_word;
    pins_release(w->a, held[0].record, &(waiting){0});
    pins_retry(w->a);
    w->sh->lock.word = 0;
    pins_retry(w->a);
    return SHOAL_OK;
}

static shoal_status release_gone(world *w) /* numbers that have no record, or one that is not used */
{
    const waiting at_once = {.wait = MILLISECOND};
    pins_release(w->a, held[0].record, &at_once);
    pins_release(w->a, 0x7FFFFFFF, &at_once);
    pins_drop(w->a, 0x7FFFFFFF);
    return SHOAL_OK;
}
static shoal_status retry_gone(world *w) /* a drop that waits, and finds its record gone */
{
    w->sh->lock.word = w->a->lock_word;
    pins_release(w->a, held[PIN_RECORDS + 2].record, &(waiting){0});
    w->sh->lock.word = 0;
    w->a->me->pin_segments[0] = 0;
    pins_retry(w->a);
    return SHOAL_OK;
}

/* ---- words */

static void pin_one(world *w)
{
    CHECK_STATUS(shoal_view_take(w->a, &w->keys, "large", 5, &held[0], WAIT), SHOAL_OK);
}
static uint64_t *record_of(world *w, const shoal_pin *pin) { return pins_record(w->a, w->a->me, pin->record); }
/* More than the slot holds: the last of them lie in a segment. */
static void pin_many(world *w)
{
    for (unsigned i = 0; i < PIN_RECORDS + 3; i++)
        CHECK_STATUS(shoal_view_take(w->a, &w->keys, "large", 5, &held[i], WAIT), SHOAL_OK);
}
static uint64_t segment_page(world *w) { return w->a->me->pin_segments[0] - 1; }

HARM(none, pin_one(w))
HARM(many, pin_many(w))
HARM(record_gone, pin_one(w); *record_of(w, &held[0]) = 0)
HARM(record_of_no_shard, pin_one(w); *record_of(w, &held[0]) |= 0xFFull << REF_BITS; held[0].word = *record_of(w, &held[0]))
HARM(record_of_no_run, pin_one(w); *record_of(w, &held[0]) += 768; held[0].word = *record_of(w, &held[0]); held[0].block += 768)
HARM(record_past_the_end, pin_one(w); *record_of(w, &held[0]) |= REF_MASK; held[0].word |= REF_MASK; held[0].block |= REF_MASK)
HARM(record_of_a_slab, pin_one(w); *record_of(w, &held[0]) = PIN_VIEW | place_of(w, &w->keys, KEY).ref)
HARM(count_lost, pin_one(w); w->a->map[page_of_key(w, "large")].aux = 0)
HARM(count_too_high, pin_one(w); w->a->map[page_of_key(w, "large")].aux = 99)
HARM(run_without_a_head, pin_one(w); w->a->map[page_of_key(w, "large")].state = 0)
HARM(segment_gone, pin_many(w); w->a->me->pin_segments[0] = 0)
HARM(segment_past_the_end, pin_many(w); w->a->me->pin_segments[0] = UINT32_MAX)
HARM(segment_is_no_head, pin_many(w); w->a->me->pin_segments[0] += 1)
HARM(segment_of_a_slab, pin_many(w); uint64_t state;
     for (uint64_t page = 0; page_walk(w->a, page, w->a->header->frontier, &state); page += page_length(state))
         if (page_kind(state) == PAGE_SLAB) { w->a->me->pin_segments[0] = (uint32_t)page + 1; break; })
HARM(segment_too_long, pin_many(w); w->a->map[segment_page(w)].state += 1ull << 32)
HARM(segment_of_nobody, pin_one(w); waiting patience = {.wait = WAIT}; uint64_t page;
     CHECK_STATUS(pages_take(w->a, 1, PAGE_PINS, 0, &page, &patience), SHOAL_OK))
HARM(second_segment_alone, pin_many(w); waiting patience = {.wait = WAIT}; uint64_t page;
     CHECK_STATUS(pages_take(w->a, 2, PAGE_PINS, 0, &page, &patience), SHOAL_OK);
     memset(page_at(w->a, page), 0, 2 * PAGE_SIZE); w->a->me->pin_segments[1] = (uint32_t)page + 1; w->a->me->pin_segments[0] = 0)
HARM(frontier_outside, pin_many(w); w->a->header->frontier = w->a->pages + 1)
HARM(too_many_slots, pin_one(w); w->a->header->slots_high = PROCESS_MAX + 9ull)
HARM(slot_is_free, pin_one(w); w->a->me->state &= ~0xFFFFFFFFull)
HARM(all_records_used, pin_one(w); w->a->pins.end = w->a->pins.room = 0x7FFFFFFF)
HARM(segments_full, pin_one(w); for (uint32_t k = 0; k < PIN_SEGMENTS; k++) w->a->me->pin_segments[k] = 0;
     w->a->pins.end = w->a->pins.room = PIN_RECORDS)

static const wrong_word rows[] = {
    {"nothing", none, {{verify, OK}, {fork_it, OK}, {release_after_busy, OK}, {pin_large, OK}, {verify, OK}}},
    {"nothing, and many", many, {{verify, OK}, {fork_it, OK}, {verify, OK}, {drop_all, OK}, {leave, OK}}},
    {"what a dead one left in the slot", many, {{join_anew, OK}, {verify, OK}}},
    {"a record that is gone", record_gone, {{verify, CORRUPT}, {drop_first, OK}, {pin_large, OK}, {recover, OK}, {verify, OK}}},
    {"a record that is gone before it is released", record_gone, {{release_gone, OK}, {pin_large, OK}}},
    {"a record that is gone before it is dropped", many, {{retry_gone, OK}, {verify, CORRUPT}}},
    {"a record of no shard", record_of_no_shard, {{verify, CORRUPT}, {fork_it, OK}, {drop_first, OK}, {pin_large, OK}, {leave, OK}}},
    {"a record of no run", record_of_no_run,
     {{verify, CORRUPT}, {stats, OK}, {fork_it, OK}, {recover, OK}, {drop_first, OK}, {verify, OK}}},
    {"a record past the end", record_past_the_end, {{verify, CORRUPT}, {stats, OK}, {fork_it, OK}, {recover, OK}, {drop_first, OK}}},
    {"a record of a slab", record_of_a_slab, {{stats, OK}, {verify, CORRUPT}, {recover, OK}, {leave, OK}}},
    {"a count that is lost", count_lost, {{verify, CORRUPT}, {stats, OK}, {drop_first, OK}, {verify, OK}}},
    {"a count that is too high", count_too_high, {{verify, CORRUPT}, {recover, OK}, {verify, OK}, {drop_first, OK}, {verify, OK}}},
    {"a pinned run without a head", run_without_a_head,
     {{verify, CORRUPT}, {pin_large, CORRUPT}, {fork_it, OK}, {stats, OK}, {drop_first, OK}}},
    {"a segment that is gone", segment_gone,
     {{pin_large, CORRUPT}, {fork_it, OK}, {drop_last, OK}, {drop_all, OK}, {verify, CORRUPT}, {leave, OK}}},
    {"a segment past the end", segment_past_the_end,
     {{pin_large, CORRUPT}, {stats, OK}, {verify, CORRUPT}, {drop_all, OK}, {recover, OK}, {leave, OK}}},
    {"a segment that begins nowhere", segment_is_no_head, {{pin_large, CORRUPT}, {stats, OK}, {verify, CORRUPT}, {leave, OK}}},
    {"a segment in a slab", segment_of_a_slab, {{pin_large, CORRUPT}, {verify, CORRUPT}, {fork_it, OK}, {join_anew, OK}}},
    {"a segment that is too long", segment_too_long, {{pin_large, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}, {leave, OK}}},
    {"a segment of nobody", segment_of_nobody, {{verify, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a second segment without a first", second_segment_alone,
     {{pin_large, CORRUPT}, {fork_it, OK}, {drop_all, OK}, {verify, CORRUPT}, {recover, OK}}},
    {"more pages than there are", frontier_outside, {{pin_large, CORRUPT}, {stats, OK}, {drop_all, OK}}},
    {"more slots than there are", too_many_slots, {{stats, OK}, {verify, OK}, {recover, OK}, {fork_it, OK}}},
    {"a slot that says it is free", slot_is_free, {{stats, OK}, {verify, CORRUPT}, {recover, OK}, {drop_first, OK}}},
    {"as many records as can be", all_records_used, {{pin_large, CORRUPT}, {add_large, CORRUPT}, {drop_first, OK}}},
    {"segments that are gone", segments_full, {{pin_large, OK}, {drop_first, OK}, {verify, OK}}},
};

int main(void) { return words_main(rows, sizeof rows / sizeof *rows); }
