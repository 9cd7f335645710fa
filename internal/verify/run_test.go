package verify_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/ledger"
	"github.com/multica-rollup/multica-rollup/internal/verify"
)

func TestARolledUpHistoryIsClean(t *testing.T) {
	for _, gen := range generations {
		t.Run(string(gen), func(t *testing.T) {
			shape := lab.Typical(1, 3000)
			if gen == lab.Gen272 {
				shape.NoRuntime = 0.1
			}
			db := rolledUp(t, gen, shape)
			o := options(t)
			r := recount(t, db.DSN, o)
			usage := get[int64](t, db.Conn, "select count(*) from task_usage u join agent_task_queue q on q.id = u.task_id where q.runtime_id is not null")
			hourly := get[int64](t, db.Conn, "select count(*) from task_usage_hourly")
			if r.Verdict != verify.Clean || r.UsageRows != usage || r.HourlyRows != hourly || r.NotDue.Sum() != 0 {
				t.Errorf("verdict %q over %d usage and %d hourly rows, %+v not due; want clean over %d and %d, none", r.Verdict, r.UsageRows, r.HourlyRows, r.NotDue, usage, hourly)
			}
			m, err := remembered(t, db, o).Load()
			if err != nil || m.Drift == nil || m.Drift.Keys != 0 || m.Drift.Checked != usage {
				t.Errorf("remembered %+v (%v), want no drift in %d rows", m.Drift, err, usage)
			}
		})
	}
}

// faults are ways in which the hourly table becomes wrong without anything being queued.
var faults = []struct {
	name, sql string
	want      func(rows int64) verify.Counts
	costs     bool // only with the cost columns
}{
	{
		name: "one counter of one row",
		sql:  "update task_usage_hourly set output_tokens = output_tokens + 1 where ctid = (select min(ctid) from task_usage_hourly)",
		want: func(n int64) verify.Counts { return verify.Counts{Differing: n} },
	},
	{
		name: "the task count of a key without a project",
		sql:  "update task_usage_hourly set task_count = 0 where ctid = (select min(ctid) from task_usage_hourly where project_id is null)",
		want: func(n int64) verify.Counts { return verify.Counts{Differing: n} },
	},
	{
		name: "rows missing here and there",
		sql:  "delete from task_usage_hourly where abs(hashtext(bucket_hour::text)) % 10 = 0",
		want: func(n int64) verify.Counts { return verify.Counts{Missing: n} },
	},
	{
		name: "everything missing",
		sql:  "delete from task_usage_hourly",
		want: func(n int64) verify.Counts { return verify.Counts{Missing: n} },
	},
	{
		name: "rows of a model that was never used",
		sql: `insert into task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
			select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, 'never' from task_usage_hourly where abs(hashtext(bucket_hour::text)) % 50 = 0
			on conflict do nothing`,
		want: func(n int64) verify.Counts { return verify.Counts{Surplus: n} },
	},
	{
		name: "hours before and after all usage",
		sql: `insert into task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, provider, model)
			select h, workspace_id, runtime_id, agent_id, provider, model
			from (select * from task_usage_hourly limit 1) r, (values (timestamptz '1999-12-31 23:00Z'), (timestamptz '2999-01-01 00:00Z')) v (h)`,
		want: func(n int64) verify.Counts { return verify.Counts{Surplus: n} },
	},
	{
		name: "a row between two hours",
		sql: `insert into task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
			select bucket_hour - interval '30 minutes', workspace_id, runtime_id, agent_id, project_id, provider, model
			from task_usage_hourly order by event_count desc, bucket_hour limit 1`,
		want: func(n int64) verify.Counts { return verify.Counts{Surplus: n} },
	},
	{
		name: "the project's key under no project",
		sql: `update task_usage_hourly set project_id = null where ctid = (
			select min(h.ctid) from task_usage_hourly h where project_id is not null and not exists (
				select from task_usage_hourly o where o.project_id is null and (o.bucket_hour, o.workspace_id, o.runtime_id, o.agent_id, o.provider, o.model)
					= (h.bucket_hour, h.workspace_id, h.runtime_id, h.agent_id, h.provider, h.model)))`,
		want: func(n int64) verify.Counts { return verify.Counts{Missing: n, Surplus: n} },
	},
	{
		name:  "a cost",
		sql:   "update task_usage_hourly set cost_usd_ticks = cost_usd_ticks + 1 where ctid = (select max(ctid) from task_usage_hourly)",
		want:  func(n int64) verify.Counts { return verify.Counts{Differing: n} },
		costs: true,
	},
	{
		name:  "tokens without a cost",
		sql:   "update task_usage_hourly set uncosted_cache_write_tokens = uncosted_cache_write_tokens + 1 where ctid = (select max(ctid) from task_usage_hourly)",
		want:  func(n int64) verify.Counts { return verify.Counts{Differing: n} },
		costs: true,
	},
	{
		name:  "a counter of a bucket from before the cost columns",
		sql:   "update task_usage_hourly set input_tokens = input_tokens + 1, uncosted_input_tokens = null, uncosted_output_tokens = null, uncosted_cache_read_tokens = null, uncosted_cache_write_tokens = null where ctid = (select max(ctid) from task_usage_hourly)",
		want:  func(n int64) verify.Counts { return verify.Counts{Differing: n} },
		costs: true,
	},
}

