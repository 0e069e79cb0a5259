package appservice

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// remains is the readable part of an event that can't be read as a whole. A field that is there twice with different values is empty.
type remains struct {
	rooms      []id.RoomID // named in the event; empty: any room
	state      bool        // it is, or may be, a state event
	event      string
	typ        string
	key        *string
	sender     string
	sentAt     int64
	membership string
}

// maxNamed bounds how many rooms one unreadable event may name before it counts for any room.
const maxNamed = 4

// salvage reads the fields of a broken event as far as quotes and brackets match.
func salvage(raw []byte) (s remains) {
	anywhere := false // not all rooms can be read
	whole := members(raw, func(key string, value []byte) {
		text, ok := exactjson.Unquote(value)
		switch key {
		case "room_id":
			if r := id.RoomID(text); ok && len(text) > 1 && text[0] == '!' {
				s.rooms = append(s.rooms, r)
			} else {
				anywhere = true
			}
		case "state_key":
			if s.key != nil && (!ok || *s.key != text) {
				text, ok = "", false
				s.typ = "?" // no type has this name: which state changed is not known
			}
			s.state, s.key = true, &text
			if !ok {
				s.typ = "?"
			}
		case "event_id":
			s.event = once(s.event, text)
		case "type":
			s.typ = once(s.typ, text)
		case "sender":
			s.sender = once(s.sender, text)
		case "origin_server_ts":
			s.sentAt, _ = strconv.ParseInt(string(value), 10, 64)
		case "content":
			members(value, func(key string, value []byte) {
				if text, _ := exactjson.Unquote(value); key == "membership" {
					s.membership = once(s.membership, text)
				}
			})
		}
	})
	if !whole {
		s.state = true
	}
	if anywhere || !whole || len(s.rooms) > maxNamed {
		s.rooms = nil
	}
	return s
}

// once returns the value of a field, "?" for one that is there twice with different values.
func once(before, now string) string {
	if now == "" || before != "" && before != now {
		return "?"
	}
	return now
}

// members hands each member of the object in raw to f, well-formed or not. It reports whether quotes and brackets match to the end.
func members(raw []byte, f func(key string, value []byte)) (whole bool) {
	i := exactjson.SkipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return false
	}
	for i = exactjson.SkipSpace(raw, i+1); i < len(raw) && raw[i] != '}'; {
		end := skipLoose(raw, i)
		value := exactjson.SkipSpace(raw, end)
		if end == i || value >= len(raw) || raw[value] != ':' {
			return false
		}
		value = exactjson.SkipSpace(raw, value+1)
		after := exactjson.SkipBalanced(raw, value)
		if after == exactjson.Bad {
			return false
		}
		if key, ok := exactjson.Unquote(raw[i:end]); ok {
			f(key, trimSpace(raw[value:after]))
		}
		if i = after; raw[i] == ',' {
			i = exactjson.SkipSpace(raw, i+1)
		}
	}
	return i < len(raw)
}

// skipLoose returns the index after the string at b[i], whatever is in it, or i where there is none.
func skipLoose(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return i
	}
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return i
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && exactjson.SkipSpace(b[len(b)-1:], 0) == 1 {
		b = b[:len(b)-1]
	}
	return b
}

// unreadable takes in an event that can't be read but happened all the same. What the caches hold of its room, or of all rooms, is
// dropped. A state event whose identifiers are readable is kept like others, with nothing else in its content than the membership:
// handlers look at the room's state, not at the event. Otherwise an event of our own has its room looked at anew.
func (n *Intake) unreadable(t *work, raw []byte) {
	s := salvage(raw)
	if !s.state {
		return // no state has changed
	}
	if len(s.rooms) == 0 {
		n.o.Watcher.InvalidateAll()
		t.wake(id.RoomID(""), raw)
		return
	}
	for _, r := range s.rooms {
		n.o.Watcher.Invalidate(r)
	}
	var e rawEvent
	if repaired := s.repaired(t.now); repaired != nil && e.parse(repaired, 0) != exactjson.Bad {
		if _, fault := n.stateEvent(t, &e); fault == "" {
			return
		}
	}
	for _, r := range s.rooms {
		t.wake(r, raw)
	}
}

// repaired returns the event as its identifiers say, or nil where they are not all readable.
func (s *remains) repaired(now time.Time) []byte {
	if len(s.rooms) != 1 || s.key == nil || s.typ == "?" || s.typ == "" || s.typ == room.TypeMember && (s.membership == "" || s.membership == "?") ||
		len(s.event) < 2 || s.event[0] != '$' || len(s.event) > room.MaxID || len(s.sender) < 2 || s.sender[0] != '@' {
		return nil
	}
	content := map[string]string{}
	if s.typ == room.TypeMember {
		content["membership"] = s.membership
	}
	if s.sentAt <= 0 {
		s.sentAt = now.UnixMilli()
	}
	raw, err := json.Marshal(map[string]any{
		"event_id": s.event, "room_id": s.rooms[0], "sender": s.sender, "type": s.typ, "state_key": *s.key, "origin_server_ts": s.sentAt, "content": content,
	})
	if err != nil {
		return nil
	}
	return raw
}

// wake has a room, or every room for an empty id, looked at anew: an event of our own in the inbox, once a transaction.
func (t *work) wake(r id.RoomID, raw []byte) {
	if slices.ContainsFunc(t.received, func(e invites.Received) bool { return e.Type == events.Unreadable && e.Room == r }) {
		return
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n%s", t.txn, t.now.UnixNano(), r, raw))
	t.received = append(t.received, invites.Received{
		Event: id.EventID("$" + base64.RawURLEncoding.EncodeToString(hash[:])), Room: r, Type: events.Unreadable, StateKey: new(string),
		Raw: []byte("{}"), SentAt: t.now, ReceivedAt: t.now,
	})
}
