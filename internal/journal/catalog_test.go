package journal

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// explanation is one entry of a message catalog.
type explanation struct {
	headers map[string][]string
	body    string
}

var (
	idLine     = regexp.MustCompile(`^-- ([0-9a-f]{32})$`)
	headerLine = regexp.MustCompile(`^([A-Z][A-Za-z-]*): (.+)$`)
	reference  = regexp.MustCompile(`@([A-Z_]+)@`)
)

// readCatalog parses a message catalog as `journalctl --update-catalog` does,
// and more strictly: https://systemd.io/CATALOG/.
func readCatalog(t *testing.T, name string) map[string]explanation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	catalog := map[string]explanation{}
	var id string
	inHeaders := false
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "#") || id == "" && line == "" {
			continue
		}
		if match := idLine.FindStringSubmatch(line); match != nil {
			id, inHeaders = match[1], true
			if _, twice := catalog[id]; twice {
				t.Errorf("%s:%d: %s is explained twice", name, i+1, id)
			}
			catalog[id] = explanation{headers: map[string][]string{}}
			continue
		}
		if strings.HasPrefix(line, "--") {
			t.Errorf("%s:%d: %q is no id", name, i+1, line)
		}
		entry := catalog[id]
		switch match := headerLine.FindStringSubmatch(line); {
		case id == "":
			t.Errorf("%s:%d: text before the first id", name, i+1)
		case inHeaders && line == "":
			inHeaders = false
		case inHeaders && match == nil:
			t.Errorf("%s:%d: %q is no header", name, i+1, line)
		case inHeaders:
			entry.headers[match[1]] = append(entry.headers[match[1]], match[2])
		default:
			entry.body += line + "\n"
			catalog[id] = entry
		}
	}
	return catalog
}

func TestEveryEventIsExplainedInEveryLanguage(t *testing.T) {
	fields := map[string]bool{}
	for _, key := range []string{
		KeyRows, KeyWatermark, KeyLagSeconds, KeyEngine, KeySliceFrom, KeySliceTo, KeyDurationMS, KeyReason, KeyDatabase,
	} {
		fields[fieldName(key)] = true
	}
	catalogs, err := filepath.Glob("../../systemd/*.catalog")
	if err != nil || len(catalogs) < 2 {
		t.Fatalf("found %q, %v; want one catalog a language", catalogs, err)
	}
	for _, path := range catalogs {
		name := filepath.Base(path)
		catalog := readCatalog(t, name)
		for _, event := range Events() {
			entry, ok := catalog[event.UUID()]
			if !ok {
				t.Errorf("%s does not explain %s (%s)", name, event, event.UUID())
				continue
			}
			delete(catalog, event.UUID())
			if strings.TrimSpace(entry.body) == "" {
				t.Errorf("%s: %s has no text", name, event)
			}
			for _, header := range []string{"Subject", "Defined-By", "Support"} {
				if len(entry.headers[header]) != 1 {
					t.Errorf("%s: %s has %d %s headers, want 1", name, event, len(entry.headers[header]), header)
				}
			}
			for _, page := range entry.headers["Documentation"] {
				file := strings.NewReplacer("man:", "", "(", ".", ")", "").Replace(page)
				if _, err := os.Stat(filepath.Join("..", "..", "packaging", "man", file)); err != nil {
					t.Errorf("%s: %s refers to %s, which is not shipped: %v", name, event, page, err)
				}
			}
			for _, match := range reference.FindAllStringSubmatch(strings.Join(entry.headers["Subject"], "")+entry.body, -1) {
				if !fields[match[1]] {
					t.Errorf("%s: %s refers to @%s@, which is no field of ours", name, event, match[1])
				}
			}
		}
		for id := range catalog {
			t.Errorf("%s explains %s, which is no event", name, id)
		}
	}
}

func TestEventsHaveNamesAndIDsOfTheirOwn(t *testing.T) {
	if len(Events()) != len(kinds)-1 {
		t.Fatalf("%d events, %d kinds", len(Events()), len(kinds)-1)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for _, event := range Events() {
		if event.String() == "" || names[event.String()] || ids[event.UUID()] || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(event.UUID()) {
			t.Errorf("event %d: name %q and id %q have to be filled and unique", event, event, event.UUID())
		}
		names[event.String()], ids[event.UUID()] = true, true
	}
	if Event(0).UUID() != "" || Event(255).UUID() != "" {
		t.Error("an event that does not exist has an id")
	}
}
