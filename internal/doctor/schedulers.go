package doctor

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/multica-rollup/multica-rollup/internal/report"
	"github.com/multica-rollup/multica-rollup/internal/scheduler"
	"github.com/multica-rollup/multica-rollup/internal/units"
)

// other is somebody besides our timer who rolls up this database, and how to
// leave it to one of the two.
type other struct {
	what string
	stop Fix
}

// units asks the service manager, once.
func (e *Env) units(ctx context.Context) (*units.Units, error) {
	if e.found != nil || e.Units == nil {
		return e.found, nil
	}
	found, err := e.Units(ctx)
	e.found = found
	return found, err
}

// timerActive says whether our own timer is switched on.
func (e *Env) timerActive(ctx context.Context) bool {
	u, err := e.units(ctx)
	return err == nil && u != nil && u.Timer != nil && u.Timer.Active
}

// schedulers lists who else rolls up this database, and is active.
func (e *Env) schedulers(ctx context.Context) ([]other, error) {
	if e.others != nil {
		return e.others, nil
	}
	from := scheduler.Source{Conn: e.conn, Settings: e.settings(), Database: e.pipe.Database}
	if err := e.readCron(ctx); err == nil { // else pg_cron's own checks say why
		from.Cron = *e.cron
	}
	found, err := scheduler.Read(ctx, e.Schedulers, from)
	if err != nil {
		return nil, err
	}
	list := []other{}
	for _, s := range found {
		if !s.Active {
			continue
		}
		what := s.InFull
		if s.Called != "" {
			what = s.Called + ": " + what
		}
		if s.LastRun != nil {
			what += ", last at " + report.Stamp(*s.LastRun)
		}
		list = append(list, other{what, e.end(s.Stop)})
	}
	for _, c := range cronEntries(e.Root) {
		fix := Fix{Command: "rm " + shellWord(c.file)}
		if !c.own {
			fix = Fix{Advice: "take the line out of " + c.file}
			if strings.Contains(c.file, "/var/spool/cron/") { // which is its user's, and not to be edited as a file
				fix = Fix{Advice: "take the line out: crontab -u " + shellWord(filepath.Base(c.file)) + " -e"}
			}
		}
		list = append(list, other{"cron: " + c.call + " in " + c.file, fix})
	}
	e.others = list
	return list, nil
}

// cronEntry is a line of a crontab that rolls up.
type cronEntry struct {
	file, call string
	own        bool // the file has no other entry
}

// cronPlaces are where crons keep their tables; a user's own is readable by root alone.
var cronPlaces = []string{
	"/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*",
	"/var/spool/cron/*", "/var/spool/cron/crontabs/*",
}

var rollsUp = regexp.MustCompile(`rollup_task_usage_hourly|multica-rollup(\s+\S+)*\s+run\b`)

// cronEntries looks for roll-ups in this host's crontabs below root. What may not be read is passed over.
func cronEntries(root string) []cronEntry {
	var found []cronEntry
	for _, place := range cronPlaces {
		files, err := filepath.Glob(filepath.Join("/", root, place))
		if err != nil {
			continue // the patterns are constants
		}
		for _, path := range files {
			found = append(found, cronEntriesOf(path)...)
		}
	}
	return found
}

func cronEntriesOf(path string) []cronEntry {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // which was only read
	var found []cronEntry
	entries := 0
	for scan := bufio.NewScanner(file); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if words := strings.Fields(line); len(words) > 1 && !strings.Contains(words[0], "=") {
			entries++
		}
		if call := rollsUp.FindString(line); call != "" {
			found = append(found, cronEntry{file: path, call: call})
		}
	}
	for i := range found {
		found[i].own = entries == len(found) && filepath.Base(filepath.Dir(path)) == "cron.d"
	}
	return found
}

// lastRun is when anybody last finished a roll-up; zero where nobody did.
func (r *stateRow) lastRun() time.Time {
	if r.finished == nil {
		return time.Time{}
	}
	return *r.finished
}
