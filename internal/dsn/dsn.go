// Package dsn takes a PostgreSQL connection string apart far enough to know its
// secrets: to show it without them, to find them in other text, and to put
// files in the place of systemd credentials. What a setting means is left to pgx.
package dsn

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Mask stands where a secret was.
const Mask = "xxxxx"

// ErrMalformed is all that Parse tells: any more would quote the string, and a
// mistyped DSN may hold its password anywhere.
var ErrMalformed = errors.New("neither a well-formed postgres:// URL nor keyword=value pairs")

// DSN is a connection string. Its String is safe to show.
type DSN struct {
	url   bool
	parts []part
}

// part is a piece of the text; those of a setting carry its key.
type part struct {
	text  string // as written
	key   string // "" for punctuation
	value string // decoded
}

func (p part) secret() bool { return p.key == "password" || p.key == "sslpassword" }

// Parse takes s apart. The error is ErrMalformed.
func Parse(s string) (DSN, error) {
	if strings.ContainsRune(s, 0) {
		return DSN{}, ErrMalformed
	}
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return parseURL(scheme, rest)
		}
	}
	return parseKeywords(s)
}

// String returns the DSN with its secrets masked.
func (d DSN) String() string {
	return d.render(func(p part) string {
		if p.secret() && p.value != "" {
			return Mask
		}
		return p.text
	})
}

// Reveal returns the DSN with its secrets, for the driver alone.
func (d DSN) Reveal() string { return d.render(func(p part) string { return p.text }) }

func (d DSN) render(text func(part) string) string {
	var b strings.Builder
	for _, p := range d.parts {
		b.WriteString(text(p))
	}
	return b.String()
}

// Get returns a setting's value as libpq names the key, "" where it is not set; the last one counts.
func (d DSN) Get(key string) string {
	value := ""
	for _, p := range d.parts {
		if p.key == key {
			value = p.value
		}
	}
	return value
}

// HasSecret tells whether the DSN itself holds a password.
func (d DSN) HasSecret() bool {
	for _, p := range d.parts {
		if p.secret() && p.value != "" {
			return true
		}
	}
	return false
}

// Map returns the DSN with the value of each setting replaced by what fn returns.
func (d DSN) Map(fn func(key, value string) (string, error)) (DSN, error) {
	mapped := DSN{url: d.url, parts: make([]part, len(d.parts))}
	for i, p := range d.parts {
		mapped.parts[i] = p
		if p.key == "" {
			continue
		}
		value, err := fn(p.key, p.value)
		if err != nil {
			return DSN{}, err
		}
		if value != p.value {
			mapped.parts[i].value, mapped.parts[i].text = value, d.quote(value)
		}
	}
	return mapped, nil
}

func (d DSN) quote(value string) string {
	if d.url {
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") // libpq does not read + as a space
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// Redact masks the DSN's secrets wherever they stand in text.
func (d DSN) Redact(text string) string {
	var public, secrets []string
	for _, p := range d.parts {
		switch {
		case p.secret():
			secrets = append(secrets, p.value, p.text)
		case p.key != "":
			public = append(public, p.value)
		}
	}
	return redact(text, secrets, public)
}

// Redact masks secret in text, as it is and as a URL writes it. A secret that
// can also be read in public (a password like the role's name is a common
// default) is masked only where it stands as a password: else every line about
// that role would be unreadable, and would tell the secret by what it hides.
func Redact(text, secret string, public ...string) string {
	return redact(text, []string{secret}, public)
}

// redact replaces in one pass: what it has masked is not looked at again.
func redact(text string, secrets, public []string) string {
	known := strings.Join(public, "\n")
	var forms, replacements []string
	for _, secret := range secrets {
		if strings.Contains(Mask, secret) {
			continue // no secret, or one that the mask itself would tell
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
	}
	// The longest first, so that no form hides a part of another.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		if !strings.Contains(known, form) {
			replacements = append(replacements, form, Mask)
			continue
		}
		for _, around := range [][2]string{{":", "@"}, {"password=", ""}, {"password='", "'"}} {
			replacements = append(replacements, around[0]+form+around[1], around[0]+Mask+around[1])
		}
	}
	return strings.NewReplacer(replacements...).Replace(text)
}

// parseURL follows libpq: [user[:password]@][host[:port],…][/database][?key=value&…].
func parseURL(scheme, rest string) (DSN, error) {
	d := DSN{url: true, parts: []part{{text: scheme}}}
	ok := true
	add := func(key, text string) {
		value, decoded := decode(text)
		ok = ok && decoded
		d.parts = append(d.parts, part{text: text, key: key, value: value})
	}
	punctuation := func(text string) { d.parts = append(d.parts, part{text: text}) }

	if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' {
		user, password, hasPassword := strings.Cut(rest[:at], ":")
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
	// An @ that is left is most likely part of a password that was not escaped.
	if strings.ContainsRune(authority, '@') || strings.ContainsRune(database, '@') || !plausibleHosts(authority) {
		return DSN{}, ErrMalformed
	}
	add("host", authority)
	if hasDatabase {
		punctuation("/")
		add("dbname", database)
	}
	if hasQuery {
		separator := "?"
		for pair := range strings.SplitSeq(query, "&") {
			key, value, hasValue := strings.Cut(pair, "=")
			name, decoded := decode(key)
			if !decoded || !hasValue && pair != "" {
				return DSN{}, ErrMalformed
			}
			punctuation(separator + key)
			if hasValue {
				punctuation("=")
				add(name, value)
			}
			separator = "&"
		}
	}
	if !ok {
		return DSN{}, ErrMalformed
	}
	return d, nil
}

// decode reads a piece of a URL as libpq does: spaces around it do not count, and inside it are refused.
func decode(text string) (string, bool) {
	text = strings.Trim(text, " ")
	value, err := url.PathUnescape(text)
	return value, err == nil && !strings.Contains(text, " ")
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

const spaces = " \t\n\r\v\f"

// parseKeywords follows libpq: key = value pairs, values in single quotes where
// they hold spaces, a backslash before what is to be taken literally.
func parseKeywords(s string) (DSN, error) {
	d := DSN{}
	for s = strings.TrimLeft(s, spaces); s != ""; s = strings.TrimLeft(s, spaces) {
		key, rest, found := strings.Cut(s, "=")
		key = strings.TrimRight(key, spaces)
		if !found || key == "" || strings.ContainsAny(key, spaces) {
			return DSN{}, ErrMalformed
		}
		text, value, remainder, ok := keywordValue(strings.TrimLeft(rest, spaces))
		if !ok {
			return DSN{}, ErrMalformed
		}
		if len(d.parts) > 0 {
			d.parts = append(d.parts, part{text: " "})
		}
		d.parts = append(d.parts, part{text: key + "="}, part{text: text, key: key, value: value})
		s = remainder
	}
	return d, nil
}

// keywordValue reads one value: its text as written, what it means, and what follows it.
func keywordValue(s string) (text, value, rest string, ok bool) {
	quoted := strings.HasPrefix(s, "'")
	i := 0
	if quoted {
		i = 1
	}
	var b strings.Builder
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\'':
			return s[:i+1], b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(spaces, c) >= 0:
			return s[:i], b.String(), s[i:], true
		case c == '\\':
			i++
			if i == len(s) {
				return s, b.String(), "", !quoted
			}
			c = s[i]
		}
		b.WriteByte(c)
	}
	return s, b.String(), "", !quoted
}
