// Package lacks is the one list of what builds of PostgreSQL that the tests run on come without. A test
// that needs such a part is not run there, and counted as not run; any other part that is missing fails.
package lacks

import (
	"fmt"
	"regexp"
	"strconv"
)

// The parts: the extension pg_cron, and pg_dump with pg_restore of the server's own version.
const (
	PgCron = "pg_cron"
	PgDump = "pg_dump"
)

// bare is what the builds from npm (packaging/dev/deps.sh postgres-N) come without, by major version.
// They bring neither psql nor pg_basebackup either: no test of ours needs those of the server's version.
func bare() map[int][]string {
	missing := []string{PgCron, PgDump}
	return map[int][]string{15: missing, 16: missing, 17: missing, 18: missing}
}

// Listed reports whether builds from npm of that major version are known to come without the part.
func Listed(version int, part string) bool {
	for _, listed := range bare()[version] {
		if listed == part {
			return true
		}
	}
	return false
}

// Reason is what a test says that is not run for want of a part.
func Reason(version int, part string) string {
	return fmt.Sprintf("not run on PostgreSQL %d: %s is not packaged for it", version, part)
}

var reason = regexp.MustCompile(`\bnot run on PostgreSQL ([0-9]+): (\S+) is not packaged for it`)

// Parse finds a Reason in a test's output. It is false where there is none, and where the part is not on
// the list.
func Parse(output string) (version int, part string, ok bool) {
	found := reason.FindStringSubmatch(output)
	if found == nil {
		return 0, "", false
	}
	version, err := strconv.Atoi(found[1])
	if err != nil {
		return 0, "", false
	}
	return version, found[2], Listed(version, found[2])
}
