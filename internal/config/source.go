package config

import (
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
	text, mustHold := "", true
	switch {
	case len(source) > 1:
		l.faults.config(source[1].origin, "dsn and dsn_file are both set: leave one of them")
		return
	case len(source) == 1 && source[0].name == "dsn":
		text, loaded.DSNFile = loaded.DSN, ""
	case len(source) == 1:
		if loaded.DSNFile == "" && loaded.Origin["dsn_file"] != DefaultOrigin {
			l.faults.config(source[0].origin, "dsn_file is empty")
			return
		}
		text = l.dsnFromFile(loaded)
		loaded.Origin["dsn"] = "dsn_file " + loaded.DSNFile
	default:
		text, mustHold = l.dsnFromSurroundings(loaded)
	}
	if len(l.faults.lines) > 0 && text == "" {
		return // the fault is told already
	}
	if mustHold && strings.TrimSpace(text) == "" {
		l.faults.add(problem.Config, loaded.Origin["dsn"], dsnHint(loaded.Path), "the DSN is empty")
		return
	}
	loaded.DSN = l.withCredentials(strings.TrimSpace(text), loaded.Origin["dsn"])
}

// dsnSource returns the settings of the highest layer that says where the DSN is.
func dsnSource(layers [][]setting) []setting {
	for i := len(layers) - 1; i >= 0; i-- {
		var found []setting
		for _, s := range layers[i] {
			if s.name == "dsn" || s.name == "dsn_file" {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (l *loader) dsnFromFile(loaded *Loaded) string {
	path, isCredential := loaded.DSNFile, false
	if name, ok := strings.CutPrefix(loaded.DSNFile, credentialPrefix); ok {
		path, isCredential = l.credential(name, loaded.Origin["dsn_file"]), true
	}
	if path == "" {
		return ""
	}
	content, mode, err := read(path)
	if err != nil {
		l.unreadable(path, "the file with the DSN", err)
		return ""
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		l.faults.config(path, "the file holds no DSN")
	}
	if !isCredential && mode&0o044 != 0 && holdsSecret(text) {
		loaded.Warnings = append(loaded.Warnings, readableByOthers(path, mode))
	}
	return text
}

// dsnFromSurroundings looks where nothing in the configuration says where the
// DSN is. An empty text may be right then: libpq's variables say it all.
func (l *loader) dsnFromSurroundings(loaded *Loaded) (text string, mustHold bool) {
	if l.credentials != "" {
		path := filepath.Join(l.credentials, "dsn")
		if content, _, err := read(path); err == nil {
			loaded.Origin["dsn"] = "credential dsn"
			return string(content), true
		}
	}
	var set []string
	for _, name := range libpqVariables {
		if l.getenv(name) != "" {
			set = append(set, name)
		}
	}
	if len(set) > 0 {
		loaded.Origin["dsn"] = strings.Join(set, ", ")
		return "", false
	}
	if text := l.getenv("DATABASE_URL"); text != "" {
		loaded.Origin["dsn"] = "DATABASE_URL"
		return text, true
	}
	if l.missing != "" {
		l.faults.add(problem.Config, "", dsnHint(l.missing), "no DSN: there is no %s, and nothing else says which database", l.missing)
	} else if len(l.faults.lines) == 0 {
		l.faults.add(problem.Config, loaded.Path, dsnHint(loaded.Path), "no DSN: nothing says which database")
	}
	return "", false
}

func dsnHint(path string) string {
	if path == "" || strings.HasPrefix(path, "/run/credentials/") {
		path = DefaultPath
	}
	return `write dsn = "postgres://USER:PASSWORD@HOST:5432/DATABASE" into ` + path + `, before its first section`
}

// withCredentials puts the paths of systemd credentials in the place of
// credential:NAME where the DSN names files.
func (l *loader) withCredentials(text, origin string) string {
	parsed, err := dsn.Parse(text)
	if err != nil {
		l.faults.add(problem.Config, origin, "in a URL, write special characters of the password as %XX: @ is %40, : is %3A, / is %2F",
			"the DSN is %v", err)
		return text
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
	if err != nil || mapped.String() == parsed.String() {
		return text
	}
	return mapped.Reveal()
}

// credential returns the path of a systemd credential; where there can be none, a fault is noted and "" returned.
func (l *loader) credential(name, origin string) string {
	switch {
	case !credentialName(name):
		l.faults.config(origin, "credential:%s names no systemd credential", name)
	case l.credentials == "":
		l.faults.add(problem.Config, origin,
			"start the service instead (systemctl start multica-rollup), or name the file by its path",
			"credential:%s exists only where systemd passes credentials", name)
	default:
		return filepath.Join(l.credentials, name)
	}
	return ""
}

// credentialName tells whether systemd takes name for a credential's.
func credentialName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < 256 && !strings.ContainsAny(name, "/\x00")
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
		return s
	}
	return parsed.Redact(s)
}
