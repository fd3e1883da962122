/* The hash table of one shard: linear hashing over cache-line buckets.
 *
 *   chain   a head bucket and its overflow buckets; the head's sequence guards all of it
 *   place   where a key is: chain, bucket, slot, block
 *
 * Writers hold the shard's lock. They change a chain between table_begin (sequence odd) and table_end
 * (even). Readers take no lock: they read a chain and copy from a block between two equal even loads of
 * its sequence. What they may see meanwhile, and why it does no harm:
 *   - a slot whose block was freed, or refilled: the sequence has moved, the copy is thrown away
 *   - sizes out of a half-written header: bounded by the arena before anything is copied
 *   - a count of buckets from before a split: a miss is believed only if the count has not changed
 */
#ifndef SHOAL_TABLE_H
#define SHOAL_TABLE_H

#include "entry.h"
#include "slab.h"

#if defined(__SSE2__) && !defined(SHOAL_TSAN)
#include <emmintrin.h>
#endif

typedef struct lookup {
    const void *key;
    uint32_t key_size;
    uint32_t ns;
    uint32_t shard_index;
    uint64_t bucket_hash;
    uint64_t parent; /* of a field: the object that it belongs to */
} lookup;

/* Where an operation's key belongs, of a namespace that is no tree; OK or INVALID. */
static inline shoal_status lookup_make(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, lookup *out)
{
    if (unlikely(key_size == 0 || key_size > SHOAL_KEY_MAX || ns->id >= NAMESPACE_MAX))
        return SHOAL_INVALID;
    uint64_t hash = hash_key(a->secret, ns->uid, key, key_size);
    *out = (lookup){.key = key, .key_size = (uint32_t)key_size, .ns = ns->id,
                    .shard_index = (uint32_t)hash & (a->nshards - 1), .bucket_hash = hash >> 8};
    return SHOAL_OK;
}

typedef struct place {
    bucket *head, *in;
    uint32_t slot;
    uint64_t word; /* of the slot */
    uint64_t ref;
    block *b;
    entry e;
} place;

static inline uint64_t tag_of(uint64_t bucket_hash) { return bucket_hash & ((1u << TAG_BITS) - 1); }
static inline uint64_t slot_make(uint64_t bucket_hash, uint64_t ref, bool large)
{
    return tag_of(bucket_hash) << TAG_SHIFT | (large ? SLOT_LARGE : 0) | ref;
}

/* Which of n buckets: those below the split point have one hash bit more. n > 0. */
static inline uint64_t bucket_index(uint64_t tag, uint64_t n)
{
    uint64_t level = 1ull << (63 - __builtin_clzll(n));
    uint64_t index = tag & (2 * level - 1);
    return index < n ? index : index & (level - 1);
}

static inline bucket *bucket_at(shoal_arena *a, const shard *sh, uint64_t index)
{
    uint64_t segment = index / SEGMENT_BUCKETS;
    uint64_t page = load_relaxed32(&sh->directory[(segment / DIRECTORY_FANOUT) % DIRECTORY_MAX]);
    if (unlikely(page == 0 || !page_known(a, page - 1)))
        return NULL;
    page = load_relaxed32((const uint32_t *)page_at(a, page - 1) + segment % DIRECTORY_FANOUT);
    if (unlikely(page == 0 || !page_known(a, page + SEGMENT_PAGES - 2)))
        return NULL;
    return (bucket *)page_at(a, page - 1) + index % SEGMENT_BUCKETS;
}

/* NULL at the end of the chain, or where the link leaves the arena (*bad). */
static inline bucket *bucket_next(shoal_arena *a, const bucket *in, bool *bad)
{
    uint64_t link = load_relaxed(&in->word) & OVERFLOW_MASK;
    if (likely(link == 0))
        return NULL;
    if (!range_known(a, link << 6, sizeof(bucket))) {
        *bad = true;
        return NULL;
    }
    return (bucket *)(a->base + (link << 6));
}

/* Of which slots has the lower or the upper half these bits: bit i for slot i. All at once, for a loop that ends where it finds
 * something would be mispredicted. Only a filter of racing loads: the slot itself is loaded again. */
