/* The calls on one entry: get, stat, put, delete, touch, incr - what they return and what they leave. */
#include "fixture.h"
#include "recover.h"

static shoal_status put_if(shoal_arena *a, const shoal_namespace *ns, const char *key, const char *text, uint8_t condition,
                           uint64_t version)
{
    shoal_put_args args = {.head = text, .head_size = strlen(text), .condition = condition, .version = version, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
}

static uint64_t version_of(shoal_arena *a, const shoal_namespace *ns, const char *key) { return stat_of(a, ns, key).version; }

/* ---- values */

static void values_come_back_around_every_boundary(void)
{
    shoal_arena *a = arena_new("sizes", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    const size_t around[] = {0, 16, 64, 256, 512, 4096, 32768 - 32 - 3, 32768 - 48 - 3, 32768 - 63 - 48 - 3, 32768,
                             36864, 65536, 131072, MIB};
    for (int align = 0; align < 2; align++)
        for (size_t i = 0; i < sizeof around / sizeof *around; i++)
            for (size_t size = around[i] < 20 ? 0 : around[i] - 20; size <= around[i] + 20; size++) {
                REQUIRE(put_pattern(a, &ns, "key", size, size, align) == SHOAL_OK);
                REQUIRE(get_pattern(a, &ns, "key", size, size) == SHOAL_OK);
                if (size % 3 == 0) { /* the header with a creation time, or without */
                    REQUIRE(del(a, &ns, "key") == SHOAL_OK);
                    REQUIRE(put_pattern(a, &ns, "key", size + 1, size, align) == SHOAL_OK);
                    REQUIRE(get_pattern(a, &ns, "key", size + 1, size) == SHOAL_OK);
                }
            }
    ARENA_END(a);
}

static void parts_of_a_value_are_copied(void)
{
    shoal_arena *a = arena_new("parts", 4 * MIB), *reader = arena_attach("parts", 'r');
    shoal_namespace ns = ns_default(a);
    shoal_arena *both[2] = {a, reader};
    const size_t sizes[] = {10, 5000, 100000};
    static uint8_t out[100001];
    for (size_t i = 0; i < 3; i++) {
        size_t size = sizes[i];
        REQUIRE(put_pattern(a, &ns, "key", 9, size, false) == SHOAL_OK);
        const size_t skips[] = {0, 1, size / 2, size - 1, size, size + 1, SIZE_MAX};
        for (size_t s = 0; s < sizeof skips / sizeof *skips; s++)
            for (size_t cap = 0; cap <= size; cap += size / 5)
                for (int k = 0; k < 2; k++) {
                    shoal_meta meta = {0};
                    memset(out, 0xC3, sizeof out);
                    REQUIRE(shoal_get(both[k], &ns, "key", 3, out, skips[s], cap, &meta, WAIT) == SHOAL_OK);
                    CHECK_EQ(meta.size, (uint64_t)size);
                    size_t got = skips[s] < size ? size - skips[s] : 0;
                    got = got < cap ? got : cap;
                    for (size_t b = 0; b < got; b++)
                        if (out[b] != pattern_byte(9, skips[s] + b))
                            CHECK(!"a byte of another place");
                    for (size_t b = got; b < size; b++)
                        if (out[b] != 0xC3)
                            CHECK(!"a byte past the part");
                }
        CHECK_STATUS(shoal_get(a, &ns, "key", 3, NULL, 0, 0, NULL, WAIT), SHOAL_OK);
    }
    shoal_close(reader);
    ARENA_END(a);
}

static void aligned_values_lie_at_multiples_of_64(void)
{
    shoal_arena *a = arena_new("align", 16 * MIB);
    shoal_namespace ns = ns_default(a);
    char key[100];
    for (size_t length = 1; length < 90; length++) {
        memset(key, 'k', length);
        for (size_t size = 1, i = 0; size < 40000; size = size * 3 + 1, i++) {
            uint8_t value[40000], align = (i + length) % 2 ? SHOAL_ALIGN_VALUE : SHOAL_ALIGN_BODY;
            pattern_fill(value, size, size);
            shoal_put_args args = {.head = value, .head_size = 1, .body = value + 1, .body_size = size - 1, .align = align,
                                   .ttl = size % 2 ? SHOAL_TTL_NEVER : 100 * SECOND};
            REQUIRE(shoal_put(a, &ns, key, length, &args, NULL, WAIT) == SHOAL_OK);
            uint64_t ref = head_of(a, 0, 0)->newest; /* the only entry */
            block *b = block_at(a, ref);
            entry e = entry_load(b);
            uint64_t at = (ref << REF_SHIFT) + entry_value_at(&e, ref);
            CHECK_EQ((at + (align == SHOAL_ALIGN_BODY ? SHOAL_HEAD : 0)) % 64, 0u);
            CHECK(pattern_holds(a->base + at, size, size));
        }
        REQUIRE(shoal_delete(a, &ns, key, length, NULL, WAIT) == SHOAL_OK);
    }
    ARENA_END(a);
}

/* ---- keys */

static void keys_may_be_any_bytes_of_any_length_up_to_the_limit(void)
{
    shoal_arena *a = arena_new("keys", 16 * MIB);
    shoal_namespace ns = ns_default(a);
    static uint8_t key[SHOAL_KEY_MAX + 1];
    const size_t lengths[] = {1, 2, 7, 8, 9, 255, 4000, 32700, 32735, 32736, 32737, 40000, SHOAL_KEY_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        pattern_fill(key, i, lengths[i]);
        key[0] = (uint8_t)i; /* also a zero byte */
        shoal_put_args args = {.head = &i, .head_size = sizeof i, .ttl = SHOAL_TTL_DEFAULT};
        CHECK_STATUS(shoal_put(a, &ns, key, lengths[i], &args, NULL, WAIT), SHOAL_OK);
    }
    for (size_t i = 0, value; i < sizeof lengths / sizeof *lengths; i++) {
        pattern_fill(key, i, lengths[i]);
        key[0] = (uint8_t)i;
        CHECK_STATUS(shoal_get(a, &ns, key, lengths[i], &value, 0, sizeof value, NULL, WAIT), SHOAL_OK);
        CHECK_EQ(value, i);
        if (lengths[i] > 1)
            CHECK_STATUS(shoal_get(a, &ns, key, lengths[i] - 1, &value, 0, sizeof value, NULL, WAIT), SHOAL_MISS);
    }
    CHECK_EQ(keys_of(a, &ns, ""), (uint64_t)(sizeof lengths / sizeof *lengths));
    CHECK_STATUS(shoal_get(a, &ns, key, 0, NULL, 0, 0, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_get(a, &ns, key, SHOAL_KEY_MAX + 1, NULL, 0, 0, NULL, WAIT), SHOAL_INVALID);
    shoal_put_args args = {.head = "", .ttl = SHOAL_TTL_DEFAULT};
    CHECK_STATUS(shoal_put(a, &ns, key, 0, &args, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_put(a, &ns, key, SHOAL_KEY_MAX + 1, &args, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_delete(a, &ns, key, 0, NULL, WAIT), SHOAL_INVALID);
    CHECK_STATUS(shoal_touch(a, &ns, key, SHOAL_KEY_MAX + 1, 0, WAIT), SHOAL_INVALID);
    ARENA_END(a);
}

/* A key so long that the entry is a large run although its value is a number. */
static void every_call_works_with_the_longest_key(void)
{
    shoal_arena *a = arena_new("longest", 16 * MIB);
    shoal_namespace ns = ns_default(a);
    static uint8_t key[SHOAL_KEY_MAX], dirt[600000];
    shoal_number one = {.i = 1}, start = {.i = 1000}, result;
    memset(key, 'K', sizeof key);
    memset(dirt, 0x33, sizeof dirt);
    REQUIRE(put_bytes(a, &ns, "dirt", dirt, sizeof dirt) == SHOAL_OK); /* so that a fresh run is not all zeros */
    REQUIRE(del(a, &ns, "dirt") == SHOAL_OK);
    for (int64_t i = 1; i <= 5; i++) {
        CHECK_STATUS(shoal_incr(a, &ns, key, sizeof key, &one, &start, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
        CHECK_EQ(result.i, 1000 + i);
    }
    CHECK_STATUS(shoal_touch(a, &ns, key, sizeof key, 100 * SECOND, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_incr(a, &ns, key, sizeof key, &one, &start, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
    CHECK_EQ(result.i, 1006);
    shoal_meta meta;
    CHECK_STATUS(shoal_peek(a, &ns, key, sizeof key, NULL, 0, 0, &meta, WAIT), SHOAL_OK);
    CHECK(meta.expires_ns != 0);
    CHECK_EQ(meta.size, 3u);
    shoal_bytes old;
    CHECK_STATUS(shoal_delete(a, &ns, key, sizeof key, &old, WAIT), SHOAL_OK);
    CHECK(old.size == 3 && memcmp(old.data, "\xCD\x03\xEE", 3) == 0);
    shoal_bytes_free(&old);
    ARENA_END(a);
}

/* ---- conditions, versions, old values */

static void conditions_decide(void)
{
    shoal_arena *a = arena_new("conditions", MIB);
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put_if(a, &ns, "k", "1", SHOAL_IF_PRESENT, 0), SHOAL_MISS);
    CHECK_STATUS(put_if(a, &ns, "k", "1", SHOAL_IF_VERSION, 7), SHOAL_CONFLICT);
    CHECK_TEXT(get_text(a, &ns, "k"), "(miss)");
    CHECK_STATUS(put_if(a, &ns, "k", "1", SHOAL_IF_VERSION, 0), SHOAL_OK);
    CHECK_STATUS(put_if(a, &ns, "k", "2", SHOAL_IF_VERSION, 0), SHOAL_CONFLICT);
    CHECK_STATUS(put_if(a, &ns, "k", "2", SHOAL_IF_ABSENT, 0), SHOAL_EXISTS);
    CHECK_TEXT(get_text(a, &ns, "k"), "1");
    CHECK_STATUS(put_if(a, &ns, "k", "3", SHOAL_IF_PRESENT, 0), SHOAL_OK);
    uint64_t version = version_of(a, &ns, "k");
    CHECK_STATUS(put_if(a, &ns, "k", "4", SHOAL_IF_VERSION, version), SHOAL_OK);
    CHECK_STATUS(put_if(a, &ns, "k", "5", SHOAL_IF_VERSION, version), SHOAL_CONFLICT);
    CHECK_TEXT(get_text(a, &ns, "k"), "4");
    CHECK_STATUS(del(a, &ns, "k"), SHOAL_OK);
    CHECK_STATUS(del(a, &ns, "k"), SHOAL_MISS);
    CHECK_STATUS(put_if(a, &ns, "k", "6", SHOAL_IF_ABSENT, 0), SHOAL_OK);
    ARENA_END(a);
}

static void versions_only_grow_also_across_deletion(void)
{
    shoal_arena *a = arena_new("versions", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    uint64_t last = 0, version;
    for (int i = 0; i < 50; i++) {
        shoal_put_args args = {.head = "v", .head_size = 1, .ttl = i % 7 == 3 ? 1 : SHOAL_TTL_DEFAULT};
        CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, &version, WAIT), SHOAL_OK);
        CHECK(version > last);
        last = version;
        if (i % 7 == 3)
            CHECK_TEXT(get_text(a, &ns, "k"), "(miss)"); /* expired at once */
        else
            CHECK_EQ(version_of(a, &ns, "k"), version);
        if (i % 5 == 0)
            del(a, &ns, "k");
        if (i % 11 == 0) {
            uint64_t gone;
            CHECK_STATUS(shoal_namespace_clear(a, &ns, &gone, WAIT), SHOAL_OK);
        }
    }
    ARENA_END(a);
}

static void times_are_those_of_creation_and_change(void)
{
    shoal_arena *a = arena_new("times", MIB);
    shoal_namespace ns = ns_default(a);
    int64_t begin = shoal_clock_wall_us();
    REQUIRE(put(a, &ns, "k", "1") == SHOAL_OK);
    shoal_meta first = stat_of(a, &ns, "k");
    CHECK(first.created_us >= begin && first.created_us <= shoal_clock_wall_us());
    CHECK_EQ(first.created_us, first.modified_us);
    for (int i = 0; i < 3; i++) {
        sleep_until(shoal_clock_mono_ns() + MILLISECOND);
        begin = shoal_clock_wall_us();
        REQUIRE(put(a, &ns, "k", "2") == SHOAL_OK);
        shoal_meta next = stat_of(a, &ns, "k");
        CHECK_EQ(next.created_us, first.created_us);
        CHECK(next.modified_us >= begin && next.modified_us > first.modified_us);
    }
    REQUIRE(del(a, &ns, "k") == SHOAL_OK);
    REQUIRE(put(a, &ns, "k", "3") == SHOAL_OK);
    CHECK(stat_of(a, &ns, "k").created_us >= begin);
    REQUIRE(put_pattern(a, &ns, "large", 1, 100000, false) == SHOAL_OK);
    first = stat_of(a, &ns, "large");
    CHECK_EQ(first.created_us, first.modified_us);
    sleep_until(shoal_clock_mono_ns() + MILLISECOND);
    REQUIRE(put_pattern(a, &ns, "large", 2, 100000, false) == SHOAL_OK);
    CHECK_EQ(stat_of(a, &ns, "large").created_us, first.created_us);
    CHECK(stat_of(a, &ns, "large").modified_us > first.modified_us);
    ARENA_END(a);
}

static void old_values_are_handed_out(void)
{
    shoal_arena *a = arena_new("old", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    shoal_bytes old = {.data = (uint8_t *)1, .size = 99}; /* what the caller happened to have there */
    shoal_put_args args = {.head = "one", .head_size = 3, .ttl = SHOAL_TTL_DEFAULT, .old = &old};
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_OK);
    CHECK(old.data == NULL);
    args.head = "two";
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_OK);
    CHECK(old.data && old.size == 3 && memcmp(old.data, "one", 3) == 0);
    shoal_bytes_free(&old);
    CHECK_STATUS(put_pattern(a, &ns, "k", 5, 100000, false), SHOAL_OK);
    CHECK_STATUS(shoal_delete(a, &ns, "k", 1, &old, WAIT), SHOAL_OK);
    CHECK(old.data && old.size == 100000 && pattern_holds(old.data, 5, 100000));
    shoal_bytes_free(&old);
    /* Where nothing was replaced there is nothing to free, whatever the status. */
    old = (shoal_bytes){.data = (uint8_t *)1, .size = 99};
    CHECK_STATUS(shoal_delete(a, &ns, "k", 1, &old, WAIT), SHOAL_MISS);
    CHECK(old.data == NULL);
    old = (shoal_bytes){.data = (uint8_t *)1, .size = 99};
    args.condition = SHOAL_IF_PRESENT;
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_MISS);
    CHECK(old.data == NULL);
    old = (shoal_bytes){.data = (uint8_t *)1, .size = 99};
    args = (shoal_put_args){.head = "x", .head_size = 1, .body = a->base, .body_size = 1u << 30, .old = &old};
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_FULL_ARENA);
    CHECK(old.data == NULL);
    REQUIRE(put(a, &ns, "empty", "") == SHOAL_OK); /* an empty value is not none */
    CHECK_STATUS(shoal_delete(a, &ns, "empty", 5, &old, WAIT), SHOAL_OK);
    CHECK(old.data != NULL && old.size == 0);
    shoal_bytes_free(&old);
    CHECK(old.data == NULL);
    ARENA_END(a);
}

static void a_refused_write_leaves_the_entry_as_it_was(void)
{
    shoal_arena *a = arena_new("refused", MIB);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put_pattern(a, &ns, "k", 1, 300000, false) == SHOAL_OK);
    shoal_meta before = stat_of(a, &ns, "k"), after;
    CHECK_STATUS(put_pattern(a, &ns, "k", 2, 900000, false), SHOAL_FULL_ARENA);
    CHECK_STATUS(put_pattern(a, &ns, "k", 2, 4 * MIB, false), SHOAL_FULL_ARENA);
    CHECK_STATUS(put_if(a, &ns, "k", "x", SHOAL_IF_ABSENT, 0), SHOAL_EXISTS);
    CHECK_STATUS(get_pattern(a, &ns, "k", 1, 300000), SHOAL_OK);
    after = stat_of(a, &ns, "k");
    CHECK_EQ(after.version, before.version);
    CHECK_EQ(after.modified_us, before.modified_us);
    CHECK_EQ(after.created_us, before.created_us);
    CHECK_EQ(after.expires_ns, before.expires_ns);
    CHECK_EQ(after.size, before.size);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    shoal_put_args huge = {.head = "", .head_size = 1, .body = "", .body_size = SHOAL_VALUE_MAX};
    CHECK_STATUS(shoal_put(a, &ns, "k", 1, &huge, NULL, WAIT), SHOAL_INVALID);
    huge.body_size = SIZE_MAX; /* the sum is zero */
    CHECK(shoal_put(a, &ns, "k", 1, &huge, NULL, WAIT) != SHOAL_OK);
    ARENA_END(a);
}

/* ---- touch */

static void touch_sets_takes_away_and_keeps_everything_else(void)
{
    const size_t sizes[] = {3, 100, 5000, 32700, 100000};
    shoal_arena *a = arena_new("touch", 16 * MIB);
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(shoal_touch(a, &ns, "k", 1, SECOND, WAIT), SHOAL_MISS);
    for (uint8_t align = SHOAL_ALIGN_NONE; align <= SHOAL_ALIGN_BODY; align++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            REQUIRE(put_pattern(a, &ns, "k", i, sizes[i], align) == SHOAL_OK);
            shoal_meta before = stat_of(a, &ns, "k");
            CHECK_EQ(before.expires_ns, 0);
            int64_t now = shoal_clock_mono_ns();
            CHECK_STATUS(shoal_touch(a, &ns, "k", 1, 100 * SECOND, WAIT), SHOAL_OK); /* no room in its header: written anew */
            shoal_meta after = stat_of(a, &ns, "k");
            CHECK(after.expires_ns >= now + 100 * SECOND && after.expires_ns <= shoal_clock_mono_ns() + 100 * SECOND);
            CHECK_EQ(after.created_us, before.created_us);
            CHECK_STATUS(get_pattern(a, &ns, "k", i, sizes[i]), SHOAL_OK);
            CHECK_STATUS(shoal_touch(a, &ns, "k", 1, 200 * SECOND, WAIT), SHOAL_OK); /* in place now */
            CHECK(stat_of(a, &ns, "k").expires_ns > after.expires_ns + 99 * SECOND);
            CHECK_EQ(stat_of(a, &ns, "k").version, after.version);
            CHECK_STATUS(shoal_touch(a, &ns, "k", 1, SHOAL_TTL_NEVER, WAIT), SHOAL_OK);
            CHECK_EQ(stat_of(a, &ns, "k").expires_ns, 0);
            CHECK_STATUS(get_pattern(a, &ns, "k", i, sizes[i]), SHOAL_OK);
            CHECK_STATUS(shoal_touch(a, &ns, "k", 1, 1, WAIT), SHOAL_OK);
            CHECK_STATUS(get_pattern(a, &ns, "k", i, sizes[i]), SHOAL_MISS);
            CHECK_STATUS(shoal_touch(a, &ns, "k", 1, SECOND, WAIT), SHOAL_MISS); /* the dead do not rise */
            CHECK_SOUND(a);
        }
    shoal_namespace timed = ns_open(a, "timed", 50 * SECOND, 0, 0);
    REQUIRE(put_ttl(a, &timed, "k", "v", SHOAL_TTL_NEVER) == SHOAL_OK);
    CHECK_STATUS(shoal_touch(a, &timed, "k", 1, SHOAL_TTL_DEFAULT, WAIT), SHOAL_OK);
    CHECK(stat_of(a, &timed, "k").expires_ns > shoal_clock_mono_ns() + 40 * SECOND);
    ARENA_END(a);
}

/* ---- incr */

static shoal_status incr(shoal_arena *a, const shoal_namespace *ns, const char *key, int64_t by, int64_t ttl, int64_t *sum)
{
    shoal_number n = {.i = by}, initial = {0}, result = {0};
    shoal_status status = shoal_incr(a, ns, key, strlen(key), &n, &initial, ttl, &result, WAIT);
    if (sum)
        *sum = result.i;
    return status;
}

static void incr_counts_and_refuses_what_it_cannot(void)
{
    shoal_arena *a = arena_new("incr", MIB);
    shoal_namespace ns = ns_default(a);
    int64_t sum;
    CHECK_STATUS(incr(a, &ns, "n", 5, SHOAL_TTL_KEEP, &sum), SHOAL_OK);
    CHECK_EQ(sum, 5);
    CHECK_STATUS(incr(a, &ns, "n", -300, SHOAL_TTL_KEEP, &sum), SHOAL_OK);
    CHECK_EQ(sum, -295);
    CHECK(memcmp(get_text(a, &ns, "n"), "\xD1\xFE\xD9", 3) == 0); /* the shortest form */
    CHECK_STATUS(incr(a, &ns, "n", INT64_MIN, SHOAL_TTL_KEEP, NULL), SHOAL_OVERFLOW);
    CHECK_STATUS(incr(a, &ns, "n", 295, SHOAL_TTL_KEEP, &sum), SHOAL_OK);
    CHECK_EQ(sum, 0);
    REQUIRE(put(a, &ns, "text", "\xA1x") == SHOAL_OK);
    for (int i = 0; i < 3; i++) { /* with whatever the caller's result happened to hold */
        shoal_number by = {.i = 1}, initial = {0}, result;
        memset(&result, 0xA5, sizeof result);
        CHECK_STATUS(shoal_incr(a, &ns, "text", 4, &by, &initial, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_NOT_NUMBER);
    }
    CHECK_TEXT(get_text(a, &ns, "text"), "\xA1x");
    shoal_number half = {.is_float = true, .f = 0.5}, initial = {.i = 2}, result;
    CHECK_STATUS(shoal_incr(a, &ns, "f", 1, &half, &initial, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
    CHECK(result.is_float && result.f == 2.5);
    CHECK_STATUS(shoal_incr(a, &ns, "f", 1, &initial, &initial, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OK);
    CHECK(result.is_float && result.f == 4.5);
    shoal_number most = {.i = INT64_MAX}, one = {.i = 1};
    CHECK_STATUS(shoal_incr(a, &ns, "new", 3, &one, &most, SHOAL_TTL_KEEP, &result, WAIT), SHOAL_OVERFLOW);
    CHECK_TEXT(get_text(a, &ns, "new"), "(miss)");
    ARENA_END(a);
}

static void incr_keeps_or_sets_the_expiry(void)
{
    shoal_arena *a = arena_new("incrttl", MIB);
    shoal_namespace ns = ns_open(a, "timed", 50 * SECOND, 0, 0);
    CHECK_STATUS(incr(a, &ns, "n", 1, SHOAL_TTL_KEEP, NULL), SHOAL_OK); /* new: the default */
    int64_t expires = stat_of(a, &ns, "n").expires_ns;
    CHECK(expires > shoal_clock_mono_ns() + 40 * SECOND);
    CHECK_STATUS(incr(a, &ns, "n", 1, SHOAL_TTL_KEEP, NULL), SHOAL_OK);
    CHECK_EQ(stat_of(a, &ns, "n").expires_ns, expires);
    CHECK_STATUS(incr(a, &ns, "n", 1, 500 * SECOND, NULL), SHOAL_OK);
    CHECK(stat_of(a, &ns, "n").expires_ns > expires + 400 * SECOND);
    CHECK_STATUS(incr(a, &ns, "n", 1, SHOAL_TTL_NEVER, NULL), SHOAL_OK);
    CHECK_EQ(stat_of(a, &ns, "n").expires_ns, 0);
    CHECK_STATUS(incr(a, &ns, "n", 1, SHOAL_TTL_KEEP, NULL), SHOAL_OK);
    CHECK_EQ(stat_of(a, &ns, "n").expires_ns, 0);
    CHECK_STATUS(incr(a, &ns, "n", 1, 1, NULL), SHOAL_OK);
    int64_t sum;
    CHECK_STATUS(incr(a, &ns, "n", 1, SHOAL_TTL_KEEP, &sum), SHOAL_OK); /* expired: begins anew */
    CHECK_EQ(sum, 1);
    ARENA_END(a);
}

/* Values that are copied past the caches: whatever their alignment, and at every odd end. */
static void values_of_many_megabytes(void)
{
    shoal_arena *a = arena_new("entry", 32 * MIB);
    shoal_namespace ns = ns_default(a);
    size_t size = 5 * MIB, most = size + 200;
    uint8_t *from = malloc(most + 64), *back = malloc(most + 64);
    pattern_fill(from, 9, most + 64);
    for (size_t odd = 0; odd < 130; odd += 13) {
        shoal_put_args args = {.head = from, .head_size = odd % 7, .body = from + odd, .body_size = size + odd, .ttl = SHOAL_TTL_DEFAULT};
        args.align = odd % 2;
        CHECK_STATUS(shoal_put(a, &ns, "k", 1, &args, NULL, WAIT), SHOAL_OK);
        CHECK_STATUS(shoal_get(a, &ns, "k", 1, back, 0, most + 64, NULL, WAIT), SHOAL_OK);
        CHECK(memcmp(back, from, odd % 7) == 0);
        CHECK(memcmp(back + odd % 7, from + odd, size + odd) == 0);
    }
    free(from);
    free(back);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(values_come_back_around_every_boundary);
    RUN(parts_of_a_value_are_copied);
    RUN(aligned_values_lie_at_multiples_of_64);
    RUN(keys_may_be_any_bytes_of_any_length_up_to_the_limit);
    RUN(every_call_works_with_the_longest_key);
    RUN(conditions_decide);
    RUN(versions_only_grow_also_across_deletion);
    RUN(times_are_those_of_creation_and_change);
    RUN(old_values_are_handed_out);
    RUN(a_refused_write_leaves_the_entry_as_it_was);
    RUN(touch_sets_takes_away_and_keeps_everything_else);
    RUN(incr_counts_and_refuses_what_it_cannot);
    RUN(incr_keeps_or_sets_the_expiry);
    RUN(values_of_many_megabytes);
    return check_report();
}

int main(void) { return fixture_main(tests); }
