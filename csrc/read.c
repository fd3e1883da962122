/* Reading: shoal_get, shoal_peek, shoal_keys, and pins for large values. */
#include <stdlib.h>
#include <unistd.h>

#include "os.h"
#include "pins.h"
#include "process.h"
#include "room.h"

#define UNPIN_WAIT_NS ((int64_t)100 * 1000 * 1000)
#define TRIES 64 /* of the lock-free read, before it asks for the lock */

typedef struct request {
    lookup key;
    void *dst;
    size_t skip, cap;
    shoal_meta *meta;
    bool counted;
} request;

enum outcome { FOUND, ABSENT, CHANGED, NEEDS_LOCK, DAMAGED };

static void copy_out(const request *r, const uint8_t *value, uint64_t size)
{
    if (r->skip < size && r->cap)
        racing_read(r->dst, value + r->skip, size - r->skip < r->cap ? size - r->skip : r->cap);
}

/* A large run may be punched under a reader: a load could then meet a hole (SIGBUS on a full file system), pread cannot.
 * Only mappings that cannot pin come here. The bytes are validated by the caller. */
static enum outcome read_large(shoal_arena *a, const request *r, uint64_t ref, shoal_meta *meta, bool *expired)
{
    uint64_t offset = ref << REF_SHIFT, head[6];
    uint8_t *key = NULL;
    if (!range_known(a, offset, PAGE_SIZE) || pread(a->fd, head, sizeof head, (off_t)offset) != (ssize_t)sizeof head)
        return DAMAGED;
    entry e = entry_load((block *)head);
    if (e.key_size != r->key.key_size || e.ns != r->key.ns)
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

static inline enum outcome read_block(shoal_arena *a, const request *r, uint64_t word, shoal_meta *meta, bool *expired)
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

static inline bool moved(const bucket *head, uint64_t before)
{
    fence_acquire(); /* what was read so far, before the sequence is looked at again */
    return seq_of(load_relaxed(&head->word)) != seq_of(before);
}

/* One lock-free look. DAMAGED and ABSENT are believed only if nothing moved meanwhile. */
static enum outcome look(shoal_arena *a, const request *r, shoal_meta *meta, bool *expired, bool abandoned)
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
        for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = load_acquire(&in->slots[i]);
            if (likely(word >> TAG_SHIFT != tag) || word == 0)
                continue;
            if (unlikely(in != head) && moved(head, before))
                return CHANGED;
            found = read_block(a, r, word, meta, expired);
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

static void pause_ms(void)
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
        pause_ms();
    }
}

static shoal_status read_entry(shoal_arena *a, const shoal_namespace *ns, request *r, int64_t wait)
{
    shoal_meta scratch, *meta = r->meta ? r->meta : &scratch;
    bool expired = false;
    enum outcome outcome = CHANGED;
    shoal_status status;
    for (int i = 0; i < TRIES; i++) {
        outcome = look(a, r, meta, &expired, false);
        if (likely(outcome != CHANGED))
            break;
        count_one(a, COUNT_RETRIES);
        cpu_relax();
    }
    switch (outcome) {
    case FOUND: status = SHOAL_OK; break;
    case ABSENT: status = SHOAL_MISS; break;
    case DAMAGED: return corrupt(a, "table: a reference leaves the arena");
    default: {
        waiting w = {.wait = wait};
        if (!a->read_only)
            status = look_locked(a, r, meta, &expired, &w);
        else if (wait > 0)
            status = look_patiently(a, r, meta, &expired, &w);
        else
            status = SHOAL_BUSY;
        if (status != SHOAL_OK && status != SHOAL_MISS)
            return status;
    }
    }
    if (unlikely(load_relaxed(&a->records[ns->id].uid) != ns->uid))
        return SHOAL_STALE;
    if (unlikely(expired))
        status = SHOAL_MISS;
    if (r->counted)
        count_one(a, status == SHOAL_OK ? COUNT_HITS : COUNT_MISSES);
    return status;
}

