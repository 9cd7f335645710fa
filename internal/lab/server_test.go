package lab_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
	"github.com/multica-rollup/multica-rollup/internal/lab/labtest"
	"github.com/multica-rollup/multica-rollup/internal/pg"
)

// startAndWait names the variable that turns this test binary into a process which starts a
// server, prints its directory and waits to be killed.
const startAndWait = "LAB_TEST_START_AND_WAIT"

func TestMain(m *testing.M) {
	if os.Getenv(startAndWait) == "" {
		labtest.Main(m)
		return
	}
	server, err := lab.Start(context.Background(), lab.Options{})
	if err != nil {
		panic(err)
	}
	// As tests do that restart it: from then on it is no child of this process.
	data := server.Dir() + "/data"
	restart := exec.Command(server.Binary("pg_ctl"), "-D", data, "-w", "-m", "fast", "-l", data+"/ctl.log", "restart")
	restart.Dir = "/"
	if info, err := os.Stat(data); err != nil {
		panic(err)
	} else if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		restart.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := restart.Run(); err != nil {
		panic(err)
	}
	fmt.Println(server.Dir())
	time.Sleep(time.Hour)
}

func TestTheServerAndItsDirectoryDieWithTheProcessThatStartedIt(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), startAndWait+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	pidFile, err := os.ReadFile(dir + "/data/postmaster.pid")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(pidFile), &pid); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		_, statErr := os.Stat(dir)
		if os.IsNotExist(statErr) && syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("5 min after its starter was killed, the server %d or its directory %s is still there", pid, dir)
}

func TestAServerTakesSettingsAccessRulesAndTCP(t *testing.T) {
	ctx := context.Background()
	server, err := lab.Start(ctx, lab.Options{
		TCP: true, Settings: map[string]string{"work_mem": "7MB", "cluster_name": "it's"},
		HBA: []string{"host all guest 127.0.0.1/32 scram-sha-256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	conn, err := pgx.Connect(ctx, server.TCPDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for name, want := range map[string]string{
		"work_mem": "7MB", "cluster_name": "it's", "fsync": "off", "max_prepared_transactions": "20", "max_connections": "200",
	} {
		if got := get[string](t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	run(t, conn, "CREATE ROLE guest LOGIN PASSWORD 'right'")
	guest := strings.Replace(server.TCPDSN("postgres"), "postgres@", "guest:wrong@", 1)
	if _, err := pgx.Connect(ctx, guest); pg.SQLState(err) != pg.StateInvalidPassword {
		t.Errorf("a wrong password gives %v, want it refused", err)
	}
}

func TestStopRemovesTheServerAndItsDirectory(t *testing.T) {
	ctx := context.Background()
	server, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir, dsn := server.Dir(), server.DSN("postgres")
	server.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after Stop, %s gives %v, want it gone", dir, err)
	}
	if conn, err := pgx.Connect(ctx, dsn); err == nil {
		t.Error("the server still answers after Stop")
		_ = conn.Close(ctx)
	}
}

func TestAServerGivenByDSNIsUsedAndLeftRunning(t *testing.T) {
	ctx := context.Background()
	own := labtest.Server(t)
	server, err := lab.Start(ctx, lab.Options{DSN: own.DSN("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateDatabase(ctx, "lab_reused", lab.Gen102); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := own.DropDatabase(ctx, "lab_reused"); err != nil {
		t.Errorf("after Stop on a reused server: %v", err)
	}
	if _, err := lab.Start(ctx, lab.Options{DSN: "host=/tmp dbname=x"}); err == nil {
		t.Error("a DSN whose database cannot be exchanged was taken")
	}
}

func TestASecondDatabaseOfAGenerationComesFromItsTemplate(t *testing.T) {
	db := labtest.New(t, lab.Gen272)
	templates := func() int {
		return get[int](t, db.Conn, "SELECT count(*) FROM pg_database WHERE datname LIKE 'lab\\_template\\_272\\_%' AND NOT datallowconn")
	}
	if n := templates(); n != 1 {
		t.Errorf("%d templates of generation 272, want one", n)
	}
	labtest.New(t, lab.Gen272)
	if n := templates(); n != 1 {
		t.Errorf("%d templates of generation 272 after a second database, want the same one", n)
	}
}

func TestNoBinariesAndAFullDirectoryAreToldPlainly(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/precious", nil, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Start(ctx, lab.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a directory in use gives %v", err)
	}
	t.Setenv("MULTICA_LAB_PGBIN", dir)
	if _, err := lab.Start(ctx, lab.Options{}); err == nil || !strings.Contains(err.Error(), "no usable PostgreSQL in MULTICA_LAB_PGBIN") {
		t.Errorf("a directory without PostgreSQL gives %v", err)
	}
}
