/* Linux: open-file-description locks, futex, fallocate, tmpfs. */
#include "os.h"

#ifdef SHOAL_LINUX

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Byte locks need no bytes: they lie far past the end of any segment. */
#define CLAIM_BASE ((off_t)1 << 52)

const char *os_directory(void) { return "/dev/shm"; }

bool os_has_claims(void) { return true; }

static int claim_call(int fd, int command, uint32_t first, uint32_t count, short type, struct flock *lock)
{
    memset(lock, 0, sizeof *lock);
    lock->l_type = type;
    lock->l_whence = SEEK_SET;
    lock->l_start = CLAIM_BASE + first;
    lock->l_len = count;
    return fcntl(fd, command, lock) == 0 ? 0 : errno;
}

int os_claim(int fd, uint32_t claim, bool shared)
{
    struct flock lock;
    int error = claim_call(fd, F_OFD_SETLK, claim, 1, shared ? F_RDLCK : F_WRLCK, &lock);
    return error == EACCES ? EAGAIN : error;
}

int os_unclaim(int fd, uint32_t claim)
{
    struct flock lock;
    return claim_call(fd, F_OFD_SETLK, claim, 1, F_UNLCK, &lock);
}

int os_claimed(int fd, uint32_t first, uint32_t count, bool *any)
{
    struct flock lock;
    int error = claim_call(fd, F_OFD_GETLK, first, count, F_WRLCK, &lock);
    *any = error == 0 && lock.l_type != F_UNLCK;
    return error;
}

int os_commit(int fd, uint64_t offset, uint64_t length)
{
    /* In pieces: on some kernels a signal undoes the whole of a call, and a timer's would do so for ever. */
    const uint64_t piece = 4 << 20;
    for (uint64_t n; length > 0; offset += n, length -= n) {
        n = length < piece ? length : piece;
        while (fallocate(fd, 0, (off_t)offset, (off_t)n) != 0)
            if (errno != EINTR)
                return errno;
    }
    return 0;
}

int os_punch(int fd, uint64_t offset, uint64_t length)
{
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

void os_futex_wait(uint32_t *word, uint32_t expected, int64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, &t, NULL, 0);
}

void os_futex_wake(uint32_t *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0); }

int64_t os_mono_coarse_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int os_random(void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom((char *)to + done, n - done, 0);
        if (got < 0 && errno != EINTR)
            return errno;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

bool os_counter_is_clock(void)
{
    char name[8] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, name, sizeof name - 1) > 0 && strcmp(name, "tsc\n") == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

uint64_t os_start_time(uint64_t pid)
{
    char path[48], text[512];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *p = strrchr(text, ')'); /* the name may contain anything */
    unsigned long long start = 0;
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1)
        return 0;
    return start;
}

#else
typedef int os_linux_is_empty;
#endif
