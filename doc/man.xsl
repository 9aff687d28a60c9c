<?xml version="1.0" encoding="UTF-8"?>
<!--
  Manual pages out of Doxygen's XML: one for each public function, one of the whole, mtserver(7), and
  an alias for each public type, which leads to the page that describes it.

  Run on index.xml, it looks into every compound that describes a group of functions, and writes
  NAME.3 for each function it meets. The parts of a page come from the doc comment: the first
  sentence for NAME, the rest for DESCRIPTION, @param for PARAMETERS, @return and @retval for RETURN
  VALUE, the "Threads" paragraph for THREADS, @since for HISTORY, the "Example" paragraph for EXAMPLES.
  SEE ALSO names what @see does, then the functions that the comment mentions.

  mtserver.7 comes from the first page of the HTML (doc/mainpage.md): each of its chapters is a
  section. Its list of subjects says in which order the functions are listed at the end.

  Two modes write text. "block" writes paragraphs and lists, each beginning on a line of its own.
  "inline" writes what stands inside a line; there white space is folded, and what roff would take
  for its own is escaped.
-->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
	xmlns:exsl="http://exslt.org/common" xmlns:str="http://exslt.org/strings"
	extension-element-prefixes="exsl str">

<xsl:param name="directory"/>
<xsl:param name="version"/>
<xsl:output method="text" encoding="UTF-8"/>
<xsl:strip-space elements="*"/>
<xsl:preserve-space elements="para computeroutput bold emphasis ref type defval entry codeline highlight"/>

<xsl:variable name="newline" select="'&#10;'"/>

<xsl:variable name="first-page" select="document('indexpage.xml', /)/doxygen/compounddef"/>

<!-- The files of all groups, in the order in which the first page lists them. -->
<xsl:variable name="subjects-tree">
	<xsl:variable name="index" select="/doxygenindex"/>
	<xsl:variable name="listed" select="$first-page//entry[1]/para/ref[starts-with(@refid, 'group__')]/@refid"/>
	<xsl:for-each select="$listed">
		<file><xsl:value-of select="concat(., '.xml')"/></file>
	</xsl:for-each>
	<xsl:for-each select="$index/compound[@kind = 'group' and not(@refid = $listed)]">
		<file><xsl:value-of select="concat(@refid, '.xml')"/></file>
	</xsl:for-each>
</xsl:variable>
<xsl:variable name="subjects" select="exsl:node-set($subjects-tree)/file"/>
<xsl:variable name="root" select="/"/>

<xsl:template match="/doxygenindex">
	<xsl:for-each select="$subjects">
		<xsl:apply-templates select="document(., $root)/doxygen/compounddef"/>
	</xsl:for-each>
	<xsl:call-template name="the-whole"/>
	<xsl:call-template name="alias">
		<xsl:with-param name="name" select="'libmtserver'"/>
		<xsl:with-param name="section" select="7"/>
		<xsl:with-param name="page" select="'man7/mtserver.7'"/>
	</xsl:call-template>
</xsl:template>

<xsl:template match="compounddef">
	<xsl:for-each select="sectiondef/memberdef[@kind = 'function']">
		<exsl:document href="{$directory}{name}.3" method="text" encoding="UTF-8">
			<xsl:apply-templates select="."/>
		</exsl:document>
	</xsl:for-each>
	<xsl:for-each select="sectiondef/memberdef[@kind = 'typedef' or @kind = 'enum']">
		<xsl:call-template name="alias">
			<xsl:with-param name="name" select="name"/>
			<xsl:with-param name="section" select="3"/>
			<xsl:with-param name="page">
				<xsl:call-template name="page-of-type"/>
			</xsl:with-param>
		</xsl:call-template>
	</xsl:for-each>
</xsl:template>

<!-- Aliases -->

