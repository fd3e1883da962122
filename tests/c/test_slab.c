/* Blocks: size classes, free lists, runs that go back when all their blocks are free. */
#include "fixture.h"
#include "recover.h"
#include "slab.h"

static waiting patient(void) { return (waiting){.wait = WAIT}; }

static shoal_status take(shoal_arena *a, uint64_t bytes, uint64_t *ref)
{
    waiting w = patient();
    return slab_take(a, 0, bytes, ref, &w);
}

static void a_class_is_the_smallest_that_holds_the_bytes(void)
{
    for (uint64_t bytes = 1; bytes <= SLAB_BLOCK_MAX; bytes++) {
        uint32_t c = class_of(bytes);
        CHECK(c < CLASS_COUNT && class_size(c) >= bytes && (c == 0 || class_size(c - 1) < bytes));
    }
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        CHECK(class_size(c) % 16 == 0 && class_of(class_size(c)) == c);
    CHECK_EQ(class_size(CLASS_COUNT - 1), SLAB_BLOCK_MAX);
    CHECK(!block_is_large(SLAB_BLOCK_MAX) && block_is_large(SLAB_BLOCK_MAX + 1));
    CHECK_EQ(class_size(class_of(64)), 64u); /* overflow buckets: a multiple of their own size */
}

/* No class wastes more than an eighth of a run, or has fewer blocks in it than worth the while. */
static void runs_of_every_class_fit_their_blocks(void)
{
    shoal_arena *a = arena_new("classes", 16 * MIB);
    for (uint32_t c = 2; c < CLASS_COUNT; c++) {
        uint64_t ref, size = class_size(c), state;
        REQUIRE(take(a, size, &ref) == SHOAL_OK);
        uint64_t page = page_of(a, ref << REF_SHIFT);
        state = a->map[page].state;
        uint64_t bytes = page_length(state) << PAGE_SHIFT;
        CHECK_EQ(page_kind(state), (uint32_t)PAGE_SLAB);
        CHECK_EQ(slab_run_class(&a->map[page]), c);
        CHECK(bytes % size * 8 <= bytes);
        CHECK(bytes / size >= 2);
        memset(a->base + (ref << REF_SHIFT), 0xAB, size);
        slab_give(a, 0, ref, size);
    }
    CHECK_EQ(arena_verify(a), SHOAL_OK);
    slab_trim(a, 0);
    CHECK_EQ(a->header->used, 0u);
    ARENA_END(a);
}

/* Random blocks of all sizes: none overlaps another (their contents stay), and all memory comes back. */
static void random_blocks_keep_their_bytes(void)
{
    enum { BLOCKS = 600 };
    shoal_arena *a = arena_new("blocks", 16 * MIB);
    struct { uint64_t ref, bytes, seed; } held[BLOCKS];
    uint64_t seed = 7;
    int count = 0;
    for (int step = 0; step < 30000; step++) {
        uint64_t r = random_next(&seed);
        if (count < BLOCKS && r % 100 < 52) {
            uint64_t bytes = 33 + (r >> 20) % (r & 1024 ? 400 : 40000), ref;
            shoal_status status = take(a, bytes, &ref);
            if (status == SHOAL_FULL_ARENA)
                continue;
            REQUIRE(status == SHOAL_OK);
            pattern_fill(a->base + (ref << REF_SHIFT), r, bytes);
            held[count].ref = ref, held[count].bytes = bytes, held[count++].seed = r;
        } else if (count) {
            int i = (int)((r >> 32) % (uint64_t)count);
            REQUIRE(pattern_holds(a->base + (held[i].ref << REF_SHIFT), held[i].seed, held[i].bytes));
            slab_give(a, 0, held[i].ref, held[i].bytes);
            held[i] = held[--count];
        }
        if (r % 2999 == 0)
            slab_trim(a, 0);
    }
    while (count--)
        slab_give(a, 0, held[count].ref, held[count].bytes);
    slab_trim(a, 0);
    CHECK_EQ(a->header->used, 0u);
    ARENA_END(a);
}

