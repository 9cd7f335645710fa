package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

// copyrightFile renders Debian's machine-readable copyright file: a stanza for
// each module, then each licence's terms once.
func copyrightFile(header string, modules []module) []byte {
	var out bytes.Buffer
	out.WriteString(strings.TrimSpace(header) + "\n")

	names := map[[sha256.Size]byte]string{} // licence's short name by its terms
	versions := map[string]int{}            // how many wordings a licence has
	var terms []string
	for _, m := range modules {
		name := m.license
		if m.license != "Apache-2.0" {
			var known bool
			if name, known = names[m.bodyKey()]; !known {
				versions[m.license]++
				name = m.license
				if n := versions[m.license]; n > 1 {
					name = fmt.Sprintf("%s~%d", m.license, n)
				}
				names[m.bodyKey()] = name
				terms = append(terms, fmt.Sprintf("License: %s\n%s", name, indent(m.body())))
			}
		}
		fmt.Fprintf(&out, "\nFiles: %s/*\nCopyright: %s\nLicense: %s\nComment: linked into the program in version %s.\n",
			m.path, strings.Join(m.holders, "\n "), name, m.version)
		if m.notice != "" {
			fmt.Fprintf(&out, " .\n Its NOTICE file:\n .\n%s\n", indent(m.notice))
		}
	}
	for _, text := range terms {
		out.WriteString("\n" + text + "\n")
	}
	return out.Bytes()
}

// indent makes a continuation of a field: a blank before each line, a dot for an empty one.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) == "" {
			line = "."
		}
		lines[i] = " " + line
	}
	return strings.Join(lines, "\n")
}
