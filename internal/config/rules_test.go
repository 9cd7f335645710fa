package config

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryKeyHasARuleAndEveryRuleAKey(t *testing.T) {
	fields := keyNames()
	slices.Sort(fields)
	if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(rules))); diff != "" {
		t.Errorf("keys in config.go (-fields of Config +rules):\n%s", diff)
	}
}

func TestADefaultAndTheExampleOfAFlagArePossible(t *testing.T) {
	for _, k := range keys() {
		if wrong := check(k.name, valueOf(Defaults(), k.name)); wrong != "" {
			t.Errorf("the default of %s %s", k.name, wrong)
		}
		f := rules[k.name].flag
		if f.name == "" {
			continue
		}
		value, wrong := convertText(k, f.example)
		if wrong == "" {
			wrong = check(k.name, value)
		}
		if wrong != "" || f.usage == "" {
			t.Errorf("--%s of %s: usage %q, example %q %s", f.name, k.name, f.usage, f.example, wrong)
		}
	}
}
