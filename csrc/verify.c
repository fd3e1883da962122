/* shoal_verify: the invariants of layout.h as code, walked over a live arena while all its shards are locked.
 *
 *   page map     runs cover [0, frontier) without gap; used = sum of runs that are not free; bins hold every free run
 *   shard        every slot leads to a sound entry whose hash leads back to it; no entry twice; sequences even
 *   trees        every field is in the list of its object, or of a grave, and only there
 *   lists        a namespace's list holds exactly its entries, linked both ways; count and bytes are their sums
 *   blocks       every block of a slab run is reached, free or never used, and only one of these
 *   pins         a large run has as many as there are records of it; a segment of records is reached by one slot
 *   namespaces   total = sum of the shards' counts where max_keys is set
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "os.h"
#include "pins.h"
#include "process.h"
#include "room.h"

typedef struct verifier {
    shoal_arena *a;
    void (*report)(void *, int, const char *);
    void *context;
    uint64_t violations;
    uint64_t frontier;
    uint8_t *state; /* per 16 bytes of pages: 0 unknown, 1 reached, 2 free */
} verifier;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void violation(verifier *v, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    v->violations++;
    v->report(v->context, 1, line);
}

static uint8_t *state_of(verifier *v, uint64_t ref)
{
    uint64_t unit = ((ref << REF_SHIFT) - v->a->pages_at) >> REF_SHIFT;
    return unit < v->frontier << (PAGE_SHIFT - REF_SHIFT) ? &v->state[unit] : NULL;
}

static bool take_state(verifier *v, uint64_t ref, uint8_t as)
{
    uint8_t *state = state_of(v, ref);
    if (!state || *state)
        return false;
    *state = as;
    return true;
}

static void verify_pages(verifier *v)
{
    shoal_arena *a = v->a;
    uint64_t used = 0, free_runs = 0, binned = 0, state;
    for (uint64_t page = 0; page < v->frontier; page += page_length(state)) {
        if (!page_walk(a, page, v->frontier, &state)) {
            violation(v, "page %llu: no run begins here, state %016llx", (unsigned long long)page, (unsigned long long)state);
            return;
        }
        if (page_kind(state) == PAGE_FREE)
            free_runs++;
        else
            used += page_length(state);
    }
    for (int touched = 0; touched < 2; touched++)
        for (uint32_t bin = 0; bin < PAGE_BINS; bin++) {
            uint64_t at = a->header->bins[touched][bin], before = 0;
            for (; at; before = at, at = load_relaxed(&a->map[at - 1].aux) & 0xFFFFFFFFu) {
                if (at > v->frontier || !page_walk(a, at - 1, v->frontier, &state) || page_kind(state) != PAGE_FREE ||
                    load_relaxed(&a->map[at - 1].aux) >> 32 != before || binned++ > free_runs) {
                    violation(v, "bin %d/%u: page %llu is not a free run linked here", touched, bin, (unsigned long long)at - 1);
                    return;
                }
            }
        }
    if (binned != free_runs)
        violation(v, "page map: %llu free runs, %llu in bins", (unsigned long long)free_runs, (unsigned long long)binned);
    if (used != load_relaxed(&a->header->used))
        violation(v, "page map: %llu pages are used, the header says %llu", (unsigned long long)used,
                  (unsigned long long)load_relaxed(&a->header->used));
}

static void verify_slot(verifier *v, uint32_t s, uint64_t index, uint64_t n, uint64_t word)
{
    shoal_arena *a = v->a;
    block *b = block_at(a, word & REF_MASK);
    if (!b) {
        violation(v, "shard %u bucket %llu: slot %016llx leaves the arena", s, (unsigned long long)index,
                  (unsigned long long)word);
        return;
    }
    entry e = entry_load(b);
    uint64_t offset = (word & REF_MASK) << REF_SHIFT, uid;
    if (e.key_size == 0 || e.ns >= load_relaxed(&a->header->namespaces_high) ||
        !range_known(a, offset, entry_value_at(&e, word & REF_MASK) + e.value_size)) {
        violation(v, "shard %u bucket %llu: entry at %llx has an impossible header", s, (unsigned long long)index,
                  (unsigned long long)offset);
        return;
    }
    bool tree = load_relaxed(&a->records[e.ns].kind) != KIND_KEYS;
    if (tree ? !field_sound(a, word & REF_MASK, &e) : (e.flags & (BLOCK_FIELD | BLOCK_OBJECT)) != 0) {
        violation(v, "shard %u bucket %llu: entry at %llx is a field in no tree, or none in a tree", s, (unsigned long long)index,
                  (unsigned long long)offset);
        return;
    }
    uid = load_relaxed(&a->records[e.ns].last_uid);
    uint64_t parent = entry_parent(b, e.flags);
    uint64_t hash = hash_field(a->secret, uid, parent, (uint8_t *)b + entry_key_at(e.flags), e.key_size);
    uint64_t home = (e.flags & BLOCK_FIELD) && is_root(b, &e) ? s : parent ? parent : hash;
    if ((home & (a->nshards - 1)) != s || tag_of(hash >> 8) != word >> TAG_SHIFT || bucket_index(tag_of(hash >> 8), n) != index)
        violation(v, "shard %u bucket %llu: entry at %llx does not hash to here", s, (unsigned long long)index, (unsigned long long)offset);
    if (e.version == 0 || e.version > load_relaxed(&a->shards[s].version))
        violation(v, "shard %u: entry at %llx has version %llu past the shard's", s, (unsigned long long)offset,
                  (unsigned long long)e.version);
    if (!(word & SLOT_LARGE) != !block_is_large(entry_bytes(e.flags, e.key_size, e.value_size)))
        violation(v, "shard %u: entry at %llx is large, or its slot says so", s, (unsigned long long)offset);
    if (!take_state(v, word & REF_MASK, 1))
        violation(v, "shard %u: block at %llx is reached twice", s, (unsigned long long)offset);
}

