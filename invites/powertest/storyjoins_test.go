package powertest

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/native"
	"usher/policy"
	"usher/room"
)

// bots are the rooms that the bot is in.
type bots struct{ *watched }

func (b bots) In(_ context.Context, r id.RoomID) (bool, error) { return b.joined(r, bot), nil }

// arrive has the homeserver ask whether somebody may join: by join rules that leave it to Usher or, as often as not, by others.
func (w *story) arrive(o op, r id.RoomID, who id.UserID) {
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	users[bot.String()], users[cast[1].String()] = pick(o.d, 0, 50, 100), 50
	levels["invite"] = pick(o.d/3, 0, 50, 75)
	delete(levels, "users_default")
	w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	allow := pick(o.c, []any{map[string]any{"type": "fi.mau.spam_checker"}}, []any{map[string]any{"type": "fi.mau.spam_checker"}}, []any{})
	w.hs.Set(r, room.TypeJoinRules, "", cast[0], map[string]any{"join_rule": pick(o.a/4, "restricted", "restricted", "knock_restricted", "public"), "allow": allow})
	in, doc := r, w.document(o)
	put(doc, pick(o.b/2, map[string]any{"join.deny": true}, map[string]any{"join.max_members": 1 + o.e%6}, map[string]any{}))
	put(doc, pick(o.b/8, map[string]any{"knocks.accept_users": []string{"@*"}}, map[string]any{"knocks.accept_members_of": []string{w.spaces[0].String()}}, map[string]any{}))
	if o.c/4%3 == 0 {
		in = w.spaces[o.c/16%len(w.spaces)]
		w.under(in, r)
		w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	}
	w.hs.state(in, cast[o.b%2], policy.Key(), doc)
	if o.e%5 == 0 { // the author loses the power
		users[cast[o.b%2].String()] = 0
		w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	}
	door := native.Native{Rooms: bots{w.hs}, Admissions: w.Knocks, Limits: w.Requests.Limits, Judge: w.Judge, Self: w.Self}
	for _, user := range []id.UserID{who, cast[o.e%len(cast)], w.oneOf(r, o.d, cast[4], "leave", "")} {
		for _, callback := range []native.Callback{native.MayJoin, native.MayMakeJoin} {
			got, err := door.Answer(w.t.Context(), native.Question{Callback: callback, Sender: user, Room: r})
			w.say("%s of %s at %s: %s %s %v", callback, user, r, got.Verdict, got.Code, err)
			if err == nil {
				w.hs.judgeJoin(r, callback, user, got)
			}
		}
	}
}

// armed has somebody name a space of theirs before that takes as much power as writing the policy does. Then it comes to take that much.
func (w *story) armed(o op, r id.RoomID, whom id.UserID) {
	set := func(naming int) {
		levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
		users, _ := levels["users"].(map[string]any)
		users[bot.String()], users[cast[1].String()] = 100, 50
		levels["invite"], levels["events"] = 50, map[string]any{policy.EventType: 100, "m.space.parent": naming}
		w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	}
	set(50)
	w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: cast[1], Target: cast[1]})
	ours, theirs := w.spaces[o.b%2], w.spaces[1-o.b%2]
	link := map[string]any{"via": []string{"here"}}
	w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	w.hs.state(r, cast[0], room.Key{Type: "m.space.parent", StateKey: ours.String()}, link)
	for _, space := range w.spaces {
		w.hs.state(space, cast[0], room.Key{Type: "m.space.child", StateKey: r.String()}, link)
	}
	w.hs.state(r, cast[1], room.Key{Type: "m.space.parent", StateKey: theirs.String()}, map[string]any{"via": []string{"here"}, "canonical": true})
	w.hs.state(ours, cast[0], policy.Key(), map[string]any{"version": 1, "approval": map[string]any{"required": true}})
	w.hs.state(theirs, cast[1], policy.Key(), map[string]any{"version": 1, "delegate": true})
	w.tally.add("link armed")
	set(100)
	w.ask(op{e: 1}, room.Invite, r, w.oneOf(r, o.a, cast[3], "join"), w.oneOf(r, o.c, whom, "leave", ""))
	w.ask(op{e: 1}, room.Invite, r, cast[0], w.oneOf(r, o.d, whom, "leave", ""))
}

// admits reports whether a policy lets a user in without anybody's decision, by a field whose author could do the same.
func (h *watched) admits(s *room.Snapshot, l law, user id.UserID) bool {
	if l.none || l.broken {
		return false
	}
	if like(l.list("knocks.accept_users"), user.String()) && !h.lends(s, l, "knocks.accept_users", room.Action{Type: room.Invite, Target: user}) {
		return true
	}
	const path = "knocks.accept_members_of"
	for _, other := range l.list(path) {
		r := id.RoomID(other)
		if h.joined(r, user) && (r == l.room || h.joined(r, author(l.from[path]))) && !h.lends(s, l, path, room.Action{Type: room.Invite, Target: user}) {
			h.w.tally.add("admitted as a member")
			return true
		}
	}
	return false
}

// judgeJoin is the oracle on what Usher says about a join.
func (h *watched) judgeJoin(r id.RoomID, callback native.Callback, user id.UserID, got native.Answer) {
	s, l := h.truth(r), h.law(r)
	membership, _ := s.Membership(user)
	power, _ := s.Power(user)
	writing, _ := s.NeededToSend(policy.EventType)
	against := ""
	if !h.joined(r, bot) { // it knows nothing of the room
		if got.Verdict == room.Allow && callback == native.MayMakeJoin && user != bot {
			h.wrong = string(user) + " is let into " + string(r) + " without the bot"
		}
		return
	}
	switch {
	case user == bot || l.none || power >= writing:
	case l.broken:
		against = "malformed"
	case l.holds("join.deny", false) && (l.denies(user) || h.listed(l, user) != ""):
		against = "policy.join.deny"
	case l.number("join.max_members") > 0 && h.members(r) >= l.number("join.max_members"):
		against = "policy.join.max_members"
	}
	rules, _ := s.Event(room.Key{Type: room.TypeJoinRules})
	rule := exactjson.Text(rules.Content, "join_rule")
	left := (rule == "restricted" || rule == "knock_restricted") && len(exactjson.Get(rules.Content, "allow").Items) > 0
	if left && callback == native.MayMakeJoin && user != bot && membership != "invite" && membership != "join" && against == "" {
		about := &asked{actor: bot, knock: true}
		why := h.forbids(l, s, about, invites.Effect{Action: room.Invite, Room: r, Performer: bot, Target: user})
		may := room.Authorize(s, room.Action{Type: room.Invite, Sender: bot, Target: user}).Verdict == room.Allow
		if !may || !h.admits(s, l, user) || why != "" && why != "approval.required" {
			against = "policy.join.not_admitted"
		} else if got.Verdict == room.Allow {
			h.w.tally.add("join admitted")
		}
	}
	switch {
	case got.Verdict == room.Allow && against != "":
		h.wrong = string(callback) + " of " + string(user) + " in " + string(r) + " is let through against " + against
	case got.Verdict == room.Deny && against == "" && got.Code != string(policy.CodeNotAdmitted):
		h.wrong = string(callback) + " of " + string(user) + " in " + string(r) + " is refused for nothing: " + got.Code
	case got.Verdict == room.Deny:
		h.w.tally.add("refused join %s", got.Code)
	}
}
