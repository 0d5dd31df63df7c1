/*
 * What the runtime reaches through ffi.c: its own part of a Plan, and the start of a process in new or joined namespaces, as
 * the sealed executor.
 *
 * The child shares the runtime's memory until it executes, while the runtime goes on: the child makes nothing but raw system
 * calls, on a stack of its own, and touches nothing but the request. The runtime itself never enters a namespace.
 */
#include "ffi.h"
#include "run.h"
#include <linux/sched.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <asm/errno.h>
#include <asm/signal.h>

enum { MAX_JOINS = 8, MAX_FDS = 8, STACK = 16384 };
enum stage { JOIN = 1, CLONE, PLACE_FDS, SIGNALS, RELEASE, BECOME_ROOT, EXECUTE };

struct request {
	uint64_t flags;      /* CLONE_NEW*: the namespaces to make */
	uint64_t argv;       /* of the executor */
	int32_t executor;    /* its descriptor */
	int32_t cgroup;      /* descriptor of the cgroup to start in, or -1 */
	int32_t waits;       /* it reads a byte from the first of its descriptors before going on: id maps are there by then */
	int32_t njoins;
	int32_t nfds;
	int32_t close_from;  /* descriptors from here on do not reach the executor; all places lie below */
	int32_t become_root; /* 0:0 of its user namespace, without which execve would drop every capability */
	struct { int32_t fd; uint32_t type; } join[MAX_JOINS];
	struct { int32_t from, to; } fds[MAX_FDS];
	/* answers */
	int32_t pid;
	int32_t pidfd;
	int32_t stage;       /* where it failed ... */
	int32_t error;       /* ... and with which errno; 0: it did not, so far */
	int32_t which;       /* JOIN: which one */
};

/* Of the starter, of what it makes, and of what it makes to wait: that lives on while others are started. */
static char stacks[3][STACK] __attribute__((aligned(16)));

/* The third argument is only looked at in the child, which must not return. */
static long clone_child(struct clone_args *args, void (*child)(struct request *), struct request *request)
{
#if defined(__x86_64__)
	long result;
	register void (*r12)(struct request *) __asm__("r12") = child;
	register struct request *r13 __asm__("r13") = request;

	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tmov %%r13, %%rdi\n\tcall *%%r12\n\tud2\n1:"
			 : "=a"(result)
			 : "0"((long)__NR_clone3), "D"(args), "S"(sizeof *args), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory");
	return result;
#else
	register long x8 __asm__("x8") = __NR_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof *args;
	register void (*x19)(struct request *) __asm__("x19") = child;
	register struct request *x20 __asm__("x20") = request;

	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tmov x29, #0\n\tmov x0, x20\n\tblr x19\n\tbrk #0\n1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x19), "r"(x20)
			 : "memory", "x30");
	return x0;
#endif
}

static void __attribute__((noreturn)) fail(struct request *r, enum stage stage, long error)
{
	r->stage = stage;
	r->error = (int32_t)-error;
	leave(1);
}

/*
 * Joins those of the namespaces that have the types. A cgroup namespace comes last, in the process itself: on a hierarchy with
 * nsdelegate, as systemd mounts it, nothing gets into a cgroup below its root from outside (cgroup_procs_write_permission).
 */
static void join(struct request *r, uint32_t types)
{
	for (int i = 0; i < r->njoins; i++) {
		uint32_t type = r->join[i].type & types;
		long result = type ? sys(__NR_setns, r->join[i].fd, type, 0, 0, 0, 0) : 0;
		if (result < 0) {
			r->which = i;
			fail(r, JOIN, result);
		}
	}
}

static int is_target(const struct request *r, int fd)
{
	for (int i = 0; i < r->nfds; i++)
		if (r->fds[i].to == fd)
			return 1;
	return 0;
}

/* Puts the descriptors in their places and closes all others: what waits must not hold the runtime's ends and locks. */
static void place_descriptors(struct request *r)
{
	long result;

	for (int i = 0; i < r->nfds; i++)
		if ((result = sys(__NR_dup3, r->fds[i].from, r->fds[i].to, 0, 0, 0, 0)) < 0)
			fail(r, PLACE_FDS, result);
	for (int fd = r->fds[0].to; fd < r->close_from; fd++)
		if (!is_target(r, fd))
			sys(__NR_close, fd, 0, 0, 0, 0, 0);
	if ((result = sys(__NR_dup3, r->executor, r->close_from, O_CLOEXEC, 0, 0, 0)) < 0 ||
	    (result = sys(__NR_close_range, r->close_from + 1, ~0U, 0, 0, 0, 0)) < 0)
		fail(r, PLACE_FDS, result);
}

