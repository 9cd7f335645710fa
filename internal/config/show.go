package config

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Value is one key of the effective configuration, as it may be shown.
type Value struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // a string (durations as well), an int or a float64; without secrets
	Origin string `json:"origin"`
}

// Values returns every key with its value and origin, in the file's order.
func (l *Loaded) Values() []Value {
	var values []Value
	for _, k := range keys() {
		value := valueOf(l.Config, k.name)
		switch v := value.(type) {
		case time.Duration:
			value = FormatDuration(v)
		case string:
			if secret(k.name) {
				value = l.RedactedDSN()
			}
		}
		values = append(values, Value{k.name, value, l.Origin[k.name]})
	}
	return values
}

// valueOf returns the field that a key names.
func valueOf(c Config, name string) any {
	v := reflect.ValueOf(c)
	for part := range strings.SplitSeq(name, ".") {
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("koanf") == part {
				v = v.Field(i)
				break
			}
		}
	}
	return v.Interface()
}

// WriteTOML writes the effective configuration as a file would have it, each
// key with a comment on where it came from.
func (l *Loaded) WriteTOML(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	section := ""
	for _, v := range l.Values() {
		name := v.Key
		if in, short, ok := strings.Cut(v.Key, "."); ok {
			name = short
			if in != section {
				section = in
				fmt.Fprintf(table, "\n[%s]\n", section)
			}
		}
		fmt.Fprintf(table, "%s = %s\t# %s\n", name, tomlValue(v.Value), comment(v.Origin))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

func tomlValue(value any) string {
	switch v := value.(type) {
	case string:
		return tomlString(v)
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return fmt.Sprint(value)
}

// tomlString writes a basic string: Go's quoting has escapes that TOML has not.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
