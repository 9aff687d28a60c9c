/*
 * The line that a run ends with.
 *
 * Times in it are per request where requests were made, since that is what can be compared: the
 * server's CPU by its exact clock, and that figure split in user and system by the kernel's ticks,
 * a sample of which needs some seconds of CPU to be good for a digit.  Percentiles are given of all
 * requests and of the unmarked ones alone ("fast"), which is what those that did not ask for
 * anything slow have to bear.  By the clock they count from when a request was due; "late" is how
 * much of that was the generator's own.
 */
#include "report.h"

#include "ramp.h"

#include <inttypes.h>
#include <stdio.h>

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
static uint64_t print_errors(const struct load *load, const struct figures *figures)
{
	static const char *const names[] = {
#define X(id, name, text) name,
		CLIENT_ERRORS(X)
#undef X
	};
	uint64_t all = figures->server_errors;
	int kind;

	for (kind = 0; kind < CLIENT_ERROR_KINDS; kind++) {
		all += figures->results.errors[kind];
	}
	/* Silence is an error too, however it came about. */
	if (figures->end.requests == figures->begin.requests && load->shape != SHAPE_IDLE && all == 0) {
		all = 1;
	}
	printf(" errors=%" PRIu64, all);
	for (kind = 0; kind < CLIENT_ERROR_KINDS; kind++) {
		printf(" %s=%" PRIu64, names[kind], figures->results.errors[kind]);
	}
	printf(" server_failed=%" PRIu64 "\n", figures->server_errors);
	return all;
}

static void print_latencies(const struct results *results)
{
	static struct hist all; /* too large for the stack */

	hist_merge(&all, &results->hist[0]);
	hist_merge(&all, &results->hist[1]);
	print_latency("p50_us", &all, 500000);
	print_latency("p99_us", &all, 990000);
	print_latency("p999_us", &all, 999000);
	print_latency("fast_p50_us", &results->hist[0], 500000);
	print_latency("fast_p99_us", &results->hist[0], 990000);
	print_latency("fast_p999_us", &results->hist[0], 999000);
	print_latency("slow_p50_us", &results->hist[1], 500000);
	print_latency("late_p50_us", &results->late, 500000);
	print_latency("late_p99_us", &results->late, 990000);
	printf(" fast=%" PRIu64 " slow=%" PRIu64 " missed=%" PRIu64, results->hist[0].count,
		results->hist[1].count, results->missed);
}

static void print_costs(const struct reading *begin, const struct reading *end)
{
	double requests = (double)(end->requests - begin->requests);
	double time = (double)(end->time - begin->time);
	double cpu = (double)(end->server_cpu - begin->server_cpu);
	double user = (double)(end->user - begin->user);
	double system = (double)(end->system - begin->system);
	double ticks = user + system;

	printf(" requests=%.0f seconds=%.3f cpu_ms=%.3f", requests, time / 1e9, cpu / 1e6);
	print_ratio("cpu_us_per_request", cpu, requests, 1e-3);
	print_ratio(
		"user_ns_per_request", ticks > 0 ? user / ticks * cpu : 0, ticks > 0 ? requests : 0, 1);
	print_ratio("system_percent", system, ticks, 100);
	print_ratio("requests_per_s", requests, time, 1e9);
}

static void print_state(const struct figures *figures)
{
	const struct meter_memory *memory = &figures->memory;

	if (figures->switches < 0) {
		printf(" switches_per_request=na switches=na");
	} else {
		print_ratio(
			"switches_per_request", (double)figures->switches, (double)figures->switch_requests, 1);
		printf(" switches=%" PRId64, figures->switches);
	}
	printf(" rss_kib=%" PRIu64 " anon_kib=%" PRIu64 " exact_rss_kib=%" PRIu64
		   " exact_anon_kib=%" PRIu64 " threads=%" PRIu64,
		memory->rss_kib, memory->anon_kib, memory->exact_rss_kib, memory->exact_anon_kib,
		memory->threads);
}

static void print_ramp(const struct load *load, const struct results *results)
{
	int ramp = results->bins ? ramp_ms(results->bins, load->bins) : -1;

	if (ramp < 0) {
		printf(" ramp_ms=na");
	} else {
		printf(" ramp_ms=%d", ramp);
	}
}

void report_begin(const struct load *load, const struct figures *figures)
{
	printf("clients=%u", load->clients);
	print_costs(&figures->begin, &figures->end);
}

uint64_t report_end(const struct load *load, const struct figures *figures)
{
	const struct reading *begin = &figures->begin;
	const struct reading *end = &figures->end;

	print_state(figures);
	print_ramp(load, &figures->results);
	print_ratio("hose_mib_per_s", (double)(end->echoed - begin->echoed),
		figures->firehose ? (double)(end->time - begin->time) : 0, 1e9 / 1048576);
	print_ratio("generator_percent", (double)(end->own_cpu - begin->own_cpu),
		(double)(end->time - begin->time) * load->threads, 100);
	printf(" all_requests=%" PRIu64, figures->all_requests);
	return print_errors(load, figures);
}

uint64_t report(const struct load *load, const struct figures *figures)
{
	report_begin(load, figures);
	print_latencies(&figures->results);
	return report_end(load, figures);
}
