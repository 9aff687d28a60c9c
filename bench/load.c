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
 * The ramp is the exception: there the clients have their first reply, rest for the time of the
 * warm-up, and the window opens right before they all ask at once.
 *
 * With --requests N the clients make N in all, an equal share each and in step (lane.c). The window
 * opens before they ask for the second time, and closes when the last has its reply; all_requests has
 * the first ones too.
 *
 * With --firehoses N so many more clients stream from the warm-up on, and are no part of the figures
 * but of one of their own; --firehose is one.
 *
 * The result is one line of name=value (report.c), for run.sh to collect.  The status is 0, or 1
 * when there was any error: a figure of a server that does not answer right is worth nothing, so it
 * is printed but the run fails.
 */
#include "child.h"
#include "clients.h"
#include "hose.h"
#include "meter.h"
#include "ramp.h"
#include "report.h"
#include "servers/contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READY_SECONDS 30
#define READING_NS 500000
#define READING_TRIES 10

struct options {
	struct load load;
	double warmup;
	double seconds;
	int pin;
	unsigned firehoses; /* so many more clients stream meanwhile */
	char **command;
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
static int read_all(
	pid_t pid, const struct clients *clients, const struct hose *hose, struct reading *reading)
{
	int tries = READING_TRIES;

	if (meter_ticks(pid, &reading->user, &reading->system) != 0) {
		return -1;
	}
	do {
		reading->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
		reading->time = read_clock(CLOCK_MONOTONIC);
		reading->requests = clients_completed(clients);
		reading->echoed = hose ? hose_echoed(hose) : 0;
		if (meter_cpu(pid, &reading->server_cpu) != 0) {
			return -1;
		}
	} while (read_clock(CLOCK_MONOTONIC) - reading->time > READING_NS && --tries > 0);
	return 0;
}

/* Without a warm-up: the load begins when the window is open. */
static int begins_cold(const struct load *load)
{
	return load->shape == SHAPE_RAMP || load->requests > 0;
}

/* The warm-up is over when this begins, where there is one. */
static int measure(const struct options *options, pid_t pid, struct clients *clients,
	const struct hose *hose, struct figures *figures)
{
	struct meter_tasks before, after;
	uint64_t requests;
	int failed;

	failed = meter_tasks(pid, &before);
	requests = clients_completed(clients);
	clients_record(clients, 1);
	failed |= read_all(pid, clients, hose, &figures->begin);
	if (begins_cold(&options->load)) {
		clients_go(clients);
	}
	if (options->load.requests > 0) {
		clients_wait(clients);
	} else {
		pause_for(options->seconds);
	}
	failed |= read_all(pid, clients, hose, &figures->end);
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

static void warm_up_and_measure(const struct options *options, const struct child *child,
	struct clients *clients, struct figures *figures)
{
	struct hose *hose = NULL;

	if (options->firehoses > 0) {
		hose = hose_start(child->port, options->firehoses);
	}

	if (!begins_cold(&options->load)) {
		clients_go(clients);
	}
	if (options->load.requests == 0) {
		pause_for(options->warmup);
	}
	if (measure(options, child->pid, clients, hose, figures) != 0) {
		figures->server_errors++;
	}
	figures->firehose = options->firehoses > 0;
	if (options->firehoses > 0 && (!hose || hose_finish(hose) != 0)) {
		figures->server_errors++;
	}
}

static int run(const struct options *options, struct figures *figures)
{
	struct load load = options->load;
	struct clients *clients;
	struct child child;

	if (child_start(&child, options->command, options->pin ? 0 : -1) != 0) {
		return -1;
	}
	if (options->pin && child_pin_generator() != 0) {
		(void)child_stop(&child);
		return -1;
	}
	load.port = child.port;
	clients = clients_start(&load);
	if (!clients) {
		(void)child_stop(&child);
		return -1;
	}
	if (clients_ready(clients, READY_SECONDS) == 0) {
		warm_up_and_measure(options, &child, clients, figures);
	}
	figures->all_requests = clients_completed(clients);
	clients_finish(clients, &figures->results);
	if (child_stop(&child) != 0) {
		figures->server_errors++;
	}
	return 0;
}

static enum shape shape_value(int argc, char **argv, int *index)
{
	static const char *const names[] = {"keep", "connect", "idle", "ramp"};
	const char *text = contract_value(argc, argv, index);
	int shape;

	for (shape = 0; shape < 4; shape++) {
		if (strcmp(text, names[shape]) == 0) {
			return (enum shape)shape;
		}
	}
	contract_usage(argv[0], text);
}

/* 1: it was one of the load's options. */
static int load_option(struct load *load, int argc, char **argv, int *index)
{
	static const char *const names[] = {
		"--clients", "--threads", "--size", "--pipeline", "--mark", "--rate", "--requests"};
	static const unsigned long max[] = {
		1000000, 64, REQUEST_MAX_SIZE, REQUEST_MAX_SIZE, 100, 1000000, 1000000000};
	unsigned *const numbers[] = {&load->clients, &load->threads, &load->request.size,
		&load->request.pipeline, &load->request.mark, &load->rate, &load->requests};
	size_t option;

	for (option = 0; option < sizeof(names) / sizeof(*names); option++) {
		if (strcmp(argv[*index], names[option]) == 0) {
			*numbers[option] = (unsigned)contract_number(argc, argv, index, max[option]);
			return 1;
		}
	}
	return 0;
}

/* Ends the program when the options do not go together. */
static void complete_load(struct options *options, const char *program)
{
	struct load *load = &options->load;
	struct request *request = &load->request;
	size_t least = request->mark > 0 ? REQUEST_MIN_MARKED : REQUEST_MIN_SIZE;

	if (request->pipeline > 1) {
		request->lines = 1;
	}
	if (request->lines) {
		least++; /* for the LF */
	}
	if (load->clients == 0 || load->threads == 0 || request->size < least
		|| request->pipeline == 0) {
		contract_usage(program, "a number is too small");
	}
	if (request_bytes(request) > REQUEST_MAX_SIZE) {
		contract_usage(program, "too much at once");
	}
	if (request->pipeline > 1 && (request->mark > 0 || load->shape == SHAPE_CONNECT)) {
		contract_usage(program, "--pipeline goes with neither --mark nor --shape connect");
	}
	if (load->rate > 0 && load->shape != SHAPE_KEEP) {
		contract_usage(program, "--rate goes with --shape keep only");
	}
	if (load->requests > 0
		&& (load->rate > 0 || (load->shape != SHAPE_KEEP && load->shape != SHAPE_CONNECT))) {
		contract_usage(program, "--requests goes with --shape keep or connect, without --rate");
	}
	if (load->shape == SHAPE_RAMP) {
		load->bins = (size_t)(options->seconds * 1e9 / RAMP_BIN_NS);
	}
}

static void parse(struct options *options, int argc, char **argv)
{
	struct load *load = &options->load;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--shape") == 0) {
			load->shape = shape_value(argc, argv, &i);
		} else if (load_option(load, argc, argv, &i)) {
			continue;
		} else if (strcmp(argv[i], "--warmup") == 0) {
			options->warmup = contract_seconds(argc, argv, &i);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			options->seconds = contract_seconds(argc, argv, &i);
		} else if (strcmp(argv[i], "--patience") == 0) {
			load->patience = contract_seconds(argc, argv, &i);
		} else if (strcmp(argv[i], "--lines") == 0) {
			load->request.lines = 1;
		} else if (strcmp(argv[i], "--firehose") == 0) {
			options->firehoses = 1;
		} else if (strcmp(argv[i], "--firehoses") == 0) {
			options->firehoses = (unsigned)contract_number(argc, argv, &i, 1000);
		} else if (strcmp(argv[i], "--pin") == 0) {
			options->pin = 1;
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	if (i + 1 >= argc) {
		contract_usage(argv[0], "no server: -- COMMAND is missing");
	}
	complete_load(options, argv[0]);
	options->command = argv + i + 1;
}

int main(int argc, char **argv)
{
	static struct figures figures;
	struct options options = {
		.load = {.shape = SHAPE_KEEP,
			.clients = 1,
			.threads = 1,
			.patience = 3,
			.request = {.size = 32, .pipeline = 1}},
		.warmup = 0.5,
		.seconds = 2,
	};

	parse(&options, argc, argv);
	child_raise_files();
	if (run(&options, &figures) != 0) {
		return 1;
	}
	return report(&options.load, &figures) == 0 ? 0 : 1;
}
