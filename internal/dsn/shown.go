package dsn

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Hidden stands in a message for a text that may hold a secret.
const Hidden = "(not shown)"

// What a person typed is repeated only where its form leaves no room for a
// password: a DSN that went wrong may have ended up anywhere, and whole or cut.
var (
	plainPath = regexp.MustCompile(`^[A-Za-z0-9_.~ /\x{80}-\x{10FFFF}-]+$`)
	suffixed  = regexp.MustCompile(`\.(?:toml|conf|txt|prom|json)$`)

	// words are those of letters alone: names of commands, flags, keys, zones.
	words = regexp.MustCompile(`^-{0,2}[A-Za-z]+(?:[-_./ ][A-Za-z]+)*$`)
	// amounts are numbers, durations, ages and spans of the day.
	amounts = regexp.MustCompile(`^[-+]?(?:[0-9]{1,20}(?:[.:][0-9]{1,6})?(?:e[0-9]{1,2})?(?:ns|us|µs|ms|s|m|h|d|w|x)?-?){1,4}$`)
	times   = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}(?:-[0-9]{1,2})?(?:[T ][0-9:.]{1,15}(?:Z|[-+][0-9:]{2,5})?)?$`)
	// names are those of credentials, and of what is in the database.
	names = regexp.MustCompile(`^[\p{L}\p{N}_. ()#-]+$`)
)

// A word of up to shortest bytes tells nothing of a password; one of more than
// longestShown is none.
const shortest, longestShown = 4, 60

// ShowPath returns a path as it is, if it looks like one: absolute, or a file's name with its suffix.
func ShowPath(path string) string {
	if path == "" {
		return `""`
	}
	absolute := strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//")
	if plainPath.MatchString(path) && (absolute || path == "." || path == ".." || suffixed.MatchString(path)) {
		return path
	}
	return Hidden
}

// ShowWord quotes a word of a command line, a key or a value for a message, or
// returns Hidden where it may be a part of a DSN.
func ShowWord(word string) string {
	if len(word) <= shortest || len(word) <= longestShown && (words.MatchString(word) || amounts.MatchString(word) || times.MatchString(word)) {
		return strconv.Quote(word)
	}
	return Hidden
}

// ShowName quotes the name of something that exists, or was thought to: more is
// possible in it than in a word, but nothing that holds a DSN together.
func ShowName(name string) string {
	if name == "" || names.MatchString(name) && len(name) <= 200 {
		return strconv.Quote(name)
	}
	return Hidden
}

// The forms of a text that is meant as a DSN, or a part of one, and holds a password.
var (
	withUserinfo = regexp.MustCompile(`(?:^|/|=)[^\s/@:]*:[^@]+@`)
	passwordWord = regexp.MustCompile(`(?i)pass(?:word|wd|phrase)?['"]?\s*[:=]|\b(?:pwd|secret|api_key|scram_client_key)['"]?\s*[:=]`)
)

// HoldsSecret says whether a text is a DSN with a password, or so near to one
// that it has to be treated as such.
func HoldsSecret(text string) bool {
	if parsed, err := Parse(text); err == nil {
		return parsed.HasSecret()
	}
	for range 3 { // also where it is percent-encoded, once or twice
		if strings.Contains(text, "://") || withUserinfo.MatchString(text) || passwordWord.MatchString(text) {
			return true
		}
		plain, err := url.PathUnescape(text)
		if err != nil || plain == text {
			return false
		}
		text = plain
	}
	return false
}
