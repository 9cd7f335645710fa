package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/problem"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// memory keeps what the ledger decides in the state directory. Without a store there is nothing to remember.
type memory struct {
	store *state.Store // nil where the state directory cannot be used
	rep   *reporter
	delay time.Duration // how far the horizon trails the clock
	hold  time.Duration // how long a transaction is waited for

	looking bool               // nothing is stored: a dry run
	foreign bool               // what is stored was learned in another incarnation; only where looking
	was     ledger.Incarnation // as it was remembered when the memory was opened
	heard   []ledger.Witness   // whose commit may not have reached the disk
}

// mostHeard bounds the witnesses of one command: the last are the best.
const mostHeard = 8

func (m *memory) hear(w *ledger.Witness) {
	if w == nil || m.store == nil {
		return
	}
	if m.heard = append(m.heard, *w); len(m.heard) > mostHeard {
		m.heard = m.heard[1:]
	}
}

// takeWitnesses returns the witnesses since the last time, whose commits lie before a position in the WAL.
func (m *memory) takeWitnesses(written uint64) []ledger.Witness {
	list := m.heard
	m.heard = nil
	if written == 0 {
		return nil // when they reach the disk cannot be known
	}
	for i := range list {
		list[i].Until = written
	}
	return list
}

func (m *memory) load() (ledger.Memory, error) {
	if m.store == nil {
		return ledger.Memory{}, nil
	}
	remembered, err := m.store.Load()
	if m.foreign {
		return ledger.Memory{}, nil
	}
	if err != nil {
		return remembered, problem.Wrap(err, problem.Failed, "look at the state directory "+m.store.Dir(), "%v", err)
	}
	return remembered, nil
}

// change stores one decision of the ledger.
func (m *memory) change(decide func(*ledger.Memory)) error {
	if m.store == nil {
		return nil
	}
	err := m.store.Update(func(remembered *ledger.Memory) {
		decide(remembered)
		m.rep.st.Debts = len(remembered.Deferred)
	})
	return m.unwritable(err)
}

func (m *memory) unwritable(err error) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(err, problem.Failed, "see that "+m.store.Dir()+" can be written and has room", "%v", err)
}

// deferAll remembers deferred windows together with another decision, nil for none. now is the database's clock.
func (m *memory) deferAll(windows []ledger.Deferred, now time.Time, decide func(*ledger.Memory)) error {
	if len(windows) == 0 && decide == nil {
		return nil
	}
	var added []ledger.Deferred
	err := m.change(func(remembered *ledger.Memory) {
		if decide != nil {
			decide(remembered)
		}
		added = remembered.Defer(windows...)
	})
	if err != nil {
		return err
	}
	for _, d := range added {
		m.rep.log.Log(context.Background(), m.level(d, now), "the watermark passes a transaction that is still open; its window will be rolled up again when it ends",
			journal.DebtRecorded.Attr(), journal.Reason(d.Description))
	}
	return nil
}

// level is how much a deferred window is worth the attention of who reads the log.
func (m *memory) level(d ledger.Deferred, now time.Time) slog.Level {
	age := now.Sub(d.Started)
	switch {
	case d.Kind == ledger.HiddenTransaction:
		return slog.LevelInfo // when it began is not known; that it is hidden has a warning of its own
	case age <= m.delay:
		return slog.LevelDebug // what is no exception
	case d.Kind == ledger.OpenTransaction && age <= m.hold:
		return slog.LevelInfo // it has written nothing, or nothing moves any more beside it
	}
	return slog.LevelWarn
}

// noticeMove compares the watermark with what this agent committed last. Where
// others have moved it ahead, the gap is deferred: upstream's migration hook
// stamps the watermark without rolling up.
func (m *memory) noticeMove(ours, mark time.Time) error {
	var gap *ledger.Deferred
	err := m.change(func(remembered *ledger.Memory) { gap = remembered.NoticeMove(ours, mark) })
	if err != nil {
		return err
	}
	if gap != nil {
		m.rep.log.Info("others moved the watermark since our last slice; what lies between is rolled up again",
			journal.WatermarkMovedByOther.Attr(), journal.SliceFrom(gap.From), journal.SliceTo(gap.To))
	}
	return nil
}

// doubtFrom is from where on others may have moved the watermark without our
// having rolled up what it passed: the watermark itself where nobody has.
func (m *memory) doubtFrom(mark time.Time) time.Time {
	if m.store == nil {
		return mark
	}
	remembered, err := m.load()
	if err != nil {
		return mark // who changes the memory next reports it
	}
	return remembered.DoubtFrom(mark)
}

// checkpoint returns the place of an unfinished backfill that this engine can resume, nil where there is none.
func (m *memory) checkpoint(engine string) (*ledger.Checkpoint, error) {
	if m.store == nil {
		return nil, nil
	}
	if m.foreign {
		return nil, nil
	}
	c, err := m.store.LoadCheckpoint()
	if state.Unusable(err) {
		m.rep.warn(journal.StateSetAside, err.Error()+"; the backfill starts over")
		return nil, nil
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Failed, "look at the state directory "+m.store.Dir(), "%v", err)
	}
	if c != nil && c.Engine != engine { // the engines read different rows for one pass
		m.rep.log.Info("an unfinished backfill by the "+c.Engine+" engine cannot be gone on with by the "+engine+" engine; the backfill starts over",
			journal.Engine(engine))
		return nil, nil
	}
	return c, nil
}

func (m *memory) saveCheckpoint(c *ledger.Checkpoint) error {
	if m.store == nil {
		return nil
	}
	c.UpdatedAt = time.Now()
	return m.unwritable(m.store.SaveCheckpoint(*c))
}

// clearCheckpoint forgets the backfill, which is done.
func (m *memory) clearCheckpoint() error {
	if m.store == nil {
		return nil
	}
	if err := m.store.ClearCheckpoint(); err != nil {
		return problem.Wrap(err, problem.Failed, "remove "+m.store.CheckpointPath(), "%v", err)
	}
	for _, path := range m.store.ClearLostCheckpoints() {
		m.rep.log.Info("forgot the unfinished backfill of a database that is not worked on from here: " + path)
	}
	return nil
}
