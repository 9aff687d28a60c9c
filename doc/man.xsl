<?xml version="1.0" encoding="UTF-8"?>
<!--
  Manual pages out of Doxygen's XML: one for each public function, and nothing else.

  Run on index.xml, it looks into every compound that describes a group of functions, and writes
  NAME.3 for each function it meets. The parts of a page come from the doc comment: the first
  sentence for NAME, the rest for DESCRIPTION, @param for PARAMETERS, @return and @retval for RETURN
  VALUE, the "Threads" paragraph for THREADS, @since for HISTORY. SEE ALSO names the functions that
  the comment mentions, then the others of its group.

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

<xsl:template match="/doxygenindex">
	<xsl:for-each select="compound[@kind = 'group']">
		<xsl:apply-templates select="document(concat(@refid, '.xml'), /)/doxygen/compounddef"/>
	</xsl:for-each>
</xsl:template>

<xsl:template match="compounddef">
	<xsl:for-each select="sectiondef/memberdef[@kind = 'function']">
		<exsl:document href="{$directory}{name}.3" method="text" encoding="UTF-8">
			<xsl:apply-templates select="."/>
		</exsl:document>
	</xsl:for-each>
</xsl:template>

<!-- A page -->

<xsl:template match="memberdef">
	<xsl:text>.\" Made from the comments in the headers of libmtserver.&#10;</xsl:text>
	<xsl:value-of select="concat('.TH ', name, ' 3 &quot;&quot; &quot;libmtserver ', $version,
		'&quot; &quot;libmtserver manual&quot;', $newline)"/>
	<xsl:text>.nh&#10;.ad l&#10;</xsl:text>

	<xsl:text>.SH NAME&#10;</xsl:text>
	<xsl:value-of select="concat(name, ' \- ')"/>
	<xsl:call-template name="summary"/>

	<xsl:variable name="this" select="."/>
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

	<xsl:for-each select="(briefdescription | detaileddescription)//ref[
			not(. = preceding::ref[ancestor::memberdef/@id = $this/@id])]">
		<xsl:apply-templates select="." mode="constants"/>
	</xsl:for-each>

	<xsl:for-each select="$details/simplesect[@kind = 'par']">
		<xsl:text>.SH </xsl:text>
		<xsl:value-of select="translate(normalize-space(title), 'abcdefghijklmnopqrstuvwxyz',
			'ABCDEFGHIJKLMNOPQRSTUVWXYZ')"/>
		<xsl:text>&#10;</xsl:text>
		<xsl:apply-templates select="para" mode="block"/>
	</xsl:for-each>

	<xsl:for-each select="$details/simplesect[@kind = 'since']">
		<xsl:text>.SH HISTORY&#10;Since version </xsl:text>
		<xsl:value-of select="normalize-space(.)"/>
		<xsl:text>.&#10;</xsl:text>
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

<!-- The first sentence, begun with a small letter and without its full stop, as NAME wants it. -->
<xsl:template name="summary">
	<xsl:variable name="text">
		<xsl:apply-templates select="briefdescription/para" mode="inline"/>
	</xsl:variable>
	<xsl:variable name="line" select="normalize-space($text)"/>
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

<xsl:template match="ref" mode="constants">
	<xsl:variable name="id" select="@refid"/>
	<xsl:variable name="group" select="substring-before($id, '_1g')"/>
	<xsl:if test="$group">
		<xsl:for-each select="document(concat($group, '.xml'), /)//memberdef[
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

<xsl:template name="see-also">
	<xsl:variable name="this" select="name"/>
	<xsl:variable name="mentioned" select="(briefdescription | detaileddescription)//ref[
		@kindref = 'member' and contains(., '()')]"/>
	<xsl:variable name="names">
		<xsl:for-each select="$mentioned">
			<n><xsl:value-of select="substring-before(., '()')"/></n>
		</xsl:for-each>
		<xsl:for-each select="../../sectiondef/memberdef[@kind = 'function']">
			<n><xsl:value-of select="name"/></n>
		</xsl:for-each>
	</xsl:variable>
	<xsl:variable name="others" select="exsl:node-set($names)/n[
		. != $this and not(. = preceding-sibling::n)]"/>
	<xsl:text>.SH "SEE ALSO"&#10;</xsl:text>
	<xsl:for-each select="$others">
		<xsl:value-of select="concat('.BR ', ., ' (3)')"/>
		<xsl:if test="position() != last()">
			<xsl:text>,</xsl:text>
		</xsl:if>
		<xsl:value-of select="$newline"/>
	</xsl:for-each>
	<xsl:if test="not($others)">
		<xsl:text>.BR mts_server_create (3)&#10;</xsl:text>
	</xsl:if>
</xsl:template>

<!-- Blocks -->

<!-- A paragraph may hold lists and tables besides its text; what has a section of its own is not
     shown here. -->
<xsl:template match="para" mode="block">
	<xsl:variable name="apart" select="parameterlist | simplesect | itemizedlist | orderedlist
		| table | programlisting | verbatim"/>
	<xsl:variable name="text">
		<xsl:apply-templates select="node()[not(self::parameterlist or self::simplesect
			or self::itemizedlist or self::orderedlist or self::table or self::programlisting
			or self::verbatim)]" mode="inline"/>
	</xsl:variable>
	<xsl:if test="normalize-space($text)">
		<xsl:text>.PP&#10;</xsl:text>
		<xsl:call-template name="line">
			<xsl:with-param name="text" select="$text"/>
		</xsl:call-template>
	</xsl:if>
	<xsl:apply-templates select="$apart[not(self::parameterlist)]" mode="block"/>
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
				<xsl:if test="position() &gt; 1">
					<xsl:text>; </xsl:text>
				</xsl:if>
				<xsl:apply-templates select="para" mode="inline"/>
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
