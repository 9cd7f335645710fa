package configs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/lab"
)

// image is a built container image, unpacked.
type image struct {
	root   string // its root file system, read-only but for the state directory
	layers []string
	Config struct {
		User       string
		Env        []string
		Entrypoint []string
		Cmd        []string
		Labels     map[string]string
	} `json:"config"`
	Architecture string `json:"architecture"`
}

// stateDir is the image's one directory that may be written.
const stateDir = "/var/lib/multica-rollup"

// imageUser is the user and group of the image, in the manifests too.
const imageUser = 65532

// build builds the image for this machine and unpacks what a container runtime would load.
func build(t *testing.T) *image {
	t.Helper()
	return buildFor(t, runtime.GOARCH)[0]
}

func buildFor(t *testing.T, archs ...string) []*image {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../packaging/image.sh", t.TempDir())
	cmd.Env = append(os.Environ(), "VERSION=0.0.0-test", "ARCH="+strings.Join(archs, " "))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("building the image: %v\n%s", err, stderr.Bytes())
	}
	archives := strings.Fields(string(printed))
	if len(archives) != len(archs) {
		t.Fatalf("built %q for %q", archives, archs)
	}
	var images []*image
	for _, archive := range archives {
		images = append(images, unpack(t, archive))
	}
	return images
}

func unpack(t *testing.T, archive string) *image {
	t.Helper()
	unpacked := t.TempDir()
	untar(t, archive, unpacked)

	var contents []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	readJSON(t, filepath.Join(unpacked, "manifest.json"), &contents)
	if len(contents) != 1 || !slices.ContainsFunc(contents[0].RepoTags, func(tag string) bool { return strings.HasSuffix(tag, "multica-rollup:0.0.0-test") }) {
		t.Fatalf("the archive holds %+v", contents)
	}
	img := &image{root: t.TempDir()}
	readJSON(t, filepath.Join(unpacked, contents[0].Config), img)
	for _, layer := range contents[0].Layers {
		img.layers = append(img.layers, untar(t, filepath.Join(unpacked, layer), img.root)...)
	}
	return img
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
}

