/* How an arena is laid out, and whether a header that was found says so. */
#include "arena.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x100000001B3ull; /* FNV-1a over words */
    return h ^ h >> 29;
}

uint64_t arena_fingerprint(void)
{
    const uint64_t facts[] = {
        sizeof(arena_header), offsetof(arena_header, page_lock), offsetof(arena_header, namespace_lock), offsetof(arena_header, bins),
        sizeof(process_slot), offsetof(process_slot, pins), offsetof(process_slot, counters), PROCESS_MAX, PIN_RECORDS,
        offsetof(process_slot, pin_segments), PIN_SEGMENTS, PAGE_KINDS, COUNT_END,
        sizeof(shard), offsetof(shard, undo), offsetof(shard, classes), offsetof(shard, nbuckets),
        offsetof(shard, directory), CLASS_COUNT, SLAB_BLOCK_MAX,
        sizeof(namespace_record), offsetof(namespace_record, name), NAMESPACE_MAX, SHOAL_NAME_MAX,
        sizeof(namespace_head), sizeof(page_entry), PAGE_BINS, sizeof(bucket), BUCKET_SLOTS, SEGMENT_BUCKETS, TAG_BITS, SEQ_SHIFT,
        REF_BITS, sizeof(block), (uint64_t)__BYTE_ORDER__,
    };
    uint64_t h = 0xCBF29CE484222325ull;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        h = mix(h, facts[i]);
    return h;
}

uint64_t arena_checksum(const arena_geometry *g)
{
    uint64_t h = 0xCBF29CE484222325ull, word;
    for (size_t i = 0; i + 8 <= sizeof *g; i += 8) {
        memcpy(&word, (const uint8_t *)g + i, 8);
        h = mix(h, word);
    }
    return h;
}
_Static_assert(sizeof(arena_geometry) % 8 == 0, "the checksum covers all of it");

/* One shard per 16 MiB, so that a small arena is not all fixed cost and a large one has little contention. */
static uint32_t shards_for(uint64_t size)
{
    uint32_t shards = 1;
    while (shards < SHARD_MAX && size >> 24 > shards)
        shards *= 2;
    return shards;
}

void arena_plan(uint64_t size, arena_geometry *out)
{
    if (size < SHOAL_SIZE_MIN)
        size = SHOAL_SIZE_MIN;
    size = (size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    arena_geometry g = {.layout_version = SHOAL_LAYOUT_VERSION, .shards = shards_for(size), .fingerprint = arena_fingerprint()};
    uint64_t at = PAGE_SIZE;
    g.pages = size >> PAGE_SHIFT;
    g.slots_at = at, at += (uint64_t)PROCESS_MAX * sizeof(process_slot);
    g.shards_at = at, at += (uint64_t)g.shards * sizeof(shard);
    g.records_at = at, at += (uint64_t)NAMESPACE_MAX * sizeof(namespace_record);
    g.heads_at = at, at += (uint64_t)NAMESPACE_MAX * g.shards * sizeof(namespace_head);
    g.map_at = at, at += (g.pages * sizeof(page_entry) + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    g.pages_at = at, at += g.pages << PAGE_SHIFT;
    g.file_size = at;
    *out = g;
}

/* The largest arena, with all that lies before its pages: references reach its end. */
_Static_assert((SHOAL_SIZE_MAX + (SHOAL_SIZE_MAX >> PAGE_SHIFT) * sizeof(page_entry) + 2 * PAGE_SIZE + (uint64_t)PROCESS_MAX * PAGE_SIZE +
                SHARD_MAX * (uint64_t)PAGE_SIZE + NAMESPACE_MAX * (sizeof(namespace_record) + (uint64_t)SHARD_MAX * sizeof(namespace_head)))
                       >> REF_SHIFT <= REF_MASK, "");

bool arena_sound(const arena_header *header, uint64_t file_size)
{
    arena_geometry g = header->geometry, plan;
    if (header->checksum != arena_checksum(&g) || g.file_size != file_size || g.pages == 0 || g.pages > SHOAL_SIZE_MAX >> PAGE_SHIFT)
        return false;
    arena_plan(g.pages << PAGE_SHIFT, &plan);
    return plan.pages == g.pages && plan.shards == g.shards && plan.slots_at == g.slots_at && plan.shards_at == g.shards_at &&
           plan.records_at == g.records_at && plan.heads_at == g.heads_at && plan.map_at == g.map_at &&
           plan.pages_at == g.pages_at && plan.file_size == g.file_size;
}


