#include "entry.h"

#include "os.h"

bool entry_expired_at(uint64_t expires)
{
    uint64_t coarse = (uint64_t)os_mono_coarse_ns();
    if (coarse >= expires)
        return true;
    if (coarse + (uint64_t)OS_COARSE_NS < expires)
        return false;
    return (uint64_t)os_mono_ns() >= expires;
}
