/*
 * Commands of this machine: they speak to processes and files, not to the API. Process: engenho.
 */
#ifndef ENGENHO_CLI_COMMANDS_LOCAL_H
#define ENGENHO_CLI_COMMANDS_LOCAL_H

#include "cli/command.h"

int command_up(const struct call *call);
int command_down(const struct call *call);
int command_status(const struct call *call);
int command_completion(const struct call *call);

#endif
