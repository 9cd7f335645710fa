package journal

import (
	"fmt"
	"log/slog"
	"time"
)

// Event names a kind of log entry. In the journal it becomes the entry's
// MESSAGE_ID, by which `journalctl -x` finds its explanation in
// systemd/multica-rollup.catalog and a monitoring rule finds the entry whatever
// its wording.
type Event uint8

// The kinds of event. An id is never reused or reassigned: monitoring rules hold on to it.
const (
	RunFinished           Event = iota + 1 // a tick ended well, with rows, watermark and lag
	RunInterrupted                         // a tick was asked to stop and left a clean state
	RunFailed                              // a tick ended with an error
	LockBusy                               // another session holds advisory lock 4246
	SliceDone                              // one slice was committed
	SliceRetried                           // a slice was too large or lost a conflict, and is tried again
	BackfillStarted                        // a backfill begins or goes on
	BackfillProgress                       // where a backfill is
	BackfillFinished                       // history is rolled up
	BackfillInterrupted                    // a backfill was asked to stop; its place is kept
	BackfillFailed                         // a backfill ended with an error; its place is kept
	BackfillThrottled                      // a backfill waits for the database to have room
	SignalUnreadable                       // a throttle signal of the backfill cannot be read
	HistoryGivenUp                         // --force-partial moved the watermark past usage that was not rolled up
	HorizonHeld                            // an open transaction holds the horizon back
	DebtRecorded                           // a transaction was open for too long: its window is rolled up again later
	DebtSettled                            // such a window was rolled up again
	WatermarkMovedByOther                  // someone moved the watermark without us: the gap is rolled up again
	WatermarkInFuture                      // the watermark lies in the future and was taken back
	QueueLarge                             // the invalidation queue is unusually long
	EngineFallback                         // the database's own function is used instead of the set engine
	ActivityHidden                         // other roles' transactions are invisible to ours
	StateUnwritable                        // the state directory cannot be written
	ConfigProblem                          // the configuration is wrong, or this is no Multica database
	DatabaseUnreachable                    // no database answers
	VerifyClean                            // a recount found no difference
	VerifyDrift                            // a recount found hourly rows that differ from the raw usage
	VerifyRepairQueued                     // wrong keys were queued for the next run
	IncarnationNew                         // the database is not the one that was remembered: restored, rolled back or made anew
	FirstContact                           // nothing is remembered of this database, and others have rolled it up
	ProofsWithdrawn                        // tables were written anew: what was proven is proven again
	ClockSteppedBack                       // the database's clock was set back, and the watermark with it
	StandbyTookOver                        // an agent configured as a standby acted, since nobody else did
	StateSetAside                          // a state file is not used: damaged, another database's, or a newer version's
)

// kind is what an event is called outside the program.
type kind struct{ name, id string }

// kinds is indexed by Event; the ids are random UUIDs (version 4) without dashes.
var kinds = [...]kind{
	RunFinished:           {"run-finished", "a0ff718c3e5d44d89faf488c3204a762"},
	RunInterrupted:        {"run-interrupted", "07e610bc7f3440fa94b8236294c788f9"},
	RunFailed:             {"run-failed", "4e287595d9e94f2cabe72263e056f421"},
	LockBusy:              {"lock-busy", "2cf8010af52e43c582ad6c3ca70305c5"},
	SliceDone:             {"slice-done", "e12e3ba0bfd14a759a74eb8feab969fc"},
	SliceRetried:          {"slice-retried", "75c4c05aa8a04cd6bbc34bd85358a1ea"},
	BackfillStarted:       {"backfill-started", "35dbac47799e46ac92c943993ba0f22c"},
	BackfillProgress:      {"backfill-progress", "f5065d6e63184b5f96a244fca55c7849"},
	BackfillFinished:      {"backfill-finished", "c53291a63d174056860bcdf7f3577e89"},
	BackfillInterrupted:   {"backfill-interrupted", "f7515860903041d29e2737b7a4433ad2"},
	BackfillFailed:        {"backfill-failed", "f606f8ef40754c16be1204116fd5b4ae"},
	BackfillThrottled:     {"backfill-throttled", "ab1f779213494e28a838aeecc8ab58b9"},
	SignalUnreadable:      {"signal-unreadable", "0e783a16ffac4c9980a2122b5710c454"},
	HistoryGivenUp:        {"history-given-up", "58b60f0848884eea87351203361bc976"},
	HorizonHeld:           {"horizon-held", "a05c07d466274f35a5517ce473471da5"},
	DebtRecorded:          {"debt-recorded", "b19b461987c64df38834439ebd979294"},
	DebtSettled:           {"debt-settled", "3c5e176569a646359677f2bf2c0f9b35"},
	WatermarkMovedByOther: {"watermark-moved-by-other", "658931d85b004549acd1fb37e55c19f6"},
	WatermarkInFuture:     {"watermark-in-future", "1dbc7b6743c7497ea4121fef54e688bc"},
	QueueLarge:            {"queue-large", "e765df3cff184dde999676674fac6fe0"},
	EngineFallback:        {"engine-fallback", "7fd7fcc3b4344ebe96e518086fe76a75"},
	ActivityHidden:        {"activity-hidden", "e370e2e5d14c424d87fbcc6f9428e23d"},
	StateUnwritable:       {"state-unwritable", "ad91dde1b01d42708da2489039f4a017"},
	ConfigProblem:         {"config-problem", "13ebd5502d3b446f8bfd92384c5e42a2"},
	DatabaseUnreachable:   {"database-unreachable", "17d5c08741cb4e009a3d50a53de3a9af"},
	VerifyClean:           {"verify-clean", "31500844194641f3b575848f698ecf78"},
	VerifyDrift:           {"verify-drift", "78cdfa4cf8b24e08840b3cb38a970a7b"},
	VerifyRepairQueued:    {"verify-repair-queued", "83086be88015470298f3350bfc657d45"},
	IncarnationNew:        {"incarnation-new", "fa3889392eee4313a5a5aafd4ed9d89d"},
	FirstContact:          {"first-contact", "ce7dc9713df34765b8cfdf2442c21524"},
	ProofsWithdrawn:       {"proofs-withdrawn", "f3d2998d1ecd47d78cf24c918500522c"},
	ClockSteppedBack:      {"clock-stepped-back", "5e274ff3286847fcafe756fb0669d794"},
	StandbyTookOver:       {"standby-took-over", "8d87624b1163480a85f87f62223e42c1"},
	StateSetAside:         {"state-set-aside", "9cd8021533504989b66abff5802fac2a"},
}

