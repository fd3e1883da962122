/* shoal_repair: what is whole of a damaged arena that nobody uses, put into a new one that takes its name.
 *
 *   from    a private copy of the damaged arena's bytes: nothing in it can change, and a hole reads as zeros
 *   into    a new arena under a name of its own, with the old one's secret, namespaces and versions, and lists, free lists and page map
 *           of its own. It takes the old one's name in one step, at the end, when the verifier has nothing to say against it
 *   whole   an entry whose key hashes to the slot that leads to it and whose block lies where a block of its size may lie
 *
 * The old arena is not written to. Who is killed in the middle leaves it as it was, and the new one for shoal_collect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "fields.h"
#include "os.h"
#include "recover.h"
#include "undo.h"

#define LINES_MAX 200 /* about single entries */
#define VERSION_REASON (VERSION_MASK >> 1) /* 140 million million writes */
#define FILL_WAIT ((int64_t)10 * 1000 * 1000 * 1000)

typedef struct space {
    uint64_t uid[2]; /* what its entries may have been hashed with: the record says it twice */
    uint64_t used[2]; /* by how many entries each */
    uint64_t kept, dropped;
    bool tree;
} space;

typedef struct repair {
    shoal_arena *from, *into;
    space *spaces; /* of NAMESPACE_MAX records */
    uint64_t *taken; /* bits: 16 bytes of the old arena's pages that belong to an entry that was kept */
    void (*report)(void *, int, const char *);
    void *context;
    shoal_repaired sum;
    uint32_t lines;
} repair;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void tell(repair *r, const char *format, ...)
{
    char line[320];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->report(r->context, 1, line);
}

static const char *name_of(const repair *r, uint32_t ns, char out[SHOAL_NAME_MAX + 1])
{
    const namespace_record *record = &r->from->records[ns];
    uint64_t n = record->name_length < SHOAL_NAME_MAX ? record->name_length : SHOAL_NAME_MAX;
    snprintf(out, SHOAL_NAME_MAX + 1, "%.*s", (int)n, record->name);
    return record->kind == KIND_KEYS ? out : record->kind == KIND_TREE ? "a memory" : "the memory of runs";
}

/* ---- the old arena */

/* As far as the file goes; of the pages that are in use only. */
static shoal_status copy_bytes(shoal_arena *from, int fd, uint64_t size)
{
    for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < size; at = end) {
        end = lseek(fd, at, SEEK_HOLE);
        if (end <= at || (uint64_t)end > size)
            end = (off_t)size;
        for (off_t p = at; p < end;) {
            ssize_t got = pread(fd, from->base + p, (size_t)(end - p), p);
            if (got < 0 && errno != EINTR)
                return SHOAL_OS;
            if (got == 0)
                return SHOAL_OK;
            p += got > 0 ? got : 0;
        }
    }
    return SHOAL_OK;
}

static shoal_status load(shoal_arena *from, int fd, const struct stat *st)
{
    arena_header header;
    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header || header.geometry.fingerprint != arena_fingerprint())
        return SHOAL_FOREIGN;
    if (!arena_sound(&header, header.geometry.file_size)) /* without its secret no key can be told to be right */
        return SHOAL_CORRUPT;
    shoal_status status = arena_imagine(from, &header.geometry);
    if (status != SHOAL_OK)
        return status;
    status = copy_bytes(from, fd, (uint64_t)st->st_size < from->file_size ? (uint64_t)st->st_size : from->file_size);
    /* Limits that may be wrong keep nothing out: beyond what was in use lie zeros. */
    from->header->frontier = from->pages;
    from->header->namespaces_high = NAMESPACE_MAX;
    return status;
}

/* ---- namespaces */

static bool name_is_new(const repair *r, uint32_t id)
{
    const namespace_record *records = r->from->records;
    for (uint32_t other = 0; other < id; other++)
        if (r->spaces[other].uid[0] && records[other].kind == KIND_KEYS && records[other].name_length == records[id].name_length &&
            memcmp(records[other].name, records[id].name, records[id].name_length) == 0)
            return false;
    return true;
}

static bool record_is_whole(repair *r, uint32_t id)
{
    namespace_record *record = &r->from->records[id];
    if (record->uid == 0 && record->last_uid && record->state == NAMESPACE_USED)
        record->uid = record->last_uid;
    if (record->state > NAMESPACE_DROPPING || record->uid == 0 || record->kind > KIND_RUNS)
        return false;
    if (id == 0) { /* it has always been the same */
        record->kind = KIND_KEYS;
        record->name_length = 7;
        memcpy(record->name, "default", 7);
    }
    return record->kind != KIND_KEYS || (record->name_length > 0 && record->name_length <= SHOAL_NAME_MAX && name_is_new(r, id));
}

