/*
 * The compiler refuses these names in our C: cmake/Engenho.cmake includes this file before every
 * source. The headers that declare them come first. tests/lint/words.py has the whole list: what is
 * missing here is a name that fields and system headers use too (system, rand, gets).
 */
#ifndef ENGENHO_COMMON_BANNED_H
#define ENGENHO_COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison atof atoi atol atoll
#pragma GCC poison asctime ctime gmtime localtime
#pragma GCC poison putenv setenv unsetenv
#pragma GCC poison mktemp popen tempnam tmpnam
#pragma GCC poison sprintf strcat strcpy strncat strncpy strtok vsprintf

#endif
