package cli

import (
	"reflect"
	"testing"

	"github.com/spf13/pflag"

	"github.com/multica-rollup/multica-rollup/internal/config"
)

func TestEveryFlagOfAKeyIsThatOfTheCommandOfItsSection(t *testing.T) {
	root := newRootCmd(&app{})
	sections := []string{""}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Type.Kind() == reflect.Struct {
			sections = append(sections, field.Tag.Get("koanf"))
		}
	}
	for _, section := range sections {
		flags := root.PersistentFlags()
		if section != "" {
			flags = pflag.NewFlagSet("", pflag.ContinueOnError)
			for _, cmd := range root.Commands() {
				if cmd.Name() == section {
					flags = cmd.Flags()
				}
			}
		}
		want := pflag.NewFlagSet("", pflag.ContinueOnError)
		config.BindFlags(want, section)
		want.VisitAll(func(f *pflag.Flag) {
			if flags.Lookup(f.Name) == nil {
				t.Errorf("internal/config/config.go gives a key of section %q the flag --%s, which no command of that name has: config.BindFlags", section, f.Name)
			}
		})
	}
}
