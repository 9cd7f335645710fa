package configs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// composeProject is what is looked at in a project as Docker Compose loads it.
type composeProject struct {
	Name     string
	Services map[string]composeService
	Networks map[string]struct {
		Name     string
		External bool
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

type composeService struct {
	Image       string
	Command     []string
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	Environment map[string]string
	Secrets     []struct{ Source, Target string }
	HealthCheck struct{ Test []string }
	Networks    map[string]any
	User        string
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	Volumes     []struct{ Type, Source, Target string }
	Ports       []struct {
		HostIP    string `json:"host_ip"`
		Published string
		Target    int
	}
}

// compose loads files as docker compose does that is typed in dir, where $VARIABLES are set.
func compose(t *testing.T, dir string, env []string, files ...string) (composeProject, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"-C", "../packaging/dev/compose", "run", ".", dir}, files...)...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var p composeProject
	if err != nil {
		t.Logf("%s", stderr.Bytes())
		return p, err
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p, nil
}

// beside puts Multica's file and ours where their comments want them, and returns Multica's directory.
func beside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{
		"../packaging/dev/compose/testdata/docker-compose.selfhost.yml": "docker-compose.selfhost.yml",
		"compose/compose.overlay.yaml":                                  "compose.overlay.yaml",
		"compose/compose.database-loopback.yaml":                        "compose.database-loopback.yaml",
		"compose/compose.rollup.yaml":                                   "multica-rollup/compose.yaml",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// multicas is the file of Multica's that every command of its documentation names.
const multicas = "docker-compose.selfhost.yml"

func mustCompose(t *testing.T, dir string, env []string, files ...string) composeProject {
	t.Helper()
	p, err := compose(t, dir, env, files...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheProjectOfItsOwnJoinsTheNetworkOfMulticas(t *testing.T) {
	dir := beside(t)
	theirs := mustCompose(t, dir, nil, multicas)
	own := mustCompose(t, filepath.Join(dir, "multica-rollup"), nil, "compose.yaml")
	network := own.Networks["default"]
	if own.Name == theirs.Name || !network.External || network.Name != theirs.Networks["default"].Name {
		t.Errorf("project %s with network %+v, beside %s with %+v", own.Name, network, theirs.Name, theirs.Networks["default"])
	}
	if len(own.Services) != 1 {
		t.Errorf("services %v", own.Services)
	}
	other := mustCompose(t, filepath.Join(dir, "multica-rollup"), []string{"MULTICA_NETWORK=acme_default"}, "compose.yaml")
	if name := other.Networks["default"].Name; name != "acme_default" {
		t.Errorf("of another project the network is %s", name)
	}
	if file := own.Secrets["dsn"].File; file != filepath.Join(dir, "multica-rollup/dsn") {
		t.Errorf("the DSN is read from %s", file)
	}
}

func TestTheOverlayAddsAServiceAndChangesNoneOfMulticas(t *testing.T) {
	dir := beside(t)
	theirs := mustCompose(t, dir, nil, multicas)
	merged := mustCompose(t, dir, nil, multicas, "compose.overlay.yaml")
	service := merged.Services["multica-rollup"]
	delete(merged.Services, "multica-rollup")
	if diff := cmp.Diff(theirs.Services, merged.Services); diff != "" || merged.Name != theirs.Name {
		t.Errorf("the overlay changes Multica's project:\n%s", diff)
	}
	if got := service.DependsOn["postgres"].Condition; got != "service_healthy" {
		t.Errorf("it depends on %v", service.DependsOn)
	}
	// Both of ours are read from one place, and are else the same service.
	own := mustCompose(t, filepath.Join(dir, "multica-rollup"), nil, "compose.yaml")
	if a, b := merged.Secrets["multica-rollup-dsn"].File, own.Secrets["dsn"].File; a != b {
		t.Errorf("DSNs in %s and %s", a, b)
	}
	if service.Secrets[0].Target != "/run/secrets/dsn" && service.Secrets[0].Target != "dsn" {
		t.Errorf("the secret is at %q", service.Secrets[0].Target)
	}
	standalone := own.Services["multica-rollup"]
	service.DependsOn, service.Secrets, standalone.Secrets = nil, nil, nil
	if diff := cmp.Diff(standalone, service); diff != "" {
		t.Errorf("the two services differ (-compose.rollup.yaml +compose.overlay.yaml):\n%s", diff)
	}
}

func TestTheDatabaseIsPublishedOnTheLoopbackAlone(t *testing.T) {
	dir := beside(t)
	for _, port := range []string{"", "5433"} {
		merged := mustCompose(t, dir, []string{"POSTGRES_PORT=" + port}, multicas, "compose.database-loopback.yaml")
		ports := merged.Services["postgres"].Ports
		if port == "" {
			port = "5432"
		}
		if len(ports) != 1 || ports[0].HostIP != "127.0.0.1" || ports[0].Published != port || ports[0].Target != 5432 {
			t.Errorf("published as %+v, want %s", ports, port)
		}
		if merged.Services["postgres"].Environment["POSTGRES_USER"] != "multica" {
			t.Error("the service is another than Multica's")
		}
	}
}

// COMPOSE_FILE does not count where -f is given, as it is in Multica's documentation: no recipe may rest on it.
func TestNoRecipeRestsOnCOMPOSE_FILE(t *testing.T) {
	dir := beside(t)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("COMPOSE_FILE="+multicas+":compose.overlay.yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, there := mustCompose(t, dir, nil, multicas).Services["multica-rollup"]; there {
		t.Error("COMPOSE_FILE counts beside -f: then it could be used")
	}
	for _, path := range []string{"../docs/guide.md", "../docs/guide.zh-CN.md", "../README.md", "../README.zh-CN.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ docker compose ")
			if strings.Contains(line, "COMPOSE_FILE=") || ok && !strings.HasPrefix(command, "-f ") {
				t.Errorf("%s: %s: names no file by -f", path, strings.TrimSpace(line))
			}
		}
	}
}

func TestTheComposeServiceRollsUpInTheImageUntilItIsStopped(t *testing.T) {
	p := mustCompose(t, filepath.Join(beside(t), "multica-rollup"), nil, "compose.yaml")
	service := p.Services["multica-rollup"]
	if service.Image != "multica-rollup" || service.User != "65532:65532" || !service.ReadOnly ||
		!slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("the service is not confined, or runs another image: %+v", service)
	}
	if _, ok := p.Volumes["multica-rollup"]; !ok || len(service.Volumes) != 1 || service.Volumes[0].Target != stateDir || service.Environment["MULTICA_ROLLUP_STATE_DIR"] != stateDir {
		t.Errorf("the state is not kept: volumes %v and %v", service.Volumes, p.Volumes)
	}
	probe := service.HealthCheck.Test
	if len(probe) < 2 || probe[0] != "CMD" || probe[1] != "/multica-rollup" {
		t.Fatalf("the probe is %q", probe)
	}

	img := build(t)
	db := newDatabases(t)(t, "compose", lab.Gen272)
	img.secret(t, service.Environment["MULTICA_ROLLUP_DSN_FILE"], db.dsn)
	img.seal(t)
	var env []string
	for name, v := range service.Environment {
		env = append(env, name+"="+v)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	healthy := func() (bool, string) {
		out, err := img.command(ctx, probe[2:], env).CombinedOutput()
		return err == nil, string(out)
	}
	if ok, line := healthy(); ok || strings.Count(line, "\n") != 1 {
		t.Errorf("healthy before the first run: %q", line)
	}
	cmd := img.command(ctx, service.Command, env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, func() bool { ok, _ := healthy(); return ok })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("it has ended by itself: %v\n%s", err, out.String())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("told to stop, it ended with %v", err)
	}
	db.wantCurrent(t)
	if strings.Contains(out.String(), "remembered") || strings.Contains(out.String(), "secret") {
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
