package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// Options say where Load looks.
type Options struct {
	Path           string         // the file; "" means the systemd credential rollup.toml, else DefaultPath
	Explicit       bool           // the user named Path, so it has to exist
	Env            []string       // as os.Environ gives it
	Flags          *pflag.FlagSet // its bound flags (BindFlag) override everything; may be nil
	CredentialsDir string         // "" means $CREDENTIALS_DIRECTORY of Env

	// Credential tells, where there is no such directory since a person and not
	// systemd started the program, which file the unit's credential of that name
	// is. It may be nil.
	Credential func(name string) (path string, ok bool)
}

// Loaded is the effective configuration and where it came from.
type Loaded struct {
	Config

	Path     string // the file that was read, "" if there was none
	Origin   Origins
	Warnings []string // what works but should not stay so
}

// NoFile is what the packaged units pass as the credential rollup.toml where its
// source does not exist (SetCredential=): without it they would end before the
// program is started, and nothing would name the file that is missing.
const NoFile = "# there is no such file"

// Load reads, merges and checks the configuration. All faults come back as one
// problem with a line for each. The user it runs as decides what it may read;
// nothing is written and no database is asked.
func Load(opts Options) (*Loaded, error) {
	l := &loader{env: opts.Env, credentials: opts.CredentialsDir, ofUnit: opts.Credential}
	if l.credentials == "" {
		l.credentials = l.getenv("CREDENTIALS_DIRECTORY")
	}
	loaded := &Loaded{Config: Defaults(), Origin: defaultOrigins()}

	file := l.readFile(opts, loaded)
	layers := [][]setting{file, envSettings(opts.Env), flagSettings(opts.Flags)}
	merged := koanf.New(".")
	for _, layer := range layers {
		values := l.check(layer, loaded.Origin)
		if err := merged.Load(confmap.Provider(values, "."), nil); err != nil {
			return nil, fmt.Errorf("merging the configuration: %w", err)
		}
	}
	if err := decode(merged, &loaded.Config); err != nil {
		return nil, err
	}
	l.crossCheck(loaded)
	l.resolveDSN(loaded, layers)
	if err := l.faults.err(); err != nil {
		return nil, err
	}
	return loaded, nil
}

// loader carries what the steps of Load share.
type loader struct {
	env         []string
	credentials string // $CREDENTIALS_DIRECTORY or ""
	ofUnit      func(name string) (path string, ok bool)
	faults      faults
	file        string // the file that was read, as its editor knows it
	missing     string // the default file, where it does not exist
	dsnRefused  bool   // what the user gave as the DSN, or the file it may be in, has its fault already
}

func (l *loader) getenv(name string) string {
	for _, entry := range l.env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// readFile reads and parses the configuration file, if there is one.
func (l *loader) readFile(opts Options, loaded *Loaded) []setting {
	path, isCredential := l.path(opts)
	content, mode, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !opts.Explicit:
		l.missing = path
		return nil
	case err != nil:
		l.dsnRefused = true
		l.unreadable(path, "the configuration", err)
		return nil
	}
	if isCredential && strings.TrimSpace(string(content)) == NoFile {
		l.missing = credentialSource(path)
		return nil
	}
	loaded.Path = path
	l.file = path
	if isCredential {
		l.file = credentialSource(path)
	}
	settings, err := fileSettings(content, l.file)
	if err != nil {
		l.dsnRefused = true
		where, text := syntaxFault(l.file, err)
		l.faults.config(where, "%s", text)
		return nil
	}
	if !isCredential && mode&0o044 != 0 {
		for _, s := range settings {
			if text, ok := s.value.(string); ok && s.name == "dsn" && holdsSecret(text) {
				loaded.Warnings = append(loaded.Warnings, readableByOthers(path, mode))
			}
		}
	}
	return settings
}

// path returns the file to read, and whether systemd passed it as a credential.
func (l *loader) path(opts Options) (path string, isCredential bool) {
	if opts.Path != "" || opts.Explicit {
		return opts.Path, l.credentials != "" && strings.HasPrefix(opts.Path, l.credentials+"/")
	}
	if l.credentials != "" {
		path := filepath.Join(l.credentials, filepath.Base(DefaultPath))
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return DefaultPath, false
}

// credentialSource names the file that the packaged units pass as the
// credential at path, /run/credentials/UNIT/rollup.toml: it is the one to edit.
func credentialSource(path string) string {
	unit, ok := strings.CutPrefix(filepath.Dir(path), "/run/credentials/")
	if !ok {
		return path
	}
	if _, instance, ok := strings.Cut(strings.TrimSuffix(unit, ".service"), "@"); ok {
		return filepath.Join(filepath.Dir(DefaultPath), "rollup.d", instance+".toml")
	}
	return DefaultPath
}

// read returns the content and the permission bits of a file, without the byte
// order mark that some editors put before it.
func read(path string) ([]byte, fs.FileMode, error) {
	content, info, err := files.Read(path)
	if err != nil {
		return nil, 0, err
	}
	return bytes.TrimPrefix(content, []byte("\ufeff")), info.Mode().Perm(), nil
}

// unreadable notes why a file could not be read; what says what was wanted of it.
func (l *loader) unreadable(path, what string, err error) {
	reason := err
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		reason = pathError.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		l.faults.add(problem.Permission, "", "the file is root's alone: use sudo",
			"reading %s: %s: %v", what, dsn.ShowPath(path), reason)
	case errors.Is(err, fs.ErrNotExist):
		l.faults.add(problem.Config, "", "create the file, or name the right one",
			"reading %s: %s: %v", what, dsn.ShowPath(path), reason)
	default:
		l.faults.add(problem.Config, "", "name a file", "reading %s: %s: %v", what, dsn.ShowPath(path), reason)
	}
}

