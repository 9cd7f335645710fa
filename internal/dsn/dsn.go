// Package dsn takes a PostgreSQL connection string apart far enough to know its
// secrets: to show it without them, to find them in other text, and to put
// files in the place of systemd credentials. What a setting means is left to pgx.
package dsn

import (
	"net/url"
	"strings"
)

// Mask stands where a secret was.
const Mask = "xxxxx"

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

// secret tells whether the value is never shown. A keyword that nobody knows may be a slip in a password's.
func (p part) secret() bool {
	k, known := LookUp(p.key)
	return p.key != "" && (!known || k.Secret)
}

// Parse takes a connection string apart: libpq's forms, and those of other tools
// whose meaning is certain. Every error is a *Fault, which quotes nothing of it.
func Parse(text string) (DSN, error) {
	text, wrong := unwrap(text)
	if wrong != nil {
		return DSN{}, wrong
	}
	name, rest, wrong := scheme(text)
	var d DSN
	switch {
	case wrong != nil:
	case name != "":
		d, wrong = parseURL(name, rest)
	default:
		if wrong = otherForms(text); wrong == nil {
			d, wrong = parseKeywords(text)
		}
	}
	if wrong == nil {
		wrong = d.check()
	}
	if wrong != nil {
		return DSN{}, wrong
	}
	return d, nil
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

const spaces = " \t\n\r\v\f"

// parseKeywords follows libpq: key = value pairs, values in single quotes where
// they hold spaces, a backslash before what is to be taken literally.
func parseKeywords(s string) (DSN, *Fault) {
	d := DSN{}
	for s = strings.TrimLeft(s, spaces); s != ""; s = strings.TrimLeft(s, spaces) {
		key, rest, found := strings.Cut(s, "=")
		key = strings.TrimRight(key, spaces)
		if !found || key == "" || strings.ContainsAny(key, spaces) {
			if len(d.parts) == 0 {
				return DSN{}, noForm()
			}
			return DSN{}, fault(hintQuote, "has something after setting %d that is no keyword=value pair", d.settings())
		}
		text, value, remainder, ok := keywordValue(strings.TrimLeft(rest, spaces))
		if !ok {
			return DSN{}, fault(hintQuote, "has a value without its closing quote, in setting %d", d.settings()+1)
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
