package dsn

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// unwrap takes away what stands around a DSN where people copy it from: a byte
// order mark, white space, quotes, an assignment of a shell, of an env file or of
// YAML, comment lines. Where more than one meaning is left, the text is refused.
func unwrap(text string) (string, *Fault) {
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return "", fault("save the file as UTF-8", "is in UTF-16, as some editors of Windows save it")
	case strings.ContainsRune(text, 0):
		return "", fault("write it again by hand", "holds a NUL byte")
	}
	// Each round takes one wrapping away; nobody has more than a few.
	for range 8 {
		text = strings.TrimFunc(text, blank)
		before := text
		var wrong *Fault
		for _, take := range []func(string) (string, *Fault){oneLine, withoutCommand, withoutAssignment, withoutQuotes} {
			if text, wrong = take(text); wrong != nil {
				return "", wrong
			}
		}
		if text == before {
			return text, nil
		}
	}
	return "", noForm()
}

// blank tells what may stand before and after a DSN: white space, visible or not.
func blank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' || r == '\u2060' }

var keywordForm = regexp.MustCompile(`^[a-z_]+\s*=`)

// oneLine leaves comment lines out. Only the keyword form may have several lines.
func oneLine(text string) (string, *Fault) {
	if !strings.ContainsAny(text, "\n\r") {
		return text, nil
	}
	var lines []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimFunc(line, blank); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	switch {
	case len(lines) == 1:
		return lines[0], nil
	case len(lines) == 0:
		return "", nil
	case keywordForm.MatchString(text) && !slices.ContainsFunc(lines, isAssignment):
		return text, nil // white space like any other, as libpq has it
	}
	return "", fault("write the DSN alone, on one line", "has several lines, so that it is not certain which is meant")
}

// withoutCommand takes the name of the client away that people try a DSN with.
func withoutCommand(text string) (string, *Fault) {
	if rest, ok := strings.CutPrefix(text, "psql "); ok {
		return strings.TrimFunc(rest, blank), nil
	}
	return text, nil
}

var assignment = regexp.MustCompile(`^(?:(?:export|set|setenv|env|-e)\s+)?["']?([A-Za-z_][A-Za-z0-9_]*)["']?(?:\s*=\s*|\s*:\s+)`)

// settingNames are what a DSN is called where it is no environment variable.
var settingNames = []string{"dsn", "url", "uri", "database_url", "db_url", "connection_string", "connectionstring", "conninfo", "connection", "datasource_url"}

func isAssignment(line string) bool { return assignmentEnd(line) > 0 }

// assignmentEnd returns where the value of an assignment begins, 0 where text is
// none: keywords of libpq are no names of variables.
func assignmentEnd(text string) int {
	match := assignment.FindStringSubmatchIndex(text)
	if match == nil {
		return 0
	}
	name := text[match[2]:match[3]]
	lower := strings.ToLower(name)
	if slices.Contains(settingNames, lower) {
		return match[1]
	}
	if _, isKeyword := LookUp(lower); isKeyword || misnomers[lower] != "" && !strings.HasPrefix(lower, "pg") {
		return 0
	}
	if name != strings.ToUpper(name) {
		return 0
	}
	return match[1]
}

func withoutAssignment(text string) (string, *Fault) {
	return text[assignmentEnd(text):], nil
}

// quotes are the pairs that may surround a DSN.
var quotes = map[rune]rune{'"': '"', '\'': '\'', '`': '`', '“': '”', '‘': '’', '«': '»', '<': '>'}

func withoutQuotes(text string) (string, *Fault) {
	var first rune
	for _, first = range text {
		break
	}
	closing, quoted := quotes[first]
	if !quoted {
		return text, nil
	}
	inner := strings.TrimPrefix(text, string(first))
	inner, closed := strings.CutSuffix(strings.TrimRightFunc(inner, func(r rune) bool { return r == ';' || r == ',' || blank(r) }), string(closing))
	switch {
	case !closed || strings.ContainsRune(inner, first) || strings.ContainsRune(inner, closing):
		return "", fault("remove the quotes around the DSN", "begins with a quote that does not end with it")
	case first == '"' && strings.Contains(inner, `\`):
		return "", fault(`remove the quotes around the DSN, and write \ as in the DSN itself`,
			`is in double quotes and holds a backslash, which each program reads in its own way`)
	case first != '\'' && (strings.Contains(inner, "${") || strings.Contains(inner, "$(")):
		return "", fault("write the DSN with its values", "refers to a variable, which nothing expands here")
	}
	return inner, nil
}

// pythonDrivers are what SQLAlchemy has after the + of a scheme.
var pythonDrivers = []string{"psycopg", "psycopg2", "psycopg2cffi", "psycopg_async", "psycopgcffi", "asyncpg", "pg8000", "pygresql", "aiopg"}

// ofPostgres are schemes of other programs that mean nothing but a PostgreSQL server.
var ofPostgres = []string{"postgres", "postgresql", "pgsql", "pg", "pgx", "pgx4", "pgx5", "postgis"}

const jdbcScheme = "jdbc:postgresql://"

var schemeLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.:_-]*$`)

// scheme separates the scheme of a URL, which comes back as this package writes
// it; "" where text is no URL.
func scheme(text string) (name, rest string, wrong *Fault) {
	before, after, found := strings.Cut(text, "://")
	if !found || !schemeLike.MatchString(before) {
		lower := strings.ToLower(text)
		for _, prefix := range []string{"postgres:", "postgresql:", "jdbc:postgresql:", "//"} {
			if strings.HasPrefix(lower, prefix) {
				return "", "", malformedURL("it does not begin with postgres:// or postgresql://")
			}
		}
		return "", text, nil
	}
	lower := strings.ToLower(before)
	base, driver, hasDriver := strings.Cut(lower, "+")
	switch {
	case lower == "postgresql":
		return "postgresql://", after, nil
	case slices.Contains(ofPostgres, lower), lower == "r2dbc:postgresql",
		hasDriver && slices.Contains(ofPostgres, base) && slices.Contains(pythonDrivers, driver):
		return "postgres://", after, nil
	case lower == "jdbc:postgresql":
		return jdbcScheme, after, nil
	case base == "prisma":
		return "", "", fault("write the DSN of the database behind it: postgres://USER:PASSWORD@HOST:5432/DATABASE",
			"is the address of Prisma's API, which speaks HTTP, and not that of a PostgreSQL server")
	}
	return "", "", fault(hintForms, "is a URL with a scheme other than postgres and postgresql")
}

// otherForms names the shape of a text that is no DSN, where it is a known one.
func otherForms(text string) *Fault {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, ";") && regexp.MustCompile(`(?:^|;)\s*(?:host|server|data source|driver)\s*=`).MatchString(lower):
		return fault(hintForms, "is in the form of ADO.NET or ODBC, with semicolons between its parts")
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return fault(hintForms, "is JSON or another structure, not a string")
	case strings.Count(text, ":") == 4 && !strings.ContainsAny(text, "/@= "):
		return fault("write passfile=FILE and the DSN without a password: a line of that kind belongs into the password file",
			"is a line of a password file")
	case strings.HasPrefix(text, "$"), strings.HasPrefix(text, "%"):
		return fault("write the DSN with its values", "refers to a variable, which nothing expands here")
	}
	return nil
}
