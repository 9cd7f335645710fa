package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multica-rollup/multica-rollup/internal/cli"
	"github.com/multica-rollup/multica-rollup/internal/dsn"
)

// marker is the secret of the campaign: in no word of ours, and recognised by any eight characters of it.
const marker = "S3cr3tM4rk3r"

// nearForms are what people have where a DSN is wanted; PW is the password.
var nearForms = []string{
	"postgres://multica:PW@127.0.0.1:1/multica", "postgresql://multica:PW@127.0.0.1:1/multica?sslmode=disable", "POSTGRES://multica:PW@127.0.0.1:1/multica",
	"postgresql+psycopg2://multica:PW@127.0.0.1:1/multica", "jdbc:postgresql://127.0.0.1:1/multica?user=multica&password=PW",
	"prisma+postgres://multica:PW@127.0.0.1/multica", "prisma://accelerate.example/?api_key=PW", "mysql://multica:PW@127.0.0.1/multica",
	"ostgres://multica:PW@127.0.0.1/multica", "postgres:/multica:PW@127.0.0.1/multica", "postgres//multica:PW@127.0.0.1/multica", "//multica:PW@127.0.0.1/multica",
	"multica:PW@127.0.0.1/multica", "127.0.0.1:5432:multica:multica:PW", "multica/PW@127.0.0.1", "https://multica:PW@example.com/x", "postgres://127.0.0.1/multica?password=PW",
	"host=127.0.0.1 port=1 user=multica password=PW dbname=multica", "host=127.0.0.1 port=1 user=multica password='PW' dbname=multica sslmode=disable",
	"host=127.0.0.1 user=multica passwd=PW dbname=multica", "host=127.0.0.1 user=multica pwd=PW", "HOST=127.0.0.1 USER=multica PASSWORD=PW DBNAME=multica",
	"host = 127.0.0.1 port = 1 user = multica password = 'PW' dbname = multica", "host=127.0.0.1 user=multica password=PW sslmod=require",
	"Host=127.0.0.1;Username=multica;Password=PW;Database=multica", "Driver={PostgreSQL};Server=127.0.0.1;Uid=multica;Pwd=PW;",
	"DATABASE_URL=postgres://multica:PW@127.0.0.1:1/multica", `export DATABASE_URL="postgres://multica:PW@127.0.0.1:1/multica"`, "export PGPASSWORD=PW",
	"MULTICA_ROLLUP_DSN='postgres://multica:PW@127.0.0.1:1/multica'", "set DATABASE_URL=postgres://multica:PW@127.0.0.1/multica", "PGPASSWORD=PW psql -h 127.0.0.1",
	"psql 'postgres://multica:PW@127.0.0.1:1/multica'", "psql -h 127.0.0.1 -U multica --password=PW", `"postgres://multica:PW@127.0.0.1:1/multica"`,
	"'host=127.0.0.1 user=multica password=PW dbname=multica'", "<postgres://multica:PW@127.0.0.1/multica>", "“postgres://multica:PW@127.0.0.1:1/multica”",
	`{"host": "127.0.0.1", "user": "multica", "password": "PW"}`, `{"dsn":"postgres://multica:PW@127.0.0.1/multica"}`, `["postgres://multica:PW@127.0.0.1/multica"]`,
	"database:\n  host: 127.0.0.1\n  password: PW\n", "dsn: postgres://multica:PW@127.0.0.1:1/multica\n", "password: PW", "DATABASE_URL: PW", "user: multica:PW",
	"dsn = \"postgres://multica:PW@127.0.0.1:1/multica\"\n", "dsn = postgres://multica:PW@127.0.0.1:1/multica", "[database]\npassword = \"PW\"\n", "password = \"PW\"\nPW = 1\n",
	"host=127.0.0.1\nport=1\nuser=multica\npassword=PW\ndbname=multica\n", "# DSN\npostgres://multica:PW@127.0.0.1:1/multica\n", "host=127.0.0.1 user=multica:PW dbname=multica",
	"host=multica:PW@127.0.0.1 dbname=multica", "host=127.0.0.1 dbname=postgres://multica:PW@127.0.0.1/multica", "host=127.0.0.1:PW", "host=127.0.0.1 user=multica/PW",
	"postgres://multica%3APW%40127.0.0.1/multica", "postgres%3A%2F%2Fmultica%3APW%40127.0.0.1%2Fmultica", "postgres://multica%3APW@127.0.0.1:1/multica",
	"$(echo postgres://multica:PW@127.0.0.1/multica)", "${DATABASE_URL:-postgres://multica:PW@127.0.0.1/multica}", "user=multica password=PW host=127.0.0.1 port=1 options='-c x=y'",
	"credential:postgres://multica:PW@127.0.0.1", "/run/postgres://multica:PW@127.0.0.1/multica", "scram_client_key=PW host=127.0.0.1", "oauth_client_secret=PW",
	"postgres://multica:PW@127.0.0.1:1/multica postgres://multica:PW@127.0.0.1:2/multica", "--dsn=postgres://multica:PW@127.0.0.1/multica", "PW",
}

