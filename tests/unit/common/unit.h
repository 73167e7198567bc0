/*
 * cmocka with the headers it wants before it, and short names for what the tests here do most.
 */
#ifndef ENGENHO_TESTS_UNIT_COMMON_UNIT_H
#define ENGENHO_TESTS_UNIT_COMMON_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `part` stands in `whole`; else say both. */
#define assert_contains(whole, part)                                                               \
    do {                                                                                           \
        if (!strstr((whole), (part))) {                                                            \
            fail_msg("'%s' is not in '%s'", (part), (whole));                                      \
        }                                                                                          \
    } while (0)

#endif
