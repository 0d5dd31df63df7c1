/*
 * What a user runs as "berth": it starts the engine, libexec/berth beside it.
 *
 * The engine is a Bun executable, and Bun obeys many variables of its environment (BUN_OPTIONS can load code), raises the
 * soft limit of open files, and marks what it inherits close-on-exec. So the engine gets only the variables listed here, and
 * beside them the caller's own limit and how many descriptors follow stdio without a gap.
 */
#include "arch.h"
#include <linux/fcntl.h>
#include <linux/resource.h>
#include <asm/signal.h>

enum { MAX_PATH = 4096, MAX_VARIABLES = 32 };

/* What the runtime itself reads, and the ps that it runs. None reaches a container through here. */
static const char *const kept[] = {
	"PATH", "USER", "COLUMNS", "XDG_RUNTIME_DIR",
	/* What systemd gives to a service, for its container: man 3 sd_notify, man 3 sd_listen_fds. */
	"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
};

static char engine[MAX_PATH], where[MAX_PATH];
static char limits[64] = "BERTH_NOFILE=";
static char inherited[32] = "BERTH_FDS=";
/* A verb is over before a compiled function pays off, and to set up the compiler costs every start 0.7 ms. */
static char interpreted[] = "BUN_JSC_useJIT=0";
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

static char *append_number(char *to, uint64_t n)
{
	char digits[20];
	int length = 0;

	do
		digits[length++] = (char)('0' + n % 10);
	while (n /= 10);
	while (length)
		*to++ = digits[--length];
	return to;
}

static char *end_of(char *text)
{
	while (*text)
		text++;
	return text;
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
	uint64_t limit[2];
	char *end;
	int n = 0;
	long length, following = 0;

	length = sys(__NR_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)engine, MAX_PATH - (long)sizeof beside, 0, 0);
	if (length <= 0)
		fail("berth: cannot read /proc/self/exe: is /proc mounted?\n");
	while (length && engine[length - 1] != '/')
		length--;
	for (unsigned i = 0; i < sizeof beside; i++)
		engine[(unsigned)length + i] = beside[i];

	/* Ignored, it would make the kernel reap the container's init before the runtime can ask how it ended. */
	sys(__NR_rt_sigaction, SIGCHLD, (long)standard, 0, sizeof *standard, 0, 0);
	/* Bun does not even start in a directory that is gone, and a caller may still want to delete a container. */
	if (sys(__NR_getcwd, (long)where, sizeof where, 0, 0, 0, 0) < 0 || where[0] != '/')
		sys(__NR_chdir, (long)"/", 0, 0, 0, 0, 0);
	for (; *envp && n < MAX_VARIABLES - 4; envp++)
		if (is_kept(*envp))
			environment[n++] = *envp;
	if (sys(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, (long)limit, 0, 0) == 0) {
		end = append_number(end_of(limits), limit[0]);
		*end++ = ':';
		append_number(end, limit[1]);
		environment[n++] = limits;
	}
	while (sys(__NR_fcntl, 3 + following, F_GETFD, 0, 0, 0, 0) >= 0)
		following++;
	append_number(end_of(inherited), (uint64_t)following);
	environment[n++] = inherited;
	environment[n++] = interpreted;
	sys(__NR_execve, (long)engine, (long)argv, (long)environment, 0, 0, 0);
	fail("berth: cannot execute libexec/berth beside this program: is the installation complete?\n");
}

ENTRY;
