#!/bin/sh
# Draws the plots of a benchmark's summary.csv, each as SVG and PNG, into the folder of that file.
#
#   bench/plot.sh FOLDER
#
# Ratios and throughputs are bars from zero, since their length is compared.  Latencies and memory
# span decades, so they are points on a logarithmic axis: median of the rounds, with their spread.
set -u
folder=$1
summary=$folder/summary.csv
if ! command -v gnuplot >/dev/null; then
	echo "no gnuplot here, so no plots are drawn (./bootstrap --bench)" >&2
	exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# grid FIGURE LOAD…: a line for each load, a column for each server that is there, with a header.
grid() {
	figure=$1
	shift
	awk -F, -v figure="$figure" -v list="$*" '
		BEGIN { count = split(list, loads, " "); for (i in loads) wanted[loads[i]] = 1 }
		$3 == figure && ($1 in wanted) {
			if (!($2 in seen)) { seen[$2] = 1; servers[++number] = $2 }
			value[$1, $2] = $5; there[$1] = 1
		}
		END {
			if (!number) exit 1
			printf "load"; for (j = 1; j <= number; j++) printf " %s", servers[j]; print ""
			for (i = 1; i <= count; i++) {
				if (!(loads[i] in there)) continue
				printf "%s", loads[i]
				for (j = 1; j <= number; j++)
					printf " %s", (loads[i], servers[j]) in value ? value[loads[i], servers[j]] : "-"
				print ""
			}
		}' "$summary" >"$scratch/data"
}

# points LOAD FIGURE…: a line for each server: its name, then median, least and greatest of each.
points() {
	load=$1
	shift
	awk -F, -v load="$load" -v list="$*" '
		BEGIN { count = split(list, figures, " ") }
		$1 == load {
			if (!($2 in seen)) { seen[$2] = 1; servers[++number] = $2 }
			value[$2, $3] = $5 " " $6 " " $7
		}
		END {
			for (j = 1; j <= number; j++) {
				printf "%s", servers[j]
				for (i = 1; i <= count; i++)
					printf " %s", (servers[j], figures[i]) in value ? value[servers[j], figures[i]] : "- - -"
				print ""
			}
			exit !number
		}' "$summary" >"$scratch/data"
}

# draw NAME: the gnuplot commands come on standard input, once for both kinds of file.
draw() {
	{
		cat <<-END
			set datafile missing '-'
			set style fill solid 0.9 noborder
			set grid ytics linecolor rgb '#cccccc'
			set border 3
			set tics nomirror
			set key outside right top
			data = '$scratch/data'
		END
		cat
	} >"$scratch/commands"
	for kind in svg png; do
		case $kind in
		svg) terminal="svg size 1100,520 dynamic background rgb 'white' font 'sans,13'" ;;
		png) terminal="pngcairo size 1100,520 font 'sans,11'" ;;
		esac
		gnuplot -e "set terminal $terminal; set output '$folder/$1.$kind'" \
			"$scratch/commands" || return
	done
}

# Ours stands out; the others keep their colours from plot to plot, by their names.
bars='
	color(name) = name eq "ours" ? 0xd62728 : name eq "ours_per_client" ? 0xff9896 : \
		name eq "bare_threads" ? 0x999999 : name eq "bare_epoll" ? 0x555555 : \
		name eq "bare_epoll_n" ? 0x222222 : name eq "libevent" ? 0x1f77b4 : \
		name eq "libuv" ? 0x2ca02c : name eq "glib" ? 0x9467bd : name eq "asio" ? 0xbcbd22 : \
		name eq "asio_n" ? 0x7f8000 : name eq "go_net" ? 0x17becf : 0xe8a33d
	set style data histograms
	set style histogram clustered gap 1.5
	set xtics rotate by -15
	set yrange [0:*]
	columns = int(system("head -n 1 " . data . " | wc -w"))
	name(i) = word(system("head -n 1 " . data), i)
	shown(i) = system(sprintf("echo %s | tr _ -", name(i)))
'
plot_bars='plot for [i=2:columns] data skip 1 using i:xticlabels(1) linecolor rgb color(name(i)) title shown(i)'

latencies='
	set logscale y
	set format y "%.0f"
	set xtics rotate by -30
	set offsets 0.5, 0.5, 0, 0
	plot data using ($0-0.15):2:3:4:xticlabels(system(sprintf("echo %s | tr _ -", strcol(1)))) with yerrorbars pointtype 7 pointsize 0.9 linecolor rgb "#2ca02c" title "p50", \
		data using 0:5:6:7 with yerrorbars pointtype 5 pointsize 0.9 linecolor rgb "#1f77b4" title "p99", \
		data using ($0+0.15):8:9:10 with yerrorbars pointtype 9 pointsize 1.1 linecolor rgb "#d62728" title "p99.9"
'

if grid cpu_us_per_request/bare_epoll pingpong-1 pingpong-64 pingpong-1000 pingpong-10000 \
	connect-64 deferred-64 pipeline-64; then
	draw cpu <<-END
		set title "Server CPU per request, the bare epoll loop being 1 (lower is better; cut off at 4)"
		$bars
		set yrange [0:4]
		$plot_bars
	END
fi
if grid requests_per_s pingpong-64 pingpong-1000 pingpong-10000 block1-64; then
	draw throughput <<-END
		set title "Requests a second, closed loop (higher is better)"
		$bars
		$plot_bars
	END
fi
if grid requests_per_s block100-1000; then
	draw blocking <<-END
		set title "1,000 clients, every request blocks for 10 ms: requests a second (higher is better)"
		$bars
		$plot_bars
	END
fi
for load in open-64 open-1000; do
	if points $load p50_us p99_us p999_us; then
		draw $load <<-END
			set title "Latency at a fixed rate, from when each request was due, us ($load)"
			$latencies
		END
	fi
done
for load in openblock1-1000 block1-64; do
	if points $load fast_p50_us fast_p99_us fast_p999_us; then
		draw $load <<-END
			set title "Latency of the requests that do not block, while 1 % block for 10 ms, us ($load)"
			$latencies
		END
	fi
done
if points idle-10000 rss_kib; then
	draw idle-10000 <<-END
		set title "10,000 idle clients: memory of the server, MiB"
		set logscale y
		set xtics rotate by -30
		set offsets 0.5, 0.5, 0, 0
		plot data using 0:(\$2/1024):(\$3/1024):(\$4/1024):xticlabels(system(sprintf("echo %s | tr _ -", strcol(1)))) with yerrorbars pointtype 7 pointsize 1.1 linecolor rgb '#d62728' notitle
	END
fi
