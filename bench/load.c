/*
 * load: one run of one load against one server, and what it cost.
 *
 *   load --shape keep --clients 64 -- ./server --mode echo --port 0
 *
 * It starts the server, lets every client have its first reply, warms up, and then measures a
 * window from within the running load: the server's CPU clock and the count of replies are read
 * together right before and right after, so neither start-up nor end is in the figures.  The slow
 * readings (threads, memory) lie outside of that window, with the load still on.
 *
 * The result is one line of name=value, for run.sh to collect; "na" is a figure that cannot be
 * had.  The status is 0, or 1 when there was any error: a figure of a server that does not
 * answer right is worth nothing, so it is printed but the run fails.
 */
#include "child.h"
#include "clients.h"
#include "contract.h"
#include "meter.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define READY_SECONDS 30
#define READING_NS 500000
#define READING_TRIES 10

struct options {
	struct load load;
	double warmup;
	double seconds;
	int pin;
	char **command;
};

struct reading {
	uint64_t time;
	uint64_t server_cpu;
	uint64_t own_cpu;
	uint64_t requests;
	uint64_t user;
	uint64_t system;
};

struct figures {
	struct reading begin;
	struct reading end;
	struct meter_memory memory;
	int64_t switches; /* -1: not known */
	uint64_t switch_requests; /* served while those were counted */
	struct hist hist;
	uint64_t errors[CLIENT_ERROR_KINDS];
	uint64_t server_errors;
};

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pause_for(double seconds)
{
	uint64_t when = read_clock(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	struct timespec time = {
		.tv_sec = (time_t)(when / 1000000000u), .tv_nsec = (long)(when % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
		continue;
	}
}

/* What must be read together, is: when the generator was held up in between, it is read again.
 * The ticks are only a proportion, so they may stand outside. */
static int read_all(pid_t pid, const struct clients *clients, struct reading *reading)
{
	int tries = READING_TRIES;

	if (meter_ticks(pid, &reading->user, &reading->system) != 0) {
		return -1;
	}
	do {
		reading->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
		reading->time = read_clock(CLOCK_MONOTONIC);
		reading->requests = clients_completed(clients);
		if (meter_cpu(pid, &reading->server_cpu) != 0) {
			return -1;
		}
	} while (read_clock(CLOCK_MONOTONIC) - reading->time > READING_NS && --tries > 0);
	return 0;
}

static int measure(
	const struct options *options, pid_t pid, struct clients *clients, struct figures *figures)
{
	struct meter_tasks before, after;
	uint64_t requests;
	int failed;

	failed = meter_tasks(pid, &before);
	requests = clients_completed(clients);
	clients_record(clients, 1);
	failed |= read_all(pid, clients, &figures->begin);
	pause_for(options->seconds);
	failed |= read_all(pid, clients, &figures->end);
	clients_record(clients, 0);
	failed |= meter_memory(pid, &figures->memory);
	failed |= meter_tasks(pid, &after);
	figures->switch_requests = clients_completed(clients) - requests;
	figures->switches = meter_switches(&before, &after, figures->switch_requests);
	meter_free(&before);
	meter_free(&after);
	if (failed) {
		fprintf(stderr, "load: the server's accounting cannot be read\n");
	}
	return failed;
}

static int run(const struct options *options, struct figures *figures)
{
	struct load load = options->load;
	struct clients *clients;
	struct child child;

	if (child_start(&child, options->command, options->pin ? 0 : -1) != 0) {
		return -1;
	}
	if (options->pin) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(1, &one);
		if (sched_setaffinity(0, sizeof(one), &one) != 0) {
			perror("load: cannot pin itself");
			(void)child_stop(&child);
			return -1;
		}
	}
	load.port = child.port;
	clients = clients_start(&load);
	if (!clients) {
		(void)child_stop(&child);
		return -1;
	}
	if (clients_ready(clients, READY_SECONDS) == 0) {
		pause_for(options->warmup);
		if (measure(options, child.pid, clients, figures) != 0) {
			figures->server_errors++;
		}
	}
	clients_finish(clients, &figures->hist, figures->errors);
	if (child_stop(&child) != 0) {
		figures->server_errors++;
	}
	return 0;
}

/* A ratio as text, or "na". */
static void print_ratio(const char *name, double above, double below, double factor)
{
	if (below > 0) {
		printf(" %s=%.3f", name, above / below * factor);
	} else {
		printf(" %s=na", name);
	}
}

static void print_latency(const char *name, const struct hist *hist, uint64_t ppm)
{
	print_ratio(name, (double)hist_quantile(hist, ppm), hist->count ? 1000 : 0, 1);
}

/* Returns how many errors there were. */
static uint64_t print_errors(const struct options *options, const struct figures *figures)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		CLIENT_ERRORS(X)
#undef X
	};
	uint64_t all = figures->server_errors;
	int kind;

	for (kind = 0; kind < CLIENT_ERROR_KINDS; kind++) {
		all += figures->errors[kind];
	}
	/* Silence is an error too, however it came about. */
	if (figures->end.requests == figures->begin.requests && options->load.shape != SHAPE_IDLE
		&& all == 0) {
		all = 1;
	}
	printf(" errors=%" PRIu64, all);
	for (kind = 0; kind < CLIENT_ERROR_KINDS; kind++) {
		printf(" %s=%" PRIu64, names[kind], figures->errors[kind]);
	}
	printf(" server_failed=%" PRIu64 "\n", figures->server_errors);
	return all;
}

