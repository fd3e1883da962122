/* Writing: shoal_put, shoal_delete, shoal_touch, shoal_incr.
 *
 * Every write: take the shard's lock, find the key, decide, fill a block completely, publish it with one store
 * of a slot, free what it replaced, unlock. A death before the store leaves the old value, one after it the new.
 */
#include <stdlib.h>

#include "os.h"
#include "pins.h"
#include "process.h"
#include "publish.h"

#define SWEEP_STEPS 4     /* entries that each write looks at while something is due */
#define THROUGH_FILE 262144u /* bytes; smaller values in new pages gain too little by it */
#define PIECE 1048576u       /* bytes that are written at once */
#define ROOM_ROUNDS 64    /* tries to make room before a write is refused */

static bool copy_value(const place *p, shoal_bytes *out)
{
    out->size = p->e.value_size;
    out->data = malloc(out->size ? out->size : 1);
    if (out->data)
        memcpy(out->data, (const uint8_t *)p->b + entry_value_at(&p->e, p->ref), out->size);
    return out->data != NULL;
}

/* Lock the shard, check the namespace, sweep a little, find the key; an expired entry is removed on the way.
 * OK: locked. */
static shoal_status begin(shoal_arena *a, writing *x)
{
    uint32_t s = x->key.shard_index;
    shoal_status status = shard_lock(a, s, &x->w);
    if (status != SHOAL_OK)
        return status;
    namespace_head *nh = x->nh = head_of(a, x->ns->id, s);
    status = load_relaxed(&a->records[x->ns->id].uid) == x->ns->uid ? SHOAL_OK : SHOAL_STALE;
    if (status == SHOAL_OK && unlikely(nh->due != NEVER_DUE) && sweep_due(nh, os_mono_coarse_ns()))
        status = sweep_steps(a, s, x->ns->id, x->ns->uid, SWEEP_STEPS, &x->w);
    x->found = false;
    if (status == SHOAL_OK && unlikely(load_relaxed(&a->shards[s].graves) != 0))
        status = graves_reap(a, s, SWEEP_STEPS, &x->w);
    if (status == SHOAL_OK && x->ns->tree) {
        status = tree_walk(a, x->ns, &x->names, s, &x->trail, &x->at);
        x->found = status == SHOAL_OK && x->trail.found && x->trail.rest.size == 0;
        if (x->trail.rest.size == 0)
            x->key = x->trail.key;
    } else if (status == SHOAL_OK) {
        status = table_find(a, &x->key, &x->at);
        x->found = status == SHOAL_OK;
        if (x->found && unlikely(entry_expired(x->at.b, &x->at.e))) {
            x->found = false;
            status = entry_remove(a, s, &x->at, &x->w);
            if (status == SHOAL_OK)
                count_one(a, COUNT_EXPIRED);
        }
        if (status == SHOAL_MISS)
            status = SHOAL_OK;
    }
    if (status != SHOAL_OK)
        shard_unlock(a, s);
    return status;
}

static shoal_status check(const writing *x)
{
    shoal_status status = unlikely(x->ns->tree) ? check_kind(x) : SHOAL_OK;
    if (status != SHOAL_OK)
        return status;
    switch (x->args.condition) {
    case SHOAL_IF_ABSENT: return x->found ? SHOAL_EXISTS : SHOAL_OK;
    case SHOAL_IF_PRESENT: return x->found ? SHOAL_OK : SHOAL_MISS;
    case SHOAL_IF_VERSION: return (x->found ? x->at.e.version : 0) == x->args.version ? SHOAL_OK : SHOAL_CONFLICT;
    default: return SHOAL_OK;
    }
}

static shoal_status attempt_once(shoal_arena *a, writing *x)
{
    shoal_status status = begin(a, x);
    x->late = false;
    if (status != SHOAL_OK)
        return status;
    status = check(x);
    if (status == SHOAL_OK && x->by) {
        shoal_number old;
        if (!x->found) {
            *x->result = *x->initial;
            status = number_add(x->initial, x->by, x->result);
        } else {
            const uint8_t *value = (const uint8_t *)x->at.b + entry_value_at(&x->at.e, x->at.ref);
            status = number_decode(value, x->at.e.value_size, &old);
            if (status == SHOAL_OK)
                status = number_add(&old, x->by, x->result);
        }
        if (status == SHOAL_OK) {
            x->args.head = x->number;
            x->args.head_size = number_encode(x->result, x->number);
        }
    }
    if (status == SHOAL_OK && x->args.old) {
        if (x->found && !is_object(&x->at) && !copy_value(&x->at, x->args.old))
            status = SHOAL_NO_MEMORY;
    }
    if (status == SHOAL_OK) {
        status = unlikely(x->ns->tree) ? publish_field(a, x) : publish(a, x);
        if (status != SHOAL_OK && x->args.old)
            shoal_bytes_free(x->args.old);
    }
    shard_unlock(a, x->key.shard_index);
    return status;
}

