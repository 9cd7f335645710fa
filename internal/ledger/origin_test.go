package ledger_test

import (
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

func TestAFileIsOfTheDatabaseThatItNames(t *testing.T) {
	now := ledger.Origin{Version: 1, Database: "localhost:5432/multica", Name: "multica"}
	for _, c := range []struct {
		name string
		of   ledger.Origin
		want bool
	}{
		{"the same", now, true},
		{"reached through a pooler that calls it otherwise", ledger.Origin{Database: "pooler:6432/mc", Name: "multica"}, true},
		{"another behind the same name of a pooler", ledger.Origin{Database: "localhost:5432/multica", Name: "other"}, false},
		{"of an earlier version, reached in the same way", ledger.Origin{Database: "localhost:5432/multica"}, true},
		{"of an earlier version, through a socket", ledger.Origin{Database: "/run/postgresql:5432/multica"}, true},
		{"of an earlier version, with several servers", ledger.Origin{Database: "a:5432,b:5433/multica"}, true},
		{"of an earlier version and another database", ledger.Origin{Database: "localhost:5432/other"}, false},
		{"of an earlier version and a database whose name ends so", ledger.Origin{Database: "localhost:5432/x/multica"}, false},
		{"of an earlier version and a database whose name ends so without a slash", ledger.Origin{Database: "localhost:5432/xmultica"}, false},
		{"written by hand, without any", ledger.Origin{Version: 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.of.Of(now); got != c.want {
				t.Errorf("it is taken for its own: %t, want %t", got, c.want)
			}
		})
	}
}
