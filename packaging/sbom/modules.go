package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// module is one module that is linked in, or Go's standard library.
type module struct {
	path, version string
	sum           string // as in go.sum, "" for the standard library
	license       string // SPDX identifier
	text          string // of its licence file
	notice        string // of its NOTICE file, which Apache-2.0 wants to be passed on
	holders       []string
}

// findModules looks up the licence of everything the program was linked with.
func findModules(info *debug.BuildInfo) ([]module, error) {
	std := module{path: "std", version: info.GoVersion}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := []module{std}
	dirs := []string{strings.TrimSpace(root)}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		var downloaded struct{ Dir string }
		text, err := output("go", "mod", "download", "-json", dep.Path+"@"+dep.Version)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &downloaded); err != nil {
			return nil, fmt.Errorf("reading where %s is: %w", dep.Path, err)
		}
		modules = append(modules, module{path: dep.Path, version: dep.Version, sum: dep.Sum})
		dirs = append(dirs, downloaded.Dir)
	}
	for i := range modules {
		if err := modules[i].readLicense(dirs[i]); err != nil {
			return nil, fmt.Errorf("module %s: %w", modules[i].path, err)
		}
	}
	return modules, nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}

var copyrightLine = regexp.MustCompile(`(?i)^\s*(?:copyright\s+)(?:\(c\)|©)?\s*(.*\d{4}.*?)(?:\s*all rights reserved\.?)?\s*$`)

func (m *module) readLicense(dir string) error {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "License"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading its licence: %w", err)
		}
		m.text = strings.ReplaceAll(string(text), "\r\n", "\n")
		break
	}
	if m.text == "" {
		return errors.New("it has no licence file")
	}
	if m.license = identify(m.text); m.license == "" {
		return errors.New("its licence is not one this program knows: add it to identify after reading it")
	}
	notice, err := os.ReadFile(filepath.Join(dir, "NOTICE"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading its notice: %w", err)
	}
	m.notice = strings.TrimSpace(string(notice))
	for line := range strings.SplitSeq(m.text+"\n"+m.notice, "\n") {
		if match := copyrightLine.FindStringSubmatch(line); match != nil && !strings.Contains(match[1], "yyyy") {
			m.holders = append(m.holders, strings.TrimSpace(match[1]))
		}
	}
	if len(m.holders) == 0 {
		m.holders = []string{"the authors of " + m.path}
	}
	return nil
}

// identify returns the SPDX identifier of a licence's text, "" where it is none
// of those that programs may be given away under without more ado.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	has := func(part string) bool { return strings.Contains(text, part) }
	const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy"
	switch {
	case has("Apache License") && has(mit):
		return "MIT AND Apache-2.0"
	case has("Apache License") && has("Version 2.0"):
		return "Apache-2.0"
	case has(mit):
		return "MIT"
	case has("Permission to use, copy, modify, and/or distribute this software for any purpose"),
		has("Permission to use, copy, modify, and distribute this software for any purpose"):
		return "ISC"
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("may not be used to endorse")):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return ""
}

// body is the licence without its copyright lines, which differ where the terms do not.
func (m *module) body() string {
	var lines []string
	for line := range strings.SplitSeq(m.text, "\n") {
		if !copyrightLine.MatchString(line) {
			lines = append(lines, strings.TrimRight(line, " \t"))
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// bodyKey is equal for equal terms, however they are broken into lines.
func (m *module) bodyKey() [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(strings.Fields(m.body()), " ")))
}
