package doctor_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/doctor"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/lab/lacks"
)

// clusterCauses need a server of their own, to be stopped or configured anew.
type clusterCauses struct {
	name     string
	gen      lab.Generation
	settings map[string]string
	prepare  func(*cluster, *patient) // what is well all the same; nil where nothing is to be done
	causes   func(*cluster) []cause   // one after the other; they touch the cluster only when they are made
}

// TestEveryCauseOfAServerIsNamedAloneAndMended holds the causes that cannot share a server.
func TestEveryCauseOfAServerIsNamedAloneAndMended(t *testing.T) {
	for _, group := range allClusterCauses() {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			if group.settings["shared_preload_libraries"] == "pg_cron" {
				labtest.Need(t, lacks.PgCron)
			}
			c := newCluster(t, group.settings)
			p := c.patient(group.gen)
			if group.prepare != nil {
				group.prepare(c, p)
			}
			for _, cause := range group.causes(c) {
				cause.treat(t, p)
			}
		})
	}
}

func allClusterCauses() []clusterCauses {
	return []clusterCauses{
		{name: "a server that is down", gen: lab.Gen102, causes: func(c *cluster) []cause {
			return []cause{{
				name: "down", id: "reach", verdict: doctor.Critical, fix: "systemctl start postgresql", says: "there is no socket",
				make: func(*patient) { c.ctl("stop") },
				mend: func(*patient) { c.ctl("start") },
			}}
		}},
		{name: "a run that lost the database", gen: lab.Gen272, causes: (*cluster).lossCauses},
		{name: "the wrong database", gen: lab.Gen213, causes: func(c *cluster) []cause {
			return []cause{{
				name: "postgres", id: "database", verdict: doctor.Critical, fix: "name database multica in the DSN of", says: "database multica of the same server has it",
				make: func(p *patient) { p.dsn = c.server.DSN("postgres") },
				mend: func(p *patient) { p.dsn = c.server.DSN("multica") },
			}}
		}},
		{name: "a standby", gen: lab.Gen272, causes: (*cluster).standbyCauses},
		{name: "a logical subscriber", gen: lab.Gen272, settings: map[string]string{"wal_level": "logical"}, causes: (*cluster).subscriptionCauses},
		{name: "a frozen server", gen: lab.Gen272, causes: (*cluster).frozenCauses},
		{name: "a pooler", gen: lab.Gen272, prepare: behindPooler, causes: (*cluster).poolerCauses},
		{name: "another clock", gen: lab.Gen272, prepare: (*cluster).underClock, causes: (*cluster).clockCauses},
		{name: "hours that pass", gen: lab.Gen272, prepare: (*cluster).underClock, causes: (*cluster).debtCauses},
		{name: "pg_cron in the wrong database", gen: lab.Gen272, settings: cronSettings("postgres"), causes: (*cluster).cronElsewhereCauses},
		{name: "pg_cron without a job", gen: lab.Gen272, settings: cronSettings("multica"), causes: (*cluster).cronIdleCauses},
		{name: "pg_cron that does not see its job", gen: lab.Gen102, settings: cronSettings("multica"), prepare: withJob, causes: (*cluster).cronCauses},
		{name: "pg_cron whose job lacks rights", gen: lab.Gen272, settings: cronSettings("multica"), causes: (*cluster).cronDeniedCauses},
		{name: "pg_cron whose job fails", gen: lab.Gen272, settings: cronThatConnects(), causes: (*cluster).cronFailingCauses},
	}
}

// lossCauses: a run to which the server is lost cannot tell the database so.
func (c *cluster) lossCauses() []cause {
	return []cause{{
		name: "in the middle", id: "last-error", verdict: doctor.Critical, fix: " run", says: "the last run failed: ",
		make: func(p *patient) {
			p.use(10 * time.Minute)
			p.exec("update task_usage_hourly_rollup_state set watermark_at = now() - interval '12 minutes'")
			p.begin("lock table task_usage_hourly in access exclusive mode") // so that the run is in the middle when the server goes
			p.configure()
			var out bytes.Buffer
			ended := make(chan error, 1)
			go func() {
				args := []string{"--as-root", "--config", p.configPath(), "run"}
				ended <- cli.Run(p.t.Context(), args, strings.NewReader(""), &out, &out)
			}()
			p.await("select exists (select from pg_stat_activity where application_name = 'multica-rollup/run' and wait_event_type = 'Lock')")
			c.ctl("stop")
			if err := <-ended; err == nil { // it has waited for the server as long as a run does
				p.t.Fatalf("the run did not fail:\n%s", out.String())
			}
			c.ctl("start")
			p.conn = c.connect("multica")
		},
	}}
}

