/*
 * The functions of Redis (functions/, joined in the order of their names), put into the program
 * when it is built.
 */
#ifndef ENGENHO_LICENSOR_STORE_LIBRARY_H
#define ENGENHO_LICENSOR_STORE_LIBRARY_H

#include <stddef.h>

extern const unsigned char engenho_lua[];
extern const size_t engenho_lua_bytes;

#endif
