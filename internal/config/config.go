// Package config reads the effective configuration: defaults, then
// /etc/multica/rollup.toml, then MULTICA_ROLLUP_* variables, then flags.
//
// A key is a field of Config, with its default in Defaults and the rest in
// rules; what the other files of the package do is the same for all of them.
package config

import "time"

// DefaultPath is where the packages install the configuration file.
const DefaultPath = "/etc/multica/rollup.toml"

// Config is the effective configuration. The koanf tags are the keys of the file.
type Config struct {
	DSN       string `koanf:"dsn"`        // libpq URL or keyword form; secret
	DSNFile   string `koanf:"dsn_file"`   // file holding the DSN, or credential:NAME
	Engine    string `koanf:"engine"`     // auto, set or function
	LogLevel  string `koanf:"log_level"`  // debug, info, warn or error
	LogFormat string `koanf:"log_format"` // auto, text or json
	StateDir  string `koanf:"state_dir"`  // "" means $STATE_DIRECTORY, then a default of the user

	Run      Run      `koanf:"run"`
	Walk     Walk     `koanf:"walk"`
	Backfill Backfill `koanf:"backfill"`
	Metrics  Metrics  `koanf:"metrics"`
}

// Run bounds one tick.
type Run struct {
	Budget     time.Duration `koanf:"budget"`      // how long one run may work before it leaves the rest to the next
	StandbyLag time.Duration `koanf:"standby_lag"` // 0: always act; else act only where the data lags by more
}

// Walk tunes the slices.
type Walk struct {
	SliceTarget      time.Duration `koanf:"slice_target"`      // duration aimed at for one slice
	LockTimeout      time.Duration `koanf:"lock_timeout"`      // lock_timeout of one try
	StatementTimeout time.Duration `koanf:"statement_timeout"` // statement_timeout within a slice
	HorizonHold      time.Duration `koanf:"horizon_hold"`      // how long an open transaction that writes may hold the horizon back
}

// Backfill throttles the backfill.
type Backfill struct {
	SleepBetweenSlices time.Duration `koanf:"sleep_between_slices"`
	Nice               float64       `koanf:"nice"`             // idle time per working time: 1 means as long again
	MaxActive          int           `koanf:"max_active"`       // 0: off; wait while more sessions are active
	MaxLockWaiters     int           `koanf:"max_lock_waiters"` // 0: off; wait while more sessions wait on locks
	MaxReplicaLag      time.Duration `koanf:"max_replica_lag"`  // 0: off
	PauseFile          string        `koanf:"pause_file"`       // wait while this file exists
	Window             string        `koanf:"window"`           // "" or "22:00-06:00", local time
}

// Metrics says where the node_exporter textfile goes.
type Metrics struct {
	Textfile string `koanf:"textfile"` // "" means none
}

// Defaults returns the configuration of an installation that sets nothing but its DSN.
func Defaults() Config {
	return Config{
		Engine:    "auto",
		LogLevel:  "info",
		LogFormat: "auto",
		Run:       Run{Budget: 4 * time.Minute},
		Walk: Walk{
			SliceTarget:      2 * time.Second,
			LockTimeout:      time.Second,
			StatementTimeout: 60 * time.Second,
			HorizonHold:      time.Hour,
		},
	}
}

// rule is what a key has beside its type and its default.
type rule struct {
	wrong  func(value any) string // what is impossible about a value of the right type, "" if nothing is; nil where all are possible
	settle func(value any) any    // the one form that others read; nil where it is that of the file
	secret bool                   // the value must never be shown as it is
	flag   flag                   // that overrides the key; of the command that has the section's name, of all where there is none
}

// flag is a flag of the command line, but for one without a name.
type flag struct{ name, example, usage string }

// rules are those of every key. The bounds are where a value would be a slip of
// the pen: a slice of an hour holds lock 4246 and with it the deletion of
// workspaces, a budget of milliseconds does nothing.
var rules = map[string]rule{
	"dsn":      {secret: true},
	"dsn_file": {wrong: secretFile},
	"engine": {wrong: oneOf("auto", "set", "function"),
		flag: flag{"engine", "auto", "`NAME` of the engine: auto, set or function; where columns are unknown, set is function too"}},
	"log_level": {wrong: oneOf("debug", "info", "warn", "error"),
		flag: flag{"log-level", "info", "`LEVEL` to log from: debug, info, warn or error"}},
	"log_format": {wrong: oneOf("auto", "text", "json"),
		flag: flag{"log-format", "auto", "`FORMAT` of the log: auto, text or json"}},
	"state_dir": {wrong: absolute},

	"run.budget": {wrong: between(time.Second, 24*time.Hour),
		flag: flag{"budget", "4m", "`DURATION` after which no slice starts any more"}},
	"run.standby_lag": {wrong: between(0, 30*24*time.Hour)},

	"walk.slice_target":      {wrong: between(50*time.Millisecond, 5*time.Minute)},
	"walk.lock_timeout":      {wrong: between(time.Millisecond, time.Minute)},
	"walk.statement_timeout": {wrong: between(time.Second, time.Hour)},
	"walk.horizon_hold":      {wrong: between(0, 24*time.Hour)},

	"backfill.sleep_between_slices": {wrong: between(0, time.Hour),
		flag: flag{"sleep-between-slices", "5s", "pause for a `DURATION` between slices"}},
	"backfill.nice": {wrong: upTo(100),
		flag: flag{"nice", "1", "idle for this `FACTOR` of the time each slice worked"}},
	"backfill.max_active": {wrong: upTo(10000),
		flag: flag{"max-active", "20", "wait while more than `N` sessions of the server are active; 0: do not look"}},
	"backfill.max_lock_waiters": {wrong: upTo(10000),
		flag: flag{"max-lock-waiters", "2", "wait while more than `N` sessions of the database wait on locks; 0: do not look"}},
	"backfill.max_replica_lag": {wrong: between(0, 24*time.Hour),
		flag: flag{"max-replica-lag", "30s", "wait while a replica lags by more than this `DURATION`; 0s: do not look"}},
	"backfill.pause_file": {wrong: absolute,
		flag: flag{"pause-file", "/run/multica-rollup.pause", "wait while this `FILE` exists; for the service not in /tmp or /home, which it does not see"}},
	"backfill.window": {wrong: window, settle: settledWindow,
		flag: flag{"window", "22:00-06:00", "work only within this `SPAN` of the day, local time, such as 22:00-06:00"}},

	"metrics.textfile": {wrong: textfile},
}