static shoal_status attempt(shoal_arena *a, writing *x)
{
    shoal_status status;
    do {
        status = attempt_once(a, x);
    } while (unlikely(x->late));
    return status;
}

/* Have the bytes in memory. */
static void fetch(const uint8_t *from, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        read_for_page(from + at);
    read_for_page(from + size - 1);
}

/* fill_value, where no page was used before. While the system writes, nobody else can commit memory of this file, nor be stopped from
 * waiting for that: so it is piece by piece, of bytes that need not be waited for. */
static void fill_through_file(shoal_arena *a, uint8_t *to, const shoal_put_args *args)
{
    const shoal_put_args head = {.head = args->head, .head_size = args->head_size};
    const uint8_t *body = args->body;
    uint64_t size = args->body_size, at = (uint64_t)(to - a->base) + args->head_size, done = 0, piece, n;
    do {
        piece = size - done < PIECE ? size - done : PIECE;
        fetch(body + done, piece);
        n = os_write(a->fd, at + done, body + done, piece);
        done += n;
    } while (n == piece && done < size);
    fill_value(to, &head); /* and what the file did not take, behind what it took */
    fill_value(to + args->head_size + done, &(shoal_put_args){.body = body + done, .body_size = size - done});
}

/* A large value is copied without the lock, into a run that a pin keeps for us: an orphan until it is published. */
static shoal_status prepare(shoal_arena *a, writing *x)
{
    uint32_t s = x->key.shard_index;
    /* Which of the optional fields the header needs is not known yet: have both. */
    x->prepared_flags = BLOCK_CREATED | (x->args.ttl == SHOAL_TTL_NEVER ? 0 : BLOCK_EXPIRES) | flags_of(x);
    x->prepared_bytes = entry_bytes(x->prepared_flags, x->key.key_size, value_size(x));
    pins_retry(a);
    shoal_status status = shard_lock(a, s, &x->w);
    if (status != SHOAL_OK)
        return status;
    uint64_t ref = 0, commits = load_relaxed(&a->commits);
    status = table_ready(a, s, &x->w); /* first, or its pages would stand in the way of the next large value for ever */
    if (status == SHOAL_OK)
        status = slab_take(a, s, x->prepared_bytes, &ref, &x->w);
    if (status == SHOAL_OK) {
        status = pins_add(a, s, ref, x->draft, &x->pin, &x->w);
        uint64_t page = page_of(a, ref << REF_SHIFT);
        if (status == SHOAL_OK) {
            store_relaxed(&a->map[page].aux, load_relaxed(&a->map[page].aux) | PAGE_ORPHAN);
            x->prepared = ref;
        } else {
            slab_free_run(a, s, page);
        }
    }
    shard_unlock(a, s);
    if (status != SHOAL_OK)
        return status;
    block *b = (block *)(a->base + (ref << REF_SHIFT));
    bool fresh = load_relaxed(&a->commits) != commits; /* or another thread's: then what is done for it is for nothing */
    entry e = {.flags = x->prepared_flags, .key_size = x->key.key_size};
    racing_write((uint8_t *)b + entry_key_at(e.flags), x->key.key, x->key.key_size);
    if (e.flags & BLOCK_EXPIRES)
        store_relaxed(entry_expires(b), 0);
    bool through_file = fresh && !x->draft && x->args.body_size >= THROUGH_FILE;
    if (!fresh)
        pages_prefault(b, x->prepared_bytes);
    else if (!through_file)
        os_populate(b, x->prepared_bytes);
    uint8_t *to = (uint8_t *)b + entry_value_at(&e, ref);
    if (!x->draft)
        through_file ? fill_through_file(a, to, &x->args) : fill_value(to, &x->args);
    return SHOAL_OK;
}

