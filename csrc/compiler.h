/* What the compiler is told. */
#ifndef SHOAL_COMPILER_H
#define SHOAL_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define HOT static inline __attribute__((always_inline)) /* into each of its few callers */
#define COLD __attribute__((noinline, cold))

#endif
