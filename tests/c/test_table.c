/* The table of one shard: chains, splits, tags that collide. Through the calls of shoal.h, with keys chosen by
 * the arena's own hash. */
#include "fixture.h"
#include "recover.h"
#include "room.h"

static uint64_t bucket_hash(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    return hash_key(a->secret, ns->uid, key, strlen(key)) >> 8;
}

/* The next key after *number whose bucket hash ends in the `bits` low bits `ending`. */
static const char *key_ending(shoal_arena *a, const shoal_namespace *ns, uint32_t bits, uint64_t ending, unsigned *number)
{
    for (;;) {
        const char *key = numbered("k", (*number)++);
        if ((bucket_hash(a, ns, key) & ((1ull << bits) - 1)) == ending)
            return key;
    }
}

static void a_thousand_keys_of_one_bucket_make_a_chain_and_leave_none(void)
{
    enum { KEYS = 1000, BITS = 11 };
    shoal_arena *a = arena_new("chain", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    static char keys[KEYS][24];
    unsigned number = 0;
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "%s", key_ending(a, &ns, BITS, 5, &number));
        REQUIRE(put(a, &ns, keys[i], keys[i]) == SHOAL_OK);
    }
    CHECK(a->shards[0].chained > KEYS / BUCKET_SLOTS - 64);
    CHECK_SOUND(a);
    for (int i = 0; i < KEYS; i++)
        CHECK_TEXT(get_text(a, &ns, keys[i]), keys[i]);
    CHECK_TEXT(get_text(a, &ns, key_ending(a, &ns, BITS, 5, &number)), "(miss)");
    uint64_t seed = 3;
    for (int left = KEYS; left > 0; left--) { /* in random order */
        int i = (int)(random_next(&seed) % (uint64_t)left);
        CHECK_STATUS(del(a, &ns, keys[i]), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, keys[i]), "(miss)");
        memmove(keys[i], keys[left - 1], sizeof keys[i]);
        if (left % 50 == 0)
            CHECK_SOUND(a);
    }
    CHECK_EQ(a->shards[0].chained, 0u);
    CHECK_EQ(count_of(a, &ns), 0u);
    ARENA_END(a);
}

/* All keys of one bucket move at once when their next bit decides: the new chain needs overflow buckets too. */
static void a_chain_splits_into_two_chains(void)
{
    enum { KEYS = 60 };
    shoal_arena *a = arena_new("split", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    static char keys[KEYS][24];
    unsigned number = 0;
    shard *sh = &a->shards[0];
    for (int i = 0; i < KEYS; i++) { /* in buckets of 16: all in 3; of 32: in 3 and 19 */
        snprintf(keys[i], sizeof keys[i], "%s", key_ending(a, &ns, 5, i % 2 ? 3 : 19, &number));
        REQUIRE(put(a, &ns, keys[i], keys[i]) == SHOAL_OK);
    }
    uint64_t n = sh->nbuckets;
    CHECK(n <= 16);
    for (unsigned i = 0; sh->nbuckets <= 40; i++) {
        REQUIRE(put(a, &ns, numbered("other", i), "x") == SHOAL_OK);
        if (sh->nbuckets != n) { /* after every single split */
            n = sh->nbuckets;
            CHECK_SOUND(a);
            for (int k = 0; k < KEYS; k++)
                CHECK_TEXT(get_text(a, &ns, keys[k]), keys[k]);
        }
    }
    ARENA_END(a);
}

static void the_table_grows_with_its_entries(void)
{
    enum { KEYS = 30000 };
    shoal_arena *a = arena_new("grow", 16 * MIB);
    shoal_namespace ns = ns_default(a);
    const shard *sh = &a->shards[0];
    CHECK_EQ(shoal_shards(a), 1u);
    for (unsigned i = 0; i < KEYS; i++)
        REQUIRE(put(a, &ns, numbered("key", i), numbered("value", i)) == SHOAL_OK);
    CHECK_EQ(sh->entries, (uint64_t)KEYS);
    CHECK(sh->entries * 100 <= sh->nbuckets * BUCKET_SLOTS * 80 + 100 * BUCKET_SLOTS);
    CHECK(sh->chained < sh->nbuckets / 2);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_TEXT(get_text(a, &ns, numbered("key", i)), numbered("value", i));
    for (unsigned i = KEYS; i < 2 * KEYS; i++)
        CHECK_TEXT(get_text(a, &ns, numbered("key", i)), "(miss)");
    CHECK_EQ(keys_of(a, &ns, ""), (uint64_t)KEYS);
    CHECK_SOUND(a);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(del(a, &ns, numbered("key", i)), SHOAL_OK);
    CHECK_EQ(sh->chained, 0u);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK(a->header->used < 300); /* the table stays, the blocks are gone */
    ARENA_END(a);
}

/* Two keys whose tags are equal in all 26 bits: only the key's bytes tell them apart. */
static void equal_tags_do_not_confuse_keys(void)
{
    enum { KEYS = 60000, BUCKETS = 1 << 17 };
    shoal_arena *a = arena_new("tags", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    static struct { uint64_t tag; unsigned number; } seen[BUCKETS];
    int pairs = 0;
    memset(seen, 0, sizeof seen);
    for (unsigned i = 1; i <= KEYS; i++) {
        uint64_t tag = tag_of(bucket_hash(a, &ns, numbered("k", i))) + 1;
        unsigned at = (unsigned)(tag % BUCKETS);
        while (seen[at].tag && seen[at].tag != tag)
            at = (at + 1) % BUCKETS;
        if (seen[at].tag == 0) {
            seen[at].tag = tag;
            seen[at].number = i;
            continue;
        }
        char one[24], two[24];
        snprintf(one, sizeof one, "k%u", seen[at].number);
        snprintf(two, sizeof two, "k%u", i);
        pairs++;
        CHECK_STATUS(put(a, &ns, one, "one"), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, two), "(miss)");
        CHECK_STATUS(put(a, &ns, two, "two"), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, one), "one");
        CHECK_TEXT(get_text(a, &ns, two), "two");
        CHECK_STATUS(del(a, &ns, one), SHOAL_OK);
        CHECK_TEXT(get_text(a, &ns, one), "(miss)");
        CHECK_TEXT(get_text(a, &ns, two), "two");
    }
    CHECK(pairs > 0); /* 26 are expected of 60,000 keys */
    ARENA_END(a);
}

