/* Atomic access to words that several processes share. The memory order is in the name; nothing
 * else in the core orders memory. Plain fields + these functions, so that a structure's layout is
 * the same in every compiler and language mode.
 *
 * racing copy   a copy of bytes that a writer may be changing meanwhile. The reader validates a
 *               sequence word before it believes what it copied (Boehm, "Can seqlocks get along
 *               with programming language memory models?", MSPC 2012).
 */
#ifndef SHOAL_ATOMICS_H
#define SHOAL_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__atomic_always_lock_free(sizeof(uint64_t), 0), "64-bit atomics must not need a lock");
_Static_assert(__atomic_always_lock_free(sizeof(uint32_t), 0), "32-bit atomics must not need a lock");

static inline uint64_t load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint32_t load_relaxed32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void store_relaxed32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint32_t load_acquire32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store_release32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint32_t add_relaxed32(uint32_t *p, uint32_t v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
/* A pointer in this process's own memory that threads share: `to` is the address of the pointer. */
#define pointer_acquire(to) __atomic_load_n(to, __ATOMIC_ACQUIRE)
#define pointer_relaxed(to) __atomic_load_n(to, __ATOMIC_RELAXED)
#define pointer_publish(to, value) __atomic_store_n(to, value, __ATOMIC_RELEASE)
static inline void fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* On failure *expected holds the word that was found. */
static inline bool cas_acquire(uint64_t *p, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}
static inline bool cas_relaxed(uint64_t *p, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
static inline uint64_t exchange_release(uint64_t *p, uint64_t v) { return __atomic_exchange_n(p, v, __ATOMIC_RELEASE); }

/* Add to a word that only this process's threads write, and that under one interpreter lock on the
 * hot path: a load and a store, no locked instruction. */
static inline void add_local(uint64_t *p, uint64_t v) { store_relaxed(p, load_relaxed(p) + v); }

/* Read a byte for the sake of its page. */
static inline void read_for_page(const uint8_t *at) { (void)*(const volatile uint8_t *)at; }

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

#if defined(__SANITIZE_THREAD__)
#define SHOAL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHOAL_TSAN 1
#endif
#endif

/* The sanitizer must see the race as the relaxed atomic access that it stands for. Elsewhere memcpy
 * behind a compiler barrier does the same loads several times as fast. The fences of the caller order them. */
static inline void racing_read(void *dst, const void *src, size_t n)
{
#ifdef SHOAL_TSAN
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)dst)[i] = __atomic_load_n((const uint8_t *)src + i, __ATOMIC_RELAXED);
#else
    __asm__ __volatile__("" ::: "memory");
    memcpy(dst, src, n);
    __asm__ __volatile__("" ::: "memory");
#endif
}

static inline void racing_write(void *dst, const void *src, size_t n)
{
#ifdef SHOAL_TSAN
    for (size_t i = 0; i < n; i++)
        __atomic_store_n((uint8_t *)dst + i, ((const uint8_t *)src)[i], __ATOMIC_RELAXED);
#else
    __asm__ __volatile__("" ::: "memory");
    memcpy(dst, src, n);
    __asm__ __volatile__("" ::: "memory");
#endif
}

/* Keys are short: eight bytes at a time, the last ones maybe twice, is faster than a call. */
static inline bool short_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t x, y;
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&x, a + i, 8), memcpy(&y, b + i, 8);
            if (x != y)
                return false;
        }
        memcpy(&x, a + n - 8, 8), memcpy(&y, b + n - 8, 8);
        return x == y;
    }
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static inline bool racing_equal(const void *shared, const void *own, size_t n)
{
#ifdef SHOAL_TSAN
    for (size_t i = 0; i < n; i++)
        if (__atomic_load_n((const uint8_t *)shared + i, __ATOMIC_RELAXED) != ((const uint8_t *)own)[i])
            return false;
    return true;
#else
    __asm__ __volatile__("" ::: "memory");
    return n <= 64 ? short_equal(shared, own, n) : memcmp(shared, own, n) == 0;
#endif
}

#endif