/* How many entries the table holds. */
static uint64_t verify_table(verifier *v, uint32_t s)
{
    shoal_arena *a = v->a;
    shard *sh = &a->shards[s];
    uint64_t n = load_relaxed(&sh->nbuckets), entries = 0, chained = 0;
    if (sh->undo)
        violation(v, "shard %u: an entry is half overwritten", s);
    for (uint64_t i = 0; i < n; i++) {
        bucket *head = i < BUCKETS_MAX ? bucket_at(a, sh, i) : NULL;
        bool bad = false;
        int hops = 0;
        if (!head) {
            violation(v, "shard %u: directory leaves the arena at bucket %llu", s, (unsigned long long)i);
            return entries;
        }
        if (seq_of(load_relaxed(&head->word)) & 1)
            violation(v, "shard %u bucket %llu: sequence is odd", s, (unsigned long long)i);
        for (bucket *in = head; in && hops++ <= CHAIN_MAX; in = bucket_next(a, in, &bad)) {
            if (in != head && (chained++, !take_state(v, ref_of(a, in), 1)))
                violation(v, "shard %u bucket %llu: overflow bucket in two chains", s, (unsigned long long)i);
            for (uint32_t k = 0; k < BUCKET_SLOTS; k++) {
                uint64_t word = load_relaxed(&in->slots[k]);
                if (word != 0) {
                    entries++;
                    verify_slot(v, s, i, n, word);
                }
            }
        }
        if (bad || hops > CHAIN_MAX)
            violation(v, "shard %u bucket %llu: chain leaves the arena or has a cycle", s, (unsigned long long)i);
    }
    if (entries != sh->entries)
        violation(v, "shard %u: %llu entries, the shard says %llu", s, (unsigned long long)entries, (unsigned long long)sh->entries);
    if (chained != sh->chained)
        violation(v, "shard %u: %llu overflow buckets, the shard says %llu", s, (unsigned long long)chained,
                  (unsigned long long)sh->chained);
    return entries;
}

static void verify_lists(verifier *v, uint32_t s, uint64_t entries)
{
    shoal_arena *a = v->a;
    uint64_t listed = 0, high = load_acquire(&a->header->namespaces_high);
    for (uint32_t ns = 0; ns < high && ns < NAMESPACE_MAX; ns++) {
        namespace_head *nh = head_of(a, ns, s);
        uint64_t count = 0, bytes = 0, before = 0, ref;
        bool hand = nh->hand == 0, cursor = nh->cursor == 0;
        for (ref = nh->newest; ref && count <= entries; count++) {
            block *b = block_at(a, ref);
            uint8_t *state = state_of(v, ref);
            entry e = b ? entry_load(b) : (entry){0};
            if (!b || !state || *state != 1 || e.ns != ns || e.prev != before) {
                violation(v, "shard %u namespace %u: list is broken at entry %llu", s, ns, (unsigned long long)count);
                return;
            }
            if ((e.flags & BLOCK_EXPIRES) && load_relaxed(entry_expires(b)) && load_relaxed(entry_expires(b)) < nh->due && nh->cursor == 0)
                violation(v, "shard %u namespace %u: an entry expires before the list is due", s, ns);
            hand |= nh->hand == ref;
            cursor |= nh->cursor == ref;
            bytes += e.key_size + e.value_size;
            before = ref;
            ref = e.next;
        }
        if (ref || nh->oldest != before || count != nh->count || bytes != nh->bytes || !hand || !cursor)
            violation(v, "shard %u namespace %u: list of %llu entries and %llu bytes, head says %llu and %llu", s, ns,
                      (unsigned long long)count, (unsigned long long)bytes, (unsigned long long)nh->count, (unsigned long long)nh->bytes);
        listed += count;
    }
    if (listed != entries)
        violation(v, "shard %u: %llu entries in lists, %llu in the table", s, (unsigned long long)listed, (unsigned long long)entries);
}

