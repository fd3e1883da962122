/* Status codes are closed and contiguous, and each has a name of its own. */
#include "check.h"
#include "shoal.h"

static void every_status_has_its_own_name(void)
{
    for (int i = 0; i < SHOAL_STATUS_COUNT; i++) {
        const char *name = shoal_status_name((shoal_status)i);
        REQUIRE(name != NULL && name[0] != '\0');
        for (int j = 0; j < i; j++)
            CHECK(strcmp(name, shoal_status_name((shoal_status)j)) != 0);
    }
}

static void a_number_out_of_range_has_a_name_too(void)
{
    CHECK(shoal_status_name(SHOAL_STATUS_COUNT) != NULL);
    CHECK(shoal_status_name((shoal_status)1000) != NULL);
}

int main(void)
{
    RUN(every_status_has_its_own_name);
    RUN(a_number_out_of_range_has_a_name_too);
    return check_report();
}