static void __attribute__((noreturn)) execute(struct request *r)
{
	uint64_t none = 0;
	const uint64_t standard[4] = { 0 };
	char *envp[] = { 0 };
	char byte;
	long result;

	/* Nothing outlives the runtime before it says so. */
	sys(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
	if (r->cgroup >= 0)
		join(r, CLONE_NEWCGROUP);
	place_descriptors(r);
	/* CLONE_CLEAR_SIGHAND leaves what is ignored, and berth and some of its callers ignore SIGPIPE: a container starts afresh. */
	for (int signal = 1; signal <= 64; signal++)
		sys(__NR_rt_sigaction, signal, (long)&standard, 0, sizeof none, 0, 0);
	if ((result = sys(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none, 0, 0)) < 0)
		fail(r, SIGNALS, result);
	if (r->waits && (result = sys(__NR_read, r->fds[0].to, (long)&byte, 1, 0, 0, 0)) != 1)
		fail(r, RELEASE, result < 0 ? result : -EPIPE);
	if (r->become_root && ((result = sys(__NR_setresgid, 0, 0, 0, 0, 0, 0)) < 0 ||
			       (result = sys(__NR_setresuid, 0, 0, 0, 0, 0, 0)) < 0))
		fail(r, BECOME_ROOT, result);
	result = sys(__NR_execveat, r->close_from, (long)"", (long)r->argv, (long)envp, AT_EMPTY_PATH, 0);
	fail(r, EXECUTE, result);
}

static long clone_stage(struct request *r, int stage, uint64_t flags, void (*child)(struct request *))
{
	struct clone_args args = { 0 };

	args.flags = flags | CLONE_VM | CLONE_CLEAR_SIGHAND;
	args.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD;
	args.stack = (uint64_t)stacks[stage];
	args.stack_size = STACK;
	if (flags & CLONE_PIDFD)
		args.pidfd = (uint64_t)&r->pidfd;
	if (flags & CLONE_INTO_CGROUP)
		args.cgroup = (uint64_t)r->cgroup;
	return clone_child(&args, child, r);
}

/* Joins what is to be joined, and makes the process itself as a sibling: its parent is the runtime. */
static void starter(struct request *r)
{
	uint64_t flags = r->flags | CLONE_PARENT | CLONE_PIDFD;
	long result;

	join(r, r->cgroup >= 0 ? ~(uint32_t)CLONE_NEWCGROUP : ~0U);
	if (r->cgroup >= 0)
		flags |= CLONE_INTO_CGROUP;
	/* Until then it would share the runtime's memory; one that waits for the runtime cannot be waited for. */
	if (!r->waits)
		flags |= CLONE_VFORK;
	result = clone_stage(r, r->waits ? 2 : 1, flags, execute);
	if (result < 0)
		fail(r, CLONE, result);
	/* As the runtime counts: setns(CLONE_NEWPID) has left this process in its pid namespace. */
	r->pid = (int32_t)result;
	leave(0);
}

/*
 * Begins to start what the request says, in a process beside the runtime: to make namespaces takes the kernel a while, which
 * the runtime has better use for. Returns that process's pid, which is to be reaped before the answers are read, or -errno.
 */
int berth_spawn(struct request *r)
{
	r->pid = r->error = 0;
	r->pidfd = -1;
	/* With one table of descriptors, so that the pidfd is the runtime's. */
	return (int)clone_stage(r, 0, CLONE_FILES, starter);
}

/* Runs the runtime's own part of a Plan. Leaves the step that failed and its errno in `failure`; errno 0: none did. */
void berth_run(struct header *plan, struct failure *failure)
{
	relocate(plan);
	*failure = run(plan);
}

static int forward_to = -1;

static void forward(int signal)
{
	sys(__NR_pidfd_send_signal, forward_to, signal, 0, 0, 0, 0);
}

#if defined(__x86_64__)
void restore(void);
__asm__(".local restore\n.type restore, @function\nrestore:\n\tmov $15, %eax\n\tsyscall\n");
#endif

/*
 * From now on, the signals in the mask (low, bit 0: signal 1) go to this pidfd as they arrive. A handler, not a signalfd: the
 * runtime may sit in a blocking call.
 */
int berth_forward(int pidfd, uint32_t low, uint32_t high)
{
	struct { void (*handler)(int); uint64_t flags; void (*restorer)(void); uint64_t mask; } action = { 0 };

	const uint64_t mask = (uint64_t)high << 32 | low;

	forward_to = pidfd;
	action.handler = forward;
	action.flags = SA_RESTART;
#if defined(__x86_64__)
	action.flags |= 0x04000000; /* SA_RESTORER, which the kernel requires here and its headers do not name */
	action.restorer = restore;
#endif
	for (int signal = 1; signal <= 64; signal++) {
		long result;
		if (!(mask >> (signal - 1) & 1))
			continue;
		result = sys(__NR_rt_sigaction, signal, (long)&action, 0, sizeof action.mask, 0, 0);
		if (result < 0)
			return (int)result;
	}
	return 0;
}
