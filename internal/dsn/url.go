package dsn

import (
	"net/url"
	"strings"
)

// parseURL follows libpq: [user[:password]@][host[:port],…][/database][?key=value&…].
// Characters that would be legal but are more likely a part of a password that
// was not escaped are refused: they would be shown as the role or the database.
func parseURL(scheme, rest string) (DSN, *Fault) {
	d := DSN{url: true, parts: []part{{text: scheme}}}
	var wrong *Fault
	add := func(key, text string) {
		value, ok := decode(text)
		if !ok && wrong == nil {
			wrong = malformedURL("it holds a space, or a % without two hexadecimal digits after it")
		}
		d.parts = append(d.parts, part{text: text, key: key, value: value})
	}
	punctuation := func(text string) { d.parts = append(d.parts, part{text: text}) }

	if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' {
		user, password, hasPassword := strings.Cut(rest[:at], ":")
		if strings.ContainsAny(user, `?#=&,;<>"'\`) {
			return DSN{}, malformedURL("the user holds a character that has to be escaped there")
		}
		add("user", user)
		if hasPassword {
			punctuation(":")
			add("password", password)
		}
		punctuation("@")
		rest = rest[at+1:]
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, database, hasDatabase := strings.Cut(rest, "/")
	switch {
	case strings.ContainsRune(authority, '@'), strings.ContainsAny(database, "@:/=&#;"):
		return DSN{}, malformedURL("there is a character after the user that has to be escaped there")
	case !plausibleHosts(authority):
		return DSN{}, malformedURL("what stands in the place of the host and its port is neither")
	}
	add("host", authority)
	if hasDatabase {
		punctuation("/")
		add("dbname", database)
	}
	if hasQuery {
		if wrong := d.parseQuery(query, add, punctuation); wrong != nil {
			return DSN{}, wrong
		}
	}
	return d, wrong
}

// parseQuery reads the settings after the question mark.
func (d *DSN) parseQuery(query string, add func(key, text string), punctuation func(text string)) *Fault {
	separator := "?"
	for pair := range strings.SplitSeq(query, "&") {
		key, value, hasValue := strings.Cut(pair, "=")
		name, decoded := decode(key)
		switch {
		case !decoded || !hasValue && pair != "":
			return malformedURL("after the ? there is something that is no keyword=value")
		case strings.Contains(value, "="):
			return fault("in a URL, write = in a value as %3D", "is no well-formed URL: a value after the ? holds an =")
		case d.parts[0].text == jdbcScheme && strings.Contains(value, "+"):
			return fault("write it as %20 where a space is meant, and as %2B where a + is meant",
				"is a jdbc: URL with a + in it, which Java reads as a space and libpq does not")
		}
		punctuation(separator + key)
		if hasValue {
			punctuation("=")
			add(name, value)
		}
		separator = "&"
	}
	return nil
}

// decode reads a piece of a URL as libpq does: spaces around it do not count, and inside it are refused.
func decode(text string) (string, bool) {
	text = strings.Trim(text, " ")
	value, err := url.PathUnescape(text)
	return value, err == nil && !strings.ContainsAny(text, spaces) && !strings.ContainsRune(value, 0)
}

// plausibleHosts tells whether each host's port is a number: a password with an
// unescaped character ends up there.
func plausibleHosts(hosts string) bool {
	if strings.Count(hosts, "[") != strings.Count(hosts, "]") {
		return false // libpq lets an IPv6 address hold what ends a host elsewhere; none does
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if end := strings.LastIndexByte(host, ']'); end >= 0 {
			host = host[end+1:]
		}
		if _, port, ok := strings.Cut(host, ":"); ok && strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	return true
}