func TestEveryFaultIsFoundAndRepaired(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		for _, engine := range []string{"set", "function"} {
			t.Run(string(gen)+"/"+engine, func(t *testing.T) {
				db := rolledUp(t, gen, lab.Typical(2, 1500))
				o := options(t)
				o.Engine = engine
				for _, f := range faults {
					if f.costs && !gen.HasCost() {
						continue
					}
					want := f.want(exec(t, db.Conn, f.sql))
					if want.Sum() == 0 {
						t.Fatalf("%s: nothing was made wrong", f.name)
					}
					o.Repair = false
					r := recount(t, db.DSN, o)
					if d := cmp.Diff(want, r.Wrong); d != "" || r.Verdict != verify.Drift {
						t.Fatalf("%s: verdict %q (-want +got):\n%s", f.name, r.Verdict, d)
					}
					if len(r.First) != int(min(want.Sum(), 10)) || len(r.First[0].Counters) == 0 {
						t.Errorf("%s: the report names %d keys: %+v", f.name, len(r.First), r.First)
					}
					if m, err := remembered(t, db, o).Load(); err != nil || m.Drift == nil || m.Drift.Keys != want.Sum() {
						t.Errorf("%s: remembered %+v (%v), want %d keys", f.name, m.Drift, err, want.Sum())
					}
					o.Repair = true
					r = recount(t, db.DSN, o)
					if r.Repair == nil || r.Repair.Queued != want.Sum() || r.Verdict != verify.Clean {
						t.Fatalf("%s: after the repair the verdict is %q: %+v", f.name, r.Verdict, r.Repair)
					}
					exact(t, db.Conn)
				}
				if m, err := remembered(t, db, o).Load(); err != nil || m.Drift == nil || m.Drift.Keys != 0 {
					t.Errorf("remembered %+v (%v) after all repairs, want none", m.Drift, err)
				}
			})
		}
	}
}