shoal_status shoal_get(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                       void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
{
    request r = {.dst = dst, .skip = skip, .cap = cap, .meta = meta, .counted = true};
    shoal_status status = process_ready(a);
    if (likely(status == SHOAL_OK) && likely((status = lookup_make(a, ns, key, key_size, &r.key)) == SHOAL_OK))
        status = read_entry(a, ns, &r, wait);
    return status;
}

shoal_status shoal_peek(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                        void *dst, size_t skip, size_t cap, shoal_meta *meta, int64_t wait)
{
    request r = {.dst = dst, .skip = skip, .cap = cap, .meta = meta};
    shoal_status status = process_ready(a);
    if (likely(status == SHOAL_OK) && likely((status = lookup_make(a, ns, key, key_size, &r.key)) == SHOAL_OK))
        status = read_entry(a, ns, &r, wait);
    return status;
}

/* ---- pins */

shoal_status shoal_pin_take(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                            shoal_pin *out, int64_t wait)
{
    lookup k;
    place p;
    waiting w = {.wait = wait};
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a);
    if (status == SHOAL_OK)
        pins_retry(a);
    if (status != SHOAL_OK || (status = lookup_make(a, ns, key, key_size, &k)) != SHOAL_OK ||
        (status = shard_lock(a, k.shard_index, &w)) != SHOAL_OK)
        return status;
    status = load_relaxed(&a->records[ns->id].uid) != ns->uid ? SHOAL_STALE : table_find(a, &k, &p);
    if (status == SHOAL_OK && entry_expired(p.b, &p.e))
        status = SHOAL_MISS;
    if (status == SHOAL_OK && !(p.word & SLOT_LARGE))
        status = SHOAL_INVALID;
    if (status == SHOAL_OK)
        status = pins_add(a, k.shard_index, p.ref, &out->record);
    if (status == SHOAL_OK) {
        out->data = (const uint8_t *)p.b + entry_value_at(&p.e, p.ref);
        out->block = pin_block(a, p.ref);
        out->shard = k.shard_index;
        entry_meta(p.b, &p.e, &out->meta);
        store_relaxed(&p.in->slots[p.slot], p.word | SLOT_VISITED);
    }
    shard_unlock(a, k.shard_index);
    return status;
}

void shoal_unpin(shoal_arena *a, shoal_pin *pin)
{
    uint64_t ref = pin->block & REF_MASK;
    if (!a->me || pin->record >= PIN_RECORDS || pin->block != pin_block(a, ref) || load_relaxed(&a->me->pins[pin->record].block) != ref)
        return; /* a forked child: the pin is the parent's; or it was dropped before */
    /* A stopped owner of the lock must not stop us for long. */
    pins_release(a, &a->me->pins[pin->record], &(waiting){.wait = UNPIN_WAIT_NS});
    pin->block = 0;
}

/* ---- keys */

static bool append_key(shoal_bytes *out, size_t *room, const uint8_t *key, uint32_t size)
{
    if (*room - out->size < size + 2u) {
        size_t wanted = *room * 2 + size + 4096;
        uint8_t *grown = realloc(out->data, wanted);
        if (!grown)
            return false;
        out->data = grown;
        *room = wanted;
    }
    uint16_t n = (uint16_t)size;
    memcpy(out->data + out->size, &n, 2);
    memcpy(out->data + out->size + 2, key, size);
    out->size += size + 2u;
    return true;
}

static shoal_status keys_listed(shoal_arena *a, uint32_t ns, uint32_t s, const void *prefix, size_t prefix_size, shoal_bytes *out)
{
    namespace_head *nh = head_of(a, ns, s);
    uint64_t left = nh->count;
    size_t room = 0;
    for (uint64_t ref = nh->newest; ref; left--) {
        block *b = block_at(a, ref);
        if (!b || left == 0)
            return corrupt(a, "list: link leaves the arena or has a cycle");
        entry e = entry_load(b);
        const uint8_t *key = (const uint8_t *)b + entry_key_at(e.flags);
        if (!range_known(a, ref << REF_SHIFT, entry_key_at(e.flags) + e.key_size))
            return corrupt(a, "entry: key leaves the arena");
        if (e.key_size >= prefix_size && memcmp(key, prefix, prefix_size) == 0 && !entry_expired(b, &e) &&
            !append_key(out, &room, key, e.key_size))
            return SHOAL_NO_MEMORY;
        ref = e.next;
    }
    return SHOAL_OK;
}

/* One chain, lock-free: keys of `ns` are counted and (if `out`) appended, or all is as before and CHANGED comes back. */
static enum outcome keys_of_chain(shoal_arena *a, bucket *head, uint32_t ns, const void *prefix, size_t prefix_size,
                                  shoal_bytes *out, size_t *room, uint64_t *count, bool abandoned)
{
    uint64_t before = load_acquire(&head->word);
    size_t size = out ? out->size : 0;
    uint64_t counted = *count;
    uint8_t key[SHOAL_KEY_MAX];
    bool bad = false;
    int hops = 0;
    if ((seq_of(before) & 1) && !abandoned)
        return CHANGED;
    for (bucket *in = head, *next; in && hops++ <= CHAIN_MAX; in = next) {
        for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = load_acquire(&in->slots[i]), offset = (word & REF_MASK) << REF_SHIFT, header[6];
            if (word == 0)
                continue;
            if (!range_known(a, offset, sizeof header) || pread(a->fd, header, sizeof header, (off_t)offset) != (ssize_t)sizeof header)
                goto changed;
            entry e = entry_load((block *)header);
            if (e.ns != ns)
                continue;
            if (!range_known(a, offset, entry_key_at(e.flags) + e.key_size) ||
                pread(a->fd, key, e.key_size, (off_t)(offset + entry_key_at(e.flags))) != (ssize_t)e.key_size)
                goto changed;
            if (e.key_size < prefix_size || memcmp(key, prefix, prefix_size) != 0 || entry_expired((block *)header, &e))
                continue;
            ++*count;
            if (out && !append_key(out, room, key, e.key_size))
                return DAMAGED;
        }
        next = bucket_next(a, in, &bad);
        if (next && moved(head, before)) /* as in look() */
            goto changed;
    }
    if (!bad && !moved(head, before))
        return FOUND;
