/* Trees in a damaged arena: whatever the words of a field's block hold, every call ends, and stays within the arena. */
#include "paths.h"
#include "table.h"
#include "fields.h"

#include <sys/mman.h>

enum { ROUNDS = 400, BLOCKS_MAX = 5000 };

static uint64_t blocks[BLOCKS_MAX];
static unsigned block_count;

static void silent(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }

/* Full to its last page, so that what leaves a block at the end leaves the mapping. */
static void plant(shoal_arena *a, const shoal_namespace *tree)
{
    char path[64];
    set(a, tree, "a.b.c.d", "1");
    make(a, tree, "a.b.empty", false);
    put_pattern(a, tree, names("a.large"), 1, 50000, true);
    put_ttl(a, tree, names("a.timed"), "2", 1000 * SECOND);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "t%u.p.v%u", i % 7, i);
        set(a, tree, path, "v");
    }
    for (unsigned i = 0; i < 6; i++)
        put_pattern(a, tree, names(numbered("x", i)), i, 120000, false);
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        snprintf(path, sizeof path, "z%u", i);
        if (make(a, tree, path, false) != SHOAL_OK)
            break;
    }
}

static void find_blocks(shoal_arena *a)
{
    bool bad = false;
    block_count = 0;
    for (uint64_t i = 0; i < a->shards[0].nbuckets; i++)
        for (bucket *in = bucket_at(a, &a->shards[0], i); in; in = bucket_next(a, in, &bad))
            for (uint32_t k = 0; k < BUCKET_SLOTS; k++)
                if (in->slots[k] && block_count < BLOCKS_MAX)
                    blocks[block_count++] = in->slots[k] & REF_MASK;
}

static uint64_t last_block(void)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < block_count; i++)
        last = blocks[i] > last ? blocks[i] : last;
    return last;
}

static void damage(shoal_arena *a, uint64_t *seed)
{
    uint64_t r = random_next(seed), ref = r % 4 ? blocks[(r >> 8) % block_count] : last_block();
    uint64_t *words = (uint64_t *)(a->base + (ref << REF_SHIFT)), *word = &words[(r >> 40) % 10];
    if ((uint8_t *)(word + 1) > a->base + a->file_size)
        word = words;
    uint64_t other = blocks[random_next(seed) % block_count];
    switch (random_next(seed) % 9) {
    case 0: *word = random_next(seed); break;
    case 1: *word = 0; break;
    case 2: *word = ~0ull; break;
    case 3: *word ^= 1ull << random_next(seed) % 64; break;
    case 4: *word ^= (uint64_t)(1 + random_next(seed) % 31) << 56; break; /* flags of the header */
    case 5: *word = (*word & ~REF_MASK) | other; break;
    case 6: *word = other | FIELD_FIRST; break;
    case 7: words[1] |= 0xFFFFull << 40; break; /* the longest key */
    default:
        a->shards[0].graves = r & 1 ? other : last_block();
        a->shards[0].epoch = random_next(seed);
    }
}

static void use(shoal_arena *a, shoal_arena *reader, shoal_namespace *tree, shoal_namespace *seen)
{
    static const char *const paths[] = {"a", "a.b", "a.b.c", "a.b.c.d", "a.b.empty", "a.large", "a.timed", "t1.p", "t2.p.v2", "z0", "z5"};
    shoal_base base = {.prefix = 1};
    shoal_number one = {.i = 1}, sum;
    shoal_namespace_stats count;
    shoal_meta meta;
    uint64_t cleared;
    char value[64];
    tree->base = &base;
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *p = names(paths[i]);
        size_t n = strlen(p);
        shoal_bytes out;
        shoal_pin pin;
        shoal_get(a, tree, p, n, value, 0, sizeof value, &meta, SECOND);
        shoal_get(reader, seen, p, n, value, 0, sizeof value, &meta, 0);
        if (shoal_fields(a, tree, p, n, 0, &out, SECOND) == SHOAL_OK)
            shoal_bytes_free(&out);
        if (shoal_fields(reader, seen, p, n, 0, &out, 0) == SHOAL_OK)
            shoal_bytes_free(&out);
        if (shoal_pin_take(a, tree, p, n, &pin, SECOND) == SHOAL_OK)
            shoal_unpin(a, &pin);
        replace(a, tree, paths[i], "x");
        shoal_touch(a, tree, p, n, 1000 * SECOND, SECOND);
        shoal_incr(a, tree, p, n, &one, &one, 0, &sum, SECOND);
        if (i % 3 == 0)
            make(a, tree, paths[i], true);
        set(a, tree, paths[i], "y");
        if (i % 4 == 0)
            drop(a, tree, paths[i]);
    }
    shoal_namespace_count(a, tree, &count, SECOND);
    shoal_namespace_count(reader, seen, &count, 0);
    shoal_verify(a, silent, NULL, SECOND);
    shoal_sweep(a, SECOND);
    shoal_namespace_clear(a, tree, &cleared, SECOND);
    a->shards[0].lock.word = LOCK_OWNER_MASK; /* nobody's: whoever comes recovers */
    set(a, tree, "a.b.c", "z");
    shoal_sweep(a, SECOND);
}

static void every_call_ends(void)
{
    /* As a rule, what is mapped next ends where this begins. */
    void *guard = mmap(NULL, 64 * KIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guard != MAP_FAILED);
    shoal_arena *a = NULL;
    shoal_namespace tree;
    /* The secret of the hash decides what gets the last page: take an arena where it is a field. */
    for (unsigned tries = 0; tries < 40 && (tries == 0 || (last_block() << REF_SHIFT) + 256 <= a->file_size); tries++) {
        if (a)
            shoal_close(a);
        a = arena_new("damage", MIB);
        tree = tree_of(a);
        plant(a, &tree);
        find_blocks(a);
    }
    CHECK_SOUND(a);
    CHECK(block_count > 100);
    shoal_arena *reader = arena_attach("damage", 'r');
    shoal_namespace seen, home = ns_default(reader);
    CHECK_STATUS(shoal_tree_open(reader, &home, false, &seen, WAIT), SHOAL_OK);
    uint8_t *whole = malloc(a->file_size);
    uint64_t seed = 88172645463325252ull;
    memcpy(whole, a->base, a->header->frontier ? a->file_size : 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned n = 1 + round % 3; n > 0; n--)
            damage(a, &seed);
        use(a, reader, &tree, &seen);
        memcpy(a->base, whole, a->file_size);
    }
    free(whole);
    CHECK_SOUND(a);
    shoal_close(reader);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(every_call_ends);
    return check_report();
}

int main(void) { return fixture_main(tests); }
