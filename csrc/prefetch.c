/* shoal_prefetch: the cache misses of several keys side by side. Racing loads that nothing is concluded from. */
#include "process.h"
#include "table.h"

#define WORTH_PAGES 8192u /* in use: less than that lies in a cache, and to hash twice costs more than it brings */

void shoal_prefetch(shoal_arena *a, const shoal_namespace *ns, const shoal_key *keys, size_t count)
{
    bucket *buckets[SHOAL_PREFETCH];
    uint64_t tags[SHOAL_PREFETCH];
    size_t found = 0;
    if (load_relaxed(&a->header->used) < WORTH_PAGES || ns->tree || process_ready(a, 0) != SHOAL_OK)
        return;
    for (size_t i = 0; i < count && i < SHOAL_PREFETCH; i++) {
        lookup key;
        if (lookup_make(a, ns, keys[i].data, keys[i].size, &key) != SHOAL_OK)
            continue;
        const shard *sh = &a->shards[key.shard_index];
        uint64_t n = load_acquire(&sh->nbuckets);
        tags[found] = tag_of(key.bucket_hash);
        buckets[found] = n && n <= BUCKETS_MAX ? bucket_at(a, sh, bucket_index(tags[found], n)) : NULL;
        if (buckets[found])
            __builtin_prefetch(buckets[found++]);
    }
    for (size_t i = 0; i < found; i++)
        for (uint32_t hits = slots_with(buckets[i], tags[i]); hits; hits &= hits - 1) {
            uint64_t word = load_relaxed(&buckets[i]->slots[__builtin_ctz(hits)]);
            block *b = word & SLOT_LARGE ? NULL : block_at(a, word & REF_MASK);
            if (b) {
                __builtin_prefetch(b);
                __builtin_prefetch((uint8_t *)b + 64);
            }
        }
}
