/* Any text as a scenario: refused with a message, or a scenario that passes its own checks. */
#include "forage/sim.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    forage_error error = {0};
    forage_scenario scenario;
    if (forage_scenario_parse((const char *)bytes, size, "scenario.yaml", &scenario, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    fuzz_check(forage_scenario_validate(&scenario, NULL) == FORAGE_OK, "a scenario that was read is valid");
    forage_scenario_release(&scenario);
    return 0;
}
