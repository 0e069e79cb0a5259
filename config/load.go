package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads the file at path, overridden by the environment (as from os.Environ). The error is *Faults, with all faults of the
// configuration. Warnings are sentences for the operator; Load returns them with and without an error.
func Load(path string, environ []string) (*Config, []string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, &Faults{path, []Fault{{Problem: "does not exist", Fix: "write an example with: usher -e -c " + path}}}
	}
	if err != nil {
		return nil, nil, &Faults{path, []Fault{{Problem: "can't be read: " + err.Error(), Fix: "name a file that Usher may read"}}}
	}
	c, warnings, err := Parse(path, data, environ)
	if info, statErr := os.Stat(path); statErr == nil {
		warnings = append(warnings, tooOpen(path, info.Mode().Perm())...)
	}
	warnings = append(warnings, openFolder(path)...)
	if c != nil && c.Database.Type == TypeSQLite {
		seen := []string{filepath.Dir(path)}
		for _, uri := range []Secret{c.Database.URI, c.Encryption.DatabaseURI} {
			file, _, _ := strings.Cut(strings.TrimPrefix(uri.Reveal(), "file:"), "?")
			if folder := filepath.Dir(file); file != "" && !slices.Contains(seen, folder) {
				seen = append(seen, folder)
				warnings = append(warnings, openFolder(file)...)
			}
		}
	}
	return c, warnings, err
}

// openFolder warns of a folder in which others than its owner may replace a file. In a sticky folder they may not.
func openFolder(file string) []string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	folder := filepath.Dir(file)
	info, err := os.Stat(folder)
	if err != nil || info.Mode()&fs.ModeSticky != 0 || info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return []string{fmt.Sprintf("others may replace %s, since they may write its folder (mode %04o): chmod go-w %s", file, info.Mode().Perm(), folder)}
}

// tooOpen warns of a file with secrets that others than its owner may read or write.
func tooOpen(path string, mode fs.FileMode) []string {
	others := "everybody on this machine"
	switch {
	case mode&0o007 != 0:
	case mode&0o070 != 0:
		others = "each member of its group"
	default:
		return nil
	}
	return []string{fmt.Sprintf("%s holds secrets and %s may read it (mode %04o): chmod 600 %s", path, others, mode, path)}
}

// Parse is Load for the content of a file. Faults show name as the name of the file.
func Parse(name string, data []byte, environ []string) (*Config, []string, error) {
	root, fault := parseYAML(data)
	if fault != nil {
		return nil, nil, &Faults{name, []Fault{*fault}}
	}
	d := &decoder{&findings{places: map[string]place{}}, map[*yaml.Node]string{}}
	d.overlay(root, append([]string(nil), environ...))
	c := Default()
	d.decode(root, reflect.ValueOf(c).Elem(), "", root.Line)
	checker{d.findings}.check(c)
	if len(d.faults) > 0 {
		sortFaults(d.faults)
		return nil, d.warnings, &Faults{name, d.faults}
	}
	return c, d.warnings, nil
}

// parseYAML returns the root of the file's only document, an empty node for an empty file.
func parseYAML(data []byte) (*yaml.Node, *Fault) {
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := reader.Decode(&doc); errors.Is(err, io.EOF) {
		return &yaml.Node{}, nil
	} else if err != nil {
		return nil, yamlFault(err, data)
	}
	if err := reader.Decode(&more); err == nil {
		return nil, &Fault{Line: more.Line, Problem: "a second document begins here", Fix: "keep the settings in one, without ---"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlFault(err, data)
	}
	return doc.Content[0], nil
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	quoted   = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

func yamlFault(err error, data []byte) *Fault {
	line := 0
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	if signed.MatchString(err.Error()) {
		for i, text := range bytes.Split(data, []byte("\n")) {
			if near := line == 0 || i+1 >= line-1 && i <= line; near && unindented.Match(text) {
				return &Fault{Line: i + 1, Problem: "begins with a tab, which YAML does not allow", Fix: "write spaces instead"}
			} else if near && unquoted.Match(text) {
				return &Fault{Line: i + 1, Problem: "has a name or a value that begins with a sign of YAML's own", Fix: `write it in quotes, such as "@admin:example.org" or "*"`}
			}
		}
	}
	return &Fault{Line: line, Problem: "is no YAML: " + withoutQuotes(err),
		Fix: "look there and on the line before for indentation, a missing space after a colon, or a quote left open"}
}

// What a YAML error says of a line, and the lines with a usual mistake that such an error means. Matrix IDs and "*" begin with signs of YAML.
var (
	signed     = regexp.MustCompile("cannot start any token|alphabetic or numeric character|tab character|unknown anchor")
	unindented = regexp.MustCompile(`^ *\t`)
	unquoted   = regexp.MustCompile("^ *(?:- +)*(?:[^#\"': ]+: +)?[\\[{]? *[@*`%]")
)

// withoutQuotes removes quotations of the file from a YAML error, since they may be secrets.
func withoutQuotes(err error) string {
	return quoted.ReplaceAllString(yamlLine.ReplaceAllString(err.Error(), ""), "…")
}