<xsl:template name="alias">
	<xsl:param name="name"/>
	<xsl:param name="section"/>
	<xsl:param name="page"/>
	<exsl:document href="{$directory}{$name}.{$section}" method="text" encoding="UTF-8">
		<xsl:value-of select="concat('.so ', $page, $newline)"/>
	</exsl:document>
</xsl:template>

<!-- Where a type is described: a callback on the page of the first function that takes it; an enumeration
     on the first page that shows its constants; anything else on that of the first function that returns
     it. Those of the type's own group come first. If there is none: on mtserver(7). -->
<xsl:template name="page-of-type">
	<xsl:variable name="type" select="."/>
	<xsl:variable name="pages">
		<xsl:apply-templates select="../../sectiondef/memberdef[@kind = 'function']" mode="page-of">
			<xsl:with-param name="type" select="$type"/>
		</xsl:apply-templates>
		<xsl:for-each select="$subjects">
			<xsl:apply-templates select="document(., $root)//memberdef[@kind = 'function']"
				mode="page-of">
				<xsl:with-param name="type" select="$type"/>
			</xsl:apply-templates>
		</xsl:for-each>
	</xsl:variable>
	<xsl:variable name="first" select="exsl:node-set($pages)/n[1]"/>
	<xsl:choose>
		<xsl:when test="$first">
			<xsl:value-of select="concat('man3/', $first, '.3')"/>
		</xsl:when>
		<xsl:otherwise>man7/mtserver.7</xsl:otherwise>
	</xsl:choose>
</xsl:template>

<xsl:template match="memberdef" mode="page-of">
	<xsl:param name="type"/>
	<xsl:variable name="refers">
		<xsl:choose>
			<xsl:when test="$type/@kind = 'enum'">
				<xsl:call-template name="described"/>
			</xsl:when>
			<xsl:when test="contains($type/type, '(*')">
				<xsl:copy-of select="param/type/ref"/>
			</xsl:when>
			<xsl:otherwise>
				<xsl:copy-of select="type/ref"/>
			</xsl:otherwise>
		</xsl:choose>
	</xsl:variable>
	<xsl:if test="exsl:node-set($refers)//ref/@refid = $type/@id">
		<n><xsl:value-of select="name"/></n>
	</xsl:if>
</xsl:template>

<!-- All that describes a function: its own comment, and those of the callbacks that it takes. -->
<xsl:template name="described">
	<xsl:copy-of select="briefdescription | detaileddescription"/>
	<xsl:apply-templates select="param/type/ref" mode="callback"/>
</xsl:template>

<!-- mtserver(7) -->

<xsl:template name="the-whole">
	<exsl:document href="{$directory}mtserver.7" method="text" encoding="UTF-8">
		<xsl:call-template name="head">
			<xsl:with-param name="name" select="'mtserver'"/>
			<xsl:with-param name="section" select="7"/>
		</xsl:call-template>
		<xsl:text>.SH NAME&#10;mtserver \- serve many socket clients, each by a blocking callback&#10;</xsl:text>
		<xsl:call-template name="library"/>
		<xsl:text>.SH SYNOPSIS&#10;.nf&#10;.B #include &lt;mtserver.h&gt;&#10;.fi&#10;</xsl:text>
		<xsl:text>.SH DESCRIPTION&#10;</xsl:text>
		<xsl:apply-templates select="$first-page/detaileddescription/para" mode="block"/>
		<xsl:for-each select="$first-page/detaileddescription/sect1">
			<xsl:call-template name="heading"/>
			<xsl:apply-templates select="para[not(table//ref[starts-with(@refid, 'group__') and
				@kindref = 'compound'])]" mode="block"/>
		</xsl:for-each>
		<xsl:text>.SH "PAGES BY SUBJECT"&#10;</xsl:text>
		<xsl:for-each select="$subjects">
			<xsl:apply-templates select="document(., $root)/doxygen/compounddef[
				sectiondef/memberdef[@kind = 'function']]" mode="subject"/>
		</xsl:for-each>
		<xsl:text>.SH "SEE ALSO"&#10;.BR mts_serve (3),&#10;.BR mts_server_create (3),&#10;</xsl:text>
		<xsl:text>.BR mts_client_write (3),&#10;.BR pkg\-config (1),&#10;.BR epoll (7)&#10;</xsl:text>
	</exsl:document>