func TestHourlyRowsOfDeletedAgentsAreCountedApartAndARepairKeepsThem(t *testing.T) {
	for _, gen := range []lab.Generation{lab.Gen102, lab.Gen272} {
		for _, engine := range []string{"set", "function"} {
			t.Run(string(gen)+"/"+engine, func(t *testing.T) {
				db := rolledUp(t, gen, lab.Typical(3, 800))
				exec(t, db.Conn, `create table kept as select * from task_usage_hourly where agent_id in (
					select agent_id from task_usage_hourly group by 1 order by count(*) desc, 1 limit 2)`)
				want := verify.Kept{
					Rows: get[int64](t, db.Conn, "select count(*) from kept"), Agents: 2,
					Tokens: get[int64](t, db.Conn, "select sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens)::bigint from kept"),
				}
				exec(t, db.Conn, "delete from agent where id in (select agent_id from kept)")
				o := options(t)
				o.Engine = engine
				r := recount(t, db.DSN, o)
				if d := cmp.Diff(verify.Counts{}, r.Wrong); d != "" || r.Verdict != verify.Clean {
					t.Errorf("verdict %q (-want +got):\n%s", r.Verdict, d)
				}
				if d := cmp.Diff(want, r.Kept); d != "" {
					t.Errorf("kept (-want +got):\n%s", d)
				}
				// Beside something that is wrong, and with the keys queued, they are kept all the same.
				exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where agent_id not in (select agent_id from kept)")
				exec(t, db.Conn, `insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, enqueued_at)
					select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, now() - interval '10 minutes' from kept`)
				o.Repair = true
				r = recount(t, db.DSN, o)
				if r.Wrong.Differing == 0 || r.Verdict != verify.Clean || r.Kept != want {
					t.Errorf("verdict %q, %+v wrong and %+v kept after the repair", r.Verdict, r.Wrong, r.Kept)
				}
				if lost := get[int64](t, db.Conn, "select count(*) from (table kept except table task_usage_hourly) x"); lost > 0 {
					t.Errorf("the repair deleted or changed %d of %d kept rows", lost, want.Rows)
				}
				exact(t, db.Conn)
			})
		}
	}
}

func TestTheEnginesAreEqualOnQueuedKeysOfADeletedAgent(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(4, 800))
	exec(t, db.Conn, "update agent_task_queue set runtime_id = (select min(id::text)::uuid from agent_runtime) where agent_id = (select agent_id from task_usage_hourly group by 1 order by count(*) desc, 1 limit 1)")
	exec(t, db.Conn, "delete from agent where id = (select agent_id from task_usage_hourly_dirty limit 1)")
	if get[int64](t, db.Conn, "select count(*) from task_usage_hourly_dirty d where not exists (select from agent a where a.id = d.agent_id)") == 0 {
		t.Fatal("no key of the deleted agent is queued")
	}
	r, err := compareEngines(t, db, 4)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Equal || r.Windows[0].Kind != "queue" {
		t.Errorf("equal: %v, %+v", r.Equal, r.Windows)
	}
}

func TestWhatIsNotDueIsNoDrift(t *testing.T) {
	const spoil = "update task_usage_hourly set input_tokens = input_tokens + 1 where bucket_hour = $1"
	for _, c := range []struct {
		name string
		make func(t *testing.T, db *labtest.DB, o verify.Options, hour time.Time)
		want verify.NotDue
	}{
		{
			name: "usage newer than the watermark",
			make: func(t *testing.T, db *labtest.DB, _ verify.Options, hour time.Time) {
				exec(t, db.Conn, "update task_usage set input_tokens = input_tokens + 5, updated_at = now() where created_at >= $1 and created_at < $1 + interval '1 hour'", hour)
			},
			want: verify.NotDue{Ahead: 1},
		},
		{
			name: "a queued key",
			make: func(t *testing.T, db *labtest.DB, _ verify.Options, hour time.Time) {
				exec(t, db.Conn, `insert into task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
					select bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model from task_usage_hourly where bucket_hour = $1`, hour)
				exec(t, db.Conn, spoil, hour)
			},
			want: verify.NotDue{Queued: 1},
		},
		{
			name: "a transaction that the agent still owes",
			make: func(t *testing.T, db *labtest.DB, o verify.Options, hour time.Time) {
				exec(t, db.Conn, spoil, hour)
				owe(t, db, o, ledger.Deferred{Kind: ledger.OpenTransaction, From: hour, To: hour.Add(time.Hour), PID: 1})
			},
			want: verify.NotDue{Owed: 1},
		},
		{
			name: "a gap that the agent has just noticed",
			make: func(t *testing.T, db *labtest.DB, o verify.Options, hour time.Time) {
				exec(t, db.Conn, spoil, hour)
				owe(t, db, o, ledger.Deferred{Kind: ledger.Gap, From: hour, To: hour.Add(time.Hour)})
			},
			want: verify.NotDue{Owed: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, hour := oneKeyAnHour(t)
			o := options(t)
			c.make(t, db, o, hour)
			r := recount(t, db.DSN, o)
			if d := cmp.Diff(c.want, r.NotDue); d != "" || r.Verdict != verify.Clean {
				t.Errorf("verdict %q, %+v wrong; not due (-want +got):\n%s", r.Verdict, r.Wrong, d)
			}
		})
	}
}

