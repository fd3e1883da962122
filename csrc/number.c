#include "number.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

shoal_status number_decode(const uint8_t *p, size_t size, shoal_number *out)
{
    *out = (shoal_number){0};
    if (size == 1 && (p[0] <= 0x7F || p[0] >= 0xE0)) {
        out->i = (int8_t)p[0];
        return SHOAL_OK;
    }
    if (size < 2)
        return SHOAL_NOT_NUMBER;
    size_t n = size - 1;
    uint64_t raw = n <= 8 ? big_endian(p + 1, n) : 0;
    if (p[0] >= 0xCC && p[0] <= 0xCF && n == (size_t)1 << (p[0] - 0xCC)) {
        if (raw > INT64_MAX)
            return SHOAL_OVERFLOW;
        out->i = (int64_t)raw;
        return SHOAL_OK;
    }
    if (p[0] >= 0xD0 && p[0] <= 0xD3 && n == (size_t)1 << (p[0] - 0xD0)) {
        uint32_t shift = 64 - 8 * (uint32_t)n;
        out->i = (int64_t)(raw << shift) >> shift;
        return SHOAL_OK;
    }
    if (p[0] == 0xCA && n == 4) {
        uint32_t bits = (uint32_t)raw;
        float f;
        memcpy(&f, &bits, 4);
        *out = (shoal_number){.is_float = true, .f = (double)f};
        return SHOAL_OK;
    }
    if (p[0] == 0xCB && n == 8) {
        *out = (shoal_number){.is_float = true};
        memcpy(&out->f, &raw, 8);
        return SHOAL_OK;
    }
    return SHOAL_NOT_NUMBER;
}

static size_t put(uint8_t *out, uint8_t code, uint64_t raw, size_t n)
{
    out[0] = code;
    for (size_t i = 0; i < n; i++)
        out[1 + i] = (uint8_t)(raw >> (8 * (n - 1 - i)));
    return 1 + n;
}

size_t number_encode(const shoal_number *number, uint8_t out[NUMBER_BYTES])
{
    if (number->is_float) {
        uint64_t raw;
        memcpy(&raw, &number->f, 8);
        return put(out, 0xCB, raw, 8);
    }
    int64_t i = number->i;
    if (i >= -32 && i <= 127) {
        out[0] = (uint8_t)i;
        return 1;
    }
    if (i >= 0)
        return i <= UINT8_MAX    ? put(out, 0xCC, (uint64_t)i, 1)
               : i <= UINT16_MAX ? put(out, 0xCD, (uint64_t)i, 2)
               : i <= UINT32_MAX ? put(out, 0xCE, (uint64_t)i, 4)
                                 : put(out, 0xCF, (uint64_t)i, 8);
    return i >= INT8_MIN    ? put(out, 0xD0, (uint64_t)i, 1)
           : i >= INT16_MIN ? put(out, 0xD1, (uint64_t)i, 2)
           : i >= INT32_MIN ? put(out, 0xD2, (uint64_t)i, 4)
                            : put(out, 0xD3, (uint64_t)i, 8);
}

shoal_status number_add(const shoal_number *a, const shoal_number *b, shoal_number *sum)
{
    if (!a->is_float && !b->is_float) {
        *sum = (shoal_number){0};
        return __builtin_add_overflow(a->i, b->i, &sum->i) ? SHOAL_OVERFLOW : SHOAL_OK;
    }
    double x = a->is_float ? a->f : (double)a->i, y = b->is_float ? b->f : (double)b->i;
    *sum = (shoal_number){.is_float = true, .f = x + y};
    return SHOAL_OK;
}