</xsl:template>

<xsl:template match="compounddef" mode="subject">
	<xsl:value-of select="concat('.SS ', title, $newline)"/>
	<xsl:for-each select="sectiondef/memberdef[@kind = 'function']">
		<xsl:value-of select="concat('.TP', $newline, '.BR ', name, ' (3)', $newline)"/>
		<xsl:call-template name="summary"/>
	</xsl:for-each>
</xsl:template>

<xsl:template name="heading">
	<xsl:value-of select="concat('.SH &quot;', translate(normalize-space(title),
		'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'), '&quot;', $newline)"/>
</xsl:template>

<!-- What every page begins with -->

<xsl:template name="head">
	<xsl:param name="name"/>
	<xsl:param name="section"/>
	<xsl:text>.\" Made from the comments in the headers of libmtserver.&#10;</xsl:text>
	<xsl:value-of select="concat('.TH ', $name, ' ', $section, ' &quot;&quot; &quot;libmtserver ',
		$version, '&quot; &quot;libmtserver manual&quot;', $newline)"/>
	<xsl:text>.nh&#10;.ad l&#10;</xsl:text>
</xsl:template>

<xsl:template name="library">
	<xsl:text>.SH LIBRARY&#10;libmtserver: \fBcc PROGRAM.c $(pkg\-config \-\-cflags \-\-libs mtserver)</xsl:text>
	<xsl:text>\fP&#10;</xsl:text>
</xsl:template>

<!-- A page -->

