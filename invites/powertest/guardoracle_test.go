package powertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// author returns the user who answers for a policy event: its sender or, where the bot sent it, the user for whom it did.
func author(event *room.Event) id.UserID {
	if event.Sender != bot {
		return event.Sender
	}
	var content struct {
		For id.UserID `json:"for"`
	}
	if json.Unmarshal(event.Content, &content) != nil || content.For == "" {
		return bot
	}
	return content.For
}

// lends tells whether a field would lend its author power: they could not do the action now, or may not write the policy any more in the
// room or space where it is.
func (h *watched) lends(s *room.Snapshot, l law, path string, a room.Action) bool {
	a.Sender = author(l.from[path])
	where := h.truth(l.in[path])
	if l.own[path] {
		where = s
	}
	power, _ := where.Power(a.Sender)
	writing, known := where.NeededToSend(policy.EventType)
	membership, _ := where.Membership(a.Sender)
	return a.Sender == bot || !known || power < writing || membership != "join" || room.Authorize(s, a).Verdict != room.Allow
}

// judgeState is the oracle on state that the bot sets.
func (h *watched) judgeState(before *room.Snapshot, l law, as id.UserID, k room.Key, content json.RawMessage) {
	wrong := func(format string, args ...any) {
		h.wrong = fmt.Sprintf("%s: %s sets %s to %s: ", h.serving, as, k.Type, content) + fmt.Sprintf(format, args...)
	}
	a := room.Action{Type: room.SetJoinRules, Sender: as, Content: content}
	switch {
	case !h.guarding || as != bot:
		wrong("nobody asked for it")
		return
	case !h.legit(l, "guard.mode") || l.broken || l.text("guard.mode") != "enforce":
		wrong("no policy wants it")
		return
	case k.Type == "m.room.join_rules":
		var to struct {
			JoinRule string `json:"join_rule"`
		}
		h.w.must(json.Unmarshal(content, &to))
		if to.JoinRule != l.text("guard.join_rule") || to.JoinRule == "" || !h.legit(l, "guard.join_rule") {
			wrong("the policy wants %q", l.text("guard.join_rule"))
		} else if h.lends(before, l, "guard.join_rule", a) {
			wrong("it lends %s power", author(l.from["guard.join_rule"]))
		}
		h.w.tally.add("guard sets back%s", where(l, "guard.join_rule"))
		return
	}
	a.Type = room.SetPowerLevels
	old, next := h.levelsIn(before, nil), h.levelsIn(before, content)
	kept, changed := l.levels(), []string{}
	for _, name := range append(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(next))...) {
		was, set := old[name]
		if now, stays := next[name]; was == now && set == stays {
			continue
		}
		if want, keeps := kept[name]; !keeps || next[name] != want || !h.legit(l, "guard.levels."+name) {
			wrong("the policy does not want %s so", name)
			return
		}
		changed = append(changed, "guard.levels."+name)
	}
	for _, path := range changed {
		if h.lends(before, l, path, a) {
			wrong("it lends %s power", author(l.from[path]))
		}
		h.w.tally.add("guard sets back%s", where(l, path))
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
		if name == "deep" {
			continue
		}
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
func (h *watched) judgeGuard(before *room.Snapshot, l law, e invites.Effect) {
	membership, _ := before.Membership(e.Target)
	rule := l.text("guard.join_rule")
	intruder := membership == "join" && l.text("guard.intruders") == "kick" && h.came[e.Room][e.Target] && rule != "public" && rule != ""
	byHand := membership == "invite" && l.text("guard.by_hand") == "withdraw"
	path := map[bool]string{true: "guard.intruders", false: "guard.by_hand"}[intruder]
	mode := l.text("guard.mode")
	why := ""
	switch {
	case e.Action != room.Kick:
		why = "a guard only kicks"
	case l.none || l.broken || mode != "watch" && mode != "enforce":
		why = "no policy wants it"
	case !intruder && !byHand || !h.legit(l, path):
		why = "they were not to be removed"
	case h.lends(before, l, path, room.Action{Type: room.Kick, Sender: bot, Target: e.Target}):
		why = "it lends " + author(l.from[path]).String() + " power"
	}
	if why != "" {
		h.wrong = fmt.Sprintf("%s: %s of %s in %s: %s", h.serving, e.Action, e.Target, e.Room, why)
		return
	}
	h.w.tally.add("guard kicks %s", strings.TrimSuffix(strings.TrimPrefix(path, "guard."), "s"))
	if where(l, path) != "" {
		h.w.tally.add("guard kicks by a space")
	}
}