static void release_prepared(shoal_arena *a, writing *x)
{
    if (x->prepared)
        pins_release(a, x->pin, &x->w);
    x->prepared = 0;
}

/* What the arena cannot hold even when empty is refused at once, before anything is evicted for it. */
static bool never_fits(const shoal_arena *a, const writing *x)
{
    uint64_t bytes = entry_bytes(BLOCK_CREATED | BLOCK_EXPIRES | BLOCK_ALIGNED | flags_of(x), x->key.key_size, value_size(x));
    return bytes > a->pages << PAGE_SHIFT;
}

/* After a refusal: sweep what has expired, then evict if the namespace's policy says so. OK: try again. */
static shoal_status make_room(shoal_arena *a, writing *x, shoal_status why, int round)
{
    uint64_t gone = 0;
    const uint32_t *only = why == SHOAL_FULL_KEYS ? &x->ns->id : NULL;
    if (round == 0) {
        shoal_status status = sweep_all(a, only, &gone, &x->w);
        if (status != SHOAL_OK || gone || !only)
            return status;
    }
    /* Fields are never evicted; but the keys beside them may be. */
    const shoal_namespace home = {.id = x->ns->home, .uid = x->ns->home_uid}, *from = x->ns->tree ? &home : x->ns;
    const namespace_record *record = &a->records[from->id];
    if (load_relaxed(&record->eviction) != SHOAL_EVICT_SIEVE)
        return why;
    /* Ever more, so that in the end everything goes for a value that needs it; of keys as many as are over the limit. */
    uint64_t least = 1ull << (round < 38 ? round + 2 : 40);
    if (only) {
        uint64_t total = load_relaxed(&record->total), limit = load_relaxed(&record->max_keys);
        least = total > limit ? total - limit + 1 : 1;
    }
    shoal_status status = evict(a, from, x->key.shard_index, least, &gone, &x->w);
    if (status == SHOAL_OK && gone == 0)
        return why;
    if (status == SHOAL_OK && !only && round > 2)
        status = sweep_all(a, NULL, &gone, &x->w); /* free runs come together */
    return status;
}

static bool is_full(shoal_status status) { return pages_full(status) || status == SHOAL_FULL_KEYS; }

/* Take a step of a write, making room for it as long as it is refused for want of some. */
static COLD shoal_status again_with_room(shoal_arena *a, writing *x, shoal_status status, shoal_status (*take)(shoal_arena *, writing *))
{
    for (int round = 0; round < ROOM_ROUNDS && is_full(status); round++) {
        shoal_status room = make_room(a, x, status, round);
        if (room != SHOAL_OK)
            return room;
        status = take(a, x);
    }
    return status;
}

static inline shoal_status with_room(shoal_arena *a, writing *x, shoal_status (*take)(shoal_arena *, writing *))
{
    shoal_status status = take(a, x);
    return likely(!is_full(status)) ? status : again_with_room(a, x, status, take);
}

static shoal_status prepare_and_attempt(shoal_arena *a, writing *x)
{
    shoal_status status = x->prepared ? SHOAL_OK : prepare(a, x);
    return status == SHOAL_OK ? attempt(a, x) : status;
}

static bool is_large(const writing *x)
{
    uint64_t bytes = x->key.key_size + value_size(x);
    return bytes > SLAB_BLOCK_MAX - ENTRY_HEAD_MAX && block_is_large(entry_bytes(flags_of(x), x->key.key_size, value_size(x)));
}

static shoal_status perform(shoal_arena *a, writing *x)
{
    if (unlikely(x->args.head_size > SHOAL_VALUE_MAX || x->args.body_size > SHOAL_VALUE_MAX - x->args.head_size))
        return SHOAL_INVALID;
    /* What incr will store is not known before it holds the lock. */
    bool large = !x->by && unlikely(is_large(x));
    shoal_status status;
    if (likely(!large)) {
        status = with_room(a, x, attempt);
    } else {
        status = never_fits(a, x) ? SHOAL_FULL_ARENA : with_room(a, x, prepare_and_attempt);
        release_prepared(a, x);
    }
    if (unlikely(x->ns->tree))
        tree_tidy(a, x->key.shard_index, &x->w);
    return status;
}

