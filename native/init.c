/*
 * The executor: the container's first process. It runs the Plan that the runtime compiled, and reports the first step that
 * fails. It has no parser, no options, no allocation and no policy.
 *
 * Started as: "init" SYNC PLAN, the decimal numbers of its descriptors. The Plan is there once SYNC gives a byte. No environment.
 */
#include "run.h"

/*
 * Says which step failed and why, and stays until the reader has let go: it may want to look at this process's root. A seccomp
 * filter may forbid all of that, but not to write to memory. No notice, or not yet: its address is 0.
 */
static void __attribute__((noreturn)) give_up(const struct header *plan, struct failure failure)
{
	struct { int fd; short events, revents; } peer = { plan->report, 0, 0 };
	struct failure *notice = *(struct failure **)((char *)plan + plan->data + plan->notice);

	if (notice)
		*notice = failure;
	if (sys(__NR_write, plan->report, (long)&failure, sizeof failure, 0, 0, 0) == sizeof failure)
		sys(__NR_ppoll, (long)&peer, 1, 0, 0, 0, 0);
	leave(1);
}

static long decimal(const char *s)
{
	long n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (*s++ - '0');
	return n;
}

void __attribute__((noreturn)) start(long *stack)
{
	char **argv = (char **)(stack + 1);
	struct header head, *plan;
	struct failure failure;
	char byte;
	long fd;

	if (stack[0] < 3 || sys(__NR_read, decimal(argv[1]), (long)&byte, 1, 0, 0, 0) != 1)
		leave(2);
	fd = decimal(argv[2]);
	if (sys(__NR_pread64, fd, (long)&head, sizeof head, 0, 0, 0) != sizeof head || head.magic != MAGIC)
		leave(2);
	plan = (struct header *)sys(__NR_mmap, 0, head.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if ((unsigned long)plan >= -4095UL)
		leave(2);
	sys(__NR_close, fd, 0, 0, 0, 0, 0);

	relocate(plan);
	failure = run(plan);
	if (failure.error)
		give_up(plan, failure);
	leave(0);
}

ENTRY;
