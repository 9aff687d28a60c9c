# Reads all pages of the HTML, and the scripts beside them, and prints "page: what is wrong": a link to a page,
# a place in a page or a picture that there is not; and a page without a title. Run in their folder.
#
# It then prints "reach CLICKS PLACE NAME" for each link with the name of a function, where CLICKS is how many
# it takes from the first page, that one among them.

BEGIN {
	RS = "<"
}

# What stands in the attribute of the present tag; "" when it has none.
function attribute(name, text) {
	text = $0
	if (!match(text, "^[a-z0-9]+([ \n]+[a-zA-Z-]+(=\"[^\"]*\")?)*[ \n]+" name "=\""))
		return ""
	text = substr(text, RLENGTH + 1)
	sub(/".*/, "", text)
	return text
}

function note(link, text) {
	if (link == "" || link ~ /^([a-z]+:|#$)/ || link ~ /^\$/)
		return
	if (link ~ /^#/)
		link = FILENAME link
	links[FILENAME, ++count[FILENAME]] = link
	named[FILENAME, count[FILENAME]] = text
}

FNR == 1 {
	pages[FILENAME] = 1
}
# Of a script, each string that is the name of a page.
FILENAME ~ /\.js$/ {
	text = $0
	while (match(text, /"[a-z_0-9-]+\.html(#[^"]*)?"/)) {
		note(substr(text, RSTART + 1, RLENGTH - 2), "")
		text = substr(text, RSTART + RLENGTH)
	}
	next
}
/^title>/ {
	text = substr($0, 7)
	sub(/^libmtserver: */, "", text)
	if (text ~ /[A-Za-z]/)
		titled[FILENAME] = 1
}
{
	id = attribute("id")
	if (id != "")
		places[FILENAME "#" id] = 1
	id = attribute("name")
	if (id != "")
		places[FILENAME "#" id] = 1
}
/^a[ \n]/ {
	text = $0
	sub(/^[^>]*>/, "", text)
	note(attribute("href"), text)
}
/^(link)[ \n]/ {
	note(attribute("href"), "")
}
/^(img|script|iframe)[ \n]/ {
	note(attribute("src"), "")
}
/^object[ \n]/ {
	note(attribute("data"), "")
}

function there(file, status) {
	if (!(file in known)) {
		status = getline line <file
		close(file)
		known[file] = status >= 0
	}
	return known[file]
}

END {
	for (page in pages) {
		if (page ~ /\.html$/ && !(page in titled))
			print page ": it has no title"
		for (i = 1; i <= count[page]; i++) {
			link = links[page, i]
			file = link
			sub(/#.*/, "", file)
			if (!there(file))
				print page ": there is no " link
			else if (link ~ /#/ && !(link in places))
				print page ": there is no such place as " link
		}
	}
	clicks["index.html"] = 0
	line_up[last = 1] = "index.html"
	for (next_up = 1; next_up <= last; next_up++) {
		page = line_up[next_up]
		for (i = 1; i <= count[page]; i++) {
			file = links[page, i]
			sub(/#.*/, "", file)
			if (named[page, i] ~ /^mts_[a-z0-9_]+(\(\))?$/ && links[page, i] ~ /#/) {
				sub(/\(\)/, "", named[page, i])
				print "reach", clicks[page] + 1, links[page, i], named[page, i]
			}
			if (file ~ /\.html$/ && !(file in clicks)) {
				clicks[file] = clicks[page] + 1
				line_up[++last] = file
			}
		}
	}
	for (page in pages)
		if (page ~ /\.html$/ && !(page in clicks))
			print "apart", page
}
