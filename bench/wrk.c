/*
 * wrk: one run of wrk, the HTTP load generator, against one server, and what it cost.
 *
 *   wrk --clients 64 --seconds 1 -- ./server --port 0
 *
 * It starts the server, looks at one response, lets wrk warm it up, and then measures a run of wrk
 * as a whole: the server's CPU clock is read before wrk starts and after its clients are gone, once
 * the server has come to rest.  wrk tells how many requests it made in all and nothing in between,
 * so only so do the two belong together.  Hence connecting and closing is in the figures: with 64
 * clients and 50,000 requests that is nothing, with 10,000 clients it takes a run of many seconds.
 * What cannot be read from a server at rest, its memory and context switches, is read with the
 * load on; the requests to those switches are by the mean pace.
 *
 * wrk takes whole seconds only, but ends properly on SIGINT, within 100 ms: so it is told more than
 * is wanted, and interrupted.  The time of the figures is the one that it took by its own clock.
 *
 * wrk's latencies are not the ones that `load` reports.  It corrects them for coordinated omission,
 * without being asked (stats_correct in its source, since 4.0.0; Debian's 4.1.0 leaves that as it
 * is): to each latency of more than twice a client's mean time per request it adds made-up ones,
 * shorter by once, twice, ... that mean, for the requests that a client with a clock would have
 * made meanwhile.  The median hardly changes; p99 and p999 are higher, by a lot where few requests
 * are very slow.  So compare them with each other only.
 *
 * The result is the line that `load` prints as well (report.c).  Of the errors, "refused" is wrk's
 * connect; "reset" its read and write, where the end of the stream in the middle of a response is
 * one, too, and a server that does not keep connections; "wrong" a status of 400 and above, or the
 * first response; "lost" a reply after two seconds or not at all (wrk.lua).  The status is 1 when
 * there was any.
 */
#include "child.h"
#include "http.h"
#include "meter.h"
#include "report.h"
#include "servers/contract.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REST_SECONDS 0.02
#define REST_NS 200000 /* of CPU meanwhile, at most, is at rest */
#define REST_TRIES 100
#define SPARE_SECONDS 5 /* for wrk to go on until it is interrupted */
#define SHORTEST 0.1 /* wrk shall be up before it is interrupted */

struct options {
	unsigned clients;
	unsigned threads;
	double warmup;
	double seconds;
	int pin;
	char **command;
};

/* wrk as a child process. */
struct wrk {
	pid_t pid;
	int output;
};

struct outcome {
	uint64_t requests;
	uint64_t microseconds;
	uint64_t p50, p99, p999;
	uint64_t connect, read, write, status, timeout, waiting, reconnected;
	uint64_t cpu;
};

/* What is read with the load on. */
struct midway {
	struct meter_tasks before, after;
	uint64_t between; /* in ns */
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pause_for(double seconds)
{
	uint64_t nanoseconds = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
	struct timespec left = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
		.tv_nsec = (long)(nanoseconds % 1000000000u)};

	while (nanosleep(&left, &left) != 0 && errno == EINTR) {
		continue;
	}
}

static _Noreturn void become_wrk(
	const struct options *options, unsigned port, double seconds, int output)
{
	char clients[32], threads[32], duration[32], url[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(clients, sizeof(clients), "%u", options->clients);
	snprintf(threads, sizeof(threads), "%u", options->threads);
	snprintf(duration, sizeof(duration), "%.0f", ceil(seconds) + SPARE_SECONDS);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	setenv("WRK_CLIENTS", clients, 1);
	if (dup2(output, STDOUT_FILENO) >= 0) {
		execlp("wrk", "wrk", "-c", clients, "-t", threads, "-d", duration, "-s", WRK_SCRIPT, url,
			(char *)NULL);
	}
	perror("wrk");
	_exit(127);
}

static int start_wrk(struct wrk *wrk, const struct options *options, unsigned port, double seconds)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0) {
		perror("pipe");
		return -1;
	}
	wrk->output = ends[0];
	wrk->pid = fork();
	if (wrk->pid == 0) {
		become_wrk(options, port, seconds, ends[1]);
	}
	close(ends[1]);
	if (wrk->pid < 0) {
		perror("fork");
		close(ends[0]);
		return -1;
	}
	return 0;
}

