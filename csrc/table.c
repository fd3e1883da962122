#include "table.h"

#define SEGMENT_RUN_MAX 32u /* segments in one run at most */

shoal_status table_find(shoal_arena *a, const lookup *key, place *p)
{
    const shard *sh = &a->shards[key->shard_index];
    uint64_t n = load_relaxed(&sh->nbuckets), tag = tag_of(key->bucket_hash);
    bool bad = false;
    p->head = NULL;
    if (n == 0)
        return SHOAL_MISS;
    if (n > BUCKETS_MAX || !(p->head = bucket_at(a, sh, bucket_index(tag, n))))
        return corrupt(a, "table: directory leaves the arena");
    int hops = 0;
    for (bucket *in = p->head; in; in = bucket_next(a, in, &bad)) {
        for (uint32_t hits = slots_with(in, tag); hits; hits &= hits - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(hits);
            uint64_t word = load_relaxed(&in->slots[i]);
            if (word == 0)
                continue;
            block *b = block_at(a, word & REF_MASK);
            if (!b)
                return corrupt(a, "table: slot leaves the arena");
            __builtin_prefetch((const uint8_t *)b + 64, 1); /* as in read_block */
            if (!table_matches(a, key, b, &p->e))
                continue;
            uint64_t offset = (uint64_t)((uint8_t *)b - a->base);
            p->ref = word & REF_MASK;
            if (!range_known(a, offset, entry_value_at(&p->e, p->ref) + p->e.value_size))
                return corrupt(a, "entry: value leaves the arena");
            p->in = in;
            p->slot = i;
            p->word = word;
            p->b = b;
            return SHOAL_OK;
        }
        if (++hops > CHAIN_MAX)
            bad = true;
        if (bad)
            break;
    }
    return bad ? corrupt(a, "table: chain leaves the arena or has a cycle") : SHOAL_MISS;
}

shoal_status table_find_ref(shoal_arena *a, uint32_t shard_index, uint64_t bucket_hash, uint64_t ref, place *p)
{
    const shard *sh = &a->shards[shard_index];
    uint64_t n = load_relaxed(&sh->nbuckets);
    bool bad = false;
    if (n == 0 || n > BUCKETS_MAX || !(p->head = bucket_at(a, sh, bucket_index(tag_of(bucket_hash), n))))
        return corrupt(a, "table: directory leaves the arena");
    int hops = 0;
    for (bucket *in = p->head; in && hops++ <= CHAIN_MAX; in = bucket_next(a, in, &bad))
        for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = load_relaxed(&in->slots[i]);
            if (word == 0 || (word & REF_MASK) != ref)
                continue;
            *p = (place){.head = p->head, .in = in, .slot = i, .word = word, .ref = ref, .b = block_at(a, ref)};
            p->e = entry_load(p->b);
            return SHOAL_OK;
        }
    return corrupt(a, "list: an entry that the table does not hold");
}

static shoal_status new_overflow(shoal_arena *a, uint32_t shard_index, bucket **out, waiting *w)
{
    uint64_t ref;
    shoal_status status = slab_take(a, shard_index, sizeof(bucket), &ref, w);
    if (status != SHOAL_OK)
        return status;
    if (ref & 3)
        return corrupt(a, "slab: overflow bucket is not aligned");
    bucket *b = (bucket *)(a->base + (ref << REF_SHIFT));
    for (size_t i = 0; i < sizeof *b / 8; i++) /* a stale reader may be looking */
        store_relaxed((uint64_t *)b + i, 0);
    *out = b;
    return SHOAL_OK;
}

static void link_overflow(shoal_arena *a, bucket *head, bucket *extra)
{
    uint64_t word = load_relaxed(&head->word);
    store_relaxed(&extra->word, word & OVERFLOW_MASK);
    store_relaxed(&head->word, (word & ~OVERFLOW_MASK) | (uint64_t)((uint8_t *)extra - a->base) >> 6);
}

/* Of pages that stale readers may still look at. */
static void zero(uint8_t *at, size_t size)
{
    static const uint8_t zeros[PAGE_SIZE];
    for (; size >= PAGE_SIZE; at += PAGE_SIZE, size -= PAGE_SIZE)
        racing_write(at, zeros, PAGE_SIZE);
}

/* A run of segments for `segment` and the next ones: segments stay for ever, so the fewer places they lie in, the larger the runs
 * that entries leave between them; but what is not used yet should be little. *count: how many the run holds. */
