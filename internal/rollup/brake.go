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

// brake applies the throttle between slices.
type brake struct {
	throttle Throttle // nil means none
	db       *database
	rep      *reporter
	worked   time.Duration // by the last slice; zero before the first, and once the pause after it is over
}

// release returns when the next slice may start: after the pause that the last one
// has earned the database, and when no signal holds back any more.
func (b *brake) release(ctx context.Context) error {
	if b.throttle == nil {
		return nil
	}
	rest := b.rest()
	b.worked = 0
	if err := b.pause(ctx, rest); err != nil {
		return err
	}
	ask := func(step func(pg.Querier) error) error {
		return b.db.do(ctx, func(conn *pgx.Conn) error { return step(conn) })
	}
	return b.throttle.Wait(ctx, ask, b.rep.throttled)
}

// rest is the pause that the last slice has earned the database.
func (b *brake) rest() time.Duration {
	if b.throttle == nil || b.worked <= 0 {
		return 0
	}
	return b.throttle.Rest(b.worked)
}

// pause is the pause between two slices.
func (b *brake) pause(ctx context.Context, rest time.Duration) error {
	if rest <= 0 {
		return nil
	}
	if rest >= shortPause {
		b.rep.st.Pausing = true
		b.rep.throttled("pausing " + rest.Round(time.Millisecond).String() + " between slices")
		defer func() {
			b.rep.st.Pausing = false
			b.rep.throttled("")
		}()
	}
	return pause.For(ctx, rest)
}
