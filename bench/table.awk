# From summary.csv to tables that read well both as text and as Markdown; run.sh calls it with two
# files: lines `load title`, and the summary. Errors are summed over the rounds by the CSV of all
# runs, which comes third.

# -v handlers=LOADS: those whose table has ratios to ours, with their spread.

BEGIN {
	row = 0
	handler_count = split(handlers, handler, " ")
	for (i = 1; i <= handler_count; i++)
		is_handlers[handler[i]] = 1
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

function one(load, server, name, unit) {
	return (load, server, name) in median ? short(median[load, server, name] / (unit ? unit : 1)) : "-"
}

function spread(load, server, name, unit,    text) {
	unit = unit ? unit : 1
	text = one(load, server, name, unit)
	if (text == "-" || rounds[load, server, name] == 1)
		return text
	return text " (" short(low[load, server, name] / unit) "-" short(high[load, server, name] / unit) ")"
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

# Where some requests are slow on purpose the latencies are those of the others.
function latency_of(load,    i) {
	for (i = 1; i <= server_count[load]; i++)
		if (median[load, servers[load, i], "slow"] > 0 && median[load, servers[load, i], "fast"] > 0)
			return "fast_"
	return ""
}

# A table of a load: the columns are "title=figure", or "title=figure~" with the spread; a figure that
# is to be in other units has ":divisor" behind it.
function show(load, list,    column_count, i, j, part, text, server) {
	column_count = split(list, columns_of, "|")
	cell("server")
	for (j = 1; j <= column_count; j++)
		cell(substr(columns_of[j], 1, index(columns_of[j], "=") - 1))
	cell("errors")
	next_row()
	for (i = 1; i <= server_count[load]; i++) {
		server = servers[load, i]
		cell(server)
		for (j = 1; j <= column_count; j++) {
			text = substr(columns_of[j], index(columns_of[j], "=") + 1)
			split(text, part, ":")
			if (sub(/~$/, "", part[1]))
				cell(spread(load, server, part[1], part[2]))
			else
				cell(one(load, server, part[1], part[2]))
		}
		cell(errors[load, server] + 0)
		next_row()
	}
	flush_table()
}

function columns_for(load,    costs, prefix, second, mib) {
	mib = ":1024"
	costs = "CPU us/request=cpu_us_per_request~|user=user_us_per_request|system=system_us_per_request"
	prefix = latency_of(load)
	if (load ~ /^idle-/) {
		second = median[load, servers[load, 1], "seconds"]
		return "RSS MiB=rss_kib~" mib "|/threads=rss_kib/bare_threads|RSS KiB/client=rss_kib:" \
			median[load, servers[load, 1], "clients"] "|threads=threads|CPU ms/s=cpu_ms:" second \
			"|wake-ups/s=switches:" second
	}
	if (load ~ /^ramp-/)
		return "ramp ms=ramp_ms~|/threads=ramp_ms/bare_threads|requests/s=requests_per_s~|" costs \
			"|RSS MiB=rss_kib" mib "|threads=threads"
	if ((load in is_handlers) && load !~ /^http-/)
		return "requests/s=requests_per_s~|/ours=requests_per_s/ours~|p50 us=" prefix "p50_us~|/ours=" prefix \
			"p50_us/ours~|p99 us=" prefix "p99_us~|/ours=" prefix "p99_us/ours~|CPU us/request=" \
			"cpu_us_per_request~|/ours=cpu_us_per_request/ours~|threads=threads" \
			"|switches=switches_per_request|gen.%=generator_percent"
	if (load ~ /^firehose-/)
		return "p50 us=p50_us|p99 us=p99_us~|/threads=p99_us/bare_threads|/epoll=p99_us/bare_epoll|" \
			"p99.9 us=p999_us|requests/s=requests_per_s|firehose MiB/s=hose_mib_per_s~|threads=threads"
	return costs (load ~ /^http-/ ? "|/ours=cpu_us_per_request/ours_http" : \
		"|/threads=cpu_us_per_request/bare_threads|/epoll=cpu_us_per_request/bare_epoll") \
		"|requests/s=requests_per_s~|p50 us=" prefix "p50_us|p99 us=" prefix "p99_us~|p99.9 us=" prefix \
		"p999_us" (load ~ /^http-/ ? "" : "|/threads=" prefix "p99_us/bare_threads") \
		"|RSS MiB=rss_kib" mib "|threads=threads|switches=switches_per_request|gen.%=generator_percent"
}

function is_cost(load) {
	return load !~ /^(idle|ramp|firehoses?|http)-/
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
		show(load, columns_for(load))
	}
	overview()
	losses()
}
