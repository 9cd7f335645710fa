package verify

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/pause"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// suspectLimit is how many suspected keys wait for their second look at the most.
const suspectLimit = 10_000

// recount is one recount under way.
type recount struct {
	v        *Verifier
	r        *Report
	suspects map[Key]struct{}    // found wrong once
	seen     time.Time           // when the last of them was found
	groups   []group             // their hours
	queued   []group             // hours with keys that were queued
	kept     map[string]struct{} // agents of kept rows
}

// group is some hours that are looked at again in one statement.
type group struct {
	spans []span
	rows  int64 // usage and hourly rows to read for them, at most
}

// Verify recounts raw usage, has what is wrong rolled up again where the
// options say so, and remembers the outcome. Its errors are problems, or ctx's.
func (v *Verifier) Verify(ctx context.Context) (*Report, error) {
	started := time.Now()
	r, err := v.verify(ctx)
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(started).Seconds()
	r.Verdict = r.verdict()
	v.remember(r)
	r.Warnings = v.warnings
	v.st.Phase, v.st.Finished = report.Done, time.Now()
	v.observe()
	return r, nil
}

func (v *Verifier) verify(ctx context.Context) (*Report, error) {
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	if err := v.repairable(); err != nil {
		return nil, err
	}
	v.unknownColumns()
	from := v.opts.Since.from(v.scan.now)
	r := &Report{
		SchemaVersion: SchemaVersion, Target: v.scan.connector.Target(), Database: v.scan.pipe().Database, At: v.scan.now,
		Watermark: v.st.Watermark, First: []Difference{},
	}
	if from.After(earliest) {
		r.Since = from
	}
	why, err := v.scan.excuses()
	if err != nil {
		return nil, err
	}
	if why.givenUpBefore.After(from) {
		r.GivenUpBefore = why.givenUpBefore
	}
	v.st.Phase = Recounting
	v.st.Progress = &report.Progress{Total: v.scan.estimate(ctx, from)}
	rc := &recount{v: v, r: r, suspects: map[Key]struct{}{}, kept: map[string]struct{}{}}
	began := time.Now()
	err = v.scan.sweep(ctx, from, func(c *chunk) error {
		rc.count(c)
		v.progress(c, time.Since(began))
		if len(rc.suspects) < suspectLimit {
			return nil
		}
		return rc.confirm(ctx, 0) // where so many are wrong, it is no passing matter
	})
	if err == nil {
		err = rc.confirm(ctx, v.opts.Pause)
	}
	if err == nil && v.opts.Repair {
		err = rc.repair(ctx)
	}
	return r, err
}

// count adds a chunk to the report; what is wrong in it is suspected only.
func (rc *recount) count(c *chunk) {
	r := rc.r
	r.UsageRows += c.usage
	r.HourlyRows += c.hourly
	r.NotDue.Ahead += c.ahead
	r.NotDue.Queued += c.queued
	r.NotDue.Owed += c.owed
	r.GivenUp += c.givenUp
	r.NotRecomputed += c.notRecomputed
	for _, agent := range c.keptAgents {
		rc.kept[agent] = struct{}{}
	}
	r.Kept.Rows += c.kept
	r.Kept.Agents = int64(len(rc.kept))
	if r.Kept.Tokens += c.keptTokens; r.Kept.Tokens < 0 { // beyond an int64
		r.Kept.Tokens = math.MaxInt64
	}
	r.Watermark = c.watermark
	if len(c.wrong) == 0 {
		return
	}
	for _, d := range c.wrong {
		rc.suspects[d.Key] = struct{}{}
	}
	rc.seen = time.Now()
	spans, rows := hours(c.wrong), c.usage+c.hourly
	if n := len(rc.groups); n > 0 && rc.groups[n-1].rows+rows <= ceilSize {
		last := &rc.groups[n-1]
		last.spans, last.rows = append(last.spans, spans...), last.rows+rows
		return
	}
	rc.groups = append(rc.groups, group{spans: spans, rows: rows})
}