static void find_spaces(repair *r)
{
    for (uint32_t id = 0; id < NAMESPACE_MAX; id++) {
        namespace_record *record = &r->from->records[id];
        if (record->uid == 0 && (record->state != NAMESPACE_USED || record->last_uid == 0))
            continue; /* never used, or dropped */
        if (!record_is_whole(r, id)) {
            tell(r, "namespace %u: its record is damaged, it is dropped", id);
            continue;
        }
        r->spaces[id] = (space){.uid = {record->last_uid ? record->last_uid : record->uid, record->uid}, .tree = record->kind != KIND_KEYS};
        r->sum.namespaces++;
    }
}

/* What the new arena says of them, now that the entries have told which of two uids is right. */
static shoal_status write_spaces(repair *r)
{
    shoal_arena *into = r->into;
    uint32_t high = 1;
    for (uint32_t id = 0; id < NAMESPACE_MAX; id++)
        if (r->spaces[id].uid[0])
            high = id + 1;
    uint64_t records_at = (uint64_t)((uint8_t *)into->records - into->base), heads_at = (uint64_t)((uint8_t *)into->heads - into->base);
    int error = os_commit(into->fd, records_at, high * sizeof(namespace_record));
    if (error == 0)
        error = os_commit(into->fd, heads_at, (uint64_t)high * into->nshards * sizeof(namespace_head));
    if (error != 0)
        return os_commit_status(error);
    uint64_t last = 0;
    for (uint32_t id = 0; id < high; id++) {
        const space *s = &r->spaces[id];
        namespace_record *to = &into->records[id];
        const namespace_record *record = &r->from->records[id];
        if (s->uid[0] == 0 && id > 0) {
            memset(to, 0, sizeof *to);
            continue;
        }
        if (s->uid[0]) {
            *to = *record;
            to->uid = to->last_uid = s->uid[s->used[1] > s->used[0]];
        }
        to->state = NAMESPACE_USED;
        to->count_lock.word = 0;
        to->total = to->hand = 0;
        to->eviction = record->eviction == SHOAL_EVICT_SIEVE ? SHOAL_EVICT_SIEVE : SHOAL_EVICT_ERROR;
        to->max_keys = record->max_keys == COUNTING ? 0 : record->max_keys;
        to->ttl = record->ttl <= INT64_MAX ? record->ttl : 0;
        last = to->uid > last ? to->uid : last;
    }
    into->header->namespace_uid = last;
    store_release(&into->header->namespaces_high, high);
    return SHOAL_OK;
}

/* ---- entries */

static bool granules(repair *r, uint64_t ref, uint64_t bytes, bool take)
{
    uint64_t first = ref - (r->from->pages_at >> REF_SHIFT), end = first + ((bytes + 15) >> REF_SHIFT);
    for (uint64_t i = first; i < end; i++) {
        if (take)
            r->taken[i / 64] |= 1ull << (i % 64);
        else if (r->taken[i / 64] >> (i % 64) & 1)
            return false;
    }
    return true;
}

/* May a block of so many bytes lie there? Where the page map itself is damaged nothing speaks against it. */
static bool is_placed(repair *r, uint32_t shard_index, uint64_t ref, uint64_t bytes)
{
    shoal_arena *a = r->from;
    uint64_t offset = ref << REF_SHIFT, page = page_of(a, offset), state;
    if (block_is_large(bytes) && (offset & (PAGE_SIZE - 1)))
        return false;
    if (!block_is_large(bytes) && page_kind(load_relaxed(&a->map[page].state)) == PAGE_INSIDE &&
        page_length(load_relaxed(&a->map[page].state)) <= page)
        page -= page_length(load_relaxed(&a->map[page].state));
    if (!page_walk(a, page, a->pages, &state) || page_kind(state) == PAGE_FREE || page_shard(state) != shard_index)
        return true;
    if (block_is_large(bytes))
        return page_kind(state) == PAGE_LARGE && bytes <= page_length(state) << PAGE_SHIFT;
    uint32_t c = class_of(bytes);
    return page_kind(state) == PAGE_SLAB && slab_run_class(&a->map[page]) == c &&
           (offset - (uint64_t)(page_at(a, page) - a->base)) % class_size(c) == 0;
}

