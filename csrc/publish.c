#include "publish.h"

#include "os.h"
#include "pins.h"
#include "process.h"
#include "undo.h"

uint64_t expiry(shoal_arena *a, const writing *x)
{
    int64_t ttl = x->args.ttl;
    if (ttl == SHOAL_TTL_KEEP && x->found)
        return (x->at.e.flags & BLOCK_EXPIRES) ? load_relaxed(entry_expires(x->at.b)) : 0;
    if (ttl < 0)
        ttl = (int64_t)load_relaxed(&a->records[x->ns->id].ttl);
    if (ttl == 0)
        return 0;
    uint64_t now = (uint64_t)os_mono_ns();
    return (uint64_t)ttl > INT64_MAX - now ? 0 : now + (uint64_t)ttl;
}

/* Not before what it replaces, although the clocks of two processes differ a little. */
static uint64_t modified_now(shoal_arena *a, const writing *x)
{
    uint64_t now = clock_wall_us(&a->clock), before = x->found ? x->at.e.modified : 0;
    return unlikely(before > now && before - now < CLOCK_SLACK_US) ? before : now;
}

/* A new key's place among the namespace's keys. One with a limit is counted exactly: its count lock is held from
 * here until settle(), so that a refusal later can take the place back without waiting for anything. */
static shoal_status reserve(shoal_arena *a, writing *x)
{
    namespace_record *record = &a->records[x->ns->id];
    x->limited = load_relaxed(&record->max_keys) != 0;
    if (unlikely(x->limited)) {
        shoal_status status = count_lock(a, x->ns->id, &x->w);
        if (status != SHOAL_OK)
            return status;
        uint64_t total = load_relaxed(&record->total), limit = load_relaxed(&record->max_keys);
        if (limit != 0 && limit != COUNTING && total >= limit) {
            lock_drop(&record->count_lock);
            return SHOAL_FULL_KEYS;
        }
        store_relaxed(&record->total, total + 1);
    }
    store_relaxed(&x->nh->count, x->nh->count + 1);
    return SHOAL_OK;
}

static void settle(shoal_arena *a, writing *x, bool made)
{
    if (!made)
        store_relaxed(&x->nh->count, x->nh->count - 1);
    if (unlikely(x->limited)) {
        namespace_record *record = &a->records[x->ns->id];
        if (!made)
            store_relaxed(&record->total, load_relaxed(&record->total) - 1);
        lock_drop(&record->count_lock);
    }
}

/* The block for the value, filled: the prepared one, or a new one. Its flags say what its header holds. */
static shoal_status make_block(shoal_arena *a, writing *x, uint64_t expires, uint64_t *ref, uint32_t *flags)
{
    uint32_t s = x->key.shard_index;
    if (x->prepared) {
        *ref = x->prepared;
        *flags = x->prepared_flags;
        return SHOAL_OK;
    }
    *flags = (expires ? BLOCK_EXPIRES : 0) | (x->found ? BLOCK_CREATED : 0) | flags_of(x);
    shoal_status status = slab_take(a, s, entry_bytes(*flags, x->key.key_size, value_size(x)), ref, &x->w);
    if (status != SHOAL_OK)
        return status;
    block *b = (block *)(a->base + (*ref << REF_SHIFT));
    entry e = {.flags = *flags, .key_size = x->key.key_size};
    racing_write((uint8_t *)b + entry_key_at(*flags), x->key.key, x->key.key_size);
    fill_value((uint8_t *)b + entry_value_at(&e, *ref), &x->args);
    return SHOAL_OK;
}

/* Can the entry be overwritten where it lies: the same header fields, the same class of blocks? */
static bool fits_in_place(const writing *x, uint64_t expires)
{
    const entry *e = &x->at.e;
    if (!x->found || x->keep || x->prepared || x->args.object || (e->flags & ~BLOCK_EXPIRES) != (BLOCK_CREATED | flags_of(x)) ||
        (expires && !(e->flags & BLOCK_EXPIRES)))
        return false;
    uint64_t before = entry_bytes(e->flags, e->key_size, e->value_size), after = entry_bytes(e->flags, e->key_size, value_size(x));
    return before <= UNDO_BYTES && after <= UNDO_BYTES && (before == after || class_of(before) == class_of(after));
}

/* Neither the allocator nor the entry's neighbours in its list are touched. */
static void overwrite(shoal_arena *a, writing *x, uint64_t expires)
{
    shard *sh = &a->shards[x->key.shard_index];
    namespace_head *nh = x->nh;
    place *p = &x->at;
    entry e = p->e;
    uint64_t at = entry_value_at(&e, p->ref);
    e.value_size = (uint32_t)value_size(x);
    e.version = x->version = (sh->version + 1) & VERSION_MASK;
    e.modified = modified_now(a, x);
    store_relaxed(&sh->version, e.version);
    undo_keep(sh, p->ref, p->b, at + p->e.value_size);
    x->late = !table_begin_living(p);
    if (unlikely(x->late)) {
        undo_commit(sh);
        return;
    }
    entry_store(p->b, &e);
    if (e.flags & BLOCK_EXPIRES)
        store_relaxed(entry_expires(p->b), expires);
    fill_value((uint8_t *)p->b + at, &x->args);
    undo_commit(sh);
    table_end(p->head);
    if (unlikely(!(p->word & SLOT_VISITED)))
        store_relaxed(&p->in->slots[p->slot], p->word | SLOT_VISITED);
    if (e.value_size != p->e.value_size) /* or the line stays with all who only look at it */
        store_relaxed(&nh->bytes, nh->bytes + e.value_size - p->e.value_size);
    list_expect(nh, expires);
    if (x->args.expires)
        *x->args.expires = (int64_t)expires;
    x->ref = p->ref;
    count_one(a, COUNT_SETS);
}

