package usage

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/multica-rollup/multica-rollup/internal/report"
)

// The layout of a table.
const (
	defaultWidth  = 80
	numberWidth   = 8
	costWidth     = 10
	nameWidth     = 19 // the least of a table with one column of names
	leastWidth    = 8  // of a column of names, where there are many
	shortIDLength = 8
)

// block is one table: a workspace's, or the one of all workspaces.
type block struct {
	title    string
	total    *Measures
	detached *Tokens
	lines    []line
}

type line struct {
	names    []string
	measures *Measures
}

// WriteTable writes a report for people: a table for each workspace, or one where
// workspaces are compared. limit bounds the rows of each period; ids shows full
// ids instead of names.
func (r *Report) WriteTable(w io.Writer, st report.Style, limit int, ids bool) error {
	var b strings.Builder
	blocks := r.blocks(limit, ids)
	for i, bl := range blocks {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.writeBlock(&b, bl, st, ids)
	}
	if len(blocks) == 0 {
		b.WriteString(r.title("no usage") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// blocks arranges the rows into tables, the largest first.
func (r *Report) blocks(limit int, ids bool) []block {
	kept, omitted := r.Limit(limit)
	of := map[string][]Row{} // by workspace, or all under ""
	group := func(id string) string {
		if r.Has(Workspace) {
			return ""
		}
		return id
	}
	for _, row := range r.Rows {
		of[group(row.WorkspaceID)] = append(of[group(row.WorkspaceID)], row)
	}
	for id, t := range r.Detached {
		if !t.IsZero() && of[group(id)] == nil {
			of[group(id)] = []Row{}
		}
	}
	var workspaces []string
	totals := map[string]*Measures{}
	for id, rows := range of {
		workspaces, totals[id] = append(workspaces, id), Total(rows)
	}
	slices.SortFunc(workspaces, func(a, b string) int {
		return cmp.Or(totals[b].Sum().Cmp(totals[a].Sum()), cmp.Compare(a, b))
	})
	var blocks []block
	for _, id := range workspaces {
		bl := block{title: "all workspaces", total: totals[id], detached: r.detachedOf(id)}
		if id != "" {
			bl.title = r.shown(Key{WorkspaceID: id}, Workspace, ids)
		}
		own := slices.DeleteFunc(slices.Clone(kept), func(row Row) bool { return group(row.WorkspaceID) != id })
		for i := range own {
			bl.lines = append(bl.lines, line{r.names(own[i].Key, ids), &own[i].Measures})
			last := i == len(own)-1 || own[i+1].Period != own[i].Period
			if more := omitted[r.limitGroup(own[i].Key)]; last && len(more) > 0 {
				bl.lines = append(bl.lines, line{r.moreNames(own[i].Key, len(more)), Total(more)})
			}
		}
		blocks = append(blocks, bl)
	}
	return blocks
}

// columnsOfNames are the dimensions that have a column of their own.
func (r *Report) columnsOfNames() []Dimension {
	return slices.DeleteFunc(Dimensions(), func(d Dimension) bool { return !r.Has(d) })
}

func (r *Report) names(k Key, ids bool) []string {
	var names []string
	if r.Per != "" {
		names = append(names, k.Period)
	}
	for _, d := range r.columnsOfNames() {
		names = append(names, r.shown(k, d, ids))
	}
	return names
}

// moreNames are the names of the line for what a limit leaves out.
func (r *Report) moreNames(k Key, n int) []string {
	names := make([]string, len(r.columnsOfNames()))
	names[0] = fmt.Sprintf("(%d more)", n)
	if r.Per != "" {
		names = slices.Insert(names, 0, k.Period)
	}
	return names
}

// shown is what a table calls a row: its name, or the beginning of its id where
// the name is not known.
func (r *Report) shown(k Key, d Dimension, ids bool) string {
	id := k.id(d)
	if ids && id != "" {
		return id
	}
	name := printable(r.label(k, d))
	if name == "" && id != "" {
		return id[:min(shortIDLength, len(id))]
	}
	return cmp.Or(name, "-")
}

// title is the line above a table.
func (r *Report) title(name string) string {
	dates := r.From.Format(DateLayout)
	if !r.To.Equal(r.From) {
		dates += " to " + r.To.Format(DateLayout)
	}
	mark := "not rolled up yet"
	if !report.AtEpoch(r.Watermark) {
		layout := "2 Jan 15:04"
		if r.WatermarkLocal.Year() != r.To.Year() {
			layout = "2 Jan 2006 15:04"
		}
		mark = "rolled up to " + r.WatermarkLocal.Format(layout)
	}
	return strings.Join([]string{name, dates, r.Timezone, mark}, ", ")
}

func (r *Report) writeBlock(b *strings.Builder, bl block, st report.Style, ids bool) {
	b.WriteString(st.Bold(r.title(bl.title)) + "\n")
	var header []string
	if r.Per != "" {
		header = append(header, strings.ToUpper(r.Per))
	}
	for _, d := range r.columnsOfNames() {
		header = append(header, strings.ToUpper(string(d)))
	}
	total := make([]string, len(header))
	total[0] = "TOTAL"
	lines := append(slices.Clone(bl.lines), line{total, bl.total})

	numbers := [][]string{{"INPUT", "OUTPUT", "CACHE WR", "CACHE RD", "TOKENS", "COST"}}
	names := [][]string{header}
	for _, l := range lines {
		numbers, names = append(numbers, r.numbers(l.measures)), append(names, l.names)
	}
	numberWidths := []int{numberWidth, numberWidth, numberWidth, numberWidth, numberWidth, costWidth}
	used := 0
	for i := range numberWidths {
		for _, row := range numbers {
			numberWidths[i] = max(numberWidths[i], len(row[i]))
		}
		used += 1 + numberWidths[i]
	}
	nameWidths := widths(names, cmp.Or(st.Width, defaultWidth)-used, ids)
	for i, row := range names {
		var text strings.Builder
		for j, name := range row {
			if j > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(pad(name, nameWidths[j]))
		}
		for j, number := range numbers[i] {
			fmt.Fprintf(&text, " %*s", numberWidths[j], number)
		}
		out := text.String()
		if i == 0 || i == len(names)-1 {
			out = st.Bold(out)
		}
		b.WriteString(out + "\n")
	}
	if bl.total.CostReported() && !bl.total.CostComplete() {
		fmt.Fprintf(b, "* incomplete: %s tokens have no reported cost\n", Short(bl.total.Uncosted.Sum()))
	}
	if !bl.detached.IsZero() {
		fmt.Fprintf(b, "Not in the dashboard: %s tokens whose runtime was deleted\n", Short(bl.detached.Sum()))
	}
}

// numbers are a line's counts and cost as they are printed.
func (r *Report) numbers(m *Measures) []string {
	cost := "-"
	if m.CostReported() {
		cost = Cents(&m.Cost)
		if !m.CostComplete() {
			cost += "*"
		}
	}
	return []string{Short(&m.Input), Short(&m.Output), Short(&m.CacheWrite), Short(&m.CacheRead), Short(m.Sum()), cost}
}

// widths gives each column of names what it needs, or what there is room for:
// the widest give way first. Ids are never cut.
func widths(names [][]string, room int, ids bool) []int {
	need := make([]int, len(names[0]))
	sum := len(need) - 1
	for i := range need {
		for _, row := range names {
			need[i] = max(need[i], columnsOf(row[i]))
		}
		sum += need[i]
	}
	if len(need) == 1 {
		sum += max(nameWidth-need[0], 0)
		need[0] = max(need[0], nameWidth)
	}
	for ; sum > room && !ids; sum-- {
		widest := slices.Index(need, slices.Max(need))
		if need[widest] <= leastWidth+2 { // a date has ten
			break
		}
		need[widest]--
	}
	return need
}

// pad fills a name up to a width, or cuts it.
func pad(name string, to int) string {
	if n := columnsOf(name); n <= to {
		return name + strings.Repeat(" ", to-n)
	}
	used, cut := 0, 0
	for i, c := range name {
		w := runeColumns(c)
		if used+w > to-1 {
			break
		}
		used, cut = used+w, i+len(string(c))
	}
	return name[:cut] + "…" + strings.Repeat(" ", to-1-used)
}

// columnsOf is how many columns of a terminal a text takes.
func columnsOf(s string) (n int) {
	for _, c := range s {
		n += runeColumns(c)
	}
	return n
}

func runeColumns(c rune) int {
	if unicode.In(c, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// printable takes out of a name what a terminal would act on: whoever may name an
// agent must not be able to move the reader's cursor.
func printable(name string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) || c == '\u2028' || c == '\u2029' {
			return '\uFFFD'
		}
		return c
	}, name)
}
