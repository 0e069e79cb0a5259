package room

import (
	"encoding/json"
	"strconv"

	"usher/exactjson"
)

// PlainLevels returns the content of a power levels event with each level as an integer. Old room versions also let levels be strings or
// floats, but homeservers refuse to send such an event anew. Unreadable levels stay as they are. It returns nil where the content
// is no object or has a key twice.
func (s *Snapshot) PlainLevels(content json.RawMessage) json.RawMessage {
	all, _, ok := exactjson.Parse(content)
	if !ok || all.Kind != exactjson.Object {
		return nil
	}
	for _, member := range all.Items {
		if member.Kind != exactjson.Object {
			content = s.plainLevel(content, member.Value, member.Key)
			continue
		}
		switch member.Key {
		case "users", "events", "notifications":
			for _, entry := range member.Items {
				content = s.plainLevel(content, entry.Value, member.Key, entry.Key)
			}
		}
	}
	return content
}

// plainLevel writes the level at a path of the content as an integer.
func (s *Snapshot) plainLevel(content json.RawMessage, written exactjson.Value, path ...string) json.RawMessage {
	if len(path) == 1 && !isLevelName(path[0]) {
		return content
	}
	l := s.traits.level(written)
	plain := strconv.FormatInt(int64(l.value), 10)
	if l.state != given || l.exact != nil || written.Raw == plain {
		return content
	}
	return exactjson.Set(content, []byte(plain), path...)
}

func isLevelName(name string) bool {
	for i := range namedLevels {
		if levelName(i) == name {
			return true
		}
	}
	return false
}
