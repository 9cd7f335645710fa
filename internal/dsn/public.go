package dsn

import (
	"net/netip"
	"strings"
)

// What names the host, the role and the database is shown everywhere. So it must
// not be a DSN that went astray, nor a part of one.

// CheckPublic says what is wrong with a host, a role or a database that came from
// libpq's environment or its service file; nil where nothing is. The error is a *Fault.
func CheckPublic(host, user, dbname string) error {
	var wrong *Fault
	switch {
	case !isHost(host):
		wrong = fault("correct PGHOST, or host in the service file", "is completed by a service file or the environment with a host that is none")
	case !isName(user):
		wrong = fault("correct PGUSER, or user in the service file", "is completed by a service file or the environment with a role that is more likely a DSN")
	case !isName(dbname):
		wrong = fault("correct PGDATABASE, or dbname in the service file", "is completed by a service file or the environment with a database that is more likely a DSN")
	default:
		return nil
	}
	return wrong
}

// isHost says whether a host is a name, an address, or the directory of a socket.
func isHost(host string) bool {
	switch {
	case !hostLike.MatchString(host), strings.HasPrefix(host, "//"):
		return false
	case strings.HasPrefix(host, "/"), strings.HasPrefix(host, "@"):
		return !strings.ContainsAny(host, "%:") && strings.LastIndexByte(host, '@') <= 0
	case strings.ContainsAny(host, ":%"):
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		return err == nil
	}
	return !strings.Contains(host, "/")
}

// isName says whether a name can be that of a role or a database. PostgreSQL takes
// any; what holds a DSN together is in none that anybody chose.
func isName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(":/=%\"'`;\\<>{}“”‘’«»", r) })
}
