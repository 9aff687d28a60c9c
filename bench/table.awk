# From summary.csv to tables that read well both as text and as Markdown; run.sh calls it with two
# files: lines `load title`, and the summary. Errors are summed over the rounds by the CSV of all
# runs, which comes third.

BEGIN {
	row = 0
}

FILENAME == ARGV[1] {
	load = $1
	$1 = ""
	title[load] = substr($0, 2)
	loads[++load_count] = load
	next
}

FNR == 1 {
	FS = ","
	$0 = $0
	split("", column)
	for (i = 1; i <= NF; i++)
		column[$i] = i
	next
}

FILENAME == ARGV[2] {
	if (!(($1, $2) in seen)) {
		seen[$1, $2] = 1
		servers[$1, ++server_count[$1]] = $2
		if (!($2 in any)) {
			any[$2] = 1
			all_servers[++all_count] = $2
		}
	}
	median[$1, $2, $3] = $5
	low[$1, $2, $3] = $6
	high[$1, $2, $3] = $7
	rounds[$1, $2, $3] = $4
	next
}

{
	errors[$(column["load"]), $(column["server"])] += $(column["errors"])
}

# Three significant digits, and no more than two behind the point.
function short(x) {
	return x >= 100 || x == int(x) ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function one(load, server, name, scale) {
	return (load, server, name) in median ? short(median[load, server, name] * (scale ? scale : 1)) : "-"
}

function spread(load, server, name, scale,    text) {
	scale = scale ? scale : 1
	text = one(load, server, name, scale)
	if (text == "-" || rounds[load, server, name] == 1)
		return text
	return text " (" short(low[load, server, name] * scale) "-" short(high[load, server, name] * scale) ")"
}

# A table is collected cell by cell, then printed with even columns.
function cell(text) {
	grid[row, ++filled] = text
	if (filled > columns)
		columns = filled
	if (length(text) > width[filled])
		width[filled] = length(text)
}

function next_row() {
	row++
	filled = 0
}

function flush_table(    i, j) {
	for (i = 0; i < row; i++) {
		for (j = 1; j <= columns; j++)
			printf j == 1 ? "| %-" width[j] "s |" : " %" width[j] "s |", grid[i, j]
		print ""
		if (i == 0) {
			for (j = 1; j <= columns; j++)
				printf "%s%s|", j == 1 ? "|" : "", j == 1 ? dashes(width[j] + 2) : dashes(width[j] + 1) ":"
			print ""
		}
	}
	print ""
	split("", grid)
	split("", width)
	row = columns = filled = 0
}

function dashes(number,    text) {
	while (number-- > 0)
		text = text "-"
	return text
}

function header(names,    list, count, i) {
	count = split(names, list, "|")
	for (i = 1; i <= count; i++)
		cell(list[i])
	next_row()
}

# Where some requests are slow on purpose the latencies are those of the others.
function latency_of(load,    i) {
	for (i = 1; i <= server_count[load]; i++)
		if (median[load, servers[load, i], "slow"] > 0 && median[load, servers[load, i], "fast"] > 0)
			return "fast_"
	return ""
}

function costs(load,    i, server, prefix) {
	prefix = latency_of(load)
	header("server|CPU us/request|user|system|/threads|/epoll|requests/s|p50 us|p99 us|p99.9 us|" \
		"/threads|RSS MiB|threads|switches|gen.%|errors")
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		cell(spread(load, server, "cpu_us_per_request"))
		cell(one(load, server, "user_us_per_request"))
		cell(one(load, server, "system_us_per_request"))
		cell(one(load, server, "cpu_us_per_request/bare_threads"))
		cell(one(load, server, "cpu_us_per_request/bare_epoll"))
		cell(spread(load, server, "requests_per_s"))
		cell(one(load, server, prefix "p50_us"))
		cell(spread(load, server, prefix "p99_us"))
		cell(one(load, server, prefix "p999_us"))
		cell(one(load, server, prefix "p99_us/bare_threads"))
		cell(one(load, server, "rss_kib", 1 / 1024))
		cell(one(load, server, "threads"))
		cell(one(load, server, "switches_per_request"))
		cell(one(load, server, "generator_percent"))
		cell(errors[load, server] + 0)
		next_row()
	}
}

function ramps(load,    i, server) {
	header("server|ramp ms|/threads|requests/s|CPU us/request|RSS MiB|threads|errors")
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		cell(spread(load, server, "ramp_ms"))
		cell(one(load, server, "ramp_ms/bare_threads"))
		cell(spread(load, server, "requests_per_s"))
		cell(one(load, server, "cpu_us_per_request"))
		cell(one(load, server, "rss_kib", 1 / 1024))
		cell(one(load, server, "threads"))
		cell(errors[load, server] + 0)
		next_row()
	}
}