enum half { LOWER, UPPER };
HOT uint32_t slots_where(const bucket *in, enum half half, uint32_t mask, uint32_t wanted)
{
#if defined(__SSE2__) && !defined(SHOAL_TSAN)
    __asm__ __volatile__("" ::: "memory");
    const __m128i *words = (const __m128i *)in; /* word and slot 0, slots 1 and 2, ... */
    __m128i masks = _mm_set1_epi32((int)mask), values = _mm_set1_epi32((int)wanted), equal[2];
    for (int i = 0; i < 2; i++) {
        __m128 first = _mm_castsi128_ps(_mm_load_si128(words + 2 * i)), second = _mm_castsi128_ps(_mm_load_si128(words + 2 * i + 1));
        __m128 halves = half == UPPER ? _mm_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1))
                                      : _mm_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0));
        equal[i] = _mm_cmpeq_epi32(_mm_and_si128(_mm_castps_si128(halves), masks), values);
    }
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(equal[0], equal[1]), _mm_setzero_si128())) >> 1;
#else
    uint32_t found = 0;
    for (uint32_t i = 0; i < BUCKET_SLOTS; i++)
        found |= (uint32_t)(((uint32_t)(load_relaxed(&in->slots[i]) >> (half == UPPER ? 32 : 0)) & mask) == wanted) << i;
    return found;
#endif
}

#define TAG_UPPER (TAG_SHIFT - 32)
static inline uint32_t slots_with(const bucket *in, uint64_t tag)
{
    return slots_where(in, UPPER, ~0u << TAG_UPPER, (uint32_t)tag << TAG_UPPER);
}

#define LOAD_PERCENT 80 /* of head slots; above, a bucket is split per insert */
#define CHAIN_MAX 4096 /* longer is a cycle: no honest chain comes near */

static inline uint64_t seq_of(uint64_t word) { return word >> SEQ_SHIFT; }

static inline void table_begin(bucket *head)
{
    store_relaxed(&head->word, load_relaxed(&head->word) + SEQ_ONE);
    fence_release(); /* the odd sequence before any change */
}
static inline void table_end(bucket *head)
{
    store_release(&head->word, load_relaxed(&head->word) + SEQ_ONE); /* every change before the even one */
}
/* table_begin, unless the entry has expired since it was found: readers may have seen that it is gone, so nobody may go on as if
 * it were not. From the odd sequence on they cannot, for they look at it after they looked at the clock. */
static inline bool table_begin_living(place *p)
{
    table_begin(p->head);
    if (likely(!(p->e.flags & BLOCK_EXPIRES)))
        return true;
    fence_full(); /* the odd sequence before the clock */
    if (likely(!entry_expired(p->b, &p->e)))
        return true;
    table_end(p->head);
    return false;
}

/* Under the lock. OK (place filled), MISS (place->head is set if the table has buckets), CORRUPT. */
shoal_status table_find(shoal_arena *a, const lookup *key, place *p);
/* The place of a block that is known to be in the table. Not there: CORRUPT. */
shoal_status table_find_ref(shoal_arena *a, uint32_t shard_index, uint64_t bucket_hash, uint64_t ref, place *p);

/* Give the shard its first bucket, if it has none. Statuses of pages_take. */
shoal_status table_ready(shoal_arena *a, uint32_t shard_index, waiting *w);
/* Put a slot for a new key into the chain that table_find has just looked through in vain (NULL: look for it). Statuses of pages_take. */
shoal_status table_insert(shoal_arena *a, uint32_t shard_index, bucket *head, uint64_t slot_word, waiting *w);
/* Let the slot point elsewhere: the one store that publishes. False, and nothing is done, if the entry has expired. */
bool table_replace(place *p, uint64_t slot_word);
void table_remove(shoal_arena *a, uint32_t shard_index, place *p);
/* One split if the table is past its load. Failing to is harmless: chains get longer. */
void table_grow(shoal_arena *a, uint32_t shard_index, waiting *w);

/* Is the key stored there? Header and key are checked to lie in the arena. */
static inline bool table_matches(shoal_arena *a, const lookup *key, const block *b, entry *e)
{
    *e = entry_load(b);
    if (e->key_size != key->key_size || e->ns != key->ns)
        return false;
    uint64_t offset = (uint64_t)((const uint8_t *)b - a->base), at = entry_key_at(e->flags);
    if (!range_known(a, offset, at + e->key_size))
        return false;
    if (unlikely(e->flags & BLOCK_FIELD) && entry_parent((block *)(uintptr_t)b, e->flags) != key->parent)
        return false;
    return racing_equal((const uint8_t *)b + at, key->key, key->key_size);
}

#endif
