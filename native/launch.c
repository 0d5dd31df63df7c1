/*
 * What a user runs as "berth": it starts the engine, libexec/berth beside it.
 *
 * The engine is linked with the C library, whose loader obeys many variables of its environment (LD_PRELOAD loads code). So this
 * program, which is linked with nothing, gives the engine only the variables listed here.
 */
#include "arch.h"
#include <linux/fcntl.h>
#include <asm/signal.h>

enum { MAX_PATH = 4096, MAX_VARIABLES = 32 };

/* What the runtime itself reads, and the ps that it runs. None reaches a container through here. */
static const char *const kept[] = {
	"PATH", "USER", "COLUMNS", "XDG_RUNTIME_DIR",
	/* Where systemd is to be asked for, if not in the usual place. */
	"DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS",
	/* What systemd gives to a service, for its container: man 3 sd_notify, man 3 sd_listen_fds. */
	"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
};

static char engine[MAX_PATH];
static char *environment[MAX_VARIABLES];

static int is_kept(const char *variable)
{
	for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++) {
		const char *name = kept[i], *v = variable;
		while (*name && *name == *v)
			name++, v++;
		if (!*name && *v == '=')
			return 1;
	}
	return 0;
}

static void __attribute__((noreturn)) fail(const char *why)
{
	unsigned length = 0;

	while (why[length])
		length++;
	sys(__NR_write, 2, (long)why, length, 0, 0, 0);
	leave(1);
}

void __attribute__((noreturn)) start(long *stack)
{
	static const char beside[] = "libexec/berth";
	static const uint64_t standard[4];
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	int n = 0;
	long length;

	length = sys(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)engine, MAX_PATH - (long)sizeof beside, 0, 0);
	if (length <= 0)
		fail("berth: cannot read /proc/self/exe: is /proc mounted?\n");
	while (length && engine[length - 1] != '/')
		length--;
	for (unsigned i = 0; i < sizeof beside; i++)
		engine[(unsigned)length + i] = beside[i];

	/* Ignored, it would make the kernel reap the container's init before the runtime can ask how it ended. */
	sys(__NR_rt_sigaction, SIGCHLD, (long)standard, 0, sizeof *standard, 0, 0);
	for (; *envp && n < MAX_VARIABLES - 1; envp++)
		if (is_kept(*envp))
			environment[n++] = *envp;
	sys(__NR_execve, (long)engine, (long)argv, (long)environment, 0, 0, 0);
	fail("berth: cannot execute libexec/berth beside this program: is the installation complete?\n");
}

ENTRY;