# Here the latencies are wrk's, and the bare servers do not speak HTTP.
function https(load,    i, server) {
	header("server|CPU us/request|user|system|/ours|requests/s|p50 us|p99 us|p99.9 us|RSS MiB|" \
		"threads|switches|gen.%|errors")
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		cell(spread(load, server, "cpu_us_per_request"))
		cell(one(load, server, "user_us_per_request"))
		cell(one(load, server, "system_us_per_request"))
		cell(one(load, server, "cpu_us_per_request/ours_http"))
		cell(spread(load, server, "requests_per_s"))
		cell(one(load, server, "p50_us"))
		cell(spread(load, server, "p99_us"))
		cell(one(load, server, "p999_us"))
		cell(one(load, server, "rss_kib", 1 / 1024))
		cell(one(load, server, "threads"))
		cell(one(load, server, "switches_per_request"))
		cell(one(load, server, "generator_percent"))
		cell(errors[load, server] + 0)
		next_row()
	}
}

function hoses(load,    i, server) {
	header("server|p50 us|p99 us|/threads|/epoll|p99.9 us|requests/s|firehose MiB/s|threads|errors")
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		cell(one(load, server, "p50_us"))
		cell(spread(load, server, "p99_us"))
		cell(one(load, server, "p99_us/bare_threads"))
		cell(one(load, server, "p99_us/bare_epoll"))
		cell(one(load, server, "p999_us"))
		cell(one(load, server, "requests_per_s"))
		cell(spread(load, server, "hose_mib_per_s"))
		cell(one(load, server, "threads"))
		cell(errors[load, server] + 0)
		next_row()
	}
}

# Wake-ups are what a second costs: context switches of all threads.
function idles(load,    i, server) {
	header("server|RSS MiB|/threads|RSS KiB/client|threads|CPU ms/s|wake-ups/s|errors")
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		cell(spread(load, server, "rss_kib", 1 / 1024))
		cell(one(load, server, "rss_kib/bare_threads"))
		cell(one(load, server, "rss_kib", 1 / median[load, server, "clients"]))
		cell(one(load, server, "threads"))
		cell(one(load, server, "cpu_ms", 1 / median[load, server, "seconds"]))
		cell(one(load, server, "switches", 1 / median[load, server, "seconds"]))
		cell(errors[load, server] + 0)
		next_row()
	}
}

function is_cost(load) {
	return load !~ /^(idle|ramp|firehose|http)-/
}

function overview(    i, j) {
	print "## Server CPU per request in us, all loads\n"
	cell("load")
	for (j = 1; j <= all_count; j++)
		if (all_servers[j] !~ /http|^mhd/)
			cell(all_servers[j])
	next_row()
	for (i = 1; i <= load_count; i++) {
		if (!is_cost(loads[i]) || !server_count[loads[i]])
			continue
		cell(loads[i])
		for (j = 1; j <= all_count; j++)
			if (all_servers[j] !~ /http|^mhd/)
				cell(one(loads[i], all_servers[j], "cpu_us_per_request"))
		next_row()
	}
	flush_table()
}

# What beats "ours", said by the program and not by its authors.
function losses(    i, j, load, server, name, x, text) {
	print "## Who is better than ours, and by how much\n"
	print "Ratios below 1 to `ours` in the same round: first of CPU per request, then of the p99.\n"
	for (i = 1; i <= load_count; i++) {
		load = loads[i]
		text = ""
		for (j = 1; j <= server_count[load]; j++) {
			server = servers[load, j]
			if (is_cost(load) && better(load, server, "cpu_us_per_request/ours"))
				text = text ", " server " " one(load, server, "cpu_us_per_request/ours")
		}
		x = beaten(load, latency_of(load) "p99_us/ours")
		if (text != "" || x != "")
			printf "- %s: CPU %s; p99 %s\n", load, text == "" ? "-" : substr(text, 3),
				x == "" ? "-" : substr(x, 3)
	}
	print ""
}

function beaten(load, name,    j, server, text) {
	if (load ~ /^(idle|ramp)-/)
		return ""
	for (j = 1; j <= server_count[load]; j++) {
		server = servers[load, j]
		if (better(load, server, name))
			text = text ", " server " " one(load, server, name)
	}
	return text
}

function better(load, server, ratio) {
	return (load, server, ratio) in median && median[load, server, ratio] < 0.995
}

END {
	for (i = 1; i <= load_count; i++) {
		load = loads[i]
		if (!server_count[load])
			continue
		printf "## %s: %s\n\n", load, title[load]
		if (load ~ /^idle-/)
			idles(load)
		else if (load ~ /^ramp-/)
			ramps(load)
		else if (load ~ /^firehose-/)
			hoses(load)
		else if (load ~ /^http-/)
			https(load)
		else
			costs(load)
		flush_table()
	}
	overview()
	losses()
}
