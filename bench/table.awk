# From the runs' name=value lines to the tables and the CSV file; run.sh calls it.
#
# -v yardstick=NAME  the server that ratios refer to
# -v csv=FILE        where each run goes, a line each
# The status is 1 when any run had an error.

BEGIN {
	names = "round load server status clients requests seconds cpu_ms cpu_us_per_request " \
		"system_percent requests_per_s p50_us p99_us p999_us switches_per_request switches rss_kib " \
		"anon_kib exact_rss_kib exact_anon_kib threads generator_percent errors refused reset " \
		"short wrong lost server_failed"
	fields = split(names, field, " ")
	line = field[1]
	for (i = 2; i <= fields; i++)
		line = line "," field[i]
	print line > csv
}

{
	split("", value)
	for (i = 1; i <= NF; i++) {
		at = index($i, "=")
		value[substr($i, 1, at - 1)] = substr($i, at + 1)
	}
	line = ""
	for (i = 1; i <= fields; i++) {
		if (!(field[i] in value))
			value[field[i]] = "na"
		line = line (i > 1 ? "," : "") value[field[i]]
	}
	print line > csv
	remember()
}

# figure[load, server, name, round] is what everything below is made of.
function remember(    load, server, name) {
	load = value["load"]
	server = value["server"]
	if (!(load in known_load)) {
		known_load[load] = 1
		loads[++load_count] = load
	}
	if (!((load, server) in known)) {
		known[load, server] = 1
		servers[load, ++server_count[load]] = server
	}
	for (name in value)
		figure[load, server, name, value["round"]] = value[name]
	if (value["round"] + 0 > rounds)
		rounds = value["round"] + 0
	if (value["status"] != 0 || value["errors"] != 0)
		failed = 1
	errors[load, server] += value["errors"]
}

# Sorts sample[1..count] and leaves low, middle and high.
function summarize(count,    i, j, swap) {
	for (i = 2; i <= count; i++)
		for (j = i; j > 1 && sample[j - 1] > sample[j]; j--) {
			swap = sample[j]
			sample[j] = sample[j - 1]
			sample[j - 1] = swap
		}
	low = sample[1]
	high = sample[count]
	middle = count % 2 ? sample[(count + 1) / 2] : (sample[count / 2] + sample[count / 2 + 1]) / 2
}

function text(format, with_range) {
	if (!with_range || rounds == 1)
		return sprintf(format, middle)
	return sprintf(format " (" format "-" format ")", middle, low, high)
}

# The figure over all rounds.  One that is "na" in any round has no median worth the name.
function over(load, server, name, scale, format, with_range,    round, x) {
	for (round = 1; round <= rounds; round++) {
		x = figure[load, server, name, round]
		if (x == "" || x == "na")
			return "na"
		sample[round] = x * scale
	}
	summarize(rounds)
	return text(format, with_range)
}

function ratio(load, server, name,    round, above, below) {
	for (round = 1; round <= rounds; round++) {
		above = figure[load, server, name, round]
		below = figure[load, yardstick, name, round]
		if (above == "" || above == "na" || below == "" || below == "na" || below + 0 == 0)
			return "na"
		sample[round] = above / below
	}
	summarize(rounds)
	return text("%.2f", server != yardstick)
}

# Where the kernel does not count pages, its estimate has to do.
function memory(load, server,    round) {
	for (round = 1; round <= rounds; round++)
		if (figure[load, server, "exact_rss_kib", round] + 0 == 0)
			return "rss_kib"
	return "exact_rss_kib"
}

function cost(load, server) {
	printf "%-14s %-14s %22s %18s %24s %7s %6s\n", load, server,
		over(load, server, "cpu_us_per_request", 1, "%.2f", 1),
		ratio(load, server, "cpu_us_per_request"),
		over(load, server, "requests_per_s", 1, "%.0f", 1),
		over(load, server, "system_percent", 1, "%.0f", 0),
		over(load, server, "generator_percent", 1, "%.0f", 0)
}

function latency(load, server) {
	printf "%-14s %-14s %22s %24s %8s %8s %8s %6d\n", load, server,
		over(load, server, "p50_us", 1, "%.0f", 1), over(load, server, "p99_us", 1, "%.0f", 1),
		over(load, server, "switches_per_request", 1, "%.2f", 0),
		over(load, server, "threads", 1, "%.0f", 0), over(load, server, "rss_kib", 1, "%.0f", 0),
		errors[load, server]
}

function idle(load, server,    name) {
	name = memory(load, server)
	printf "%-14s %-14s %20s %18s %8s %8s %8s %8s %8s %6d\n", load, server,
		over(load, server, name, 1, "%.0f", 1), ratio(load, server, name),
		over(load, server, "rss_kib", 1, "%.0f", 0), over(load, server, "anon_kib", 1, "%.0f", 0),
		over(load, server, "threads", 1, "%.0f", 0), over(load, server, "cpu_ms", 1, "%.2f", 0),
		over(load, server, "switches", 1, "%.0f", 0),
		errors[load, server]
}

function each(kind, header,    i, j, load, is_idle, printed) {
	for (i = 1; i <= load_count; i++) {
		load = loads[i]
		is_idle = load ~ /^idle/
		if ((kind == "idle") != is_idle)
			continue
		if (!printed++)
			print header
		for (j = 1; j <= server_count[load]; j++) {
			if (kind == "cost")
				cost(load, servers[load, j])
			else if (kind == "latency")
				latency(load, servers[load, j])
			else
				idle(load, servers[load, j])
		}
	}
	if (printed)
		print ""
}

END {
	each("cost", sprintf("%-14s %-14s %22s %18s %24s %7s %6s", "load", "server",
		"server CPU us/request", "ratio", "requests/s", "system%", "gen.%"))
	each("latency", sprintf("%-14s %-14s %22s %24s %8s %8s %8s %6s", "load", "server", "p50 us",
		"p99 us", "switches", "threads", "RSS KiB", "errors"))
	each("idle", sprintf("%-14s %-14s %20s %18s %8s %8s %8s %8s %8s %6s", "load", "server",
		"RSS KiB", "ratio", "VmRSS", "RssAnon", "threads", "CPU ms", "switches", "errors"))
	print "switches: context switches, per request under load, na where threads came and went uncounted;"
	print "system%: its share of the CPU time; gen.%: how busy the generator was, at 100 it is the"
	print "limit of requests/s.  Every run: " csv
	if (failed)
		print "SOME RUNS FAILED: see the errors above."
	exit failed
}