func (c *cluster) standbyCauses() []cause {
	var dir, port string
	return []cause{{
		name: "standby", id: "standby", verdict: doctor.Critical, fix: "target_session_attrs=read-write",
		make: func(p *patient) {
			dir, port = c.standby()
			p.dsn = "postgres://postgres@/multica?host=" + dir + "&port=" + port
		},
		mend: func(p *patient) {
			host, primary := address(p.t, c.server.DSN("multica"))
			p.dsn = "host=" + dir + "," + host + " port=" + port + "," + primary + " user=postgres dbname=multica target_session_attrs=read-write"
		},
	}}
}

// subscriptionCauses: usage is written in another database and comes by logical replication.
func (c *cluster) subscriptionCauses() []cause {
	return []cause{{
		name: "fed", id: "subscription", verdict: doctor.Warning, fix: "drop subscription upstream", says: "feeds agent_task_queue, task_usage",
		make: func(p *patient) {
			if err := c.server.CreateDatabase(p.t.Context(), "origin", lab.Gen272); err != nil {
				p.t.Fatal(err)
			}
			if err := c.server.Subscribe(p.t.Context(), "origin", "multica", "upstream"); err != nil {
				p.t.Fatal(err)
			}
			c.await("origin", "select exists (select from pg_replication_slots where slot_name = 'upstream' and active)")
		},
		mend: func(p *patient) { p.exec("drop subscription upstream") },
	}}
}

// behindPooler: a pooler is found only where it harms.
func behindPooler(c *cluster, p *patient) {
	c.pooler = c.bouncer("session")
	p.dsn = c.pooler.dsn()
	for _, mode := range []string{"session", "transaction"} {
		c.pooler.stop()
		c.pooler.start(mode)
		p.wellNow()
		for _, f := range p.examine("pooler").Findings {
			if f.ID == "pooler" && f.Summary != "a pooler is in between, in a mode that does no harm" {
				p.t.Errorf("behind a pooler it says %q", f.Summary)
			}
		}
	}
}

func (c *cluster) poolerCauses() []cause {
	return []cause{{
		name: "statement mode", id: "pooler", verdict: doctor.Critical, fix: "pool_mode = transaction",
		make: func(*patient) { c.pooler.stop(); c.pooler.start("statement") },
		mend: func(*patient) { c.pooler.reload("transaction") },
	}}
}

// clockCauses: the database's clock is set wrong, and then right, as by NTP.
func (c *cluster) clockCauses() []cause {
	return []cause{{
		name: "the database's is ahead", id: "clock", verdict: doctor.Warning, fix: "timedatectl set-ntp true", says: "differ by 10m",
		make: func(*patient) { c.setClock(10 * time.Minute) },
		mend: func(*patient) { c.setClock(0) },
	}}
}

// debtCauses have a transaction outlive walk.horizon_hold: hours pass on the
// server's clock, and on the host's, which is the same machine.
func (c *cluster) debtCauses() []cause {
	late := func(p *patient, by time.Duration) {
		p.begin(`insert into task_usage (task_id, provider, model, input_tokens) select id, 'lab', 'late-` + by.String() + `', 100
			from agent_task_queue where runtime_id is not null order by id limit 1`)
		c.setClock(by)
		p.env.Now = func() time.Time { return time.Now().Add(by) }
		p.run()
	}
	return []cause{
		{
			name: "a transaction that outlived the hold", id: "transactions", verdict: doctor.Warning, fix: "select pg_terminate_backend(", says: "therefore: 1 transaction outlived the hold",
			make: func(p *patient) { late(p, 2*time.Hour) },
			then: []string{"debts"},
		}, {
			name: "what a transaction that has ended committed late", id: "debts", verdict: doctor.Warning, fix: " run", says: "1 window has to be rolled up again",
			make: func(p *patient) {
				late(p, 4*time.Hour)
				p.commit()
			},
			mend: func(p *patient) {
				p.carryOut(p.only("debts"), nil)
				if diffs, err := lab.Oracle(p.t.Context(), p.conn); err != nil || len(diffs) > 0 {
					p.t.Errorf("%d hourly rows differ from the raw usage: %v (%v)", len(diffs), diffs, err)
				}
			},
		},
	}
}
