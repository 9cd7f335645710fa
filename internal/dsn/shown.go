package dsn

import (
	"regexp"
	"strings"
)

// Hidden stands in a message for a text that may hold a secret.
const Hidden = "(not shown)"

var plainPath = regexp.MustCompile(`^[A-Za-z0-9_.~ /\x{80}-\x{10FFFF}-]+$`)

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

var suffixed = regexp.MustCompile(`\.(?:toml|conf|txt|prom|json)$`)
