package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// The state under guard.
var (
	joinRules   = room.Key{Type: room.TypeJoinRules}
	powerLevels = room.Key{Type: room.TypePowerLevels}
)

// Reason codes of drifts not set back by a guard.
const (
	CodeGuardAbove   room.Rule = "guard.above"   // whoever changed it has more power than the bot
	CodeGuardPower   room.Rule = "guard.power"   // the bot lacks the power
	CodeGuardAuthor  room.Rule = "guard.author"  // the policy would lend its author more power than they have
	CodeGuardContent room.Rule = "guard.content" // the event can't be mended
	CodeGuardBrake   room.Rule = "guard.brake"   // policy lists had enough invitations withdrawn for now
	CodeGuardStopped room.Rule = "guard.stopped" // it was set back often enough
)

// Difference is one value in a room's state which differs from the room's policy.
type Difference struct {
	Path          string // of the policy's field
	Found, Wanted string
}

// Drift is a state event which differs from the room's policy.
type Drift struct {
	Key     room.Key
	Event   id.EventID // empty where there is none
	Changer id.UserID  // its sender; empty where there is none
	What    []Difference
	Content json.RawMessage // the content to set it back; nil where none can
}

// Action is the action of setting the drift back.
func (d *Drift) Action(by id.UserID) room.Action {
	a := room.Action{Type: room.SetJoinRules, Sender: by, Content: d.Content}
	if d.Key == powerLevels {
		a.Type = room.SetPowerLevels
	}
	return a
}

// GuardNeeds names the state watched and judged by a guard, with the memberships of the users.
func GuardNeeds(users ...id.UserID) []room.Key {
	needs := []room.Key{{Type: room.TypeCreate}, powerLevels, joinRules, Key()}
	for _, user := range users {
		needs = append(needs, room.MemberKey(user))
	}
	return needs
}

// Drifts lists the room's differences from a guard's policy: at most one drift for each state event, and without Content. State not
// known has not drifted.
func (g *Guard) Drifts(s *room.Snapshot) (list []Drift) {
	if rule, known := s.JoinRule(); known && g.JoinRule != "" && rule != g.JoinRule {
		list = append(list, drift(s, joinRules, Difference{"guard.join_rule", rule, g.JoinRule}))
	}
	var what []Difference
	for _, name := range slices.Sorted(maps.Keys(g.Levels)) {
		found, ok := s.NamedLevel(name)
		if _, known := s.Event(powerLevels); !known || ok && found == g.Levels[name] {
			continue
		}
		text := fmt.Sprint(found)
		if !ok {
			text = "malformed"
		}
		what = append(what, Difference{levelsPath + "." + name, text, fmt.Sprint(g.Levels[name])})
	}
	if len(what) > 0 {
		list = append(list, drift(s, powerLevels, what...))
	}
	return list
}

func drift(s *room.Snapshot, k room.Key, what ...Difference) Drift {
	d := Drift{Key: k, What: what}
	if event, _ := s.Event(k); event != nil {
		d.Event, d.Changer = event.ID, cmp.Or(event.RedactedBy, event.Sender)
	}
	return d
}

// Had reports whether an earlier content of the drift's event had a difference too. Without such a content, nothing had.
func (g *Guard) Had(s *room.Snapshot, k room.Key, before json.RawMessage, what Difference) bool {
	create := room.Key{Type: room.TypeCreate}
	event, _ := s.Event(create)
	if before == nil {
		return false
	}
	then := room.NewSnapshot(room.State{Events: map[room.Key]*room.Event{create: event, k: {Content: before}}})
	for _, d := range g.Drifts(then) {
		if d.Key == k && slices.Contains(d.What, what) {
			return true
		}
	}
	return false
}