/* The rest of a write, under the lock, once the key was found (or not) and the condition holds. */
shoal_status publish(shoal_arena *a, writing *x)
{
    uint32_t s = x->key.shard_index, flags;
    shard *sh = &a->shards[s];
    namespace_head *nh = x->nh;
    uint64_t ref, expires = expiry(a, x);
    if (fits_in_place(x, expires)) {
        overwrite(a, x, expires);
        return x->late ? SHOAL_CONFLICT : SHOAL_OK;
    }
    shoal_status status = x->found ? SHOAL_OK : reserve(a, x);
    if (status != SHOAL_OK)
        return status;
    status = make_block(a, x, expires, &ref, &flags);
    if (status != SHOAL_OK)
        goto refused;
    block *b = (block *)(a->base + (ref << REF_SHIFT));
    uint64_t now = modified_now(a, x), bytes = entry_bytes(flags, x->key.key_size, value_size(x));
    entry e = {.flags = flags, .ns = x->ns->id, .key_size = x->key.key_size, .value_size = (uint32_t)value_size(x),
               .version = (sh->version + 1) & VERSION_MASK, .modified = now};
    if (x->keep) {
        e.version = x->at.e.version;
        e.modified = x->at.e.modified;
    }
    if (flags & BLOCK_EXPIRES)
        store_relaxed(entry_expires(b), expires);
    if (flags & BLOCK_CREATED) {
        shoal_meta old = {.created_us = (int64_t)now};
        if (x->found)
            entry_meta(x->at.b, &x->at.e, &old);
        store_relaxed(entry_created(b, flags), (uint64_t)old.created_us);
    }
    entry_store(b, &e);
    if (flags & BLOCK_FIELD) {
        field_links *links = entry_links(b, flags);
        store_relaxed(&links->parent, x->key.parent);
        store_relaxed(&links->next, 0);
        store_relaxed(&links->previous, 0);
        if (flags & BLOCK_OBJECT)
            store_relaxed(object_first(b, flags, e.key_size), x->first);
    }
    if (!x->keep)
        store_relaxed(&sh->version, e.version);
    uint64_t word = slot_make(x->key.bucket_hash, ref, block_is_large(bytes));
    if (x->found) {
        if (is_object(&x->at))
            objects_begin(sh);
        x->late = !table_replace(&x->at, word | SLOT_VISITED);
        if (is_object(&x->at))
            objects_end(sh);
        if (unlikely(x->late)) {
            if (!x->prepared)
                slab_give(a, s, ref, bytes);
            return SHOAL_CONFLICT;
        }
        list_replace(a, nh, x->at.ref, &x->at.e, ref, b);
        if (flags & BLOCK_FIELD)
            field_relink(a, x->at.b, x->at.e.flags, ref, b);
        block_discard(a, s, x->at.ref, &x->at.e);
        store_relaxed(&nh->bytes, nh->bytes + e.value_size - x->at.e.value_size);
    } else {
        list_push(a, nh, ref, b);
        status = table_insert(a, s, x->ns->tree ? NULL : x->at.head, word, &x->w);
        if (status != SHOAL_OK) {
            entry linked = entry_load(b);
            list_remove(a, nh, ref, &linked);
            if (!x->prepared)
                slab_give(a, s, ref, bytes);
            goto refused;
        }
        store_relaxed(&nh->bytes, nh->bytes + e.key_size + e.value_size);
        store_relaxed(&sh->entries, sh->entries + 1);
        if ((flags & BLOCK_FIELD) && x->object)
            field_link(a, x->object, ref, b);
    }
    list_expect(nh, expires);
    if (x->args.expires)
        *x->args.expires = (int64_t)expires;
    if (x->prepared) { /* reachable now: no orphan any more */
        uint64_t page = page_of(a, ref << REF_SHIFT);
        store_relaxed(&a->map[page].aux, load_relaxed(&a->map[page].aux) & ~PAGE_ORPHAN);
        if (!x->draft)
            pins_drop(a, x->pin);
        x->prepared = 0;
    }
    x->version = e.version;
    x->ref = ref;
    if (!x->keep && !x->args.object)
        count_one(a, COUNT_SETS);
    if (!x->found) {
        settle(a, x, true);
        table_grow(a, s, &x->w);
    }
    return SHOAL_OK;
refused:
    if (!x->found)
        settle(a, x, false);
    return status;
}
