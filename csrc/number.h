/* MessagePack numbers, the one kind of value that the core reads (for shoal_incr). */
#ifndef SHOAL_NUMBER_H
#define SHOAL_NUMBER_H

#include "shoal.h"

#define NUMBER_BYTES 9 /* the longest encoding */

/* OK, NOT_NUMBER, OVERFLOW (an int past int64). The whole of `size` bytes must be the number. */
shoal_status number_decode(const uint8_t *p, size_t size, shoal_number *out);
/* The shortest encoding for ints, float64 for floats. Returns its size. */
size_t number_encode(const shoal_number *n, uint8_t out[NUMBER_BYTES]);
/* OK, OVERFLOW. An int unless one of the two is a float. */
shoal_status number_add(const shoal_number *a, const shoal_number *b, shoal_number *sum);

#endif
