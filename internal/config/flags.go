package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// flagKey is the annotation that binds a flag to a key.
const flagKey = "multica-rollup-key"

// FlagExample is the annotation of a flag with a value that it may have.
const FlagExample = "multica-rollup-example"

// BindFlag makes the flag of that name override a key; example is a value for
// hints. The key must exist: it is the program's own text, so a slip there is a panic.
func BindFlag(flags *pflag.FlagSet, flag, name, example string) {
	if _, ok := lookUp(name); !ok {
		panic("no configuration key " + name)
	}
	for annotation, value := range map[string]string{flagKey: name, FlagExample: example} {
		if err := flags.SetAnnotation(flag, annotation, []string{value}); err != nil {
			panic(err)
		}
	}
}

// BindFlags adds the flags that override the keys of a section, "" being what
// stands before the first. Their values go through the same checks as the file's.
func BindFlags(flags *pflag.FlagSet, section string) {
	for _, k := range keys() {
		in, _, ok := strings.Cut(k.name, ".")
		if !ok {
			in = ""
		}
		if f := rules[k.name].flag; f.name != "" && in == section {
			flags.String(f.name, "", f.usage)
			BindFlag(flags, f.name, k.name, f.example)
		}
	}
}

// FlagHint says what to type for a flag, "" where it has no example.
func FlagHint(f *pflag.Flag) string {
	example := f.Annotations[FlagExample]
	if len(example) == 0 {
		return ""
	}
	separator := " "
	if f.NoOptDefVal != "" { // what follows it is no value of it
		separator = "="
	}
	return "for instance --" + f.Name + separator + example[0]
}
