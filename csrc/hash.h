/* SipHash-1-3 (Aumasson and Bernstein, 2012; the variant that Rust and CPython use): keyed with the
 * arena's secret, so that who does not know it cannot make keys collide.
 *
 * One 64-bit hash places a key:   63 ........ 8 7 ... 0
 *                                 [ bucket hash ][ shard ]   (as many low bits as there are shards)
 */
#ifndef SHOAL_HASH_H
#define SHOAL_HASH_H

#include <stdint.h>
#include <string.h>

static inline uint64_t hash_rotate(uint64_t x, int b) { return (x << b) | (x >> (64 - b)); }

#define SIP_ROUND(v0, v1, v2, v3)                                                                                      \
    do {                                                                                                               \
        v0 += v1, v1 = hash_rotate(v1, 13) ^ v0, v0 = hash_rotate(v0, 32);                                             \
        v2 += v3, v3 = hash_rotate(v3, 16) ^ v2;                                                                       \
        v0 += v3, v3 = hash_rotate(v3, 21) ^ v0;                                                                       \
        v2 += v1, v1 = hash_rotate(v1, 17) ^ v2, v2 = hash_rotate(v2, 32);                                             \
    } while (0)

/* `space` is the namespace's uid, `parent` the object that a field belongs to (0: none): equal keys of two namespaces, or objects,
 * lie in unrelated places. */
static inline uint64_t hash_field(const uint64_t secret[2], uint64_t space, uint64_t parent, const void *key, size_t n)
{
    uint64_t k0 = secret[0] ^ (space * 0x9E3779B97F4A7C15ull), k1 = secret[1] ^ (parent * 0xD1B54A32D192ED03ull);
    uint64_t v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
    uint64_t v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
    const uint8_t *p = key, *end = p + n;
    uint64_t word, last = (uint64_t)n << 56;
    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        v3 ^= word;
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    /* The rest, of 0 to 7 bytes: loads that overlap are faster than a loop over bytes. */
    size_t rest = (size_t)(end - p);
    if (n >= 8) {
        memcpy(&word, end - 8, 8);
        last |= rest ? word >> (64 - 8 * rest) : 0;
    } else if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, end - 4, 4);
        last |= low | (uint64_t)high << (8 * (n - 4));
    } else if (n > 0) {
        last |= p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
    }
    v3 ^= last;
    SIP_ROUND(v0, v1, v2, v3);
    v0 ^= last;
    v2 ^= 0xff;
    SIP_ROUND(v0, v1, v2, v3);
    SIP_ROUND(v0, v1, v2, v3);
    SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

static inline uint64_t hash_key(const uint64_t secret[2], uint64_t space, const void *key, size_t n)
{
    return hash_field(secret, space, 0, key, n);
}

#endif
