// Package config reads the effective configuration: defaults, then
// /etc/multica/rollup.toml, then MULTICA_ROLLUP_* variables, then flags.
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
	HorizonHold      time.Duration `koanf:"horizon_hold"`      // how long an open transaction may hold the horizon back
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
