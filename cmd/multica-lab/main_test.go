package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"multica-lab": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// Outside the script's own directory, which the server's user may not enter.
			parent, err := os.MkdirTemp("", "multica-lab-test-")
			if err != nil {
				return err
			}
			if err := os.Chmod(parent, 0o755); err != nil {
				return err
			}
			dir := filepath.Join(parent, "lab")
			env.Setenv("LAB", dir)
			env.Defer(func() {
				_ = lab.StopDetached(context.Background(), dir) // the script has stopped it, unless it failed
				_ = os.RemoveAll(parent)
			})
			return nil
		},
	})
}