static shoal_status writable(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, writing *x)
{
    if (unlikely(a->read_only))
        return SHOAL_READ_ONLY;
    x->ns = ns;
    shoal_status status = process_ready(a, x->w.wait);
    if (unlikely(status != SHOAL_OK))
        return status;
    return likely(!ns->tree) ? lookup_make(a, ns, key, key_size, &x->key) : path_writable(a, ns, key, key_size, x);
}

/* What nobody sets later. (To zero all of it would take longer than to find a key.) */
static void begin_writing(writing *x, const shoal_put_args *args, int64_t wait)
{
    x->w = (waiting){.wait = wait};
    x->args = *args;
    x->by = NULL;
    x->prepared = x->drafted = 0;
    x->keep = x->late = x->draft = x->made = x->limited = false;
}

shoal_status shoal_put(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                       const shoal_put_args *args, uint64_t *version, int64_t wait)
{
    writing x;
    begin_writing(&x, args, wait);
    if (args->old)
        *args->old = (shoal_bytes){0};
    if (unlikely(args->object)) {
        if (!ns->tree)
            return SHOAL_INVALID;
        static const uint8_t nothing[OBJECT_VALUE];
        x.args.head = nothing;
        x.args.head_size = sizeof nothing;
        x.args.body_size = 0;
        x.args.align = SHOAL_ALIGN_NONE;
    }
    shoal_status status = writable(a, ns, key, key_size, &x);
    if (likely(status == SHOAL_OK) && likely((status = perform(a, &x)) == SHOAL_OK) && version)
        *version = x.version;
    return status;
}

/* ---- drafts */

