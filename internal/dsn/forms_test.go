package dsn

import (
	"crypto/tls"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// driver returns what the driver makes of a DSN.
func driver(t *testing.T, text string) (*pgx.ConnConfig, Settings) {
	t.Helper()
	parsed, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: the DSN %v", text, err)
	}
	settings, err := parsed.Driver()
	if err != nil {
		t.Fatalf("%s: the DSN %v", text, err)
	}
	config, err := pgx.ParseConfig(settings.Text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return config, settings
}

func TestFormsOfOtherToolsAreUnderstood(t *testing.T) {
	const plain = "postgres://u:s3cr3t@h/d"
	for _, text := range []string{
		"POSTGRES://u:s3cr3t@h/d", "PostgreSQL://u:s3cr3t@h/d", "postgresql+psycopg2://u:s3cr3t@h/d", "postgresql+asyncpg://u:s3cr3t@h/d",
		"postgres+psycopg://u:s3cr3t@h/d", "pgsql://u:s3cr3t@h/d", "pgx5://u:s3cr3t@h/d", "jdbc:postgresql://h/d?user=u&password=s3cr3t",
		"JDBC:postgresql://h:5432/d?user=u&password=s3cr3t&ApplicationName=x&socketTimeout=3",
		plain + "\n", "\r\n" + plain + "\r\n", "\ufeff" + plain, "\u00a0" + plain, `"` + plain + `"`, "'" + plain + "'", "`" + plain + "`", "“" + plain + "”",
		"DATABASE_URL=" + plain, `export DATABASE_URL="` + plain + `"`, "export  X='" + plain + "';\n", "MULTICA_ROLLUP_DSN = " + plain,
		"dsn: " + plain, `dsn = "` + plain + `"`, `DATABASE_URL: "` + plain + `"`, `"database_url": "` + plain + `",`, "# old\n\n" + plain + "\n# end\n",
		"psql " + plain, "psql '" + plain + "'", "'host=h user=u password=s3cr3t dbname=d'", "DSN=host=h user=u password=s3cr3t dbname=d",
		"host=h\n user=u\r\n password=s3cr3t\tdbname=d\n", "host = h user = u password = 's3cr3t' dbname = d",
		plain + "?schema=public&pgbouncer=true&connection_limit=5&pool_timeout=0", plain + "?serverVersion=16&charset=utf8", plain + "?pool_max_conns=4",
	} {
		config, _ := driver(t, text)
		if config.Host != "h" || config.Port != 5432 || config.User != "u" || config.Password != "s3cr3t" || config.Database != "d" {
			t.Errorf("%q: host %q, port %d, user %q, password %q, database %q", text, config.Host, config.Port, config.User, config.Password, config.Database)
		}
		for key := range config.RuntimeParams {
			if key != "search_path" {
				t.Errorf("%q sends %s to the server", text, key)
			}
		}
	}
	if config, _ := driver(t, "host=h user=u password = 's3 cr3t' dbname=d"); config.Password != "s3 cr3t" {
		t.Errorf("the password in quotes is %q", config.Password)
	}
}

func TestWhatIsNotCertainIsRefusedWithoutItsText(t *testing.T) {
	for text, want := range map[string]string{
		"prisma+postgres://accelerate.example/?api_key=s3cr3t": "is the address of Prisma's API",
		"prisma://u:s3cr3t@h/d":                                "is the address of Prisma's API",
		"mysql://u:s3cr3t@h/d":                                 "is a URL with a scheme other than",
		"ostgres://u:s3cr3t@h/d":                               "is a URL with a scheme other than",
		"postgresql+s3cr3t://h/d":                              "is a URL with a scheme other than",
		"postgres:/u:s3cr3t@h/d":                               "it does not begin with postgres://",
		"//u:s3cr3t@h/d":                                       "it does not begin with postgres://",
		"u:s3cr3t@h/d":                                         "is neither",
		"s3cr3t":                                               "is neither",
		"":                                                     "",
		"\xff\xfep\x00":                                        "is in UTF-16",
		"host=h\x00password=s3cr3t":                            "holds a NUL byte",
		"A=postgres://h/d\nDATABASE_URL=postgres://u:s3cr3t@h/d": "has several lines",
		"postgres://u:s3cr3t@\nh/d":                              "has several lines",
		`"postgres://u:s3cr3t@h/d`:                               "begins with a quote",
		`"postgres://u:s3\"cr3t@h/d"`:                            "begins with a quote",
		`"postgres://u:s3\cr3t@h/d"`:                             "is in double quotes and holds a backslash",
		`"postgres://u:${s3cr3t}@h/d"`:                           "refers to a variable",
		"$s3cr3t":                                                "refers to a variable",
		"Host=h;Username=u;Password=s3cr3t;Database=d":           "is in the form of ADO.NET",
		`{"password": "s3cr3t"}`:                                 "is JSON",
		"h:5432:d:u:s3cr3t":                                      "is a line of a password file",
		"host=h passwd=s3cr3t":                                   "has an unknown keyword, setting 2 (did you mean password?)",
		"host=h password=s3cr3t sslmod=require":                  "has an unknown keyword, setting 3 (did you mean sslmode?)",
		"host=h s3cr3t=1":                                        "has an unknown keyword, setting 2",
		"HOST=h USER=u PASSWORD=s3cr3t":                          "has an unknown keyword, setting 1 (did you mean host?)",
		"postgres://u:p@h/d?sslmod=s3cr3t":                       "(did you mean sslmode?)",
		"host=h requirepeer=s3cr3t":                              "has requirepeer, which asks for the owner",
		"host=h sslcrl=/s3cr3t":                                  "has sslcrl, which names a revocation list",
		"host=h scram_client_key=s3cr3t":                         "has scram_client_key, which is a key",
		"host=h oauth_client_secret=s3cr3t":                      "has oauth_client_secret, which asks for OAuth",
		"host=h gssencmode=require password=s3cr3t":              "has gssencmode, which asks for encryption by GSSAPI",
		"host=h hostaddr=s3cr3t":                                 "has a hostaddr that is no IP address",
		"host=h,i hostaddr=127.0.0.1 password=s3cr3t":            "has 2 hosts and 1 addresses",
		"host=/run hostaddr=127.0.0.1 password=s3cr3t":           "has the directory of a socket in host",
		"host=h ssl_min_protocol_version=s3cr3t":                 "has a value of ssl_min_protocol_version",
		"host=h keepalives_idle=s3cr3t":                          "has a value of keepalives_idle that is not a number",
		"host=h:s3cr3t user=u":                                   "has something in the place of the host",
		"host=u/s3cr3t":                                          "has something in the place of the host",
		"host=h user=u:s3cr3t":                                   "has something in the place of user",
		"host=h dbname=//u:s3cr3t":                               "has something in the place of dbname",
		"postgres://u%3As3cr3t@h/d":                              "has something in the place of user",
		"host=h user=upassword=s3cr3t":                           "has something in the place of user",
		"postgres://h/d?user=upassword=s3cr3t":                   "a value after the ? holds an =",
		"postgres://h/duser=u&password=s3cr3t":                   "there is a character after the user",
		"postgres://h:s3cr3t/d":                                  "in the place of the host and its port is neither",
		"postgres://u?s3cr3t@h/d":                                "the user holds a character",
		"jdbc:postgresql://h/d?user=u&password=s3+cr3t":          "is a jdbc: URL with a +",
		"postgres://u:s3 cr3t@h/d":                               "it holds a space",
	} {
		_, err := Parse(text)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		var wrong *Fault
		if !errors.As(err, &wrong) {
			t.Errorf("%q is accepted", text)
			continue
		}
		if !strings.Contains(wrong.Reason, want) {
			t.Errorf("%q: the DSN %s; want %q", text, wrong.Reason, want)
		}
		if said := wrong.Reason + wrong.Hint; strings.Contains(said, "cr3t") || wrong.Hint == "" || strings.Contains(said, "\n") {
			t.Errorf("%q: %s", text, said)
		}
	}
}

func TestEveryKeywordOfTheTableIsHandledAsItSays(t *testing.T) {
	values := map[string]string{
		"port": "1", "connect_timeout": "3", "connectTimeout": "3", "sslmode": "disable", "sslnegotiation": "postgres", "sslcertmode": "allow",
		"sslsni": "0", "channel_binding": "prefer", "require_auth": "scram-sha-256", "min_protocol_version": "3.0", "max_protocol_version": "3.2",
		"target_session_attrs": "any", "hostaddr": "127.0.0.1", "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.3",
		"ssl": "true", "sslaccept": "strict", "targetServerType": "primary",
	}
	files := []string{"service", "servicefile", "sslcert", "sslkey", "sslrootcert"} // the driver reads them at once
	for _, k := range Keywords() {
		value := "1"
		if v, ok := values[k.Name]; ok {
			value = v
		}
		parsed, err := Parse(k.Name + "=" + value)
		if k.Handling == Refused {
			if err == nil || k.Reason == "" || k.Instead == "" {
				t.Errorf("%s: %v, reason %q, instead %q", k.Name, err, k.Reason, k.Instead)
			}
			for _, harmless := range k.harmless {
				if config, _ := driver(t, k.Name+"="+harmless); len(config.RuntimeParams) > 0 {
					t.Errorf("%s=%s sends %v to the server", k.Name, harmless, config.RuntimeParams)
				}
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		if k.Handling == NoEffect && k.Reason == "" {
			t.Errorf("%s has no effect, and no reason is given", k.Name)
		}
		if k.Secret == strings.Contains(parsed.String(), value) {
			t.Errorf("%s is shown as %s", k.Name, parsed)
		}
		settings, err := parsed.Driver()
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		if k.Handling == NoEffect && settings.Text != "" {
			t.Errorf("%s: the driver gets %s", k.Name, settings.Text)
		}
		if slices.Contains(files, k.Name) {
			continue
		}
		config, err := pgx.ParseConfig(settings.Text)
		if err != nil {
			t.Errorf("%s: the driver says %v", k.Name, err)
			continue
		}
		for key := range config.RuntimeParams {
			if key != "options" && key != "search_path" {
				t.Errorf("%s: the server gets %s", k.Name, key)
			}
		}
	}
}

// The list is that of the manual of PostgreSQL 18, 32.1.2.
func TestTheTableHasEveryKeywordOfLibpq18(t *testing.T) {
	for name := range strings.FieldsSeq(`host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
		client_encoding options application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count
		tcp_user_timeout replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword
		sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version
		max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key service target_session_attrs
		load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret oauth_scope`) {
		if k, known := LookUp(name); !known || k.Foreign {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range []string{"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"} {
		if k, _ := LookUp(name); !k.Secret {
			t.Errorf("%s is a secret", name)
		}
	}
}

func TestWhatTheDriverDoesNotKnowIsTranslated(t *testing.T) {
	_, settings := driver(t, "host=a,b hostaddr=127.0.0.1,::1 ssl_min_protocol_version=TLSv1.3 keepalives_idle=30")
	if want := map[string][]string{"a": {"127.0.0.1"}, "b": {"::1"}}; !maps.EqualFunc(settings.Addresses, want, slices.Equal) {
		t.Errorf("addresses %v", settings.Addresses)
	}
	if settings.MinTLS != tls.VersionTLS13 || settings.MaxTLS != 0 || settings.Keepalives["keepalives_idle"] != "30" {
		t.Errorf("%+v", settings)
	}
	if config, _ := driver(t, "hostaddr=127.0.0.1 user=u"); config.Host != "127.0.0.1" {
		t.Errorf("host %q", config.Host)
	}
	if _, settings := driver(t, "postgres://[::1]:1,h:2/d?hostaddr=::1,127.0.0.1"); settings.Addresses["::1"][0] != "::1" || settings.Addresses["h"][0] != "127.0.0.1" {
		t.Errorf("addresses %v", settings.Addresses)
	}
	for text, verified := range map[string]bool{
		"jdbc:postgresql://h/d?ssl=true": true, "postgres://h/d?ssl=true": false, "postgres://h/d?ssl=require": false,
		"postgres://h/d?sslaccept=strict": true, "postgres://h/d?sslmode=require&sslaccept=strict": true, "postgres://h/d?ssl=no-verify": false,
		"host=h requiressl=1": false,
	} {
		config, _ := driver(t, text)
		if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify == verified || len(config.Fallbacks) > 0 {
			t.Errorf("%s: the certificate is checked: %v; %d fallbacks", text, config.TLSConfig != nil && !config.TLSConfig.InsecureSkipVerify, len(config.Fallbacks))
		}
	}
	if config, _ := driver(t, "postgres://h/d?schema=usage&connectTimeout=7"); config.RuntimeParams["search_path"] != "usage" || config.ConnectTimeout.Seconds() != 7 {
		t.Errorf("search_path %q, connect_timeout %s", config.RuntimeParams["search_path"], config.ConnectTimeout)
	}
}