static int parse_figures(const char *line, struct outcome *outcome)
{
	struct outcome *o = outcome;

	return sscanf(line,
			   "figures requests=%" SCNu64 " us=%" SCNu64 " p50=%" SCNu64 " p99=%" SCNu64
			   " p999=%" SCNu64 " connect=%" SCNu64 " read=%" SCNu64 " write=%" SCNu64
			   " status=%" SCNu64 " timeout=%" SCNu64 " waiting=%" SCNu64 " reconnected=%" SCNu64,
			   &o->requests, &o->microseconds, &o->p50, &o->p99, &o->p999, &o->connect, &o->read,
			   &o->write, &o->status, &o->timeout, &o->waiting, &o->reconnected)
			== 12
		? 0
		: -1;
}

/* Closes the file descriptor. */
static int read_figures(int fd, struct outcome *outcome)
{
	char line[512];
	int found = -1;
	FILE *file = fdopen(fd, "r");

	if (!file) {
		close(fd);
		return -1;
	}
	while (fgets(line, sizeof(line), file)) {
		if (parse_figures(line, outcome) == 0) {
			found = 0;
		}
	}
	fclose(file);
	return found;
}

static uint64_t time_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static int finish_wrk(const struct wrk *wrk, struct outcome *outcome)
{
	struct rusage usage;
	int status, found;

	kill(wrk->pid, SIGINT);
	found = read_figures(wrk->output, outcome);
	if (wait4(wrk->pid, &status, 0, &usage) != wrk->pid || status != 0 || found != 0) {
		fprintf(stderr, "wrk has failed\n");
		return -1;
	}
	outcome->cpu = time_ns(usage.ru_utime) + time_ns(usage.ru_stime);
	return 0;
}

/* Until the server is done with what wrk has left it, starting or closing. */
static int read_at_rest(pid_t pid, struct reading *reading)
{
	uint64_t before = 0;
	int tries;

	for (tries = 0; tries < REST_TRIES; tries++) {
		if (meter_cpu(pid, &reading->server_cpu) != 0) {
			return -1;
		}
		if (tries > 0 && reading->server_cpu - before < REST_NS) {
			break;
		}
		before = reading->server_cpu;
		pause_for(REST_SECONDS);
	}
	return meter_ticks(pid, &reading->user, &reading->system);
}

/* The switches are those of the last three quarters, when all clients have long been connected. */
static int read_midway(pid_t pid, double seconds, struct midway *midway, struct figures *figures)
{
	uint64_t start = now();
	uint64_t begin;
	int failed;

	pause_for(seconds / 4);
	begin = now();
	failed = meter_tasks(pid, &midway->before);
	pause_for(seconds - (double)(now() - start) / 1e9); /* many threads took their time */
	failed |= meter_memory(pid, &figures->memory);
	midway->between = now() - begin;
	failed |= meter_tasks(pid, &midway->after);
	return failed;
}

static void add_outcome(
	const struct outcome *outcome, struct midway *midway, struct figures *figures)
{
	uint64_t *errors = figures->results.errors;

	figures->end.requests = outcome->requests;
	figures->end.time = outcome->microseconds * 1000;
	figures->end.own_cpu = outcome->cpu;
	figures->all_requests += outcome->requests;
	errors[CLIENT_REFUSED] += outcome->connect;
	errors[CLIENT_RESET] += outcome->read + outcome->write + outcome->reconnected;
	errors[CLIENT_WRONG] += outcome->status;
	errors[CLIENT_LOST] += outcome->timeout + outcome->waiting;
	if (outcome->reconnected) {
		fprintf(stderr, "the server has closed connections that should be kept\n");
	}
	figures->switch_requests = (uint64_t)((double)outcome->requests * (double)midway->between
		/ (double)figures->end.time);
	figures->switches = meter_switches(&midway->before, &midway->after, figures->switch_requests);
}