<xsl:template match="memberdef">
	<xsl:call-template name="head">
		<xsl:with-param name="name" select="name"/>
		<xsl:with-param name="section" select="3"/>
	</xsl:call-template>

	<xsl:text>.SH NAME&#10;</xsl:text>
	<xsl:value-of select="concat(name, ' \- ')"/>
	<xsl:call-template name="summary"/>

	<xsl:call-template name="library"/>

	<xsl:variable name="callbacks">
		<xsl:apply-templates select="param/type/ref[not(. = ../../preceding-sibling::param/type/ref)]"
			mode="callback"/>
	</xsl:variable>
	<xsl:variable name="callback" select="exsl:node-set($callbacks)/memberdef"/>

	<xsl:text>.SH SYNOPSIS&#10;.nf&#10;.B #include &lt;mtserver.h&gt;&#10;.PP&#10;</xsl:text>
	<xsl:for-each select="$callback">
		<xsl:call-template name="callback-type"/>
		<xsl:text>.PP&#10;</xsl:text>
	</xsl:for-each>
	<xsl:call-template name="prototype"/>
	<xsl:text>.fi&#10;</xsl:text>

	<xsl:text>.SH DESCRIPTION&#10;</xsl:text>
	<xsl:apply-templates select="briefdescription/para" mode="block"/>
	<xsl:apply-templates select="detaileddescription/para" mode="block"/>

	<xsl:variable name="details" select="detaileddescription/para"/>
	<xsl:variable name="params" select="$details/parameterlist[@kind = 'param']/parameteritem"/>
	<xsl:if test="$params">
		<xsl:text>.SH PARAMETERS&#10;</xsl:text>
		<xsl:apply-templates select="$params" mode="item"/>
	</xsl:if>

	<xsl:text>.SH "RETURN VALUE"&#10;</xsl:text>
	<xsl:variable name="return" select="$details/simplesect[@kind = 'return']"/>
	<xsl:variable name="codes" select="$details/parameterlist[@kind = 'retval']/parameteritem"/>
	<xsl:call-template name="answer">
		<xsl:with-param name="subject" select="'Returns'"/>
		<xsl:with-param name="answer" select="$return"/>
		<xsl:with-param name="codes" select="$codes"/>
	</xsl:call-template>
	<xsl:if test="not($return) and not($codes)">
		<xsl:text>None.&#10;</xsl:text>
	</xsl:if>

	<xsl:for-each select="$callback">
		<xsl:text>.SH "THE CALLBACK"&#10;</xsl:text>
		<xsl:apply-templates select="briefdescription/para" mode="block"/>
		<xsl:apply-templates select="detaileddescription/para" mode="block"/>
		<xsl:apply-templates select="detaileddescription/para/parameterlist[
			@kind = 'param']/parameteritem" mode="item"/>
		<xsl:variable name="answer" select="detaileddescription/para/simplesect[@kind = 'return']"/>
		<xsl:variable name="verdicts" select="detaileddescription/para/parameterlist[
			@kind = 'retval']/parameteritem"/>
		<xsl:if test="$verdicts and not($answer)">
			<xsl:text>.PP&#10;It returns:&#10;</xsl:text>
		</xsl:if>
		<xsl:call-template name="answer">
			<xsl:with-param name="subject" select="'It returns'"/>
			<xsl:with-param name="answer" select="$answer"/>
			<xsl:with-param name="codes" select="$verdicts"/>
		</xsl:call-template>
		<xsl:apply-templates select="detaileddescription/para/simplesect[@kind = 'par']/para"
			mode="block"/>
	</xsl:for-each>

	<xsl:variable name="described-tree">
		<xsl:call-template name="described"/>
	</xsl:variable>
	<xsl:variable name="described" select="exsl:node-set($described-tree)//ref"/>
	<xsl:for-each select="$described[not(@refid = preceding::ref/@refid)]">
		<xsl:call-template name="constants">
			<xsl:with-param name="id" select="@refid"/>
		</xsl:call-template>
	</xsl:for-each>

	<xsl:for-each select="$details/simplesect[@kind = 'par' and normalize-space(title) != 'Example']">
		<xsl:call-template name="heading"/>
		<xsl:apply-templates select="para" mode="block"/>
	</xsl:for-each>

	<xsl:for-each select="$details/simplesect[@kind = 'since']">
		<xsl:text>.SH HISTORY&#10;Since version </xsl:text>
		<xsl:value-of select="normalize-space(.)"/>
		<xsl:text>.&#10;</xsl:text>
	</xsl:for-each>

	<xsl:for-each select="$details/simplesect[@kind = 'par' and normalize-space(title) = 'Example']">
		<xsl:text>.SH EXAMPLES&#10;</xsl:text>
		<xsl:apply-templates select="para" mode="block"/>
	</xsl:for-each>

	<xsl:call-template name="see-also"/>
</xsl:template>

<!-- What is returned. @return says so without a subject and a full stop, and ends with "or" where codes
     follow; here that becomes a sentence. -->
<xsl:template name="answer">
	<xsl:param name="subject"/>
	<xsl:param name="answer"/>
	<xsl:param name="codes"/>
	<xsl:variable name="text">
		<xsl:apply-templates select="$answer/para" mode="inline"/>
	</xsl:variable>
	<xsl:variable name="line" select="normalize-space($text)"/>
	<xsl:if test="$line">
		<xsl:value-of select="concat('.PP', $newline, $subject, ' ', $line)"/>
		<xsl:choose>
			<xsl:when test="$codes">
				<xsl:text>:</xsl:text>
			</xsl:when>
			<xsl:when test="substring($line, string-length($line)) != '.'">
				<xsl:text>.</xsl:text>
			</xsl:when>
		</xsl:choose>
		<xsl:value-of select="$newline"/>
	</xsl:if>
	<xsl:apply-templates select="$codes" mode="item"/>
</xsl:template>

<!-- The first sentence, or what it has before a colon or semicolon, begun with a small letter and without its
     full stop, as NAME wants it. -->
