package invites_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// guardDoc is what the oracle knows of a policy's guard.
type guardDoc struct {
	Guard struct {
		Mode      string           `json:"mode"`
		JoinRule  string           `json:"join_rule"`
		Levels    map[string]int64 `json:"levels"`
		Intruders string           `json:"intruders"`
		ByHand    string           `json:"by_hand"`
	} `json:"guard"`
}

func (h *watched) guard(s *room.Snapshot) (d guardDoc, event *room.Event) {
	if event, _ = s.Event(room.Key{Type: policy.EventType}); event != nil {
		h.w.must(json.Unmarshal(event.Content, &d))
	}
	return d, event
}

// lends tells whether an action gives those who may write the policy more power than they have: the author can't do it, and
// not everybody who could have written it has the levels named.
func (h *watched) lends(s *room.Snapshot, event *room.Event, a room.Action, levels ...room.Level) bool {
	byAuthor := a
	byAuthor.Sender = event.Sender
	if event.Sender != bot && room.Authorize(s, byAuthor).Verdict == room.Allow {
		return false
	}
	writing, known := s.NeededToSend(policy.EventType)
	return !known || writing < slices.Max(levels)
}

// judgeState is the oracle on state that the bot sets.
func (h *watched) judgeState(before *room.Snapshot, as id.UserID, k room.Key, content json.RawMessage) {
	wrong := func(format string, args ...any) {
		h.wrong = fmt.Sprintf("%s: %s sets %s to %s: ", h.serving, as, k.Type, content) + fmt.Sprintf(format, args...)
	}
	d, event := h.guard(before)
	a := room.Action{Type: room.SetJoinRules, Sender: as, Content: content}
	setting, _ := before.NeededToSend(k.Type)
	switch {
	case !h.guarding || as != bot:
		wrong("nobody asked for it")
		return
	case event == nil || !h.legit[event.ID] || d.Guard.Mode != "enforce":
		wrong("no policy wants it")
		return
	case k.Type == "m.room.join_rules":
		var to struct {
			JoinRule string `json:"join_rule"`
		}
		h.w.must(json.Unmarshal(content, &to))
		if to.JoinRule != d.Guard.JoinRule || to.JoinRule == "" {
			wrong("the policy wants %q", d.Guard.JoinRule)
		} else if h.lends(before, event, a, setting) {
			wrong("it lends %s power", event.Sender)
		}
		return
	}
	a.Type = room.SetPowerLevels
	old, next := h.levelsIn(before, nil), h.levelsIn(before, content)
	levels := []room.Level{setting}
	for _, name := range append(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(next))...) {
		was, set := old[name]
		if now, stays := next[name]; was == now && set == stays {
			continue
		}
		if want, kept := d.Guard.Levels[name]; !kept || next[name] != want {
			wrong("the policy does not want %s so", name)
			return
		}
		levels = append(levels, room.Level(was), room.Level(next[name]))
	}
	if h.lends(before, event, a, levels...) {
		wrong("it lends %s power", event.Sender)
	}
}

// levelsIn lists the power levels in a content, or in the room's, by name.
func (h *watched) levelsIn(s *room.Snapshot, content json.RawMessage) map[string]int64 {
	if content == nil {
		event, _ := s.Event(room.Key{Type: "m.room.power_levels"})
		content = event.Content
	}
	var fields map[string]json.RawMessage
	h.w.must(json.Unmarshal(content, &fields))
	all := map[string]int64{}
	for name, raw := range fields {
		if name == "users" || name == "events" {
			var entries map[string]int64
			h.w.must(json.Unmarshal(raw, &entries))
			for key, level := range entries {
				all[name+"."+key] = level
			}
			continue
		}
		var level int64
		h.w.must(json.Unmarshal(raw, &level))
		all[name] = level
	}
	return all
}

// judgeGuard is the oracle on what the guard does about people.
func (h *watched) judgeGuard(before *room.Snapshot, e invites.Effect) {
	h.w.tally.removed++
	d, event := h.guard(before)
	membership, _ := before.Membership(e.Target)
	kicking, _ := before.NeededFor(room.Kick)
	rank, _ := before.Power(e.Target)
	intruder := membership == "join" && d.Guard.Intruders == "kick" && h.came[e.Room][e.Target] && d.Guard.JoinRule != "public" && d.Guard.JoinRule != ""
	byHand := membership == "invite" && d.Guard.ByHand == "withdraw"
	why := ""
	switch {
	case e.Action != room.Kick:
		why = "a guard only kicks"
	case event == nil || !h.legit[event.ID] || d.Guard.Mode == "off" || d.Guard.Mode == "":
		why = "no policy wants it"
	case !intruder && !byHand:
		why = "they were not to be removed"
	case h.lends(before, event, room.Action{Type: room.Kick, Sender: bot, Target: e.Target}, kicking, rank+1):
		why = "it lends " + event.Sender.String() + " power"
	}
	if why != "" {
		h.wrong = fmt.Sprintf("%s: %s of %s in %s: %s", h.serving, e.Action, e.Target, e.Room, why)
	}
}
