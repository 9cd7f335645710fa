package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// guardPatience bounds the look at the database: what is read is read by index.
const guardPatience = 30 * time.Second

func newGuardCmd(a *app) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:     "guard",
		Short:   "Tell whether Multica's migration 103 would pass now",
		GroupID: groupLook,
		Long: `guard gives the verdict that Multica's migration 103 ("refusing to drop legacy daily
rollups") would give now, and what to run where it would refuse. The migration
passes where task_usage is empty, or where the watermark trails the newest event
by at most an hour.

Exit code 0: it passes, or has been applied. 1: it refuses. 69: no database
answers; 77: a privilege is missing; 78: the configuration, or not Multica's database.

With --fix the history is rolled up first, as backfill does but held back by none
of its limits, until the verdict is pass; 75 means that another held lock 4246 all
along. In an upgrade script:

  multica-rollup guard --fix && docker compose -f docker-compose.selfhost.yml up -d`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.guard(cmd, fix) },
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "roll up history first, until the verdict is pass")
	return cmd
}

// guardView is what guard found, as --json prints it.
type guardView struct {
	SchemaVersion int    `json:"schema_version"`
	Target        string `json:"target"`
	pipeline.Guard
	TrailsSeconds float64            `json:"trails_seconds"`
	Verdict       string             `json:"verdict"`            // one line
	Lock          string             `json:"lock,omitempty"`     // who holds lock 4246
	Backfill      *ledger.Checkpoint `json:"backfill,omitempty"` // place of an unfinished backfill of ours
	Next          []string           `json:"next"`               // what to do, in order
}

func (a *app) guard(cmd *cobra.Command, fix bool) error {
	if _, err := a.load(cmd); err != nil {
		return err
	}
	connector, err := a.connector("guard")
	if err != nil {
		return err
	}
	v, err := a.lookAtGuard(cmd.Context(), connector)
	if err != nil {
		return err
	}
	if fix && !v.Pass && !v.NoTables {
		if v.Lock != "" {
			a.say("%s: waiting for lock 4246, held by %s\n", programName, v.Lock)
		}
		held, err := a.rollUpForGuard(cmd)
		if err != nil {
			return stopTheBackend(err)
		}
		if v, err = a.lookAtGuard(cmd.Context(), connector); err != nil {
			return err
		}
		if !v.Pass && held != "" {
			v.Next = []string{"end what holds the horizon back: " + held, "multica-rollup guard --fix"}
		}
	}
	if a.json {
		err = a.printJSON(v)
	} else {
		err = v.print(a)
	}
	if err == nil && !v.Pass {
		err = exitWith(1)
	}
	return err
}

// lookAtGuard reads the verdict and what it takes to change it. It writes nothing.
func (a *app) lookAtGuard(ctx context.Context, connector *pg.Connector) (*guardView, error) {
	ctx, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, unanswered(err, connector, guardPatience)
	}
	defer pg.Close(ctx, conn)
	v := &guardView{SchemaVersion: report.SchemaVersion, Target: connector.Target()}
	if err := a.readGuard(ctx, conn, connector.Target(), v); err != nil {
		return nil, unanswered(connector.Explain(err), connector, guardPatience)
	}
	return v, nil
}

