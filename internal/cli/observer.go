package cli

import (
	"io"
	"sync"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/notify"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// observer passes the state on to the service manager and, on a terminal, to the eye.
type observer struct {
	a        *app
	notifier *notify.Notifier
	patience time.Duration     // asked for beyond the present, whenever there is progress
	paint    func(line string) // draws the progress line; nil where stderr is no terminal
	entry    time.Duration     // how often progress becomes an entry in the log; 0 means never
	entered  time.Time
	slices   int64 // done by then
	phase    report.Phase
	waits    string

	mu    sync.Mutex
	told  time.Time
	later *time.Timer // tells what came too soon after the last telling; nil where nothing did
}

// telling is how often STATUS= and the progress line change at the most, but
// for a new phase and a new reason to wait.
const telling = 200 * time.Millisecond

func (a *app) newObserver(statementTimeout time.Duration) *observer {
	n, err := notify.FromEnv()
	if err != nil {
		a.log().Warn("cannot talk to the service manager", journal.Reason(err.Error()))
	}
	return &observer{a: a, notifier: n, patience: statementTimeout + extension, entered: time.Now()}
}

// paintOn draws a progress line on w, where that is a terminal.
func (o *observer) paintOn(w io.Writer) {
	if t, ok := w.(*journal.Terminal); ok {
		o.paint = t.Progress
	}
}

// observe tells the state at once where that is news, and else soon: who goes
// on without a word, into a wait or a long slice, has told the last there was.
func (o *observer) observe(st *report.State) {
	waits := st.Waits()
	news := st.Phase != o.phase || waits != "" && waits != o.waits
	o.phase, o.waits = st.Phase, waits
	o.enter(st)
	line, status := o.a.redact(st.Line()), o.a.redact(st.Status()) // now: the state goes on changing
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.later != nil {
		o.later.Stop()
		o.later = nil
	}
	if wait := telling - time.Since(o.told); !news && wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.later == timer { // else there is something newer
				o.later = nil
				o.tell(line, status)
			}
		})
		o.later = timer
		return
	}
	o.tell(line, status)
}

// enter makes progress an entry in the log; a wait makes its own.
func (o *observer) enter(st *report.State) {
	if o.entry == 0 || time.Since(o.entered) < o.entry || st.Outcome != "" {
		return
	}
	o.entered = time.Now()
	o.a.writeMetrics(st, nil)
	if st.Slices == o.slices {
		return
	}
	o.slices = st.Slices
	o.a.log().Info(st.Line(), journal.BackfillProgress.Attr(), journal.Rows(st.Rows), journal.Watermark(st.Watermark),
		journal.Engine(st.Engine), journal.SliceTo(st.SliceTo), journal.Reason(st.Waits()))
}

// tell sends a status and draws a line, above which the log has the warnings; o.mu is held.
func (o *observer) tell(line, status string) {
	o.told = time.Now()
	_ = o.notifier.Status(status) // the journal has the result as well
	if o.paint != nil {
		o.paint(line)
	}
	_ = o.notifier.ExtendTimeout(o.patience) // without a manager's ear the default time-out stays
}

// last tells how it ended.
func (o *observer) last(st *report.State) {
	o.clear()
	_ = o.notifier.Status(o.a.redact(st.Status()))
}

// clear removes the progress line; what was to be told later is not.
func (o *observer) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.later != nil {
		o.later.Stop()
		o.later = nil
	}
	if o.paint != nil {
		o.paint("")
	}
}
