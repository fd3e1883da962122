/* Checks for the C tests. A test file is one program:
 *
 *     #include "check.h"
 *
 *     static void grows_by_one(void) { CHECK_EQ(f(1), 2); }
 *
 *     int main(void)
 *     {
 *         RUN(grows_by_one);
 *         return check_report();
 *     }
 *
 * A failed CHECK prints where and what, and the test goes on; a failed REQUIRE ends its test function.
 * check_report() prints "N passed, N failed", counted in test functions, and gives main's exit code.
 * CHECKs may be made from several threads; in a forked child use REQUIRE_CHILD, which ends the child.
 */
#ifndef SHOAL_TESTS_CHECK_H
#define SHOAL_TESTS_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK_SHOWN 10u /* failed checks of one test that are printed */

static unsigned check_failures; /* failed checks of the running test */
static unsigned check_passed;   /* test functions */
static unsigned check_failed;

__attribute__((format(printf, 3, 4), unused)) static void check_fail(const char *file, int line, const char *format, ...)
{
    if (__atomic_fetch_add(&check_failures, 1, __ATOMIC_RELAXED) >= CHECK_SHOWN)
        return; /* a loop that fails throughout */
    char text[512];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    __builtin_va_end(arguments);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

__attribute__((unused)) static void check_run(const char *name, void (*test)(void))
{
    check_failures = 0;
    test();
    if (check_failures == 0)
        check_passed++;
    else
        check_failed++;
    printf("  %s %s\n", check_failures == 0 ? "ok  " : "FAIL", name);
    fflush(stdout); /* so that a forked child does not print it again */
}

__attribute__((unused)) static int check_report(void)
{
    printf("%u passed, %u failed\n", check_passed, check_failed);
    return check_failed == 0 && check_passed > 0 ? 0 : 1;
}

__attribute__((unused)) static int check_eq_i64(const char *file, int line, const char *text, int64_t got, int64_t want)
{
    if (got != want)
        check_fail(file, line, "%s: %" PRId64 " is not %" PRId64, text, got, want);
    return got == want;
}

__attribute__((unused)) static int check_eq_u64(const char *file, int line, const char *text, uint64_t got, uint64_t want)
{
    if (got != want)
        check_fail(file, line, "%s: %" PRIu64 " is not %" PRIu64, text, got, want);
    return got == want;
}

__attribute__((unused)) static int check_eq_text(const char *file, int line, const char *text, const char *got,
                                                 const char *want)
{
    int same = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;
    if (!same)
        check_fail(file, line, "%s: \"%s\" is not \"%s\"", text, got != NULL ? got : "(null)",
                   want != NULL ? want : "(null)");
    return same;
}

#define RUN(test) check_run(#test, test)

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
    } while (0)

/* Integers up to 64 bits; the comparison is made in the type of the first. */
#define CHECK_EQ(got, want) \
    ((void)(((__typeof__(got))-1 < (__typeof__(got))1) \
                ? check_eq_i64(__FILE__, __LINE__, #got " == " #want, (int64_t)(got), (int64_t)(want)) \
                : check_eq_u64(__FILE__, __LINE__, #got " == " #want, (uint64_t)(got), (uint64_t)(want))))

#define CHECK_TEXT(got, want) ((void)check_eq_text(__FILE__, __LINE__, #got " == " #want, (got), (want)))

/* A shoal_status, shown by name. */
#define CHECK_STATUS(got, want) \
    ((void)check_eq_text(__FILE__, __LINE__, #got " == " #want, shoal_status_name(got), shoal_status_name(want)))

#define REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
            return; \
        } \
    } while (0)

#define REQUIRE_CHILD(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: in a child: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

#endif
