#include "common/bound_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
        return 0;
    }
    switch (storage.ss_family) {
    case AF_INET6:
        return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    case AF_INET:
        return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    default:
        return 0;
    }
}
