# The table of system calls per request; run.sh calls it with lines `short|long load server name
# calls requests`, each pair of runs alike but in length.  The difference of calls over that of
# requests is what requests cost; small names, of less than 2 % of all, are summed up as "others".

{
	pair = $2 " " $3
	if (!(pair in known)) {
		known[pair] = 1
		pairs[++count] = pair
	}
	sign = $1 == "long" ? 1 : -1
	calls[pair, $4] += sign * $5
	if (!((pair, $1) in requests))
		more[pair] += sign * $6
	requests[pair, $1] = $6
	if (!((pair, $4) in seen)) {
		seen[pair, $4] = 1
		name[pair, ++names[pair]] = $4
	}
	all[pair] += sign * $5
}

# The name with the most calls that was not taken yet; "" when the rest is small.
function largest(pair,    i, best) {
	best = ""
	for (i = 1; i <= names[pair]; i++)
		if (!((pair, name[pair, i]) in taken) && calls[pair, name[pair, i]] >= all[pair] / 50 \
			&& (best == "" || calls[pair, name[pair, i]] > calls[pair, best]))
			best = name[pair, i]
	if (best != "")
		taken[pair, best] = 1
	return best
}

function show(pair,    best, rest) {
	rest = all[pair]
	while ((best = largest(pair)) != "") {
		printf "%s %.3g, ", best, calls[pair, best] / more[pair]
		rest -= calls[pair, best]
	}
	printf "others %.2g\n", (rest > 0 ? rest : 0) / more[pair]
}

END {
	printf "%-14s %-15s %8s  %s\n", "load", "server", "all", "system calls per request"
	for (i = 1; i <= count; i++) {
		split(pairs[i], part, " ")
		if (more[pairs[i]] <= 0) {
			printf "%-14s %-15s %8s\n", part[1], part[2], "na"
			continue
		}
		printf "%-14s %-15s %8.3f  ", part[1], part[2], all[pairs[i]] / more[pairs[i]]
		show(pairs[i])
	}
}
