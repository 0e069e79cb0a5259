package policy

import (
	"slices"

	"maunium.net/go/mautrix/id"
)

// Naming lists the fields of the layer that name a room.
func (l Layer) Naming(r id.RoomID) (paths []string) {
	for _, f := range Fields() {
		switch value := l.values[f.Path].(type) {
		case string:
			if f.kind == roomID && value == string(r) {
				paths = append(paths, f.Path)
			}
		case []string:
			if f.kind == rooms && slices.Contains(value, string(r)) {
				paths = append(paths, f.Path)
			}
		}
	}
	return paths
}

// Renamed returns the layer with another room in place of one that it names.
func (l Layer) Renamed(from, to id.RoomID) Layer {
	for _, path := range l.Naming(from) {
		list, many := l.values[path].([]string)
		if !many {
			l = l.with(path, string(to))
			continue
		}
		var renamed []string
		for _, item := range list {
			if item == string(from) {
				item = string(to)
			}
			if !slices.Contains(renamed, item) {
				renamed = append(renamed, item)
			}
		}
		l = l.with(path, renamed)
	}
	return l
}