// passwords are what stands for PW. Each holds the marker.
var passwords = []string{
	marker, marker + "@home", "p@" + marker, "a:" + marker, "#" + marker, "?" + marker, "it's" + marker, `back\` + marker, `dq"` + marker, "two words " + marker, "x=" + marker,
	"100%" + marker, "%40" + marker, marker + "&more", "ümlaut" + marker, "tab\t" + marker, "$" + marker, "{" + marker + "}", marker + "\n", ";" + marker + ";", "+" + marker,
}

// near makes the nth text of the campaign: a form with its password, and up to three changes.
func near(random *rand.Rand) string {
	text := strings.ReplaceAll(pick(random, nearForms), "PW", encoded(random, pick(random, passwords)))
	for range random.IntN(4) {
		text = change(random, text)
	}
	return strings.ReplaceAll(text, "\x00", "")
}

func pick(random *rand.Rand, of []string) string { return of[random.IntN(len(of))] }

// encoded writes a password as one of the ways has it.
func encoded(random *rand.Rand, password string) string {
	switch random.IntN(5) {
	case 0:
		return url.QueryEscape(password)
	case 1:
		return "'" + strings.ReplaceAll(password, "'", `'\''`) + "'"
	case 2:
		var b strings.Builder
		for _, c := range []byte(password) {
			fmt.Fprintf(&b, "%%%02x", c)
		}
		return b.String()
	}
	return password
}

// change is one slip, or one program's idea of quoting.
func change(random *rand.Rand, text string) string {
	at := random.IntN(len(text) + 1)
	switch random.IntN(14) {
	case 0:
		return text[:at] // cut off
	case 1:
		return text[at:]
	case 2:
		return text[:at] + pick(random, []string{" ", "\n", "'", `"`, "`", "=", ":", "@", "/", "?", "&", "%", "\\", ";", "#", "\u00a0", "\t", "{", ",", "\x1b", "\xff", "-"}) + text[at:]
	case 3:
		end := min(len(text), at+1+random.IntN(3))
		return text[:at] + text[end:]
	case 4:
		return strings.ToUpper(text[:at]) + text[at:]
	case 5:
		return text + pick(random, []string{"", " ", "\n", "&"}) + text // double
	case 6:
		return strconv.Quote(text)
	case 7:
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	case 8:
		return url.QueryEscape(text)
	case 9:
		return strings.Replace(text, pick(random, []string{"://", ":", "@", "=", "password", "/", "host", " "}), pick(random, []string{"", ":", "=", " = ", ":\n", "//", "%3A", "passwrd", ": "}), 1)
	case 10:
		return pick(random, []string{"\ufeff", "export ", "DSN=", "url: ", "- ", "\"dsn\": ", "-", "--", "jdbc:", "x"}) + text
	case 11:
		end := min(len(text), at+1+random.IntN(8))
		return text[:at] + url.PathEscape(text[at:end]) + text[end:]
	case 12:
		return strings.ReplaceAll(text, pick(random, []string{" ", "/", ":", "="}), pick(random, []string{"\n", "  ", "\\/", ": "}))
	}
	return strings.ReplaceAll(text, "'", `"`)
}

