/*
 * A transition as the command that Redis gets: FCALL engenho1_<verb> 1 {tenant} ..., in RESP. Pure.
 */
#ifndef ENGENHO_LICENSOR_STORE_COMMAND_H
#define ENGENHO_LICENSOR_STORE_COMMAND_H

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store.h"

/*
 * Append the command to `out`. Returns 0, or -EMSGSIZE or -ENOMEM as buf_append does; then `out`
 * holds a part of it.
 */
MUST_CHECK int command_write(const struct store_request *request, const char *tenant,
                             struct buf *out);

/* hello, limits, register ...: names of functions and the label of metrics. */
const char *command_name(enum store_verb verb);

#endif
