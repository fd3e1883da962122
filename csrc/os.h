/* What the core needs of the system: segments, claims, futexes, clocks, randomness.
 *
 *   segment   a file in shared memory, named SHOAL_PREFIX + arena name; the same object that
 *             multiprocessing.shared_memory opens by that name
 *   gate      an exclusive advisory lock of the segment, held while attaching and leaving
 *   claim     a byte lock that says "this open segment is in use as slot i"; the kernel drops it when
 *             the process dies, however it dies. Linux only: os_has_claims tells.
 *
 * Two implementations: os_linux.c, and os_portable.c for systems without OFD locks, futexes and
 * hole punching (also built on Linux with SHOAL_PORTABLE, to test it).
 */
#ifndef SHOAL_OS_H
#define SHOAL_OS_H

#include <errno.h>

#include "shoal.h"

#if defined(__linux__) && !defined(SHOAL_PORTABLE)
#define SHOAL_LINUX 1
#endif

#define CLAIM_READERS 0u /* shared by all read-only users */
#define CLAIM_SLOTS 1u   /* + slot */

const char *os_directory(void);

/* All return 0 or an errno. */
int os_claim(int fd, uint32_t claim, bool shared);           /* EAGAIN: somebody has it */
int os_unclaim(int fd, uint32_t claim);
int os_claimed(int fd, uint32_t first, uint32_t count, bool *any); /* by others than this open file */
bool os_has_claims(void);

int os_gate(int fd, int64_t deadline_ns);                    /* ETIMEDOUT */
void os_ungate(int fd);

/* Commit [offset, offset + length) so that touching it cannot fail. ENOSPC. */
int os_commit(int fd, uint64_t offset, uint64_t length);
/* What a call answers whose memory could not be committed. Whoever refuses it - the file system, a quota, the process's limit of file
 * sizes, or the memory that a tmpfs is made of - it is there that room is missing, not in the arena. */
static inline shoal_status os_commit_status(int error)
{
    switch (error) {
    case 0: return SHOAL_OK;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM: return SHOAL_FULL_SYSTEM;
    default: return SHOAL_OS;
    }
}
/* Give the memory of the range back; it reads as zeros. */
int os_punch(int fd, uint64_t offset, uint64_t length);

/* Map memory that was just committed, in one call rather than by a fault for each page. */
void os_populate(void *from, uint64_t length);
/* Write to memory that was just committed through its file, which neither zeroes nor maps a page first. How many bytes were written:
 * the rest, or all where a system cannot, is the caller's to copy. */
uint64_t os_write(int fd, uint64_t offset, const void *from, uint64_t length);

/* Zeros of this process's own, of which only what is written to takes memory. NULL: no room in the address space. */
void *os_zeros(uint64_t size);
void os_zeros_free(void *zeros, uint64_t size);

/* Sleep while *word == expected, at most `ns`. Returns for wakes, signals and no reason, too. */
void os_futex_wait(uint32_t *word, uint32_t expected, int64_t ns);
void os_futex_wake(uint32_t *word, int count);

int64_t os_mono_ns(void);
/* Behind os_mono_ns by a tick or two; by much more where the processor that keeps the time is itself kept waiting, as in a busy
 * virtual machine. So it is believed only this far from a deadline. */
int64_t os_mono_coarse_ns(void);
#define OS_COARSE_NS ((int64_t)1000 * 1000 * 1000)
int64_t os_wall_ns(void);
/* Is the processor's counter what the system's clocks are made of, so the same on all processors and of one rate? */
bool os_counter_is_clock(void);

int os_random(void *to, size_t n);
uint64_t os_start_time(uint64_t pid); /* of a process; 0 = there is none */

#endif
