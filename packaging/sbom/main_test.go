package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// built returns the path of a program with a known dependency, built for the test.
func built(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "changelog")
	if out, err := exec.Command("go", "build", "-o", path, "../changelog").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return path
}

func TestDocumentsNameEveryLinkedModule(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir, binary := t.TempDir(), built(t)
	spdxPath, copyrightPath := filepath.Join(dir, "spdx.json"), filepath.Join(dir, "copyright")
	args := []string{"-spdx", spdxPath, "-name", "changelog", "-version", "1.2.3", "-copyright", copyrightPath, "-header", "../copyright.in", binary}
	if err := run(args); err != nil {
		t.Fatal(err)
	}

	text, err := os.ReadFile(spdxPath)
	if err != nil {
		t.Fatal(err)
	}
	var document spdx
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	licenses := map[string]string{}
	for _, p := range document.Packages {
		licenses[p.Name] = p.LicenseConcluded
	}
	if licenses["std"] != "BSD-3-Clause" || licenses["changelog"] != "Apache-2.0" || licenses["go.yaml.in/yaml/v3"] != "MIT AND Apache-2.0" {
		t.Errorf("licences are %v", licenses)
	}
	if document.CreationInfo.Created != "2023-11-14T22:13:20Z" {
		t.Errorf("created %s, want SOURCE_DATE_EPOCH", document.CreationInfo.Created)
	}
	if len(document.Relationships) != len(document.Packages) {
		t.Errorf("%d relationships, want one for each of %d packages", len(document.Relationships), len(document.Packages))
	}

	copyright, err := os.ReadFile(copyrightPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Format: https://", "\nFiles: std/*\n", "\nFiles: go.yaml.in/yaml/v3/*\n", "\nLicense: BSD-3-Clause\n "} {
		if !strings.Contains(string(copyright), want) {
			t.Errorf("the copyright file does not contain %q", want)
		}
	}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(spdxPath); err != nil || string(again) != string(text) {
		t.Errorf("the same binary gives another document (%v)", err)
	}
}

func TestLicencesAreIdentified(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n Version 2.0, January 2004":                                                                   "Apache-2.0",
		"MIT License\nPermission is hereby granted, free\nof charge, to any person obtaining a copy":                   "MIT",
		"Redistribution and use in source and\nbinary forms, with or without … Neither the name of":                    "BSD-3-Clause",
		"Redistribution and use in source and binary forms, with or without modification":                              "BSD-2-Clause",
		"Permission to use, copy, modify, and distribute this software for any purpose with or without fee is granted": "ISC",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                                                            "",
	} {
		if got := identify(text); got != want {
			t.Errorf("identify(%.30q) = %q, want %q", text, got, want)
		}
	}
}

func TestModulesWithEqualTermsShareOneLicenceParagraph(t *testing.T) {
	mit := func(holder string) string {
		return "MIT License\n\nCopyright (c) " + holder + "\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n"
	}
	modules := []module{
		{path: "a", license: "MIT", text: mit("2020 A"), holders: []string{"2020 A"}},
		{path: "b", license: "MIT", text: mit("2021 B"), holders: []string{"2021 B"}},
		{path: "c", license: "MIT", text: mit("2022 C") + "And more.\n", holders: []string{"2022 C"}},
		{path: "d", license: "Apache-2.0", text: "Apache License", holders: []string{"2023 D"}, notice: "D is by D.\n\nReally."},
	}
	got := string(copyrightFile("Format: x\n", modules))
	for want, times := range map[string]int{
		"\nLicense: MIT\nComment": 2, "\nLicense: MIT~2\nComment": 1, "\nLicense: MIT\n MIT": 1, "\nLicense: MIT~2\n MIT": 1,
		"\nLicense: Apache-2.0\nComment": 1, "\n D is by D.\n .\n Really.\n": 1,
	} {
		if n := strings.Count(got, want); n != times {
			t.Errorf("%q is there %d times, want %d, in:\n%s", want, n, times, got)
		}
	}
}

func TestWrongUseIsTold(t *testing.T) {
	for _, args := range [][]string{{}, {"nothing-there"}, {"-no-such-flag"}} {
		if err := run(args); err == nil {
			t.Errorf("run(%q) succeeds", args)
		}
	}
}
