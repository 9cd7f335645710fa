package fault_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
)

// pgpool starts Pgpool-II before a primary and its standby, which has all the weight of its load balancing,
// and returns a DSN.
func pgpool(t *testing.T, p pair, settings ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgpool")
	if err != nil {
		program = "/usr/sbin/pgpool" // where an ordinary user's PATH does not look
	}
	dir, err := os.MkdirTemp("", "pgpool-") // which the servers' owner has to enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := freePort(t)
	lines := append([]string{
		"backend_clustering_mode = 'streaming_replication'",
		"listen_addresses = '127.0.0.1'", "port = " + port, "socket_dir = '" + dir + "'", "unix_socket_directories = '" + dir + "'",
		"pcp_listen_addresses = ''", "pcp_port = " + freePort(t), "pcp_socket_dir = '" + dir + "'", "pid_file_name = '" + dir + "/pid'",
		"memqcache_oiddir = '" + dir + "'", "work_dir = '" + dir + "'", "logdir = '" + dir + "'",
		"num_init_children = 8", "max_pool = 1", "connection_cache = off", "load_balance_mode = on", "statement_level_load_balance = on",
		"sr_check_period = 1", "sr_check_user = 'postgres'", "sr_check_database = 'postgres'", "health_check_period = 0",
		"backend_hostname0 = '127.0.0.1'", "backend_port0 = " + p.primary.port, "backend_weight0 = 0", "backend_flag0 = 'ALWAYS_PRIMARY'",
		"backend_hostname1 = '127.0.0.1'", "backend_port1 = " + p.standby.port, "backend_weight1 = 1", "backend_flag1 = 'DISALLOW_TO_FAILOVER'",
	}, settings...)
	for name, text := range map[string]string{"pgpool.conf": strings.Join(lines, "\n") + "\n", "pcp.conf": "", "pool_hba.conf": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if who := p.primary.who; who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-n", "-f", filepath.Join(dir, "pgpool.conf"), "-F", filepath.Join(dir, "pcp.conf"), "-a", filepath.Join(dir, "pool_hba.conf"))
	cmd.Dir, cmd.SysProcAttr = dir, as(p.primary.who)
	log, err := os.Create(filepath.Join(t.TempDir(), "pgpool.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting pgpool (packaging/dev/deps.sh test): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // fast shutdown, of its children too; an error means that it has ended
		_ = cmd.Wait()
	})
	dsn := "postgres://postgres@127.0.0.1:" + port + "/" + p.primary.name + "?sslmode=disable"
	labtest.Until(t, "Pgpool sends reads to the standby", func() error {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			defer conn.Close(context.Background())
			var port string
			err = conn.QueryRow(context.Background(), "select inet_server_port()::text").Scan(&port)
			if err == nil && port != p.standby.port {
				err = fmt.Errorf("port %s answers", port)
			}
		}
		if err != nil {
			text, _ := os.ReadFile(log.Name()) // it only adds to the error
			return fmt.Errorf("%w: %s", err, text[max(0, len(text)-2000):])
		}
		return nil
	})
	return dsn
}

// TestPgpoolMakesNothingMissing: it sends what only reads to the standby, within transactions too, as long as
// they have not written.
func TestPgpoolMakesNothingMissing(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings []string
	}{
		{"as it comes", nil},
		{"balancing beside writes", []string{"disable_load_balance_on_write = 'off'"}},
		// By default it takes functions that are volatile for such that may write.
		{"told that functions only read", []string{"read_only_function_list = '.*'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, conn := newPair(t)
			dsn := pgpool(t, p, c.settings...)
			p.lag(t)
			for _, w := range works() {
				t.Run(w.name, func(t *testing.T) {
					o := options(t, "set")
					o.HorizonDelay = time.Millisecond
					run(t, p.primary.dsn(), o)
					commit := p.lateUsage(t, conn, w.name)
					if err := w.do(t, dsn, o); err != nil {
						t.Fatal(err)
					}
					truthful(t, conn, "beside the open transaction")
					commit()
					if err := w.do(t, dsn, o); err != nil {
						t.Fatal(err)
					}
					exact(t, conn, "after it was committed")
				})
			}
			must(t, dsn, t.TempDir(), "verify")
			// In a directory that remembers nothing all that it can say of history is that nobody has proven it.
			ends(t, newCommand(dsn, t.TempDir(), "status"), 1, "remembers no run on this database")
		})
	}
}
