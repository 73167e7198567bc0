/*
 * Execution ids: `<agent>/<topic>/<partition>/<offset>/<production>` of the first record (DESIGN
 * section 4). The topic has no prefix; the production is the rest and may hold slashes; it is empty
 * for an application on demand. Pure.
 */
#ifndef ENGENHO_COMMON_EXECUTION_ID_H
#define ENGENHO_COMMON_EXECUTION_ID_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/names.h"

#define EXECUTION_ID_BYTES_MAX (AGENT_NAME_BYTES_MAX + NAME_BYTES_MAX + 300)

struct execution_id {
    char agent[AGENT_NAME_BYTES_MAX + 1];
    char topic[250];
    int32_t partition;
    int64_t offset;
    char production[NAME_BYTES_MAX + 1];
};

/* Writes the text and its NUL into `text` of EXECUTION_ID_BYTES_MAX bytes. Returns its length. */
size_t execution_id_print(const char *agent, const char *topic, int32_t partition, int64_t offset,
                          const char *production, char *text);
/* Returns 0, or -EINVAL when it is not of the form above. */
MUST_CHECK int execution_id_parse(const char *text, struct execution_id *ret_id);

#endif
