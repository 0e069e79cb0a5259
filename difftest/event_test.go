package difftest

import (
	"encoding/json"
	"fmt"
	"maps"

	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/room/roomtest"
)

// The identifiers that the libraries want to see. Room and event IDs have the lengths of real ones.
const (
	hash     = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	createID = "$" + hash
	domainID = "!room:one.example" // before v12
	hashID   = "!" + hash          // from v12 on
)

// pair is a case with room's result for it.
type pair struct {
	roomtest.Case
	room.Result
	outcome outcome
	content string      // of the event that the action sends
	levels  levelDevice // how changes of power levels are compared
}

func newPair(c roomtest.Case) pair {
	p := pair{Case: c, Result: room.Authorize(room.NewSnapshot(c.State), c.Action), content: eventContent(c.Action)}
	if p.Verdict == room.Allow {
		p.outcome = allowed
	}
	return p
}

// content is a JSON object that is about to be changed.
type content map[string]json.RawMessage

// edit returns the case with the content of a state event changed. Without that event nothing happens.
func (p pair) edit(key room.Key, change func(content)) pair {
	e := p.State.Events[key]
	if e == nil {
		return p
	}
	c := p.Case
	c.State.Events = maps.Clone(c.State.Events)
	c.State.Events[key] = &room.Event{Sender: e.Sender, Content: edited(e.Content, change)}
	return newPair(c)
}

// editAction returns the case with the action's content changed.
func (p pair) editAction(change func(content)) pair {
	c := p.Case
	c.Action.Content = edited(c.Action.Content, change)
	return newPair(c)
}

// replace returns the case with a state event replaced, or gone if it is nil.
func (p pair) replace(key room.Key, e *room.Event) pair {
	c := p.Case
	c.State.Events = maps.Clone(c.State.Events)
	c.State.Events[key] = e
	return newPair(c)
}

func edited(raw json.RawMessage, change func(content)) json.RawMessage {
	c := make(content)
	if err := json.Unmarshal(raw, &c); err != nil {
		panic(err)
	}
	change(c)
	out, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return out
}

// object reads a member that is an object, nil if it is none.
func (c content) object(key string) content {
	var out content
	if json.Unmarshal(c[key], &out) != nil {
		return nil
	}
	return out
}

func (c content) set(key string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	c[key] = raw
}

func (p pair) read(key room.Key) content {
	if p.State.Events[key] == nil {
		return nil
	}
	return content{"": p.State.Events[key].Content}.object("")
}

// membership returns a user's membership.
func (p pair) membership(user id.UserID) string {
	membership, _ := room.NewSnapshot(p.State).Membership(user)
	return membership
}

func (p pair) joinRule() string {
	rule, _ := room.NewSnapshot(p.State).JoinRule()
	return rule
}

func (p pair) roomID() string {
	if p.Version() >= 12 {
		return hashID
	}
	return domainID
}

// eventType and stateKey are of the event that the action sends.
func (p pair) eventType() string {
	switch p.Action.Type {
	case room.SetJoinRules:
		return "m.room.join_rules"
	case room.SetPowerLevels:
		return "m.room.power_levels"
	case room.ThirdParty:
		return "m.room.third_party_invite"
	}
	return "m.room.member"
}

func (p pair) stateKey() string {
	switch p.eventType() {
	case "m.room.member":
		return string(p.Action.Target)
	case "m.room.third_party_invite":
		return "another"
	}
	return ""
}

// String shows the whole case.
func (p pair) String() string {
	out := fmt.Sprintf("v%s: %s by %s to %s, content %s, first: %v\n", p.State.Version, p.Action.Type, p.Action.Sender, p.Action.Target, p.content, p.Action.PrevIsCreate)
	for key, e := range p.State.Events {
		if e != nil {
			out += fmt.Sprintf("  %s: %s\n", key, e.Content)
		}
	}
	return out
}

func eventContent(a room.Action) string {
	membership := map[room.ActionType]string{room.Join: "join", room.Invite: "invite", room.Knock: "knock", room.Ban: "ban",
		room.Leave: "leave", room.Kick: "leave", room.Unban: "leave"}[a.Type]
	if membership == "" {
		return string(a.Content)
	}
	content := make(map[string]json.RawMessage)
	if err := json.Unmarshal(a.Content, &content); err != nil {
		panic(err)
	}
	content["membership"], _ = json.Marshal(membership)
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// prevEvents names the create event only for the first join.
func (p pair) prevEvents() []string {
	if p.Action.PrevIsCreate {
		return []string{createID}
	}
	return []string{"$B" + hash[1:]}
}

// authEvents lists the state that a homeserver would put beside the event.
func (p pair) authEvents() []room.Key {
	keys := []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}, {Type: "m.room.member", StateKey: string(p.Action.Sender)}}
	if p.eventType() != "m.room.member" {
		return keys
	}
	if p.Action.Target != p.Action.Sender {
		keys = append(keys, room.Key{Type: "m.room.member", StateKey: string(p.Action.Target)})
	}
	keys = append(keys, room.Key{Type: "m.room.join_rules"})
	for _, key := range room.Needs(p.Action) {
		if key.Type == "m.room.third_party_invite" || key.Type == "m.room.member" && key.StateKey != string(p.Action.Sender) && key.StateKey != string(p.Action.Target) {
			keys = append(keys, key)
		}
	}
	return keys
}
