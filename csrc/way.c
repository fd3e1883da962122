/* Writing a field: what may be where, and the objects on the way to it. */
#include "publish.h"

/* A value in the place of an object, or on the way, or an object in the place of a value. */
shoal_status check_kind(const writing *x)
{
    if (x->args.overwrite || !x->trail.found)
        return SHOAL_OK;
    if (x->trail.rest.size || x->args.object)
        return is_object(&x->at) ? SHOAL_OK : SHOAL_NOT_OBJECT;
    return is_object(&x->at) ? SHOAL_IS_OBJECT : SHOAL_OK;
}

static shoal_status make_object(shoal_arena *a, writing *x, const lookup *key, uint64_t object, uint64_t first,
                                const place *instead, writing *o)
{
    static const uint8_t nothing[OBJECT_VALUE];
    *o = (writing){.ns = x->ns, .nh = x->nh, .key = *key, .w = x->w, .found = instead != NULL, .object = object, .first = first,
                   .made = !is_root_name(key->key, key->key_size),
                   .args = {.object = true, .head = nothing, .head_size = sizeof nothing, .ttl = SHOAL_TTL_NEVER}};
    if (instead)
        o->at = *instead;
    return publish(a, o);
}

/* The object that the trail ends in: it is known, or it is the shard's root, which may have to be made. */
static shoal_status trail_object(shoal_arena *a, writing *x, uint64_t *object)
{
    *object = x->trail.object;
    if (x->trail.key.parent != 0)
        return SHOAL_OK;
    place root;
    writing made;
    lookup key = root_lookup(a, x->ns, x->trail.key.shard_index);
    shoal_status status = field_find(a, &key, &root);
    if (status == SHOAL_OK)
        *object = root.ref;
    else if (status == SHOAL_MISS && (status = make_object(a, x, &key, 0, 0, NULL, &made)) == SHOAL_OK)
        *object = made.ref;
    return status;
}

/* Publish a field and the objects on its way, from below: nobody finds any of them before the topmost is there. Ids are the versions
 * that the objects are going to have. What was made before a failure goes like a removed subtree. */
static shoal_status make_way(shoal_arena *a, writing *x, uint64_t object)
{
    path names[SHOAL_DEPTH_MAX], rest = x->trail.rest;
    uint32_t n = 0, s = x->key.shard_index;
    const shard *sh = &a->shards[s];
    while (rest.size && n < SHOAL_DEPTH_MAX) {
        size_t name = path_name(&rest);
        names[n++] = (path){rest.names, name};
        rest = path_after(&rest, name);
    }
    if (rest.size) /* deeper than any path: the part before was known, and is not there any more */
        return SHOAL_INVALID;
    x->key = field_lookup(a, x->ns, object_id(sh->version + 2, s), names[n - 1].names, names[n - 1].size);
    x->object = 0;
    shoal_status status = publish(a, x);
    if (status != SHOAL_OK)
        return status;
    lookup last = x->key;
    uint64_t below = x->ref;
    for (uint32_t i = n - 1;; i--) { /* names[i - 1] is the object of names[i]; the trail's own name that of names[0] */
        writing made;
        bool top = i == 0;
        lookup key = top ? x->trail.key : field_lookup(a, x->ns, object_id(sh->version + 2, s), names[i - 1].names, names[i - 1].size);
        place instead;
        bool replaces = top && x->trail.found && field_find(a, &key, &instead) == SHOAL_OK; /* again: the table may have grown */
        status = make_object(a, x, &key, top ? object : 0, below, replaces ? &instead : NULL, &made);
        if (status != SHOAL_OK) {
            x->late = made.late; /* what the topmost was to replace has just expired: all of it once more */
            x->prepared = x->drafted;
            break;
        }
        block *b = block_at(a, below);
        store_relaxed(&entry_links(b, entry_load(b).flags)->previous, made.ref | FIELD_FIRST);
        if (top)
            return SHOAL_OK;
        last = key;
        below = made.ref;
    }
    place p;
    if (field_find(a, &last, &p) == SHOAL_OK)
        entry_remove(a, s, &p, &x->w);
    return status;
}

shoal_status publish_field(shoal_arena *a, writing *x)
{
    if (x->found && x->args.object && !x->args.overwrite) { /* it is there, and now it stays */
        entry_set_flags(x->at.b, x->at.e.flags & ~BLOCK_MADE);
        x->version = x->at.e.version;
        if (x->args.expires)
            *x->args.expires = (int64_t)load_relaxed(entry_expires(x->at.b));
        return SHOAL_OK;
    }
    if (x->found)
        return publish(a, x);
    uint32_t s = x->key.shard_index;
    shoal_status status = x->trail.expired ? entry_remove(a, s, &x->at, &x->w) : SHOAL_OK;
    if (status != SHOAL_OK)
        return status;
    if (x->trail.expired)
        count_one(a, COUNT_EXPIRED);
    status = trail_object(a, x, &x->object);
    uint64_t object = x->object;
    if (status == SHOAL_OK)
        status = x->trail.rest.size ? make_way(a, x, object) : publish(a, x);
    if (status != SHOAL_OK && x->trail.expired)
        objects_prune(a, s, object, &x->w);
    return status;
}

/* Where the path leads is seen under the lock; till then, its shard and its last name. */
shoal_status path_writable(shoal_arena *a, const shoal_namespace *tree, const uint8_t *names, size_t size, writing *x)
{
    shoal_way way;
    x->names = (path){names, size};
    size_t known = base_knows(a, tree, &x->names, &way), last = size;
    if (tree->id >= NAMESPACE_MAX || tree->home >= NAMESPACE_MAX || !path_valid(names + known, size - known))
        return SHOAL_INVALID;
    while (last > known && names[last - 1] != SHOAL_PATH_SEPARATOR)
        last--;
    x->object = x->first = 0;
    x->key = (lookup){.key = names + last, .key_size = (uint32_t)(size - last), .ns = tree->id,
                      .shard_index = known ? tree->base->shard : tree_shard(a, tree, &x->names)};
    return SHOAL_OK;
}
