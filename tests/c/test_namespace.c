/* Namespaces: names and records, exact limits, clearing and dropping beside writers, what a dead one leaves. */
#include <fcntl.h>

#include "fixture.h"
#include "namespace.h"
#include "process.h"

static shoal_status open_ns(shoal_arena *a, const char *name, bool create, shoal_namespace *out)
{
    return shoal_namespace_open(a, name, strlen(name), create, NULL, out, WAIT);
}

static int count_name(void *context, const char *name, size_t length, const shoal_namespace *ns)
{
    (void)name, (void)length, (void)ns;
    ++*(unsigned *)context;
    return 0;
}

static unsigned names(shoal_arena *a)
{
    unsigned count = 0;
    CHECK_STATUS(shoal_namespace_list(a, count_name, &count), SHOAL_OK);
    return count;
}

static void names_lead_to_namespaces(void)
{
    shoal_arena *a = arena_new("names", MIB), *b = arena_attach("names", 'w');
    shoal_namespace ns, again, other;
    char longest[SHOAL_NAME_MAX + 1];
    memset(longest, 'n', sizeof longest);
    CHECK_STATUS(open_ns(a, "default", false, &ns), SHOAL_OK);
    CHECK_EQ(ns.id, 0u);
    CHECK_STATUS(open_ns(a, "one", false, &ns), SHOAL_NOT_FOUND);
    CHECK_STATUS(open_ns(a, "one", true, &ns), SHOAL_OK);
    CHECK_STATUS(open_ns(b, "one", false, &again), SHOAL_OK);
    CHECK(ns.id == again.id && ns.uid == again.uid);
    CHECK_STATUS(open_ns(a, "on", true, &other), SHOAL_OK);
    CHECK(other.id != ns.id && other.uid != ns.uid);
    CHECK_STATUS(shoal_namespace_open(a, longest, SHOAL_NAME_MAX, true, NULL, &ns, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_open(b, longest, SHOAL_NAME_MAX, false, NULL, &again, WAIT), SHOAL_OK);
    CHECK_EQ(ns.uid, again.uid);
    CHECK_STATUS(shoal_namespace_open(a, longest, SHOAL_NAME_MAX + 1, true, NULL, &ns, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_open(a, "", 0, true, NULL, &ns, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_open(a, "a\0b", 3, true, NULL, &ns, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_open(a, "a\0c", 3, false, NULL, &ns, WAIT), SHOAL_NOT_FOUND);
    CHECK_EQ(names(b), 5u);
    CHECK_EQ(stats_of(b).namespaces, 5u);
    shoal_close(b);
    ARENA_END(a);
}

static void keys_of_two_namespaces_do_not_meet(void)
{
    enum { SPACES = 20, KEYS = 200 };
    shoal_arena *a = arena_new("apart", 64 * MIB);
    shoal_namespace ns[SPACES];
    for (int s = 0; s < SPACES; s++) {
        ns[s] = ns_open(a, numbered("space", (unsigned)s), 0, 0, 0);
        for (unsigned i = 0; i < KEYS; i++)
            REQUIRE(put(a, &ns[s], numbered("k", i), numbered("v", i * 100 + (unsigned)s)) == SHOAL_OK);
    }
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned i = 0; i < KEYS; i++)
            CHECK_TEXT(get_text(a, &ns[s], numbered("k", i)), numbered("v", i * 100 + s));
    shoal_namespace_stats stats;
    CHECK_STATUS(shoal_namespace_count(a, &ns[3], &stats, WAIT), SHOAL_OK);
    CHECK_EQ(stats.entries, (uint64_t)KEYS);
    uint64_t gone;
    CHECK_STATUS(shoal_namespace_clear(a, &ns[3], &gone, WAIT), SHOAL_OK);
    CHECK_EQ(gone, (uint64_t)KEYS);
    CHECK_EQ(count_of(a, &ns[3]), 0u);
    CHECK_EQ(keys_of(a, &ns[3], ""), 0u);
    CHECK_EQ(count_of(a, &ns[4]), (uint64_t)KEYS);
    CHECK_EQ(keys_of(a, &ns[4], "k1"), 111u);
    CHECK_EQ(keys_of(a, &ns[4], "no"), 0u);
    ARENA_END(a);
}

static void a_dropped_namespace_is_stale_for_whoever_had_it(void)
{
    shoal_arena *a = arena_new("drop", 64 * MIB), *b = arena_attach("drop", 'w');
    shoal_namespace ns = ns_open(a, "space", 0, 0, 0), theirs, fresh, zero = ns_default(a);
    CHECK_STATUS(open_ns(b, "space", false, &theirs), SHOAL_OK);
    for (unsigned i = 0; i < 1000; i++)
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &zero, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, 0u);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_STALE);
    for (int made_again = 0; made_again < 2; made_again++) {
        shoal_meta meta;
        shoal_namespace_stats stats;
        shoal_namespace_config config = {0};
        shoal_number n = {.i = 1};
        shoal_bytes keys;
        uint64_t count;
        CHECK_STATUS(put(b, &theirs, "k1", "x"), SHOAL_STALE);
        CHECK_TEXT(get_text(b, &theirs, "k1"), "(stale namespace)");
        CHECK_STATUS(del(b, &theirs, "k1"), SHOAL_STALE);
        CHECK_STATUS(shoal_touch(b, &theirs, "k1", 2, SECOND, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_incr(b, &theirs, "n", 1, &n, &n, SHOAL_TTL_KEEP, &n, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_peek(b, &theirs, "k1", 2, NULL, 0, 0, &meta, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_count(b, &theirs, &stats, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_clear(b, &theirs, &count, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_get_config(b, &theirs, &config), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_set_config(b, &theirs, &config, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_keys(b, &theirs, 0, "", 0, &keys, WAIT), SHOAL_STALE);
        CHECK_STATUS(shoal_namespace_drop(b, &theirs, WAIT), SHOAL_STALE);
        CHECK_STATUS(put_pattern(b, &theirs, "large", 1, 100000, false), SHOAL_STALE);
        if (made_again)
            break;
        CHECK_STATUS(open_ns(a, "space", true, &fresh), SHOAL_OK);
        CHECK_EQ(fresh.id, ns.id); /* the record is used again, under another uid */
        CHECK(fresh.uid != ns.uid);
        CHECK_TEXT(get_text(a, &fresh, "k1"), "(miss)");
        REQUIRE(put(a, &fresh, "k1", "new") == SHOAL_OK);
    }
    CHECK_TEXT(get_text(a, &fresh, "k1"), "new");
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    shoal_close(b);
    ARENA_END(a);
}

/* A call that a busy lock stopped half-way can be repeated with a wait, and then ends its work. */
static void a_drop_that_was_busy_can_be_repeated(void)
{
    shoal_arena *a = arena_new("busy", 64 * MIB), *b = arena_attach("busy", 'w');
    shoal_namespace ns = ns_open(a, "space", 0, 0, 0);
    for (unsigned i = 0; i < 300; i++)
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
    uint32_t s = shoal_shards(a) - 1;
    waiting w = {.wait = WAIT};
    REQUIRE(shard_lock(b, s, &w) == SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, 0), SHOAL_BUSY);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, 20 * MILLISECOND), SHOAL_BUSY);
    shard_unlock(b, s);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, 0u);
    CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_STALE);
    shoal_close(b);
    ARENA_END(a);
}

/* ---- beside writers */

/* Writes into whatever namespace has the name now; stops when told to through the pipe. */
static void write_on(shoal_arena *a, const char *name, uint64_t seed, int stop)
{
    char byte;
    for (uint64_t i = 0;; i++) {
        shoal_namespace ns;
        if (i % 64 == 0 && read(stop, &byte, 1) == 0)
            break;
        REQUIRE_CHILD(open_ns(a, name, true, &ns) == SHOAL_OK);
        for (int k = 0; k < 20; k++) {
            const char *key = numbered("k", (unsigned)(random_next(&seed) % 50));
            shoal_status status = random_next(&seed) % 4 ? put(a, &ns, key, key) : del(a, &ns, key);
            REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_STALE);
            const char *text = get_text(a, &ns, key);
            REQUIRE_CHILD(text[0] == '(' || strcmp(text, key) == 0);
            if (status == SHOAL_STALE)
                break;
        }
    }
}


static void dropping_and_making_races_writers(void)
{
    enum { WRITERS = 2 };
    shoal_arena *a = arena_new("race", 64 * MIB);
    pid_t pids[WRITERS];
    int stop[2];
    REQUIRE(pipe(stop) == 0 && fcntl(stop[0], F_SETFL, O_NONBLOCK) == 0);
    for (int i = 0; i < WRITERS; i++)
        if ((pids[i] = fork_child()) == 0) {
            close(stop[1]);
            shoal_after_fork(a);
            write_on(a, "space", (uint64_t)i + 1, stop[0]);
            shoal_close(a);
            _exit(0);
        }
    int64_t end = shoal_clock_mono_ns() + 700 * MILLISECOND;
    for (unsigned i = 0; shoal_clock_mono_ns() < end; i++) {
        shoal_namespace ns;
        uint64_t count;
        if (open_ns(a, "space", i % 2, &ns) != SHOAL_OK)
            continue;
        shoal_status status = i % 3 ? shoal_namespace_drop(a, &ns, WAIT) : shoal_namespace_clear(a, &ns, &count, WAIT);
        CHECK(status == SHOAL_OK || status == SHOAL_STALE);
        if (i % 50 == 0)
            CHECK_SOUND(a);
    }
    close(stop[1]);
    for (int i = 0; i < WRITERS; i++)
        CHECK(child_ok(pids[i]));
    close(stop[0]);
    shoal_namespace ns;
    if (open_ns(a, "space", false, &ns) == SHOAL_OK)
        CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, 0u);
    ARENA_END(a);
}

