# Makes names.js, what the search of the HTML looks through, of Doxygen's tag file: a line for each function,
# type, constant, page and chapter, with where it is and what that belongs to.

function content(tag, line) {
	sub(".*<" tag "[^>]*>", "", line)
	sub("</" tag ">.*", "", line)
	return line
}

function attribute(name, line) {
	sub(".* " name "=\"", "", line)
	sub("\".*", "", line)
	return line
}

function plain(text) {
	gsub(/&lt;/, "<", text)
	gsub(/&gt;/, ">", text)
	gsub(/&quot;/, "\"", text)
	gsub(/&apos;/, "'", text)
	gsub(/&amp;/, "\\&", text)
	gsub(/["\\]/, "\\\\&", text)
	return text
}

function put(name, place, group) {
	if (name != "" && !((name, place) in seen))
		printf "\t[\"%s\", \"%s\", \"%s\"],\n", plain(name), place, plain(group)
	seen[name, place] = 1
}

BEGIN {
	print "const names = ["
}
/<compound / {
	kind = attribute("kind", $0)
	title = ""
	member = ""
}
/<member / {
	member = attribute("kind", $0)
}
/<name>/ {
	name = content("name", $0)
	if (member == "" && kind != "page" && kind != "group")
		title = name
}
/<title>/ {
	title = content("title", $0)
}
/<filename>/ {
	place = content("filename", $0)
	if (place !~ /\.html$/)
		place = place ".html"
	if (kind == "page" || kind == "group")
		put(title, place, kind == "group" ? "a subject" : "a page")
	if (kind == "file")
		kind = "left out"
}
/<docanchor .* title="/ {
	put(attribute("title", $0), attribute("file", $0) "#" content("docanchor", $0), title)
}
/<anchorfile>/ {
	file = content("anchorfile", $0)
}
/<anchor>/ && kind == "group" {
	put(name (member == "function" ? "()" : ""), file "#" content("anchor", $0), title)
}
END {
	print "];"
}