changed:
    if (out)
        out->size = size;
    *count = counted;
    return CHANGED;
}

/* Buckets in rising order: a split only moves keys to a bucket still to come, so none is missed; one may be
 * met twice. Through a read-only mapping, which cannot hold the lists still. */
static shoal_status keys_of_table(shoal_arena *a, uint32_t ns, uint32_t s, const void *prefix, size_t prefix_size,
                                  shoal_bytes *out, uint64_t *count, waiting *w)
{
    shard *sh = &a->shards[s];
    size_t room = 0;
    int64_t deadline = deadline_after(os_mono_ns(), w->wait);
    for (uint64_t i = 0; i < load_acquire(&sh->nbuckets); i++) {
        bucket *head = i < BUCKETS_MAX ? bucket_at(a, sh, i) : NULL;
        if (!head)
            return corrupt(a, "table: directory leaves the arena");
        for (int tries = 1;; tries++) {
            uint64_t word = load_acquire(&sh->lock.word); /* beside a dead owner: as in look_patiently */
            bool abandoned = tries % TRIES == 0 && lock_abandoned(a, word);
            enum outcome outcome = keys_of_chain(a, head, ns, prefix, prefix_size, out, &room, count, abandoned);
            if (outcome == DAMAGED)
                return SHOAL_NO_MEMORY;
            if (outcome == FOUND && (!abandoned || load_relaxed(&sh->lock.word) == word))
                break;
            if (tries % TRIES != 0)
                continue;
            if (os_mono_ns() >= deadline)
                return SHOAL_BUSY;
            if (a->hook && a->hook(a->hook_context))
                return SHOAL_INTERRUPTED;
            if (!abandoned)
                pause_ms();
        }
    }
    return SHOAL_OK;
}

shoal_status shoal_keys(shoal_arena *a, const shoal_namespace *ns, uint32_t s, const void *prefix, size_t prefix_size,
                        shoal_bytes *out, int64_t wait)
{
    waiting w = {.wait = wait};
    uint64_t count = 0;
    *out = (shoal_bytes){0};
    shoal_status status = process_ready(a);
    if (status != SHOAL_OK)
        return status;
    if (s >= a->nshards || ns->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    if (load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return SHOAL_STALE;
    if (a->read_only) {
        status = keys_of_table(a, ns->id, s, prefix, prefix_size, out, &count, &w);
    } else { /* always under the lock: during a recovery the count is not what it was */
        status = shard_lock(a, s, &w);
        if (status != SHOAL_OK)
            return status;
        status = load_relaxed(&a->records[ns->id].uid) == ns->uid ? keys_listed(a, ns->id, s, prefix, prefix_size, out) : SHOAL_STALE;
        shard_unlock(a, s);
    }
    if (status != SHOAL_OK)
        shoal_bytes_free(out);
    return status;
}

/* Entries of one shard that have not expired. */
static shoal_status count_shard(shoal_arena *a, const shoal_namespace *ns, uint32_t s, shoal_namespace_stats *out, waiting *w)
{
    namespace_head *nh = head_of(a, ns->id, s);
    if (a->read_only) {
        shoal_lock *lock = &a->shards[s].lock;
        uint64_t before = load_acquire(&lock->word), count = load_relaxed(&nh->count);
        bool due = sweep_due(nh, os_mono_ns());
        out->bytes += load_relaxed(&nh->bytes);
        fence_acquire();
        if (due || before != 0 || load_relaxed(&lock->word) != 0)
            return keys_of_table(a, ns->id, s, "", 0, NULL, &out->entries, w);
        out->entries += count;
        return SHOAL_OK;
    }
    shoal_status status = shard_lock(a, s, w);
    if (status != SHOAL_OK)
        return status;
    if (load_relaxed(&a->records[ns->id].uid) != ns->uid) {
        status = SHOAL_STALE;
    } else if (sweep_due(nh, os_mono_ns())) {
        nh->cursor = 0;
        status = sweep_steps(a, s, ns->id, ns->uid, nh->count + 1, w);
    }
    out->entries += nh->count;
    out->bytes += nh->bytes;
    shard_unlock(a, s);
    return status;
}

shoal_status shoal_namespace_count(shoal_arena *a, const shoal_namespace *ns, shoal_namespace_stats *out, int64_t wait)
{
    waiting w = {.wait = wait};
    *out = (shoal_namespace_stats){0};
    shoal_status status = process_ready(a);
    if (ns->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    if (status == SHOAL_OK && load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return SHOAL_STALE;
    for (uint32_t s = 0; s < a->nshards && status == SHOAL_OK; s++)
        status = count_shard(a, ns, s, out, &w);
    return status;
}
