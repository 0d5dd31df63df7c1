/* What TypeScript reaches: in the engine (engine.c), and by a shared library where the tests run in another one. */
#ifndef FFI_H
#define FFI_H

#include <stdint.h>

struct request;
struct header;
struct failure;

/* The result, or the negated errno. */
int64_t berth_syscall(int64_t nr, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f);
/* What the function at that address returns. */
int64_t berth_call(int64_t at, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g);

int berth_spawn(struct request *request);
void berth_run(struct header *plan, struct failure *failure);
int berth_forward(int pidfd, uint32_t low, uint32_t high);
/* FIPS 180-4: the 32 bytes of the digest of `length` bytes. */
void berth_sha256(const uint8_t *bytes, uint64_t length, uint8_t *digest);

#endif
