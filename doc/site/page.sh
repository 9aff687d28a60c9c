#!/bin/sh
# Makes a page of the HTML of a Markdown file. Its headings get names, PAGE and PAGE-HEADING, by which others
# refer to them, and links to other files and headings become references to these, with the title instead of
# the name of a file. Below the title comes a table of contents. Doxygen runs this.
[ "${1##*/}" != mainpage.md ] || exec cat "$1"

awk '
function page_of(file) {
	sub(/.*\//, "", file)
	sub(/\.md$/, "", file)
	return tolower(file)
}
function title(file, line) {
	getline line <(folder file)
	close(folder file)
	return file ~ /tables/ ? "All figures" : substr(line, 3)
}
BEGIN {
	page = page_of(ARGV[1])
	folder = ARGV[1]
	sub(/[^\/]*$/, "", folder)
}
function name(text) {
	text = tolower(text)
	gsub(/[^a-z0-9 -]/, "", text)
	gsub(/ +/, "-", text)
	return page "-" text
}
/^```/ {
	code = !code
}
!code && /^# / {
	# That of the tables is made by the benchmark, and long.
	print (page == "tables" ? "# All figures {#tables}\n\n" substr($0, 3) : $0 " {#" page "}\n\n[TOC]")
	next
}
!code && /^##+ / {
	text = $0
	sub(/^#+ /, "", text)
	print $0 " {#" name(text) "}"
	next
}
!code {
	gsub(/\]\(#/, "](@ref " page "-")
	gsub(/\[[^]]*\.md\]/, "[]")
	while (match($0, /\]\(([a-z]+\/)?[A-Za-z]+\.md\)/)) {
		other = substr($0, RSTART + 2, RLENGTH - 3)
		$0 = substr($0, 1, RSTART - 1) (substr($0, RSTART - 1, 1) == "[" ? title(other) : "") \
			"](@ref " page_of(other) substr($0, RSTART + RLENGTH - 1)
	}
}
{
	print
}' "$1"