<xsl:template name="summary">
	<xsl:variable name="text">
		<xsl:apply-templates select="briefdescription/para" mode="inline"/>
	</xsl:variable>
	<xsl:variable name="line" select="substring-before(concat(substring-before(concat(
		normalize-space($text), ': '), ': '), '; '), '; ')"/>
	<xsl:variable name="first" select="substring($line, 1, 1)"/>
	<xsl:variable name="second" select="substring($line, 2, 1)"/>
	<xsl:choose>
		<xsl:when test="contains('ABCDEFGHIJKLMNOPQRSTUVWXYZ', $second)">
			<xsl:value-of select="$first"/>
		</xsl:when>
		<xsl:otherwise>
			<xsl:value-of select="translate($first, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
				'abcdefghijklmnopqrstuvwxyz')"/>
		</xsl:otherwise>
	</xsl:choose>
	<xsl:choose>
		<xsl:when test="substring($line, string-length($line)) = '.'">
			<xsl:value-of select="substring($line, 2, string-length($line) - 2)"/>
		</xsl:when>
		<xsl:otherwise>
			<xsl:value-of select="substring($line, 2)"/>
		</xsl:otherwise>
	</xsl:choose>
	<xsl:value-of select="$newline"/>
</xsl:template>

<!-- What a reference refers to: the description is in the file of its group. -->

<xsl:template match="ref" mode="callback">
	<xsl:variable name="id" select="@refid"/>
	<xsl:copy-of select="document(concat(substring-before($id, '_1g'), '.xml'), /)//memberdef[
		@id = $id and @kind = 'typedef' and contains(type, '(*')]"/>
</xsl:template>

<xsl:template name="constants">
	<xsl:param name="id"/>
	<xsl:variable name="group" select="substring-before($id, '_1g')"/>
	<xsl:if test="$group">
		<xsl:for-each select="document(concat($group, '.xml'), $root)//memberdef[
				@id = $id and @kind = 'enum']">
			<xsl:value-of select="concat('.SH CONSTANTS', $newline, '.PP', $newline,
				'.B enum ', name, $newline)"/>
			<xsl:for-each select="enumvalue">
				<xsl:variable name="text">
					<xsl:apply-templates select="briefdescription/para | detaileddescription/para"
						mode="inline"/>
				</xsl:variable>
				<xsl:value-of select="concat('.TP', $newline, '.B ', name, $newline)"/>
				<xsl:call-template name="line">
					<xsl:with-param name="text" select="$text"/>
				</xsl:call-template>
			</xsl:for-each>
		</xsl:for-each>
	</xsl:if>
</xsl:template>

<xsl:template name="callback-type">
	<xsl:variable name="head"
		select="concat('typedef ', normalize-space(substring-before(type, '(*')), ' (*', name, ')(')"/>
	<xsl:variable name="rest" select="substring-after(argsstring, ')(')"/>
	<xsl:variable name="between">
		<xsl:text>, </xsl:text>
		<xsl:if test="string-length($head) + string-length($rest) &gt; 68">
			<xsl:value-of select="concat('&quot;', $newline, '.B &quot;    ')"/>
		</xsl:if>
	</xsl:variable>
	<xsl:value-of select="concat('.B &quot;', $head, str:replace($rest, ', ', $between), ';&quot;',
		$newline)"/>
</xsl:template>

<!-- Each parameter on a line of its own, indented to the opening bracket where that fits. -->
<xsl:template name="prototype">
	<xsl:variable name="head">
		<xsl:call-template name="declaration">
			<xsl:with-param name="type" select="string(type)"/>
			<xsl:with-param name="name" select="name"/>
		</xsl:call-template>
		<xsl:text>(</xsl:text>
	</xsl:variable>
	<xsl:variable name="one-line">
		<xsl:value-of select="$head"/>
		<xsl:call-template name="arguments">
			<xsl:with-param name="between" select="', '"/>
		</xsl:call-template>
	</xsl:variable>
	<xsl:text>.B "</xsl:text>
	<xsl:choose>
		<xsl:when test="string-length($one-line) &lt; 68">
			<xsl:value-of select="concat($one-line, ');')"/>
		</xsl:when>
		<xsl:otherwise>
			<xsl:value-of select="$head"/>
			<xsl:call-template name="arguments">
				<xsl:with-param name="between" select="concat(',&quot;', $newline, '.B &quot;',
					substring('                                              ', 1,
						string-length($head)))"/>
			</xsl:call-template>
			<xsl:text>);</xsl:text>
		</xsl:otherwise>
	</xsl:choose>
	<xsl:text>"&#10;</xsl:text>