func (a *app) readGuard(ctx context.Context, conn *pgx.Conn, target string, v *guardView) error {
	p, err := pipeline.Inspect(ctx, conn, pipeline.Shipped())
	if err != nil {
		return err
	}
	err = pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) (err error) {
		v.Guard, err = pipeline.ReadGuard(ctx, tx, p)
		return err
	})
	if err != nil {
		return p.Explained(ctx, conn, err)
	}
	if err := p.Refused(); err != nil { // what makes it pass would be refused
		return err
	}
	v.Verdict, v.TrailsSeconds = report.GuardLine(v.Guard), max(0, v.Trails().Seconds())
	if v.Pass {
		return nil
	}
	var sessions []pg.LockSession
	err = pg.InTx(ctx, conn, p.Reads(), func(tx pgx.Tx) (err error) {
		sessions, err = pg.LockSessions(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	place, err := a.inspectState(p, target).LoadCheckpoint()
	if err != nil && !state.Unusable(err) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	v.Backfill = place
	v.advise(sessions)
	return nil
}

// advise says what to do about a refusal, in order.
func (v *guardView) advise(sessions []pg.LockSession) {
	fix := "multica-rollup guard --fix"
	var holder *pg.LockSession
	for i, s := range sessions {
		if s.Granted {
			holder, v.Lock = &sessions[i], s.String()
			break
		}
	}
	switch {
	case v.NoTables:
		v.Next = []string{
			"upgrade Multica to a release from v0.3.5 to v0.3.16, and let migration 103 stop it",
			"stop the backend", fix, "upgrade to the release that you want",
		}
	case holder == nil:
		v.Next = []string{fix}
	case strings.HasPrefix(holder.Application, programName):
		v.Next = []string{"wait: " + holder.Application + " is at work, and takes turns with others", fix}
	case holder.State == "idle":
		v.Next = []string{"multica-rollup doctor tells how to end a session that keeps the lock without using it", fix}
	default:
		v.Next = []string{
			"stop the backend (it is safe: what it was doing is rolled back, what it did stays, nothing is counted twice)", fix,
			"start the backend: its migration goes on from there",
		}
	}
}

func (v *guardView) print(a *app) error {
	var b strings.Builder
	fmt.Fprintln(&b, v.Verdict)
	if v.Lock != "" {
		fmt.Fprintf(&b, "lock 4246 is held by %s\n", v.Lock)
	}
	if p := v.Backfill; p != nil {
		done := report.Progress{Done: p.Done, Total: p.Total}
		fmt.Fprintf(&b, "a backfill has come to %s, %s\n", report.Stamp(p.Cursor), done.Of())
	}
	for i, step := range v.Next {
		lead := "next: "
		if i > 0 {
			lead = "then: "
		}
		fmt.Fprintln(&b, lead+step)
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// rollUpForGuard is the backfill from the oldest event, which ends as soon as
// the migration would pass. held is what holds the horizon back at its end.
func (a *app) rollUpForGuard(cmd *cobra.Command) (held string, err error) {
	// An upgrade waits for it, mostly with the backend down: nothing holds it back.
	w, watch, err := a.newBackfill(cmd, rollup.Options{})
	if err != nil {
		return "", err
	}
	ctx := cmd.Context()
	defer w.Close(ctx)
	o := rollup.BackfillOptions{CountLater: true, Until: func(ctx context.Context, q pg.Querier) (bool, error) {
		g, err := pipeline.ReadGuard(ctx, q, w.Pipeline())
		return g.Pass, err
	}}
	var plan *rollup.BackfillPlan
	if err = w.Open(ctx); err == nil {
		plan, err = w.PlanBackfill(ctx, o)
	}
	if err == nil {
		err = w.Backfill(ctx, plan, o)
	} else {
		err = a.openFailed(w.State(), err)
	}
	watch.last(w.State())
	st := w.State()
	if err == nil && st.Outcome == report.Interrupted {
		return "", &exitError{code: 1, err: context.Canceled}
	}
	if err != nil {
		return "", err
	}
	return st.Held, forgetPlace(w.Store(), st.Watermark)
}

// forgetPlace ends a backfill that was left as soon as the verdict was pass,
// where its pass has come to the watermark: what follows is any run's work.
func forgetPlace(store *state.Store, watermark time.Time) error {
	if store == nil {
		return nil
	}
	place, err := store.LoadCheckpoint()
	if err != nil || place == nil || place.Cursor.Before(watermark) {
		return err
	}
	return store.ClearCheckpoint()
}

// stopTheBackend adds what to do where the lock was never free.
func stopTheBackend(err error) error {
	if problem.KindOf(err) != problem.TryAgain {
		return err
	}
	return problem.Wrap(err, problem.TryAgain,
		"if that is Multica's own backfill, stop the backend (it is safe: what it was doing is rolled back, what it did stays), then again: multica-rollup guard --fix",
		"%v", err)
}
