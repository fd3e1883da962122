/* Reading: shoal_get, shoal_peek, and pins for large values. */
#include <stdlib.h>
#include <unistd.h>

#include "os.h"
#include "pins.h"
#include "process.h"
#include "read.h"
#include "undo.h"

#define UNPIN_WAIT_NS ((int64_t)100 * 1000 * 1000)

typedef struct request {
    lookup key;
    void *dst;
    size_t skip, cap;
    shoal_meta *meta;
    bool counted;
} request;

static void copy_out(const request *r, const uint8_t *value, uint64_t size)
{
    if (r->skip < size && r->cap)
        racing_read(r->dst, value + r->skip, size - r->skip < r->cap ? size - r->skip : r->cap);
}

/* A large run may be punched under a reader: a load could then meet a hole (SIGBUS on a full file system), pread cannot.
 * Only mappings that cannot pin come here. The bytes are validated by the caller. */
static enum outcome read_large(shoal_arena *a, const request *r, uint64_t ref, shoal_meta *meta, bool *expired)
{
    uint64_t offset = ref << REF_SHIFT, head[9]; /* the longest that an entry has before its key */
    uint8_t *key = NULL;
    if (!range_known(a, offset, PAGE_SIZE) || pread(a->fd, head, sizeof head, (off_t)offset) != (ssize_t)sizeof head)
        return DAMAGED;
    entry e = entry_load((block *)head);
    if (e.key_size != r->key.key_size || e.ns != r->key.ns || entry_parent((block *)head, e.flags) != r->key.parent)
        return ABSENT;
    uint64_t key_at = entry_key_at(e.flags), value_at = entry_value_at(&e, ref);
    if (!range_known(a, offset, value_at + e.value_size) || !(key = malloc(e.key_size)))
        return CHANGED;
    bool same = pread(a->fd, key, e.key_size, (off_t)(offset + key_at)) == (ssize_t)e.key_size &&
                memcmp(key, r->key.key, e.key_size) == 0;
    free(key);
    if (!same)
        return ABSENT;
    size_t size = r->skip < e.value_size ? e.value_size - r->skip : 0;
    size = size < r->cap ? size : r->cap;
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(a->fd, (uint8_t *)r->dst + done, size - done, (off_t)(offset + value_at + r->skip + done));
        if (n <= 0)
            return CHANGED;
        done += (size_t)n;
    }
    entry_meta((block *)head, &e, meta);
    *expired = entry_expired((block *)head, &e);
    return FOUND;
}

HOT enum outcome read_block(shoal_arena *a, const request *r, uint64_t word, shoal_meta *meta, bool *expired)
{
    uint64_t ref = word & REF_MASK;
    if (unlikely(word & SLOT_LARGE))
        return a->read_only ? read_large(a, r, ref, meta, expired) : NEEDS_LOCK;
    block *b = block_at(a, ref);
    entry e;
    if (unlikely(!b))
        return DAMAGED;
    __builtin_prefetch((const uint8_t *)b + 64); /* small entries end in the second line: fetch both at once */
    if (!table_matches(a, &r->key, b, &e))
        return ABSENT;
    uint64_t at = entry_value_at(&e, ref);
    if (unlikely(!range_known(a, ref << REF_SHIFT, at + e.value_size)))
        return DAMAGED;
    copy_out(r, (uint8_t *)b + at, e.value_size);
    entry_meta(b, &e, meta);
    *expired = entry_expired(b, &e);
    return FOUND;
}

/* What a dead owner had begun to overwrite, as it was before. */
static COLD enum outcome read_image(const request *r, uint64_t ref, block *b, shoal_meta *meta, bool *expired)
{
    entry e = entry_load(b);
    uint64_t at = entry_value_at(&e, ref);
    if (e.key_size != r->key.key_size || e.ns != r->key.ns)
        return ABSENT;
    if (at + e.value_size > UNDO_BYTES)
        return DAMAGED;
    if (entry_parent(b, e.flags) != r->key.parent || !racing_equal((uint8_t *)b + entry_key_at(e.flags), r->key.key, e.key_size))
        return ABSENT;
    copy_out(r, (uint8_t *)b + at, e.value_size);
    entry_meta(b, &e, meta);
    *expired = entry_expired(b, &e);
    return FOUND;
}