// confirm looks at the suspected keys a second time, after a moment: a key is
// wrong when it is so in two snapshots. What the agent's memory and the
// database say of a transaction that just ended may be a moment apart.
func (rc *recount) confirm(ctx context.Context, moment time.Duration) error {
	if len(rc.suspects) == 0 {
		return nil
	}
	if err := pause.For(ctx, moment-time.Since(rc.seen)); err != nil {
		return err
	}
	for _, g := range rc.groups {
		before := rc.r.Wrong.Sum()
		err := rc.v.scan.look(ctx, g.spans, func(c *chunk) error {
			return rc.found(ctx, slices.DeleteFunc(c.wrong, func(d Difference) bool {
				_, suspected := rc.suspects[d.Key]
				return !suspected
			}))
		})
		if err != nil {
			return err
		}
		if rc.v.opts.Repair && rc.r.Wrong.Sum() > before {
			rc.queued = append(rc.queued, g)
		}
	}
	clear(rc.suspects)
	rc.groups = nil
	return nil
}

// found reports keys that are wrong for certain, and queues them where the options say so.
func (rc *recount) found(ctx context.Context, wrong []Difference) error {
	for _, d := range wrong {
		rc.r.Wrong.add(d.Kind)
		if len(rc.r.First) < rc.v.opts.List {
			rc.r.First = append(rc.r.First, d)
		}
	}
	if !rc.v.opts.Repair {
		return nil
	}
	return rc.queue(ctx, wrong)
}

// hours returns the bucket hours of wrong keys, joined to stretches without a break.
func hours(wrong []Difference) []span {
	list := make([]time.Time, 0, len(wrong))
	for _, d := range wrong {
		list = append(list, d.Hour.Truncate(time.Hour))
	}
	slices.SortFunc(list, time.Time.Compare)
	var joined []span
	for _, h := range slices.CompactFunc(list, time.Time.Equal) {
		if n := len(joined); n > 0 && joined[n-1].to.Equal(h) {
			joined[n-1].to = h.Add(time.Hour)
			continue
		}
		joined = append(joined, span{h, h.Add(time.Hour)})
	}
	return joined
}

func (v *Verifier) progress(c *chunk, took time.Duration) {
	p := v.st.Progress
	p.Done += c.usage
	p.Total = max(p.Total, p.Done)
	p.PerSecond = float64(p.Done) / max(took.Seconds(), 0.001)
	p.ETASecs = float64(p.Total-p.Done) / max(p.PerSecond, 1)
	p.ETA = time.Duration(p.ETASecs * float64(time.Second))
	v.st.Watermark, v.st.SliceFrom, v.st.SliceTo, v.st.Read = c.watermark, c.spans[0].from, c.spans[0].to, p.Done
	if c.spans[0].to.Equal(latest) {
		v.st.SliceTo = v.scan.now
	}
	v.observe()
}

// remember keeps the outcome for status, doctor and the metrics. A recount of
// a part that finds nothing says nothing of the whole.
func (v *Verifier) remember(r *Report) {
	wrong := r.Wrong.Sum()
	if r.Repair != nil {
		wrong = r.Repair.Left.Sum() + r.Repair.Still
	}
	if v.scan.store == nil || (!r.Since.IsZero() && wrong == 0) {
		return
	}
	err := v.scan.store.Update(func(m *ledger.Memory) {
		if r.Since.IsZero() && r.Verdict == Clean && m.Incarnation != nil {
			m.Proven = m.Proven.With(ledger.Proof{At: v.scan.now})
		}
		m.Drift = &ledger.Drift{At: v.scan.now, Keys: wrong, Checked: r.UsageRows}
	})
	if err != nil {
		v.warnings = append(v.warnings, "the outcome could not be remembered: "+err.Error())
	}
}

// repairable refuses a repair that could not be made, before anything is read.
func (v *Verifier) repairable() error {
	if !v.opts.Repair {
		return nil
	}
	if err := v.scan.pipe().Writable(v.scan.connector.Target()); err != nil {
		return err
	}
	if !v.scan.pipe().UniqueDirty {
		return problem.New(problem.Config, v.scan.pipe().KeyStatement(pipeline.Dirty)+"; -- in psql, as its owner",
			"the invalidation queue of database %q has no constraint uq_task_usage_hourly_dirty_key", v.scan.pipe().Database)
	}
	return nil
}

// settings of a transaction that writes to the queue.
func (v *Verifier) settings() pg.TxSettings {
	return pg.TxSettings{
		// Longer than a slice of the queue holds a row that is queued already.
		LockTimeout: v.opts.Walk.StatementTimeout, StatementTimeout: v.opts.Walk.StatementTimeout,
		NoClientCheck: !v.scan.pipe().ClientCheck,
	}
}
