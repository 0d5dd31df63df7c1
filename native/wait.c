/*
 * Waits in the engine's place for the end of a container's process that lives longer than a moment: the engine holds some
 * megabytes, and this holds a few pages. The engine becomes this program, so that children, subreaper and parent stay.
 *
 * Started as: "berth-wait" PID PIDFD REAP LOW HIGH MASTER SETTINGS [COMMAND [ARGUMENT...]], with all signals blocked.
 *
 *   PID, PIDFD  of the process to wait for
 *   REAP        1: other children may end as well, orphans of the container, and are reaped
 *   LOW, HIGH   which signals to pass on to the process: 1 to 32, bit 0 first, and 33 to 64
 *   MASTER      of the terminal to relay to and from stdin and stdout; 0: there is none
 *   SETTINGS    a file with the struct termios that stdin gets back in the end; 0: none
 *   COMMAND     is run when the process has ended; its failure is this program's
 *
 * Ends as a shell would tell the process's end: its exit status, or 128 + n for signal n.
 */
#include "arch.h"
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signalfd.h>
#include <linux/wait.h>
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/signal.h>

enum { BUFFER = 16384, TERMIOS = 36, LINGER_NS = 50000000 };

struct poll { int fd; short events, revents; };

static int pid, pidfd, reap, master, settings, status, ended;
static uint64_t passed;
static char typed[BUFFER], shown[BUFFER];
static long typed_at, typed_end;
static int reading = 1;

static uint64_t decimal(const char *s)
{
	uint64_t n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (uint64_t)(*s++ - '0');
	return n;
}

static void wait_for(void)
{
	int how;
	long result;

	while (!ended && (result = sys(__NR_wait4, reap ? -1 : pid, (long)&how, WNOHANG, 0, 0, 0)) != 0) {
		if (result == -EINTR)
			continue;
		if (result < 0)
			break;
		if (result == pid) {
			ended = 1;
			status = how & 0x7f ? 128 + (how & 0x7f) : how >> 8 & 0xff;
		}
	}
}

static void resize(void)
{
	uint64_t size;

	if (sys(__NR_ioctl, 0, TIOCGWINSZ, (long)&size, 0, 0, 0) >= 0)
		sys(__NR_ioctl, master, TIOCSWINSZ, (long)&size, 0, 0, 0);
}

static void take_signal(int signals)
{
	struct signalfd_siginfo info;

	if (sys(__NR_read, signals, (long)&info, sizeof info, 0, 0, 0) != sizeof info)
		return;
	if (info.ssi_signo == SIGWINCH && master)
		resize();
	else if (passed >> (info.ssi_signo - 1) & 1)
		sys(__NR_pidfd_send_signal, pidfd, info.ssi_signo, 0, 0, 0, 0);
}

static void take_input(void)
{
	long count = sys(__NR_read, 0, (long)typed, BUFFER, 0, 0, 0);

	typed_at = 0;
	typed_end = count > 0 ? count : 0;
	/* The end of what is typed is not the end of the process: it may go on to show things. */
	if (count == 0 || (count < 0 && count != -EAGAIN && count != -EINTR))
		reading = 0;
}

static void give_input(void)
{
	long count = sys(__NR_write, master, (long)typed + typed_at, typed_end - typed_at, 0, 0, 0);

	if (count > 0)
		typed_at += count;
	else if (count != -EAGAIN && count != -EINTR)
		typed_at = typed_end; /* nobody has the terminal open any more, and nobody will read this */
}

/* Returns whether there was something to show. A reader that went away must not end the process. */
static int show(void)
{
	long count = sys(__NR_read, master, (long)shown, BUFFER, 0, 0, 0);

	if (count <= 0)
		return 0;
	for (long at = 0, part; at < count; at += part) {
		part = sys(__NR_write, 1, (long)shown + at, count - at, 0, 0, 0);
		if (part == -EAGAIN) {
			struct poll out = { 1, POLLOUT, 0 };
			sys(__NR_ppoll, (long)&out, 1, 0, 0, 0, 0);
		}
		if (part == -EAGAIN || part == -EINTR)
			part = 0;
		else if (part < 0)
			break;
	}
	return 1;
}

static void relay_or_wait(int signals)
{
	enum { SIGNALS, PROCESS, TERMINAL, INPUT, ALL };
	const int64_t linger[2] = { 0, LINGER_NS };
	int hung_up = 0;

	for (;;) {
		int pending = typed_at < typed_end;
		struct poll polled[ALL] = {
			[SIGNALS] = { signals, POLLIN, 0 },
			[PROCESS] = { ended ? -1 : pidfd, POLLIN, 0 },
			/* Nobody has it open, for now: it would be ready, and empty, all the time. */
			[TERMINAL] = { master && !hung_up ? master : -1, (short)(POLLIN | (pending ? POLLOUT : 0)), 0 },
			[INPUT] = { master && reading && !pending ? 0 : -1, POLLIN, 0 },
		};
		/* Once it has ended, what it wrote before is in the terminal's buffer; then there is nothing more to wait for. */
		const int64_t none[2] = { 0, 0 };
		const int64_t *timeout = ended ? none : hung_up ? linger : 0;
		int had = 0;

		sys(__NR_ppoll, (long)polled, ALL, (long)timeout, 0, 0, 0);
		hung_up = 0;
		if (polled[SIGNALS].revents)
			take_signal(signals);
		wait_for();
		if (polled[INPUT].revents)
			take_input();
		if (polled[TERMINAL].revents & POLLOUT)
			give_input();
		if (polled[TERMINAL].revents & ~POLLOUT)
			had = show();
		if (polled[TERMINAL].revents & POLLHUP && !had)
			hung_up = 1;
		if (ended && !had && (!master || polled[PROCESS].fd < 0))
			return;
	}
}

/* Runs a command without blocked signals. Returns its exit status. */
static int perform(char **command, char **envp)
{
	const uint64_t none = 0;
	int how = 0;
	long child = sys(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0);

	if (child == 0) {
		sys(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none, 0, 0);
		sys(__NR_execve, (long)command[0], (long)command, (long)envp, 0, 0, 0);
		leave(127);
	}
	if (child < 0)
		return 1;
	while (sys(__NR_wait4, child, (long)&how, 0, 0, 0, 0) == -EINTR)
		;
	return how & 0x7f ? 1 : how >> 8 & 0xff;
}

void __attribute__((noreturn)) start(long *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	const uint64_t all = ~0UL;
	char termios[TERMIOS];
	long signals, failed;

	if (stack[0] < 8)
		leave(2);
	pid = (int)decimal(argv[1]);
	pidfd = (int)decimal(argv[2]);
	reap = argv[3][0] == '1';
	passed = decimal(argv[5]) << 32 | decimal(argv[4]);
	master = (int)decimal(argv[6]);
	settings = (int)decimal(argv[7]);
	sys(__NR_rt_sigprocmask, SIG_BLOCK, (long)&all, 0, sizeof all, 0, 0);
	signals = sys(__NR_signalfd4, -1, (long)&all, sizeof all, SFD_CLOEXEC, 0, 0);
	if (signals < 0)
		leave(2);
	if (master)
		resize(); /* it may have changed while nobody listened */
	relay_or_wait((int)signals);
	if (settings && sys(__NR_pread64, settings, (long)termios, TERMIOS, 0, 0, 0) == TERMIOS)
		sys(__NR_ioctl, 0, TCSETS, (long)termios, 0, 0, 0);
	if (stack[0] > 8 && (failed = perform(argv + 8, envp)) != 0)
		leave((int)failed);
	leave(status);
}

ENTRY;