// Events returns every kind of event, in the order of their declaration.
func Events() []Event {
	all := make([]Event, 0, len(kinds)-1)
	for i := 1; i < len(kinds); i++ {
		all = append(all, Event(i))
	}
	return all
}

// String returns the event's name, such as "run-finished".
func (e Event) String() string {
	if e == 0 || int(e) >= len(kinds) {
		return fmt.Sprintf("event-%d", uint8(e))
	}
	return kinds[e].name
}

// UUID returns the event's MESSAGE_ID, 32 hexadecimal digits, or "" for an
// event that does not exist.
func (e Event) UUID() string {
	if e == 0 || int(e) >= len(kinds) {
		return ""
	}
	return kinds[e].id
}

// MarshalText makes the name appear in JSON.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Attr returns the attribute that marks a log record as this event.
func (e Event) Attr() slog.Attr { return slog.Any(KeyEvent, e) }

// The attribute keys with a meaning of their own. Each becomes the journal
// field MULTICA_ROLLUP_ plus the key in capitals.
const (
	KeyEvent      = "event"       // an Event; becomes MESSAGE_ID as well
	KeyRows       = "rows"        // hourly rows written or deleted
	KeyWatermark  = "watermark"   // where everything before is rolled up
	KeyLagSeconds = "lag_seconds" // how far the watermark trails the newest event
	KeyEngine     = "engine"      // "set" or "function"
	KeySliceFrom  = "slice_from"  // start of the slice, inclusive
	KeySliceTo    = "slice_to"    // end of the slice, exclusive
	KeyDurationMS = "duration_ms" // milliseconds of work
	KeyReason     = "reason"      // why, in one line
	KeyDatabase   = "database"    // which database, without its password
	KeyHint       = "hint"        // what to type or to look at
)

// Rows is the number of hourly rows written or deleted.
func Rows(n int64) slog.Attr { return slog.Int64(KeyRows, n) }

// Watermark is the instant before which everything is rolled up.
func Watermark(t time.Time) slog.Attr { return slog.Time(KeyWatermark, t) }

// Lag is how far the watermark trails the newest event; it is logged in seconds.
func Lag(d time.Duration) slog.Attr { return slog.Float64(KeyLagSeconds, d.Seconds()) }

// Engine is the engine at work, "set" or "function".
func Engine(name string) slog.Attr { return slog.String(KeyEngine, name) }

// SliceFrom is the slice's start, inclusive.
func SliceFrom(t time.Time) slog.Attr { return slog.Time(KeySliceFrom, t) }

// SliceTo is the slice's end, exclusive.
func SliceTo(t time.Time) slog.Attr { return slog.Time(KeySliceTo, t) }

// Duration is the time the work took; it is logged in milliseconds.
func Duration(d time.Duration) slog.Attr { return slog.Int64(KeyDurationMS, d.Milliseconds()) }

// Reason says why, in one line. It is shown after the message.
func Reason(s string) slog.Attr { return slog.String(KeyReason, s) }

// Database says which database, without its password.
func Database(s string) slog.Attr { return slog.String(KeyDatabase, s) }

// Hint says what to type or to look at. It is shown on a line after the message.
func Hint(s string) slog.Attr { return slog.String(KeyHint, s) }
