/* What ffi.c hands to the runtime. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stdint.h>

struct request;
struct header;
struct failure;

int berth_spawn(struct request *request);
void berth_run(struct header *plan, struct failure *failure);
int berth_forward(int pidfd, uint32_t low, uint32_t high);

#endif
