package rollup

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// shortPause is not worth a word.
const shortPause = time.Second

// throttler applies the throttle between slices.
type throttler struct {
	throttle Throttle // nil means none
	db       *database
	rep      *reporter
	worked   time.Duration // by the last slice; zero before the first, and once the pause after it is over
}

// wait returns when the next slice may start: after the pause that the last one
// has earned the database, and when no signal holds back any more.
func (t *throttler) wait(ctx context.Context) error {
	if t.throttle == nil {
		return nil
	}
	rest := t.rest()
	t.worked = 0
	if err := t.pause(ctx, rest); err != nil {
		return err
	}
	ask := func(step func(pg.Querier) error) error {
		return t.db.read(ctx, func(tx pgx.Tx) error { return step(tx) })
	}
	return t.throttle.Wait(ctx, ask, t.rep.throttled)
}

// rest is the pause that the last slice has earned the database.
func (t *throttler) rest() time.Duration {
	if t.throttle == nil || t.worked <= 0 {
		return 0
	}
	return t.throttle.Rest(t.worked)
}

// pause is the pause between two slices.
func (t *throttler) pause(ctx context.Context, rest time.Duration) error {
	if rest <= 0 {
		return nil
	}
	if rest >= shortPause {
		t.rep.st.Pausing = true
		t.rep.throttled("pausing " + rest.Round(time.Millisecond).String() + " between slices")
		defer func() {
			t.rep.st.Pausing = false
			t.rep.throttled("")
		}()
	}
	return pause.For(ctx, rest)
}
