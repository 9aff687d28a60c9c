/*
 * Starting and ending the server under test.
 *
 * The generator starts the server itself rather than a script: so the process id is right by
 * construction, the port is read from a pipe with a time limit, the exit status is seen, and
 * whatever becomes of the generator, the kernel ends the server with it (PR_SET_PDEATHSIG), so
 * that an interrupted benchmark leaves nothing behind.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 10000
#define STOP_MS 10000
#define LOOK_MS 2

static _Noreturn void become(char **command, pid_t parent, int output, int cpu)
{
	cpu_set_t one;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A handler that sleeps 40 us shall not sleep 90: the slack is inherited by every thread. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (getppid() != parent) { /* it died before it could take us along */
		_exit(127);
	}
	CPU_ZERO(&one);
	if (cpu >= 0) {
		CPU_SET((unsigned)cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) != 0) {
			perror("cannot pin the server");
			_exit(127);
		}
	}
	if (dup2(output, STDOUT_FILENO) >= 0) {
		execvp(command[0], command);
	}
	fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
	_exit(127);
}

/* One line, or less at the end of the output or of the time. */
static void read_line(int fd, char *line, size_t size)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	size_t used = 0;

	while (used + 1 < size && poll(&readable, 1, START_MS) == 1) {
		if (read(fd, line + used, 1) != 1 || line[used] == '\n') {
			break;
		}
		used++;
	}
	line[used] = '\0';
}

int child_start(struct child *child, char **command, int cpu)
{
	pid_t parent = getpid();
	char line[64];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0) {
		perror("pipe");
		return -1;
	}
	child->pid = fork();
	if (child->pid == 0) {
		become(command, parent, ends[1], cpu);
	}
	close(ends[1]);
	if (child->pid < 0) {
		perror("fork");
		close(ends[0]);
		return -1;
	}
	read_line(ends[0], line, sizeof(line));
	close(ends[0]);
	if (sscanf(line, "port %u", &child->port) != 1 || child->port > 65535) {
		fprintf(stderr, "%s did not tell its port\n", command[0]);
		(void)child_stop(child);
		return -1;
	}
	return 0;
}

static int ended(pid_t pid, int *status, int wait_ms)
{
	static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000 * 1000};

	for (; wait_ms > 0; wait_ms -= LOOK_MS) {
		if (waitpid(pid, status, WNOHANG) == pid) {
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

int child_stop(struct child *child)
{
	int status = 0;

	/* It is our child and not waited for yet, so its number cannot be anybody else's. */
	kill(child->pid, SIGTERM);
	if (!ended(child->pid, &status, STOP_MS)) {
		fprintf(stderr, "the server did not end on SIGTERM: killed\n");
		kill(child->pid, SIGKILL);
		waitpid(child->pid, &status, 0);
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) {
		return 0;
	}
	if (WIFEXITED(status)) {
		fprintf(stderr, "the server ended with status %d\n", WEXITSTATUS(status));
	} else {
		fprintf(stderr, "the server was ended by signal %d\n", WTERMSIG(status));
	}
	return -1;
}

int child_pin_generator(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0) {
		perror("cannot pin the generator");
		return -1;
	}
	return 0;
}

void child_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}
