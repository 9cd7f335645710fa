package config

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// credentialPrefix marks a systemd credential where a file is named.
const credentialPrefix = "credential:"

// libpqVariables are those of libpq's variables that say which database is
// meant; the others (PGUSER, PGPASSWORD, PGSSLMODE, …) only complete a DSN.
var libpqVariables = []string{"PGSERVICE", "PGHOST", "PGDATABASE"}

// resolveDSN settles the DSN. The highest layer that sets dsn or dsn_file
// counts; below all layers come the systemd credential "dsn", libpq's
// environment, and DATABASE_URL, which Multica's own commands read.
func (l *loader) resolveDSN(loaded *Loaded, layers [][]setting) {
	source := dsnSource(layers)
	var text string
	var found bool
	switch {
	case l.dsnRefused:
		return
	case len(source) > 1:
		l.faults.config(source[1].origin, "dsn and dsn_file are both set: leave one of them")
		return
	case len(source) == 1 && source[0].name == "dsn":
		text, found = loaded.DSN, true
		loaded.DSNFile = ""
	case len(source) == 1:
		text, found = l.dsnFromFile(loaded)
		loaded.Origin["dsn"] = "dsn_file " + loaded.DSNFile
	case l.libpqSays(loaded):
		return
	default:
		text, found = l.dsnFromSurroundings(loaded)
	}
	if !found {
		return
	}
	if strings.Trim(text, " \t\r\n\ufeff") == "" {
		l.faults.add(problem.Config, loaded.Origin["dsn"], dsnHint(l.file), "the DSN is empty")
		return
	}
	loaded.DSN = l.withCredentials(text, loaded.Origin["dsn"])
}

// dsnSource returns the settings of the highest layer that says where the DSN is.
// An empty dsn_file says nothing, like the default; an empty dsn is a slip.
func dsnSource(layers [][]setting) []setting {
	for i := len(layers) - 1; i >= 0; i-- {
		var found []setting
		for _, s := range layers[i] {
			if s.name == "dsn" || s.name == "dsn_file" && s.value != "" {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// dsnFromFile reads dsn_file; where that is not found, the fault is noted.
func (l *loader) dsnFromFile(loaded *Loaded) (text string, found bool) {
	path, isCredential := loaded.DSNFile, false
	if name, ok := strings.CutPrefix(path, credentialPrefix); ok {
		path, isCredential = l.credential(name, loaded.Origin["dsn_file"]), true
		if path == "" {
			return "", false
		}
	}
	content, mode, err := read(path)
	if err != nil {
		l.unreadable(path, "the file with the DSN", err)
		return "", false
	}
	text = string(content)
	if !isCredential && mode&0o044 != 0 && holdsSecret(text) {
		loaded.Warnings = append(loaded.Warnings, readableByOthers(path, mode))
	}
	return text, true
}

// credentialDSN is the name of the credential that is the DSN without a word in the configuration.
const credentialDSN = "dsn"

// libpqSays tells whether libpq's variables name the database, with no
// credential before them; the DSN may stay empty then.
func (l *loader) libpqSays(loaded *Loaded) bool {
	if _, ok := l.credentialText(); ok {
		return false
	}
	var set []string
	for _, name := range libpqVariables {
		if l.getenv(name) != "" {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return false
	}
	loaded.Origin["dsn"] = strings.Join(set, ", ")
	return true
}

func (l *loader) credentialText() (text string, found bool) {
	path, ok := l.credentialPath(credentialDSN)
	if !ok {
		return "", false
	}
	content, _, err := read(path)
	return string(content), err == nil
}

// dsnFromSurroundings looks where nothing in the configuration says where the DSN is.
func (l *loader) dsnFromSurroundings(loaded *Loaded) (text string, found bool) {
	if text, found := l.credentialText(); found {
		loaded.Origin["dsn"] = "credential " + credentialDSN
		return text, true
	}
	if text := l.getenv("DATABASE_URL"); text != "" {
		loaded.Origin["dsn"] = "DATABASE_URL"
		return text, true
	}
	if l.missing != "" {
		l.faults.add(problem.Config, "", dsnHint(l.missing), "no DSN: there is no %s, and nothing else says which database", l.missing)
	} else {
		l.faults.add(problem.Config, l.file, dsnHint(l.file), "no DSN: nothing says which database")
	}
	return "", false
}

func dsnHint(path string) string {
	if path == "" {
		path = DefaultPath
	}
	return `write dsn = "postgres://USER:PASSWORD@HOST:5432/DATABASE" into ` + path + `, before its first section`
}

// withCredentials puts the paths of systemd credentials in the place of
// credential:NAME where the DSN names files.
func (l *loader) withCredentials(text, origin string) string {
	parsed, err := dsn.Parse(text)
	if fault, ok := errors.AsType[*dsn.Fault](err); ok {
		l.faults.add(problem.Config, origin, fault.Hint, "the DSN %s", fault.Reason)
		return ""
	}
	mapped, err := parsed.Map(func(key, value string) (string, error) {
		name, ok := strings.CutPrefix(value, credentialPrefix)
		if !ok {
			return value, nil
		}
		switch key {
		case "sslkey", "sslcert", "sslrootcert", "passfile", "servicefile":
			return l.credential(name, origin), nil
		}
		return value, nil
	})
	if err != nil {
		return "" // the function above has no error
	}
	return mapped.Reveal()
}

// credential returns the path of a systemd credential; where there can be none, a fault is noted and "" returned.
func (l *loader) credential(name, origin string) string {
	if !credentialName(name) {
		l.faults.config(origin, "credential:%s names no systemd credential", shownCredential(name))
		return ""
	}
	path, ok := l.credentialPath(name)
	if !ok {
		l.faults.add(problem.Config, origin,
			"start the service instead (systemctl start multica-rollup), or name the file by its path",
			"credential:%s exists only where systemd passes it: no LoadCredential=%[1]s:FILE", shownCredential(name))
	}
	return path
}

// credentialPath returns where a credential is: where systemd put it, or the
// file that it would take. Whether there is such a file shows when it is read.
func (l *loader) credentialPath(name string) (path string, ok bool) {
	if l.credentials != "" {
		return filepath.Join(l.credentials, name), true
	}
	if l.ofUnit == nil {
		return "", false
	}
	return l.ofUnit(name)
}

// credentialName tells whether systemd takes name for a credential's.
func credentialName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < 256 &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == ':' || r <= ' ' || r >= 0x7f })
}

// shownCredential is a credential's name, where it cannot be a DSN.
func shownCredential(name string) string {
	if dsn.ShowName(name) == dsn.Hidden {
		return dsn.Hidden
	}
	return name
}

// holdsSecret tells whether text is a DSN with a password; what cannot be parsed counts as one.
func holdsSecret(text string) bool {
	parsed, err := dsn.Parse(text)
	return err != nil || parsed.HasSecret()
}

// RedactedDSN returns the DSN as it may be shown; "" where libpq's environment says it all.
func (l *Loaded) RedactedDSN() string {
	parsed, err := dsn.Parse(l.DSN)
	if err != nil {
		return dsn.Mask
	}
	return parsed.String()
}

// Redact masks the DSN's password wherever it stands in s.
func (l *Loaded) Redact(s string) string {
	parsed, err := dsn.Parse(l.DSN)
	if err != nil {
		return dsn.Hidden // nobody knows which part of it is the password
	}
	return parsed.Redact(s)
}
