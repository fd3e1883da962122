/* MessagePack numbers: what shoal_incr reads and writes. */
#include <math.h>

#include "check.h"
#include "number.h"

static shoal_number whole(int64_t i) { return (shoal_number){.i = i}; }
static shoal_number real(double f) { return (shoal_number){.is_float = true, .f = f}; }

static size_t encoded_size(int64_t i)
{
    uint8_t bytes[NUMBER_BYTES];
    shoal_number n = whole(i);
    return number_encode(&n, bytes);
}

static void ints_take_the_shortest_form_and_come_back(void)
{
    const struct { int64_t value; size_t size; } cases[] = {
        {0, 1}, {1, 1}, {127, 1}, {128, 2}, {255, 2}, {256, 3}, {65535, 3}, {65536, 5}, {4294967295, 5}, {4294967296, 9},
        {INT64_MAX, 9}, {-1, 1}, {-32, 1}, {-33, 2}, {-128, 2}, {-129, 3}, {-32768, 3}, {-32769, 5}, {INT32_MIN, 5},
        {(int64_t)INT32_MIN - 1, 9}, {INT64_MIN, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[NUMBER_BYTES];
        shoal_number n = whole(cases[i].value), back;
        CHECK_EQ(encoded_size(cases[i].value), cases[i].size);
        CHECK_STATUS(number_decode(bytes, number_encode(&n, bytes), &back), SHOAL_OK);
        CHECK(!back.is_float);
        CHECK_EQ(back.i, cases[i].value);
    }
}

static void floats_keep_every_bit(void)
{
    const double cases[] = {0.0, -0.0, 1.5, -1e300, 5e-324, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[NUMBER_BYTES];
        shoal_number n = real(cases[i]), back;
        CHECK_EQ(number_encode(&n, bytes), 9u);
        CHECK_STATUS(number_decode(bytes, 9, &back), SHOAL_OK);
        CHECK(back.is_float && memcmp(&back.f, &cases[i], 8) == 0);
    }
}

static void longer_forms_of_other_writers_are_read_too(void)
{
    const struct { uint8_t bytes[9]; size_t size; int64_t value; } cases[] = {
        {{0xCC, 5}, 2, 5}, {{0xCD, 0, 5}, 3, 5}, {{0xCE, 0, 0, 0, 5}, 5, 5}, {{0xCF, 0, 0, 0, 0, 0, 0, 0, 5}, 9, 5},
        {{0xD0, 0xFF}, 2, -1}, {{0xD1, 0xFF, 0xFF}, 3, -1}, {{0xD2, 0xFF, 0xFF, 0xFF, 0xFF}, 5, -1}, {{0xD3, 0, 0, 0, 0, 0, 0, 0, 7}, 9, 7},
    };
    shoal_number n;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_STATUS(number_decode(cases[i].bytes, cases[i].size, &n), SHOAL_OK);
        CHECK(!n.is_float && n.i == cases[i].value);
    }
    CHECK_STATUS(number_decode((const uint8_t[]){0xCA, 0x3F, 0xC0, 0, 0}, 5, &n), SHOAL_OK);
    CHECK(n.is_float && n.f == 1.5);
}

/* A number's code with any other length, and any other code, is no number; nothing past `size` is read (the
 * address sanitizer watches: the bytes are on the heap's edge of an exact array). */
static void all_else_is_no_number(void)
{
    for (unsigned code = 0; code < 256; code++)
        for (size_t size = 0; size <= 12; size++) {
            uint8_t bytes[12] = {0};
            shoal_number n;
            bytes[0] = (uint8_t)code;
            size_t wanted = code <= 0x7F || code >= 0xE0            ? 1
                            : code >= 0xCC && code <= 0xCF          ? 1 + ((size_t)1 << (code - 0xCC))
                            : code >= 0xD0 && code <= 0xD3          ? 1 + ((size_t)1 << (code - 0xD0))
                            : code == 0xCA                          ? 5
                            : code == 0xCB                          ? 9
                                                                    : 0;
            shoal_status status = number_decode(bytes, size, &n);
            CHECK_STATUS(status, size != 0 && size == wanted ? SHOAL_OK : SHOAL_NOT_NUMBER);
        }
}

static void an_unsigned_past_int64_overflows(void)
{
    shoal_number n;
    CHECK_STATUS(number_decode((const uint8_t[]){0xCF, 0x80, 0, 0, 0, 0, 0, 0, 0}, 9, &n), SHOAL_OVERFLOW);
    CHECK_STATUS(number_decode((const uint8_t[]){0xCF, 0x7F, 255, 255, 255, 255, 255, 255, 255}, 9, &n), SHOAL_OK);
    CHECK_EQ(n.i, INT64_MAX);
}

static shoal_status add(shoal_number a, shoal_number b, shoal_number *sum) { return number_add(&a, &b, sum); }

static void sums_are_ints_unless_a_float_is_in_them(void)
{
    shoal_number sum;
    CHECK_STATUS(add(whole(40), whole(2), &sum), SHOAL_OK);
    CHECK(!sum.is_float && sum.i == 42);
    CHECK_STATUS(add(whole(40), real(2.5), &sum), SHOAL_OK);
    CHECK(sum.is_float && sum.f == 42.5);
    CHECK_STATUS(add(real(0.5), whole(-1), &sum), SHOAL_OK);
    CHECK(sum.is_float && sum.f == -0.5);
}

static void sums_past_int64_overflow_in_both_directions(void)
{
    shoal_number sum;
    CHECK_STATUS(add(whole(INT64_MAX), whole(1), &sum), SHOAL_OVERFLOW);
    CHECK_STATUS(add(whole(INT64_MIN), whole(-1), &sum), SHOAL_OVERFLOW);
    CHECK_STATUS(add(whole(INT64_MAX), whole(INT64_MIN), &sum), SHOAL_OK);
    CHECK_EQ(sum.i, -1);
    CHECK_STATUS(add(whole(INT64_MAX), real(1), &sum), SHOAL_OK);
    CHECK(sum.is_float);
}

int main(void)
{
    RUN(ints_take_the_shortest_form_and_come_back);
    RUN(floats_keep_every_bit);
    RUN(longer_forms_of_other_writers_are_read_too);
    RUN(all_else_is_no_number);
    RUN(an_unsigned_past_int64_overflows);
    RUN(sums_are_ints_unless_a_float_is_in_them);
    RUN(sums_past_int64_overflow_in_both_directions);
    return check_report();
}