// tells says whether the output holds eight characters of the marker in a row,
// also where they are percent-encoded, quoted, folded or in upper case.
func tells(output string) bool {
	for range 3 {
		plain := strings.ToLower(strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n'\"\\`", r) {
				return -1
			}
			return r
		}, output))
		for i := range len(marker) - 7 {
			if strings.Contains(plain, strings.ToLower(marker[i:i+8])) {
				return true
			}
		}
		output = percent.ReplaceAllStringFunc(output, func(code string) string {
			c, _ := strconv.ParseUint(code[1:], 16, 8) // the pattern has made sure
			return string([]byte{byte(c)})
		})
	}
	return false
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// stage is where one text of the campaign is put on.
type stage struct {
	t          *testing.T
	dir        string
	random     *rand.Rand
	args       []string // after the command
	env        map[string]string
	sockets    *statusSocket
	nowhere    bool // what is said to be the DSN may lead to any address
	standalone bool // the arguments are the whole command line
}

func (s *stage) file(name, content string) string {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *stage) config(content string) {
	s.args = append(s.args, "--config", s.file("rollup.toml", content))
}

// quoted writes a string of TOML.
func quoted(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\u%04X`, r)
			continue
		}
		b.WriteRune(r)
	}
	return `"` + b.String() + `"`
}

const goodDSN = "postgres://multica@127.0.0.1:1/multica"

// valued are flags that take a value, with a command that has each.
var valued = []struct{ command, flag string }{
	{"run", "budget"}, {"run", "every"}, {"backfill", "from"}, {"backfill", "months-back"}, {"backfill", "window"}, {"backfill", "pause-file"}, {"backfill", "nice"},
	{"status", "watch"}, {"verify", "since"}, {"verify", "list"}, {"doctor", "only"}, {"usage", "by"}, {"usage", "per"}, {"usage", "timezone"}, {"usage", "since"},
	{"config check", "config"}, {"config show", "engine"}, {"run", "log-level"}, {"guard", "log-format"}, {"run", "json"}, {"guard", "fix"},
}

// settings are keys whose value is text.
var settings = []string{"engine", "dsn_file", "log_level", "log_format", "state_dir", "run.budget", "walk.lock_timeout", "backfill.pause_file", "backfill.window",
	"backfill.nice", "backfill.max_active", "metrics.textfile"}

// ways are how a text gets in.
var ways = map[string]func(s *stage, text string){
	"dsn of the file":        func(s *stage, text string) { s.config("dsn = " + quoted(text) + "\n") },
	"dsn, not escaped":       func(s *stage, text string) { s.config(`dsn = "` + text + "\"\n") },
	"instead of the file":    func(s *stage, text string) { s.config(text) },
	"a key of the file":      func(s *stage, text string) { s.config(quoted(text) + " = 1\ndsn = " + quoted(goodDSN) + "\n") },
	"a key that is repeated": func(s *stage, text string) { s.config(quoted(text) + " = 1\n" + quoted(text) + " = " + quoted(text)) },
	"a section":              func(s *stage, text string) { s.config("[" + quoted(text) + "]\nx=1\n[" + quoted(text) + "]\n") },
	"another key": func(s *stage, text string) {
		name := pick(s.random, settings)
		s.config("dsn = " + quoted(goodDSN) + "\n" + name + " = " + quoted(text) + "\n")
	},
	"dsn_file":           func(s *stage, text string) { s.config("dsn_file = " + quoted(s.file("the-dsn", text))) },
	"MULTICA_ROLLUP_DSN": func(s *stage, text string) { s.env["MULTICA_ROLLUP_DSN"] = text },
	"DATABASE_URL":       func(s *stage, text string) { s.env["DATABASE_URL"] = text },
	"another variable": func(s *stage, text string) {
		s.env["MULTICA_ROLLUP_DSN"] = goodDSN
		s.env["MULTICA_ROLLUP_"+strings.ToUpper(strings.ReplaceAll(pick(s.random, settings), ".", "_"))] = text
	},
	"a variable's name": func(s *stage, text string) { s.env["MULTICA_ROLLUP_"+strings.ReplaceAll(text, "=", "")] = goodDSN },
	"libpq's variables": func(s *stage, text string) {
		s.env["PGHOST"], s.nowhere = "127.0.0.1", true
		s.env[pick(s.random, []string{"PGHOST", "PGDATABASE", "PGUSER", "PGPORT", "PGSERVICE", "PGSSLMODE", "PGPASSFILE"})] = text
		s.config("log_level = \"info\"\n")
	},
	"credential dsn":       func(s *stage, text string) { s.credential("dsn", text) },
	"credential of a dsn":  func(s *stage, text string) { s.credential("rollup.toml", "dsn = "+quoted(text)) },
	"an argument":          func(s *stage, text string) { s.args = append(s.args, text) },
	"arguments of a shell": func(s *stage, text string) { s.args = append(s.args, strings.Fields(text)...) },
	"instead of a command": func(s *stage, text string) { s.args, s.standalone = strings.Fields(text+" x"), true },
	"a flag": func(s *stage, text string) {
		s.args = append(s.args, pick(s.random, []string{"-", "--", "--dsn=", "-x", "--"})+text)
	},
	"a flag's value": func(s *stage, text string) {
		f := valued[s.random.IntN(len(valued))]
		s.args, s.standalone = append(strings.Fields(f.command), "--"+f.flag+"="+text), true
		if s.random.IntN(2) == 0 {
			s.args = append(strings.Fields(f.command), "--"+f.flag, text)
		}
		s.env["MULTICA_ROLLUP_DSN"] = goodDSN
	},
	"completion": func(s *stage, text string) {
		s.args, s.standalone = []string{pick(s.random, []string{"__complete", "__completeNoDesc", "completion"}), pick(s.random, []string{text, "status"}), text}, true
	},
}

