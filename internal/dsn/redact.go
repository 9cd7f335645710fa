package dsn

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// cutPrefix is how many characters of a secret are masked where the rest of it
// is cut away: fewer are found in other words too often.
const cutPrefix = 8

// ordinary are words of our own messages. A prefix of a secret that is one of
// them is left: to mask it everywhere would tell that the secret begins so.
const ordinary = "postgres postgresql database multica multica-rollup password"

// Redact masks the DSN's secrets wherever they stand in text, also where they
// are folded, quoted, percent-encoded, or cut after eight characters or more.
func (d DSN) Redact(text string) string {
	var public, secrets, written []string
	for _, p := range d.parts {
		switch {
		case p.secret():
			secrets, written = append(secrets, p.value), append(written, p.text)
		case p.key != "":
			public = append(public, p.value)
		}
	}
	return redact(text, secrets, written, public)
}

// Redact masks secret in text like [DSN.Redact]. A secret that can also be read
// in public (a password like the role's name is a common default) is masked only
// where it stands as a password: else every line about that role would be
// unreadable, and would tell the secret by what it hides.
func Redact(text, secret string, public ...string) string {
	return redact(text, []string{secret}, nil, public)
}

// redact goes through the text once: what it has masked is not looked at again.
// Of written, which have escapes of their own, only the whole is sought.
func redact(text string, secrets, written, public []string) string {
	known := strings.Join(public, "\n")
	var sought []string
	for _, secret := range secrets {
		if strings.Contains(Mask, secret) {
			continue // no secret, or one that the mask itself would tell
		}
		sought = append(sought, secret)
	}
	if len(sought) == 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		length := 0
		for _, secret := range sought {
			length = max(length, secretAt(text, i, secret, known))
		}
		for _, whole := range written {
			if len(whole) >= cutPrefix && strings.HasPrefix(text[i:], whole) && !strings.Contains(known, whole) {
				length = max(length, len(whole))
			}
		}
		if length > 0 {
			b.WriteString(Mask)
			i += length
			continue
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}

// secretAt returns how many bytes of text at i are the secret, or a beginning of it that is to be masked.
func secretAt(text string, i int, secret, known string) int {
	length, matched := match(text[i:], secret)
	switch {
	case matched == 0:
		return 0
	case matched == len(secret):
		if !strings.Contains(known, secret) || asPassword(text[:i], text[i+length:]) {
			return length
		}
		return 0
	}
	prefix := secret[:matched]
	if utf8.RuneCountInString(prefix) < cutPrefix || strings.Contains(known, prefix) || strings.Contains(ordinary, prefix) {
		return 0
	}
	return len(strings.TrimRight(text[i:i+length], spaces)) // what follows the cut is not the secret's
}

// asPassword tells whether what stands between the two texts stands as a password.
func asPassword(before, after string) bool {
	return strings.HasSuffix(before, "password=") || strings.HasSuffix(before, "password='") ||
		strings.HasSuffix(before, ":") && strings.HasPrefix(after, "@")
}

// match compares the beginning of text with secret, as far as they agree: each
// character as it is, percent-encoded, or escaped as a string of SQL, JSON, Go or
// a shell has it, and any white space for white space. It returns how many bytes
// of either were used.
func match(text, secret string) (length, matched int) {
	for matched < len(secret) && length < len(text) {
		used, of := matchOne(text[length:], secret[matched:])
		if used == 0 {
			break
		}
		length += used
		matched += of
	}
	return length, matched
}

// matchOne compares one character, or one run of white space.
func matchOne(text, secret string) (length, matched int) {
	if n := len(secret) - len(strings.TrimLeft(secret, spaces)); n > 0 {
		trimmed := strings.TrimLeft(text, spaces)
		if folded := len(text) - len(trimmed); folded > 0 {
			return folded, n
		}
		if text[0] == '+' {
			return 1, n
		}
	}
	c := secret[0]
	switch {
	case text[0] == '%' && len(text) >= 3:
		if value, err := strconv.ParseUint(text[1:3], 16, 8); err == nil && byte(value) == c {
			return 3, 1
		}
	case text[0] == '\\' && len(text) >= 2:
		for _, escape := range []struct {
			prefix string
			digits int
		}{{`\u`, 4}, {`\U`, 8}, {`\x`, 2}} {
			end := len(escape.prefix) + escape.digits
			if !strings.HasPrefix(text, escape.prefix) || len(text) < end {
				continue
			}
			value, err := strconv.ParseUint(text[2:end], 16, 32)
			if err != nil {
				continue
			}
			if r, size := utf8.DecodeRuneInString(secret); escape.digits > 2 && uint64(r) == value {
				return end, size
			}
			if escape.digits == 2 && byte(value) == c {
				return end, 1
			}
		}
		if text[1] == c || text[1] == 'n' && c == '\n' || text[1] == 't' && c == '\t' || text[1] == 'r' && c == '\r' {
			return 2, 1
		}
	case c == '\'' && strings.HasPrefix(text, `'\''`): // a shell's
		return 4, 1
	case c == '\'' && strings.HasPrefix(text, `'"'"'`):
		return 5, 1
	case text[0] == '\'' && c == '\'' && strings.HasPrefix(text, "''") && !strings.HasPrefix(secret, "''"):
		return 2, 1
	}
	if text[0] == c {
		return 1, 1
	}
	return 0, 0
}
