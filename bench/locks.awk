# From the lines of locks.sh to a table of the locks, and to what the model needs; locks.sh calls it.
#
# -v figures=FILE   where the latter goes, as lines `name value`
#
# cost ROUND name=value...                          what lock_cost says
# plain LOAD SERVER ROUND cpu_us rate               the server as it is
# calls LOAD SERVER ROUND short|long NUMBER         of the handler, in the server that counts
# lock LOAD SERVER ROUND short|long KIND TAKES CONTENDED HELD
#
# A run has two lengths, and what is counted is the difference, as if it were one run without its beginning
# and end. Each figure is the median of the rounds.

function keep(load, server, name, round, value) {
	value_of[load, server, name, round] = value
	if (round + 0 > rounds)
		rounds = round + 0
	if (!((load, server) in seen)) {
		seen[load, server] = 1
		row[++count] = load SUBSEP server
	}
}

$1 == "cost" {
	for (i = 3; i <= NF; i++) {
		split($i, pair, "=")
		cost[pair[1], $2] = pair[2]
	}
	if ($2 + 0 > rounds)
		rounds = $2 + 0
}

$1 == "plain" {
	keep($2, $3, "cpu", $4, $5)
	keep($2, $3, "rate", $4, $6)
}

$1 == "calls" { keep($2, $3, "calls " $5, $4, $6) }

$1 == "lock" {
	keep($2, $3, "takes " $5 " " $6, $4, $7)
	keep($2, $3, "contended " $5 " " $6, $4, $8)
	keep($2, $3, "held " $5 " " $6, $4, $9)
	if (!($6 in known)) {
		known[$6] = 1
		kind[++kinds] = $6
	}
}

function median(number,    i, j, swap) {
	for (i = 2; i <= number; i++)
		for (j = i; j > 1 && sample[j - 1] > sample[j]; j--) {
			swap = sample[j]
			sample[j] = sample[j - 1]
			sample[j - 1] = swap
		}
	return number % 2 ? sample[(number + 1) / 2] : (sample[number / 2] + sample[number / 2 + 1]) / 2
}

# The median of a figure of a row; what there is in no round is 0.
function plain(load, server, name,    round, number) {
	for (round = 1; round <= rounds; round++)
		if ((load, server, name, round) in value_of)
			sample[++number] = value_of[load, server, name, round] + 0
	return number ? median(number) : 0
}

# What is counted between the two lengths, by another such count.
function ratio(load, server, above, below,    round, number, up, down) {
	for (round = 1; round <= rounds; round++) {
		up = difference(load, server, above, round)
		down = difference(load, server, below, round)
		if (down > 0)
			sample[++number] = up > 0 ? up / down : 0
	}
	return number ? median(number) : 0
}

function difference(load, server, name, round,    part, rest) {
	split(name, part, " ")
	rest = part[2] != "" ? " " part[2] : ""
	return value_of[load, server, part[1] " long" rest, round] \
		- value_of[load, server, part[1] " short" rest, round]
}

function takes(load, server, which) {
	return ratio(load, server, "takes " which, "calls")
}

function held(load, server, which) {
	return plain(load, server, "held long " which)
}

function of_lock(load, server, which) {
	if (takes(load, server, which) < 0.005)
		return sprintf("%5s | %7s | %6s", "0", "-", "-")
	return sprintf("%5.2f | %7.2f | %6.0f", takes(load, server, which),
		100 * ratio(load, server, "contended " which, "takes " which), held(load, server, which))
}

function others(load, server,    i, text) {
	for (i = 1; i <= kinds; i++)
		if (kind[i] != "crew" && kind[i] != "client" && takes(load, server, kind[i]) >= 0.01)
			text = text (text != "" ? ", " : "") sprintf("%s %.2f (%.0f)", kind[i], \
				takes(load, server, kind[i]), held(load, server, kind[i]))
	return text != "" ? text : "-"
}

function cost_of(name,    round, number) {
	for (round = 1; round <= rounds; round++)
		if ((name, round) in cost)
			sample[++number] = cost[name, round] + 0
	return number ? median(number) : 0
}

END {
	print "| load          | threads    |  crew | taken % |   held | client | taken % |   held | others, and how long each is held |"
	print "| ------------- | ---------- | ----: | ------: | -----: | -----: | ------: | -----: | --------------------------------- |"
	for (i = 1; i <= count; i++) {
		split(row[i], part, SUBSEP)
		printf "| %-13s | %-10s | %s |  %s | %s |\n", part[1],
			part[2] == "ours" ? "on demand" : "per client", of_lock(part[1], part[2], "crew"),
			of_lock(part[1], part[2], "client"), others(part[1], part[2])
	}
	print "takes", takes("burn20us-64", "ours", "crew") > figures
	print "held", held("pingpong-64", "ours", "crew") > figures
	print "cpu", plain("burn20us-64", "ours", "cpu") > figures
	split("pair line contended event clock wrap", part, " ")
	for (i = 1; i <= 6; i++)
		print part[i], cost_of(part[i]) > figures
}
