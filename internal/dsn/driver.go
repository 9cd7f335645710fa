package dsn

import (
	"crypto/tls"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// settings returns how many keywords the DSN holds.
func (d DSN) settings() int {
	n := 0
	for _, p := range d.parts {
		if p.key != "" {
			n++
		}
	}
	return n
}

// pair is one setting.
type pair struct{ key, value string }

// values returns the settings in their order; of several of one keyword the last counts.
func (d DSN) values() []pair {
	var all []pair
	for _, p := range d.parts {
		if p.key == "" {
			continue
		}
		all = slices.DeleteFunc(all, func(o pair) bool { return o.key == p.key })
		all = append(all, pair{p.key, p.value})
	}
	return all
}

// hostLike are the characters of host names, addresses and directories of sockets.
var hostLike = regexp.MustCompile(`^@?[A-Za-z0-9._:,\[\]/~%+\x{80}-\x{10FFFF}-]*$`)

// check refuses what no keyword table can be right about.
func (d DSN) check() *Fault {
	n := 0
	for _, p := range d.parts {
		if p.key == "" {
			continue
		}
		n++
		k, known := LookUp(p.key)
		switch {
		case !known:
			suggestion := ""
			if near := nearest(p.key); near != "" {
				suggestion = " (did you mean " + near + "?)"
			}
			return fault("write the keywords as libpq has them: man multica-rollup.toml lists them", "has an unknown keyword, setting %d%s", n, suggestion)
		case k.refuses(p.value):
			return fault(k.Instead, "has %s, which %s", k.Name, k.Reason)
		}
		switch p.key {
		case "host":
			if !hostLike.MatchString(p.value) {
				return fault(hintEscape, "has a host with a character that is in no host name")
			}
			for _, host := range d.Hosts() {
				if !isHost(host) {
					return fault("write the host alone, and its port as port=5432", "has something in the place of the host that is none")
				}
			}
		case "port":
			if strings.Trim(p.value, "0123456789,") != "" {
				return fault("write port=5432", "has a port that is not a number")
			}
		case "user", "dbname":
			if !isName(p.value) {
				return fault(hintQuote, "has something in the place of %s that is a setting of its own", p.key)
			}
		}
	}
	_, wrong := d.Driver()
	if wrong != nil {
		return wrong.(*Fault)
	}
	return nil
}

// Settings is a DSN as the driver takes it, and what of it the driver does not know.
type Settings struct {
	Text string // in libpq's keyword or URL form; secret

	Addresses  map[string][]string // for each host, its addresses by hostaddr; nil without hostaddr
	MinTLS     uint16              // a version of crypto/tls, 0 where nothing is set
	MaxTLS     uint16
	Keepalives map[string]string // keepalives… and tcp_user_timeout, as written
}

// Files returns the files that the DSN names, by their keyword.
func (d DSN) Files() map[string]string {
	files := map[string]string{}
	for _, key := range []string{"sslkey", "sslcert", "sslrootcert", "passfile", "servicefile"} {
		if value := d.Get(key); value != "" && !(key == "sslrootcert" && value == "system") {
			files[key] = value
		}
	}
	return files
}

// Driver returns what to give to the driver: without the keywords that have no
// effect, and with the translated ones in its own terms. The error is a *Fault.
func (d DSN) Driver() (Settings, error) {
	s := Settings{Keepalives: map[string]string{}}
	var kept []pair
	for _, p := range d.values() {
		k, _ := LookUp(p.key)
		switch {
		case k.Handling == NoEffect || k.Handling == Refused:
		case k.Handling == Translated:
			added, wrong := d.translate(p, &s)
			if wrong != nil {
				return Settings{}, wrong
			}
			kept = append(kept, added...)
		case d.url && d.inBase(p.key):
		default:
			kept = append(kept, p)
		}
	}
	s.Text = d.driverText(kept)
	return s, nil
}

// inBase tells whether a keyword of a URL stands before its question mark, and there alone.
func (d DSN) inBase(key string) bool {
	inQuery := false
	found := false
	for _, p := range d.parts {
		if strings.HasPrefix(p.text, "?") && p.key == "" {
			inQuery = true
		}
		if p.key == key {
			if inQuery {
				return false
			}
			found = true
		}
	}
	return found
}

// driverText writes the DSN with the settings that are kept.
func (d DSN) driverText(kept []pair) string {
	var b strings.Builder
	separator := ""
	if d.url {
		separator = "?"
		for _, p := range d.parts {
			if p.key == "" && strings.HasPrefix(p.text, "?") {
				break
			}
			if p.text == jdbcScheme {
				p.text = "postgresql://"
			}
			b.WriteString(p.text)
		}
	}
	for _, p := range kept {
		b.WriteString(separator + p.key + "=" + d.quote(p.value))
		separator = " "
		if d.url {
			separator = "&"
		}
	}
	return b.String()
}

// tlsVersions are libpq's names.
var tlsVersions = map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// translate gives a setting the meaning that the driver does not know.
func (d DSN) translate(p pair, s *Settings) ([]pair, *Fault) {
	if p.value == "" {
		return nil, nil // as if it was not set, in libpq and elsewhere
	}
	switch p.key {
	case "hostaddr":
		return d.translateHostaddr(p.value, s)
	case "ssl_min_protocol_version", "ssl_max_protocol_version":
		version, known := tlsVersions[p.value]
		if !known {
			return nil, fault("write "+p.key+"=TLSv1.2 or TLSv1.3", "has a value of %s that is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", p.key)
		}
		if p.key == "ssl_min_protocol_version" {
			s.MinTLS = version
		} else {
			s.MaxTLS = version
		}
		if s.MaxTLS != 0 && s.MinTLS > s.MaxTLS {
			return nil, fault("remove ssl_max_protocol_version", "has an ssl_min_protocol_version above its ssl_max_protocol_version")
		}
	case "schema", "currentSchema":
		if d.Get("search_path") != "" {
			return nil, nil
		}
		return []pair{{"search_path", p.value}}, nil
	case "connectTimeout":
		if d.Get("connect_timeout") != "" {
			return nil, nil
		}
		return []pair{{"connect_timeout", p.value}}, nil
	case "sslaccept", "ssl":
		return d.translateSSL(p)
	case "requiressl": // what libpq itself makes of it
		mode := "prefer"
		switch {
		case d.Get("sslmode") != "":
			return nil, nil
		case strings.HasPrefix(p.value, "1"):
			mode = "require"
		}
		return []pair{{"sslmode", mode}}, nil
	case "targetServerType":
		switch p.value {
		case "any":
			return nil, nil
		case "primary", "master":
			return []pair{{"target_session_attrs", "primary"}}, nil
		}
		return nil, fault("write target_session_attrs=read-write", "has a targetServerType that is not primary: the roll-up writes")
	default: // keepalives… and tcp_user_timeout
		if n, err := strconv.Atoi(p.value); err != nil || n < 0 {
			return nil, fault("write "+p.key+" as a whole number, as libpq takes it", "has a value of %s that is not a number", p.key)
		}
		s.Keepalives[p.key] = p.value
	}
	return nil, nil
}

// translateSSL reads the words of other drivers for an sslmode. What sslmode itself says comes first.
func (d DSN) translateSSL(p pair) ([]pair, *Fault) {
	if p.key == "sslaccept" {
		switch {
		case p.value == "accept_invalid_certs":
			return nil, nil
		case p.value != "strict":
			return nil, fault("write sslmode=verify-full, or sslmode=require where the certificate is not to be checked",
				"has an sslaccept that is neither strict nor accept_invalid_certs")
		case d.Get("sslmode") == "disable":
			return nil, nil
		}
		return []pair{{"sslmode", "verify-full"}}, nil
	}
	if d.Get("sslmode") != "" {
		return nil, nil
	}
	mode := ""
	switch p.value {
	case "true", "1":
		mode = "require"
		if d.url && d.parts[0].text == jdbcScheme {
			mode = "verify-full" // what pgJDBC makes of it
		}
	case "false", "0":
		mode = "prefer"
		if d.url && d.parts[0].text == jdbcScheme {
			return nil, nil
		}
	case "disable", "allow", "prefer", "require", "verify-ca", "verify-full":
		mode = p.value // asyncpg's
	case "no-verify":
		mode = "require" // node's
	default:
		return nil, fault("write sslmode=require or sslmode=verify-full instead of ssl", "has an ssl that is no value of sslmode")
	}
	return []pair{{"sslmode", mode}}, nil
}

// translateHostaddr pairs addresses with hosts, as libpq does: as many of one as of the other.
func (d DSN) translateHostaddr(value string, s *Settings) ([]pair, *Fault) {
	addresses := strings.Split(value, ",")
	for _, address := range addresses {
		if address != "" && net.ParseIP(address) == nil {
			return nil, fault("write a name as host=NAME", "has a hostaddr that is no IP address")
		}
	}
	hosts := d.Hosts()
	if len(hosts) == 0 {
		return []pair{{"host", value}}, nil
	}
	if len(hosts) != len(addresses) {
		return nil, fault("write one address for each host, with commas between them", "has %d hosts and %d addresses in hostaddr", len(hosts), len(addresses))
	}
	s.Addresses = map[string][]string{}
	for i, host := range hosts {
		switch {
		case strings.HasPrefix(host, "/"), strings.HasPrefix(host, "@"):
			return nil, fault("remove hostaddr, or write a name in host", "has the directory of a socket in host, and an address in hostaddr")
		case host == "" && addresses[i] != "":
			return nil, fault("write a name or an address for each host", "has an empty host in a list of hosts")
		case addresses[i] != "":
			s.Addresses[host] = append(s.Addresses[host], addresses[i])
		}
	}
	return nil, nil
}

// Hosts returns the hosts that the DSN names, without ports; none where it leaves them open.
func (d DSN) Hosts() []string {
	list := ""
	inAuthority := false
	for _, p := range d.parts {
		if p.key == "host" {
			list, inAuthority = p.value, d.url && d.inBase("host")
		}
	}
	if list == "" {
		return nil
	}
	var hosts []string
	for host := range strings.SplitSeq(list, ",") {
		if inAuthority {
			if inner, ok := strings.CutPrefix(host, "["); ok {
				host, _, _ = strings.Cut(inner, "]")
			} else {
				host, _, _ = strings.Cut(host, ":")
			}
		}
		hosts = append(hosts, host)
	}
	return hosts
}
