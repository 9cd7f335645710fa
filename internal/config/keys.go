package config

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
)

// key is one setting, as the file names it with its section: "walk.slice_target".
type key struct {
	name string
	kind reflect.Type // string, int, float64 or time.Duration
}

// variable returns the environment variable that sets the key.
func (k key) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// keys returns every key of Config in the order of its fields.
func keys() []key { return fieldsOf(reflect.TypeFor[Config](), "") }

func fieldsOf(t reflect.Type, prefix string) []key {
	var all []key
	for i := range t.NumField() {
		field := t.Field(i)
		name := prefix + field.Tag.Get("koanf")
		if field.Type.Kind() == reflect.Struct {
			all = append(all, fieldsOf(field.Type, name+".")...)
			continue
		}
		all = append(all, key{name, field.Type})
	}
	return all
}

// sections returns the names of the tables of the file.
func sections() []string {
	var names []string
	for _, k := range keys() {
		if section, _, ok := strings.Cut(k.name, "."); ok && !slices.Contains(names, section) {
			names = append(names, section)
		}
	}
	return names
}

// lookUp returns the key of that name.
func lookUp(name string) (key, bool) {
	all := keys()
	i := slices.IndexFunc(all, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return all[i], true
}

// isPath tells whether the key names a file or a directory.
func (k key) isPath() bool {
	switch k.name {
	case "dsn_file", "state_dir", "backfill.pause_file", "metrics.textfile":
		return true
	}
	return false
}

// secret tells whether a key's value must never be shown as it is.
func secret(name string) bool { return rules[name].secret }

// check returns what is impossible about a value that has the right type, ""
// if nothing is.
func check(name string, value any) string {
	if wrong := rules[name].wrong; wrong != nil {
		return wrong(value)
	}
	return ""
}

func oneOf(names ...string) func(any) string {
	return func(value any) string {
		s := value.(string)
		if slices.Contains(names, s) {
			return ""
		}
		return "must be one of " + strings.Join(names, ", ") + didYouMean(s, names)
	}
}

func between(low, high time.Duration) func(any) string {
	return func(value any) string {
		if d := value.(time.Duration); d < low || d > high {
			return fmt.Sprintf("must be from %s to %s", FormatDuration(low), FormatDuration(high))
		}
		return ""
	}
}

func upTo(high float64) func(any) string {
	return func(value any) string {
		f, ok := value.(float64)
		if !ok {
			f = float64(value.(int))
		}
		if math.IsNaN(f) || f < 0 || f > high {
			return fmt.Sprintf("must be from 0 to %g", high)
		}
		return ""
	}
}

func absolute(value any) string {
	switch s := value.(string); {
	case s != "" && !filepath.IsAbs(s):
		return "must be an absolute path, since the service runs in /"
	case s != "" && isDSN(s):
		return "must be a path, and this is nearer to a DSN"
	}
	return ""
}

// isDSN says whether what is given for a path is more likely a DSN that went
// astray: a path is shown, a DSN must not be.
func isDSN(path string) bool { return strings.HasPrefix(path, "//") || dsn.HoldsSecret(path) }

func secretFile(value any) string {
	s := value.(string)
	if name, ok := strings.CutPrefix(s, credentialPrefix); ok {
		if !credentialName(name) {
			return "names no systemd credential: write credential:NAME"
		}
		return ""
	}
	if s != "" && (!filepath.IsAbs(s) || isDSN(s)) {
		return "must be an absolute path or credential:NAME"
	}
	return ""
}

func textfile(value any) string {
	s := value.(string)
	if s != "" && !isDSN(s) && filepath.Ext(s) != ".prom" {
		return "must end in .prom: node_exporter reads no other file"
	}
	return absolute(value)
}

// endOfDay is how a window ends with the day.
const endOfDay = "24:00"

// window checks "HH:MM-HH:MM"; the second may be earlier, past midnight then,
// and is the end of the day as 24:00.
func window(value any) string {
	s := value.(string)
	if s == "" {
		return ""
	}
	from, to, _ := strings.Cut(s, "-")
	begin, ok := clock(from)
	end, fine := clock(to)
	switch {
	case from == endOfDay:
		return "must write midnight as 00:00 where it begins"
	case !ok || !fine && to != endOfDay:
		return `must be two times of day, as in "22:00-06:00"`
	case fine && begin == end:
		return `has no length: "00:00-24:00" is the whole day`
	}
	return ""
}

// clock reads a time of day, as the time since midnight.
func clock(s string) (d time.Duration, ok bool) {
	t, err := time.Parse("15:04", s)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err == nil
}

// settled writes a value that passed its check in the one form that others read.
func settled(name string, value any) any {
	if settle := rules[name].settle; settle != nil {
		return settle(value)
	}
	return value
}

// settledWindow ends a window that ends with the day at midnight; the whole day is none.
func settledWindow(value any) any {
	from, ok := strings.CutSuffix(value.(string), "-"+endOfDay)
	if !ok {
		return value
	}
	if begin, _ := clock(from); begin == 0 {
		return ""
	}
	return from + "-00:00"
}

// FormatDuration writes a duration as the file takes it, without zero parts: "4m", "1h30m".
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
