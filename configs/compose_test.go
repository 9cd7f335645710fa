package configs_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// composeFile is what our files use of the Compose format.
type composeFile struct {
	Services map[string]struct {
		Image           string            `yaml:"image"`
		PullPolicy      string            `yaml:"pull_policy"`
		Command         []string          `yaml:"command"`
		Restart         string            `yaml:"restart"`
		DependsOn       []string          `yaml:"depends_on"`
		Environment     map[string]string `yaml:"environment"`
		User            string            `yaml:"user"`
		ReadOnly        bool              `yaml:"read_only"`
		CapDrop         []string          `yaml:"cap_drop"`
		SecurityOpt     []string          `yaml:"security_opt"`
		MemLimit        string            `yaml:"mem_limit"`
		StopGracePeriod string            `yaml:"stop_grace_period"`
		Volumes         []string          `yaml:"volumes"`
		Ports           []string          `yaml:"ports"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func readCompose(t *testing.T, path string) composeFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f composeFile
	decode(t, data, &f)
	return f
}

var composeVariable = regexp.MustCompile(`\$\{([A-Z_]+):([-?])([^}]*)\}`)

// interpolate replaces ${NAME:-default} and ${NAME:?message} as Compose does.
func interpolate(t *testing.T, text string, set map[string]string) string {
	t.Helper()
	return composeVariable.ReplaceAllStringFunc(text, func(s string) string {
		m := composeVariable.FindStringSubmatch(s)
		if v := set[m[1]]; v != "" {
			return v
		}
		if m[2] == "?" {
			t.Fatalf("%s has to be set", m[1])
		}
		return m[3]
	})
}

func TestTheComposeServiceRollsUpInTheImageUntilItIsStopped(t *testing.T) {
	f := readCompose(t, "compose/compose.rollup.yaml")
	service := f.Services["multica-rollup"]
	if service.Image != "multica-rollup" || service.User != "65532:65532" || !service.ReadOnly ||
		!slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("the service is not confined, or runs another image: %+v", service)
	}
	if _, ok := f.Volumes["multica-rollup"]; !ok || !slices.Equal(service.Volumes, []string{"multica-rollup:" + stateDir}) || service.Environment["MULTICA_ROLLUP_STATE_DIR"] != stateDir {
		t.Errorf("the state is not kept: volumes %q and %v", service.Volumes, f.Volumes)
	}
	if !slices.Contains(service.DependsOn, service.Environment["PGHOST"]) {
		t.Errorf("depends on %q, connects to %q", service.DependsOn, service.Environment["PGHOST"])
	}

	img := build(t)
	img.seal(t)
	db := newDatabases(t)(t, "compose", lab.Gen272)
	u, err := url.Parse(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	// A password that would break a URL.
	dotEnv := map[string]string{"POSTGRES_DB": "compose", "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": "p@ss/w:rd%"}
	var env []string
	for name, v := range service.Environment {
		switch name {
		case "PGHOST":
			v = host
		case "PGPORT":
			v = port
		}
		env = append(env, name+"="+interpolate(t, v, dotEnv))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := img.command(ctx, service.Command, env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, func() bool {
		var current bool
		err := db.conn.QueryRow(ctx, "select watermark_at > now() - interval '10 minutes' from task_usage_hourly_rollup_state").Scan(&current)
		return err == nil && current
	})
	time.Sleep(500 * time.Millisecond) // the tick is over, the next is minutes away
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("it has ended by itself: %v\n%s", err, out.String())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("told to stop, it ended with %v", err)
	}
	db.wantCurrent(t)
	if strings.Contains(out.String(), "remembered") || strings.Contains(out.String(), "p@ss") {
		t.Errorf("the log has what it must not have:\n%s", out.String())
	}
}

// waitFor waits until the condition holds.
func waitFor(ctx context.Context, t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestTheDatabaseIsPublishedOnTheLoopbackAlone(t *testing.T) {
	service, ok := readCompose(t, "compose/compose.database-loopback.yaml").Services["postgres"]
	if !ok || len(service.Ports) != 1 {
		t.Fatalf("ports %q", service.Ports)
	}
	for _, set := range []map[string]string{nil, {"POSTGRES_PORT": "5433"}} {
		published := interpolate(t, service.Ports[0], set)
		want := "127.0.0.1:5432:5432"
		if port := set["POSTGRES_PORT"]; port != "" {
			want = "127.0.0.1:" + port + ":5432"
		}
		if published != want {
			t.Errorf("published as %s, want %s", published, want)
		}
	}
}