/* One lock-free look. DAMAGED and ABSENT are believed only if nothing moved meanwhile. */
HOT enum outcome look(shoal_arena *a, const request *r, shoal_meta *meta, bool *expired, bool abandoned)
{
    shard *sh = &a->shards[r->key.shard_index];
    uint64_t n = load_acquire(&sh->nbuckets), tag = tag_of(r->key.bucket_hash);
    if (unlikely(n == 0))
        return ABSENT;
    if (unlikely(n > BUCKETS_MAX))
        return DAMAGED;
    bucket *head = bucket_at(a, sh, bucket_index(tag, n));
    if (unlikely(!head))
        return DAMAGED;
    uint64_t before = load_acquire(&head->word);
    if (unlikely((seq_of(before) & 1) && !abandoned))
        return CHANGED;
    enum outcome found = ABSENT;
    bool bad = false;
    int hops = 0;
    for (bucket *in = head, *next; in; in = next) {
        for (uint32_t hits = slots_with(in, tag); hits; hits &= hits - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(hits);
            uint64_t word = load_acquire(&in->slots[i]);
            if (unlikely(word >> TAG_SHIFT != tag || word == 0))
                continue;
            if (unlikely(in != head) && moved(head, before))
                return CHANGED;
            block *image = unlikely(abandoned) ? undo_image(sh, word & REF_MASK) : NULL;
            found = unlikely(image) ? read_image(r, word & REF_MASK, image, meta, expired) : read_block(a, r, word, meta, expired);
            if (found == ABSENT)
                continue;
            if (unlikely(moved(head, before)))
                return CHANGED;
            if (found == FOUND && !a->read_only && unlikely(!(word & SLOT_VISITED)))
                cas_relaxed(&in->slots[i], &word, word | SLOT_VISITED);
            return found;
        }
        next = bucket_next(a, in, &bad);
        if (unlikely(++hops > CHAIN_MAX))
            bad = true;
        if (unlikely(bad))
            break;
        /* The link was part of the chain when it was read: what it leads to is, or was, a bucket, in pages that stay. */
        if (unlikely(next != NULL) && moved(head, before))
            return CHANGED;
    }
    if (unlikely(moved(head, before) || load_acquire(&sh->nbuckets) != n))
        return CHANGED;
    return unlikely(bad) ? DAMAGED : ABSENT;
}

static shoal_status look_locked(shoal_arena *a, const request *r, shoal_meta *meta, bool *expired, waiting *w)
{
    place p;
    shoal_status status = shard_lock(a, r->key.shard_index, w);
    if (status != SHOAL_OK)
        return status;
    status = table_find(a, &r->key, &p);
    if (status == SHOAL_OK) {
        copy_out(r, (uint8_t *)p.b + entry_value_at(&p.e, p.ref), p.e.value_size);
        entry_meta(p.b, &p.e, meta);
        *expired = entry_expired(p.b, &p.e);
        store_relaxed(&p.in->slots[p.slot], p.word | SLOT_VISITED);
    }
    shard_unlock(a, r->key.shard_index);
    return status;
}

void read_pause(void)
{
    uint32_t never = 0;
    os_futex_wait(&never, 0, 1000 * 1000);
}

/* Without the right to lock: go on trying, and read beside a dead owner's lock. Its bucket may be odd for good,
 * but each slot is one store, so the old or the new entry is there; the lock word shows if recovery begins. */
