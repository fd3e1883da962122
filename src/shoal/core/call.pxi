# One call to the core as a struct, so that one function can try it, wait for it without the GIL, and repeat it.

cdef enum op_t:
    OP_GET, OP_PEEK, OP_PUT, OP_DELETE, OP_TOUCH, OP_INCR, OP_KEYS, OP_PIN, OP_CLEAR, OP_COUNT, OP_CONFIGURE, OP_FIELDS,
    OP_VIEW, OP_DRAFT, OP_PUBLISH

cdef struct visit_t:
    unsigned long thread
    visit_t *next

# One call to the core with all that any of them needs; on the caller's stack and never zeroed.
cdef struct call_t:
    op_t op
    shoal_arena *arena
    shoal_namespace space
    int64_t wait
    const void *key         # or the prefix
    size_t key_size
    void *dst
    size_t skip
    size_t cap
    shoal_meta meta
    shoal_put_args put
    int64_t expires         # of what was put
    uint64_t version        # or a count
    shoal_bytes bytes
    int64_t ttl
    shoal_number by
    shoal_number initial
    shoal_number result
    uint32_t shard
    shoal_pin pin
    shoal_draft *draft
    shoal_namespace_stats count
    shoal_namespace_config config
    uint8_t path[PATH]      # a path, if it is not too long


cdef inline int perform(call_t *c) noexcept nogil:
    if c.op == OP_GET:
        return shoal_get(c.arena, &c.space, c.key, c.key_size, c.dst, c.skip, c.cap, &c.meta, c.wait)
    elif c.op == OP_PEEK:
        return shoal_peek(c.arena, &c.space, c.key, c.key_size, c.dst, c.skip, c.cap, &c.meta, c.wait)
    elif c.op == OP_PUT:
        return shoal_put(c.arena, &c.space, c.key, c.key_size, &c.put, &c.version, c.wait)
    elif c.op == OP_DELETE:
        return shoal_delete(c.arena, &c.space, c.key, c.key_size, c.put.old, c.wait)
    elif c.op == OP_TOUCH:
        return shoal_touch(c.arena, &c.space, c.key, c.key_size, c.ttl, c.wait)
    elif c.op == OP_INCR:
        return shoal_incr(c.arena, &c.space, c.key, c.key_size, &c.by, &c.initial, c.ttl, &c.result, c.wait)
    elif c.op == OP_KEYS:
        return shoal_keys(c.arena, &c.space, c.shard, c.key, c.key_size, &c.bytes, c.wait)
    elif c.op == OP_PIN:
        return shoal_pin_take(c.arena, &c.space, c.key, c.key_size, &c.pin, c.wait)
    elif c.op == OP_VIEW:
        return shoal_view_take(c.arena, &c.space, c.key, c.key_size, &c.pin, c.wait)
    elif c.op == OP_DRAFT:
        return shoal_draft_begin(c.arena, &c.space, c.key, c.key_size, c.cap, c.draft, c.wait)
    elif c.op == OP_PUBLISH:
        return shoal_draft_publish(c.arena, &c.space, c.key, c.key_size, c.draft, &c.put, &c.version, c.wait)
    elif c.op == OP_FIELDS:
        return shoal_fields(c.arena, &c.space, c.key, c.key_size, c.shard, &c.bytes, c.wait)
    elif c.op == OP_CLEAR:
        return shoal_namespace_clear(c.arena, &c.space, &c.version, c.wait)
    elif c.op == OP_COUNT:
        return shoal_namespace_count(c.arena, &c.space, &c.count, c.wait)
    elif c.op == OP_CONFIGURE:
        return shoal_namespace_set_config(c.arena, &c.space, &c.config, c.wait)
    return SHOAL_INVALID
