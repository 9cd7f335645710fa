package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/ledger"
)

// database is an incarnation in which a test's memory was learned; changed returns it otherwise.
func database() ledger.Incarnation {
	return ledger.Incarnation{
		System: "700", Timeline: "00000001", Database: 5, Server: at(0, 0), Flushed: 1000,
		Tables: map[string]uint32{"task_usage": 11, "task_usage_hourly": 12}, Files: map[string]uint32{"task_usage": 21, "task_usage_hourly": 22},
	}
}

func changed(how func(*ledger.Incarnation)) ledger.Incarnation {
	i := database()
	how(&i)
	return i
}

// TestWhatIsWithdrawnInEachEventOfADatabasesLife is the list of what may happen to a database, and what it takes away.
func TestWhatIsWithdrawnInEachEventOfADatabasesLife(t *testing.T) {
	restart := func(i *ledger.Incarnation) { i.Server, i.Flushed = at(9, 0), 1200 }
	const nothing, proofs, all = "nothing", "the proofs", "everything"
	ours := ledger.Witness{Key: ledger.Key{Hour: at(7, 0)}, UpdatedAt: at(8, 0), Until: 900}
	unflushed := ledger.Witness{Key: ledger.Key{Hour: at(8, 0)}, UpdatedAt: at(8, 30), Until: 1100}
	there, gone := ledger.Testimony{Found: true, UpdatedAt: at(8, 0)}, ledger.Testimony{}
	older, newer := ledger.Testimony{Found: true, UpdatedAt: at(6, 0)}, ledger.Testimony{Found: true, UpdatedAt: at(8, 45)}
	for _, c := range []struct {
		name      string
		now       ledger.Incarnation
		witnesses []ledger.Witness
		found     []ledger.Testimony
		withdrawn string
	}{
		// An ordinary month.
		{"nothing has happened", database(), nil, nil, nothing},
		{"the WAL has grown", changed(func(i *ledger.Incarnation) { i.Flushed = 5000 }), nil, nil, nothing},
		{"the server was restarted", changed(restart), []ledger.Witness{ours}, []ledger.Testimony{there}, nothing},
		{"the server was restarted before anything was written", changed(restart), nil, nil, nothing},
		{"the server crashed, and lost what had not reached the disk", changed(restart), []ledger.Witness{ours, unflushed}, []ledger.Testimony{there, gone}, nothing},
		{"the server crashed, and the row that is left is an older one", changed(restart), []ledger.Witness{ours, unflushed}, []ledger.Testimony{there, older}, nothing},
		{"the row was rolled up again before the restart", changed(restart), []ledger.Witness{ours}, []ledger.Testimony{newer}, nothing},
		{"one row of several was deleted before the restart", changed(restart), []ledger.Witness{ours, ours}, []ledger.Testimony{gone, there}, nothing},
		{"a standby that was level was promoted", changed(func(i *ledger.Incarnation) { restart(i); i.Timeline = "00000002" }), []ledger.Witness{ours}, []ledger.Testimony{there}, nothing},
		{"a table was added by a migration", changed(func(i *ledger.Incarnation) { i.Tables["task_usage_dirty"], i.Files["task_usage_dirty"] = 13, 23 }), nil, nil, nothing},
		{"VACUUM FULL, CLUSTER or a swap of files", changed(func(i *ledger.Incarnation) { i.Files["task_usage_hourly"] = 99 }), nil, nil, proofs},
		{"TRUNCATE", changed(func(i *ledger.Incarnation) { i.Files["task_usage"] = 98 }), nil, nil, proofs},

		// What brings back an earlier state.
		{"pg_restore into the same database", changed(func(i *ledger.Incarnation) { i.Tables["task_usage"] = 99 }), nil, nil, all},
		{"a new database of the same name", changed(func(i *ledger.Incarnation) { i.Database = 6 }), nil, nil, all},
		{"another cluster", changed(func(i *ledger.Incarnation) { i.System = "701" }), nil, nil, all},
		{"a snapshot was put back: the WAL ends earlier", changed(func(i *ledger.Incarnation) { restart(i); i.Flushed = 999 }), []ledger.Witness{ours}, []ledger.Testimony{there}, all},
		{"a snapshot was put back, and more WAL has been written since", changed(restart), []ledger.Witness{ours}, []ledger.Testimony{older}, all},
		{"a snapshot was put back from before the row", changed(restart), []ledger.Witness{ours, ours}, []ledger.Testimony{gone, gone}, all},
		{"a standby that was behind was promoted", changed(func(i *ledger.Incarnation) { restart(i); i.Timeline = "00000002" }), []ledger.Witness{ours}, []ledger.Testimony{gone}, all},

		// What the role may not read.
		{"the system identifier may not be read", changed(func(i *ledger.Incarnation) { i.System = "" }), nil, nil, nothing},
		{"the WAL may not be read, and a row of ours is there", changed(func(i *ledger.Incarnation) { restart(i); i.Flushed, i.Timeline = 0, "" }), []ledger.Witness{ours}, []ledger.Testimony{there}, nothing},
		{"the WAL may not be read, and nothing of ours is known", changed(func(i *ledger.Incarnation) { restart(i); i.Flushed, i.Timeline = 0, "" }), nil, nil, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := database()
			m := ledger.Memory{Life: ledger.Life{Incarnation: &was, Witnesses: c.witnesses, Proven: ledger.Proven{{At: at(8, 0)}}}}
			d := was.Differs(c.now)
			why := d.Another
			if why == "" && d.Restarted {
				why = ledger.HeardAfterRestart(m.Life, c.now, c.found)
			}
			got := nothing
			if why != "" {
				got = all
			} else if m.Enter(c.now, d.Rewritten, at(10, 0)); !m.Proven.Any() {
				got = proofs
			}
			if got != c.withdrawn {
				t.Errorf("withdrawn: %s (%s), want %s", got, why, c.withdrawn)
			}
			if noticed := len(m.Notices) > 0; noticed != (got == proofs) {
				t.Errorf("notices %v", m.Notices)
			}
		})
	}
}

