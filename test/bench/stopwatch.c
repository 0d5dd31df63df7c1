/*
 * stopwatch [-t] FILE COMMAND [ARGUMENT...]: runs a command and writes "nanoseconds max-rss-kilobytes wait-status" to FILE.
 * With -t, the command is on a terminal, made before the time begins. Nobody reads there: what it shows must be little.
 *
 * A program of its own, and a small one: it costs every contestant the same fraction of a millisecond, and the maximal
 * resident size that wait4(2) gives starts from that of the process that called vfork, which of Bun would be a hundred MB.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The slave of a new terminal, which becomes the controlling one of this process's session. The master stays open. */
static int terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || setsid() < 0)
		return -1;
	return open(ptsname(master), O_RDWR | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	int status = 0, file, slave = -1;
	long long start;
	struct rusage usage;
	pid_t child;

	if (argc > 1 && strcmp(argv[1], "-t") == 0) {
		argc--, argv++;
		if (fork() != 0) /* who leads a process group cannot begin a session */
			return wait(&status) < 0 || status != 0 ? 2 : 0;
		if ((slave = terminal()) < 0)
			return 2;
	}
	if (argc < 3 || (file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return 2;
	if (slave >= 0 && (dup2(slave, 0) < 0 || dup2(slave, 1) < 0))
		return 2;
	start = now();
	child = vfork();
	if (child == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) != child)
		return 2;
	dprintf(file, "%lld %ld %d\n", now() - start, usage.ru_maxrss, status);
	return 0;
}