/* The fields of one object or grave; how many. */
static uint64_t verify_object(verifier *v, uint32_t s, uint64_t object, uint64_t most)
{
    shoal_arena *a = v->a;
    block *o = block_at(a, object);
    entry oe = entry_load(o);
    uint64_t count = 0, previous = object | FIELD_FIRST, id = is_root(o, &oe) ? 0 : object_id(oe.version, s);
    for (uint64_t ref = load_relaxed(object_first(o, oe.flags, oe.key_size)); ref; count++) {
        block *b = block_at(a, ref);
        uint8_t *state = state_of(v, ref);
        entry e = b ? entry_load(b) : (entry){0};
        if (!field_sound(a, ref, &e) || !state || *state != 1 || e.ns != oe.ns || count > most || entry_parent(b, e.flags) != id ||
            load_relaxed(&entry_links(b, e.flags)->previous) != previous) {
            violation(v, "shard %u: fields of the object at %llx are broken after %llu", s, (unsigned long long)object << REF_SHIFT,
                      (unsigned long long)count);
            return count;
        }
        previous = ref;
        ref = load_relaxed(&entry_links(b, e.flags)->next);
    }
    return count;
}

static void verify_trees(verifier *v, uint32_t s)
{
    shoal_arena *a = v->a;
    uint64_t high = load_acquire(&a->header->namespaces_high), fields = 0, linked = 0, most = entries_most(a, a->shards[s].entries);
    for (uint32_t ns = 0; ns < high && ns < NAMESPACE_MAX; ns++)
        for (uint64_t ref = load_relaxed(&a->records[ns].kind) == KIND_KEYS ? 0 : head_of(a, ns, s)->newest, n = 0; ref && n <= most; n++) {
            block *b = block_at(a, ref);
            entry e = b ? entry_load(b) : (entry){0};
            if (!field_sound(a, ref, &e))
                return; /* reported by verify_lists */
            fields += !is_root(b, &e);
            if (e.flags & BLOCK_OBJECT)
                linked += verify_object(v, s, ref, most);
            ref = e.next;
        }
    uint64_t n = 0;
    for (uint64_t ref = a->shards[s].graves; ref; n++) {
        block *b = block_at(a, ref);
        entry e = b ? entry_load(b) : (entry){0};
        if (!(e.flags & BLOCK_OBJECT) || !field_sound(a, ref, &e) || !take_state(v, ref, 1) || n > most) {
            violation(v, "shard %u: the list of graves is broken after %llu", s, (unsigned long long)n);
            return;
        }
        linked += verify_object(v, s, ref, most);
        ref = e.next;
    }
    if (linked != fields)
        violation(v, "shard %u: %llu fields, %llu of them in their objects' lists", s, (unsigned long long)fields,
                  (unsigned long long)linked);
}

static void verify_blocks(verifier *v, uint32_t s)
{
    shoal_arena *a = v->a;
    shard *sh = &a->shards[s];
    uint64_t state, unused[CLASS_COUNT] = {0}, runs[CLASS_COUNT] = {0};
    for (uint32_t c = 0; c < CLASS_COUNT; c++) {
        uint32_t count = 0;
        for (uint64_t ref = sh->classes[c].free; ref; count++) {
            block *b = block_at(a, ref);
            if (!b || count >= sh->classes[c].free_count || !take_state(v, ref, 2)) {
                violation(v, "shard %u class %u: free list is broken after %u blocks", s, c, count);
                return;
            }
            ref = load_relaxed(&b->next) & REF_MASK;
        }
        if (count != sh->classes[c].free_count)
            violation(v, "shard %u class %u: %u free blocks, the class says %u", s, c, count, sh->classes[c].free_count);
    }
    for (uint64_t page = 0; page < v->frontier; page += page_length(state)) {
        if (!page_walk(a, page, v->frontier, &state))
            return; /* reported by verify_pages */
        if (page_shard(state) != s || page_kind(state) == PAGE_FREE || page_kind(state) == PAGE_TABLE ||
            page_kind(state) == PAGE_PINS)
            continue;
        uint64_t ref = ref_of(a, page_at(a, page));
        if (page_kind(state) == PAGE_LARGE) {
            uint64_t aux = load_relaxed(&a->map[page].aux);
            bool reached = *state_of(v, ref) == 1;
            if (reached == !!(aux & PAGE_ORPHAN) || (!reached && (uint32_t)aux == 0 && sh->limbo == 0))
                violation(v, "shard %u: large run at page %llu is %sreached, aux %llx", s, (unsigned long long)page, reached ? "" : "not ",
                          (unsigned long long)aux);
            continue;
        }
        uint32_t c = slab_run_class(&a->map[page]);
        if (c >= CLASS_COUNT) {
            violation(v, "shard %u: slab run at page %llu has no class", s, (unsigned long long)page);
            continue;
        }
        runs[c]++;
        for (uint64_t i = 0; i < (page_length(state) << PAGE_SHIFT) / class_size(c); i++)
            unused[c] += *state_of(v, ref + i * (class_size(c) >> REF_SHIFT)) == 0;
    }
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        if (unused[c] != sh->classes[c].bump_left || runs[c] != sh->classes[c].runs)
            violation(v, "shard %u class %u: %llu blocks lost in %llu runs (the class says %u unused, %u runs)", s, c,
                      (unsigned long long)unused[c], (unsigned long long)runs[c], sh->classes[c].bump_left, sh->classes[c].runs);
}

