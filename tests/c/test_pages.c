/* Page runs: the walk meets each run once, runs merge and split, punched ones come back, nothing overlaps. */
#include "fixture.h"
#include "pages.h"
#include "process.h"

#define MODEL_PAGES 4096u

static waiting patient(void) { return (waiting){.wait = WAIT}; }

static shoal_status take(shoal_arena *a, uint64_t count, uint32_t kind, uint64_t *page)
{
    waiting w = patient();
    return pages_take(a, count, kind, 0, page, &w);
}

static void give(shoal_arena *a, uint64_t page)
{
    waiting w = patient();
    CHECK_STATUS(pages_lock(a, &w), SHOAL_OK);
    pages_give(a, page);
    pages_unlock(a);
}

/* A large run that the verifier accepts: an orphan that waits to be freed. */
static shoal_status take_held(shoal_arena *a, uint64_t count, uint64_t *page)
{
    shoal_status status = take(a, count, PAGE_LARGE, page);
    if (status == SHOAL_OK) {
        a->map[*page].aux = PAGE_ORPHAN;
        a->shards[0].limbo = 1;
    }
    return status;
}

static uint64_t free_runs(shoal_arena *a, uint64_t *longest)
{
    uint64_t runs = 0, state;
    *longest = 0;
    for (uint64_t page = 0; page < a->header->frontier; page += page_length(state)) {
        if (!page_walk(a, page, a->header->frontier, &state))
            return UINT64_MAX;
        if (page_kind(state) != PAGE_FREE)
            continue;
        runs++;
        *longest = page_length(state) > *longest ? page_length(state) : *longest;
    }
    return runs;
}

static void random_takes_and_gives_agree_with_a_model(void)
{
    shoal_arena *a = arena_new("pages", 16 * MIB);
    static uint8_t owner[MODEL_PAGES]; /* 0 free, else id of run modulo 255 + 1 */
    struct { uint64_t page, length; } runs[200];
    uint32_t count = 0;
    uint64_t seed = 99, held = 0, before = a->header->used, page;
    memset(owner, 0, sizeof owner);
    CHECK_EQ(a->pages, MODEL_PAGES);
    for (int step = 0; step < 20000; step++) {
        uint64_t r = random_next(&seed);
        if (count < 200 && r % 100 < 52) {
            uint64_t length = r >> 32 & 1 ? 1 + (r >> 40) % 8 : 1 + (r >> 40) % 150;
            shoal_status status = take_held(a, length, &page);
            if (status == SHOAL_FULL_ARENA)
                continue;
            REQUIRE(status == SHOAL_OK && page + length <= MODEL_PAGES);
            for (uint64_t i = page; i < page + length; i++) {
                REQUIRE(owner[i] == 0);
                owner[i] = 1;
                page_at(a, i)[17] = (uint8_t)i; /* committed: no hole, no SIGBUS */
            }
            runs[count].page = page;
            runs[count++].length = length;
            held += length;
        } else if (count) {
            uint32_t i = (uint32_t)((r >> 32) % count);
            give(a, runs[i].page);
            memset(owner + runs[i].page, 0, runs[i].length);
            held -= runs[i].length;
            runs[i] = runs[--count];
        }
        if (r % 997 == 0) {
            waiting w = patient();
            CHECK_STATUS(pages_trim(a, &w), SHOAL_OK);
        }
        if (step % 500 == 0)
            REQUIRE(arena_verify(a) == SHOAL_OK);
        REQUIRE(a->header->used == before + held);
    }
    while (count)
        give(a, runs[--count].page);
    CHECK_EQ(a->header->used, before);
    ARENA_END(a);
}

static void neighbours_merge_in_either_order(void)
{
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        shoal_arena *a = arena_new("merge", MIB);
        uint64_t page[3], fence, longest, runs;
        for (int i = 0; i < 3; i++)
            REQUIRE(take_held(a, 4, &page[i]) == SHOAL_OK);
        REQUIRE(take_held(a, a->header->frontier - page[2] - 4, &fence) == SHOAL_OK);
        runs = free_runs(a, &longest);
        CHECK_EQ(runs, 0u);
        for (int i = 0; i < 3; i++)
            give(a, page[orders[o][i]]);
        CHECK_EQ(free_runs(a, &longest), 1u);
        CHECK_EQ(longest, 12u);
        give(a, fence);
        ARENA_END(a);
    }
}

static void what_was_freed_is_used_before_new_pages(void)
{
    shoal_arena *a = arena_new("reuse", 16 * MIB);
    uint64_t page, first, frontier;
    REQUIRE(take_held(a, 300, &first) == SHOAL_OK);
    give(a, first);
    frontier = a->header->frontier;
    for (int i = 0; i < 50; i++) {
        REQUIRE(take_held(a, 300, &page) == SHOAL_OK);
        give(a, page);
    }
    CHECK_EQ(a->header->frontier, frontier);
    ARENA_END(a);
}

/* The end of the used part is free, the rest was never used: together they are enough. */
static void a_run_may_need_both_the_free_end_and_new_pages(void)
{
    shoal_arena *a = arena_new("tail", MIB);
    uint64_t page;
    REQUIRE(take_held(a, 150, &page) == SHOAL_OK);
    give(a, page);
    CHECK_STATUS(take_held(a, 230, &page), SHOAL_OK);
    for (uint64_t i = 0; i < 230; i++)
        page_at(a, page + i)[0] = 1;
    CHECK_SOUND(a);
    give(a, page);
    /* All of it, as one run, however it was cut before. */
    CHECK_STATUS(take_held(a, a->pages, &page), SHOAL_OK);
    CHECK_SOUND(a);
    uint64_t other;
    CHECK_STATUS(take_held(a, 1, &other), SHOAL_FULL_ARENA);
    give(a, page);
    ARENA_END(a);
}

