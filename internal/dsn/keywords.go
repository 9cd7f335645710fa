package dsn

import (
	"slices"
	"strings"

	"github.com/multica-rollup/multica-rollup/internal/spelling"
)

// Handling says what becomes of a keyword of a DSN.
type Handling int

// The ways of handling.
const (
	Passed     Handling = iota // the driver takes it as libpq does
	Translated                 // the driver does not know it; this program gives it the same meaning
	NoEffect                   // accepted, since it can change nothing that this program does
	Refused                    // not supported, and ignoring it would mean something else than what it says
)

// String returns the word that the manual has for it.
func (h Handling) String() string {
	return [...]string{"used", "used", "no effect", "refused"}[h]
}

// Keyword is what this program knows about one keyword.
type Keyword struct {
	Name     string
	Handling Handling
	Reason   string // of NoEffect and Refused, to be read after the name; of Translated, what it becomes
	Instead  string // of Refused: what to write
	Secret   bool   // its value is never shown
	Foreign  bool   // not libpq's, but another driver's or tool's

	// harmless are values with which a refused keyword asks for nothing.
	harmless []string
}

// passwordInstead is the hint where a way to authenticate is not supported.
const passwordInstead = "remove it, and write password=…, passfile=FILE, or sslcert=FILE and sslkey=FILE"