static void verify_pins(verifier *v)
{
    shoal_arena *a = v->a;
    uint32_t *pins = calloc(v->frontier + 1, sizeof *pins); /* records of the run that begins at this page; slots that reach it */
    uint64_t state;
    if (!pins)
        return;
    for (pin_part p = {0}; pins_part(a, &p);) {
        if (p.page)
            pins[p.page - 1]++;
        for (uint32_t i = 0; i < p.count; i++) {
            uint64_t word = load_relaxed(&p.records[i]), page = page_of(a, (word & REF_MASK) << REF_SHIFT);
            if (word && page < v->frontier && page_head(a, page, PAGE_LARGE, pin_shard(word)))
                pins[page]++;
        }
    }
    for (uint64_t page = 0; page < v->frontier && page_walk(a, page, v->frontier, &state); page += page_length(state)) {
        uint32_t said = page_kind(state) == PAGE_PINS ? 1 : page_kind(state) == PAGE_LARGE ? (uint32_t)load_relaxed(&a->map[page].aux) : 0;
        if (pins[page] != said)
            violation(v, "pins: the run at page %llu has %u, it says %u", (unsigned long long)page, pins[page], said);
    }
    free(pins);
}

static void verify_totals(verifier *v)
{
    shoal_arena *a = v->a;
    uint64_t high = load_acquire(&a->header->namespaces_high);
    for (uint32_t ns = 0; ns < high && ns < NAMESPACE_MAX; ns++) {
        uint64_t total = 0;
        if (load_relaxed(&a->records[ns].uid) == 0 || load_relaxed(&a->records[ns].max_keys) == 0 ||
            load_relaxed(&a->records[ns].max_keys) == COUNTING)
            continue;
        for (uint32_t s = 0; s < a->nshards; s++)
            total += load_relaxed(&head_of(a, ns, s)->count);
        if (total != load_relaxed(&a->records[ns].total))
            violation(v, "namespace %u: %llu entries, the total says %llu", ns, (unsigned long long)total,
                      (unsigned long long)load_relaxed(&a->records[ns].total));
    }
}

/* All shard locks, in rising order (nobody else ever holds two), and the page lock: only then does all stand still. */
shoal_status shoal_verify(shoal_arena *a, void (*report)(void *context, int severity, const char *line), void *context, int64_t wait)
{
    verifier v = {.a = a, .report = report, .context = context};
    waiting w = {.wait = wait};
    uint32_t locked = 0;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    while (status == SHOAL_OK && locked < a->nshards)
        if ((status = shard_lock(a, locked, &w)) == SHOAL_OK) {
            locked++;
            w.quiet = true;
        }
    bool paged = status == SHOAL_OK && (status = pages_lock(a, &w)) == SHOAL_OK;
    v.frontier = load_acquire(&a->header->frontier);
    if (status == SHOAL_OK && v.frontier > a->pages)
        status = corrupt(a, "page map: frontier past the arena's pages");
    uint64_t states = (v.frontier << (PAGE_SHIFT - REF_SHIFT)) + 1;
    if (status == SHOAL_OK && !(v.state = os_zeros(states)))
        status = SHOAL_NO_MEMORY;
    if (status == SHOAL_OK) {
        verify_pages(&v);
        for (uint32_t s = 0; s < a->nshards; s++) {
            uint64_t entries = verify_table(&v, s);
            verify_lists(&v, s, entries);
            verify_trees(&v, s);
            verify_blocks(&v, s);
        }
        verify_pins(&v);
        verify_totals(&v);
        if (v.violations)
            status = corrupt(a, "the verifier found violations");
    }
    if (paged)
        pages_unlock(a);
    while (locked > 0)
        shard_unlock(a, --locked);
    os_zeros_free(v.state, states);
    return status;
}