/* Where no page is left for buckets, chains get longer instead, and later splits catch up. */
static void a_full_arena_keeps_its_table_right(void)
{
    shoal_arena *a = arena_new("full", MIB);
    shoal_namespace ns = ns_default(a);
    unsigned count = 0;
    shoal_status status;
    while ((status = put(a, &ns, numbered("key", count), "v")) == SHOAL_OK)
        count++;
    CHECK_STATUS(status, SHOAL_FULL_ARENA);
    CHECK(count > 8000);
    CHECK_SOUND(a);
    CHECK_EQ(count_of(a, &ns), count);
    for (unsigned i = 0; i < count; i++)
        CHECK_TEXT(get_text(a, &ns, numbered("key", i)), "v");
    /* The refused key left nothing, and an existing one can be written over while a block is free. */
    CHECK_TEXT(get_text(a, &ns, numbered("key", count)), "(miss)");
    for (unsigned i = 0; i < count; i += 2)
        CHECK_STATUS(del(a, &ns, numbered("key", i)), SHOAL_OK);
    for (unsigned i = 0; i < count; i += 2)
        CHECK_STATUS(put(a, &ns, numbered("new", i), "w"), SHOAL_OK);
    for (unsigned i = 1; i < count; i += 2)
        CHECK_TEXT(get_text(a, &ns, numbered("key", i)), "v");
    ARENA_END(a);
}

static void a_reference_that_the_table_does_not_hold_is_damage(void)
{
    shoal_arena *a = arena_new("unknown", MIB);
    shoal_namespace ns = ns_default(a);
    place p;
    CHECK_STATUS(table_find_ref(a, 0, 1, 99, &p), SHOAL_CORRUPT); /* no table at all yet */
    REQUIRE(put(a, &ns, "key", "value") == SHOAL_OK);
    namespace_head *nh = head_of(a, 0, 0);
    CHECK_STATUS(table_find_ref(a, 0, bucket_hash(a, &ns, "key"), nh->newest, &p), SHOAL_OK);
    CHECK_EQ(p.e.key_size, 3u);
    CHECK_STATUS(table_find_ref(a, 0, bucket_hash(a, &ns, "key"), nh->newest + 4, &p), SHOAL_CORRUPT);
    CHECK(shoal_detail(a)[0] != '\0');
    ARENA_END(a);
}

/* Buckets i < n use one bit more than the rest; every hash has exactly one bucket, and a split moves only to n. */
static void bucket_indices_follow_linear_hashing(void)
{
    for (uint64_t n = 1; n < 300; n++)
        for (uint64_t tag = 0; tag < 2048; tag++) {
            uint64_t index = bucket_index(tag, n), after = bucket_index(tag, n + 1);
            CHECK(index < n);
            CHECK(after == index || after == n);
        }
}

static int tests(void)
{
    RUN(bucket_indices_follow_linear_hashing);
    RUN(a_thousand_keys_of_one_bucket_make_a_chain_and_leave_none);
    RUN(a_chain_splits_into_two_chains);
    RUN(the_table_grows_with_its_entries);
    RUN(equal_tags_do_not_confuse_keys);
    RUN(a_full_arena_keeps_its_table_right);
    RUN(a_reference_that_the_table_does_not_hold_is_damage);
    return check_report();
}

int main(void) { return fixture_main(tests); }
