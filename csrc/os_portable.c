/* Systems without OFD locks, futexes and hole punching. Liveness is pid + start time, waits poll,
 * freed pages stay committed, and a file system that
 * fills up raises SIGBUS at first touch. */
#include "os.h"

#ifndef SHOAL_LINUX

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "atomics.h"
#ifdef __APPLE__
#include <sys/sysctl.h>
#include <sys/types.h>
#endif

#ifdef __linux__
const char *os_directory(void) { return "/dev/shm"; }
#else
const char *os_directory(void) { return "/tmp"; }
#endif

bool os_has_claims(void) { return false; }
int os_claim(int fd, uint32_t claim, bool shared) { (void)fd, (void)claim, (void)shared; return 0; }
int os_unclaim(int fd, uint32_t claim) { (void)fd, (void)claim; return 0; }
int os_claimed(int fd, uint32_t first, uint32_t count, bool *any)
{
    (void)fd, (void)first, (void)count;
    *any = false;
    return 0;
}

int os_commit(int fd, uint64_t offset, uint64_t length) { (void)fd, (void)offset, (void)length; return 0; }

int os_punch(int fd, uint64_t offset, uint64_t length) { (void)fd, (void)offset, (void)length; return ENOTSUP; }

void os_futex_wait(uint32_t *word, uint32_t expected, int64_t ns)
{
    for (int64_t slept = 0, pause = 50000; slept < ns; slept += pause) {
        if (load_relaxed32(word) != expected)
            return;
        struct timespec t = {0, pause};
        if (nanosleep(&t, NULL) != 0)
            return;
    }
}

void os_futex_wake(uint32_t *word, int count) { (void)word, (void)count; }

int64_t os_mono_coarse_ns(void) { return os_mono_ns(); }

int os_random(void *to, size_t n)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fd, (char *)to + done, n - done);
        if (got <= 0 && errno != EINTR)
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    return done == n ? 0 : EIO;
}

uint64_t os_start_time(uint64_t pid)
{
#ifdef __APPLE__
    struct kinfo_proc info;
    size_t size = sizeof info;
    int mib[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    if (sysctl(mib, 4, &info, &size, NULL, 0) != 0 || size == 0)
        return 0;
    return (uint64_t)info.kp_proc.p_starttime.tv_sec * 1000000u + (uint64_t)info.kp_proc.p_starttime.tv_usec;
#else
    char path[48], text[512];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    unsigned long long start = 0;
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1)
        return 0;
    return start;
#endif
}

#else
typedef int os_portable_is_empty;
#endif
