/* The verifier: silent about every honest state, and for each invariant there is a damage that it names. */
#include "fixture.h"
#include "lists.h"
#include "pages.h"
#include "table.h"

static unsigned violations;
static char first_line[256];

static void collect(void *context, int severity, const char *line)
{
    (void)context;
    if (severity > 0 && violations++ == 0)
        snprintf(first_line, sizeof first_line, "%s", line);
}

/* The damage is named, with this word in one of the lines' first. */
static void check_named(shoal_arena *a, const char *word)
{
    violations = 0;
    first_line[0] = '\0';
    CHECK_STATUS(shoal_verify(a, collect, NULL, WAIT), SHOAL_CORRUPT);
    if (violations == 0 || !strstr(first_line, word))
        check_fail(__FILE__, __LINE__, "expected a line with \"%s\", got \"%s\"", word, first_line);
}

static shoal_namespace prepare(shoal_arena *a)
{
    shoal_namespace ns = ns_open(a, "space", 0, 1000, 0);
    for (unsigned i = 0; i < 100; i++) /* 48-byte blocks, larger ones, one large run */
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, i == 50 ? 40000 : i * 5, false), SHOAL_OK);
    for (unsigned i = 0; i < 100; i += 9)
        CHECK_STATUS(del(a, &ns, numbered("k", i)), SHOAL_OK);
    CHECK_SOUND(a);
    return ns;
}

static bucket *bucket_with(shoal_arena *a, uint64_t flag, uint32_t *slot)
{
    bool bad = false;
    for (uint64_t i = 0; i < a->shards[0].nbuckets; i++)
        for (bucket *b = bucket_at(a, &a->shards[0], i); b; b = bucket_next(a, b, &bad))
            for (*slot = 0; *slot < BUCKET_SLOTS; ++*slot)
                if (b->slots[*slot] != 0 && (b->slots[*slot] & SLOT_LARGE) == flag)
                    return b;
    return NULL;
}

/* Damages a word, has it named, puts it back, and all is well again. */
#define DAMAGED(word, value, name) \
    do { \
        __typeof__(word) before_ = (word); \
        (word) = (value); \
        check_named(a, name); \
        (word) = before_; \
        CHECK_SOUND(a); \
    } while (0)

static void damage_to_the_page_map_is_named(void)
{
    shoal_arena *a = arena_new("map", MIB);
    prepare(a);
    uint64_t free_page = 0, state;
    for (uint64_t page = 0; page < a->header->frontier; page += page_length(state))
        if (page_walk(a, page, a->header->frontier, &state) && page_kind(state) == PAGE_FREE)
            free_page = page;
    DAMAGED(a->header->used, a->header->used + 1, "used");
    DAMAGED(a->map[0].state, 0, "no run begins here");
    DAMAGED(a->map[0].state, a->map[0].state + (1ull << 32), "");
    DAMAGED(a->map[0].state, a->map[0].state | 0xF0, "no run begins here");
    DAMAGED(a->map[0].state, a->map[0].state | 0xFFFF0000, "no run begins here");
    DAMAGED(a->map[free_page].aux, 5ull << 32, "bin");
    for (int t = 0; t < 2; t++)
        for (uint32_t b = 0; b < PAGE_BINS; b++)
            if (a->header->bins[t][b])
                DAMAGED(a->header->bins[t][b], 0, "bins");
    shoal_close(a);
}

static void damage_to_the_table_is_named(void)
{
    shoal_arena *a = arena_new("table", MIB);
    prepare(a);
    shard *sh = &a->shards[0];
    uint32_t slot, other;
    bucket *b = bucket_with(a, 0, &slot), *large = bucket_with(a, SLOT_LARGE, &other);
    REQUIRE(b && large);
    bucket *head = bucket_at(a, sh, 0);
    DAMAGED(head->word, head->word + SEQ_ONE, "odd");
    DAMAGED(b->slots[slot], b->slots[slot] ^ 1ull << TAG_SHIFT, "hash");
    DAMAGED(b->slots[slot], b->slots[slot] | REF_MASK, "leaves the arena");
    DAMAGED(b->slots[slot], b->slots[slot] | SLOT_LARGE, "large");
    DAMAGED(large->slots[other], large->slots[other] & ~SLOT_LARGE, "large");
    DAMAGED(b->slots[slot], 0, "entries");
    DAMAGED(head->word, head->word | OVERFLOW_MASK, "chain");
    DAMAGED(sh->entries, sh->entries + 1, "entries");
    DAMAGED(sh->chained, sh->chained + 1, "overflow");
    DAMAGED(sh->nbuckets, 1, "");
    DAMAGED(sh->version, 1, "version");
    DAMAGED(sh->directory[0], 0, "directory");
    block *in = block_at(a, b->slots[slot] & REF_MASK);
    DAMAGED(in->prev, in->prev & ~(0xFFFFull << 40), "impossible header");
    DAMAGED(in->size, in->size | 0xFFFFFFFF, "impossible header");
    DAMAGED(*((uint8_t *)(in + 1)), 'X', "hash");
    DAMAGED(in->version, in->version & ~VERSION_MASK, "version");
    shoal_close(a);
}

