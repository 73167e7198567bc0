/* The port that a listening socket got, for port 0 in an option. An edge of common: sockets. */
#ifndef ENGENHO_COMMON_BOUND_PORT_H
#define ENGENHO_COMMON_BOUND_PORT_H

#include <stdint.h>

/* Returns 0 when `fd` is no socket of IPv4 or IPv6. */
uint16_t bound_port(int fd);

#endif
