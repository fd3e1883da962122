/* What a repair makes of one wrong word at a time: each row damages an arena at rest, and says how many entries stay, how many are
 * dropped, and what the report names. What is kept is read back, every time. */
#include "arena.h"
#include "paths.h"
#include "process.h"
#include "tree.h"

#ifdef SHOAL_LINUX
#include <fcntl.h>
#include <sys/file.h>

#define LARGE ((size_t)50000)
#define KEYS 60u

typedef struct world {
    shoal_arena *a;
    shoal_namespace keys, other, tree;
    shard *sh;
} world;

static char told[65536];
static unsigned lines;

static void tell(void *context, int severity, const char *line)
{
    size_t n = strlen(told);
    (void)context, (void)severity;
    lines++;
    snprintf(told + n, sizeof told - n, "%s\n", line);
}

static shoal_status mend(shoal_repaired *sum)
{
    told[0] = '\0';
    lines = 0;
    return shoal_repair(arena_name("repair"), tell, NULL, SECOND, sum);
}

static void world_make(world *w)
{
    unlink(arena_path("repair"));
    *w = (world){.a = arena_new("repair", MIB)};
    w->sh = &w->a->shards[0];
    w->keys = ns_default(w->a);
    w->other = ns_open(w->a, "other", 0, 100, 0);
    w->tree = tree_of(w->a);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(put_pattern(w->a, &w->keys, numbered("k", i), i, i * 9, false), SHOAL_OK);
    CHECK_STATUS(put_pattern(w->a, &w->keys, "large", 7, LARGE, false), SHOAL_OK);
    CHECK_STATUS(put_pattern(w->a, &w->keys, "pages", 8, 6000, false), SHOAL_OK); /* in a run of several pages, the first of which */
    CHECK_STATUS(put_pattern(w->a, &w->keys, "alone", 8, 6000, false), SHOAL_OK); /* this one does not begin in */
    CHECK_STATUS(put(w->a, &w->other, "o", "other"), SHOAL_OK);
    CHECK_STATUS(set(w->a, &w->tree, "a.b", "field"), SHOAL_OK);
    CHECK_STATUS(shoal_persist(w->a), SHOAL_OK);
}
enum { ALL = KEYS + 3 + 1 + 3 }; /* with the object, its field and the root */

static place place_of(world *w, const shoal_namespace *ns, const char *key)
{
    target t;
    place p = {0};
    CHECK_STATUS(target_make(w->a, ns, key, strlen(key), &t), SHOAL_OK);
    CHECK_STATUS(target_find(w->a, &t, &p), SHOAL_OK);
    return p;
}
static uint64_t *slot_of(world *w, const char *key)
{
    place p = place_of(w, &w->keys, key);
    return &p.in->slots[p.slot];
}
static block *block_of(world *w, const char *key) { return place_of(w, &w->keys, key).b; }
static page_entry *page_entry_of(world *w, const char *key)
{
    uint64_t page = page_of(w->a, place_of(w, &w->keys, key).ref << REF_SHIFT);
    return &w->a->map[page - (page_kind(w->a->map[page].state) == PAGE_INSIDE ? page_length(w->a->map[page].state) : 0)];
}
static void set_kind(page_entry *e, uint64_t kind) { e->state = (e->state & ~0xFFull) | kind; }
static namespace_record *record(world *w) { return &w->a->records[w->other.id]; }

/* A bucket with entries and none that overflow it: what a broken link leads to is lost, what lies before it is not. */
static bucket *short_chain(world *w)
{
    uint64_t i = 0;
    while (i + 1 < w->sh->nbuckets && (bucket_at(w->a, w->sh, i)->word & OVERFLOW_MASK || !bucket_at(w->a, w->sh, i)->slots[0]))
        i++;
    return bucket_at(w->a, w->sh, i);
}

