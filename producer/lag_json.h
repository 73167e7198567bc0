/*
 * What the lag collector knows, as JSON for the API. An edge: jansson.
 */
#ifndef ENGENHO_PRODUCER_LAG_JSON_H
#define ENGENHO_PRODUCER_LAG_JSON_H

#include <jansson.h>

struct lag_view;

/* As lag_json of lag.h says. */
json_t *lag_view_json(const struct lag_view *view, const char *agent);

#endif
