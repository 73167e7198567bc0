/*
 * The metadata of a committed offset as text: a CommitMetadata in base64, never over the broker's
 * 4,096 bytes (PITFALLS, librdkafka). Worker, core.
 */
#ifndef ENGENHO_WORKER_COMMIT_METADATA_H
#define ENGENHO_WORKER_COMMIT_METADATA_H

#include <stddef.h>

#include "common/attributes.h"
#include "proto/lane.pb-c.h"

#define COMMIT_METADATA_TEXT_MAX 4096
/* What the completion map may take of it: the rest is for the other fields. */
#define COMMIT_METADATA_DONE_MAX 2960

/*
 * Write the text and its NUL into `text` of COMMIT_METADATA_TEXT_MAX + 1 bytes. Returns 0, or
 * -EMSGSIZE: then text is empty.
 */
MUST_CHECK int commit_metadata_print(const Engenho__CommitMetadata *metadata, char *text);
/*
 * Returns owned (engenho__commit_metadata__free_unpacked with NULL), or NULL when `text` is not
 * ours.
 */
Engenho__CommitMetadata *commit_metadata_parse(const char *text, size_t length);

#endif