func (s *stage) credential(name, text string) {
	directory := filepath.Join(s.dir, "credentials")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for _, other := range []string{"dsn", "rollup.toml"} {
		_ = os.Remove(filepath.Join(directory, other)) // of another text
	}
	if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.env["CREDENTIALS_DIRECTORY"] = directory
}

// resting are commands that open no connection, talking those that try to.
var (
	resting = []string{"config show", "config check", "config show --json", "config check --json", "doctor --only config", "doctor --only config --json", "version", "completion bash"}
	talking = []string{"run", "run --json", "backfill --dry-run", "backfill", "status", "status --json", "status --all", "status --all --json", "guard --json", "guard --fix", "verify",
		"verify --json", "doctor", "doctor -v --json", "doctor --all", "usage", "usage --json", "pgcron status", "pgcron install", "run --log-format json --log-level debug", "status --help"}
)

// reaches says whether a connection would be tried, and refused at once: nobody listens on that port.
func reaches(parsed dsn.DSN) bool {
	return slices.Equal(parsed.Hosts(), []string{"127.0.0.1"}) && (strings.HasSuffix(parsed.Get("host"), ":1") || parsed.Get("port") == "1") && parsed.Get("hostaddr") == ""
}

func TestNothingOfANearDSNIsShown(t *testing.T) {
	count, seed := 10_000, uint64(15)
	if text := os.Getenv("MULTICA_NEAR_DSNS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "MULTICA_ROLLUP_") || name == "DATABASE_URL" || name == "CREDENTIALS_DIRECTORY" {
			t.Setenv(name, "") // so that it comes back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	var names []string
	for name := range ways {
		names = append(names, name)
	}
	slices.Sort(names)
	sockets := newStatusSocket(t)
	past := pastTheStreams(t)
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	random := rand.New(rand.NewPCG(seed, seed))
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // each command makes a small heap, and leaves it
	public, refused, leaks := 0, 0, 0
	for n := range count {
		text := near(random)
		parsed, err := dsn.Parse(text)
		isPublic := err == nil && tells(parsed.String())
		if err != nil {
			refused++
		}
		if isPublic {
			public++ // a role or a database that is called so
			continue
		}
		for _, way := range []string{names[n%len(names)], pick(random, names)} {
			s := &stage{t: t, dir: dir, random: random, env: map[string]string{}, sockets: sockets}
			said, args := s.play(way, text, err == nil && reaches(parsed), n)
			if tells(said) && !(s.nowhere && isName(text)) {
				leaks++
				t.Errorf("text %d %q by %s: %q says\n%s", n, text, way, args, said)
			}
			if leaks > 20 {
				t.FailNow()
			}
		}
	}
	if said := past(); tells(said) {
		t.Errorf("past the streams of the program: %s", said)
	}
	if public > count/20 || refused < count/2 || refused > count*19/20 {
		t.Errorf("of %d texts %d are DSNs with the marker in public, and %d are refused: the campaign no longer looks at what it is for", count, public, refused)
	}
}

// play puts a text in by one way, and returns all that a command says then.
func (s *stage) play(way, text string, reaches bool, n int) (said string, args []string) {
	if dir := filepath.Join(s.dir, "state"); n == 0 {
		_ = os.Mkdir(dir, 0o700)
	}
	s.env["MULTICA_ROLLUP_STATE_DIR"] = filepath.Join(s.dir, "state")
	ways[way](s, text)
	commands := resting
	if !s.nowhere && (reaches || !isDSN(text)) {
		commands = slices.Concat(resting, talking)
	}
	args = s.args
	if !s.standalone {
		args = append(strings.Fields(pick(s.random, commands)), s.args...)
	}
	for name, value := range s.env {
		if strings.ContainsRune(name+value, 0) || os.Setenv(name, value) != nil {
			continue
		}
		defer os.Unsetenv(name)
	}
	s.sockets.attach(s.t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	err := cli.Run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	said = stdout.String() + stderr.String() + s.sockets.read()
	if err != nil {
		said += err.Error()
	}
	return said, args
}

// isName says whether a text in libpq's variables is one that a host or a role may
// have: those are shown, and nobody can know that it was meant as a password.
func isName(text string) bool {
	return dsn.CheckPublic(text, "", "") == nil || dsn.CheckPublic("", text, text) == nil
}

// isDSN says whether commands would go to where the text points.
func isDSN(text string) bool {
	_, err := dsn.Parse(text)
	return err == nil
}

// statusSocket is a service manager that keeps what it is told.
type statusSocket struct {
	fd   int
	path string
}

func newStatusSocket(t *testing.T) *statusSocket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &statusSocket{fd, filepath.Join(t.TempDir(), "notify")}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: s.path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	t.Setenv("NOTIFY_SOCKET", s.path)
	return s
}

// pastTheStreams collects what is written to the process's own standard error.
func pastTheStreams(t *testing.T) (read func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = file
	t.Cleanup(func() {
		os.Stderr = before
		_ = file.Close()
	})
	return func() string {
		said, err := os.ReadFile(file.Name())
		if err != nil {
			t.Error(err)
		}
		return string(said)
	}
}

// attach makes the next command speak to it: each takes the variable away.
func (s *statusSocket) attach(t *testing.T) {
	if err := os.Setenv("NOTIFY_SOCKET", s.path); err != nil {
		t.Fatal(err)
	}
}

// read returns what has come; a datagram is there as soon as it was sent.
func (s *statusSocket) read() string {
	var b strings.Builder
	buffer := make([]byte, 8<<10)
	for {
		n, _, err := unix.Recvfrom(s.fd, buffer, 0)
		if err != nil {
			return b.String()
		}
		b.Write(append(buffer[:n:n], '\n'))
	}
}
