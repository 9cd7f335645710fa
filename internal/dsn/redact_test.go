package dsn

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestRedactFindsASecretHoweverItIsWritten(t *testing.T) {
	const password = `Tr0ub4dor &3 'quo"te'\ümlaut`
	parsed, err := Parse("host=h user=u dbname=d password=" + DSN{}.quote(password))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(password)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain": password, "quoted for Go": strconv.Quote(password), "in ASCII": strconv.QuoteToASCII(password), "JSON": string(asJSON),
		"in a query": url.QueryEscape(password), "in a path": url.PathEscape(password), "lower-case hex": "Tr0ub4dor%20&3%20%27quo%22te%27%5c%c3%bcmlaut",
		"SQL": strings.ReplaceAll(password, "'", "''"), "folded": strings.ReplaceAll(password, " ", "\n    "), "cut to 8": password[:8], "cut to 12": password[:12],
		"for a shell": `'` + strings.ReplaceAll(password, "'", `'\''`) + `'`, "for a shell, too": `'` + strings.ReplaceAll(password, "'", `'"'"'`) + `'`,
		"cut and quoted": strconv.Quote(password[:20]), "in its own quotes": DSN{}.quote(password),
	} {
		got := parsed.Redact("before " + text + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, Mask) {
			t.Errorf("%s: %s", name, got)
		}
		if strings.Contains(strings.ToLower(got), "tr0ub4d") || strings.Contains(got, "mlaut") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := parsed.Redact("Tr0ub4d"); got != "Tr0ub4d" {
		t.Errorf("seven characters are masked: %s", got)
	}
}

func TestAPrefixThatIsAnOrdinaryWordStaysReadable(t *testing.T) {
	parsed, err := Parse("host=h user=multica-rollup password=multica-rollup-7Kq9 dbname=d")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := parsed.Redact("multica-rollup: multica-rollup-7Kq9 multica-rollup-7"), "multica-rollup: xxxxx xxxxx"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
