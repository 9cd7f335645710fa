package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// translations are the pages that exist in English and in Simplified Chinese.
// The journal's explanations are held together beside their events.
var translations = [][2]string{
	{"README.md", "README.zh-CN.md"},
	{"docs/guide.md", "docs/guide.zh-CN.md"},
}

func TestTranslationsHaveTheSameHeadingsInOrder(t *testing.T) {
	for _, pair := range translations {
		var levels [2][]int
		for i, path := range pair {
			for _, h := range readPage(t, path).headings {
				levels[i] = append(levels[i], h.level)
			}
		}
		if diff := cmp.Diff(levels[0], levels[1]); diff != "" {
			t.Errorf("levels of headings (-%s +%s):\n%s", pair[0], pair[1], diff)
		}
	}
}

// comment is what translations of code may differ in.
var comment = regexp.MustCompile(`(^|\s+)(#|--) .*$`)

func TestTranslationsHaveTheSameCode(t *testing.T) {
	for _, pair := range translations {
		var code [2][]fence
		for i, path := range pair {
			code[i] = readPage(t, path).fences
			for _, f := range code[i] {
				for j, line := range f.lines {
					f.lines[j] = comment.ReplaceAllString(line, "")
				}
			}
		}
		if diff := cmp.Diff(code[0], code[1], cmp.AllowUnexported(fence{})); diff != "" {
			t.Errorf("fenced code (-%s +%s):\n%s", pair[0], pair[1], diff)
		}
	}
}

func TestTranslationsNameTheSameCommandsKeysAndFiles(t *testing.T) {
	for _, pair := range translations {
		var spans [2][][]string
		var headings [2][]heading
		for i, path := range pair {
			p := readPage(t, path)
			spans[i], headings[i] = p.spans, p.headings
		}
		if len(spans[0]) != len(spans[1]) {
			t.Errorf("%s has %d sections, %s %d", pair[0], len(spans[0]), pair[1], len(spans[1]))
			continue
		}
		for n := range spans[0] {
			for i := range pair {
				slices.Sort(spans[i][n])
				spans[i][n] = slices.Compact(spans[i][n])
			}
			if diff := cmp.Diff(spans[0][n], spans[1][n]); diff != "" {
				t.Errorf("code in the prose of section %d, %q (-%s +%s):\n%s", n, headings[0][max(0, n-1)].text, pair[0], pair[1], diff)
			}
		}
	}
}

func TestTranslationsPointToEachOther(t *testing.T) {
	for _, pair := range translations {
		for i, path := range pair {
			other := pair[1-i]
			if !slices.ContainsFunc(readPage(t, path).links, func(l string) bool { return strings.HasSuffix(other, l) }) {
				t.Errorf("%s has no link to %s", path, other)
			}
		}
	}
}

// The questions that people ask in public, by what has to be in the heading of an answer.
func TestTheGuideAnswersWhatIsAsked(t *testing.T) {
	topics := []string{
		"zero after an upgrade", "stop at 103", "days not mine", "deleted agents", "deleted runtimes", "cost differ", "two schedulers",
		"PgBouncer", "managed PostgreSQL", "restore", "removed", "send it",
	}
	p := readPage(t, "docs/guide.md")
	begun := slices.IndexFunc(p.headings, func(h heading) bool { return h.level == 2 && h.text == "Frequent questions" })
	if begun < 0 {
		t.Fatal("the guide has no frequent questions")
	}
	var questions []string
	for _, h := range p.headings[begun+1:] {
		if h.level == 2 {
			break
		}
		questions = append(questions, h.text)
		if !strings.HasSuffix(h.text, "?") {
			t.Errorf("%q is no question", h.text)
		}
	}
	for _, topic := range topics {
		if !slices.ContainsFunc(questions, func(q string) bool { return strings.Contains(q, topic) }) {
			t.Errorf("no question is about %q", topic)
		}
	}
}
