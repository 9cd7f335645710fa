package cli

import (
	"github.com/multica-rollup/multica-rollup/internal/buildinfo"
	"github.com/multica-rollup/multica-rollup/internal/journal"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/state"
)

// writeMetrics writes the textfile of metrics, where one is configured, at the
// end of a command or while it works. store is nil where nothing can be
// remembered. Work that is done is not undone by a directory that cannot be
// written: that is a warning.
func (a *app) writeMetrics(st *report.State, store *state.Store) {
	path := a.loaded.Config.Metrics.Textfile
	if path == "" {
		return
	}
	var memory *ledger.Memory
	if store != nil {
		m, err := store.Load()
		if err == nil || state.Unusable(err) {
			memory = &m
		}
	}
	if err := report.WriteTextfile(path, st, memory, buildinfo.Read().Version); err != nil {
		a.log().Warn("metrics are not written", journal.Reason(a.redact(err.Error())),
			journal.Hint("the service's user has to be able to write the directory, and the unit to allow it: see textfile.conf among the examples"))
	}
}