/* The keys that hash to the same bucket of an empty table are few: a second slot of an entry, in any other. */
static void double_slot(world *w)
{
    uint64_t word = *slot_of(w, "k9");
    for (uint64_t i = 0; i < w->sh->nbuckets; i++) {
        bucket *b = bucket_at(w->a, w->sh, i);
        for (unsigned k = 0; k < BUCKET_SLOTS && b != place_of(w, &w->keys, "k9").head; k++)
            if (b->slots[k] == 0) {
                b->slots[k] = word;
                return;
            }
    }
}
/* A copy of k9's block, as another block of its class, and a slot of its own for it. */
static void double_entry(world *w)
{
    CHECK_STATUS(put_pattern(w->a, &w->keys, "kX", 9, 81, false), SHOAL_OK);
    uint64_t *slot = slot_of(w, "kX"), tag = *slot_of(w, "k9") & ~REF_MASK;
    memcpy(block_of(w, "kX"), block_of(w, "k9"), sizeof(block) + 2 + 81);
    *slot = (*slot & REF_MASK) | tag;
}
static void runs_with_a_damaged_field(world *w)
{
    shoal_namespace runs;
    CHECK_STATUS(shoal_runs_open(w->a, &w->keys, true, &runs, WAIT), SHOAL_OK);
    CHECK_STATUS(set(w->a, &runs, "somebody's", "run"), SHOAL_OK);
    place_of(w, &runs, "somebody's").b->version |= VERSION_MASK;
}
/* A block that is as large as a run, in the middle of a page. */
static void large_inside_a_page(world *w)
{
    place from = place_of(w, &w->keys, "large");
    uint64_t to = from.ref + 4;
    memmove(w->a->base + (to << REF_SHIFT), from.b, 1000);
    *slot_of(w, "large") = (*slot_of(w, "large") & ~REF_MASK) | to;
}
static void to_the_last_byte(world *w) /* data up to the end of the file, and more behind it */
{
    static const uint8_t more[3 * PAGE_SIZE];
    CHECK(pwrite(w->a->fd, more, sizeof more, (off_t)(w->a->file_size - PAGE_SIZE)) == (ssize_t)sizeof more);
}
static void many_damaged(world *w) /* more than are told one by one */
{
    for (unsigned i = 0; i < 300; i++)
        CHECK_STATUS(put(w->a, &w->other, numbered("o", i), "x"), i < 99 ? SHOAL_OK : SHOAL_FULL_KEYS);
    for (unsigned i = 0; i < 300; i++)
        CHECK_STATUS(put(w->a, &w->keys, numbered("m", i), "x"), SHOAL_OK);
    for (unsigned i = 0; i < 300; i++)
        block_of(w, numbered("m", i))->version |= VERSION_MASK;
    for (unsigned i = 0; i < 99; i++)
        CHECK_STATUS(del(w->a, &w->other, numbered("o", i)), SHOAL_OK);
}

#define HARM(name, ...) static void name(world *w) { __VA_ARGS__; }
HARM(none, (void)w)
HARM(slot_outside, *slot_of(w, "k9") |= REF_MASK)
HARM(slot_to_nowhere, *slot_of(w, "k9") = (*slot_of(w, "k9") & ~REF_MASK) | 1)
HARM(key_of_another, ((uint8_t *)(block_of(w, "k9") + 1))[0] = 'x')
HARM(size_of_another_class, block_of(w, "k9")->size += 500)
HARM(field_among_keys, block_of(w, "k9")->next |= (uint64_t)BLOCK_FIELD << 56)
HARM(entry_of_no_namespace, block_of(w, "k9")->next |= 500ull << 40)
HARM(large_run_too_short, page_entry *e = page_entry_of(w, "large"); e->state -= 3ull << 32)
HARM(large_run_is_a_slab, set_kind(page_entry_of(w, "large"), PAGE_SLAB))
HARM(slab_is_large, set_kind(page_entry_of(w, "alone"), PAGE_LARGE))
HARM(slab_of_another_class, page_entry_of(w, "alone")->aux = 60)
HARM(slab_of_another_shard, page_entry_of(w, "alone")->state |= 7ull << 16)
HARM(slab_is_free, set_kind(page_entry_of(w, "alone"), PAGE_FREE))
HARM(page_far_inside, place p = place_of(w, &w->keys, "large");
     w->a->map[page_of(w->a, p.ref << REF_SHIFT)].state = page_state(PAGE_INSIDE, 0, 0, 1u << 20))
HARM(directory_gone, w->sh->directory[0] = 0)
HARM(table_of_another_shard, uint64_t state;
     for (uint64_t page = 0; page_walk(w->a, page, w->a->header->frontier, &state); page += page_length(state))
         { if (page_kind(state) == PAGE_TABLE) w->a->map[page].state |= 9ull << 16;
     if (page + page_length(state) >= w->a->header->frontier) break; })
