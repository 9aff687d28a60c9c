# Takes the code out of a document: of the doc comments of a header, what stands between @code and @endcode,
# and of a Markdown file what stands between ```c or ```cpp and ```. Each piece becomes a file that can be
# compiled, FOLDER/NUMBER.c or .cc, and its name is printed. What is marked as something else, as by
# @code{.unparsed} or ```sh, is left alone.
#
# A piece is one of three things, by what stands at the beginning of a line in it:
#
# - with `#include`: whole, a file as it is;
# - with `static`, `extern`, `class`, `template`, or a function's lone `{`: declarations, after those of
#   fragments.h;
# - otherwise statements, as in a handler: they become the body of one, which also knows its server.
#
# Variables: folder, prefix (of the files), prelude (fragments.h).

function begin(language)
{
	inside = 1
	suffix = language
	text = ""
	first = FNR + 1
	whole = 0
	declares = 0
}

function finish(    file)
{
	inside = 0
	file = sprintf("%s/%s%03d.%s", folder, prefix, ++count, suffix)
	if (!whole)
		printf "#include \"%s\"\n", prelude >file
	if (!whole && !declares) {
		print "int fragment(mts_server *server, mts_client *client, const void *request, size_t size, void *user);" >file
		print "int fragment(mts_server *server, mts_client *client, const void *request, size_t size, void *user)" >file
		print "{{" >file
	}
	printf "#line %d \"%s\"\n%s", first, FILENAME, text >file
	if (!whole && !declares)
		print "}\nreturn 0;\n}" >file
	close(file)
	print file
}

/^ \* @code$/ {
	begin("c")
	next
}
/^```(c|cpp)$/ {
	begin($0 == "```c" ? "c" : "cc")
	next
}
inside && /^( \* @endcode|```)$/ {
	finish()
	next
}
inside {
	line = $0
	if (FILENAME ~ /\.h$/)
		sub(/^ \* ?/, "", line)
	if (line ~ /^#include/)
		whole = 1
	if (line ~ /^(static|extern|class|template) / || line == "{")
		declares = 1
	text = text line "\n"
}
END {
	if (inside)
		print FILENAME ": a piece of code has no end" >"/dev/stderr"
	exit inside
}
