/* The header of an entry's block, unpacked (layout.h draws it). */
#ifndef SHOAL_ENTRY_H
#define SHOAL_ENTRY_H

#include "handle.h"

typedef struct entry {
    uint32_t flags, ns, key_size, value_size;
    uint64_t version, modified, next, prev;
} entry;

static inline entry entry_load(const block *b)
{
    uint64_t next = load_relaxed(&b->next), prev = load_relaxed(&b->prev);
    uint64_t version = load_relaxed(&b->version), size = load_relaxed(&b->size);
    entry e = {
        .flags = (uint32_t)(next >> 56), .ns = (uint32_t)(next >> 40) & 0xFFFF,
        .key_size = (uint32_t)(prev >> 40) & 0xFFFF, .value_size = (uint32_t)size,
        .version = version & VERSION_MASK, .next = next & REF_MASK, .prev = prev & REF_MASK,
        .modified = size >> 32 | (version >> 48) << 32 | (prev >> 56) << 48,
    };
    return e;
}

static inline void entry_store(block *b, const entry *e)
{
    store_relaxed(&b->next, (uint64_t)e->flags << 56 | (uint64_t)e->ns << 40 | e->next);
    store_relaxed(&b->prev, (e->modified >> 48) << 56 | (uint64_t)e->key_size << 40 | e->prev);
    store_relaxed(&b->version, ((e->modified >> 32) & 0xFFFF) << 48 | e->version);
    store_relaxed(&b->size, e->modified << 32 | e->value_size);
}

static inline void entry_set_next(block *b, uint64_t ref) { store_relaxed(&b->next, (load_relaxed(&b->next) & ~REF_MASK) | ref); }
static inline void entry_set_prev(block *b, uint64_t ref) { store_relaxed(&b->prev, (load_relaxed(&b->prev) & ~REF_MASK) | ref); }

static inline void entry_set_flags(block *b, uint32_t flags)
{
    store_relaxed(&b->next, (load_relaxed(&b->next) & ~(0xFFull << 56)) | (uint64_t)flags << 56);
}

static inline uint64_t entry_key_at(uint32_t flags)
{
    enum { E = BLOCK_EXPIRES, C = BLOCK_CREATED, F = BLOCK_FIELD, HEAD = sizeof(block), LINKS = sizeof(field_links) };
    static const uint8_t at[16] = {
        [0] = HEAD,     [E] = HEAD + 8,             [C] = HEAD + 8,             [E | C] = HEAD + 16,
        [F] = HEAD + LINKS, [F | E] = HEAD + LINKS + 8, [F | C] = HEAD + LINKS + 8, [F | E | C] = HEAD + LINKS + 16,
    };
    return at[flags & (E | C | F)];
}

/* From the block's first byte; `ref` because alignment is that of the arena. */
static inline uint64_t entry_value_at(const entry *e, uint64_t ref)
{
    uint64_t at = entry_key_at(e->flags) + e->key_size;
    if (e->flags & BLOCK_ALIGNED) {
        uint64_t head = (e->flags & BLOCK_BODY) ? SHOAL_HEAD : 0;
        at = (((ref << REF_SHIFT) + at + head + 63) & ~63ull) - head - (ref << REF_SHIFT);
    }
    return at;
}

static inline uint32_t align_flags(uint8_t align)
{
    return align == SHOAL_ALIGN_BODY ? BLOCK_ALIGNED | BLOCK_BODY : align ? BLOCK_ALIGNED : 0;
}

#define ENTRY_HEAD_MAX (sizeof(block) + 16 + sizeof(field_links) + 63) /* of what is allocated, that is neither key nor value */

/* Bytes to allocate; the same from the header alone, so freeing needs no other record. */
static inline uint64_t entry_bytes(uint32_t flags, uint64_t key_size, uint64_t value_size)
{
    return entry_key_at(flags) + key_size + value_size + ((flags & BLOCK_ALIGNED) ? 63 : 0);
}

static inline uint64_t *entry_expires(block *b) { return (uint64_t *)(b + 1); }
static inline uint64_t *entry_created(block *b, uint32_t flags) { return (uint64_t *)(b + 1) + ((flags & BLOCK_EXPIRES) ? 1 : 0); }

static inline field_links *entry_links(block *b, uint32_t flags)
{
    return (field_links *)(entry_created(b, flags) + ((flags & BLOCK_CREATED) ? 1 : 0));
}
/* The object that the entry is a field of; 0 for one at the top, and for one of no tree. */
static inline uint64_t entry_parent(block *b, uint32_t flags)
{
    return (flags & BLOCK_FIELD) ? load_relaxed(&entry_links(b, flags)->parent) : 0;
}

static inline void entry_meta(block *b, const entry *e, shoal_meta *meta)
{
    meta->version = e->version;
    meta->size = (e->flags & BLOCK_OBJECT) ? 0 : e->value_size;
    meta->modified_us = (int64_t)e->modified;
    meta->created_us = (e->flags & BLOCK_CREATED) ? (int64_t)load_relaxed(entry_created(b, e->flags)) : (int64_t)e->modified;
    meta->expires_ns = (e->flags & BLOCK_EXPIRES) ? (int64_t)load_relaxed(entry_expires(b)) : 0;
    meta->object = e->flags & BLOCK_OBJECT;
}

/* Exact although the clock of the first look is coarse: only near the deadline is the fine one asked. */
bool entry_expired_at(uint64_t expires);

static inline bool entry_expired(block *b, const entry *e)
{
    if (likely(!(e->flags & BLOCK_EXPIRES)))
        return false;
    uint64_t expires = load_relaxed(entry_expires(b));
    return expires != 0 && entry_expired_at(expires);
}

#endif
