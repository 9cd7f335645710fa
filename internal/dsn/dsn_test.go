package dsn

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestSecretsAreMaskedAndTheRestIsKept(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"postgres://u:s3cr3t@h:5432/d?sslmode=require", "postgres://u:xxxxx@h:5432/d?sslmode=require"},
		{"postgresql://u:s3cr3t@h1:1,h2:2,[::1]:3/d", "postgresql://u:xxxxx@h1:1,h2:2,[::1]:3/d"},
		{"postgres://u:s%40cr3t@h/d", "postgres://u:xxxxx@h/d"},
		{"postgres://u:s3?cr3t@h/d", "postgres://u:xxxxx@h/d"},
		{"postgres://u:s:cr3t@h/d", "postgres://u:xxxxx@h/d"},
		{"postgres://u@h/d?password=s3cr3t&application_name=x", "postgres://u@h/d?password=xxxxx&application_name=x"},
		{"postgres://u@h/d?pass%77ord=s3cr3t", "postgres://u@h/d?pass%77ord=xxxxx"},
		{"postgres://u@h/d?sslpassword=s3cr3t", "postgres://u@h/d?sslpassword=xxxxx"},
		{"postgres://u:@h/d", "postgres://u:@h/d"},
		{"postgres:///d?host=/var/run/postgresql", "postgres:///d?host=/var/run/postgresql"},
		{"postgres://", "postgres://"},
		{"host=h user=u password=s3cr3t dbname=d", "host=h user=u password=xxxxx dbname=d"},
		{"host=h  password = 's3 cr3t'\tdbname=d", "host=h password=xxxxx dbname=d"},
		{`password='it\'s 3cr3t' host=h`, `password=xxxxx host=h`},
		{`password=s3\ cr3t host=h`, `password=xxxxx host=h`},
		{"password=", "password="},
		{"", ""},
	} {
		parsed, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := parsed.String(); got != tt.want {
			t.Errorf("%s\nis shown as %s\nwant        %s", tt.text, got, tt.want)
		}
		if parsed.HasSecret() != strings.Contains(tt.text, "cr3t") {
			t.Errorf("%s: HasSecret() = %v", tt.text, parsed.HasSecret())
		}
	}
}

func TestMalformedStringsAreRefusedWithoutQuotingThem(t *testing.T) {
	for _, text := range []string{
		"s3cr3t", "=s3cr3t", "host=h s3cr3t", "password='s3cr3t", "pass word=s3cr3t", "host=h\x00password=s3cr3t",
		"postgres://u:s3/cr3t@h/d", "postgres://u:s3@cr3t@h/d", "postgres://u:%zz@h/d", "postgres://h:s3cr3t/d",
		"postgres://u@h/d?s3cr3t", "mysql://u:s3cr3t@h/d",
	} {
		parsed, err := Parse(text)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v", text, parsed, err)
			continue
		}
		if said := err.Error() + err.(*Fault).Hint; strings.Contains(said, "cr3t") || err.(*Fault).Hint == "" {
			t.Errorf("%q: %s", text, said)
		}
	}
}

func TestMapReplacesValuesAndQuotesThem(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"host=h sslkey=X password=X", `host=h sslkey='/a b/\'c\\&@' password=X`},
		{"postgres://u:X@h/d?sslkey=X&sslmode=X", "postgres://u:X@h/d?sslkey=%2Fa%20b%2F%27c%5C%26%40&sslmode=X"},
	} {
		parsed, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		mapped, err := parsed.Map(func(key, value string) (string, error) {
			if key == "sslkey" {
				return `/a b/'c\&@`, nil
			}
			return value, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := mapped.Reveal(); got != tt.want {
			t.Errorf("%s\nbecame %s\nwant   %s", tt.text, got, tt.want)
		}
		again, err := Parse(mapped.Reveal())
		if err != nil || again.Get("sslkey") != `/a b/'c\&@` {
			t.Errorf("%s is read again as %q, %v", mapped.Reveal(), again.Get("sslkey"), err)
		}
	}
}

func TestRedactFindsTheSecretInEveryForm(t *testing.T) {
	parsed, err := Parse("postgres://u:s%40%2Fcr3t@h/d?sslpassword=k3y")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := parsed.Redact("s@/cr3t s%40%2Fcr3t s@%2Fcr3t k3y kay"), "xxxxx xxxxx xxxxx xxxxx kay"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRedactLeavesAPublicWordReadable(t *testing.T) {
	parsed, err := Parse("postgres://multica:multica@localhost/multica")
	if err != nil {
		t.Fatal(err)
	}
	text := `role "multica" on localhost/multica: postgres://multica:multica@localhost/multica password=multica`
	want := `role "multica" on localhost/multica: postgres://multica:xxxxx@localhost/multica password=xxxxx`
	if got := parsed.Redact(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRedactDoesNotMaskItsOwnMask(t *testing.T) {
	parsed, err := Parse(strings.Repeat("password=xx password=x ", 50))
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Redact("password=x in text"); got != "password=x in text" {
		t.Errorf("got %q", got)
	}
	if got := Redact("axb axb", "xb", "axb"); got != "axb axb" {
		t.Errorf("got %q", got)
	}
}

// What this package accepts or refuses must not hide a password that the driver would use.
func FuzzTheDriversPasswordIsKnown(f *testing.F) {
	for _, seed := range []string{
		"postgres://u:s3cr3t@h/d", "postgres://u:s%33cr3t@h:1,g:2/d?x=y", "postgres://u@h/d?password=s3cr3t", "postgresql://[::1]/d?pass%77ord=x",
		"host=h password=s3cr3t", "password = 'a b' host=h", `password=a\ b`, "password=a password=b", "postgres://u:p@/d", "user=u password=''",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(parsed.Reveal())
		if err != nil {
			t.Fatalf("%q became %q: %v", text, parsed.Reveal(), err)
		}
		if again.String() != parsed.String() {
			t.Errorf("%q is shown as %q, then as %q", text, parsed, again)
		}
		settings, err := parsed.Driver()
		if err != nil {
			t.Fatal(err)
		}
		config, err := pgx.ParseConfig(settings.Text)
		if err != nil || config.Password == "" {
			return
		}
		if got := parsed.Get("password"); got != config.Password {
			t.Errorf("%q: password %q, the driver takes %q", text, got, config.Password)
		}
	})
}
