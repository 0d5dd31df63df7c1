/* A container's process that is a service: sends each argument as a message to NOTIFY_SOCKET. "@FILE" waits for that file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (!path || strlen(path) >= sizeof address.sun_path) {
		puts("no NOTIFY_SOCKET");
		return 2;
	}
	strcpy(address.sun_path, path);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '@') {
			while (access(argv[i] + 1, F_OK))
				usleep(1000);
			continue;
		}
		if (sendto(fd, argv[i], strlen(argv[i]), 0, (struct sockaddr *)&address, sizeof address) < 0) {
			perror("sendto");
			return 1;
		}
	}
	return 0;
}