/* A writer that had checked the namespace before it was dropped, and publishes after: driven by hand. */
static void an_entry_on_its_way_does_not_outlive_the_drop(void)
{
    shoal_arena *a = arena_new("way", MIB), *b = arena_attach("way", 'w');
    shoal_namespace ns = ns_open(a, "space", 0, 0, 0);
    waiting w = {.wait = WAIT};
    REQUIRE(shard_lock(b, 0, &w) == SHOAL_OK); /* the writer: inside, has seen that the namespace is there */
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(shoal_namespace_drop(a, &ns, WAIT) == SHOAL_OK);
        shoal_close(a);
        _exit(0);
    }
    while (a->records[ns.id].uid != 0 && kill(pid, 0) == 0)
        sleep_until(shoal_clock_mono_ns() + MILLISECOND);
    sleep_until(shoal_clock_mono_ns() + 20 * MILLISECOND); /* let it pass the shard if it does not wait for it */
    uint64_t ref; /* the rest of the writer's work */
    block *entry_block;
    REQUIRE(slab_take(b, 0, 40, &ref, &w) == SHOAL_OK);
    entry_block = block_at(b, ref);
    entry e = {.ns = ns.id, .key_size = 1, .value_size = 1, .version = ++b->shards[0].version};
    entry_store(entry_block, &e);
    memcpy(entry_block + 1, "kv", 2);
    namespace_head *nh = head_of(b, ns.id, 0);
    list_push(b, nh, ref, entry_block);
    uint64_t hash = hash_key(b->secret, ns.uid, "k", 1);
    REQUIRE(table_insert(b, 0, NULL, slot_make(hash >> 8, ref, false), &w) == SHOAL_OK);
    b->shards[0].entries++;
    nh->count++;
    nh->bytes += 2;
    shard_unlock(b, 0);
    CHECK(child_ok(pid));
    CHECK_EQ(nh->count, 0u);
    CHECK_EQ(stats_of(a).entries, 0u);
    shoal_close(b);
    ARENA_END(a);
}

