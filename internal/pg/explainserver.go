package pg

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/multica-rollup/multica-rollup/internal/problem"
)

// SQLSTATEs that only the explanation knows.
const (
	stateProtocolViolation   = "08P01" // what PgBouncer says all its own refusals with
	stateUndefinedObject     = "42704"
	stateOutOfMemory         = "53200"
	stateWrongObjectState    = "55000" // a database with ALLOW_CONNECTIONS false, among much else
	stateIdleSessionTimeout  = "57P05"
	stateInvalidSchemaName   = "3F000"
	stateInvalidParameter    = "22023"
	stateCannotChangeRuntime = "55P02"
)

// serverFault classes an error that the server, or a pooler in front of it, has answered.
func serverFault(e *pgconn.PgError, role string) fault {
	message := oneLine(e.Message)
	f := fault{rank: rankServer, text: message}
	switch e.Code {
	case StateInvalidPassword:
		f.kind = problem.Permission
		f.hint = "check user and password in the DSN; psql with the same DSN must get in"
	case StateInvalidAuthorization:
		f.kind, f.hint = authorizationHint(message, role)
	case StateUndefinedDatabase:
		f.kind = problem.Config
		f.hint = "name Multica's database in the DSN; psql -l lists what there is"
	case StateTooManyConnections:
		f.kind = problem.Unreachable
		f.hint = "wait, or raise max_connections, or the role's or the database's CONNECTION LIMIT"
	case StateCannotConnectNow:
		f.kind = problem.Unreachable
		f.hint = "wait until the server has started or recovered; the next run tries again"
	case StateAdminShutdown, StateCrashShutdown:
		f.kind = problem.Unreachable
		f.hint = "the server is going down or an administrator ended the session; the next run goes on where this one stopped"
	case StateInsufficientPrivilege:
		f.kind, f.hint = problem.Permission, grantHint(message, role)
		if hidesRows(e) {
			f.hint = "alter role " + quoteOr(role) + " bypassrls; -- in psql, as a superuser"
		}
	case StateReadOnlyTransaction:
		f.kind = problem.Unreachable // a primary that became a standby: a freeze is found out before
		f.text = "the server accepts no writes: " + message
		f.hint = "the DSN reaches a standby, or default_transaction_read_only is on: list every server (host=a,b) with target_session_attrs=read-write"
	case StateDiskFull:
		f.hint = "make room on the server's disk; the slice was rolled back and nothing is lost"
	case stateOutOfMemory:
		f.hint = "lower [walk] slice_target, or give the server more memory"
	case StateLockNotAvailable:
		f.kind = problem.TryAgain
		f.hint = "another session holds the lock; the next run tries again"
	case StateQueryCanceled:
		f.hint = "raise [walk] statement_timeout if the server is slow; if a person cancelled it, the next run goes on"
	case StateIdleInTransaction, stateIdleSessionTimeout:
		f.kind = problem.Unreachable
		f.hint = "the server ended the idle session; the next run goes on where this one stopped"
	case stateUndefinedObject, stateInvalidParameter, stateCannotChangeRuntime:
		if strings.Contains(message, "parameter") {
			f.kind = problem.Config
			f.hint = "remove that parameter from the DSN, or from PGOPTIONS"
		}
	case stateWrongObjectState:
		if strings.Contains(message, "accepting connections") {
			f.kind = problem.Config
			f.hint = "name Multica's database in the DSN, or ALTER DATABASE … ALLOW_CONNECTIONS true"
		}
	case stateInvalidSchemaName:
		f.kind = problem.Config
		f.hint = "check search_path in the DSN and of the role"
	default:
		if pooler, ok := poolerFault(message); ok {
			return pooler
		}
	}
	if e.Code == stateProtocolViolation {
		return f
	}
	if f.hint == "" {
		f.text = fmt.Sprintf("%s (SQLSTATE %s)", message, e.Code)
		f.hint = oneLine(e.Hint)
	}
	return f
}

// authorizationHint tells the causes apart that share one SQLSTATE: they differ
// in their text alone, and a server with another language gets the general hint.
func authorizationHint(message, role string) (problem.Kind, string) {
	switch {
	case strings.Contains(message, "no encryption") || strings.Contains(message, "SSL off"):
		return problem.Permission, "the server may demand TLS: set sslmode=require in the DSN; else add a line for this host, role and database to pg_hba.conf and reload"
	case strings.Contains(message, "pg_hba.conf"):
		return problem.Permission, "add a line for this host, role and database to the server's pg_hba.conf, then SELECT pg_reload_conf()"
	case strings.Contains(message, "Peer authentication"), strings.Contains(message, "Ident authentication"):
		return problem.Permission, "over the socket the role must be named like the system user that runs this program: createuser multica-rollup and grant it the tables, or map it in pg_ident.conf"
	case strings.Contains(message, "does not exist"):
		return problem.Permission, "create the role and grant it the tables: createuser --pwprompt " + nameOr(role)
	case strings.Contains(message, "not permitted to log in"):
		return problem.Permission, fmt.Sprintf("ALTER ROLE %s LOGIN", quoteOr(role))
	case strings.Contains(message, "certificate"):
		return problem.Permission, "give the client certificate: sslcert=FILE sslkey=FILE in the DSN"
	}
	return problem.Permission, "check the role in the DSN and the server's pg_hba.conf"
}

