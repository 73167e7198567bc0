/*
 * Writes the sentence of struct error. Every process.
 */
#include "common/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int error_set(struct error *error, int code, const char *format, ...)
{
    if (error) {
        /*
         * The arguments may point into error->text itself, as when a sentence is wrapped in
         * another.
         */
        char text[ERROR_TEXT_BYTES_MAX];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return code;
}