static void a_drop_whose_process_died_is_finished_by_the_next(void)
{
    shoal_arena *a = arena_new("died", 64 * MIB);
    shoal_namespace ns = ns_open(a, "space", 0, 100, 0), fresh;
    for (unsigned i = 0; i < 50; i++)
        REQUIRE(put(a, &ns, numbered("k", i), "v") == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) { /* the first steps of a drop, then dead with the lock */
        waiting w = {.wait = WAIT};
        bool dead;
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(lock_take(a, &a->header->namespace_lock, &w, &dead) == SHOAL_OK);
        a->records[ns.id].state = NAMESPACE_DROPPING;
        a->records[ns.id].uid = 0;
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_SOUND(a);
    CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_STALE);
    CHECK_STATUS(open_ns(a, "space", false, &fresh), SHOAL_NOT_FOUND);
    CHECK_STATUS(open_ns(a, "space", true, &fresh), SHOAL_OK);
    CHECK_EQ(stats_of(a).entries, 0u);
    CHECK_EQ(count_of(a, &fresh), 0u);
    CHECK_STATUS(put(a, &fresh, "k1", "v"), SHOAL_OK);
    ARENA_END(a);
}

static void many_namespaces_come_and_go(void)
{
    shoal_arena *a = arena_new("many", 4 * MIB);
    shoal_namespace ns;
    for (unsigned i = 0; i < 500; i++) {
        REQUIRE(open_ns(a, numbered("n", i), true, &ns) == SHOAL_OK);
        REQUIRE(put(a, &ns, "k", numbered("v", i)) == SHOAL_OK);
    }
    CHECK_EQ(names(a), 501u);
    for (unsigned i = 0; i < 500; i++) {
        REQUIRE(open_ns(a, numbered("n", i), false, &ns) == SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, "k"), numbered("v", i));
        if (i % 2)
            CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    }
    CHECK_EQ(names(a), 251u);
    for (unsigned i = 0; i < 250; i++)
        REQUIRE(open_ns(a, numbered("again", i), true, &ns) == SHOAL_OK);
    CHECK_EQ(a->header->namespaces_high, 501u); /* the freed records were used first */
    ARENA_END(a);
}

