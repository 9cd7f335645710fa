package labtest_test

import (
	"context"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestEveryGenerationGivesAnEmptyDatabaseOfItsOwn(t *testing.T) {
	for _, gen := range lab.Generations() {
		t.Run(string(gen), func(t *testing.T) {
			db := labtest.New(t, gen)
			var name string
			var usage int
			if err := db.Conn.QueryRow(context.Background(), "SELECT current_database(), (SELECT count(*) FROM task_usage)").Scan(&name, &usage); err != nil {
				t.Fatal(err)
			}
			if name != db.Name || usage != 0 {
				t.Errorf("connected to %s with %d usage rows, want %s with none", name, usage, db.Name)
			}
		})
	}
}
