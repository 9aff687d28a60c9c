# From the runs' name=value lines to the tables and the CSV file; run.sh calls it.
#
# -v yardstick=NAME  the server that ratios refer to
# -v csv=FILE        where each run goes, a line each
# The status is 1 when any run had an error.

BEGIN {
	names = "round load server status clients requests seconds cpu_ms cpu_us_per_request " \
		"user_ns_per_request system_percent requests_per_s p50_us p99_us p999_us fast_p50_us " \
		"fast_p99_us slow_p50_us fast slow missed switches_per_request switches rss_kib anon_kib " \
		"exact_rss_kib exact_anon_kib threads ramp_ms hose_mib_per_s generator_percent all_requests errors " \
		"refused reset short wrong lost server_failed"
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

# The ticks behind it are few in each round: only together are they worth something.
function user_time(load, server,    round, x, sum) {
	for (round = 1; round <= rounds; round++) {
		x = figure[load, server, "user_ns_per_request", round]
		if (x == "" || x == "na")
			return "na"
		sum += x
	}
	return sprintf("%.0f", sum / rounds)
}

# Of one figure of a server under a load to that of another server or load, in the same round.
function relation(load, server, name, base_load, base_server, with_range,    round, above, below) {
	for (round = 1; round <= rounds; round++) {
		above = figure[load, server, name, round]
		below = figure[base_load, base_server, name, round]
		if (above == "" || above == "na" || below == "" || below == "na" || below + 0 == 0)
			return "na"
		sample[round] = above / below
	}
	summarize(rounds)
	return text("%.2f", with_range)
}

function ratio(load, server, name, with_range) {
	return relation(load, server, name, load, yardstick, with_range && server != yardstick)
}

# To the same server under the load whose requests are marked to no effect.
function against_none(load, server, name,    base) {
	base = load
	sub(/^block1-/, "block0-", base)
	return base == load ? "" : relation(load, server, name, base, server, 1)
}

# Where the kernel does not count pages, its estimate has to do.
function memory(load, server,    round) {
	for (round = 1; round <= rounds; round++)
		if (figure[load, server, "exact_rss_kib", round] + 0 == 0)
			return "rss_kib"
	return "exact_rss_kib"
}

function cost(load, server) {
	printf "%-14s %-15s %22s %18s %8s %24s %6s %7s %5s\n", load, server,
		over(load, server, "cpu_us_per_request", 1, "%.2f", 1),
		ratio(load, server, "cpu_us_per_request", 1),
		user_time(load, server),
		over(load, server, "requests_per_s", 1, "%.0f", 1),
		ratio(load, server, "requests_per_s", 0),
		over(load, server, "switches_per_request", 1, "%.2f", 0),
		over(load, server, "generator_percent", 1, "%.0f", 0)
}

function latency(load, server) {
	printf "%-14s %-15s %22s %6s %24s %6s %8s %8s %6d\n", load, server,
		over(load, server, "p50_us", 1, "%.0f", 1), ratio(load, server, "p50_us", 0),
		over(load, server, "p99_us", 1, "%.0f", 1), ratio(load, server, "p99_us", 0),
		over(load, server, "threads", 1, "%.0f", 0), over(load, server, "rss_kib", 1, "%.0f", 0),
		errors[load, server]
}

function marked(load, server) {
	printf "%-14s %-15s %22s %24s %6s %10s %18s %18s\n", load, server,
		over(load, server, "fast_p50_us", 1, "%.0f", 1),
		over(load, server, "fast_p99_us", 1, "%.0f", 1), ratio(load, server, "fast_p99_us", 0),
		over(load, server, "slow_p50_us", 1, "%.0f", 0),
		against_none(load, server, "requests_per_s"), against_none(load, server, "fast_p99_us")
}

# Fair is who is no worse than a loop that reads 16 KiB at a time.
function hose(load, server) {
	printf "%-14s %-15s %22s %24s %18s %24s %24s %6d\n", load, server,
		over(load, server, "p50_us", 1, "%.0f", 1), over(load, server, "p99_us", 1, "%.0f", 1),
		relation(load, server, "p99_us", load, "bare_epoll", 1),
		over(load, server, "requests_per_s", 1, "%.0f", 1),
		over(load, server, "hose_mib_per_s", 1, "%.0f", 1), errors[load, server]
}

function ramp(load, server) {
	printf "%-14s %-15s %18s %18s %24s %6s %8s %6d\n", load, server,
		over(load, server, "ramp_ms", 1, "%.0f", 1), ratio(load, server, "ramp_ms", 1),
		over(load, server, "requests_per_s", 1, "%.0f", 1),
		ratio(load, server, "requests_per_s", 0),
		over(load, server, "threads", 1, "%.0f", 0), errors[load, server]
}

function idle(load, server,    name) {
	name = memory(load, server)
	printf "%-14s %-15s %24s %18s %8s %8s %8s %8s %8s %6d\n", load, server,
		over(load, server, name, 1, "%.0f", 1), ratio(load, server, name, 1),
		over(load, server, "rss_kib", 1, "%.0f", 0), over(load, server, "anon_kib", 1, "%.0f", 0),
		over(load, server, "threads", 1, "%.0f", 0), over(load, server, "cpu_ms", 1, "%.2f", 0),
		over(load, server, "switches", 1, "%.0f", 0),
		errors[load, server]
}

# Every load is in the tables that it has figures for.
function belongs(kind, load) {
	if (kind == "idle" || kind == "ramp")
		return load ~ ("^" kind)
	if (kind == "hose" || load ~ /^firehose/)
		return kind == "hose" && load ~ /^firehose/
	if (load ~ /^(idle|ramp)/)
		return 0
	return kind != "marked" || load ~ /^(block|burn|sleep)/
}

function each(kind, header,    i, j, load, server, printed) {
	for (i = 1; i <= load_count; i++) {
		load = loads[i]
		if (!belongs(kind, load))
			continue
		if (!printed++)
			print header
		for (j = 1; j <= server_count[load]; j++) {
			server = servers[load, j]
			if (kind == "cost")
				cost(load, server)
			else if (kind == "latency")
				latency(load, server)
			else if (kind == "marked")
				marked(load, server)
			else if (kind == "ramp")
				ramp(load, server)
			else if (kind == "hose")
				hose(load, server)
			else
				idle(load, server)
		}
	}
	if (printed)
		print ""
}

END {
	each("cost", sprintf("%-14s %-15s %22s %18s %8s %24s %6s %7s %5s", "load", "server",
		"server CPU us/request", "ratio", "user ns", "requests/s", "ratio", "switch.", "gen.%"))
	each("latency", sprintf("%-14s %-15s %22s %6s %24s %6s %8s %8s %6s", "load", "server",
		"p50 us", "ratio", "p99 us", "ratio", "threads", "RSS KiB", "errors"))
	each("marked", sprintf("%-14s %-15s %22s %24s %6s %10s %18s %18s", "load", "server",
		"fast p50 us", "fast p99 us", "ratio", "slow p50", "req/s to block0", "fast p99 to block0"))
	each("ramp", sprintf("%-14s %-15s %18s %18s %24s %6s %8s %6s", "load", "server",
		"ramp ms", "ratio", "requests/s", "ratio", "threads", "errors"))
	each("hose", sprintf("%-14s %-15s %22s %24s %18s %24s %24s %6s", "load", "server", "p50 us",
		"p99 us", "to bare_epoll", "requests/s", "firehose MiB/s", "errors"))
	each("idle", sprintf("%-14s %-15s %24s %18s %8s %8s %8s %8s %8s %6s", "load", "server",
		"RSS KiB", "ratio", "VmRSS", "RssAnon", "threads", "CPU ms", "switches", "errors"))
	print "switch.: context switches per request (idle: in all), na where threads came and went"
	print "uncounted; user ns: user time per request, from the kernel's ticks, the mean of all rounds, na where"
	print "there were none;"
	print "gen.%: how busy the generator was, at 100 it is the limit of requests/s; fast: the requests"
	print "that did not block or burn.  Pipelined, a line is a request, a latency that of all 32."
	print "Every run: " csv
	if (failed)
		print "SOME RUNS FAILED: see the errors above."
	exit failed
}
