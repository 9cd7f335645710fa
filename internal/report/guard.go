package report

import (
	"time"

	"github.com/multica-rollup/multica-rollup/internal/pipeline"
)

// epochEnd is after every watermark that was never moved from the epoch.
var epochEnd = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)

// AtEpoch says whether a watermark has never been moved.
func AtEpoch(watermark time.Time) bool { return watermark.Before(epochEnd) }

// GuardLine renders migration 103's verdict in one line.
func GuardLine(g pipeline.Guard) string {
	switch {
	case g.Applied:
		return "migration 103 has been applied: there is nothing left to pass"
	case g.Newest.IsZero():
		return "migration 103 passes: there is no usage"
	case g.NoTables:
		return "migration 103 refuses: there are no hourly tables yet (migrations 101 and 102), so no usage is rolled up"
	case g.Watermark.IsZero():
		return "migration 103 refuses: the state row is missing"
	case g.Pass && g.Trails() <= 0:
		return "migration 103 passes: the watermark (" + Stamp(g.Watermark) + ") is at or past the newest event"
	case g.Pass:
		return "migration 103 passes: the watermark (" + Stamp(g.Watermark) + ") trails the newest event by " + Span(g.Trails())
	case AtEpoch(g.Watermark):
		return "migration 103 refuses: nothing is rolled up yet, the watermark is at the epoch"
	default:
		return "migration 103 refuses: the watermark (" + Stamp(g.Watermark) + ") trails the newest event by " + Span(g.Trails()) + ", more than 1h"
	}
}
