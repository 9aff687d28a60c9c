# From the runs' name=value lines to two CSV files; run.sh calls it.
#
# -v csv=FILE      where each run goes, a line each
# -v summary=FILE  where each figure's median, least and greatest over the rounds goes, a line each
# The status is 1 when any run had an error.
#
# A ratio to another server is made within a round, so that what the machine does meanwhile hits
# both; then it is a figure like any other: "cpu_us_per_request/bare_epoll".

BEGIN {
	names = "round load server status clients requests seconds cpu_ms cpu_us_per_request " \
		"user_us_per_request system_us_per_request requests_per_s p50_us p99_us p999_us " \
		"fast_p50_us fast_p99_us fast_p999_us slow_p50_us late_p50_us late_p99_us fast slow missed " \
		"switches_per_request switches rss_kib anon_kib exact_rss_kib exact_anon_kib threads " \
		"ramp_ms hose_mib_per_s generator_percent all_requests errors " \
		"refused reset short wrong lost server_failed"
	fields = split(names, field, " ")
	bases = split("bare_threads bare_epoll ours ours_http", base, " ")
	compares = split("cpu_us_per_request requests_per_s p50_us fast_p50_us p99_us fast_p99_us ramp_ms rss_kib", \
		compared, " ")
	line = field[1]
	for (i = 2; i <= fields; i++)
		line = line "," field[i]
	print line > csv
	print "load,server,figure,rounds,median,min,max" > summary
}

function known(x) {
	return x != "" && x != "na"
}

{
	split("", value)
	for (i = 1; i <= NF; i++) {
		at = index($i, "=")
		value[substr($i, 1, at - 1)] = substr($i, at + 1)
	}
	# The kernel's ticks give the proportion, its clock the sum.
	if (known(value["user_ns_per_request"])) {
		value["user_us_per_request"] = value["user_ns_per_request"] / 1000
		value["system_us_per_request"] = value["cpu_us_per_request"] - value["user_us_per_request"]
	}
	# Where the kernel counts pages that is exact, its own sum an estimate.
	if (value["exact_rss_kib"] + 0 > 0)
		value["rss_kib"] = value["exact_rss_kib"]
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
	if (!((load, server) in seen)) {
		seen[load, server] = 1
		pairs[++count] = load SUBSEP server
	}
	for (name in value)
		figure[load, server, name, value["round"]] = value[name]
	if (value["round"] + 0 > rounds)
		rounds = value["round"] + 0
	if (value["status"] != 0 || value["errors"] != 0)
		failed = 1
}

# Sorts sample[1..number] and prints what it comes to.
function summarize(load, server, name, number,    i, j, swap, middle) {
	for (i = 2; i <= number; i++)
		for (j = i; j > 1 && sample[j - 1] > sample[j]; j--) {
			swap = sample[j]
			sample[j] = sample[j - 1]
			sample[j - 1] = swap
		}
	middle = number % 2 ? sample[(number + 1) / 2] : (sample[number / 2] + sample[number / 2 + 1]) / 2
	printf "%s,%s,%s,%d,%.6g,%.6g,%.6g\n", load, server, name, number, middle, sample[1],
		sample[number] > summary
}

function plain(load, server, name,    round, x, number) {
	for (round = 1; round <= rounds; round++) {
		x = figure[load, server, name, round]
		if (known(x))
			sample[++number] = x + 0
	}
	if (number)
		summarize(load, server, name, number)
}

function relation(load, server, name, other,    round, above, below, number) {
	for (round = 1; round <= rounds; round++) {
		above = figure[load, server, name, round]
		below = figure[load, other, name, round]
		if (known(above) && known(below) && below + 0 > 0)
			sample[++number] = above / below
	}
	if (number)
		summarize(load, server, name "/" other, number)
}

END {
	for (i = 1; i <= count; i++) {
		split(pairs[i], part, SUBSEP)
		for (j = 5; j <= fields; j++)
			plain(part[1], part[2], field[j])
		for (j = 1; j <= compares; j++)
			for (k = 1; k <= bases; k++)
				relation(part[1], part[2], compared[j], base[k])
	}
	exit failed
}