shoal_status shoal_draft_begin(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size, size_t size,
                               shoal_draft *out, int64_t wait)
{
    /* SHOAL_TTL_DEFAULT: room for an expiry, whatever it will be. */
    writing x = {.w = {.wait = wait}, .args = {.head_size = size, .align = SHOAL_ALIGN_VALUE, .ttl = SHOAL_TTL_DEFAULT}, .draft = true};
    shoal_status status = writable(a, ns, key, key_size, &x);
    if (status != SHOAL_OK)
        return status;
    if (size > SHOAL_VALUE_MAX || !block_is_large(entry_bytes(BLOCK_ALIGNED, key_size, size)))
        return SHOAL_INVALID;
    if (never_fits(a, &x))
        return SHOAL_FULL_ARENA;
    if (load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return SHOAL_STALE;
    status = with_room(a, &x, prepare);
    if (status != SHOAL_OK)
        return status;
    entry e = {.flags = x.prepared_flags, .key_size = x.key.key_size};
    *out = (shoal_draft){.size = size, .owner = x.prepared | pin_owner(a), .flags = x.prepared_flags};
    out->pin = (shoal_pin){.block = x.prepared | a->pins.owner, .record = x.pin,
                           .word = pin_word(x.prepared, x.key.shard_index, true)};
    out->data = a->base + (x.prepared << REF_SHIFT) + entry_value_at(&e, x.prepared);
    return SHOAL_OK;
}

static shoal_status attempt_draft(shoal_arena *a, writing *x)
{
    x->prepared = x->drafted; /* at each try: the last may have come so far as to publish it, and to take it back */
    return attempt(a, x);
}

shoal_status shoal_draft_publish(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                                 shoal_draft *draft, const shoal_put_args *args, uint64_t *version, int64_t wait)
{
    writing x = {.w = {.wait = wait}, .args = *args, .draft = true, .pin = draft->pin.record};
    uint64_t ref = draft->pin.word & REF_MASK;
    x.args.head = x.args.body = NULL;
    x.args.head_size = draft->size;
    x.args.body_size = 0;
    if (args->old)
        *args->old = (shoal_bytes){0};
    shoal_status status = writable(a, ns, key, key_size, &x);
    if (status != SHOAL_OK)
        return status;
    /* A forked child's copy is the parent's to publish; and in a namespace made anew the key may belong to another shard. */
    if (draft->owner != (ref | pin_owner(a)) || !pins_held(a, &draft->pin) || x.key.shard_index != pin_shard(draft->pin.word))
        return SHOAL_INVALID;
    x.drafted = ref;
    x.prepared_flags = draft->flags;
    status = with_room(a, &x, attempt_draft);
    if (unlikely(ns->tree))
        tree_tidy(a, x.key.shard_index, &x.w);
    if (status == SHOAL_OK) {
        draft->owner = 0;
        if (version)
            *version = x.version;
    }
    return status;
}

shoal_status shoal_incr(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                        const shoal_number *by, const shoal_number *initial, int64_t ttl,
                        shoal_number *result, int64_t wait)
{
    writing x;
    begin_writing(&x, &(shoal_put_args){.ttl = ttl}, wait);
    x.by = by;
    x.initial = initial;
    x.result = result;
    shoal_status status = writable(a, ns, key, key_size, &x);
    return status == SHOAL_OK ? perform(a, &x) : status;
}

shoal_status shoal_delete(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                          shoal_bytes *old, int64_t wait)
{
    writing x;
    begin_writing(&x, &(shoal_put_args){.old = old}, wait);
    if (old)
        *old = (shoal_bytes){0};
    shoal_status status = writable(a, ns, key, key_size, &x);
    if (status != SHOAL_OK || (status = begin(a, &x)) != SHOAL_OK)
        return status;
    if (!x.found)
        status = SHOAL_MISS;
    else if (old && is_object(&x.at))
        status = SHOAL_IS_OBJECT;
    else if (old && !copy_value(&x.at, old))
        status = SHOAL_NO_MEMORY;
    else if ((status = entry_remove(a, x.key.shard_index, &x.at, &x.w)) == SHOAL_OK)
        count_one(a, COUNT_DELETES);
    else if (old)
        shoal_bytes_free(old);
    shard_unlock(a, x.key.shard_index);
    if (unlikely(ns->tree))
        tree_tidy(a, x.key.shard_index, &x.w);
    return status;
}

/* An entry whose header has no room for an expiry is written again with its own value. */
static shoal_status touch_anew(shoal_arena *a, writing *x)
{
    shoal_bytes value;
    shoal_status status = copy_value(&x->at, &value) ? SHOAL_OK : SHOAL_NO_MEMORY;
    x->args.align = (x->at.e.flags & BLOCK_BODY)      ? SHOAL_ALIGN_BODY
                    : (x->at.e.flags & BLOCK_ALIGNED) ? SHOAL_ALIGN_VALUE
                                                      : SHOAL_ALIGN_NONE;
    x->args.condition = SHOAL_IF_VERSION;
    x->args.version = x->at.e.version;
    x->keep = true;
    shard_unlock(a, x->key.shard_index);
    if (status != SHOAL_OK)
        return status;
    x->args.head = value.data;
    x->args.head_size = value.size;
    status = perform(a, x);
    shoal_bytes_free(&value);
    return status;
}

shoal_status shoal_touch(shoal_arena *a, const shoal_namespace *ns, const void *key, size_t key_size,
                         int64_t ttl, int64_t wait)
{
    writing x;
    begin_writing(&x, &(shoal_put_args){.ttl = ttl}, wait);
    shoal_status status = writable(a, ns, key, key_size, &x);
    if (status != SHOAL_OK)
        return status;
    do {
        if ((status = begin(a, &x)) != SHOAL_OK)
            return status;
        if (!x.found) {
            shard_unlock(a, x.key.shard_index);
            return SHOAL_MISS;
        }
        uint64_t expires = expiry(a, &x);
        if ((x.at.e.flags & BLOCK_EXPIRES) || expires == 0) {
            shard *sh = &a->shards[x.key.shard_index];
            if (is_object(&x.at))
                objects_begin(sh);
            x.late = !table_begin_living(&x.at);
            if (!x.late) {
                if (x.at.e.flags & BLOCK_EXPIRES) /* an aligned word: one store, old or new */
                    store_relaxed(entry_expires(x.at.b), expires);
                table_end(x.at.head);
            }
            if (is_object(&x.at))
                objects_end(sh);
            list_expect(head_of(a, ns->id, x.key.shard_index), expires);
            shard_unlock(a, x.key.shard_index);
            if (unlikely(x.late))
                continue;
            return SHOAL_OK;
        }
        status = touch_anew(a, &x);
    } while (x.late || status == SHOAL_CONFLICT);
    return status;
}

void shoal_bytes_free(shoal_bytes *bytes)
{
    free(bytes->data);
    *bytes = (shoal_bytes){0};
}