static shoal_status look_patiently(shoal_arena *a, const request *r, shoal_meta *meta, bool *expired, waiting *w)
{
    shoal_lock *lock = &a->shards[r->key.shard_index].lock;
    int64_t deadline = deadline_after(os_mono_ns(), w->wait);
    for (;;) {
        uint64_t word = load_acquire(&lock->word);
        bool abandoned = lock_abandoned(a, word);
        enum outcome outcome = look(a, r, meta, expired, abandoned);
        fence_acquire();
        if (abandoned && load_relaxed(&lock->word) != word)
            continue;
        if (outcome == FOUND)
            return SHOAL_OK;
        if (outcome == ABSENT)
            return SHOAL_MISS;
        if (outcome == DAMAGED)
            return corrupt(a, "table: a reference leaves the arena");
        if (os_mono_ns() >= deadline)
            return SHOAL_BUSY;
        if (a->hook && a->hook(a->hook_context))
            return SHOAL_INTERRUPTED;
        read_pause();
    }
}

/* After a first look that was in vain: some more, then one with the lock, or as many as it takes without the right to that. */
static COLD shoal_status look_again(shoal_arena *a, const request *r, enum outcome outcome, bool *expired, int64_t wait)
{
    for (int i = 0; i < TRIES && outcome == CHANGED; i++) {
        count_one(a, COUNT_RETRIES);
        cpu_relax();
        outcome = look(a, r, r->meta, expired, false);
    }
    waiting w = {.wait = wait};
    switch (outcome) {
    case FOUND: return SHOAL_OK;
    case ABSENT: return SHOAL_MISS;
    case DAMAGED: return corrupt(a, "table: a reference leaves the arena");
    default: break;
    }
    if (!a->read_only)
        return look_locked(a, r, r->meta, expired, &w);
    return wait > 0 ? look_patiently(a, r, r->meta, expired, &w) : SHOAL_BUSY;
}

static inline shoal_status read_entry(shoal_arena *a, const shoal_namespace *ns, const request *r, int64_t wait)
{
    bool expired = false;
    enum outcome outcome = look(a, r, r->meta, &expired, false);
    shoal_status status = likely(outcome == FOUND) ? SHOAL_OK
                          : outcome == ABSENT      ? SHOAL_MISS
                                                   : look_again(a, r, outcome, &expired, wait);
    if (unlikely(status != SHOAL_OK && status != SHOAL_MISS))
        return status;
    if (unlikely(load_relaxed(&a->records[ns->id].uid) != ns->uid))
        return SHOAL_STALE;
    if (unlikely(expired))
        status = SHOAL_MISS;
    if (r->counted)
        count_one(a, status == SHOAL_OK ? COUNT_HITS : COUNT_MISSES);
    return status;
}

/* Follow a path to the object that its last name belongs to, each step a read of its own. Should an object on the way be removed
 * meanwhile, what is read below it is what it held at that instant, and after that nothing: as if this read had come before, or
 * between the removal and whatever came instead. */