// syntaxFault returns where a TOML text goes wrong, and how.
func syntaxFault(path string, err error) (where, text string) {
	text = "invalid TOML: " + withoutNames(strings.TrimPrefix(err.Error(), "toml: "))
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decode.Position()
		return fmt.Sprintf("%s:%d:%d", path, line, column), text
	}
	return path, text
}

// named is how the parser's messages name a key: it may hold anything, newlines too.
var named = regexp.MustCompile(`(?s)^(key|table) (.*) ((?:already exists|is already defined|should be a table)[a-z, ]*)$`)

// withoutNames returns a message of the parser without what it repeats of the file, single characters aside.
func withoutNames(message string) string {
	if found := named.FindStringSubmatch(message); found != nil {
		return found[1] + " " + dsn.ShowWord(found[2]) + " " + found[3]
	}
	message, _, _ = strings.Cut(message, "float: ")
	return message
}

func readableByOthers(path string, mode fs.FileMode) string {
	return fmt.Sprintf("%s holds a password and can be read by others (mode %04o): chmod 0600 %s", path, mode, path)
}

// check converts the settings of one layer and notes what is wrong with them.
// It returns the good ones, and notes where they came from.
func (l *loader) check(layer []setting, origin Origins) map[string]any {
	values := map[string]any{}
	for _, s := range layer {
		k, known := lookUp(s.name)
		switch {
		case s.name == "": // a variable that matches no key
			l.faults.config(shownVariable(s.origin), "unknown variable%s", suggestVariable(s.origin))
			continue
		case isSection(s.name):
			l.faults.config(s.origin, "%s is a section: write [%s] and its keys below", dsn.ShowWord(s.name), s.name)
			continue
		case !known:
			l.dsnRefused = l.dsnRefused || strings.HasSuffix(s.name, ".dsn") || strings.HasSuffix(s.name, ".dsn_file")
			l.faults.config(s.origin, "unknown key %s%s", dsn.ShowWord(s.name), suggestKey(s.name))
			continue
		}
		value, wrong := convert(k, s.value, s.isText)
		if wrong == "" {
			wrong = check(k.name, value)
		}
		if wrong != "" {
			l.dsnRefused = l.dsnRefused || s.name == "dsn" || s.name == "dsn_file"
			if s.hint != "" {
				l.faults.flag(s.hint, "%s %s %s", s.origin, shownValue(k, s.value.(string)), wrong)
			} else {
				l.faults.config(s.origin, "%s %s%s", k.name, got(k, s), wrong)
			}
			continue
		}
		values[k.name] = settled(k.name, value)
		origin[k.name] = s.origin
	}
	return values
}

// got repeats the value that is refused, where it may be seen.
func got(k key, s setting) string {
	if secret(k.name) {
		return ""
	}
	switch v := s.value.(type) {
	case string:
		return "= " + shownValue(k, v) + " "
	case int64, float64, bool:
		return fmt.Sprintf("= %v ", v)
	}
	return ""
}

// shownValue quotes a value of text that is refused, where it cannot be a DSN.
func shownValue(k key, value string) string {
	switch rest, isCredential := strings.CutPrefix(value, credentialPrefix); {
	case isCredential && (rest == "" || dsn.ShowPath("/"+rest) != dsn.Hidden):
		return strconv.Quote(value)
	case k.isPath() && filepath.IsAbs(value):
		if path := dsn.ShowPath(value); path != dsn.Hidden {
			return strconv.Quote(path)
		}
		return dsn.Hidden
	}
	return dsn.ShowWord(value)
}

// shownVariable is a variable's name, of which anybody may have made the end.
func shownVariable(name string) string {
	if dsn.ShowWord(name) == dsn.Hidden {
		return envPrefix + dsn.Hidden
	}
	return name
}

func suggestVariable(variable string) string {
	var names []string
	for _, k := range keys() {
		names = append(names, k.variable())
	}
	return didYouMean(variable, names)
}

// decode writes the merged values over the defaults in c. Strictness is the
// check's; that the decoder is strict as well holds the two together.
func decode(merged *koanf.Koanf, c *Config) error {
	err := merged.UnmarshalWithConf("", c, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{Result: c, TagName: "koanf", ErrorUnused: true},
	})
	if err != nil {
		return fmt.Errorf("decoding the configuration: %w", err)
	}
	return nil
}

// crossCheck notes values that are possible alone but not together.
func (l *loader) crossCheck(loaded *Loaded) {
	walk := loaded.Walk
	if walk.StatementTimeout <= walk.SliceTarget {
		where := loaded.Origin["walk.statement_timeout"]
		if where == DefaultOrigin {
			where = loaded.Origin["walk.slice_target"]
		}
		l.faults.config(where, "walk.statement_timeout (%s) must be longer than walk.slice_target (%s)",
			FormatDuration(walk.StatementTimeout), FormatDuration(walk.SliceTarget))
	}
}
