/*
 * The zones of the IANA database, by name, through GLib's GTimeZone (docs/decisions says why). An
 * edge: GLib. Zones take no part in the process's own time zone: nothing here reads or sets TZ.
 */
#ifndef ENGENHO_PRODUCER_ZONE_DATABASE_H
#define ENGENHO_PRODUCER_ZONE_DATABASE_H

#include "common/attributes.h"
#include "common/error.h"
#include "producer/zone.h"

struct zone_database;

/* Returns owned. Zones are read when first asked for. */
struct zone_database *zone_database_new(void);
void zone_database_free(struct zone_database *database);

/*
 * The zone of an IANA name such as America/Sao_Paulo; NULL or empty: UTC. Lives as long as the
 * database. Returns 0, or -EINVAL with a sentence for a name that the database does not have.
 */
MUST_CHECK int zone_database_find(struct zone_database *database, const char *name,
                                  const struct zone **ret_zone, struct error *error);

/* The release of the database on this machine, such as 2025b; "unknown" when its files do not say.
 * Borrowed from the database. */
const char *zone_database_version(const struct zone_database *database);

#endif