// untar unpacks an archive of directories and files and returns its names.
func untar(t *testing.T, archive, into string) []string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		path := filepath.Join(into, filepath.Clean("/"+h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = unpackFile(path, h.FileInfo().Mode(), r)
			}
		case tar.TypeSymlink: // the archive's own, for older readers; the image has none
			continue
		default:
			t.Fatalf("%s: neither a file nor a directory", h.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackFile(path string, mode fs.FileMode, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode.Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// seal makes the root file system what a runtime makes of it: read-only, with
// a volume of the user's mounted on the state directory, and open to that user.
func (img *image) seal(t *testing.T) {
	t.Helper()
	chmod := func(mode fs.FileMode) {
		err := filepath.WalkDir(img.root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, mode)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { chmod(0o755) })
	chmod(0o555)
	volume := filepath.Join(img.root, stateDir)
	if err := os.Chmod(volume, 0o770); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(volume, imageUser, imageUser); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(img.root), 0o711); err != nil { // the test's own, closed to other users
		t.Fatal(err)
	}
}

// secret puts a secret where a runtime mounts it, for the image's user to read.
func (img *image) secret(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(img.root, path)
	if !strings.HasPrefix(path, filepath.Join(img.root, "run/secrets")+"/") {
		t.Fatalf("the secret is mounted at %s", path)
	}
	// Not to be written by that user, but by this test.
	if err := os.Chmod(img.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command returns a process in the image: its root, its user, these variables
// and no others, and no capabilities.
func (img *image) command(ctx context.Context, args, env []string) *exec.Cmd {
	line := append(slices.Clone(img.Config.Entrypoint), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(slices.Clone(img.Config.Env), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: img.root}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: imageUser, Gid: imageUser}
		return cmd
	}
	// Elsewhere only a user namespace of one's own may change the root.
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: imageUser, HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: imageUser, HostID: os.Getegid(), Size: 1}}
	return cmd
}

// database is a Multica-shaped database with usage, on a server that listens on TCP.
type database struct {
	dsn  string // over TCP
	conn *pgx.Conn
}

func newDatabases(t *testing.T) func(t *testing.T, name string, gen lab.Generation) database {
	t.Helper()
	server, err := lab.Start(t.Context(), lab.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return func(t *testing.T, name string, gen lab.Generation) database {
		t.Helper()
		if err := server.CreateDatabase(t.Context(), name, gen); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), server.DSN(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server ends anyway
		seeded, err := lab.Seed(t.Context(), conn, lab.Typical(7, 300))
		if err != nil {
			t.Fatal(err)
		}
		if seeded.UsageRows == 0 {
			t.Fatal("no usage to roll up")
		}
		return database{dsn: server.TCPDSN(name), conn: conn}
	}
}

// wantCurrent checks the hourly table against a recount of the raw usage.
func (db database) wantCurrent(t *testing.T) {
	t.Helper()
	diffs, err := lab.Oracle(t.Context(), db.conn)
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := db.conn.QueryRow(t.Context(), "select count(*) from task_usage_hourly").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if len(diffs) > 0 || rows == 0 {
		t.Errorf("%d hourly rows, of which %d differ from the raw usage", rows, len(diffs))
	}
}

func TestTheImageHoldsTheProgramAndCertificatesAndNothingElse(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for i, img := range buildFor(t, "amd64", "arm64") {
		arch := []string{"amd64", "arm64"}[i]
		var files []string
		for _, name := range img.layers {
			if !strings.HasSuffix(name, "/") {
				files = append(files, name)
			}
		}
		slices.Sort(files)
		if !slices.Equal(files, []string{"etc/ssl/certs/ca-certificates.crt", "multica-rollup"}) {
			t.Errorf("files %q", files)
		}
		if img.Config.User != "65532:65532" || !slices.Equal(img.Config.Entrypoint, []string{"/multica-rollup"}) || !slices.Equal(img.Config.Cmd, []string{"run"}) {
			t.Errorf("configuration %+v", img.Config)
		}
		for _, label := range []string{"title", "description", "version", "revision", "created", "licenses", "url", "source", "documentation"} {
			if img.Config.Labels["org.opencontainers.image."+label] == "" {
				t.Errorf("there is no label %s", label)
			}
		}
		program, err := elf.Open(filepath.Join(img.root, "multica-rollup"))
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		if img.Architecture != arch || program.Machine != machines[arch] {
			t.Errorf("the image for %s says %s and holds a program for %v", arch, img.Architecture, program.Machine)
		}
		bundle, err := os.ReadFile(filepath.Join(img.root, "etc/ssl/certs/ca-certificates.crt"))
		if err != nil {
			t.Fatal(err)
		}
		if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(bundle) || bytes.Count(bundle, []byte("BEGIN CERTIFICATE")) < 50 {
			t.Errorf("%d bytes of certificates", len(bundle))
		}
	}
}

func TestTheProgramOfTheImageNeedsNoFilesBesideIt(t *testing.T) {
	img := build(t)
	img.seal(t)
	// A dynamic program would find no libraries in there, and end before main.
	out, err := img.command(t.Context(), []string{"version"}, nil).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("0.0.0-test")) {
		t.Errorf("version: %v: %s", err, out)
	}
	// A name of a time zone is checked before the database is asked.
	for zone, known := range map[string]bool{"Asia/Shanghai": true, "Asia/Nowhere": false} {
		out, err := img.command(t.Context(), []string{"usage", "--timezone", zone}, []string{"DATABASE_URL=postgres://127.0.0.1:1/multica"}).CombinedOutput()
		if err == nil || bytes.Contains(out, []byte("connecting to 127.0.0.1:1")) != known {
			t.Errorf("%s: %v: %s", zone, err, out)
		}
	}
}

func TestTheManifestsRollUpInTheImage(t *testing.T) {
	img := build(t)
	img.seal(t)
	create := newDatabases(t)
	databases := map[string]lab.Generation{"cronjob.yaml": lab.Gen102, "backfill-job.yaml": lab.GenInterrupted, "guard-job.yaml": lab.GenInterrupted}
	all := jobs(t)
	all["guard-job.yaml"] = guardJob(t)
	// Of Multica's own database: its password is no DSN, and comes by a variable.
	databases["chart.yaml"] = lab.Gen272
	chart := podOf(t, rendered(t, "default")["CronJob/multica-rollup"])
	chart.Containers[0].Image = "multica-rollup"
	var chartJob job
	chartJob.Template.Spec = chart
	all["chart.yaml"] = chartJob
	for name, j := range all {
		t.Run(name, func(t *testing.T) {
			db := create(t, strings.TrimSuffix(name, ".yaml"), databases[name])
			p := j.Template.Spec
			c := p.Containers[0]
			if c.Image != "multica-rollup" || len(c.Command) > 0 || p.SecurityContext.RunAsUser != imageUser || p.SecurityContext.FSGroup != imageUser {
				t.Fatalf("image %q, command %q, %+v: not what packaging/image.sh builds", c.Image, c.Command, p.SecurityContext)
			}
			if path := p.dsnFile(); path != "" {
				img.secret(t, path, db.dsn)
			}
			u, err := url.Parse(db.dsn)
			if err != nil {
				t.Fatal(err)
			}
			// A password that would break a URL.
			here := map[string]string{
				"PGHOST": u.Hostname(), "PGPORT": u.Port(), "PGDATABASE": strings.TrimPrefix(u.Path, "/"), "PGUSER": u.User.Username(), "PGPASSWORD": "p@ss/w:rd%",
			}
			var env []string
			for _, e := range c.Env {
				if v := here[e.Name]; v != "" {
					e.Value = v
				}
				env = append(env, e.Name+"="+e.Value)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			out, err := img.command(ctx, c.Args, env).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if err := lab.GuardVerdict(ctx, db.conn); err != nil {
				t.Errorf("migration 103 would still refuse: %v", err)
			}
			if name != "guard-job.yaml" { // which ends as soon as the migration would pass
				db.wantCurrent(t)
			}
			if bytes.Contains(out, []byte("remembered")) {
				t.Errorf("the state directory cannot be used:\n%s", out)
			}
			if bytes.Contains(out, []byte("p@ss")) {
				t.Errorf("the log has a password:\n%s", out)
			}
			for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
				if name != "guard-job.yaml" && !json.Valid([]byte(line)) {
					t.Errorf("log_format is json, but the log has %q", line)
				}
			}
		})
	}
}

// guardJob returns backfill-job.yaml as the guide changes it for an upgrade.
func guardJob(t *testing.T) job {
	t.Helper()
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	const script = `s/args: \[backfill\]/args: [guard, --fix]/`
	if !bytes.Contains(guide, []byte("sed '"+script+"' configs/kubernetes/backfill-job.yaml")) {
		t.Fatal("the guide changes the job in another way")
	}
	changed, err := exec.CommandContext(t.Context(), "sed", script, "kubernetes/backfill-job.yaml").Output()
	if err != nil {
		t.Fatal(err)
	}
	var o object
	decode(t, changed, &o)
	var j job
	spec(t, o, &j)
	if args := j.Template.Spec.Containers[0].Args; !slices.Equal(args, []string{"guard", "--fix"}) {
		t.Fatalf("args %q", args)
	}
	return j
}