static void the_table_of_namespaces_can_be_full(void)
{
    shoal_arena *a = arena_new("full", MIB);
    shoal_namespace ns;
    REQUIRE(os_commit(a->fd, (uint64_t)((uint8_t *)a->records - a->base), sizeof(namespace_record) * NAMESPACE_MAX) == 0);
    REQUIRE(os_commit(a->fd, (uint64_t)((uint8_t *)a->heads - a->base), sizeof(namespace_head) * NAMESPACE_MAX) == 0);
    for (uint32_t i = 1; i < NAMESPACE_MAX; i++) {
        a->records[i].state = NAMESPACE_USED;
        a->records[i].uid = a->records[i].last_uid = i + 1;
        list_init(head_of(a, i, 0));
    }
    a->header->namespaces_high = NAMESPACE_MAX;
    CHECK_STATUS(open_ns(a, "one more", true, &ns), SHOAL_FULL_NAMESPACES);
    ns = (shoal_namespace){.id = 777, .uid = 778};
    CHECK_STATUS(shoal_namespace_drop(a, &ns, WAIT), SHOAL_OK);
    CHECK_STATUS(open_ns(a, "one more", true, &ns), SHOAL_OK);
    CHECK_EQ(ns.id, 777u);
    ARENA_END(a);
}

/* ---- configuration */

static void configuration_is_kept_and_checked(void)
{
    shoal_arena *a = arena_new("config", MIB);
    shoal_namespace_config in = {.ttl = SECOND, .max_keys = 7, .eviction = SHOAL_EVICT_SIEVE}, out;
    shoal_namespace ns = ns_open(a, "space", in.ttl, in.max_keys, in.eviction);
    CHECK_STATUS(shoal_namespace_get_config(a, &ns, &out), SHOAL_OK);
    CHECK(out.ttl == in.ttl && out.max_keys == in.max_keys && out.eviction == in.eviction);
    ns = ns_open(a, "space", 5 * SECOND, 9, 0); /* it is there: its configuration stands */
    CHECK_STATUS(shoal_namespace_get_config(a, &ns, &out), SHOAL_OK);
    CHECK(out.ttl == in.ttl && out.max_keys == in.max_keys && out.eviction == in.eviction);
    in = (shoal_namespace_config){.ttl = 0, .max_keys = 0, .eviction = 0};
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &in, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_get_config(a, &ns, &out), SHOAL_OK);
    CHECK(out.ttl == 0 && out.max_keys == 0 && out.eviction == 0);
    in.eviction = 2;
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &in, WAIT), SHOAL_INVALID);
    in = (shoal_namespace_config){.ttl = -1};
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &in, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_namespace_open(a, "other", 5, true, &in, &ns, WAIT), SHOAL_INVALID);
    ARENA_END(a);
}

static void a_limit_is_exact_and_counts_what_is_there_when_it_is_set(void)
{
    shoal_arena *a = arena_new("limit", 64 * MIB);
    shoal_namespace ns = ns_open(a, "space", 0, 10, 0);
    shoal_namespace_config config = {0};
    for (unsigned i = 0; i < 10; i++)
        CHECK_STATUS(put(a, &ns, numbered("k", i), "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "k10", "v"), SHOAL_FULL_KEYS);
    CHECK_STATUS(put_pattern(a, &ns, "k10", 1, 100000, false), SHOAL_FULL_KEYS);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    CHECK_STATUS(put(a, &ns, "k3", "w"), SHOAL_OK); /* there already */
    CHECK_STATUS(del(a, &ns, "k4"), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "k10", "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "k11", "v"), SHOAL_FULL_KEYS);
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &config, WAIT), SHOAL_OK); /* no limit */
    for (unsigned i = 11; i < 50; i++)
        CHECK_STATUS(put(a, &ns, numbered("k", i), "v"), SHOAL_OK);
    config.max_keys = 60;
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &config, WAIT), SHOAL_OK);
    CHECK_SOUND(a);
    unsigned more = 0;
    while (put(a, &ns, numbered("more", more), "v") == SHOAL_OK)
        more++;
    CHECK_EQ(count_of(a, &ns), 60u);
    CHECK_EQ(more, 60u - 49u);
    config.max_keys = 5; /* below what is there: nothing new until it is below */
    CHECK_STATUS(shoal_namespace_set_config(a, &ns, &config, WAIT), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "new", "v"), SHOAL_FULL_KEYS);
    CHECK_EQ(count_of(a, &ns), 60u);
    uint64_t gone;
    CHECK_STATUS(shoal_namespace_clear(a, &ns, &gone, WAIT), SHOAL_OK);
    for (unsigned i = 0; i < 5; i++)
        CHECK_STATUS(put(a, &ns, numbered("k", i), "v"), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "k5", "v"), SHOAL_FULL_KEYS);
    ARENA_END(a);
}

