package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are used: https://spdx.github.io/spdx-spec/v2.3/
type (
	spdx struct {
		SPDXVersion       string         `json:"spdxVersion"`
		DataLicense       string         `json:"dataLicense"`
		SPDXID            string         `json:"SPDXID"`
		Name              string         `json:"name"`
		DocumentNamespace string         `json:"documentNamespace"`
		CreationInfo      creationInfo   `json:"creationInfo"`
		Packages          []spdxPackage  `json:"packages"`
		Relationships     []relationship `json:"relationships"`
	}
	creationInfo struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		Name             string        `json:"name"`
		SPDXID           string        `json:"SPDXID"`
		VersionInfo      string        `json:"versionInfo"`
		DownloadLocation string        `json:"downloadLocation"`
		FilesAnalyzed    bool          `json:"filesAnalyzed"`
		LicenseConcluded string        `json:"licenseConcluded"`
		LicenseDeclared  string        `json:"licenseDeclared"`
		CopyrightText    string        `json:"copyrightText"`
		Checksums        []checksum    `json:"checksums,omitempty"`
		ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
	}
	checksum struct {
		Algorithm     string `json:"algorithm"`
		ChecksumValue string `json:"checksumValue"`
	}
	externalRef struct {
		ReferenceCategory string `json:"referenceCategory"`
		ReferenceType     string `json:"referenceType"`
		ReferenceLocator  string `json:"referenceLocator"`
	}
	relationship struct {
		SPDXElementID      string `json:"spdxElementId"`
		RelationshipType   string `json:"relationshipType"`
		RelatedSPDXElement string `json:"relatedSpdxElement"`
	}
)

const (
	documentID = "SPDXRef-DOCUMENT"
	programID  = "SPDXRef-Program"
)

// spdxDocument renders the bill of materials. The same binary gives the same
// bytes: its hash names the document, and SOURCE_DATE_EPOCH dates it.
func spdxDocument(path, name, version string, info *debug.BuildInfo, modules []module) ([]byte, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the binary: %w", err)
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading SOURCE_DATE_EPOCH: %w", err)
	}
	hash := sha256.Sum256(binary)
	digest := hex.EncodeToString(hash[:])

	document := spdx{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentID,
		Name:              name + "-" + version,
		DocumentNamespace: "https://" + info.Main.Path + "/spdx/" + name + "-" + version + "-" + digest,
		CreationInfo: creationInfo{
			Created:  time.Unix(epoch, 0).UTC().Format(time.RFC3339),
			Creators: []string{"Tool: multica-rollup-sbom"},
		},
		Packages: []spdxPackage{{
			Name: name, SPDXID: programID, VersionInfo: version, DownloadLocation: "git+https://" + info.Main.Path,
			LicenseConcluded: "Apache-2.0", LicenseDeclared: "Apache-2.0", CopyrightText: "2026 the multica-rollup authors",
			Checksums:    []checksum{{"SHA256", digest}},
			ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + info.Main.Path + "@" + version}},
		}},
		Relationships: []relationship{{documentID, "DESCRIBES", programID}},
	}
	for _, m := range modules {
		entry := spdxPackage{
			Name: m.path, SPDXID: spdxID(m.path), VersionInfo: m.version, DownloadLocation: "NOASSERTION",
			LicenseConcluded: m.license, LicenseDeclared: m.license, CopyrightText: strings.Join(m.holders, "\n"),
			ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.path + "@" + m.version}},
		}
		// go.sum's h1: is the SHA-256 of the list of the module's files and their hashes.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && len(sum) == sha256.Size {
			entry.Checksums = []checksum{{"SHA256", hex.EncodeToString(sum)}}
		}
		document.Packages = append(document.Packages, entry)
		document.Relationships = append(document.Relationships, relationship{programID, "STATIC_LINK", entry.SPDXID})
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the document: %w", err)
	}
	return append(text, '\n'), nil
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func spdxID(path string) string { return "SPDXRef-Module-" + notInID.ReplaceAllString(path, "-") }
