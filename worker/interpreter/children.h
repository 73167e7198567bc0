/*
 * Processes that a script left behind. The interpreter is their reaper, so that even those that
 * left its process group or whose parent ended are found. Interpreter only.
 */
#ifndef ENGENHO_WORKER_INTERPRETER_CHILDREN_H
#define ENGENHO_WORKER_INTERPRETER_CHILDREN_H

#include <stdbool.h>

/* Become the reaper of what scripts start. Once, at start. */
void children_adopt(void);
/* Whether there is one, running or not yet waited for. */
bool children_exist(void);
/* Kill and wait for all of them, and theirs, as far as a second allows. */
void children_kill(void);

#endif
