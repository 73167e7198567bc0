/*
 * The words of the enums in proto/ as people and metrics see them: OUTCOME_TIMED_OUT is
 * `timed_out`. Pure.
 */
#ifndef ENGENHO_COMMON_LABELS_H
#define ENGENHO_COMMON_LABELS_H

#include <protobuf-c/protobuf-c.h>

#include "common/attributes.h"

/*
 * The value's name without the enum's own name in front, lower case. Returns a string that lives
 * for ever; "unknown" for a number the enum does not have. The enum's name in UPPER_CASE must be
 * the prefix of its values, as protobuf style has it.
 */
const char *label_of(const ProtobufCEnumDescriptor *descriptor, int value);
/* The number of a word. Returns 0 or -EINVAL. */
MUST_CHECK int label_parse(const ProtobufCEnumDescriptor *descriptor, const char *word,
                           int *ret_value);

#endif
