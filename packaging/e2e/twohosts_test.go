//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/config"
	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/pipeline"
	"github.com/multica-rollup/multica-rollup/internal/proof/witness"
	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/rollup"
)

// Of a slice that is slowed down, and of who waits for it.
const (
	slowness = "0.6"            // seconds that each statement on the hourly table takes
	release  = 10 * time.Second // after which the deletion of a workspace gives up
	outage   = 70 * time.Second // longer than an agent waits for a database
)

// twoHosts are two agents' hosts and the database that they share.
type twoHosts struct {
	t       *testing.T
	net     *network
	dsn     string // over the socket, from anywhere on this machine
	conn    *pgx.Conn
	agents  []*agent
	lock    witness.Witness
	running sync.WaitGroup
	mu      sync.Mutex
	runs    [][]ended // of each agent
}

// TestTwoHostsShareADatabaseAndOneOfThemIsCutOff has both run ticks and one a
// backfill, beside an application, deletions of workspaces and a backend's own
// ticks. Then one host's cable is pulled while it holds the lock.
func TestTwoHostsShareADatabaseAndOneOfThemIsCutOff(t *testing.T) {
	h := newTwoHosts(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.begin(ctx)
	backfilled := make(chan ended, 1)
	h.running.Go(func() {
		for ctx.Err() == nil { // again and again, until the cut makes it the last
			e := h.agents[0].command(ctx, "backfill", "--restart")
			if e.code != 0 && ctx.Err() == nil {
				t.Errorf("the backfill ended with %d: %s", e.code, e.said)
			}
			if strings.Contains(e.said, "lost the database") {
				backfilled <- e
				return
			}
		}
	})
	time.Sleep(5 * time.Second)

	cut := h.cutWhileHolding(0)
	freed := h.awaitRelease(0, cut)
	t.Logf("the lock of the host that was cut off was free after %s", freed)
	if freed > release {
		t.Errorf("the lock was held for %s after its holder was cut off", freed)
	}
	h.exec("drop trigger slow on task_usage_hourly")
	h.sleepUntil(cut.Add(outage))
	back := time.Now()
	h.net.link(0, "up")

	select {
	case e := <-backfilled:
		t.Logf("the backfill that was cut off went on and ended %s after the link was back", e.to.Sub(back).Round(time.Millisecond))
	case <-time.After(10 * time.Minute):
		t.Error("the backfill that was cut off did not go on")
	}
	for end := time.Now().Add(5 * time.Minute); h.endedWell(0, back) == 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	h.running.Wait()
	h.judge(cut, back)
}

func newTwoHosts(t *testing.T) *twoHosts {
	t.Helper()
	h := &twoHosts{t: t, net: newNetwork(t, 2), runs: make([][]ended, 2)}
	var server *lab.Server
	h.net.within(h.net.database(), func() (err error) {
		server, err = lab.Start(t.Context(), lab.Options{
			TCP: true, Settings: map[string]string{"listen_addresses": databaseAddress}, HBA: []string{"host all all " + hostsNetwork + " trust"},
		})
		return err
	})
	t.Cleanup(server.Stop)
	if err := server.CreateDatabase(t.Context(), "multica", lab.Gen272); err != nil {
		t.Fatal(err)
	}
	h.dsn = server.DSN("multica")
	u, err := url.Parse(server.TCPDSN("multica"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = databaseAddress + ":" + u.Port()
	u.RawQuery = "connect_timeout=3"
	program := packaged(t)
	for i := range h.runs {
		h.agents = append(h.agents, &agent{n: h.net, number: i, program: program, dsn: u.String(), state: t.TempDir()})
	}
	if h.conn, err = pgx.Connect(t.Context(), h.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.conn.Close(context.Background()) }) // the server ends anyway
	shape := lab.Typical(61, 20_000)
	shape.End = time.Now()
	if _, err := lab.Seed(t.Context(), h.conn, shape); err != nil {
		t.Fatal(err)
	}
	h.exec("create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(" + slowness + "); return null; end'")
	return h
}

// begin starts all who work all along.
func (h *twoHosts) begin(ctx context.Context) {
	for i, a := range h.agents {
		h.running.Go(func() {
			for ctx.Err() == nil {
				e := a.command(ctx, "run")
				h.mu.Lock()
				h.runs[i] = append(h.runs[i], e)
				h.mu.Unlock()
				pause(ctx, 500*time.Millisecond)
			}
		})
	}
	work := func(what string, do func() error) {
		h.running.Go(func() {
			if err := do(); err != nil {
				h.t.Errorf("%s: %v", what, err)
			}
		})
	}
	work("the application", func() error {
		_, err := lab.Load(ctx, h.dsn, lab.LoadOptions{Rate: 60})
		return err
	})
	work("deletions of workspaces", func() error { return h.lock.Delete(ctx, h.dsn, 300*time.Millisecond) })
	work("the witness", func() error { return h.lock.Look(ctx, h.dsn) })
	work("the backend's ticks", func() error {
		config, err := pgx.ParseConfig(h.dsn)
		if err != nil {
			return err
		}
		config.RuntimeParams["application_name"] = "backend"
		conn, err := pgx.ConnectConfig(context.Background(), config)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		for ctx.Err() == nil {
			// A conflict with the application is the backend's own affair.
			if _, err := conn.Exec(context.Background(), "select rollup_task_usage_hourly()"); err != nil && pg.SQLState(err) == "" {
				return err
			}
			pause(ctx, time.Second)
		}
		return nil
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (h *twoHosts) sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

func (h *twoHosts) exec(sql string) {
	h.t.Helper()
	if _, err := h.conn.Exec(context.Background(), sql); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// holds says whether a session from that host holds the lock.
func (h *twoHosts) holds(host int) (held bool) {
	h.t.Helper()
	const sql = `select exists (select from pg_locks l join pg_stat_activity a using (pid)
		where l.locktype = 'advisory' and l.granted and l.objid = 4246 and l.objsubid = 1 and a.client_addr = $1::inet)`
	if err := h.conn.QueryRow(context.Background(), sql, address(host)).Scan(&held); err != nil {
		h.t.Fatal(err)
	}
	return held
}

// cutWhileHolding slows the slices down, waits until the host holds the lock,
// pulls its cable, and returns when; the lock is held at that moment.
func (h *twoHosts) cutWhileHolding(host int) time.Time {
	h.t.Helper()
	h.exec("create trigger slow after insert or update or delete on task_usage_hourly for each statement execute function slow()")
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !h.holds(host) {
			continue
		}
		h.net.link(host, "down")
		cut := time.Now()
		if h.holds(host) {
			return cut
		}
		h.net.link(host, "up") // it let go in time
		time.Sleep(time.Second)
	}
	h.t.Fatal("the host never held the lock for long enough to be cut off with it")
	return time.Time{}
}

// awaitRelease returns how long after the cut the host still held the lock.
func (h *twoHosts) awaitRelease(host int, cut time.Time) time.Duration {
	h.t.Helper()
	for h.holds(host) {
		if time.Since(cut) > outage {
			h.t.Fatalf("the lock is still held %s after its holder was cut off", time.Since(cut))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(cut).Round(time.Millisecond)
}

// judge demands what was promised of each, and that nothing was lost or counted twice.
func (h *twoHosts) judge(cut, back time.Time) {
	t := h.t
	for _, line := range h.lock.Account() {
		t.Log(line)
	}
	wait, n := h.lock.LongestWait()
	t.Logf("%d deletions waited for the lock, the longest for %s", n, wait.Took().Round(time.Millisecond))
	for _, w := range h.lock.LongWaits() {
		if w.Err != nil {
			t.Errorf("the deletion of a workspace gave up: %v", w.Err)
		}
	}
	// The other host went on.
	during := 0
	for _, e := range h.runs[1][:len(h.runs[1])-1] { // the last was interrupted by the end
		if e.code != 0 {
			t.Errorf("a tick of the host that was not cut off ended with %d: %s", e.code, e.said)
		}
		if e.from.After(cut) && e.to.Before(back) {
			during++
		}
	}
	t.Logf("the other host made %d ticks during the outage", during)
	if during == 0 {
		t.Error("the other host made no tick during the outage")
	}
	// The one that was cut off said so, and went on when the link was back.
	refused := 0
	for _, e := range h.runs[0][:len(h.runs[0])-1] {
		switch {
		case e.code == 69 && e.to.After(cut) && e.from.Before(back):
			refused++
			if refused == 1 {
				t.Logf("its tick ended %s after the cut: %s", e.to.Sub(cut).Round(time.Millisecond), e.said)
			}
			if !strings.Contains(e.said, "hint:") {
				t.Errorf("a tick without the network gives no hint: %s", e.said)
			}
		case e.code != 0:
			t.Errorf("a tick ended with %d: %s", e.code, e.said)
		}
	}
	if after := h.endedWell(0, back); refused == 0 || after == 0 {
		t.Errorf("%d ticks without the network ended with 69, %d ended well when it was back; want some of both", refused, after)
	}
	h.settle()
}

// endedWell counts a host's ticks that began after a moment and ended well.
func (h *twoHosts) endedWell(host int, since time.Time) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.runs[host] {
		if e.code == 0 && e.from.After(since) {
			n++
		}
	}
	return n
}

// settle has each agent's state get current without waiting for five minutes, and asks the oracle.
func (h *twoHosts) settle() {
	h.t.Helper()
	for _, a := range h.agents {
		connector, err := pg.NewConnector(h.dsn, "multica-rollup/settle")
		if err != nil {
			h.t.Fatal(err)
		}
		w := rollup.New(connector, rollup.Options{
			Command: "run", Engine: "auto", Known: pipeline.Shipped(), Walk: config.Defaults().Walk, HorizonDelay: time.Microsecond,
			Reconnect: time.Second, LockPatience: 30 * time.Second, StateDir: a.state, Log: slog.New(slog.DiscardHandler),
		})
		err = w.Open(context.Background())
		for range 2 { // what the first finds owed and still open, the second settles
			if err == nil {
				err = w.Run(context.Background())
			}
		}
		if err != nil || w.State().Outcome != report.Current {
			h.t.Errorf("outcome %q, %v; want current", w.State().Outcome, err)
		}
		w.Close(context.Background())
	}
	diffs, err := lab.Oracle(context.Background(), h.conn)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(diffs) > 0 {
		h.t.Errorf("%d hourly rows differ from the raw usage, the first: %s", len(diffs), fmt.Sprint(diffs[0]))
	}
}
