/* How TypeScript reaches native code: by a system call, or by a function at an address. Both take integers. */
#include "arch.h"
#include "ffi.h"

int64_t berth_syscall(int64_t nr, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)
{
	return sys(nr, a, b, c, d, e, f);
}

int64_t berth_call(int64_t at, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g)
{
	typedef int64_t function(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);

	return ((function *)at)(a, b, c, d, e, f, g);
}
