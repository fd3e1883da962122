/* The key hash: SipHash-1-3 by its published vectors, keyed, spread evenly. */
#include "check.h"
#include "hash.h"
#include "table.h"

/* The reference implementation's way, byte by byte and word by word, to compare with. */
static uint64_t reference(const uint64_t key[2], const uint8_t *p, size_t n)
{
    uint64_t v0 = key[0] ^ 0x736f6d6570736575ull, v1 = key[1] ^ 0x646f72616e646f6dull;
    uint64_t v2 = key[0] ^ 0x6c7967656e657261ull, v3 = key[1] ^ 0x7465646279746573ull;
    for (size_t at = 0; at <= n; at += 8) {
        uint64_t word = 0;
        for (size_t i = 0; i < 8 && at + i < n; i++)
            word |= (uint64_t)p[at + i] << (8 * i);
        if (at + 8 > n)
            word |= (uint64_t)n << 56;
        v3 ^= word;
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

static const uint64_t SECRET[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};

static void every_length_hashes_as_the_reference(void)
{
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 + 7);
    for (size_t n = 0; n < sizeof data - 8; n++)
        for (size_t shift = 0; shift < 8; shift++) /* however the key lies in memory */
            CHECK(hash_key(SECRET, 0, data + shift, n) == reference(SECRET, data + shift, n));
}

/* Computed by another implementation, which agrees with the published SipHash-2-4 vector and with CPython's 1-3. */
static void the_published_vector_holds(void)
{
    uint8_t data[15];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    CHECK_EQ(hash_key(SECRET, 0, data, sizeof data), 0xd320d86d2a519956ull);
    CHECK_EQ(hash_key(SECRET, 0, "", 0), 0xabac0158050fc4dcull);
}

static void secret_space_and_every_byte_matter(void)
{
    uint64_t other[2] = {SECRET[0] ^ 1, SECRET[1]}, another[2] = {SECRET[0], SECRET[1] ^ 1};
    uint64_t h = hash_key(SECRET, 1, "some key", 8);
    CHECK(h != hash_key(other, 1, "some key", 8));
    CHECK(h != hash_key(another, 1, "some key", 8));
    CHECK(h != hash_key(SECRET, 2, "some key", 8));
    CHECK(h != hash_key(SECRET, 1, "some kez", 8));
    CHECK(h != hash_key(SECRET, 1, "some key\0", 9));
    CHECK(hash_key(SECRET, 1, "\0", 1) != hash_key(SECRET, 1, "\0\0", 2));
}

static void keys_spread_evenly(void)
{
    enum { KEYS = 64000, PLACES = 64 };
    uint32_t shards[PLACES] = {0}, buckets[PLACES] = {0};
    char key[24];
    for (int i = 0; i < KEYS; i++) {
        uint64_t h = hash_key(SECRET, 1, key, (size_t)snprintf(key, sizeof key, "user:%d", i));
        shards[h & (PLACES - 1)]++;
        buckets[bucket_index(tag_of(h >> 8), PLACES)]++;
    }
    for (int i = 0; i < PLACES; i++) {
        CHECK(shards[i] > 850 && shards[i] < 1150); /* 1000 expected, five deviations of 32 */
        CHECK(buckets[i] > 850 && buckets[i] < 1150);
    }
}

int main(void)
{
    RUN(every_length_hashes_as_the_reference);
    RUN(the_published_vector_holds);
    RUN(secret_space_and_every_byte_matter);
    RUN(keys_spread_evenly);
    return check_report();
}
