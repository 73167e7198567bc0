/*
 * A transition as the command that Redis gets: FCALL engenho6_<verb> 1 {tenant} ..., in RESP. Pure.
 * Acquires and releases go many to a command: batch.h.
 */
#ifndef ENGENHO_LICENSOR_STORE_COMMAND_H
#define ENGENHO_LICENSOR_STORE_COMMAND_H

#include "common/attributes.h"
#include "common/buf.h"
#include "licensor/store.h"

/* The function library's name; another layout of keys gets another name, so that both can be
 * loaded. */
#define ENGENHO_LIBRARY "engenho6"
/* Libraries engenho1 to the one before this do not read what is packed (mirror_pack.h). */
#define ENGENHO_LIBRARY_PACKED 6

/*
 * Append the command to `out`. Returns 0, -EINVAL for an acquire or release, or -EMSGSIZE or
 * -ENOMEM as buf_append does; then `out` holds a part of it.
 */
MUST_CHECK int command_write(const struct store_request *request, const char *tenant,
                             struct buf *out);

/* hello, limits, register ...: names of functions and the label of metrics. */
const char *command_name(enum store_verb verb);

#endif