HARM(chain_in_a_circle, bucket *b = short_chain(w); b->word |= (uint64_t)((uint8_t *)b - w->a->base) >> 6)
HARM(chain_outside, short_chain(w)->word |= OVERFLOW_MASK)
HARM(image_of_nothing, w->sh->undo = REF_MASK)
HARM(limit_being_counted, record(w)->max_keys = COUNTING)
HARM(ttl_of_no_time, record(w)->ttl = UINT64_MAX)
HARM(state_of_none, record(w)->state = 77)
HARM(kind_of_none, record(w)->kind = 77)
HARM(name_of_none, record(w)->name_length = 0)
HARM(name_too_long, record(w)->name_length = SHOAL_NAME_MAX + 1)
HARM(uid_lost, record(w)->uid = 0)
HARM(last_uid_lost, record(w)->last_uid = 0)
HARM(last_uid_of_another, record(w)->last_uid = 12345)
HARM(uid_of_another, record(w)->uid = 12345)
HARM(dropped, CHECK_STATUS(shoal_namespace_drop(w->a, &w->other, WAIT), SHOAL_OK))
HARM(default_renamed, w->a->records[0].name_length = 3; w->a->records[0].kind = KIND_TREE)
HARM(name_of_another, memcpy(record(w)->name, "default", 7); record(w)->name_length = 7)
HARM(policy_of_none, record(w)->eviction = 9)
HARM(version_out_of_reason, w->sh->version = VERSION_MASK)
HARM(object_of_none, place p = place_of(w, &w->tree, "a"); p.b->size ^= 1ull << 20)

/* kept: entries of ALL that must be there; dropped: what the sum says at least */
static const struct {
    const char *what;
    void (*harm)(world *w);
    unsigned kept, dropped;
    const char *named; /* in the report; NULL: nothing is reported */
} rows[] = {
    {"nothing", none, ALL, 0, NULL},
    {"a slot past the end", slot_outside, ALL - 1, 1, "lies outside of the arena"},
    {"a slot to no block", slot_to_nowhere, ALL - 1, 1, "lies outside of the arena"},
    {"a key that hashes elsewhere", key_of_another, ALL - 1, 1, "key that does not belong"},
    {"a size of another class", size_of_another_class, ALL - 1, 1, "size that its place does not have"},
    {"a field among keys", field_among_keys, ALL - 1, 1, "is a field in no memory"},
    {"an entry of no namespace", entry_of_no_namespace, ALL - 1, 1, "or no namespace"},
    {"a large run that is too short", large_run_too_short, ALL - 1, 1, "size that its place does not have"},
    {"a large run that says it is a slab", large_run_is_a_slab, ALL - 1, 1, "size that its place does not have"},
    {"a slab that says it is large", slab_is_large, ALL - 2, 2, "size that its place does not have"},
    {"a slab of another class", slab_of_another_class, ALL - 2, 2, "size that its place does not have"},
    {"a slab of another shard", slab_of_another_shard, ALL, 0, NULL}, /* the page map is wrong, not what lies there */
    {"a slab that says it is free", slab_is_free, ALL, 0, NULL},
    {"a page far inside of a run", page_far_inside, ALL, 0, NULL},
    {"a large value inside of a page", large_inside_a_page, ALL - 1, 1, "size that its place does not have"},
    {"two slots of one entry", double_slot, ALL, 0, NULL},
    {"two entries of one key", double_entry, ALL, 0, "were whole"},
    {"no directory", directory_gone, ALL, 0, "cannot be found through the directory"},
    {"a table of another shard", table_of_another_shard, ALL, 0, NULL},
    {"a chain in a circle", chain_in_a_circle, ALL, 0, NULL},
    {"a chain past the end", chain_outside, ALL, 0, NULL},
    {"an image of nothing", image_of_nothing, ALL, 0, "before it was overwritten is damaged"},
    {"a limit that is being counted", limit_being_counted, ALL, 0, NULL},
    {"a ttl that is no time", ttl_of_no_time, ALL, 0, NULL},
    {"a policy that is none", policy_of_none, ALL, 0, NULL},
    {"a record in no state", state_of_none, ALL - 1, 1, "its record is damaged"},
    {"a record of no kind", kind_of_none, ALL - 1, 1, "its record is damaged"},
    {"a record without a name", name_of_none, ALL - 1, 1, "its record is damaged"},
    {"a record with a name too long", name_too_long, ALL - 1, 1, "its record is damaged"},
    {"a record with another's name", name_of_another, ALL - 1, 1, "its record is damaged"},
    {"a record that lost its uid", uid_lost, ALL, 0, NULL},
    {"a record that lost its last uid", last_uid_lost, ALL, 0, NULL},
    {"a record with another's last uid", last_uid_of_another, ALL, 0, NULL},
    {"a record with another's uid", uid_of_another, ALL, 0, NULL},
    {"a namespace that was dropped", dropped, ALL - 1, 0, NULL},
    {"a default namespace that says it is another", default_renamed, ALL, 0, NULL},
    {"a version out of all reason", version_out_of_reason, ALL, 0, NULL},
    {"an object that is none", object_of_none, ALL - 2, 2, "dropped"}, /* and its field */
    {"a run's field out of reason", runs_with_a_damaged_field, ALL + 1, 1, "the memory of runs"}, /* with that tree's root */
    {"data up to the end of the file and behind it", to_the_last_byte, ALL, 0, NULL},
    {"more damage than is told one by one", many_damaged, ALL, 300, "entries more: dropped"},
};