func TestAGapThatNobodyClosesExcusesNothing(t *testing.T) {
	db, hour := oneKeyAnHour(t)
	o := options(t)
	exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where bucket_hour = $1", hour)
	owe(t, db, o, ledger.Deferred{Kind: ledger.Gap, From: hour.Add(-48 * time.Hour), To: hour.Add(time.Hour)})
	if r := recount(t, db.DSN, o); r.Verdict != verify.Drift || r.Wrong.Differing != 1 {
		t.Errorf("verdict %q, %+v wrong; want drift in one key", r.Verdict, r.Wrong)
	}
}

func TestGivenUpHistoryIsSaidApart(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(5, 800))
	o := options(t)
	middle := get[time.Time](t, db.Conn, "select bucket_hour from task_usage_hourly order by bucket_hour offset (select count(*) / 2 from task_usage_hourly) limit 1")
	gone := exec(t, db.Conn, "delete from task_usage_hourly where bucket_hour < $1", middle)
	err := remembered(t, db, o).Update(func(m *ledger.Memory) {
		m.GivenUp = &ledger.GivenUp{Before: middle, Events: 1, At: time.Now()}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := recount(t, db.DSN, o)
	if r.Verdict != verify.GivenUp || r.GivenUp != gone || !r.GivenUpBefore.Equal(middle) {
		t.Errorf("verdict %q with %d keys given up before %s, want %d before %s", r.Verdict, r.GivenUp, r.GivenUpBefore, gone, middle)
	}
	exec(t, db.Conn, "update task_usage_hourly set event_count = 0 where ctid = (select min(ctid) from task_usage_hourly)")
	if r := recount(t, db.DSN, o); r.Verdict != verify.Drift || r.Wrong.Differing != 1 {
		t.Errorf("verdict %q with %+v wrong, want drift in one key besides", r.Verdict, r.Wrong)
	}
}

func TestBucketsFromBeforeTheCostColumnsAreNoDrift(t *testing.T) {
	db := rolledUp(t, lab.Gen213, lab.Typical(6, 500))
	exec(t, db.Conn, "update task_usage set cost_usd_ticks = null where created_at < (select max(created_at) from task_usage) - interval '60 days'")
	if err := lab.RollUp(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	old := exec(t, db.Conn, `update task_usage_hourly set uncosted_input_tokens = null, uncosted_output_tokens = null,
		uncosted_cache_read_tokens = null, uncosted_cache_write_tokens = null where cost_usd_ticks = 0`)
	r := recount(t, db.DSN, options(t))
	if r.Verdict != verify.Clean || r.NotRecomputed != old || old == 0 {
		t.Errorf("verdict %q with %d buckets not recomputed, want clean with %d", r.Verdict, r.NotRecomputed, old)
	}
}

func TestSinceLeavesOutWhatIsOlder(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(7, 500))
	o := options(t)
	exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where ctid = (select ctid from task_usage_hourly order by bucket_hour limit 1)")
	if r := recount(t, db.DSN, o); r.Verdict != verify.Drift {
		t.Fatalf("verdict %q of all, want drift", r.Verdict)
	}
	o.Since = verify.Since{Ago: 90 * 24 * time.Hour}
	r := recount(t, db.DSN, o)
	all := get[int64](t, db.Conn, "select count(*) from task_usage_hourly")
	if r.Verdict != verify.Clean || r.HourlyRows == 0 || r.HourlyRows >= all {
		t.Errorf("verdict %q over %d of %d hourly rows since %s, want clean over some", r.Verdict, r.HourlyRows, all, r.Since)
	}
	if m, err := remembered(t, db, o).Load(); err != nil || m.Drift == nil || m.Drift.Keys != 1 {
		t.Errorf("a clean part overwrote what is known of the whole: %+v (%v)", m.Drift, err)
	}
}

func TestARepairThatIsKeptFromTheLockSaysWhatStillWaits(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(9, 300))
	exec(t, db.Conn, "update task_usage_hourly set input_tokens = input_tokens + 1 where ctid = (select min(ctid) from task_usage_hourly)")
	exec(t, db.Connect(t), "select pg_advisory_lock(4246)")
	o := options(t)
	o.Repair, o.LockPatience = true, time.Second
	r := recount(t, db.DSN, o)
	if r.Verdict != verify.Drift || r.Repair.Still != 1 || r.Repair.Queued != 1 || !strings.Contains(r.Repair.Holder, "pid ") {
		t.Errorf("verdict %q, repair %+v; want drift, one key queued still, and who holds the lock", r.Verdict, r.Repair)
	}
}

