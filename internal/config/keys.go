package config

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
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

// secret tells whether a key's value must never be shown as it is.
func secret(name string) bool { return name == "dsn" }

// check returns what is impossible about a value that has the right type, ""
// if nothing is. The bounds are where a value would be a slip of the pen: a
// slice of an hour holds lock 4246 and with it the deletion of workspaces, a
// budget of milliseconds does nothing.
func check(name string, value any) string {
	switch name {
	case "engine":
		return oneOf(value, "auto", "set", "function")
	case "log_level":
		return oneOf(value, "debug", "info", "warn", "error")
	case "log_format":
		return oneOf(value, "auto", "text", "json")
	case "state_dir", "backfill.pause_file":
		return absolute(value)
	case "dsn_file":
		return secretFile(value)
	case "metrics.textfile":
		return textfile(value)
	case "run.budget":
		return between(value, time.Second, 24*time.Hour)
	case "run.standby_lag":
		return between(value, 0, 30*24*time.Hour)
	case "walk.slice_target":
		return between(value, 50*time.Millisecond, 5*time.Minute)
	case "walk.lock_timeout":
		return between(value, time.Millisecond, time.Minute)
	case "walk.statement_timeout":
		return between(value, time.Second, time.Hour)
	case "walk.horizon_hold":
		return between(value, 0, 24*time.Hour)
	case "backfill.sleep_between_slices":
		return between(value, 0, time.Hour)
	case "backfill.max_replica_lag":
		return between(value, 0, 24*time.Hour)
	case "backfill.nice":
		if f := value.(float64); math.IsNaN(f) || f < 0 || f > 100 {
			return "must be from 0 to 100"
		}
	case "backfill.max_active", "backfill.max_lock_waiters":
		if n := value.(int); n < 0 || n > 10000 {
			return "must be from 0 to 10000"
		}
	case "backfill.window":
		return window(value)
	}
	return ""
}

func oneOf(value any, names ...string) string {
	s := value.(string)
	if slices.Contains(names, s) {
		return ""
	}
	return "must be one of " + strings.Join(names, ", ") + didYouMean(s, names)
}

func between(value any, low, high time.Duration) string {
	if d := value.(time.Duration); d < low || d > high {
		return fmt.Sprintf("must be from %s to %s", FormatDuration(low), FormatDuration(high))
	}
	return ""
}

func absolute(value any) string {
	if s := value.(string); s != "" && !filepath.IsAbs(s) {
		return "must be an absolute path, since the service runs in /"
	}
	return ""
}

func secretFile(value any) string {
	s := value.(string)
	if name, ok := strings.CutPrefix(s, credentialPrefix); ok {
		if !credentialName(name) {
			return "names no systemd credential: write credential:NAME"
		}
		return ""
	}
	if s != "" && !filepath.IsAbs(s) {
		return "must be an absolute path or credential:NAME"
	}
	return ""
}

func textfile(value any) string {
	s := value.(string)
	if s != "" && filepath.Ext(s) != ".prom" {
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

// settled writes a value that passed its check in the one form that others read:
// a window that ends with the day ends at midnight, and the whole day is none.
func settled(name string, value any) any {
	if name != "backfill.window" {
		return value
	}
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