static shoal_status follow(shoal_arena *a, const shoal_namespace *tree, const void *names, size_t size, lookup *out, int64_t wait)
{
    const path whole = {names, size};
    shoal_way at = {0};
    if (tree->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    size_t skip = base_knows(a, tree, &whole, &at);
    path p = {whole.names + skip, size - skip};
    uint64_t epoch = skip ? tree->base->epoch : 0;
    bool lasting = true;
    if (!path_valid(p.names, p.size))
        return SHOAL_INVALID;
    for (;;) {
        size_t name = path_name(&p);
        *out = field_lookup(a, tree, at.object, p.names, name);
        p = path_after(&p, name);
        if (p.size == 0)
            return SHOAL_OK;
        if (skip == 0)
            epoch = load_acquire(&a->shards[out->shard_index].epoch); /* before anything is read that it vouches for */
        skip += name + 1;
        shoal_meta meta;
        request r = {.key = *out, .meta = &meta};
        shoal_status status = read_entry(a, tree, &r, wait);
        if (status != SHOAL_OK)
            return status;
        if (!meta.object)
            return SHOAL_MISS;
        at = (shoal_way){.object = object_id(meta.version, out->shard_index)};
        lasting &= meta.expires_ns == 0;
        if (lasting)
            base_learn(tree, &whole, skip - 1, out->shard_index, epoch, at);
    }
}

static COLD shoal_status read_field(shoal_arena *a, const shoal_namespace *tree, const void *names, size_t size, request *r, int64_t wait)
{
    shoal_status status = follow(a, tree, names, size, &r->key, wait);
    if (status == SHOAL_MISS && r->counted)
        count_one(a, COUNT_MISSES);
    return status == SHOAL_OK ? read_entry(a, tree, r, wait) : status;
}

static inline shoal_status read_call(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, request *r, int64_t wait)
{
    shoal_meta scratch;
    if (unlikely(!r->meta))
        r->meta = &scratch;
    shoal_status status = process_ready(a, wait);
    if (unlikely(status != SHOAL_OK))
        return status;
    if (unlikely(ns->tree))
        return read_field(a, ns, key, key_size, r, wait);
    status = lookup_make(a, ns, key, key_size, &r->key);
    return likely(status == SHOAL_OK) ? read_entry(a, ns, r, wait) : status;
}

shoal_status shoal_get(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                       void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
{
    request r; /* (its key is filled when it is known) */
    r.dst = dst, r.skip = skip, r.cap = cap, r.meta = meta, r.counted = true;
    return read_call(a, ns, key, key_size, &r, wait);
}

shoal_status shoal_peek(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                        void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
{
    request r;
    r.dst = dst, r.skip = skip, r.cap = cap, r.meta = meta, r.counted = false;
    return read_call(a, ns, key, key_size, &r, wait);
}

/* ---- pins */

static shoal_status take_pin(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, bool view,
                             shoal_pin *out, int64_t wait)
{
    target k;
    place p;
    waiting w = {.wait = wait};
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    if (status == SHOAL_OK)
        pins_retry(a);
    if (status != SHOAL_OK || (status = target_make(a, ns, key, key_size, &k)) != SHOAL_OK ||
        (status = shard_lock(a, k.key.shard_index, &w)) != SHOAL_OK)
        return status;
    status = load_relaxed(&a->records[ns->id].uid) != ns->uid ? SHOAL_STALE : target_find(a, &k, &p);
    if (status == SHOAL_OK && entry_expired(p.b, &p.e))
        status = SHOAL_MISS;
    if (status == SHOAL_OK && !(p.word & SLOT_LARGE))
        status = SHOAL_INVALID;
    if (status == SHOAL_OK)
        status = pins_add(a, k.key.shard_index, p.ref, view, &out->record, &w);
    if (pages_full(status))
        status = SHOAL_FULL_PINS; /* no room for more records */
    if (status == SHOAL_OK) {
        out->data = (const uint8_t *)p.b + entry_value_at(&p.e, p.ref);
        out->block = p.ref | (view ? a->pins.owner : pin_owner(a));
        out->word = pin_word(p.ref, k.key.shard_index, view);
        entry_meta(p.b, &p.e, &out->meta);
        store_relaxed(&p.in->slots[p.slot], p.word | SLOT_VISITED);
    }
    shard_unlock(a, k.key.shard_index);
    return status;
}

shoal_status shoal_pin_take(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                            shoal_pin *out, int64_t wait)
{
    return take_pin(a, ns, key, key_size, false, out, wait);
}

shoal_status shoal_view_take(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                             shoal_pin *out, int64_t wait)
{
    shoal_status status = take_pin(a, ns, key, key_size, true, out, wait);
    if (status == SHOAL_OK || status == SHOAL_MISS)
        count_one(a, status == SHOAL_OK ? COUNT_HITS : COUNT_MISSES);
    return status;
}

void shoal_unpin(shoal_arena *a, shoal_pin *pin)
{
    if (pins_held(a, pin)) /* a stopped owner of the lock must not stop us for long */
        pins_release(a, pin->record, &(waiting){.wait = UNPIN_WAIT_NS});
    pin->block = 0;
}

bool shoal_unpin_at_once(shoal_arena *a, shoal_pin *pin)
{
    if (pins_held(a, pin)) {
        uint32_t shard_index = pin_shard(pin->word);
        if (shard_lock(a, shard_index, &(waiting){0}) != SHOAL_OK)
            return false;
        pins_drop(a, pin->record);
        shard_unlock(a, shard_index);
    }
    pin->block = 0;
    return true;
}