static shoal_status take_segments(shoal_arena *a, uint32_t shard_index, uint64_t segment, uint64_t *page, uint64_t *count, waiting *w)
{
    uint64_t most = DIRECTORY_FANOUT - segment % DIRECTORY_FANOUT;
    *count = segment < 16 ? 1 : segment / 8 < SEGMENT_RUN_MAX ? segment / 8 : SEGMENT_RUN_MAX;
    *count = *count < most ? *count : most;
    shoal_status status = pages_take(a, *count * SEGMENT_PAGES, PAGE_TABLE, shard_index, page, w);
    if (pages_full(status) && *count > 1) {
        *count = 1;
        status = pages_take(a, SEGMENT_PAGES, PAGE_TABLE, shard_index, page, w);
    }
    return status;
}

/* The table's first bucket, or one more segment when the next bucket begins one. */
static shoal_status add_segment(shoal_arena *a, uint32_t shard_index, uint64_t index, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    uint64_t segment = index / SEGMENT_BUCKETS, page;
    if (segment / DIRECTORY_FANOUT >= DIRECTORY_MAX)
        return SHOAL_FULL_ARENA;
    uint32_t *slot = &sh->directory[segment / DIRECTORY_FANOUT];
    if (*slot == 0) {
        shoal_status status = pages_take(a, 1, PAGE_TABLE, shard_index, &page, w);
        if (status != SHOAL_OK)
            return status;
        zero(page_at(a, page), PAGE_SIZE);
        fence_release();
        store_relaxed32(slot, (uint32_t)page + 1);
    }
    uint64_t directory = *slot - 1;
    if (!page_known(a, directory))
        return corrupt(a, "table: directory leaves the arena");
    uint32_t *entry_word = (uint32_t *)page_at(a, directory) + segment % DIRECTORY_FANOUT;
    if (*entry_word == 0) {
        uint64_t count;
        shoal_status status = take_segments(a, shard_index, segment, &page, &count, w);
        if (status != SHOAL_OK)
            return status;
        zero(page_at(a, page), count * SEGMENT_PAGES << PAGE_SHIFT);
        fence_release();
        /* The first first: it keeps the run. Who dies before the rest loses that memory, no more. */
        for (uint64_t i = 0; i < count; i++)
            store_relaxed32(entry_word + i, (uint32_t)(page + i * SEGMENT_PAGES) + 1);
    }
    return SHOAL_OK;
}

shoal_status table_ready(shoal_arena *a, uint32_t shard_index, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    if (likely(load_relaxed(&sh->nbuckets) != 0))
        return SHOAL_OK;
    shoal_status status = add_segment(a, shard_index, 0, w);
    if (status == SHOAL_OK)
        store_release(&sh->nbuckets, 1);
    return status;
}

/* BUCKET_SLOTS: there is none. */
static uint32_t empty_slot(const bucket *in)
{
    for (uint32_t hits = slots_where(in, LOWER, ~0u, 0); hits; hits &= hits - 1)
        if (likely(load_relaxed(&in->slots[__builtin_ctz(hits)]) == 0)) /* (not if a block lies at a multiple of 64 GiB) */
            return (uint32_t)__builtin_ctz(hits);
    return BUCKET_SLOTS;
}

shoal_status table_insert(shoal_arena *a, uint32_t shard_index, bucket *head, uint64_t slot_word, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    bucket *in;
    bool bad = false;
    int hops = 0;
    shoal_status status;
    if (unlikely(!head)) {
        status = table_ready(a, shard_index, w);
        if (status != SHOAL_OK)
            return status;
        head = bucket_at(a, sh, bucket_index(slot_word >> TAG_SHIFT, load_relaxed(&sh->nbuckets)));
        if (!head)
            return corrupt(a, "table: directory leaves the arena");
    }
    for (in = head; in && hops++ <= CHAIN_MAX; in = bucket_next(a, in, &bad)) {
        uint32_t empty = empty_slot(in);
        if (likely(empty < BUCKET_SLOTS)) {
            table_begin(head);
            store_release(&in->slots[empty], slot_word);
            table_end(head);
            return SHOAL_OK;
        }
    }
    if (in || bad)
        return corrupt(a, "table: chain leaves the arena or has a cycle");
    status = new_overflow(a, shard_index, &in, w);
    if (status != SHOAL_OK)
        return status;
    store_relaxed(&in->slots[0], slot_word);
    sh->chained++;
    table_begin(head);
    link_overflow(a, head, in);
    table_end(head);
    return SHOAL_OK;
}