</xsl:template>

<xsl:template name="arguments">
	<xsl:param name="between"/>
	<xsl:if test="not(param)">
		<xsl:text>void</xsl:text>
	</xsl:if>
	<xsl:for-each select="param">
		<xsl:if test="position() &gt; 1">
			<xsl:value-of select="$between"/>
		</xsl:if>
		<xsl:call-template name="declaration">
			<xsl:with-param name="type" select="string(type)"/>
			<xsl:with-param name="name" select="declname"/>
			<xsl:with-param name="rest" select="array"/>
		</xsl:call-template>
	</xsl:for-each>
</xsl:template>

<!-- "type name", with a pointer's star at the name, and a function pointer's name in its middle. -->
<xsl:template name="declaration">
	<xsl:param name="type"/>
	<xsl:param name="name"/>
	<xsl:param name="rest"/>
	<xsl:variable name="folded" select="normalize-space($type)"/>
	<xsl:choose>
		<xsl:when test="contains($folded, '(*)')">
			<xsl:value-of select="concat(substring-before($folded, '(*)'), '(*', $name, ')',
				substring-after($folded, '(*)'))"/>
		</xsl:when>
		<xsl:when test="substring($folded, string-length($folded)) = '*'">
			<xsl:value-of select="concat($folded, $name, $rest)"/>
		</xsl:when>
		<xsl:when test="$name">
			<xsl:value-of select="concat($folded, ' ', $name, $rest)"/>
		</xsl:when>
		<xsl:otherwise>
			<xsl:value-of select="$folded"/>
		</xsl:otherwise>
	</xsl:choose>
</xsl:template>

<!-- What @see names comes first: what one needs next. -->
<xsl:template name="see-also">
	<xsl:variable name="this" select="name"/>
	<xsl:variable name="next" select="detaileddescription//simplesect[@kind = 'see']//ref"/>
	<xsl:variable name="mentioned" select="(briefdescription | detaileddescription)//ref[
		@kindref = 'member' and contains(., '()')]"/>
	<xsl:variable name="names">
		<xsl:for-each select="$next">
			<n><xsl:value-of select="substring-before(., '()')"/></n>
		</xsl:for-each>
		<xsl:for-each select="$mentioned">
			<n><xsl:value-of select="substring-before(., '()')"/></n>
		</xsl:for-each>
	</xsl:variable>
	<xsl:text>.SH "SEE ALSO"&#10;</xsl:text>
	<xsl:for-each select="exsl:node-set($names)/n[. != $this and not(. = preceding-sibling::n)]">
		<xsl:value-of select="concat('.BR ', ., ' (3),', $newline)"/>
	</xsl:for-each>
	<xsl:text>.BR mtserver (7)&#10;</xsl:text>
</xsl:template>

<!-- Blocks -->

<!-- A paragraph may hold lists, tables and code besides its text: each stands where it does in the comment.
     What has a section of its own is not shown here. -->
<xsl:variable name="blocks" select="'|parameterlist|simplesect|itemizedlist|orderedlist|table|programlisting|verbatim|'"/>

