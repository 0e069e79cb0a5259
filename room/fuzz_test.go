package room

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// decoded reads content by encoding/json, as a second opinion.
func decoded(content string) (map[string]any, bool) {
	d := json.NewDecoder(strings.NewReader(content))
	d.UseNumber()
	var out map[string]any
	err := d.Decode(&out)
	return out, err == nil && out != nil && json.Valid([]byte(content)) && utf8.ValidString(content)
}

// FuzzPowerLevels parses power levels as state and as an action. Nothing malformed may allow anything.
func FuzzPowerLevels(f *testing.F) {
	for version := byte(1); version <= 12; version++ {
		f.Add(version, `{"users":{"@o:x":100,"@b:x":50},"events":{"m.room.name":50},"notifications":{"room":50},"ban":50}`)
		f.Add(version, `{"users":{"@o:x":"100"},"invite":" 50 ","kick":50.9}`)
	}
	f.Fuzz(func(t *testing.T, version byte, content string) {
		v := id.RoomVersion(strconv.Itoa(1 + int(version)%12))
		traits, _ := traitsOf(v)
		_, _, ok := exactjson.Parse([]byte(content))
		if ok && (!json.Valid([]byte(content)) || !utf8.ValidString(content)) {
			t.Fatal("parsed what is no JSON")
		}
		object, isObject := decoded(content)

		create := &Event{Sender: "@z:x", Content: json.RawMessage(`{"creator":"@z:x"}`)}
		state := State{Version: v, Complete: true, Events: map[Key]*Event{
			{Type: TypeCreate}: create, {Type: TypePowerLevels}: {Sender: "@z:x", Content: json.RawMessage(content)},
			MemberKey("@o:x"): {Content: json.RawMessage(`{"membership":"join"}`)},
		}}
		r := Authorize(NewSnapshot(state), Action{Type: Invite, Sender: "@o:x", Target: "@b:x"})
		if r.Verdict == Allow && (!isObject || !ok || !isLevel(traits, object, "invite")) {
			t.Errorf("invite allowed: %+v", r)
		}

		state.Events = map[Key]*Event{{Type: TypeCreate}: create, MemberKey("@z:x"): state.Events[MemberKey("@o:x")]}
		r = Authorize(NewSnapshot(state), Action{Type: SetPowerLevels, Sender: "@z:x", Content: json.RawMessage(content)})
		if r.Verdict == Allow && content != "" && (!isObject || !ok || !areLevels(traits, object)) {
			t.Errorf("power levels allowed: %+v", r)
		}
	})
}

// isLevel reports whether a member is missing or of a type that the version has for power levels.
func isLevel(t traits, object map[string]any, key string) bool {
	switch v := object[key].(type) {
	case json.Number:
		return t.floats || !strings.ContainsAny(v.String(), ".eE")
	case string:
		_, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return t.strings && (err == nil || strings.Contains(err.Error(), "range"))
	}
	_, there := object[key]
	return !there
}

// areLevels reports whether all of m.room.power_levels is of the right type.
func areLevels(t traits, object map[string]any) bool {
	for i := range namedLevels {
		if !isLevel(t, object, levelName(i)) {
			return false
		}
	}
	for _, name := range []string{"users", "events", "notifications"} {
		if _, there := object[name]; !there {
			continue
		}
		inner, ok := object[name].(map[string]any)
		if !ok {
			return false
		}
		for key := range inner {
			if !isLevel(t, inner, key) || name == "users" && !strings.HasPrefix(key, "@") {
				return false
			}
		}
	}
	return true
}

// FuzzAuthorize judges any action in any room. What an allowed action depends on must have been readable.
func FuzzAuthorize(f *testing.F) {
	add := func(version id.RoomVersion, action ActionType, sender, target string, first bool, contents ...string) {
		f.Add(string(version), string(action), sender, target, first, contents[0], contents[1], contents[2], contents[3], contents[4], contents[5])
	}
	in, err := os.ReadFile("testdata/membership.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(in) {
		if n++; n%8 != 0 {
			continue
		}
		var c struct {
			Version string `json:"room_version"`
			State   struct {
				Create      struct{ Content json.RawMessage }
				JoinRules   json.RawMessage `json:"join_rules"`
				PowerLevels json.RawMessage `json:"power_levels"`
				Members     map[string]json.RawMessage
			}
			Action struct {
				Type, Sender, Target string
				Content              json.RawMessage
				First                bool `json:"prev_is_create"`
			}
		}
		if err := json.Unmarshal(line, &c); err != nil {
			f.Fatal(err)
		}
		a, st := c.Action, c.State
		add(id.RoomVersion(c.Version), ActionType(a.Type), a.Sender, a.Target, a.First, string(a.Content), string(st.Create.Content),
			string(st.JoinRules), string(st.PowerLevels), string(st.Members[a.Sender]), string(st.Members[a.Target]))
	}
	f.Fuzz(func(t *testing.T, version, action, sender, target string, first bool, content, create, joinRules, levels, member, targetMember string) {
		state := State{Version: id.RoomVersion(version), Complete: true, Events: make(map[Key]*Event)}
		put := func(k Key, content string) {
			if content != "" {
				state.Events[k] = &Event{Sender: "@olga:one.example", Content: json.RawMessage(content)}
			}
		}
		put(Key{Type: TypeCreate}, create)
		put(Key{Type: TypeJoinRules}, joinRules)
		put(Key{Type: TypePowerLevels}, levels)
		put(MemberKey(id.UserID(target)), targetMember)
		put(MemberKey(id.UserID(sender)), member)
		put(Key{TypeThirdParty, "tok1"}, levels)
		a := Action{Type: ActionType(action), Sender: id.UserID(sender), Target: id.UserID(target), PrevIsCreate: first, Content: json.RawMessage(content)}
		s := NewSnapshot(state)
		r := Authorize(s, a)
		if r != Authorize(s, a) || r.Rule == "" || r.Phrase().Empty() {
			t.Errorf("not a stable, named result: %+v", r)
		}
		for _, hs := range []Homeserver{AnyHomeserver, Synapse, Dendrite} {
			ClientAPI(s, a, hs)
		}
		if r.Verdict == Allow {
			checkAllowed(t, state, a, r)
		}
	})
}

// checkAllowed checks that an allowed action and the state that it was read from are well-formed.
func checkAllowed(t *testing.T, state State, a Action, r Result) {
	if _, ok := decoded(string(a.Content)); !ok && len(a.Content) > 0 || !ValidUserID(string(a.Sender)) || a.Type.EventType() == "" {
		t.Errorf("malformed action allowed: %+v", r)
	}
	for _, key := range Needs(a) {
		e := state.Events[key]
		if r.Rule == RuleJoinFirst && key.Type != TypeCreate || a.Type == Join && r.Rule != RuleJoinRestricted && key.Type == TypePowerLevels {
			continue // not read
		}
		if a.Type == Join && r.Rule != RuleJoinRestricted && key.Type == TypeMember && key.StateKey != string(a.Sender) {
			continue
		}
		if e == nil {
			continue
		}
		if _, ok := decoded(string(e.Content)); !ok {
			t.Errorf("%+v, with a malformed %s", r, key)
		}
	}
	if state.Events[Key{Type: TypeCreate}] == nil {
		t.Errorf("%+v, without a create event", r)
	}
}
