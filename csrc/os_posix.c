/* What Linux and other POSIX systems do alike. */
#include "os.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int64_t os_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t os_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* flock belongs to the open file, so threads of one process must not share a descriptor here. It
 * has no timed form: poll with growing pauses. */
int os_gate(int fd, int64_t deadline_ns)
{
    for (int64_t pause = 20000;; pause = pause < 2000000 ? pause * 2 : pause) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return errno;
        if (os_mono_ns() >= deadline_ns)
            return ETIMEDOUT;
        struct timespec t = {0, pause};
        nanosleep(&t, NULL);
    }
}

void os_ungate(int fd) { flock(fd, LOCK_UN); }

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

void os_populate(void *from, uint64_t length)
{
#ifdef __linux__
    /* MADV_POPULATE_WRITE, since Linux 5.14. Older ones refuse it: then the faults come. */
    uintptr_t begin = (uintptr_t)from & ~(uintptr_t)4095;
    (void)madvise((void *)begin, (uintptr_t)from + length - begin, 23);
#else
    (void)from, (void)length;
#endif
}

uint64_t os_write(int fd, uint64_t offset, const void *from, uint64_t length)
{
    struct rlimit limit; /* past it a write is answered by a signal that ends the process */
    uint64_t done = 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < offset + length))
        return 0;
    while (done < length) {
        ssize_t n = pwrite(fd, (const uint8_t *)from + done, length - done, (off_t)(offset + done));
        if (n > 0)
            done += (uint64_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    return done;
}

void *os_zeros(uint64_t size)
{
    void *zeros = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return zeros == MAP_FAILED ? NULL : zeros;
}

void os_zeros_free(void *zeros, uint64_t size)
{
    if (zeros)
        munmap(zeros, size);
}
