/*
 * stopwatch FILE COMMAND [ARGUMENT...]: runs a command and writes "nanoseconds max-rss-kilobytes wait-status" to FILE.
 *
 * A program of its own, and a small one: it costs every contestant the same fraction of a millisecond, and the maximal
 * resident size that wait4(2) gives starts from that of the process that called vfork, which of Bun would be a hundred MB.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
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

int main(int argc, char **argv)
{
	int status = 0, file;
	long long start;
	struct rusage usage;
	pid_t child;

	if (argc < 3 || (file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
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
