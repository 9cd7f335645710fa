package cli_test

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
)

func TestPgcronTellsWhatItDidOnARealPgCron(t *testing.T) {
	labtest.Need(t, lacks.PgCron)
	server, err := lab.Start(t.Context(), lab.Options{Settings: map[string]string{
		"shared_preload_libraries": "pg_cron", "cron.database_name": "postgres", "cron.use_background_workers": "on",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.CreateDatabase(t.Context(), "multica", lab.Gen272); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MULTICA_ROLLUP_DSN", server.DSN("multica"))
	for _, step := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"pgcron", "status"}, 0, `(?s)^pg_cron: loaded, works in database postgres, where its extension is not created\ndatabase: multica as role postgres\n.*next: as a superuser, in database postgres: create extension`},
		{[]string{"pgcron", "install"}, 0, `^created the extension pg_cron in database postgres\nscheduled job \d+ "multica-rollup" \(\*/5 \* \* \* \*\) in database multica as postgres\n$`},
		{[]string{"pgcron", "install"}, 0, `^nothing to do: job \d+ "multica-rollup" .* is there\n$`},
		{[]string{"pgcron", "status"}, 0, `(?s)^pg_cron: loaded, works in database postgres \(version 1\..*\njob: job \d+ "multica-rollup" .*\n  no run yet\n$`},
		{[]string{"pgcron", "status", "--json"}, 0, `"name": "multica-rollup",\n`},
		{[]string{"pgcron", "remove"}, 0, `^removed job \d+ "multica-rollup" .*\nnote: nothing schedules the roll-up now`},
		{[]string{"pgcron", "remove"}, 0, `^nothing to do: `},
	} {
		var out, diagnostics bytes.Buffer
		err := cli.Run(context.Background(), append(step.args, "--as-root"), nil, &out, &diagnostics)
		if code := cli.ExitCode(err); code != step.code || !regexp.MustCompile(step.says).MatchString(out.String()) {
			t.Errorf("%q: exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d and %s", step.args, code, out.String(), diagnostics.String(), step.code, step.says)
		}
	}
}