/* Failures of the server's accounting are the server's: it is not there any more. */
static int measure(const struct options *options, const struct child *child,
	struct outcome *outcome, struct figures *figures)
{
	struct midway midway = {.between = 0};
	struct wrk wrk;
	int failed;

	failed = read_at_rest(child->pid, &figures->begin);
	if (start_wrk(&wrk, options, child->port, options->seconds) != 0) {
		return -1;
	}
	failed |= read_midway(child->pid, options->seconds, &midway, figures);
	if (finish_wrk(&wrk, outcome) != 0) {
		failed = -1;
	} else {
		failed |= read_at_rest(child->pid, &figures->end);
		add_outcome(outcome, &midway, figures);
	}
	meter_free(&midway.before);
	meter_free(&midway.after);
	return failed;
}

static int warm_up(const struct options *options, unsigned port, struct figures *figures)
{
	struct outcome outcome;
	struct wrk wrk;

	if (options->warmup == 0) {
		return 0;
	}
	if (start_wrk(&wrk, options, port, options->warmup) != 0) {
		return -1;
	}
	pause_for(options->warmup);
	if (finish_wrk(&wrk, &outcome) != 0) {
		return -1;
	}
	figures->all_requests += outcome.requests;
	return 0;
}

static void run_load(const struct options *options, const struct child *child,
	struct outcome *outcome, struct figures *figures)
{
	enum client_error error = http_check(child->port);

	if (error != CLIENT_ERROR_KINDS) {
		figures->results.errors[error]++;
		return;
	}
	figures->all_requests++;
	if (warm_up(options, child->port, figures) != 0
		|| measure(options, child, outcome, figures) != 0) {
		figures->server_errors++;
	}
}

static int run(const struct options *options, struct outcome *outcome, struct figures *figures)
{
	struct child child;

	if (child_start(&child, options->command, options->pin ? 0 : -1) != 0) {
		return -1;
	}
	if (options->pin && child_pin_generator() != 0) { /* wrk inherits it */
		(void)child_stop(&child);
		return -1;
	}
	run_load(options, &child, outcome, figures);
	if (child_stop(&child) != 0) {
		figures->server_errors++;
	}
	return 0;
}

static void parse(struct options *options, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--clients") == 0) {
			options->clients = (unsigned)contract_number(argc, argv, &i, 1000000);
		} else if (strcmp(argv[i], "--threads") == 0) {
			options->threads = (unsigned)contract_number(argc, argv, &i, 64);
		} else if (strcmp(argv[i], "--warmup") == 0) {
			options->warmup = contract_seconds(argc, argv, &i);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			options->seconds = contract_seconds(argc, argv, &i);
		} else if (strcmp(argv[i], "--pin") == 0) {
			options->pin = 1;
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	if (options->threads == 0 || options->clients == 0 || options->seconds < SHORTEST
		|| (options->warmup > 0 && options->warmup < SHORTEST)) {
		contract_usage(argv[0], "too few, or too short");
	}
	/* wrk gives each thread as many clients. */
	while (options->clients % options->threads != 0) {
		options->threads--;
	}
	if (i + 1 >= argc) {
		contract_usage(argv[0], "no server: -- COMMAND is missing");
	}
	options->command = argv + i + 1;
}

static void print_latencies(const struct outcome *outcome)
{
	if (outcome->requests == 0) {
		printf(" p50_us=na p99_us=na p999_us=na");
		return;
	}
	printf(" p50_us=%" PRIu64 " p99_us=%" PRIu64 " p999_us=%" PRIu64, outcome->p50, outcome->p99,
		outcome->p999);
}

int main(int argc, char **argv)
{
	static struct figures figures;
	struct outcome outcome = {.requests = 0};
	struct options options = {.clients = 1, .threads = 1, .warmup = 0.5, .seconds = 2};
	struct load load = {.shape = SHAPE_KEEP};

	parse(&options, argc, argv);
	child_raise_files(); /* wrk inherits it, too */
	if (run(&options, &outcome, &figures) != 0) {
		return 1;
	}
	load.clients = options.clients;
	load.threads = options.threads;
	report_begin(&load, &figures);
	print_latencies(&outcome);
	return report_end(&load, &figures) == 0 ? 0 : 1;
}