/* The newest run, handed out in part: free blocks and never-used ones together make it empty. */
static void a_run_not_handed_out_in_full_is_trimmed_too(void)
{
    shoal_arena *a = arena_new("bump", MIB);
    slab_class *sc = &a->shards[0].classes[class_of(100)];
    uint64_t refs[3];
    for (int i = 0; i < 3; i++)
        REQUIRE(take(a, 100, &refs[i]) == SHOAL_OK);
    CHECK(sc->bump_left > 0);
    slab_give(a, 0, refs[1], 100);
    slab_trim(a, 0); /* two are in use: it stays */
    CHECK_EQ(sc->runs, 1u);
    CHECK(sc->bump_left > 0);
    CHECK_EQ(sc->free_count, 1u);
    slab_give(a, 0, refs[0], 100);
    slab_give(a, 0, refs[2], 100);
    slab_trim(a, 0);
    CHECK_EQ(sc->runs, 0u);
    CHECK_EQ(sc->bump_left, 0u);
    CHECK_EQ(sc->free_count, 0u);
    CHECK_EQ(a->header->used, 0u);
    uint64_t again; /* the class forgot the run: nothing is handed out of it any more */
    REQUIRE(take(a, 100, &again) == SHOAL_OK);
    CHECK_EQ(sc->runs, 1u);
    slab_give(a, 0, again, 100);
    ARENA_END(a);
}

static void freeing_a_lot_trims_by_itself(void)
{
    enum { BLOCKS = 4000 };
    shoal_arena *a = arena_new("trim", 16 * MIB);
    static uint64_t refs[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        REQUIRE(take(a, 1000, &refs[i]) == SHOAL_OK);
    uint64_t used = a->header->used;
    for (int i = 0; i < BLOCKS; i++)
        slab_give(a, 0, refs[i], 1000);
    CHECK(a->header->used * 10 < used);
    slab_trim(a, 0);
    ARENA_END(a);
}

/* A block of each run stays: nothing can go back, and looking for it must not cost each free a walk. */
static void trimming_in_vain_is_rare(void)
{
    enum { BLOCKS = 20000 };
    shoal_arena *a = arena_new("vain", 16 * MIB);
    static uint64_t refs[BLOCKS];
    slab_class *sc = &a->shards[0].classes[class_of(256)];
    for (int i = 0; i < BLOCKS; i++)
        REQUIRE(take(a, 256, &refs[i]) == SHOAL_OK);
    uint32_t trims = 0, at = 0;
    for (int i = 0; i < BLOCKS; i++)
        if (i % 8 != 0) {
            slab_give(a, 0, refs[i], 256);
            if (sc->trim_at != at)
                trims++;
            at = sc->trim_at;
        }
    CHECK(trims <= 12); /* it doubles: log2 of how many are free */
    for (int i = 0; i < BLOCKS; i += 8)
        slab_give(a, 0, refs[i], 256);
    slab_trim(a, 0);
    CHECK_EQ(a->header->used, 0u);
    ARENA_END(a);
}

static void large_blocks_are_runs_of_their_own(void)
{
    shoal_arena *a = arena_new("large", 4 * MIB);
    uint64_t ref, state;
    REQUIRE(take(a, SLAB_BLOCK_MAX + 1, &ref) == SHOAL_OK);
    state = a->map[page_of(a, ref << REF_SHIFT)].state;
    CHECK_EQ(page_kind(state), (uint32_t)PAGE_LARGE);
    CHECK_EQ(page_length(state), 9u);
    slab_give(a, 0, ref, SLAB_BLOCK_MAX + 1);
    CHECK_EQ(a->header->used, 0u);
    CHECK_STATUS(take(a, a->pages * PAGE_SIZE + 1, &ref), SHOAL_FULL_ARENA);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(a_class_is_the_smallest_that_holds_the_bytes);
    RUN(runs_of_every_class_fit_their_blocks);
    RUN(random_blocks_keep_their_bytes);
    RUN(a_run_not_handed_out_in_full_is_trimmed_too);
    RUN(freeing_a_lot_trims_by_itself);
    RUN(trimming_in_vain_is_rare);
    RUN(large_blocks_are_runs_of_their_own);
    return check_report();
}

int main(void) { return fixture_main(tests); }