// grants are the privileges that the rollup needs on each of Multica's tables.
var grants = map[string]string{
	"task_usage":                     "SELECT",
	"agent_task_queue":               "SELECT",
	"agent":                          "SELECT",
	"issue":                          "SELECT",
	"schema_migrations":              "SELECT",
	"sys_cron_executions":            "SELECT",
	"task_usage_hourly":              "SELECT, INSERT, UPDATE, DELETE",
	"task_usage_hourly_dirty":        "SELECT, INSERT, UPDATE, DELETE",
	"task_usage_hourly_rollup_state": "SELECT, UPDATE",
}

var denied = regexp.MustCompile(`^permission denied for (table|relation|view|function|procedure|schema|database|sequence) "?([^"]+)"?$`)

// grantHint names the statement that gives what is missing. The server tells
// the object's name without its schema, so search_path must find it.
func grantHint(message, role string) string {
	match := denied.FindStringSubmatch(message)
	if match == nil {
		return "as the owner of Multica's tables, grant the role what it lacks: multica-rollup doctor lists it"
	}
	kind, name := match[1], match[2]
	to := " TO " + quoteOr(role)
	switch kind {
	case "table", "relation", "view":
		privileges, known := grants[name]
		if !known {
			privileges = "SELECT"
		}
		return "as its owner: GRANT " + privileges + " ON " + Quote(name) + to
	case "function", "procedure":
		return "as its owner: GRANT EXECUTE ON FUNCTION " + Quote(name) + to
	case "schema":
		return "as its owner: GRANT USAGE ON SCHEMA " + Quote(name) + to
	case "database":
		return "as its owner: GRANT CONNECT ON DATABASE " + Quote(name) + to
	}
	return "as its owner: GRANT USAGE ON SEQUENCE " + Quote(name) + to
}

var plainIdentifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// reserved are the words that cannot name a role, schema or table without quotes:
// pg_get_keywords() of PostgreSQL 18, categories R and T.
const reserved = " all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation " +
	"column concurrently constraint create cross current_catalog current_date current_role current_schema current_time " +
	"current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from " +
	"full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime " +
	"localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right " +
	"select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using " +
	"variadic verbose when where window with "

// Literal writes a text as a statement takes it.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Quote writes an identifier as psql takes it, with quotes only where they are needed.
func Quote(name string) string {
	if plainIdentifier.MatchString(name) && !strings.Contains(reserved, " "+name+" ") {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

func quoteOr(role string) string {
	if role == "" {
		return "ROLE"
	}
	return Quote(role)
}

func nameOr(role string) string {
	if role == "" {
		return "ROLE"
	}
	return role
}

// poolerFault recognises PgBouncer's own refusals by their text: releases
// differ in the SQLSTATE, most say 08P01 to everything.
func poolerFault(message string) (fault, bool) {
	f := fault{rank: rankServer, kind: problem.Unreachable, text: "PgBouncer says: " + message}
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(message, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("no such database", "no such db"):
		f.kind = problem.Config
		f.hint = "name a database of pgbouncer.ini's [databases] in the DSN"
	case has("no such user", "auth failed", "authentication failed"):
		f.kind = problem.Permission
		f.hint = "check user and password in the DSN, and PgBouncer's auth_file or auth_query"
	case has("unsupported startup parameter"):
		f.kind = problem.Config
		f.hint = "remove that parameter from the DSN, or add it to ignore_startup_parameters in pgbouncer.ini"
	case has("no more connections allowed", "max_client_conn"):
		f.hint = "wait, or raise max_client_conn in pgbouncer.ini"
	case has("query_wait_timeout"):
		f.hint = "its pool is exhausted: wait, or raise default_pool_size in pgbouncer.ini"
	case has("server_login_retry", "cannot connect to server", "server down", "client_login_timeout", "server_connect_timeout", "server conn crashed", "server login failed"):
		f.hint = "PgBouncer itself does not reach PostgreSQL: see its log, and host and port in pgbouncer.ini"
	case has("pgbouncer", "database is disabled", "db is disabled", "paused", "being shut down"):
		f.hint = "see PgBouncer's log; the next run tries again"
	default:
		return fault{}, false
	}
	return f, true
}
