package cli

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/notify"
	"github.com/multica-rollup/multica-rollup/internal/report"
)

// observer passes the state on to the service manager and, on a terminal, to the eye.
type observer struct {
	a        *app
	notifier *notify.Notifier
	patience time.Duration // asked for beyond the present, whenever there is progress
	told     time.Time
	phase    report.Phase
	paint    func(line string) // draws the progress line; nil where stderr is no terminal
	entry    time.Duration     // how often progress becomes an entry in the log; 0 means never
	entered  time.Time
}

// telling is how often STATUS= and the progress line change at the most.
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
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	o.paint = func(line string) {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 20 {
			width = 80
		}
		if runes := []rune(line); len(runes) >= width {
			line = string(runes[:width-1])
		}
		_, _ = io.WriteString(f, "\r\x1b[K"+line)
	}
}

func (o *observer) observe(st *report.State) {
	if st.Phase == o.phase && time.Since(o.told) < telling {
		return
	}
	o.told, o.phase = time.Now(), st.Phase
	o.tell(st)
	if o.entry > 0 && time.Since(o.entered) >= o.entry {
		o.entered = time.Now()
		o.a.writeMetrics(st, nil)
		o.a.log().Info(st.Line(), journal.BackfillProgress.Attr(), journal.Rows(st.Rows), journal.Watermark(st.Watermark),
			journal.Engine(st.Engine), journal.SliceTo(st.SliceTo), journal.Reason(st.Throttle))
	}
	_ = o.notifier.ExtendTimeout(o.patience) // without a manager's ear the default time-out stays
}

func (o *observer) last(st *report.State) {
	o.tell(st)
	if o.paint != nil {
		o.paint("")
	}
}

func (o *observer) tell(st *report.State) {
	line := o.a.redact(st.Line())
	_ = o.notifier.Status(line) // the journal has the result as well
	if o.paint != nil && st.Finished.IsZero() {
		o.paint(line)
	}
}
