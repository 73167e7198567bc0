/*
 * The schema of a production's spec. Pure. Producer: only definitions*.c.
 */
#ifndef ENGENHO_PRODUCER_DEFINITIONS_PRODUCTION_H
#define ENGENHO_PRODUCER_DEFINITIONS_PRODUCTION_H

#include "producer/definitions_reader.h"

/*
 * Read the spec into an initialised message. Returns 0, or -EINVAL with a sentence and line in the
 * reader.
 */
MUST_CHECK int definition_read_production(struct definition_reader *reader, const struct node *spec,
                                          Engenho__Production *production);

#endif
