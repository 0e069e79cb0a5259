package appservice

import (
	"slices"
	"strings"
	"testing"

	"usher/events"
	"usher/exactjson"
	"usher/room"
)

// TestUnreadableStateHappened: a state event that can't be read drops the caches of its room, and reaches the guard, the ledger and the
// bot's own memberships as far as its identifiers say, else a wake has the room looked at anew.
func TestUnreadableStateHappened(t *testing.T) {
	levels := event(room.TypePowerLevels, "$1", `{}`, `,"state_key":""`)
	member := func(membership string) string {
		return event(room.TypeMember, "$1", `{"membership":"`+membership+`"}`, `,"state_key":"@b:x"`)
	}
	invited, joined := member("invite"), member("join")
	replace := func(s, old, with string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%s has no %s", s, old)
		}
		return strings.Replace(s, old, with, 1)
	}
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	const all, wake = "all", events.Unreadable
	for name, c := range map[string]struct {
		raw  string
		room string // whose caches are dropped; empty: that one key
		kept string // type of the event for the inbox
		note string // of the ledger
	}{
		"deep levels":            {replace(levels, `{}`, `{"x":`+deep+`}`), "", room.TypePowerLevels, ""},
		"deep join":              {replace(joined, `"membership"`, `"x":`+deep+`,"membership"`), "", room.TypeMember, ""},
		"deep invitation":        {replace(invited, `"membership"`, `"x":`+deep+`,"membership"`), "", room.TypeMember, "invite of @b:x by @a:x"},
		"a deep unknown key":     {replace(levels, `{}`, `{},"unsigned":`+deep), "", room.TypePowerLevels, ""},
		"bad UTF-8":              {replace(levels, `{}`, "{\"x\":\"\xff\"}"), "!r", room.TypePowerLevels, ""},
		"a bad escape":           {replace(levels, `{}`, `{"x":"\q"}`), "!r", room.TypePowerLevels, ""},
		"a fraction of a time":   {replace(levels, "900", "1.5"), "!r", room.TypePowerLevels, ""},
		"content twice":          {replace(levels, `{}`, `{},"content":{}`), "!r", room.TypePowerLevels, ""},
		"no content":             {replace(levels, `{}`, `[]`), "!r", room.TypePowerLevels, ""},
		"the same type twice":    {replace(levels, `{"type"`, `{"type":"m.room.power_levels","type"`), "!r", room.TypePowerLevels, ""},
		"membership twice":       {replace(joined, `"membership":"join"`, `"membership":"join","membership":"join"`), "!r", room.TypeMember, ""},
		"an invitation, twice":   {replace(invited, `"membership":"invite"`, `"membership":"invite","membership":"invite"`), "!r", room.TypeMember, "invite of @b:x by @a:x"},
		"two memberships":        {replace(joined, `"membership"`, `"membership":"leave","membership"`), "!r", wake, ""},
		"no membership":          {replace(joined, `"join"`, `["join"],"membership":4`), "!r", wake, ""},
		"two types":              {replace(levels, `{"type"`, `{"type":"m.room.name","type"`), "!r", wake, ""},
		"two state keys":         {replace(levels, `"state_key"`, `"state_key":"x","state_key"`), "!r", wake, ""},
		"a number as state key":  {replace(levels, `"state_key":""`, `"state_key":1`), "!r", wake, ""},
		"no sender":              {replace(levels, `"@a:x"`, `"a"`), "!r", wake, ""},
		"two senders":            {replace(levels, `"sender"`, `"sender":"@c:x","sender"`), "!r", wake, ""},
		"no event id":            {replace(levels, `"$1"`, `1`), "!r", wake, ""},
		"no room":                {replace(levels, `"!r"`, `{}`), all, wake, ""},
		"an escaped half a pair": {replace(levels, `"!r"`, `"!r\ud800"`), all, wake, ""},
		"no event":               {`7`, all, wake, ""},
		"a message":              {event("m.room.message", "$1", `[]`, ""), "none", "", ""},
		"an event like the wake": {event(wake, "$1", `{}`, `,"state_key":""`), "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{guarded: true}
			if status, _ := put(d.intake(), batch(c.raw)); status != 200 {
				t.Fatalf("answered %d", status)
			}
			if c.room != "" && c.room != "none" && !slices.Contains(d.log, "invalidate "+c.room) {
				t.Errorf("called %q, want %s invalidated", d.log, c.room)
			}
			if c.note != "" && !slices.Contains(d.log, c.note) {
				t.Errorf("called %q, want %q", d.log, c.note)
			}
			var kept []string
			for _, e := range d.delivered {
				kept = append(kept, e.Type)
				if e.StateKey == nil || e.Type == wake && (c.room == all) != (e.Room == "") {
					t.Errorf("%+v", e)
				}
				if e.Type == room.TypeMember && exactjson.Text(e.Raw, "content", "membership") == "" {
					t.Errorf("no membership in %s", e.Raw)
				}
			}
			if want := []string{c.kept}; c.kept != "" && !slices.Equal(kept, want) || c.kept == "" && kept != nil {
				t.Errorf("kept %q, want %q", kept, c.kept)
			}
		})
	}
}

// TestUnreadableOfTwoRooms: each room that a broken event names counts.
func TestUnreadableOfTwoRooms(t *testing.T) {
	d := new(desk)
	put(d.intake(), batch(strings.Replace(event("m.room.name", "$1", `{}`, `,"state_key":""`), `"room_id"`, `"room_id":"!other","room_id"`, 1)))
	if !slices.Contains(d.log, "invalidate !r") || !slices.Contains(d.log, "invalidate !other") || len(d.delivered) != 2 {
		t.Errorf("called %q", d.log)
	}
}
