package throttle

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/config"
)

// rests are the keys of [backfill] that pause after every slice, whatever anything says.
var rests = []string{"nice", "sleep_between_slices"}

func TestEveryKeyOfTheBackfillIsOfOneSignalOrARest(t *testing.T) {
	var keys []string
	for field := range reflect.TypeFor[config.Backfill]().Fields() {
		if key := field.Tag.Get("koanf"); !slices.Contains(rests, key) {
			keys = append(keys, key)
		}
	}
	var read []string
	for _, configure := range signals {
		s, err := configure(config.Backfill{})
		if err != nil {
			t.Fatal(err)
		}
		if s.name == "" || s.on || (s.host == nil) == (s.database == nil) {
			t.Errorf("signal %q (backfill.%s): want a name, off by default, and one function that reads it", s.name, s.key)
		}
		read = append(read, s.key)
	}
	slices.Sort(keys)
	slices.Sort(read)
	if diff := cmp.Diff(keys, read); diff != "" {
		t.Errorf("keys of internal/config.Backfill and of the signals of internal/throttle/signal.go (-config +signals):\n%s", diff)
	}
}
