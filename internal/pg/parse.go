package pg

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/files"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// unusable words a fault that package dsn has found.
func unusable(err error) error {
	if fault, ok := errors.AsType[*dsn.Fault](err); ok {
		return problem.New(problem.Config, fault.Hint, "the DSN %s", fault.Reason)
	}
	return problem.New(problem.Config, dsnHint, "the DSN cannot be used")
}

// checkFiles refuses what the driver would wait for, or read without end.
func checkFiles(parsed dsn.DSN) error {
	for key, path := range parsed.Files() {
		if err := files.Check(path); err != nil {
			return problem.New(problem.Config, "name a file in "+key, "the DSN cannot be used: it names %s as %s: %v", dsn.ShowPath(path), key, err)
		}
	}
	return nil
}

// checkPublic refuses what would be shown as a host, the role or the database, and may be a DSN.
func checkPublic(config *pgx.ConnConfig) error {
	hosts := []string{config.Host}
	for _, fallback := range config.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for _, host := range hosts {
		if err := dsn.CheckPublic(host, config.User, config.Database); err != nil {
			return unusable(err)
		}
	}
	return nil
}

// limitTLS bounds the versions of TLS in every way that the driver may try.
func limitTLS(config *pgx.ConnConfig, settings dsn.Settings) {
	all := []*tls.Config{config.TLSConfig}
	for _, fallback := range config.Fallbacks {
		all = append(all, fallback.TLSConfig)
	}
	for _, c := range all {
		if c != nil {
			c.MinVersion, c.MaxVersion = settings.MinTLS, settings.MaxTLS
		}
	}
}

// parseFaults are the library's own texts for a DSN it cannot use, with ours.
// Only these are told: its full text quotes the DSN, masked as well as it can
// guess, and a mistyped DSN may hold the password anywhere.
var parseFaults = []struct{ theirs, ours string }{
	{"failed to parse as URL", "it is not a well-formed URL"},
	{"failed to parse as keyword/value", "it is neither a URL nor keyword=value pairs"},
	{"invalid port", "the port is not a number from 1 to 65535"},
	{"could not match", "the number of ports does not match the number of hosts"},
	{"failed to read service", "the service it names is not in the service file, or that file cannot be read"},
	{"invalid connect_timeout", "connect_timeout is not a number of seconds"},
	{"unknown target_session_attrs value", "target_session_attrs is none of any, read-write, read-only, primary, standby, prefer-standby"},
	{"failed to configure TLS", "its TLS settings cannot be used (sslmode is one of disable, allow, prefer, require, verify-ca, verify-full)"},
	{"unknown channel_binding value", "channel_binding is none of disable, prefer, require"},
	{"invalid sslcertmode", "sslcertmode is none of disable, allow, require"},
	{"invalid require_auth", "require_auth names an unknown method"},
	{"invalid min_protocol_version", "min_protocol_version is none of 3.0, 3.2, latest"},
	{"invalid max_protocol_version", "max_protocol_version is none of 3.0, 3.2, latest"},
	{"min_protocol_version cannot", "min_protocol_version is greater than max_protocol_version"},
	{"invalid default_query_exec_mode", "default_query_exec_mode is unknown; leave it out, since this program sets its own"},
	{"cannot parse statement_cache_capacity", "statement_cache_capacity is not a number"},
	{"cannot parse description_cache_capacity", "description_cache_capacity is not a number"},
}

const dsnHint = "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, with %XX for special characters in the password, or as host=HOST user=USER dbname=DATABASE"

// explainParse tells what is wrong with a DSN without quoting it. The cause is
// left out: pgconn.ParseConfigError holds the DSN in an exported field.
func explainParse(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		hint := "name the file by its absolute path"
		if errors.Is(err, fs.ErrPermission) {
			hint = "let the user multica-rollup read it, or pass it to the service by LoadCredential=NAME:" + dsn.ShowPath(path.Path) + " and write credential:NAME"
		}
		return problem.New(problem.Config, hint, "the DSN cannot be used: it names the file %s: %v", dsn.ShowPath(path.Path), path.Err)
	}
	reason := "it cannot be parsed"
	for _, fault := range parseFaults {
		if strings.Contains(err.Error(), "`: "+fault.theirs) {
			reason = fault.ours
			break
		}
	}
	return problem.New(problem.Config, dsnHint, "the DSN cannot be used: %s", reason)
}
