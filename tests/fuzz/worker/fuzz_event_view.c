/*
 * Any bytes as a packed Event: a view never points outside, and what it accepts can be unpacked.
 */
#include "worker/event_view.h"

#include "tests/fuzz/fuzz.h"

static void require_inside(struct text_view text, const uint8_t *data, size_t bytes)
{
    const uint8_t *start = (const uint8_t *)text.data;
    REQUIRE(text.bytes == 0 || (start >= data && start + text.bytes <= data + bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct event_view view;
    if (event_view_read(data, bytes, &view) != 0) {
        return 0;
    }
    require_inside(view.connection, data, bytes);
    require_inside(view.object, data, bytes);
    require_inside(view.process, data, bytes);
    require_inside(view.from_stage, data, bytes);
    require_inside(view.to_stage, data, bytes);
    Engenho__Event *event = engenho__event__unpack(NULL, bytes, data);
    REQUIRE(event != NULL);
    engenho__event__free_unpacked(event, NULL);
    return 0;
}
