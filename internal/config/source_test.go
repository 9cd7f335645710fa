package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/pg"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// credentials makes a directory like that of systemd's LoadCredential=.
func credentials(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestADSNThatCannotBeReadIsMaskedWithAllThatIsSaid(t *testing.T) {
	loaded := &Loaded{Config: Config{DSN: "postgres://u:s3cr3t/@h"}}
	if got := loaded.Redact("connecting with s3cr3t"); got != dsn.Hidden {
		t.Errorf("got %q", got)
	}
}

func TestDSNComesFromTheMostExplicitPlace(t *testing.T) {
	const url = "postgres://u:s3cr3t@%s/d"
	dir := credentials(t, map[string]string{"dsn": fmt.Sprintf(url, "credential") + "\n", "other": "\n " + fmt.Sprintf(url, "other") + "\n"})
	secretFile := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(secretFile, []byte(fmt.Sprintf(url, "file")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := fmt.Sprintf("dsn = %q\n", fmt.Sprintf(url, "toml"))
	dsnFile := fmt.Sprintf("dsn_file = %q\n", secretFile)
	for _, tt := range []struct {
		name, file   string
		credentials  string
		env          []string
		host, origin string
	}{
		{"file", inFile, dir, []string{"DATABASE_URL=x", "PGHOST=x"}, "toml", "FILE:1"},
		{"dsn_file", dsnFile, dir, []string{"PGHOST=x"}, "file", "dsn_file " + secretFile},
		{"named credential", `dsn_file = "credential:other"`, dir, nil, "other", "dsn_file credential:other"},
		{"variable over file", inFile, "", []string{"MULTICA_ROLLUP_DSN=" + fmt.Sprintf(url, "env")}, "env", "MULTICA_ROLLUP_DSN"},
		{"variable over dsn_file", dsnFile, "", []string{"MULTICA_ROLLUP_DSN=" + fmt.Sprintf(url, "env")}, "env", "MULTICA_ROLLUP_DSN"},
		{"variable for dsn_file over file", inFile, "", []string{"MULTICA_ROLLUP_DSN_FILE=" + secretFile}, "file", "dsn_file " + secretFile},
		{"an empty dsn_file is none", inFile + `dsn_file = ""`, "", nil, "toml", "FILE:1"},
		{"credential dsn", "", dir, []string{"PGHOST=x", "DATABASE_URL=x"}, "credential", "credential dsn"},
		{"Multica's variable", "", "", []string{"DATABASE_URL=" + fmt.Sprintf(url, "multica"), "PGPASSWORD=x"}, "multica", "DATABASE_URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.file)
			loaded, err := Load(Options{Path: path, Explicit: true, Env: tt.env, CredentialsDir: tt.credentials})
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(url, tt.host); loaded.DSN != want {
				t.Errorf("DSN %q, want %q", loaded.DSN, want)
			}
			if got := strings.ReplaceAll(loaded.Origin["dsn"], path, "FILE"); got != tt.origin {
				t.Errorf("origin %q, want %q", got, tt.origin)
			}
			if want := "postgres://u:xxxxx@" + tt.host + "/d"; loaded.RedactedDSN() != want {
				t.Errorf("shown as %q, want %q", loaded.RedactedDSN(), want)
			}
			if len(loaded.Warnings) > 0 {
				t.Errorf("warnings %v", loaded.Warnings)
			}
		})
	}
}

func TestLibpqVariablesThatNameTheDatabaseAreEnough(t *testing.T) {
	loaded, err := loadText(t, "", "PGHOST=/tmp", "PGDATABASE=multica", "PGPASSWORD=s3cr3t", "DATABASE_URL=x")
	if err != nil {
		t.Fatal(err)
	}
	if loaded.DSN != "" || loaded.Origin["dsn"] != "PGHOST, PGDATABASE" {
		t.Errorf("DSN %q from %q", loaded.DSN, loaded.Origin["dsn"])
	}
	if _, err := loadText(t, "", "PGUSER=multica", "PGPASSWORD=s3cr3t"); err == nil {
		t.Error("a role without a database was enough")
	}
}

func TestUnderSystemdTheFileIsACredential(t *testing.T) {
	dir := credentials(t, map[string]string{"rollup.toml": `dsn = "host=db password=s3cr3t sslkey=credential:key sslrootcert='credential:ca'"`, "key": "", "ca": ""})
	loaded, err := Load(Options{Env: []string{"CREDENTIALS_DIRECTORY=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "rollup.toml"); loaded.Path != want {
		t.Errorf("path %q, want %q", loaded.Path, want)
	}
	if want := fmt.Sprintf("host=db password=s3cr3t sslkey='%s/key' sslrootcert='%s/ca'", dir, dir); loaded.DSN != want {
		t.Errorf("DSN %q, want %q", loaded.DSN, want)
	}
	if len(loaded.Warnings) > 0 {
		t.Errorf("a credential's mode is systemd's: %v", loaded.Warnings)
	}
	url := write(t, `dsn = "postgres://u@db/d?sslmode=verify-full&sslkey=credential:key"`)
	loaded, err = Load(Options{Path: url, Explicit: true, CredentialsDir: "/run/credentials/multica-rollup@a&b.service"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "postgres://u@db/d?sslmode=verify-full&sslkey=%2Frun%2Fcredentials%2Fmultica-rollup%40a%26b.service%2Fkey"; loaded.DSN != want {
		t.Errorf("DSN %q, want %q", loaded.DSN, want)
	}
}

func TestACredentialIsToldByTheFileThatIsToBeEdited(t *testing.T) {
	for path, want := range map[string]string{
		"/run/credentials/multica-rollup.service/rollup.toml":             "/etc/multica/rollup.toml",
		"/run/credentials/multica-rollup-backfill.service/rollup.toml":    "/etc/multica/rollup.toml",
		"/run/credentials/multica-rollup@eu.service/rollup.toml":          "/etc/multica/rollup.d/eu.toml",
		"/run/credentials/multica-rollup-backfill@eu.service/rollup.toml": "/etc/multica/rollup.d/eu.toml",
		"/run/secrets/rollup.toml":                                        "/run/secrets/rollup.toml",
	} {
		if got := credentialSource(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestByHandACredentialIsTheFileThatTheUnitTakes(t *testing.T) {
	dir := credentials(t, map[string]string{"a-file": "postgres://u:s3cr3t@h/d\n"})
	ofUnit := func(name string) (string, bool) {
		path, ok := map[string]string{"dsn": dir + "/a-file", "key": dir + "/key"}[name]
		return path, ok
	}
	for _, file := range []string{"", `dsn_file = "credential:dsn"`, `dsn = "postgres://u:s3cr3t@h/d"`} {
		loaded, err := Load(Options{Path: write(t, file), Explicit: true, Credential: ofUnit})
		if err != nil {
			t.Fatal(err)
		}
		if loaded.DSN != "postgres://u:s3cr3t@h/d" {
			t.Errorf("%s: DSN %q", file, loaded.DSN)
		}
	}
	loaded, err := Load(Options{Path: write(t, `dsn = "host=h sslkey=credential:key"`), Explicit: true, Credential: ofUnit})
	if err != nil {
		t.Fatal(err)
	}
	if want := "host=h sslkey='" + dir + "/key'"; loaded.DSN != want {
		t.Errorf("DSN %q, want %q", loaded.DSN, want)
	}
	if _, err := Load(Options{Path: write(t, `dsn_file = "credential:other"`), Explicit: true, Credential: ofUnit}); err == nil {
		t.Error("a credential that the unit has not was found")
	}
}

func TestShowTellsEveryValueWithItsOriginAndNoSecret(t *testing.T) {
	loaded, err := loadText(t, goodDSN+"engine = \"set\"\n[backfill]\nnice = 2\nsleep_between_slices = \"90s\"\n",
		"MULTICA_ROLLUP_RUN_BUDGET=90s", "MULTICA_ROLLUP_METRICS_TEXTFILE=/var/lib/node exporter/x.prom")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := loaded.WriteTOML(&got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/show.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.ReplaceAll(got.String(), loaded.Path, "FILE")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	// What is shown can be read again.
	if _, err := loadText(t, got.String()); err != nil {
		t.Errorf("the output is no configuration: %v", err)
	}
}

func FuzzNoFilePanics(f *testing.F) {
	for _, seed := range []string{
		goodDSN, goodDSN + "[run]\nbudget = 5", "dsn = 's3cr3t", "[[walk]]\n[walk]\n", "walk.slice_target.x = 1", "\"a.b\".c = {d = {e = 1}}",
		"engine = \"\"\"\n\"\"\"", "\xef\xbb\xbfdsn=1", "dsn_file = \"credential:x\"", "run = 1979-05-27T07:32:00Z", "[run]\nbudget.x = 1",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "fuzz.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(Options{Path: path, Explicit: true})
		if err != nil {
			if err.Error() == "" || problem.HintOf(err) == "" {
				t.Errorf("an error without a word or a hint: %q", err)
			}
			return
		}
		// What was accepted is shown so that it is accepted again, but for the secret.
		var shown strings.Builder
		if err := loaded.WriteTOML(&shown); err != nil {
			t.Fatal(err)
		}
		again, err := loadText(t, shown.String(), "MULTICA_ROLLUP_DSN="+loaded.DSN)
		if err != nil {
			t.Fatalf("%v in\n%s", err, shown.String())
		}
		if diff := cmp.Diff(loaded.Config, again.Config); diff != "" {
			t.Errorf("shown and read again (-was +is):\n%s", diff)
		}
	})
}

func FuzzNoErrorTellsTheDSN(f *testing.F) {
	const secret = "s3cr3tPassw0rd"
	for _, seed := range [][2]string{
		{"postgres://u:", "@h/d"}, {"postgres://u:", "@@h/d"}, {"postgres://u:", "/@h/d"}, {"postgres://u:", "%@h:x/d"}, {"postgres://h:", "/d"}, {"postgres://", ""},
		{"host=h password=", ""}, {"host=h password='", ""}, {"password = '", "' user=u"}, {"", ""}, {"password=a b", ""}, {"postgres://u@h/d?password=", "&sslmode=x"},
		{"sslkey=credential:", ""}, {"host=h port=", ""}, {"host=h sslmode=", ""}, {"service=", ""}, {"connect_timeout=", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		conn := before + secret + after
		loaded, err := Load(Options{Path: "/dev/null", Explicit: true, Env: []string{"MULTICA_ROLLUP_DSN=" + conn}})
		if err != nil {
			// The name of a credential is none of the DSN's secrets.
			if strings.Contains(err.Error()+problem.HintOf(err), secret) && !strings.Contains(err.Error(), "credential:") {
				t.Errorf("%q: %v", conn, err)
			}
			return
		}
		connector, err := pg.NewConnector(loaded.DSN, "multica-rollup/test")
		if err != nil {
			if path := "it names the file"; strings.Contains(err.Error(), secret) && !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v", conn, err)
			}
			return
		}
		if connector.Redact(secret) == secret {
			return // it is not the password
		}
		var shown strings.Builder
		if err := loaded.WriteTOML(&shown); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%q is shown as %s", conn, shown.String())
		}
		if strings.Contains(loaded.Redact("x"+conn), secret) {
			t.Errorf("%q is logged as %q", conn, loaded.Redact(conn))
		}
	})
}