<xsl:template match="para" mode="block">
	<xsl:variable name="apart" select="*[contains($blocks, concat('|', name(), '|'))]"/>
	<xsl:call-template name="text-between">
		<xsl:with-param name="nodes" select="node()[not(preceding-sibling::*[
			contains($blocks, concat('|', name(), '|'))])]"/>
	</xsl:call-template>
	<xsl:for-each select="$apart">
		<xsl:variable name="this" select="generate-id()"/>
		<xsl:if test="not(self::parameterlist)">
			<xsl:apply-templates select="." mode="block"/>
		</xsl:if>
		<xsl:call-template name="text-between">
			<xsl:with-param name="nodes" select="following-sibling::node()[generate-id(
				preceding-sibling::*[contains($blocks, concat('|', name(), '|'))][1]) = $this]"/>
		</xsl:call-template>
	</xsl:for-each>
</xsl:template>

<xsl:template name="text-between">
	<xsl:param name="nodes"/>
	<xsl:variable name="text">
		<xsl:apply-templates select="$nodes[not(contains($blocks, concat('|', name(), '|')))]"
			mode="inline"/>
	</xsl:variable>
	<xsl:if test="normalize-space($text)">
		<xsl:text>.PP&#10;</xsl:text>
		<xsl:call-template name="line">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
	</xsl:if>
</xsl:template>

<xsl:template match="simplesect" mode="block">
	<xsl:if test="@kind = 'note' or @kind = 'warning' or @kind = 'remark'">
		<xsl:apply-templates select="para" mode="block"/>
	</xsl:if>
</xsl:template>