/* Which of the namespace's uids leads from the key to this slot; -1: none. */
static int uid_that_fits(const repair *r, uint32_t shard_index, uint64_t word, block *b, const entry *e, uint64_t *hash)
{
    const shoal_arena *a = r->from;
    const uint8_t *key = (uint8_t *)b + entry_key_at(e->flags);
    uint64_t parent = entry_parent(b, e->flags);
    for (int i = 0; i < 2; i++) {
        *hash = hash_field(a->secret, r->spaces[e->ns].uid[i], parent, key, e->key_size);
        uint64_t home = (e->flags & BLOCK_FIELD) && is_root(b, e) ? shard_index : parent ? parent : *hash;
        if ((home & (a->nshards - 1)) == shard_index && tag_of(*hash >> 8) == word >> TAG_SHIFT)
            return i;
    }
    return -1;
}

static const char *fault(repair *r, uint32_t shard_index, uint64_t word, entry *e, uint64_t *hash)
{
    uint64_t ref = word & REF_MASK;
    block *b = block_at(r->from, ref);
    if (!b)
        return "lies outside of the arena";
    *e = entry_load(b);
    if (e->version > VERSION_REASON) /* kept, it would have the shard's count begin anew soon, and give versions twice */
        return "has a version that no write gave it";
    if (e->key_size == 0 || e->version == 0 || !r->spaces[e->ns].uid[0])
        return "has a damaged header, or no namespace";
    uint64_t bytes = entry_bytes(e->flags, e->key_size, e->value_size);
    if (!range_known(r->from, ref << REF_SHIFT, bytes))
        return "has a size that leaves the arena";
    if (r->spaces[e->ns].tree ? !field_sound(r->from, ref, e) : (e->flags & (BLOCK_FIELD | BLOCK_OBJECT)) != 0)
        return "is a field in no memory, or none in one";
    int uid = uid_that_fits(r, shard_index, word, b, e, hash);
    if (uid < 0)
        return "has a key that does not belong where it is found";
    if (!is_placed(r, shard_index, ref, bytes))
        return "has a size that its place does not have";
    if (!granules(r, ref, bytes, false))
        return "lies where another entry lies";
    r->spaces[e->ns].used[uid]++;
    return NULL;
}

static shoal_status copy_entry(repair *r, uint32_t shard_index, uint64_t ref, const entry *e, uint64_t hash)
{
    shoal_arena *into = r->into;
    shard *sh = &into->shards[shard_index];
    waiting w = {.wait = FILL_WAIT, .quiet = true};
    uint64_t at, bytes = entry_bytes(e->flags, e->key_size, e->value_size);
    shoal_status status = slab_take(into, shard_index, bytes, &at, &w);
    if (status != SHOAL_OK)
        return status;
    const uint8_t *old = (const uint8_t *)block_at(r->from, ref);
    uint8_t *new = into->base + (at << REF_SHIFT);
    memcpy(new, old, entry_key_at(e->flags) + e->key_size);
    memcpy(new + entry_value_at(e, at), old + entry_value_at(e, ref), e->value_size);
    status = table_insert(into, shard_index, NULL, slot_make(hash >> 8, at, block_is_large(bytes)), &w);
    if (status != SHOAL_OK)
        return status;
    sh->entries++;
    sh->version = e->version > sh->version ? e->version : sh->version;
    table_grow(into, shard_index, &w);
    granules(r, ref, bytes, true);
    r->spaces[e->ns].kept++;
    return SHOAL_OK;
}

/* A second entry of the key can only be what damage made of another one: the first stays. */
static bool is_there(repair *r, uint32_t shard_index, uint64_t ref, const entry *e, uint64_t hash)
{
    block *b = block_at(r->from, ref);
    place p;
    lookup key = {.key = (uint8_t *)b + entry_key_at(e->flags), .key_size = e->key_size, .ns = e->ns, .shard_index = shard_index,
                  .bucket_hash = hash >> 8, .parent = entry_parent(b, e->flags)};
    return r->into->shards[shard_index].nbuckets && table_find(r->into, &key, &p) == SHOAL_OK;
}