/* Several processes insert and delete as fast as they can: never more than the limit, and at the end exactly it. */
static void a_limit_is_exact_with_several_processes(void)
{
    enum { PARTIES = 3, LIMIT = 50 };
    shoal_arena *a = arena_new("exact", 64 * MIB);
    for (uint32_t eviction = 0; eviction < 2; eviction++) {
        shoal_namespace ns = ns_open(a, numbered("space", eviction), 0, LIMIT, eviction);
        pid_t pids[PARTIES];
        for (uint64_t p = 0; p < PARTIES; p++)
            if ((pids[p] = fork_child()) == 0) {
                uint64_t seed = p + 1;
                shoal_after_fork(a);
                for (int i = 0; i < 6000; i++) {
                    const char *key = numbered("k", (unsigned)(random_next(&seed) % 90));
                    shoal_status status = random_next(&seed) % 3 ? put(a, &ns, key, key) : del(a, &ns, key);
                    REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || (status == SHOAL_FULL_KEYS && !eviction));
                    REQUIRE_CHILD(load_relaxed(&a->records[ns.id].total) <= LIMIT);
                }
                for (unsigned i = 0; i < 90; i++) {
                    shoal_status status = put(a, &ns, numbered("k", i), "end");
                    REQUIRE_CHILD(status == SHOAL_OK || (status == SHOAL_FULL_KEYS && !eviction));
                }
                shoal_close(a);
                _exit(0);
            }
        for (int p = 0; p < PARTIES; p++)
            CHECK(child_ok(pids[p]));
        CHECK_EQ(count_of(a, &ns), (uint64_t)LIMIT);
        CHECK_EQ(keys_of(a, &ns, ""), (uint64_t)LIMIT);
        CHECK_SOUND(a);
    }
    ARENA_END(a);
}

/* The limit is switched on while others write: from then on it counts right. */
static void a_limit_set_beside_writers_is_exact(void)
{
    shoal_arena *a = arena_new("beside", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pids[2];
    for (uint64_t p = 0; p < 2; p++)
        if ((pids[p] = fork_child()) == 0) {
            uint64_t seed = p + 11;
            shoal_after_fork(a);
            for (int i = 0; i < 15000; i++) {
                const char *key = numbered("k", (unsigned)(random_next(&seed) % 300));
                shoal_status status = random_next(&seed) % 2 ? put(a, &ns, key, key) : del(a, &ns, key);
                REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_FULL_KEYS);
            }
            shoal_close(a);
            _exit(0);
        }
    for (unsigned i = 0; i < 300; i++) {
        shoal_namespace_config config = {.max_keys = i % 3 == 0 ? 0 : i % 3 == 1 ? 1000 : 170};
        CHECK_STATUS(shoal_namespace_set_config(a, &ns, &config, WAIT), SHOAL_OK);
        if (i % 20 == 0)
            CHECK_SOUND(a); /* total = sum of the counts */
    }
    for (int p = 0; p < 2; p++)
        CHECK(child_ok(pids[p]));
    ARENA_END(a);
}

static int tests(void)
{
    RUN(names_lead_to_namespaces);
    RUN(keys_of_two_namespaces_do_not_meet);
    RUN(a_dropped_namespace_is_stale_for_whoever_had_it);
    RUN(a_drop_that_was_busy_can_be_repeated);
    RUN(dropping_and_making_races_writers);
    RUN(an_entry_on_its_way_does_not_outlive_the_drop);
    RUN(a_drop_whose_process_died_is_finished_by_the_next);
    RUN(many_namespaces_come_and_go);
    RUN(the_table_of_namespaces_can_be_full);
    RUN(configuration_is_kept_and_checked);
    RUN(a_limit_is_exact_and_counts_what_is_there_when_it_is_set);
    RUN(a_limit_is_exact_with_several_processes);
    RUN(a_limit_set_beside_writers_is_exact);
    return check_report();
}

int main(void) { return fixture_main(tests); }