/* Of many free runs of about the wanted length only one is long enough. */
static void the_one_run_that_fits_is_found_among_many(void)
{
    enum { SHORT = 100, FITTING = 60, OTHER = 35 };
    shoal_arena *a = arena_new("look", 16 * MIB);
    uint64_t page, last = 0;
    while (take_held(a, 1, &page) == SHOAL_OK)
        last = page; /* every page is a run of its own now, so that any can be a fence */
    REQUIRE(last + 1 >= FITTING + 1 + SHORT * (OTHER + 1));
    for (page = 0; page < FITTING; page++)
        give(a, page);
    for (int i = 0; i < SHORT; i++) {
        page++;
        for (int k = 0; k < OTHER; k++)
            give(a, page++);
    }
    CHECK_STATUS(take_held(a, 50, &page), SHOAL_OK);
    CHECK_EQ(page, 0u);
    ARENA_END(a);
}

static void touched_runs_are_never_punched_and_keep_the_flag(void)
{
    shoal_arena *a = arena_new("touched", 4 * MIB);
    waiting w = patient();
    uint64_t page, again;
    REQUIRE(take(a, 8, PAGE_TABLE, &page) == SHOAL_OK);
    memset(page_at(a, page), 0x5A, 8 * PAGE_SIZE);
    give(a, page);
    CHECK_STATUS(pages_trim(a, &w), SHOAL_OK);
    CHECK(page_flags(a->map[page].state) & PAGE_TOUCHED);
    CHECK(!(page_flags(a->map[page].state) & PAGE_HOLE));
    CHECK_EQ(page_at(a, page)[100], 0x5A); /* a stale reader may look here still */
    REQUIRE(take(a, 8, PAGE_SLAB, &again) == SHOAL_OK);
    CHECK_EQ(again, page);
    give(a, again);
    ARENA_END(a);
}

static void punched_memory_returns_to_the_system_and_comes_back_as_zeros(void)
{
#ifdef SHOAL_LINUX
    shoal_arena *a = arena_new("punch", 64 * MIB);
    waiting w = patient();
    uint64_t page, again, before, after;
    REQUIRE(take_held(a, 2000, &page) == SHOAL_OK);
    memset(page_at(a, page), 0xEE, 2000 * PAGE_SIZE);
    before = stats_of(a).committed;
    give(a, page);
    CHECK_STATUS(pages_trim(a, &w), SHOAL_OK);
    after = stats_of(a).committed;
    CHECK(before - after >= 2000 * PAGE_SIZE);
    CHECK_SOUND(a);
    REQUIRE(take_held(a, 2000, &again) == SHOAL_OK);
    CHECK(stats_of(a).committed - after >= 2000 * PAGE_SIZE); /* committed before its first touch */
    CHECK_EQ(again, page);
    CHECK_EQ(page_at(a, again)[5], 0);
    give(a, again);
    ARENA_END(a);
#else
    SKIP("this system cannot give single pages back");
#endif
}

static void a_dead_owners_page_lock_is_taken_over_and_its_bins_made_anew(void)
{
    shoal_arena *a = arena_new("dead", 4 * MIB);
    uint64_t pages[10], page, longest;
    for (int i = 0; i < 10; i++)
        REQUIRE(take_held(a, 5, &pages[i]) == SHOAL_OK);
    for (int i = 0; i < 10; i += 2)
        give(a, pages[i]);
    pid_t pid = fork_child();
    if (pid == 0) {
        waiting w = patient();
        bool dead;
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(lock_take(a, &a->header->page_lock, &w, &dead) == SHOAL_OK);
        memset(a->header->bins, 0x77, sizeof a->header->bins); /* whatever it did to them */
        a->header->used = 12345;
        a->header->spare_pages = 54321;
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_STATUS(take_held(a, 5, &page), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK(free_runs(a, &longest) != UINT64_MAX);
    ARENA_END(a);
}

static void impossible_lengths_are_refused(void)
{
    shoal_arena *a = arena_new("lengths", MIB);
    uint64_t page;
    CHECK_STATUS(take(a, 0, PAGE_LARGE, &page), SHOAL_FULL_ARENA);
    CHECK_STATUS(take(a, a->pages + 1, PAGE_LARGE, &page), SHOAL_FULL_ARENA);
    CHECK_STATUS(take(a, UINT64_MAX, PAGE_LARGE, &page), SHOAL_FULL_ARENA);
    give(a, UINT64_MAX); /* nothing to free: no harm */
    give(a, a->pages);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(random_takes_and_gives_agree_with_a_model);
    RUN(neighbours_merge_in_either_order);
    RUN(what_was_freed_is_used_before_new_pages);
    RUN(a_run_may_need_both_the_free_end_and_new_pages);
    RUN(the_one_run_that_fits_is_found_among_many);
    RUN(touched_runs_are_never_punched_and_keep_the_flag);
    RUN(punched_memory_returns_to_the_system_and_comes_back_as_zeros);
    RUN(a_dead_owners_page_lock_is_taken_over_and_its_bins_made_anew);
    RUN(impossible_lengths_are_refused);
    return check_report();
}

int main(void) { return fixture_main(tests); }