/* `aloud`: the slot is one of the table's, so what it leads to was an entry. */
static shoal_status salvage_bucket(repair *r, uint32_t shard_index, const bucket *in, bool aloud)
{
    for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t word = in->slots[i], hash, ref = word & REF_MASK;
        entry e = {0};
        if (word == 0)
            continue;
        block *b = block_at(r->from, ref);
        bool seen = b && !granules(r, ref, 16, false);
        const char *why = seen ? NULL : fault(r, shard_index, word, &e, &hash);
        if (seen || (!why && is_there(r, shard_index, ref, &e, hash)))
            continue; /* a split that died leaves two slots of one entry */
        if (!why) {
            shoal_status status = copy_entry(r, shard_index, ref, &e, hash);
            if (status != SHOAL_OK)
                return status;
        } else if (aloud) {
            char name[SHOAL_NAME_MAX + 1];
            bool known = b && r->spaces[e.ns].uid[0];
            r->sum.dropped++;
            if (known)
                r->spaces[e.ns].dropped++;
            if (r->lines++ < LINES_MAX)
                tell(r, "shard %u: an entry%s%s %s: dropped", shard_index, known ? ", it says of " : "",
                     known ? name_of(r, e.ns, name) : "", why);
        }
    }
    return SHOAL_OK;
}

static shoal_status salvage_chain(repair *r, uint32_t shard_index, const bucket *in, bool aloud)
{
    bool bad = false;
    shoal_status status = SHOAL_OK;
    for (int hops = 0; in && status == SHOAL_OK && hops < CHAIN_MAX; in = bucket_next(r->from, in, &bad), hops++)
        status = salvage_bucket(r, shard_index, in, aloud);
    return status;
}

/* The buckets that the directory leads to; then all there are in runs of the shard's table, for a directory may be damaged. */
static shoal_status salvage_table(repair *r, uint32_t shard_index)
{
    shoal_arena *a = r->from;
    const shard *sh = &a->shards[shard_index];
    shoal_status status = SHOAL_OK;
    uint64_t n = sh->nbuckets <= BUCKETS_MAX ? sh->nbuckets : 0, lost = 0, state;
    for (uint64_t i = 0; i < n && status == SHOAL_OK; i++) {
        const bucket *head = bucket_at(a, sh, i);
        if (head) {
            status = salvage_chain(r, shard_index, head, true);
        } else {
            lost += SEGMENT_BUCKETS;
            i |= SEGMENT_BUCKETS - 1;
        }
    }
    if (lost) /* in one line: a damaged count may speak of millions */
        tell(r, "shard %u: %llu buckets cannot be found through the directory", shard_index, (unsigned long long)lost);
    for (uint64_t page = 0; page < a->pages && status == SHOAL_OK; page++) {
        if (!page_walk(a, page, a->pages, &state) || page_kind(state) != PAGE_TABLE || page_shard(state) != shard_index)
            continue;
        const bucket *buckets = (const bucket *)page_at(a, page);
        for (uint64_t i = 0; i < (page_length(state) << PAGE_SHIFT) / sizeof(bucket) && status == SHOAL_OK; i++)
            status = salvage_chain(r, shard_index, &buckets[i], false);
        page += page_length(state) - 1;
    }
    return status;
}

static shoal_status salvage_shard(repair *r, uint32_t shard_index)
{
    shoal_arena *into = r->into;
    waiting w = {.wait = FILL_WAIT};
    shoal_status status = shard_lock(into, shard_index, &w);
    if (status != SHOAL_OK)
        return status;
    if (!undo_apply(r->from, &r->from->shards[shard_index])) /* the entry itself is judged like any other */
        tell(r, "shard %u: what an entry was before it was overwritten is damaged", shard_index);
    status = salvage_table(r, shard_index);
    /* No id is ever given twice, unless what the shard says is out of all reason. */
    uint64_t version = r->from->shards[shard_index].version;
    if (version > into->shards[shard_index].version && version < VERSION_REASON)
        into->shards[shard_index].version = version;
    shard_unlock(into, shard_index);
    return status;
}

/* Lists, counts, trees, free lists: the recovery makes them anew, and drops fields of objects that are no more. */
static shoal_status finish_shard(repair *r, uint32_t shard_index)
{
    shoal_arena *into = r->into;
    waiting w = {.wait = FILL_WAIT};
    uint64_t before = into->shards[shard_index].entries, claimed = r->from->shards[shard_index].entries;
    shoal_status status = shard_lock(into, shard_index, &w);
    if (status != SHOAL_OK)
        return status;
    status = recover_shard(into, shard_index, FILL_WAIT);
    uint64_t kept = into->shards[shard_index].entries;
    shard_unlock(into, shard_index);
    if (status != SHOAL_OK)
        return status; /* half-way: what is there now is not what is whole */
    if (kept < before) {
        tell(r, "shard %u: %llu fields whose object is lost: dropped", shard_index, (unsigned long long)(before - kept));
        r->sum.dropped += before - kept;
    }
    if (before < claimed && claimed < into->pages * (PAGE_SIZE / 32))
        tell(r, "shard %u: it counted %llu entries, %llu were whole", shard_index, (unsigned long long)claimed, (unsigned long long)before);
    r->sum.kept += kept;
    return SHOAL_OK;
}

