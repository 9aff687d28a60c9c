# Reads manual pages as doc/man.xsl makes them, and prints "page: what is wrong: the text" for each
# paragraph that is no sentence, and for what no reader is to see: commands of Doxygen, signs of
# Markdown, an entry of a list that says nothing.
#
# A paragraph follows .PP or a heading, on one line. Entries of lists (.TP, .IP) are clauses, with no
# capital letter and no full stop, unless they have several sentences.

function complain(what, text)
{
	print FILENAME ": " what ": " text
}

# What stands on the page when roff is done.
function plain(text)
{
	gsub(/\\f[BIPR]/, "", text)
	gsub(/\\&/, "", text)
	gsub(/\\-/, "-", text)
	gsub(/\\\(ha/, "^", text)
	gsub(/\\\(ti/, "~", text)
	gsub(/\\e/, "\\", text)
	return text
}

# The same without what is code, which has rules of its own.
function prose(text)
{
	gsub(/\\fB[^\\]*(\\[^f][^\\]*)*\\fP/, "X", text)
	return plain(text)
}

function leftovers(text)
{
	if (text ~ /(^|[^A-Za-z0-9.:])[@\\][A-Za-z]/)
		complain("a command of Doxygen", text)
	if (text ~ /`|\*\*|(^| )[*_][A-Za-z][A-Za-z ]*[*_]([ .,:;)]|$)|(^|[ (])#[A-Za-z]|&[a-z]+;|<\/?[a-z]+>/)
		complain("a sign of Markdown or HTML", text)
	if (text ~ /  |[ (] *[,.;:)]( |$)/)
		complain("something is missing", text)
	if (gsub(/\(/, "(", text) != gsub(/\)/, ")", text))
		complain("brackets that do not match", text)
}

# Where one sentence ends another begins, not the rest of one.
function inner(text)
{
	if (prose(text) ~ /[a-z0-9)"][.?!] [a-z]/)
		complain("a sentence that begins in the middle", plain(text))
}

function paragraph(text, shown)
{
	shown = plain(text)
	leftovers(shown)
	inner(text)
	if (text !~ /^(\\fB|\\&)/ && shown !~ /^["(]?[A-Z0-9]/)
		complain("a paragraph that begins in the middle", shown)
	if (shown ~ /^(Called|Likewise)[ ,.]/)
		complain("a paragraph without its subject", shown)
	if (shown !~ /[.:?!][")]?$/)
		complain("a paragraph without an end", shown)
}

function entry(text, shown)
{
	shown = plain(text)
	leftovers(shown)
	inner(text)
	if (prose(text) ~ /[a-z0-9)"]\. [A-Z0-9"]/ && shown !~ /[.:?!][")]?$/)
		complain("an entry whose last sentence has no end", shown)
	if (shown ~ /[,;:]$/ || shown ~ /[ ,](or|and|the|a)$/)
		complain("an entry that ends in the middle", shown)
}

FNR == 1 {
	expected = ""
	section = ""
	code = 0
}
/^\.nf$/ {
	code = 1
	expected = ""
	next
}
/^\.fi$/ {
	code = 0
	next
}
code || /^\.\\"/ {
	next
}
(expected == "tag" || expected == "entry") && /^(\.(SH|SS|PP|TP|IP).*)?$/ {
	complain("an entry that says nothing", plain(name))
}
/^\.SH / {
	section = substr($0, 5)
	expected = "paragraph"
	next
}
section == "NAME" || section == "LIBRARY" || section == "SYNOPSIS" || section == "\"SEE ALSO\"" || section == "" {
	next
}
/^\.SS / {
	expected = ""
	next
}
/^\.PP$/ {
	expected = "paragraph"
	next
}
/^\.TP$/ {
	expected = "tag"
	next
}
/^\.IP / {
	expected = "entry"
	name = "a dash"
	next
}
expected == "tag" {
	name = $0
	if (plain(name) !~ /[A-Za-z0-9]/)
		complain("an entry without a name", name)
	expected = "entry"
	next
}
expected == "entry" {
	entry($0)
	expected = ""
	next
}
/^\.(in|B) ?/ {
	next
}
/^$/ || /^\./ {
	complain("a line that is no text", $0)
	next
}
expected == "paragraph" {
	paragraph($0)
	expected = ""
	next
}
{
	complain("text that belongs to nothing", plain($0))
}
