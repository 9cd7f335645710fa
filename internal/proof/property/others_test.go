package property_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// happen lets one thing happen that is no agent's doing.
func (w *world) happen() {
	if !w.simulate && w.chance(0.5) { // what is open is what the second era is about
		if len(w.open) < 3 && w.chance(0.5) {
			w.begin()
		} else {
			w.end()
		}
		return
	}
	switch p := w.rng.IntN(100); {
	case p < 55:
		w.write(w.conn)
	case p < 59:
		w.teardown()
	case p < 62:
		w.deleteRuntime()
	case p < 63:
		w.deleteAgent()
	case p < 68:
		w.stamp()
	case p < 74:
		w.anothersTick()
	case p < 77:
		w.databasesTick()
	case p < 79:
		w.moveWatermark()
	case w.simulate:
		w.write(w.conn)
	case w.ours && p < 85:
		w.restless = true
		w.write(w.conn)
		w.restless = false
	case p < 88:
		w.begin()
	default:
		w.end()
	}
}

// stamp moves the watermark without a roll-up and without the lock, as upstream's migration hook does.
func (w *world) stamp() {
	w.moved++
	part := pick(w.rng, []float64{1, w.rng.Float64(), w.rng.Float64()})
	w.logf("  watermark stamped by others, %.2f of the way", part)
	w.try(w.conn, `update task_usage_hourly_rollup_state set watermark_at = greatest(watermark_at,
		coalesce($1, clock_timestamp()) - (1 - $2::float8) * (coalesce($1, clock_timestamp()) - greatest(watermark_at, coalesce($1, clock_timestamp()) - interval '80 days')))
		where watermark_at < 'infinity'`, w.at(), part)
}

// anothersTick is what the database's own tick does, by the world's clock: it
// knows nothing of transactions that are still open.
func (w *world) anothersTick() {
	if w.ours {
		return
	}
	w.moved++
	most := pick(w.rng, []string{"6 hours", "1 day", "20 days", "1000 years"})
	w.logf("  another's tick, %s at most", most)
	err := pgx.BeginFunc(context.Background(), w.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.Background(), "select pg_advisory_xact_lock(4246)"); err != nil {
			return err
		}
		_, err := tx.Exec(context.Background(), `
			with w as materialized (select watermark_at as since, greatest(watermark_at, least(coalesce($1, clock_timestamp()), watermark_at + $2::text::interval)) as upto
				from task_usage_hourly_rollup_state),
			done as materialized (select upto, rollup_task_usage_hourly_window(since, upto) from w)
			update task_usage_hourly_rollup_state set watermark_at = (select upto from done)`, w.at(), most)
		return err
	})
	w.survived("another's tick", err)
}

// databasesTick is the real one. It goes by the real clock, so not before the simulated one has come near.
func (w *world) databasesTick() {
	if w.ours || w.simulate && !get[bool](w, "select watermark_at + interval '1 day' < $1 from task_usage_hourly_rollup_state", w.at()) {
		return
	}
	// What it does to invalidations of a long outage is known: it prunes them unprocessed.
	if get[bool](w, "select exists (select from task_usage_hourly_dirty where enqueued_at < now() - interval '6 days')") {
		return
	}
	w.moved++
	w.logf("  the database's own tick")
	w.try(w.conn, "select rollup_task_usage_hourly()")
}

// moveWatermark has an administrator, or a restore, move the watermark: back, or into the future.
func (w *world) moveWatermark() {
	w.moved++
	to := pick(w.rng, []string{"watermark_at - interval '3 hours'", "watermark_at - interval '40 days'", "'1970-01-01 00:00:00+00'", "now() + interval '2 days'", "'infinity'"})
	w.logf("  watermark set to %s", to)
	w.try(w.conn, "update task_usage_hourly_rollup_state set watermark_at = "+to)
}

// begin opens a transaction of any kind and leaves it open: one that only reads, as a dump does, or writes; at either
// level; of a session that says when it began, or of one that tracks nothing.
func (w *world) begin() {
	if len(w.open) >= 3 {
		w.end()
		return
	}
	conn := w.connect()
	level := "read committed"
	if w.chance(0.4) {
		level = "repeatable read"
		w.repeatable[conn] = true
	}
	if w.chance(0.2) {
		w.logf("  of a session that tracks nothing:")
		w.exec(conn, "set track_activities = off")
	}
	w.exec(conn, "begin isolation level "+level)
	if w.chance(0.4) {
		w.logf("  a %s transaction that has written nothing is left open", level)
		if w.chance(0.8) { // else it has no snapshot yet
			w.exec(conn, "select count(*) from task_usage")
		}
		w.open = append(w.open, conn)
		return
	}
	// Most do not move anything to another key: what is written into a key while
	// another transaction is about to move it is missed by the triggers.
	w.staid = !w.ours && (w.repeatable[conn] || w.chance(0.7))
	defer func() { w.staid = false }()
	w.logf("  a %s transaction is left open (moves nothing: %v)", level, w.staid)
	w.restless = w.ours && w.chance(0.7)
	defer func() { w.restless = false }()
	for range 1 + w.rng.IntN(3) {
		if !w.write(conn) {
			w.exec(conn, "rollback")
			return
		}
	}
	w.open = append(w.open, conn)
	w.moving = w.moving || !w.staid
}

// end ends a transaction that was left open, or prepared: one way or the other.
func (w *world) end() {
	if n := len(w.prepared); n > 0 && w.chance(0.5) {
		gid := w.prepared[n-1]
		w.prepared = w.prepared[:n-1]
		how := pick(w.rng, []string{"commit", "commit", "rollback"})
		w.logf("  %s prepared %s", how, gid)
		w.exec(w.conn, fmt.Sprintf("%s prepared '%s'", how, gid))
		w.moving = w.moving && len(w.open)+len(w.prepared) > 0
		return
	}
	if len(w.open) == 0 {
		return
	}
	i := w.rng.IntN(len(w.open))
	conn := w.open[i]
	if w.chance(0.3) {
		w.logf("  in a transaction left open:")
		w.staid = !w.ours && (!w.moving || w.repeatable[conn])
		defer func() { w.staid = false }()
		w.restless = w.ours && w.chance(0.5)
		defer func() { w.restless = false }()
		if !w.write(conn) {
			w.close(i, "rollback")
		}
		return
	}
	switch how := pick(w.rng, []string{"commit", "commit", "commit", "rollback", "prepare transaction"}); how {
	case "prepare transaction":
		w.names++
		gid := fmt.Sprintf("%s-%d", w.db.Name, w.names)
		w.prepared = append(w.prepared, gid)
		w.close(i, "prepare transaction '"+gid+"'")
	default:
		w.close(i, how)
	}
}

func (w *world) close(i int, how string) {
	w.logf("  %s of a transaction left open", how)
	w.exec(w.open[i], how)
	w.open = append(w.open[:i], w.open[i+1:]...)
	w.moving = w.moving && len(w.open)+len(w.prepared) > 0
}

// endAll ends every transaction, for better or worse.
func (w *world) endAll() {
	for len(w.open) > 0 {
		w.close(0, pick(w.rng, []string{"commit", "commit", "rollback"}))
	}
	for _, gid := range w.prepared {
		w.exec(w.conn, fmt.Sprintf("%s prepared '%s'", pick(w.rng, []string{"commit", "commit", "rollback"}), gid))
	}
	w.prepared = nil
}