static uint64_t print(const struct options *options, const struct figures *figures)
{
	const struct reading *begin = &figures->begin;
	const struct reading *end = &figures->end;
	double requests = (double)(end->requests - begin->requests);
	double time = (double)(end->time - begin->time);
	double cpu = (double)(end->server_cpu - begin->server_cpu);
	double system = (double)(end->system - begin->system);
	double ticks = (double)(end->user - begin->user) + system;

	printf("clients=%u requests=%.0f seconds=%.3f cpu_ms=%.3f", options->load.clients, requests,
		time / 1e9, cpu / 1e6);
	print_ratio("cpu_us_per_request", cpu, requests, 1e-3);
	print_ratio("system_percent", system, ticks, 100);
	print_ratio("requests_per_s", requests, time, 1e9);
	print_latency("p50_us", &figures->hist, 500000);
	print_latency("p99_us", &figures->hist, 990000);
	print_latency("p999_us", &figures->hist, 999000);
	if (figures->switches < 0) {
		printf(" switches_per_request=na switches=na");
	} else {
		print_ratio(
			"switches_per_request", (double)figures->switches, (double)figures->switch_requests, 1);
		printf(" switches=%" PRId64, figures->switches);
	}
	printf(" rss_kib=%" PRIu64 " anon_kib=%" PRIu64 " exact_rss_kib=%" PRIu64
		   " exact_anon_kib=%" PRIu64 " threads=%" PRIu64,
		figures->memory.rss_kib, figures->memory.anon_kib, figures->memory.exact_rss_kib,
		figures->memory.exact_anon_kib, figures->memory.threads);
	print_ratio("generator_percent", (double)(end->own_cpu - begin->own_cpu),
		time * options->load.threads, 100);
	return print_errors(options, figures);
}

static double seconds_value(int argc, char **argv, int *index)
{
	const char *text = contract_value(argc, argv, index);
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value < 0 || value > 3600) {
		contract_usage(argv[0], text);
	}
	return value;
}

static enum shape shape_value(int argc, char **argv, int *index)
{
	static const char *const names[] = {"keep", "connect", "idle"};
	const char *text = contract_value(argc, argv, index);
	int shape;

	for (shape = 0; shape < 3; shape++) {
		if (strcmp(text, names[shape]) == 0) {
			return (enum shape)shape;
		}
	}
	contract_usage(argv[0], text);
}

static void parse(struct options *options, int argc, char **argv)
{
	struct load *load = &options->load;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--shape") == 0) {
			load->shape = shape_value(argc, argv, &i);
		} else if (strcmp(argv[i], "--clients") == 0) {
			load->clients = (unsigned)contract_number(argc, argv, &i, 1000000);
		} else if (strcmp(argv[i], "--threads") == 0) {
			load->threads = (unsigned)contract_number(argc, argv, &i, 64);
		} else if (strcmp(argv[i], "--size") == 0) {
			load->size = contract_number(argc, argv, &i, CLIENTS_MAX_SIZE);
		} else if (strcmp(argv[i], "--warmup") == 0) {
			options->warmup = seconds_value(argc, argv, &i);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			options->seconds = seconds_value(argc, argv, &i);
		} else if (strcmp(argv[i], "--patience") == 0) {
			load->patience = seconds_value(argc, argv, &i);
		} else if (strcmp(argv[i], "--pin") == 0) {
			options->pin = 1;
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	if (i + 1 >= argc) {
		contract_usage(argv[0], "no server: -- COMMAND is missing");
	}
	if (load->clients == 0 || load->threads == 0 || load->size < CLIENTS_MIN_SIZE) {
		contract_usage(argv[0], "a number is too small");
	}
	options->command = argv + i + 1;
}

int main(int argc, char **argv)
{
	static struct figures figures;
	struct options options = {
		.load = {.shape = SHAPE_KEEP, .clients = 1, .threads = 1, .size = 32, .patience = 3},
		.warmup = 0.5,
		.seconds = 2,
	};
	struct rlimit files;

	parse(&options, argc, argv);
	/* For itself, and for the server, which inherits it. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (run(&options, &figures) != 0) {
		return 1;
	}
	return print(&options, &figures) == 0 ? 0 : 1;
}
