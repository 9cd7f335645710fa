package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/multica-rollup/multica-rollup/internal/dsn"
	"github.com/multica-rollup/multica-rollup/internal/problem"
)

const (
	// defaultConnectTimeout bounds one host's attempt where the DSN says nothing:
	// a timer that starts every five minutes must not sit on a dead address.
	defaultConnectTimeout = 10 * time.Second

	// cancelRequestDelay is how long after a cancelled context the server is asked
	// to stop: nothing is gained by waiting, the slice is to be rolled back.
	cancelRequestDelay = 50 * time.Millisecond

	// cancelDeadline is when the socket is given up if the cancel request has no effect.
	cancelDeadline = 5 * time.Second
)

// clientOnly are connection keywords that libpq, newDialer or a connection pool
// of pgx handles on the client's side and that pgx would send on to the server,
// which refuses them. A DSN shared with other programs may hold them.
var clientOnly = []string{
	"fallback_application_name", "gssencmode", "keepalives", "keepalives_count",
	"keepalives_idle", "keepalives_interval", "sslcompression", "tcp_user_timeout",
	"pool_health_check_period", "pool_max_conn_idle_time", "pool_max_conn_lifetime",
	"pool_max_conn_lifetime_jitter", "pool_max_conns", "pool_min_conns", "pool_min_idle_conns",
}

// Connector opens connections to one database.
type Connector struct {
	config   *pgx.ConnConfig
	target   string
	patience *Patience
}

// NewConnector parses conn, a libpq URL or keyword string; what it leaves open
// comes from libpq's environment, service file and password file. The
// connections carry the given application name, their only startup parameter
// besides what the DSN itself holds. Errors are of package problem and never
// quote the DSN.
func NewConnector(conn, application string) (*Connector, error) {
	config, err := pgx.ParseConfig(conn)
	if err != nil {
		return nil, explainParse(err)
	}
	dialer, err := newDialer(config.RuntimeParams)
	if err != nil {
		return nil, err
	}
	patience := defaultPatience()
	config.DialFunc = dial(dialer, &patience)
	for _, key := range clientOnly {
		delete(config.RuntimeParams, key)
	}
	config.RuntimeParams["application_name"] = application
	// Results come as text, which the driver reads in this style only, whatever the
	// role or the database is set to. PgBouncer knows this parameter by itself.
	config.RuntimeParams["datestyle"] = "ISO"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = defaultConnectTimeout
	}
	// The library bounds dialling and authentication, not the look-up of names.
	lookup := config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
		defer cancel()
		return lookup(ctx, host)
	}
	// Unnamed statements and no caches: behind PgBouncer in transaction mode the
	// next transaction may be on another server connection.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{
			Conn:               conn,
			CancelRequestDelay: cancelRequestDelay,
			DeadlineDelay:      cancelDeadline,
		}
	}
	return &Connector{config: config, target: target(config), patience: &patience}, nil
}

// SetPatience replaces how long connections opened from now on wait for an answer.
func (c *Connector) SetPatience(p Patience) { *c.patience = p }

// Connect opens a connection. Its errors are of package problem, except that a
// cancelled or expired ctx is returned as that.
func (c *Connector) Connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, c.config)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting to %s: %w", c.target, ctx.Err())
	}
	return nil, c.Explain(err)
}

// Target returns "host:port/database", with all hosts of a multi-host DSN and no secret.
func (c *Connector) Target() string { return c.target }

// User returns the role that connections log in as.
func (c *Connector) User() string { return c.config.User }

// Explain is the package's Explain with what this connector knows: the target, the role and the password to keep out.
func (c *Connector) Explain(err error) error {
	explained := explain(err, c.target, c.config.User)
	if p, ok := explained.(*problem.Error); ok && p != err {
		p.Msg, p.Hint = c.Redact(p.Msg), c.Redact(p.Hint)
	}
	return explained
}

// Redact masks the password, as it is and as it is written in a URL, wherever it stands in s.
func (c *Connector) Redact(s string) string {
	return dsn.Redact(s, c.config.Password, c.target, c.config.User)
}

// target lists each host once: the library repeats a host to try it with and without TLS.
func target(config *pgx.ConnConfig) string {
	hosts := []string{address(config.Host, config.Port)}
	for _, fallback := range config.Fallbacks {
		if a := address(fallback.Host, fallback.Port); !slices.Contains(hosts, a) {
			hosts = append(hosts, a)
		}
	}
	database := config.Database
	if database == "" {
		database = config.User // the server's default
	}
	return strings.Join(hosts, ",") + "/" + database
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
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
			hint = "let the user multica-rollup read it, or pass it to the service by LoadCredential=NAME:" + path.Path + " and write credential:NAME"
		}
		return problem.New(problem.Config, hint, "the DSN cannot be used: it names the file %s: %v", path.Path, path.Err)
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