static void damage_to_the_lists_is_named(void)
{
    shoal_arena *a = arena_new("lists", MIB);
    shoal_namespace ns = prepare(a);
    namespace_head *nh = head_of(a, ns.id, 0);
    block *newest = block_at(a, nh->newest);
    DAMAGED(nh->count, nh->count - 1, "list");
    DAMAGED(nh->bytes, nh->bytes + 1, "list");
    DAMAGED(nh->newest, 0, "list");
    DAMAGED(nh->oldest, nh->newest, "list");
    DAMAGED(nh->hand, 123456, "list");
    DAMAGED(nh->cursor, 123456, "list");
    DAMAGED(newest->next, newest->next & ~REF_MASK, "list");
    DAMAGED(newest->next, newest->next | REF_MASK, "list");
    DAMAGED(newest->next, (newest->next & ~REF_MASK) | nh->newest, "list"); /* a cycle */
    DAMAGED(a->records[ns.id].total, 3, "total");
    CHECK_STATUS(put_ttl(a, &ns, "timed", "v", 100 * SECOND), SHOAL_OK);
    DAMAGED(nh->due, ~0ull, "due");
    shoal_close(a);
}

static void damage_to_the_blocks_is_named(void)
{
    shoal_arena *a = arena_new("blocks", MIB);
    prepare(a);
    uint32_t slot, c;
    bucket *large = bucket_with(a, SLOT_LARGE, &slot);
    uint64_t page = page_of(a, (large->slots[slot] & REF_MASK) << REF_SHIFT);
    for (c = 0; c < CLASS_COUNT && !a->shards[0].classes[c].free; c++)
        ;
    REQUIRE(c < CLASS_COUNT);
    slab_class *sc = &a->shards[0].classes[c];
    DAMAGED(sc->free_count, sc->free_count + 1, "class");
    DAMAGED(sc->free, 0, "class");
    DAMAGED(sc->free, large->slots[slot] & REF_MASK, "class");
    DAMAGED(sc->runs, sc->runs + 1, "runs");
    DAMAGED(sc->bump_left, sc->bump_left + 1, "unused");
    DAMAGED(a->map[page].aux, PAGE_ORPHAN | 1, "large run");
    for (uint64_t p = 0, state; p < a->header->frontier; p += page_length(state)) {
        REQUIRE(page_walk(a, p, a->header->frontier, &state));
        if (page_kind(state) == PAGE_SLAB) {
            DAMAGED(a->map[p].aux, 200, "class");
            break;
        }
    }
    shoal_close(a);
}

static void an_empty_arena_and_a_busy_one_are_sound(void)
{
    shoal_arena *a = arena_new("honest", 64 * MIB);
    CHECK_SOUND(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        uint64_t seed = 9;
        shoal_after_fork(a);
        shoal_namespace ns = ns_default(a);
        for (;;) {
            const char *key = numbered("k", (unsigned)(random_next(&seed) % 300));
            uint64_t r = random_next(&seed);
            if (r % 8 == 0)
                REQUIRE_CHILD(shoal_sweep(a, WAIT) == SHOAL_OK);
            else if (r % 3)
                put_pattern(a, &ns, key, r, (r >> 8) % (r & 64 ? 300 : 100000), r & 128);
            else
                del(a, &ns, key);
        }
    }
    for (int i = 0; i < 60; i++)
        CHECK_SOUND(a);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK_SOUND(a);
    shoal_close(a);
}

static int tests(void)
{
    RUN(damage_to_the_page_map_is_named);
    RUN(damage_to_the_table_is_named);
    RUN(damage_to_the_lists_is_named);
    RUN(damage_to_the_blocks_is_named);
    RUN(an_empty_arena_and_a_busy_one_are_sound);
    return check_report();
}

int main(void) { return fixture_main(tests); }
