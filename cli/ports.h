/*
 * Ports of this machine for the servers of `engenho up`: chosen once for a data directory and kept.
 * An edge: sockets.
 */
#ifndef ENGENHO_CLI_PORTS_H
#define ENGENHO_CLI_PORTS_H

#include <stdint.h>

#include "common/attributes.h"
#include "common/error.h"

enum ports_use {
    PORTS_KAFKA,
    PORTS_CONTROLLER,
    PORTS_REDIS,
    PORTS_LICENSOR,
    PORTS_API,
    PORTS_USES
};

struct ports {
    uint16_t port[PORTS_USES];
};

/*
 * The ports that ports.json in the directory `path` remembers; what is missing or in use by others
 * is chosen anew, and all are written back. They lie below the range from which the system takes
 * ports for outgoing connections: a client that tries again and again while its server is down
 * would else meet itself on the server's port, and keep it.
 *
 * *ret_moved: how many remembered ports had to be given up. Returns 0, or -EADDRINUSE or a file's
 * error with a sentence.
 */
MUST_CHECK int ports_choose(struct ports *ret_ports, const char *path, unsigned *ret_moved,
                            struct error *error);

/* Returns 0 when `address` (HOST:PORT) can be listened on now, or -errno with a sentence. */
MUST_CHECK int ports_check(const char *address, struct error *error);

#endif