// TestWitnessesOfLongAgoBecomeFew: the last commits have many, and each earlier time has some.
func TestWitnessesOfLongAgoBecomeFew(t *testing.T) {
	var m ledger.Memory
	for i := range 10_000 {
		m.Heard(ledger.Witness{UpdatedAt: at(0, 0).Add(time.Duration(i) * time.Minute)})
	}
	if n := len(m.Witnesses); n > 32 || n < 16 {
		t.Fatalf("%d witnesses are kept", n)
	}
	ages := make([]time.Duration, len(m.Witnesses))
	for i, w := range m.Witnesses {
		ages[i] = at(0, 0).Add(9_999 * time.Minute).Sub(w.UpdatedAt)
	}
	if ages[len(ages)-1] != 0 || ages[len(ages)-8] > 10*time.Minute || ages[0] < 5_000*time.Minute/2 {
		t.Errorf("their ages are %v", ages)
	}
}

func TestAClockThatWasSetBackIsNoticed(t *testing.T) {
	noted := ledger.Clock{Database: at(12, 0), Host: 10 * time.Hour, Boot: "a"}
	was := database()
	for _, c := range []struct {
		name     string
		database time.Time
		host     time.Duration
		boot     string
		change   func(*ledger.Incarnation)
		stepped  bool
		earliest time.Time
	}{
		{name: "both went on", database: at(12, 5), host: 10*time.Hour + 5*time.Minute, boot: "a"},
		{name: "the database's was set ahead", database: at(15, 0), host: 10*time.Hour + 5*time.Minute, boot: "a"},
		{name: "the host slept", database: at(18, 0), host: 16 * time.Hour, boot: "a"},
		{name: "they drifted apart by seconds in a day", database: at(12, 0).Add(24*time.Hour - 30*time.Second), host: 34 * time.Hour, boot: "a"},
		{name: "it was set back at once", database: at(4, 1), host: 10*time.Hour + time.Minute, boot: "a", stepped: true, earliest: at(4, 0)},
		{name: "it was set back, and has passed its old value since", database: at(13, 0), host: 19 * time.Hour, boot: "a", stepped: true, earliest: at(4, 0)},
		{name: "this host was booted", database: at(13, 0), host: time.Minute, boot: "b"},
		{name: "this host was booted, and the clock shows an earlier time", database: at(11, 0), host: time.Minute, boot: "b", stepped: true},
		{name: "both were booted, the server by a clock that was set back", database: at(13, 0), host: time.Minute, boot: "b", change: func(i *ledger.Incarnation) { i.Server = at(5, 0) }, stepped: true},
		{name: "this host was booted, which is hidden", database: at(13, 0), host: time.Minute},
		{name: "this host was booted, which is hidden, and is up for longer", database: at(23, 0), host: 12 * time.Hour},
		{name: "the same, and the server was started by a clock that was set back", database: at(23, 0), host: 12 * time.Hour, stepped: true,
			change: func(i *ledger.Incarnation) { i.Server = at(5, 0) }},
		{name: "it was set back, and the boot is hidden", database: at(4, 1), host: 10*time.Hour + time.Minute, stepped: true, earliest: at(4, 0)},
		{name: "both were booted", database: at(13, 0), host: time.Minute, boot: "b", change: func(i *ledger.Incarnation) { i.Server = at(12, 30) }},
		{name: "this host was booted, and a standby that runs for long was promoted", database: at(13, 0), host: time.Minute, boot: "b",
			change: func(i *ledger.Incarnation) { i.Server, i.Timeline = at(5, 0), "00000002" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := database()
			if c.change != nil {
				c.change(&is)
			}
			earliest, stepped := noted.SteppedBack(was, is, ledger.Clock{Database: c.database, Host: c.host, Boot: c.boot})
			if stepped != c.stepped || !earliest.Equal(c.earliest) {
				t.Errorf("stepped back %t, earliest %s; want %t, %s", stepped, earliest, c.stepped, c.earliest)
			}
		})
	}
	var unknown *ledger.Clock
	if _, stepped := unknown.SteppedBack(was, was, noted); stepped {
		t.Error("where no clock was noted, nothing was set back")
	}
}

func TestNoticesAreBounded(t *testing.T) {
	var m ledger.Memory
	for i := range 100 {
		m.Notice(at(0, 0), ledger.FirstContact, strings.Repeat("x", i))
	}
	if len(m.Notices) != 16 || len(m.Notices[15].Text) != 99 {
		t.Errorf("%d notices are kept, the last of %d letters", len(m.Notices), len(m.Notices[15].Text))
	}
}
