package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"multica-rollup": program})
}

// program is the real main.
func program() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.ExitCode(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)))
}

// TestScripts runs the files of testdata/script. Besides testscript's own
// commands they have
//
//	database GENERATION   make a database ("272", …), and MULTICA_ROLLUP_DSN for it
//	seed N                fill it with the usage of N tasks
//	sql STATEMENT         run one statement as superuser; its rows are the stdout
//	exits CODE COMMAND…   run a command that must end with the code
//	until N REGEXP FILE   wait until a file that another command writes has N matches
func TestScripts(t *testing.T) {
	server := labtest.Server(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("MULTICA_ROLLUP_STATE_DIR", env.WorkDir+"/state")
			return os.Mkdir(env.WorkDir+"/state", 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"database": func(ts *testscript.TestScript, _ bool, args []string) {
				name := "script_" + strings.ReplaceAll(strings.ToLower(ts.Name()), "-", "_")
				ts.Check(server.CreateDatabase(context.Background(), name, lab.Generation(args[0])))
				ts.Defer(func() { ts.Check(server.DropDatabase(context.Background(), name)) })
				ts.Setenv("MULTICA_ROLLUP_DSN", server.DSN(name))
			},
			// until COUNT REGEXP FILE: waits until the file has that many matches.
			"until": func(ts *testscript.TestScript, _ bool, args []string) {
				count, err := strconv.Atoi(args[0])
				ts.Check(err)
				pattern := regexp.MustCompile("(?m)" + args[1])
				for deadline := time.Now().Add(labtest.Guard); ; time.Sleep(10 * time.Millisecond) {
					text, err := os.ReadFile(ts.MkAbs(args[2]))
					if err == nil && len(pattern.FindAll(text, -1)) >= count {
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("%s never had %d of %s:\n%s", args[2], count, args[1], text)
					}
				}
			},
			"seed": func(ts *testscript.TestScript, _ bool, args []string) {
				tasks, err := strconv.Atoi(args[0])
				ts.Check(err)
				withConn(ts, func(ctx context.Context, conn *pgx.Conn) error {
					_, err := lab.Seed(ctx, conn, lab.Typical(1, tasks))
					return err
				})
			},
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				withConn(ts, func(ctx context.Context, conn *pgx.Conn) error {
					rows, err := conn.Query(ctx, strings.Join(args, " "))
					if err != nil {
						return err
					}
					defer rows.Close()
					for rows.Next() {
						values, err := rows.Values()
						if err != nil {
							return err
						}
						fmt.Fprintln(ts.Stdout(), values...)
					}
					return rows.Err()
				})
			},
			"exits": exits,
		},
	})
}

func withConn(ts *testscript.TestScript, fn func(context.Context, *pgx.Conn) error) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, ts.Getenv("MULTICA_ROLLUP_DSN"))
	ts.Check(err)
	err = fn(ctx, conn)
	ts.Check(errors.Join(err, conn.Close(ctx)))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
