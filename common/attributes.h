/*
 * Compiler attributes that contracts in headers use, and the functions nobody may call.
 */
#ifndef ENGENHO_COMMON_ATTRIBUTES_H
#define ENGENHO_COMMON_ATTRIBUTES_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))
#define UNUSED __attribute__((unused))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
