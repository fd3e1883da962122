/* Where the bytes of a large value come from may take its time: a mapped file on a server that does not answer, memory that has to be
 * fetched first. Who waits for them must not keep others waiting. */
#include "fixture.h"

#ifdef __linux__
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SIZE = 8 << 20, MISSING = 5 << 20 }; /* the first bytes that are not there */

/* A source whose last bytes come when the descriptor is told to fetch them. NULL: this system has no such thing for us. */
static uint8_t *source(int *fetch)
{
    uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_api api = {.api = UFFD_API};
    *fetch = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (memory == MAP_FAILED || *fetch < 0 || ioctl(*fetch, UFFDIO_API, &api) != 0)
        return NULL;
    struct uffdio_register range = {.range = {(uintptr_t)memory + MISSING, SIZE - MISSING}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(*fetch, UFFDIO_REGISTER, &range) != 0)
        return NULL;
    memset(memory, 'v', MISSING);
    return memory;
}

static void who_waits_for_its_source_keeps_nobody_waiting(void)
{
    shoal_arena *a = arena_new("source", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    int waits[2], fetch;
    uint8_t *probe = source(&fetch);
    if (!probe) {
        SKIP("no userfaultfd for kernel faults");
        ARENA_END(a);
        return;
    }
    munmap(probe, SIZE);
    close(fetch);
    REQUIRE(pipe(waits) == 0);
    pid_t slow = fork_child(), other;
    if (slow == 0) {
        shoal_after_fork(a);
        uint8_t *value = source(&fetch);
        REQUIRE_CHILD(value);
        pid_t teller = fork(); /* its descriptor is ours: it sees that we wait */
        if (teller == 0) {
            struct pollfd ready = {.fd = fetch, .events = POLLIN};
            _exit(poll(&ready, 1, 10000) == 1 && write(waits[1], "w", 1) == 1 ? 0 : 1);
        }
        shoal_put_args args = {.body = value, .body_size = SIZE, .ttl = SHOAL_TTL_DEFAULT};
        shoal_put(a, &ns, "slow", 4, &args, NULL, WAIT);
        _exit(1);
    }
    char told;
    REQUIRE(read(waits[0], &told, 1) == 1);
    other = fork_child();
    if (other == 0) {
        static uint8_t value[1 << 20];
        shoal_after_fork(a);
        shoal_put_args args = {.body = value, .body_size = sizeof value, .ttl = SHOAL_TTL_DEFAULT};
        for (unsigned i = 0; i < 4; i++)
            REQUIRE_CHILD(shoal_put(a, &ns, numbered("k", i), 2, &args, NULL, WAIT) == SHOAL_OK);
        shoal_close(a);
        _exit(0);
    }
    int state = 0;
    pid_t done = 0;
    for (int64_t end = os_mono_ns() + 5 * SECOND; done == 0 && os_mono_ns() < end; usleep(1000))
        done = waitpid(other, &state, WNOHANG);
    CHECK(done == other && state == 0);
    kill(slow, SIGKILL);
    waitpid(slow, NULL, 0);
    if (done == 0)
        waitpid(other, NULL, 0);
    close(waits[0]);
    close(waits[1]);
    CHECK_TEXT(get_text(a, &ns, "slow"), "(miss)");
    CHECK_SOUND(a);
    ARENA_END(a);
}
#endif

static int tests(void)
{
#ifdef __linux__
    RUN(who_waits_for_its_source_keeps_nobody_waiting);
#else
    SKIP("userfaultfd is Linux's");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
