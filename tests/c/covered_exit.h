/* A child that leaves by _exit does not write down what it ran; put before each file of a coverage build, this makes it so. */
#ifndef SHOAL_TESTS_COVERED_EXIT_H
#define SHOAL_TESTS_COVERED_EXIT_H

#include <unistd.h>

extern void __gcov_dump(void);

__attribute__((noreturn, unused)) static inline void covered_exit(int code)
{
    __gcov_dump();
    _exit(code);
}
#define _exit covered_exit

#endif