bool table_replace(place *p, uint64_t slot_word)
{
    if (unlikely(!table_begin_living(p)))
        return false;
    store_release(&p->in->slots[p->slot], slot_word);
    table_end(p->head);
    p->word = slot_word;
    return true;
}

static bool bucket_empty(const bucket *b)
{
    for (uint32_t i = 0; i < BUCKET_SLOTS; i++)
        if (load_relaxed(&b->slots[i]) != 0)
            return false;
    return true;
}

/* Between table_begin and table_end of `head`: drop the overflow buckets that hold nothing. */
static void drop_empty(shoal_arena *a, uint32_t shard_index, bucket *head)
{
    bool bad = false;
    int hops = 0;
    for (bucket *before = head, *in; (in = bucket_next(a, before, &bad)) && hops++ <= CHAIN_MAX;) {
        if (!bucket_empty(in)) {
            before = in;
            continue;
        }
        store_relaxed(&before->word, (load_relaxed(&before->word) & ~OVERFLOW_MASK) | (load_relaxed(&in->word) & OVERFLOW_MASK));
        a->shards[shard_index].chained--;
        slab_give(a, shard_index, ref_of(a, in), sizeof(bucket));
    }
}

void table_remove(shoal_arena *a, uint32_t shard_index, place *p)
{
    table_begin(p->head);
    store_relaxed(&p->in->slots[p->slot], 0);
    if (unlikely(p->in != p->head))
        drop_empty(a, shard_index, p->head);
    table_end(p->head);
}

/* The slots of a chain that is split which go to the new bucket: those whose next hash bit is 1. */
static uint32_t slots_moving(const bucket *from, uint64_t level)
{
    return ~slots_where(from, UPPER, (uint32_t)level << TAG_UPPER, 0) & ((1u << BUCKET_SLOTS) - 1);
}

/* Linear hashing (Litwin, 1980): bucket n - level gives the keys whose next hash bit is 1 to bucket n.
 * They are copied there first, then n grows, then they leave the old chain, whose sequence moves: a reader
 * that misses a key because of the last step has a stale n, sees that, and looks again. */
void table_grow(shoal_arena *a, uint32_t shard_index, waiting *w)
{
    shard *sh = &a->shards[shard_index];
    uint64_t n = load_relaxed(&sh->nbuckets);
    if (n == 0 || n >= BUCKETS_MAX || sh->entries * 100 <= n * BUCKET_SLOTS * LOAD_PERCENT)
        return;
    if (n % SEGMENT_BUCKETS == 0 && add_segment(a, shard_index, n, w) != SHOAL_OK)
        return;
    uint64_t level = 1ull << (63 - __builtin_clzll(n));
    bucket *old = bucket_at(a, sh, n - level), *new = bucket_at(a, sh, n), *in = new;
    if (!old || !new)
        return;
    uint32_t filled = 0;
    bool bad = false;
    int hops = 0;
    for (size_t i = 0; i < sizeof *new / 8; i++) /* a split that died may have left slots */
        store_relaxed((uint64_t *)new + i, 0);
    for (bucket *from = old; from; from = bucket_next(a, from, &bad)) {
        for (uint32_t moving = slots_moving(from, level); moving; moving &= moving - 1) {
            uint64_t word = load_relaxed(&from->slots[__builtin_ctz(moving)]);
            if (filled == BUCKET_SLOTS) {
                bucket *extra;
                if (new_overflow(a, shard_index, &extra, w) != SHOAL_OK)
                    goto undo;
                sh->chained++;
                store_relaxed(&in->word, (load_relaxed(&in->word) & ~OVERFLOW_MASK) | (uint64_t)((uint8_t *)extra - a->base) >> 6);
                in = extra;
                filled = 0;
            }
            store_relaxed(&in->slots[filled++], word);
        }
        if (bad || ++hops > CHAIN_MAX)
            goto undo;
    }
    store_release(&sh->nbuckets, n + 1);
    table_begin(old);
    for (bucket *from = old; from; from = bucket_next(a, from, &bad))
        for (uint32_t moving = slots_moving(from, level); moving; moving &= moving - 1)
            store_relaxed(&from->slots[__builtin_ctz(moving)], 0);
    drop_empty(a, shard_index, old);
    table_end(old);
    return;
undo:
    for (in = new; in;) { /* nobody reads bucket n yet */
        bucket *next = bucket_next(a, in, &bad);
        if (in != new) {
            sh->chained--;
            slab_give(a, shard_index, ref_of(a, in), sizeof(bucket));
        }
        in = next;
    }
    store_relaxed(&new->word, 0);
}
