/*
 * Whether a method of an unpacked package is one of EPM's: its source says
 * @epr.applicationMethod('Name'). It decides the default ordering before anything of the package
 * has run, and the same on every worker. An edge: the file system.
 */
#ifndef ENGENHO_WORKER_PACKAGE_SCAN_H
#define ENGENHO_WORKER_PACKAGE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

bool package_scan_epm_method(const char *folder, const char *method);
/* The same for one source. Pure. */
bool package_scan_source(const char *source, size_t bytes, const char *method);

#endif
