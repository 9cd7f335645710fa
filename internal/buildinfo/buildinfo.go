// Package buildinfo tells which build this is.
package buildinfo

import "runtime/debug"

// Set by the linker: -X …/internal/buildinfo.version=1.2.3 and so on.
var (
	version string
	commit  string
	date    string
)

// Info describes one build of the program.
type Info struct {
	Version string `json:"version"` // semantic version without a leading v, or "devel"
	Commit  string `json:"commit"`  // full hash of the source, or "" where it is not known
	Date    string `json:"date"`    // RFC 3339 time of the commit, or "" where it is not known
	Go      string `json:"go"`      // version of the Go toolchain
}

// Read returns what the linker was told, falling back to what the Go toolchain recorded.
func Read() Info {
	info := Info{Version: version, Commit: commit, Date: date}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info.withDefaults()
	}
	info.Go = build.GoVersion
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision" && info.Commit == "":
			info.Commit = s.Value
		case s.Key == "vcs.time" && info.Date == "":
			info.Date = s.Value
		}
	}
	return info.withDefaults()
}

func (i Info) withDefaults() Info {
	if i.Version == "" {
		i.Version = "devel"
	}
	return i
}