static unsigned wrong_or_missing(shoal_arena *a)
{
    shoal_namespace ns = ns_default(a);
    unsigned missing = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        shoal_status status = get_pattern(a, &ns, numbered("k", i), i, i * 9);
        CHECK(status == SHOAL_OK || status == SHOAL_MISS);
        missing += status == SHOAL_MISS;
    }
    shoal_status large = get_pattern(a, &ns, "large", 7, LARGE), alone = get_pattern(a, &ns, "alone", 8, 6000);
    CHECK((large == SHOAL_OK || large == SHOAL_MISS) && (alone == SHOAL_OK || alone == SHOAL_MISS));
    return missing + (large == SHOAL_MISS) + (alone == SHOAL_MISS);
}

static void one_row(unsigned i)
{
    unsigned before = check_failures;
    world w;
    shoal_repaired sum;
    world_make(&w);
    rows[i].harm(&w);
    w.sh->lock.word = 0;
    shoal_close(w.a);
    CHECK_STATUS(mend(&sum), SHOAL_OK);
    CHECK_EQ(sum.kept, rows[i].kept);
    CHECK_EQ(sum.dropped, rows[i].dropped);
    CHECK(rows[i].named ? strstr(told, rows[i].named) != NULL : lines == 0);
    w.a = arena_attach("repair", 'w');
    CHECK_SOUND(w.a);
    CHECK(wrong_or_missing(w.a) <= 1);
    CHECK_EQ(stats_of(w.a).entries, rows[i].kept);
    CHECK_STATUS(put(w.a, &w.keys, "new", "v"), SHOAL_OK);
    CHECK_SOUND(w.a);
    shoal_unlink(w.a);
    shoal_close(w.a);
    if (check_failures != before)
        fprintf(stderr, "  %s: kept %u, dropped %u, told:\n%s\n", rows[i].what, (unsigned)sum.kept, (unsigned)sum.dropped, told);
}

static void each_wrong_word_costs_what_it_must(void)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        one_row(i);
}

static void another_build_s_arena_is_foreign(void)
{
    world w;
    shoal_repaired sum;
    world_make(&w);
    shoal_close(w.a);
    int fd = open(arena_path("repair"), O_RDWR);
    uint64_t fingerprint = 1;
    CHECK(pwrite(fd, &fingerprint, 8, offsetof(arena_header, geometry) + offsetof(arena_geometry, fingerprint)) == 8);
    CHECK_STATUS(mend(&sum), SHOAL_FOREIGN);
    CHECK(ftruncate(fd, 100) == 0);
    CHECK_STATUS(mend(&sum), SHOAL_FOREIGN);
    close(fd);
    unlink(arena_path("repair"));
}

/* Somebody opens it, or leaves it. */
static void who_has_the_gate_is_waited_for(void)
{
    world w;
    shoal_repaired sum;
    world_make(&w);
    shoal_close(w.a);
    int fd = open(arena_path("repair"), O_RDWR);
    REQUIRE(flock(fd, LOCK_EX) == 0);
    CHECK_STATUS(shoal_repair(arena_name("repair"), tell, NULL, MILLISECOND, &sum), SHOAL_BUSY);
    flock(fd, LOCK_UN);
    close(fd);
    CHECK_STATUS(mend(&sum), SHOAL_OK);
    CHECK_EQ(sum.kept, ALL);
    unlink(arena_path("repair"));
}
#endif

static int tests(void)
{
#ifdef SHOAL_LINUX
    RUN(each_wrong_word_costs_what_it_must);
    RUN(another_build_s_arena_is_foreign);
    RUN(who_has_the_gate_is_waited_for);
#else
    SKIP("only claims tell that nobody uses an arena");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