func TestTheDocumentedRoleMayVerifyAndRepair(t *testing.T) {
	db := rolledUp(t, lab.Gen272, lab.Typical(10, 500))
	labtest.Script(t, db.DSN, "", "-q", "-f", "../../configs/role.sql")
	u, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("multica-rollup")
	exec(t, db.Conn, "delete from task_usage_hourly where ctid = (select min(ctid) from task_usage_hourly)")
	o := options(t)
	o.Repair, o.Windows = true, 3
	if r := recount(t, u.String(), o); r.Verdict != verify.Clean || r.Wrong.Missing != 1 {
		t.Errorf("verdict %q, %+v wrong, repair %+v", r.Verdict, r.Wrong, r.Repair)
	}
	v := verify.New(connector(t, u.String()), o)
	defer v.Close(context.Background())
	if r, err := v.Engines(t.Context()); err != nil || !r.Equal {
		t.Errorf("engines: %+v, %v", r, err)
	}
	exec(t, db.Conn, `drop owned by "multica-rollup"`)
}

func TestParseSince(t *testing.T) {
	for _, c := range []struct {
		text string
		want verify.Since
		ok   bool
	}{
		{"", verify.Since{}, true},
		{"30d", verify.Since{Ago: 30 * 24 * time.Hour}, true},
		{"2w", verify.Since{Ago: 14 * 24 * time.Hour}, true},
		{"36h", verify.Since{Ago: 36 * time.Hour}, true},
		{"1h30m", verify.Since{Ago: 90 * time.Minute}, true},
		{"2026-01-31", verify.Since{At: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)}, true},
		{"2026-01-31T12:30", verify.Since{At: time.Date(2026, 1, 31, 12, 30, 0, 0, time.UTC)}, true},
		{"2026-01-31 12:30:15", verify.Since{At: time.Date(2026, 1, 31, 12, 30, 15, 0, time.UTC)}, true},
		{"2026-01-31T12:30:00+02:00", verify.Since{At: time.Date(2026, 1, 31, 10, 30, 0, 0, time.UTC)}, true},
		{"30", verify.Since{}, false}, {"0d", verify.Since{}, false}, {"-1d", verify.Since{}, false},
		{"d", verify.Since{}, false}, {"99999999999d", verify.Since{}, false}, {"last week", verify.Since{}, false},
		{"2026-13-01", verify.Since{}, false}, {"-5h", verify.Since{}, false},
	} {
		got, err := verify.ParseSince(c.text)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v, ok %v", c.text, got, err, c.want, c.ok)
		}
	}
}

// oneKeyAnHour returns a database and an hour of its middle that has exactly one key.
func oneKeyAnHour(t *testing.T) (*labtest.DB, time.Time) {
	t.Helper()
	shape := lab.Typical(4, 1000)
	shape.Months = 1
	db := rolledUp(t, lab.Gen272, shape)
	hour := get[time.Time](t, db.Conn, `select bucket_hour from task_usage_hourly group by 1 having count(*) = 1
		order by 1 desc limit 1`)
	return db, hour
}

func owe(t *testing.T, db *labtest.DB, o verify.Options, d ledger.Deferred) {
	t.Helper()
	// The window is of event time: the hour's rows may have been corrected since.
	d.To = get[time.Time](t, db.Conn, "select max(coalesce(updated_at, created_at)) + interval '1 second' from task_usage where created_at >= $1 and created_at < $2", d.To.Add(-time.Hour), d.To)
	if err := remembered(t, db, o).Update(func(m *ledger.Memory) { m.Deferred = append(m.Deferred, d) }); err != nil {
		t.Fatal(err)
	}
}