// Mend finds the content to set a drift back. A join rule is restored from the content before the change where the old content agreed with
// the policy, because it has the rooms of a restricted rule.
func (g *Guard) Mend(s *room.Snapshot, d *Drift, before json.RawMessage) {
	if d.Key == powerLevels {
		event, _ := s.Event(powerLevels)
		d.Content = withLevels(s, event, d.What)
		return
	}
	d.Content = json.RawMessage(fmt.Sprintf(`{"join_rule":%q}`, g.JoinRule))
	if exactjson.Text(before, "join_rule") == g.JoinRule {
		d.Content = bytes.Clone(before)
	}
}

// Remains reports whether the room still differs in something of a drift, and keeps only the remaining differences of the drift.
func (g *Guard) Remains(s *room.Snapshot, d *Drift) bool {
	var what []Difference
	for _, now := range g.Drifts(s) {
		for _, one := range now.What {
			if now.Key == d.Key && slices.ContainsFunc(d.What, func(old Difference) bool { return old.Path == one.Path }) {
				what = append(what, one)
			}
		}
	}
	d.What = what
	return len(what) > 0
}

// Over returns the content to set a drift back in an event sent by somebody at the same time: the content of the event, without the
// differences of the drift.
func (g *Guard) Over(s *room.Snapshot, d *Drift, theirs room.Event, before json.RawMessage) json.RawMessage {
	create := room.Key{Type: room.TypeCreate}
	event, _ := s.Event(create)
	then := room.NewSnapshot(room.State{Events: map[room.Key]*room.Event{create: event, d.Key: &theirs}})
	over := Drift{Key: d.Key, What: d.What}
	if !g.Remains(then, &over) {
		return theirs.Content
	}
	g.Mend(then, &over, before)
	return over.Content
}

// withLevels returns the content of a power levels event with the differences as they are wanted, and the rest as it is, all levels as
// integers. It returns nil where there is no content to change: content made of nothing would take everybody's power away.
func withLevels(s *room.Snapshot, event *room.Event, what []Difference) json.RawMessage {
	if event == nil {
		return nil
	}
	content := s.PlainLevels(event.Content)
	for _, w := range what {
		path := strings.SplitN(strings.TrimPrefix(w.Path, levelsPath+"."), ".", 2) // a level, or a table and its key
		if content = exactjson.Set(content, []byte(w.Wanted), path...); content == nil {
			return nil
		}
	}
	return content
}

// MaySetBack judges setting a drift back as the bot. The changing user must not have more power than the bot, the bot must be
// able to set it back, and so must be the author of the policy (Entitled). The zero code allows.
func (p *InForce) MaySetBack(s *room.Snapshot, d *Drift, bot id.UserID) (code room.Rule, because room.Result) {
	if d.Content == nil {
		return CodeGuardContent, because
	}
	theirs, known := s.Power(d.Changer)
	mine, knows := s.Power(bot)
	if d.Changer != "" && (!known || !knows || theirs > mine) {
		because.Evidence = room.Evidence{User: d.Changer, Had: mine, Needed: theirs}
		return CodeGuardAbove, because
	}
	if because = room.Authorize(s, d.Action(bot)); because.Verdict != room.Allow {
		return CodeGuardPower, because
	}
	for _, w := range d.What {
		if author := p.Entitled(s, w.Path, d.Action(bot)); author.Verdict != room.Allow {
			return CodeGuardAuthor, author
		}
	}
	return "", because
}

// IsIntruder reports whether somebody who joined without an invitation came in by a door left open against the policy.
// vouched: another member's server vouched for them, as for a restricted join rule.
func (g *Guard) IsIntruder(vouched bool) bool {
	switch g.JoinRule {
	case "", "public":
		return false
	case "restricted", "knock_restricted":
		return !vouched
	}
	return true
}

// Uninvited shows a room as if the target were not invited, to judge an invitation after it was sent.
func Uninvited(s *room.Snapshot, q Question) *room.Snapshot {
	events := map[room.Key]*room.Event{}
	for _, k := range Needs(q) {
		if e, known := s.Event(k); known {
			events[k] = e
		}
	}
	events[room.MemberKey(q.Target)] = nil
	return room.NewSnapshot(room.State{Events: events})
}
