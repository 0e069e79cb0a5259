package config

import (
	"fmt"
	"sort"
	"strings"
)

// Fault is one fault of the configuration. It never contains a secret.
type Fault struct {
	Path     string // as in "appservice.listen"; empty: the file as a whole
	Line     int    // line in the file; 0: not in the file
	Variable string // environment variable with the value; empty: the file
	Problem  string // the fault, to read after the path: "is missing"
	Fix      string // the remedy, as an imperative
}

// Faults are all faults of a configuration, in the order of the file.
type Faults struct {
	File string
	List []Fault
}

// Error lists all faults, one a line.
func (f *Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in the configuration:", len(f.List))
	if len(f.List) == 1 {
		b.Reset()
		b.WriteString("a fault in the configuration:")
	}
	for _, fault := range f.List {
		b.WriteString("\n  ")
		b.WriteString(fault.line(f.File))
	}
	return b.String()
}

func (f Fault) line(file string) string {
	where := file
	switch {
	case f.Variable != "":
		where = "$" + f.Variable
	case f.Line > 0:
		where = fmt.Sprintf("%s:%d", file, f.Line)
	}
	parts := []string{where}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	return strings.Join(append(parts, f.Problem+"; "+f.Fix), ": ")
}

// findings collects faults and warnings.
type findings struct {
	places   map[string]place // the place of each path
	faults   []Fault
	warnings []string
}

// place is the place of a setting: a line of the file, or an environment variable.
type place struct {
	line     int
	variable string
	faulty   bool // its fault is recorded
}

// fault records a fault of a setting. Later faults of the same setting, or of a setting below it, are left out. A
// setting outside the file gets the line of its section.
func (f *findings) fault(path string, w wrong) {
	at, ok := f.places[path]
	for section := path; ; {
		outer, found := f.places[section]
		if outer.faulty {
			return
		}
		if section == "" {
			break
		}
		if !ok && found {
			at, ok = place{line: outer.line}, true
		}
		section = section[:max(strings.LastIndexAny(section, ".["), 0)]
	}
	f.places[path] = place{at.line, at.variable, true}
	f.faults = append(f.faults, Fault{path, at.line, at.variable, w.problem, w.fix})
}

// envFault records a fault of an environment variable. path is empty for a variable without a setting.
func (f *findings) envFault(variable, path string, w wrong) {
	f.faults = append(f.faults, Fault{Path: path, Variable: variable, Problem: w.problem, Fix: w.fix})
	if path != "" {
		f.places[path] = place{variable: variable, faulty: true}
	}
}

// warn records a warning: the path and the rest of the sentence.
func (f *findings) warn(path, sentence string) { f.warnings = append(f.warnings, path+" "+sentence) }

// given tells whether the file or the environment has the setting.
func (f *findings) given(path string) bool {
	_, ok := f.places[path]
	return ok
}

// sortFaults sorts by line; faults without a line come last, by path.
func sortFaults(list []Fault) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if (a.Line == 0) != (b.Line == 0) {
			return a.Line != 0
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Path < b.Path
	})
}