<xsl:template match="itemizedlist | orderedlist" mode="block">
	<xsl:for-each select="listitem">
		<xsl:choose>
			<xsl:when test="parent::orderedlist">
				<xsl:value-of select="concat('.IP ', position(), '. 4', $newline)"/>
			</xsl:when>
			<xsl:otherwise>
				<xsl:text>.IP \(bu 2&#10;</xsl:text>
			</xsl:otherwise>
		</xsl:choose>
		<xsl:variable name="text">
			<xsl:apply-templates select="para" mode="inline"/>
		</xsl:variable>
		<xsl:call-template name="line">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
	</xsl:for-each>
</xsl:template>

<!-- The first column names, the others explain; the heads are left out. -->
<xsl:template match="table" mode="block">
	<xsl:for-each select="row[entry/@thead = 'no']">
		<xsl:variable name="name">
			<xsl:apply-templates select="entry[1]/para" mode="inline"/>
		</xsl:variable>
		<xsl:variable name="text">
			<xsl:for-each select="entry[position() &gt; 1]">
				<xsl:variable name="part">
					<xsl:apply-templates select="para" mode="inline"/>
				</xsl:variable>
				<xsl:if test="position() &gt; 1 and normalize-space($part)">
					<xsl:text>; </xsl:text>
				</xsl:if>
				<xsl:value-of select="normalize-space($part)"/>
			</xsl:for-each>
		</xsl:variable>
		<xsl:text>.TP&#10;</xsl:text>
		<xsl:call-template name="line">
			<xsl:with-param name="text" select="$name"/>
		</xsl:call-template>
		<xsl:call-template name="line">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
	</xsl:for-each>
</xsl:template>

<xsl:template match="programlisting" mode="block">
	<xsl:text>.PP&#10;.in +4n&#10;.nf&#10;</xsl:text>
	<xsl:for-each select="codeline">
		<xsl:variable name="text">
			<xsl:apply-templates mode="code"/>
		</xsl:variable>
		<xsl:call-template name="guarded">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
		<xsl:value-of select="$newline"/>
	</xsl:for-each>
	<xsl:text>.fi&#10;.in&#10;</xsl:text>
</xsl:template>

<xsl:template match="sp" mode="code">
	<xsl:text> </xsl:text>
</xsl:template>

<xsl:template match="text()" mode="code">
	<xsl:call-template name="escaped">
		<xsl:with-param name="text" select="."/>
	</xsl:call-template>
</xsl:template>

<xsl:template match="verbatim" mode="block">
	<xsl:text>.PP&#10;.in +4n&#10;.nf&#10;</xsl:text>
	<xsl:for-each select="str:split(., $newline)">
		<xsl:variable name="text">
			<xsl:call-template name="escaped">
				<xsl:with-param name="text" select="."/>
			</xsl:call-template>
		</xsl:variable>
		<xsl:call-template name="guarded">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
		<xsl:value-of select="$newline"/>
	</xsl:for-each>
	<xsl:text>.fi&#10;.in&#10;</xsl:text>
</xsl:template>

<!-- A parameter or return code with what it means. -->
<xsl:template match="parameteritem" mode="item">
	<xsl:variable name="name">
		<xsl:for-each select="parameternamelist/parametername">
			<xsl:if test="position() &gt; 1">
				<xsl:text>, </xsl:text>
			</xsl:if>
			<xsl:call-template name="escaped">
				<xsl:with-param name="text" select="translate(., '&quot;', '')"/>
			</xsl:call-template>
		</xsl:for-each>
	</xsl:variable>
	<xsl:variable name="text">
		<xsl:apply-templates select="parameterdescription/para" mode="inline"/>
	</xsl:variable>
	<xsl:value-of select="concat('.TP', $newline, '.B ', normalize-space($name), $newline)"/>
	<xsl:call-template name="line">
		<xsl:with-param name="text" select="$text"/>
	</xsl:call-template>
</xsl:template>

<!-- Inline -->

<xsl:template match="computeroutput | bold" mode="inline">
	<xsl:text>\fB</xsl:text>
	<xsl:apply-templates mode="inline"/>
	<xsl:text>\fP</xsl:text>
</xsl:template>

<xsl:template match="emphasis" mode="inline">
	<xsl:text>\fI</xsl:text>
	<xsl:apply-templates mode="inline"/>
	<xsl:text>\fP</xsl:text>
</xsl:template>

<xsl:template match="ref" mode="inline">
	<xsl:choose>
		<xsl:when test="@kindref = 'member' and contains(., '()')">
			<xsl:value-of select="concat('\fB', substring-before(., '()'), '\fP(3)')"/>
		</xsl:when>
		<xsl:otherwise>
			<xsl:apply-templates mode="inline"/>
		</xsl:otherwise>
	</xsl:choose>
</xsl:template>

<xsl:template match="para" mode="inline">
	<xsl:if test="position() &gt; 1">
		<xsl:text> </xsl:text>
	</xsl:if>
	<xsl:apply-templates mode="inline"/>
</xsl:template>

<xsl:template match="ndash | mdash" mode="inline">
	<xsl:text>\-</xsl:text>
</xsl:template>

<xsl:template match="sp | linebreak" mode="inline">
	<xsl:text> </xsl:text>
</xsl:template>

<xsl:template match="text()" mode="inline">
	<xsl:call-template name="escaped">
		<xsl:with-param name="text" select="."/>
	</xsl:call-template>
</xsl:template>

<!-- roff -->

<xsl:template name="escaped">
	<xsl:param name="text"/>
	<xsl:value-of select="str:replace(str:replace(str:replace(str:replace($text,
		'\', '\e'), '-', '\-'), '^', '\(ha'), '~', '\(ti')"/>
</xsl:template>

<!-- A line that begins with a full stop or an apostrophe would be taken for a request. -->
<xsl:template name="guarded">
	<xsl:param name="text"/>
	<xsl:variable name="first" select="substring($text, 1, 1)"/>
	<xsl:if test='$first = "." or $first = "&apos;"'>
		<xsl:text>\&amp;</xsl:text>
	</xsl:if>
	<xsl:value-of select="$text"/>
</xsl:template>

<xsl:template name="line">
	<xsl:param name="text"/>
	<xsl:call-template name="guarded">
		<xsl:with-param name="text" select="normalize-space($text)"/>
	</xsl:call-template>
	<xsl:value-of select="$newline"/>
</xsl:template>

</xsl:stylesheet>
