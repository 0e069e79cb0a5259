// Package source reads the files of plans: YAML with people in it, or with the names of CSV files and of searches in LDAP directories.
//
// Read returns a plan.Wish, or the first fault. An unreadable source, a directory that does not answer in full and an empty result are faults,
// never people who are gone. Files and secrets that a file names count from its folder.
package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"maunium.net/go/mautrix/id"

	"usher/plan"
	"usher/room"
)

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 32 << 20

// document is a file of a plan.
type document struct {
	Version int         `yaml:"version"`
	Name    string      `yaml:"name"`
	Manager id.UserID   `yaml:"manager"`
	Reason  string      `yaml:"reason"`
	Grace   string      `yaml:"grace"`
	Again   bool        `yaml:"again"`
	Rooms   []roomEntry `yaml:"rooms"`
}

type roomEntry struct {
	Room string   `yaml:"room"`
	Keep []string `yaml:"keep"`
	From []entry  `yaml:"from"`
}

// entry is one source: exactly one of Members, CSV and LDAP.
type entry struct {
	Members   []member   `yaml:"members"`
	CSV       string     `yaml:"csv"`
	LDAP      *directory `yaml:"ldap"`
	Exclusive bool       `yaml:"exclusive"`
	Power     *level     `yaml:"power"` // of people without one of their own
}

// member is a user's id, or an id with a power level.
type member struct {
	User  string `yaml:"user"`
	Power *level `yaml:"power"`
}

// level is a whole number. The YAML package would cut 49.9 off to 49.
type level int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *level) UnmarshalYAML(node *yaml.Node) error {
	if node.ShortTag() != "!!int" {
		return fmt.Errorf("line %d: %q is no whole number", node.Line, node.Value)
	}
	return node.Decode((*int64)(l))
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *member) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&m.User)
	}
	for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
		if key := node.Content[i]; key.Value != "user" && key.Value != "power" {
			return fmt.Errorf("line %d: field %s not found", key.Line, key.Value)
		}
	}
	type plain member
	return node.Decode((*plain)(m))
}

// Read reads a file with all its sources.
func Read(ctx context.Context, file string) (*plan.Wish, error) {
	raw, err := load(file)
	if err != nil {
		return nil, err
	}
	var doc document
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&doc); err != nil {
		return nil, plan.NewFault(room.Say("plan.fault.yaml", "file", file, "error", strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")))
	}
	if doc.Version != 1 {
		return nil, plan.NewFault(room.Say("plan.fault.version", "file", file))
	}
	w := &plan.Wish{Name: doc.Name, Manager: doc.Manager, Reason: doc.Reason, Again: doc.Again}
	if w.Grace, err = span(doc.Grace); err != nil {
		return nil, plan.NewFault(room.Say("plan.fault.grace"))
	}
	for _, r := range doc.Rooms {
		one, err := r.read(ctx, filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		w.Rooms = append(w.Rooms, one)
	}
	return w, w.Check()
}

// load reads a whole file of a bounded size.
func load(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err == nil {
		defer func() { _ = f.Close() }()
		var raw []byte
		if raw, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil && len(raw) <= maxFile {
			return raw, nil
		}
		err = cmp.Or(err, errLarge)
	}
	return nil, plan.NewFault(room.Say("plan.fault.file", "file", file, "error", cause(err)))
}

var errLarge = errors.New("too large")

// cause is an error without the name of the file.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// span reads a duration, which may be in days.
func span(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, is := strings.CutSuffix(text, "d"); is {
		d, err := time.ParseDuration(days + "h")
		return 24 * d, err
	}
	return time.ParseDuration(text)
}

func (r *roomEntry) read(ctx context.Context, dir string) (plan.Room, error) {
	one := plan.Room{Room: r.Room, Keep: r.Keep}
	var sources []plan.Source
	for i, e := range r.From {
		name := fmt.Sprintf("%s, source %d", r.Room, i+1)
		people, err := e.read(ctx, name, dir)
		if err != nil {
			return one, err
		}
		for j := range people {
			if people[j].Power == nil {
				people[j].Power = (*int64)(e.Power)
			}
		}
		sources = append(sources, plan.Source{Name: name, Exclusive: e.Exclusive, People: people})
	}
	if len(sources) == 0 {
		return one, plan.NewFault(room.Say("plan.fault.empty", "source", r.Room))
	}
	var err error
	one.People, one.Exclusive, err = plan.Unite(sources)
	return one, err
}

func (e *entry) read(ctx context.Context, name, dir string) ([]plan.Person, error) {
	given := 0
	for _, one := range []bool{len(e.Members) > 0, e.CSV != "", e.LDAP != nil} {
		if one {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, plan.NewFault(room.Say("plan.fault.one_source", "source", name))
	case e.CSV != "":
		return readCSV(within(dir, e.CSV))
	case e.LDAP != nil:
		return e.LDAP.search(ctx, dir)
	}
	people := make([]plan.Person, len(e.Members))
	for i, m := range e.Members {
		people[i] = plan.Person{User: id.UserID(m.User), Power: (*int64)(m.Power)}
	}
	return people, nil
}

// within is a path that counts from a folder.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
