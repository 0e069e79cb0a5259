package config

import (
	"fmt"
	"sort"
	"strings"
)

// Fault is one thing that is wrong in the configuration. It never holds a secret.
type Fault struct {
	Path     string // as in "appservice.listen"; empty: the file as a whole
	Line     int    // line in the file; 0: not there, as when it is missing
	Variable string // environment variable that the value came from; empty: the file
	Problem  string // what is wrong
	Fix      string // what would be right
}

// Faults is everything that is wrong in the configuration, in the order of the file.
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

// sortFaults puts what has a line in its order, then what has none, by path.
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
