/*
 * Makes system calls and says what became of each. Without a C library, so that a filter need allow no more than what is here:
 * write, read, pipe, fork, wait4, exit, exit_group, rt_sigaction, and clone, futex, ptrace, kill, getpid for the ways that use them.
 *
 * Each argument is one call: WAY NUMBER A B C D E F, hexadecimal, a space between them.
 *
 *   n  as this machine's programs make it       i  by int 0x80, as those of 32 bits do
 *   t  like n, in a second thread               p  like n, traced by its parent
 *
 * Each gets a line: "= RESULT" (decimal), "signal N" (what ended the process), "trap NUMBER ERRNO" (of the SIGSYS it handled),
 * "thread" (only the thread is gone), "trace VALUE" (what the tracer was told).
 */
#include <asm/unistd.h>

typedef unsigned long u64;

static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

/* The sixth argument goes through ebp, which a compiler may need for itself. */
static long sys32(const unsigned *a)
{
	long result;

	__asm__ volatile("push %%rbp\n\tmov 24(%%rax), %%ebp\n\tmov (%%rax), %%eax\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(result) : "a"(a), "b"((long)a[1]), "c"((long)a[2]), "d"((long)a[3]), "S"((long)a[4]), "D"((long)a[5])
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)result;
}

static int out;

static void say(const char *text)
{
	unsigned length = 0;

	while (text[length])
		length++;
	sys(__NR_write, out, (long)text, length, 0, 0, 0);
}

static void say_number(long number)
{
	char text[24], *at = text + sizeof text - 1;
	u64 rest = number < 0 ? -(u64)number : (u64)number;

	*at = 0;
	do
		*--at = '0' + rest % 10;
	while (rest /= 10);
	if (number < 0)
		*--at = '-';
	say(at);
}

struct info { int signo, error, code, pad; void *address; int call; };

static void on_trap(int signal, struct info *info, void *context)
{
	(void)signal, (void)context;
	say("trap ");
	say_number(info->call);
	say(" ");
	say_number(info->error);
	sys(__NR_exit_group, 7, 0, 0, 0, 0, 0);
}

static u64 a[7];
static char way;
static char stack[8192] __attribute__((aligned(16)));
static int thread;

static void __attribute__((used)) call(void)
{
	unsigned narrow[7];
	long result;

	for (int i = 0; i < 7; i++)
		narrow[i] = (unsigned)a[i];
	result = way == 'i' ? sys32(narrow) : sys((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	say("= ");
	say_number(result);
	sys(__NR_exit_group, 7, 0, 0, 0, 0, 0);
}

static void in_thread(void)
{
	enum { FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x200000 | 0x100000 };
	long result;

	/* CLONE_VM FS FILES SIGHAND THREAD SYSVSEM CHILD_CLEARTID PARENT_SETTID; the thread must not return into this frame. */
	register int *child_tid __asm__("r10") = &thread;
	thread = 1;
	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tcall call\n1:"
			 : "=a"(result)
			 : "a"(__NR_clone), "D"((long)FLAGS), "S"(stack + sizeof stack), "d"(&thread), "r"(child_tid)
			 : "rcx", "r11", "memory");
	for (int seen; (seen = *(volatile int *)&thread) != 0; )
		sys(__NR_futex, (long)&thread, 0, seen, 0, 0, 0);
	say("thread");
	sys(__NR_exit_group, 7, 0, 0, 0, 0, 0);
}

static void child(void)
{
	struct { void *handler; u64 flags; void *restorer; u64 mask; } action = { (void *)on_trap, 0x4 | 0x04000000, (void *)on_trap, 0 };

	sys(__NR_rt_sigaction, 31, (long)&action, 0, 8, 0, 0);
	if (way == 't')
		in_thread();
	if (way == 'p') {
		sys(__NR_ptrace, 0 /* TRACEME */, 0, 0, 0, 0, 0);
		sys(__NR_kill, sys(__NR_getpid, 0, 0, 0, 0, 0, 0), 19 /* SIGSTOP */, 0, 0, 0, 0);
	}
	call();
}

static void parent(long pid)
{
	int status = 0;
	u64 message = 0;

	sys(__NR_wait4, pid, (long)&status, 0, 0, 0, 0);
	if (way == 'p' && (status & 0xff) == 0x7f) {
		sys(__NR_ptrace, 0x4200 /* SETOPTIONS */, pid, 0, 0x80 | 0x100000 /* TRACESECCOMP, EXITKILL */, 0, 0);
		sys(__NR_ptrace, 7 /* CONT */, pid, 0, 0, 0, 0);
		sys(__NR_wait4, pid, (long)&status, 0, 0, 0, 0);
		if (status >> 8 == (5 | 7 << 8)) {
			sys(__NR_ptrace, 0x4201 /* GETEVENTMSG */, pid, 0, (long)&message, 0, 0);
			say("trace ");
			say_number((long)message);
			sys(__NR_kill, pid, 9, 0, 0, 0, 0);
			sys(__NR_wait4, pid, (long)&status, 0, 0, 0, 0);
			status = 7 << 8;
		}
	}
	if (status & 0x7f) {
		say("signal ");
		say_number(status & 0x7f);
	} else if (status >> 8 != 7)
		say("exit");
	say("\n");
}

static const char *number(const char *text, u64 *value)
{
	for (*value = 0; *text && *text != ' '; text++)
		*value = *value << 4 | (u64)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return *text ? text + 1 : text;
}

void __attribute__((noreturn, used)) start(long *stack_at_start)
{
	char **argv = (char **)(stack_at_start + 1);

	out = 1;
	for (long i = 1; i < stack_at_start[0]; i++) {
		const char *text = argv[i] + 2;
		long pid;

		way = argv[i][0];
		for (int n = 0; n < 7; n++)
			text = number(text, &a[n]);
		pid = sys(__NR_fork, 0, 0, 0, 0, 0, 0);
		if (pid == 0)
			child();
		parent(pid);
	}
	sys(__NR_exit_group, 0, 0, 0, 0, 0, 0);
	__builtin_trap();
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
