/* The largest arena, at its far end: every offset has as many bits as there are. All but the last pages are one run that some
 * reader is taken to hold, so nothing of it is committed. */
#include "fixture.h"
#include "pages.h"
#include "recover.h"

#define LEFT 30000u /* pages at the end that are still to be had: 120 MB */

static shoal_arena *huge_new(uint64_t *first)
{
    shoal_arena *a = arena_new("huge", SHOAL_SIZE_MAX);
    arena_header *h = a->header;
    *first = h->frontier;
    uint64_t length = a->pages - LEFT - *first;
    a->map[*first].state = page_state(PAGE_LARGE, 0, 0, length);
    a->map[*first].aux = PAGE_ORPHAN;
    h->frontier += length;
    h->used += length;
    return a;
}

/* The run that is held goes the way of all that is free: large, and never committed. */
static void release(shoal_arena *a) { a->shards[0].limbo = 1; }

static void entries_at_the_far_end(void)
{
    uint64_t first, seed = 5;
    shoal_arena *a = huge_new(&first);
    shoal_namespace ns = ns_default(a);
    REQUIRE(a->nshards == SHARD_MAX);
    for (unsigned i = 0; i < 4000; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, i % 200 ? i % 300 : 70000, i & 1), SHOAL_OK);
    for (unsigned i = 0; i < 8000; i++) {
        unsigned k = (unsigned)(random_next(&seed) % 4000);
        if (i % 4 == 0)
            CHECK_STATUS(put_pattern(a, &ns, numbered("k", k), k, k % 200 ? k % 300 : 70000, k & 1), SHOAL_OK);
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", k), k, k % 200 ? k % 300 : 70000), SHOAL_OK);
    }
    CHECK_EQ(keys_of(a, &ns, "k"), 4000u);
    shoal_pin pin;
    REQUIRE(shoal_pin_take(a, &ns, "k200", 4, &pin, WAIT) == SHOAL_OK);
    CHECK((uint64_t)((const uint8_t *)pin.data - a->base) > (uint64_t)1017 << 30);
    CHECK_STATUS(del(a, &ns, "k200"), SHOAL_OK);
    CHECK(pattern_holds(pin.data, 200, 70000));
    shoal_unpin(a, &pin);
    release(a);
    CHECK_SOUND(a);
    ARENA_END(a);
}

static void its_last_page_is_the_limit(void)
{
    uint64_t first;
    shoal_arena *a = huge_new(&first);
    shoal_namespace ns = ns_default(a);
    unsigned count = 0;
    shoal_status status;
    while ((status = put_pattern(a, &ns, numbered("k", count), count, 40000, false)) == SHOAL_OK)
        count++;
    CHECK_STATUS(status, SHOAL_FULL_ARENA);
    CHECK(count > 200);
    CHECK_EQ(a->header->frontier, a->pages);
    for (unsigned i = 0; i < count; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, 40000), SHOAL_OK);
    release(a);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK(stats_of(a).used < 128 * MIB);
    CHECK_STATUS(put_pattern(a, &ns, "more", 1, 40 * MIB, false), SHOAL_OK); /* out of a run of a terabyte */
    CHECK_STATUS(get_pattern(a, &ns, "more", 1, 40 * MIB), SHOAL_OK);
    CHECK_SOUND(a);
    ARENA_END(a);
}

static void a_dead_owners_shard_is_recovered(void)
{
    uint64_t first;
    shoal_arena *a = huge_new(&first);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, i, false), SHOAL_OK);
    a->shards[7].lock.word = LOCK_OWNER_MASK;
    waiting w = {.wait = WAIT};
    CHECK_STATUS(shard_lock(a, 7, &w), SHOAL_OK);
    shard_unlock(a, 7);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, i), SHOAL_OK);
    release(a);
    CHECK_SOUND(a);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(entries_at_the_far_end);
    RUN(its_last_page_is_the_limit);
    RUN(a_dead_owners_shard_is_recovered);
    return check_report();
}

int main(void) { return fixture_main(tests); }
