/* Where the core stores. `make killed` compiles the core as for the thread sanitizer, which calls a function at every access, and links
 * these functions instead of the sanitizer's. A place is the return address of such a call, as an offset in the library. The file that
 * PLACES names keeps for each what was seen of it, of all processes of all programs that run with it:
 *
 *   ARENA      it stored to a shared mapping
 *   ELSEWHERE  it stored to memory of its own
 *   KILLED     a process was killed right after it, and those who went on were looked after (death.h)
 */
#include "places.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { ARENA = 1, ELSEWHERE = 2, KILLED = 4 };
#define MAPPINGS 512

typedef struct places {
    uint64_t last; /* of the process that is stepped */
    uint8_t pad[4096 - 8];
    uint8_t seen[PLACES_MAX];
} places;

extern const char __ehdr_start __attribute__((visibility("hidden"))); /* of this library, the linker says */
static places *all;
static bool stepped, stopping;
static struct { uintptr_t from, to; } mappings[MAPPINGS];
static unsigned mappings_high;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PLACES");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (!path)
        return;
    if (fd < 0 || ftruncate(fd, sizeof(places)) != 0 ||
        (all = mmap(NULL, sizeof(places), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        perror(path);
        _exit(3);
    }
    close(fd);
}

void places_trace(void) { stepped = true; }
void places_stop(void) { stopping = true; }

bool places_new(void) { return all && all->last && !(all->seen[all->last] & KILLED); }

void places_met(bool killed)
{
    if (all && all->last && killed)
        all->seen[all->last] |= KILLED;
    if (all)
        all->last = 0;
}

/* Called before the store: whoever sees its effect knows already whose it is. */
static inline void note(const void *site, const void *to)
{
    uint64_t place = (uint64_t)((const char *)site - &__ehdr_start);
    uint8_t flag = ELSEWHERE;
    if (!all || place >= PLACES_MAX)
        return;
    for (unsigned i = 0; i < __atomic_load_n(&mappings_high, __ATOMIC_ACQUIRE); i++)
        if ((uintptr_t)to - mappings[i].from < mappings[i].to - mappings[i].from)
            flag = ARENA;
    if (!(all->seen[place] & flag))
        __atomic_fetch_or(&all->seen[place], flag, __ATOMIC_RELAXED);
    if (stopping && places_new())
        raise(SIGSTOP); /* nothing was stored since, for this is called before each store */
    if (stepped && flag == ARENA)
        all->last = place;
}

/* ---- what is shared */

void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    void *got = __real_mmap(at, size, prot, flags, fd, offset);
    if (got == MAP_FAILED || !(flags & MAP_SHARED) || !(prot & PROT_WRITE))
        return got;
    unsigned i = 0;
    while (i < MAPPINGS - 1 && mappings[i].to && mappings[i].from != (uintptr_t)got)
        i++;
    mappings[i].from = (uintptr_t)got;
    mappings[i].to = (uintptr_t)got + size;
    if (i >= mappings_high)
        __atomic_store_n(&mappings_high, i + 1, __ATOMIC_RELEASE);
    return got;
}

int __wrap_munmap(void *at, size_t size)
{
    for (unsigned i = 0; i < mappings_high; i++)
        if (mappings[i].from == (uintptr_t)at)
            mappings[i].from = mappings[i].to = 0;
    return __real_munmap(at, size);
}

/* ---- what the compiler calls */

#define SITE __builtin_return_address(0)

void __tsan_init(void) {}
void __tsan_func_entry(void *pc) { (void)pc; }
void __tsan_func_exit(void) {}
void __tsan_atomic_thread_fence(int order) { (void)order, __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int order) { (void)order, __atomic_signal_fence(__ATOMIC_SEQ_CST); }
void __tsan_read_range(void *p, size_t n) { (void)p, (void)n; }
void __tsan_write_range(void *p, size_t n) { (void)n, note(SITE, p); }

#define ACCESS(n) \
    void __tsan_read##n(void *p) { (void)p; } \
    void __tsan_unaligned_read##n(void *p) { (void)p; } \
    void __tsan_write##n(void *p) { note(SITE, p); } \
    void __tsan_unaligned_write##n(void *p) { note(SITE, p); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

#define CHANGE(bits, type, name) \
    type __tsan_atomic##bits##_##name(type *p, type v, int order) \
    { \
        (void)order, note(SITE, p); \
        return __atomic_##name(p, v, __ATOMIC_SEQ_CST); \
    }
#define EXCHANGE_CERTAIN(bits, type, strength, weak) \
    int __tsan_atomic##bits##_compare_exchange_##strength(type *p, type *expected, type v, int order, int failed) \
    { \
        (void)order, (void)failed, note(SITE, p); \
        return __atomic_compare_exchange_n(p, expected, v, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    }
#define ATOMIC(bits, type) \
    type __tsan_atomic##bits##_load(const type *p, int order) { return (void)order, __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
    void __tsan_atomic##bits##_store(type *p, type v, int order) \
    { \
        (void)order, note(SITE, p); \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST); \
    } \
    type __tsan_atomic##bits##_exchange(type *p, type v, int order) \
    { \
        (void)order, note(SITE, p); \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); \
    } \
    type __tsan_atomic##bits##_compare_exchange_val(type *p, type expected, type v, int order, int failed) \
    { \
        (void)order, (void)failed, note(SITE, p); \
        __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return expected; \
    } \
    EXCHANGE_CERTAIN(bits, type, strong, false) \
    EXCHANGE_CERTAIN(bits, type, weak, true) \
    CHANGE(bits, type, fetch_add) \
    CHANGE(bits, type, fetch_sub) \
    CHANGE(bits, type, fetch_and) \
    CHANGE(bits, type, fetch_or) \
    CHANGE(bits, type, fetch_xor)
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

/* ---- and the library's */

#define COPY(name, source) \
    void *__real_##name(void *to, source, size_t n); \
    void *__wrap_##name(void *to, source, size_t n); \
    void *__wrap_##name(void *to, source, size_t n) \
    { \
        note(SITE, to); \
        return __real_##name(to, from, n); \
    }
COPY(memcpy, const void *from)
COPY(memmove, const void *from)
COPY(memset, int from)