/* ---- the whole */

static shoal_status salvage(repair *r)
{
    shoal_arena *from = r->from;
    shoal_status status = SHOAL_OK;
    r->spaces = calloc(NAMESPACE_MAX, sizeof *r->spaces);
    r->taken = calloc((from->pages << (PAGE_SHIFT - REF_SHIFT)) / 64 + 1, 8);
    if (!r->spaces || !r->taken)
        return SHOAL_NO_MEMORY;
    find_spaces(r);
    for (uint32_t s = 0; s < from->nshards && status == SHOAL_OK; s++)
        status = salvage_shard(r, s);
    if (status == SHOAL_OK)
        status = write_spaces(r);
    for (uint32_t s = 0; s < from->nshards && status == SHOAL_OK; s++)
        status = finish_shard(r, s);
    if (r->lines > LINES_MAX)
        tell(r, "and %u entries more: dropped", r->lines - LINES_MAX);
    return status == SHOAL_OK ? shoal_verify(r->into, r->report, r->context, FILL_WAIT) : status;
}

/* The old secret: keys lie in the same shards, and objects have ids that say so. */
static void adopt(shoal_arena *into, const shoal_arena *from)
{
    memcpy(into->secret, from->secret, sizeof into->secret);
    memcpy(into->header->geometry.secret, from->secret, sizeof into->secret);
    into->header->checksum = arena_checksum(&into->header->geometry);
}

static shoal_status replace(repair *r, const char *name, const char *path, uint32_t mode)
{
    char scratch[SHOAL_NAME_MAX + 1], scratch_path[ARENA_PATH];
    snprintf(scratch, sizeof scratch, "%.170s" ARENA_SCRATCH "%ld", name, (long)getpid());
    shoal_options options = {.flag = 'n', .mode = mode, .size = r->from->pages << PAGE_SHIFT, .wait = FILL_WAIT};
    shoal_status status = shoal_open(scratch, &options, &r->into, NULL);
    if (status != SHOAL_OK)
        return status;
    adopt(r->into, r->from);
    status = salvage(r);
    if (status == SHOAL_OK && arena_path_of(scratch, scratch_path)) {
        store_relaxed(&r->into->header->persist, PERSIST_ONCE_NAMED); /* nobody uses it: it would be gone with us */
        status = rename(scratch_path, path) == 0 ? SHOAL_OK : SHOAL_OS;
        store_relaxed(&r->into->header->persist, status == SHOAL_OK ? PERSIST_ALWAYS : 0);
    }
    shoal_close(r->into);
    return status;
}

shoal_status shoal_repair(const char *name, void (*report)(void *context, int severity, const char *line), void *context, int64_t wait,
                          shoal_repaired *out)
{
    char path[ARENA_PATH];
    struct stat st;
    repair r = {.report = report, .context = context};
    bool any = true;
    *out = (shoal_repaired){0};
    if (!arena_path_of(name, path))
        return SHOAL_INVALID;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? SHOAL_NOT_FOUND : errno == EACCES || errno == ELOOP ? SHOAL_DENIED : SHOAL_OS;
    shoal_status status = SHOAL_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        status = SHOAL_FOREIGN;
    else if (st.st_uid != geteuid()) /* the new one would be ours */
        status = SHOAL_DENIED;
    else if (os_gate(fd, deadline_after(os_mono_ns(), wait)) != 0 || !arena_still_named(fd, path, &st))
        status = SHOAL_BUSY;
    else if (!os_has_claims() || os_claimed(fd, CLAIM_READERS, CLAIM_SLOTS + PROCESS_MAX, &any) != 0 || any)
        status = SHOAL_BUSY;
    r.from = status == SHOAL_OK ? calloc(1, sizeof *r.from) : NULL;
    if (status == SHOAL_OK && !r.from)
        status = SHOAL_NO_MEMORY;
    if (status == SHOAL_OK && (status = load(r.from, fd, &st)) == SHOAL_OK)
        status = replace(&r, name, path, st.st_mode & 0777);
    if (r.from)
        arena_forget(r.from);
    free(r.from);
    free(r.spaces);
    free(r.taken);
    os_ungate(fd);
    close(fd);
    *out = r.sum;
    return status;
}