// keywords are all of libpq 18 ("Parameter Key Words" of its manual, in that
// order), then those that other drivers, poolers and frameworks put into the
// same strings. A keyword that is not here is refused: the driver would send it
// to the server as a setting, which PgBouncer and most servers answer with an
// error long after the slip.
var keywords = []Keyword{
	{Name: "host"},
	{Name: "hostaddr", Handling: Translated, Reason: "is the address to connect to, without looking up the name in host"},
	{Name: "port"},
	{Name: "dbname"},
	{Name: "user"},
	{Name: "password", Secret: true},
	{Name: "passfile"},
	{Name: "require_auth"},
	{Name: "channel_binding"},
	{Name: "connect_timeout"},
	{Name: "client_encoding", Handling: NoEffect, Reason: "sessions of this program speak UTF8"},
	{Name: "options"},
	{Name: "application_name", Handling: NoEffect, Reason: "it is multica-rollup/COMMAND"},
	{Name: "fallback_application_name", Handling: NoEffect, Reason: "the application name is always set"},
	{Name: "keepalives", Handling: Translated, Reason: "sets the keepalives of the socket"},
	{Name: "keepalives_idle", Handling: Translated, Reason: "sets the keepalives of the socket"},
	{Name: "keepalives_interval", Handling: Translated, Reason: "sets the keepalives of the socket"},
	{Name: "keepalives_count", Handling: Translated, Reason: "sets the keepalives of the socket"},
	{Name: "tcp_user_timeout", Handling: Translated, Reason: "sets the timeout of the socket"},
	{Name: "replication", Handling: Refused, Reason: "asks for a replication session, in which no roll-up can run",
		Instead: "remove replication", harmless: []string{"false", "off", "no", "0"}},
	{Name: "gssencmode", Handling: Refused, Reason: "asks for encryption by GSSAPI, which this program does not have",
		Instead: "remove gssencmode, and encrypt by TLS: sslmode=verify-full", harmless: []string{"disable", "prefer"}},
	{Name: "sslmode"},
	{Name: "requiressl", Handling: Translated, Reason: "is sslmode=require where it is 1, and sslmode=prefer where it is 0"},
	{Name: "sslnegotiation"},
	{Name: "sslcompression", Handling: NoEffect, Reason: "TLS is never compressed, as in every libpq since 14"},
	{Name: "sslcert"},
	{Name: "sslkey"},
	{Name: "sslkeylogfile", Handling: Refused, Reason: "writes the keys of the session, and with them the password, into a file",
		Instead: "remove sslkeylogfile"},
	{Name: "sslpassword", Secret: true},
	{Name: "sslcertmode"},
	{Name: "sslrootcert"},
	{Name: "sslcrl", Handling: Refused, Reason: "names a revocation list, and this program reads none",
		Instead: "remove sslcrl, and name in sslrootcert=FILE only an authority whose certificates are all good"},
	{Name: "sslcrldir", Handling: Refused, Reason: "names revocation lists, and this program reads none",
		Instead: "remove sslcrldir, and name in sslrootcert=FILE only an authority whose certificates are all good"},
	{Name: "sslsni"},
	{Name: "requirepeer", Handling: Refused, Reason: "asks for the owner of the server's process, whom the service cannot see in its user namespace",
		Instead: "remove requirepeer, and name as host a directory in which only that user may create sockets"},
	{Name: "ssl_min_protocol_version", Handling: Translated, Reason: "sets the lowest version of TLS"},
	{Name: "ssl_max_protocol_version", Handling: Translated, Reason: "sets the highest version of TLS"},
	{Name: "min_protocol_version"},
	{Name: "max_protocol_version"},
	{Name: "krbsrvname", Handling: NoEffect, Reason: "this program does not authenticate by GSSAPI"},
	{Name: "gsslib", Handling: NoEffect, Reason: "this program does not authenticate by GSSAPI"},
	{Name: "gssdelegation", Handling: NoEffect, Reason: "this program does not authenticate by GSSAPI"},
	{Name: "scram_client_key", Handling: Refused, Secret: true, Reason: "is a key in place of a password, which this program cannot use",
		Instead: passwordInstead},
	{Name: "scram_server_key", Handling: Refused, Secret: true, Reason: "is a key in place of a password, which this program cannot use",
		Instead: passwordInstead},
	{Name: "service"},
	{Name: "target_session_attrs"},
	{Name: "load_balance_hosts", Handling: NoEffect, Reason: "hosts are tried in the order written: only one of them takes writes"},
	{Name: "oauth_issuer", Handling: Refused, Reason: "asks for OAuth, which wants a person at each connection", Instead: passwordInstead},
	{Name: "oauth_client_id", Handling: Refused, Reason: "asks for OAuth, which wants a person at each connection", Instead: passwordInstead},
	{Name: "oauth_client_secret", Handling: Refused, Secret: true, Reason: "asks for OAuth, which wants a person at each connection",
		Instead: passwordInstead},
	{Name: "oauth_scope", Handling: Refused, Reason: "asks for OAuth, which wants a person at each connection", Instead: passwordInstead},
	// Of libpq before 14.
	{Name: "authtype", Handling: NoEffect, Reason: "libpq has ignored it since 7.2"},
	{Name: "tty", Handling: NoEffect, Reason: "libpq has ignored it since 7.4"},

	// The driver's.
	{Name: "servicefile", Foreign: true},
	{Name: "search_path", Foreign: true},
	{Name: "krbspn", Foreign: true, Handling: NoEffect, Reason: "this program does not authenticate by GSSAPI"},
	{Name: "default_query_exec_mode", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "statement_cache_capacity", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "description_cache_capacity", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "statement_cache_mode", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "prefer_simple_protocol", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "binary_parameters", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "disable_prepared_binary_result", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "pool_max_conns", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_min_conns", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_min_idle_conns", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_max_conn_lifetime", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_max_conn_lifetime_jitter", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_max_conn_idle_time", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_health_check_period", Foreign: true, Handling: NoEffect, Reason: noPool},

	// Settings of the session, which this program sets in each transaction.
	{Name: "statement_timeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "lock_timeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "idle_in_transaction_session_timeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "timezone", Foreign: true, Handling: NoEffect, Reason: utc},
	{Name: "TimeZone", Foreign: true, Handling: NoEffect, Reason: utc},
	{Name: "datestyle", Foreign: true, Handling: NoEffect, Reason: utc},

	// Prisma's.
	{Name: "schema", Foreign: true, Handling: Translated, Reason: "is search_path"},
	{Name: "sslaccept", Foreign: true, Handling: Translated, Reason: "is sslmode=verify-full where it is strict"},
	{Name: "sslidentity", Foreign: true, Handling: Refused, Reason: "names a PKCS #12 file, which this program does not read",
		Instead: "write sslcert=FILE and sslkey=FILE, both in PEM"},
	{Name: "pgbouncer", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "connection_limit", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_timeout", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "socket_timeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "statement_cache_size", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "max_idle_connection_lifetime", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "max_connection_lifetime", Foreign: true, Handling: NoEffect, Reason: noPool},

	// JDBC's, SQLAlchemy's, node's and those of web frameworks.
	{Name: "ssl", Foreign: true, Handling: Translated, Reason: "is an sslmode"},
	{Name: "currentSchema", Foreign: true, Handling: Translated, Reason: "is search_path"},
	{Name: "connectTimeout", Foreign: true, Handling: Translated, Reason: "is connect_timeout"},
	{Name: "targetServerType", Foreign: true, Handling: Translated, Reason: "is target_session_attrs"},
	{Name: "ApplicationName", Foreign: true, Handling: NoEffect, Reason: "it is multica-rollup/COMMAND"},
	{Name: "loginTimeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "socketTimeout", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "tcpKeepAlive", Foreign: true, Handling: NoEffect, Reason: ownTimeouts},
	{Name: "prepareThreshold", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "reWriteBatchedInserts", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "stringtype", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "prepared_statements", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "prepared_statement_cache_size", Foreign: true, Handling: NoEffect, Reason: ownSessions},
	{Name: "uselibpqcompat", Foreign: true, Handling: NoEffect, Reason: "sslmode is always read as libpq reads it"},
	{Name: "pool", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "pool_size", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "max_overflow", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "conn_max_age", Foreign: true, Handling: NoEffect, Reason: noPool},
	{Name: "encoding", Foreign: true, Handling: NoEffect, Reason: "sessions of this program speak UTF8"},
	{Name: "charset", Foreign: true, Handling: NoEffect, Reason: "sessions of this program speak UTF8"},
	{Name: "serverVersion", Foreign: true, Handling: NoEffect, Reason: "the server itself is asked"},
}

// Reasons that several keywords share.
const (
	ownSessions = "this program uses neither prepared statements nor caches"
	noPool      = "this program has no pool of connections"
	ownTimeouts = "this program sets its own timeouts"
	utc         = "this program sets the style of times itself"
)

// refuses says whether a value of the keyword asks for what is not supported.
func (k Keyword) refuses(value string) bool {
	return k.Handling == Refused && value != "" && !slices.Contains(k.harmless, value)
}

// FromElsewhere says what is wrong with a keyword that came from a service file
// or the environment, where nothing is translated; nil where nothing is, also
// where the keyword is unknown. The error is a *Fault.
func FromElsewhere(name, value string) error {
	k, known := LookUp(name)
	switch {
	case !known:
		return nil
	case k.refuses(value):
		return fault(k.Instead, "is completed by a service file or the environment with %s, which %s", k.Name, k.Reason)
	case k.Handling == Translated && !ofSocket(name):
		return fault("remove it there, and write it in the DSN", "is completed by a service file or the environment with %s, which counts in the DSN alone", k.Name)
	}
	return nil
}

// ofSocket says whether a keyword sets an option of the socket, which is so wherever it comes from.
func ofSocket(name string) bool {
	return strings.HasPrefix(name, "keepalives") || name == "tcp_user_timeout"
}

// Keywords returns every keyword that a DSN may hold, libpq's first.
func Keywords() []Keyword { return slices.Clone(keywords) }

// LookUp returns the keyword of that name.
func LookUp(name string) (Keyword, bool) {
	i := slices.IndexFunc(keywords, func(k Keyword) bool { return k.Name == name })
	if i < 0 {
		return Keyword{}, false
	}
	return keywords[i], true
}

// misnomers are what people and other tools call a keyword.
var misnomers = map[string]string{
	"passwd": "password", "pwd": "password", "pass": "password", "passphrase": "password", "pgpassword": "password",
	"username": "user", "uid": "user", "userid": "user", "role": "user", "pguser": "user",
	"db": "dbname", "database": "dbname", "databasename": "dbname", "initialcatalog": "dbname", "pgdatabase": "dbname",
	"server": "host", "hostname": "host", "datasource": "host", "pghost": "host", "pgport": "port",
	"ssl_mode": "sslmode", "ssl-mode": "sslmode", "ssl_cert": "sslcert", "ssl_key": "sslkey", "sslca": "sslrootcert", "ssl_ca": "sslrootcert",
	"timeout": "connect_timeout", "timeouts": "connect_timeout", "schema_search_path": "search_path",
}

// nearest returns the keyword that an unknown one was meant to be, "" where none
// is near. Only keywords that have an effect are offered.
func nearest(name string) string {
	lower := strings.ToLower(name)
	if meant, ok := misnomers[lower]; ok {
		return meant
	}
	var offered []string
	for _, k := range keywords {
		if !k.Foreign && k.Handling != Refused && k.Handling != NoEffect {
			offered = append(offered, k.Name)
		}
	}
	return spelling.Nearest(lower, offered, len(lower)/3+1)
}
