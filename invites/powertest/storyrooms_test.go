package powertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// enter lets people into a room before the story begins.
func (w *story) enter(r id.RoomID, users ...id.UserID) {
	for _, user := range users {
		w.hs.Member(r, user, "join")
		w.hs.of(r, user).joined = w.clock.Now()
	}
}

// furnish makes two spaces, in which the second of the cast may write policies, and a policy list.
func (w *story) furnish() {
	for i := range 2 {
		space := id.RoomID(fmt.Sprintf("!space%d-%s:here", i, w.name))
		w.hs.Create(space, "11", cast[0], bot)
		w.hs.Set(space, "m.room.create", "", cast[0], map[string]any{"room_version": "11", "type": "m.space"})
		w.hs.Set(space, "m.room.power_levels", "", cast[0], map[string]any{"invite": 50, "users": map[string]any{cast[0].String(): 100, cast[1].String(): 50, bot.String(): 50}})
		w.enter(space, cast[0], bot, cast[1])
		w.spaces = append(w.spaces, space)
	}
	w.list = id.RoomID("!list-" + w.name + ":here")
	w.hs.Create(w.list, "11", cast[0], bot)
}

// clear takes a story's invitations out of the ledger, so that the next story has it to itself.
func (w *story) clear() {
	w.heard()
	w.clearMoves()
	for _, r := range append(w.rooms, w.spaces...) {
		w.must(w.db.Complete(w.t.Context(), r, nil, w.clock.Now().AddDate(1, 0, 0)))
	}
}

// passesOn tells whether an event may change what rooms inherit.
func passesOn(kind string) bool {
	return kind == policy.EventType || kind == "m.space.child" || kind == "m.space.parent"
}

// regard has the guards look anew at all rooms.
func (w *story) regard() error {
	for _, r := range append(w.spaces, w.rooms...) {
		if err := w.guard.Refresh(w.t.Context(), r); err != nil {
			return err
		}
	}
	return w.db.ForgetExpiries(w.t.Context())
}

// hears has the ledger hear of a membership with what comes next from the homeserver.
func (w *story) hears(r id.RoomID, k room.Key, event *room.Event) {
	var content struct{ Membership string }
	w.must(json.Unmarshal(event.Content, &content))
	w.members = append(w.members, invites.MemberEvent{Event: event.ID, Room: r, Target: id.UserID(k.StateKey), Sender: event.Sender,
		Membership: content.Membership, SentAt: w.clock.Now()})
	if !w.hs.dated.IsZero() { // the intake takes in what comes late with its transaction, before any command after it
		w.members[len(w.members)-1].SentAt = w.hs.dated
		w.tally.add("backdated")
		w.heard()
	}
}

// heard brings the ledger up to date.
func (w *story) heard() {
	for i := range w.members {
		w.members[i].SeenAt = w.clock.Now()
	}
	_, err := w.db.Receive(w.t.Context(), nil, w.members...)
	w.must(err)
	w.members = nil
}

// later are the steps that came to the stories later.
func (w *story) later(o op, r id.RoomID, who, whom id.UserID) {
	switch {
	case o.kind < 107:
		if o.d%5 > 0 {
			who, whom = w.oneOf(r, o.b, who, "join"), w.oneOf(r, o.c, whom, "invite")
		}
		w.ask(o, policy.ActionWithdraw, r, who, whom)
	case o.kind < 110:
		w.prune(o, r, who, whom)
	case o.kind < 115:
		w.link(o)
	case o.kind < 118:
		rule := map[string]any{"recommendation": pick(o.c, "m.ban", "m.takedown", "m.other"), "reason": "spam",
			"entity": pick(o.d, cast[o.b%len(cast)].String(), "@d*:*", "@?van:*", "nobody")}
		kind := pick(o.a, "m.policy.rule.user", "m.policy.rule.user", "m.policy.rule.server", "m.room.rule.user", "m.policy.rule.room")
		if kind == "m.policy.rule.server" {
			rule["entity"] = pick(o.d, "10.0.*", "there", "here")
		}
		if kind == "m.policy.rule.room" {
			rule["entity"] = pick(o.d, w.rooms[0].String(), "!nowhere")
		}
		if o.e%4 == 0 {
			rule = map[string]any{}
		}
		w.hs.state(w.list, cast[0], room.Key{Type: kind, StateKey: fmt.Sprint(o.b % 3)}, rule)
		if kind == "m.policy.rule.room" { // which matters only to whoever watches the list
			w.hs.state(w.rooms[0], cast[0], policy.Key(), map[string]any{"version": 1, "whom": map[string]any{"lists": []string{w.list.String()}}})
			w.ask(op{e: 1}, room.Invite, w.rooms[0], cast[0], w.oneOf(w.rooms[0], o.c, whom, "leave", ""))
		}
	case o.kind < 125:
		w.expire(o)
	default:
		w.party(o, r)
	}
}

// oneOf is somebody with one of some memberships in a room, if there is anybody.
func (w *story) oneOf(r id.RoomID, from int, otherwise id.UserID, memberships ...string) id.UserID {
	truth := w.hs.truth(r)
	for i := range cast {
		user := cast[(i+from)%len(cast)]
		if membership, _ := truth.Membership(user); slices.Contains(memberships, membership) {
			return user
		}
	}
	return otherwise
}

// prune has somebody withdraw what a branch has open.
func (w *story) prune(o op, r id.RoomID, who, whom id.UserID) {
	var entries []invites.Invitation
	for _, member := range cast { // somebody who is there reads it for who asks, who may not be
		branch, _, err := w.Ledger.Branch(w.t.Context(), member, r, whom, 100)
		if errors.Is(err, judge.ErrNotJoined) || unreachable(err) {
			continue
		}
		w.must(err)
		entries = branch
		break
	}
	var targets []id.UserID
	for _, e := range entries {
		targets = append(targets, e.Target)
	}
	if len(targets) > 0 {
		w.tally.add("prune")
		w.ask(op{d: o.d, e: o.e / 3 * 3}, policy.ActionWithdraw, r, who, targets...)
	}
}

// link has somebody say that a room, or a space, is in a space, or not.
func (w *story) link(o op) {
	space, in := w.spaces[o.a%len(w.spaces)], append(w.rooms, w.spaces...)[o.b%(len(w.rooms)+len(w.spaces))]
	content := map[string]any{"via": []string{"here"}}
	if o.c%3 == 0 {
		content["canonical"] = true
	}
	if o.c%7 == 0 {
		content = pick(o.c/7, map[string]any{}, map[string]any{"via": []string{}, "canonical": true})
	}
	if o.d%3 > 0 {
		w.hs.state(in, pick(o.e, cast[0], privileged(o)), room.Key{Type: "m.space.parent", StateKey: space.String()}, content)
	}
	if o.d%3 < 2 {
		w.hs.state(space, pick(o.e, cast[0], privileged(o)), room.Key{Type: "m.space.child", StateKey: in.String()}, content)
	}
}

// under puts a room into a space.
func (w *story) under(space, r id.RoomID) {
	w.hs.state(r, cast[0], room.Key{Type: "m.space.parent", StateKey: space.String()}, map[string]any{"via": []string{"here"}, "canonical": true})
	w.hs.state(space, cast[0], room.Key{Type: "m.space.child", StateKey: r.String()}, map[string]any{"via": []string{"here"}})
}

// expire lets time pass and sweeps, as often as not with a ledger that is behind.
func (w *story) expire(o op) {
	w.clock.Advance(pick(o.a, 0, time.Minute, 5*time.Minute, time.Hour))
	if o.b%2 == 0 {
		w.heard()
	}
	due, remind, err := w.Ledger.Expiries.Expire(w.t.Context())
	if unreachable(err) {
		return
	}
	w.must(err)
	w.say("%s later, %d invitations have expired", w.clock.Now(), len(due))
	for _, row := range due {
		w.expiries[row] = true
		if o.c%4 == 0 { // it waits for its turn
			w.must(w.queue.Wake(w.t.Context(), w.clock.Now(), row))
			continue
		}
		w.row(row)
	}
	for _, e := range remind {
		w.tally.add("expiry reminds")
		w.must(w.db.Reminded(w.t.Context(), e.ID))
	}
	w.review(o)
}

// review judges the open invitations of all rooms anew.
func (w *story) review(o op) {
	for _, r := range append(slices.Clone(w.rooms), w.spaces...) {
		found, err := w.Ledger.Reviews.Review(w.t.Context(), r)
		if unreachable(err) {
			continue
		}
		w.must(err)
		for _, t := range found.Turns {
			w.say("in %s %s about %d invitations: %s %s", r, t.Code, len(t.Invitations), t.Done, t.Why)
			w.tally.add("turned %s %s", t.Code, t.Done)
			w.must(w.Ledger.Reviews.Told(w.t.Context(), t))
			for _, row := range t.Rows {
				w.turned[row] = true
				if o.c%3 == 0 {
					w.must(w.queue.Wake(w.t.Context(), w.clock.Now(), row))
					continue
				}
				w.row(row)
			}
		}
	}
}

// party makes work for delegation: a policy of a room or of its space lends the bot's power within a rule or two, people without
// power invite, and take back what they or others sent.
func (w *story) party(o op, r id.RoomID) {
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	ivan := cast[5]
	if o.e%4 == 0 { // one invites as herself, and loses the power
		users[cast[2].String()] = 50
		w.hs.state(r, cast[0], room.Key{Type: "m.room.power_levels"}, levels)
		w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: cast[2], Target: cast[2]})
		w.ask(op{e: 1}, room.Invite, r, cast[2], ivan)
	}
	users[bot.String()] = pick(o.d, 50, 100, 50, 0)
	for _, guest := range cast[2:6] {
		delete(users, guest.String())
	}
	levels["invite"], levels["kick"] = 50, pick(o.d/4, 50, 50, 0)
	delete(levels, "users_default")
	w.hs.state(r, cast[0], room.Key{Type: "m.room.power_levels"}, levels)
	w.hs.state(r, cast[0], room.Key{Type: "m.room.join_rules"}, map[string]any{"join_rule": "public"})
	for _, guest := range cast[2:5] {
		if o.b/8%2 == 0 {
			w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: guest, Target: guest})
		}
	}
	doc := map[string]any{"version": 1, "delegate": true}
	random := rand.New(rand.NewPCG(uint64(o.d), uint64(o.e)))
	for range random.IntN(3) {
		put(doc, w.rules()[random.IntN(len(w.rules()))](random))
	}
	lender, lent := r, doc
	if o.c%2 == 0 {
		space := w.spaces[o.c/2%len(w.spaces)]
		lender = space
		w.under(space, r)
		own := map[string]any{"version": 1}
		put(pick(random.IntN(2), doc, own), map[string]any{"pending.expire_after": pick(o.e, "1m", "1h")})
		w.hs.state(space, cast[o.b%2], policy.Key(), doc)
		switch random.IntN(8) { // or one of them does not want the other any more
		case 0:
			w.hs.state(space, cast[0], room.Key{Type: "m.space.child", StateKey: r.String()}, map[string]any{})
		case 1:
			w.hs.state(r, cast[0], room.Key{Type: "m.space.parent", StateKey: space.String()}, map[string]any{"via": []string{}})
		}
		doc = own
	}
	w.hs.state(r, cast[0], policy.Key(), doc)
	if o.d%3 == 0 {
		w.hs.veiled = 9
		w.say("the homeserver will keep spaces back")
	}
	defer func() { w.hs.veiled = 0 }()
	if o.e%4 == 0 {
		w.heard()
		w.ask(op{e: 1}, policy.ActionWithdraw, r, cast[2], ivan)
	}
	for i := range 3 {
		guest, whom := w.oneOf(r, 2+random.IntN(4), cast[2], "join"), w.oneOf(r, random.IntN(len(cast)), cast[5], "leave", "")
		w.clock.Advance(time.Duration(random.IntN(3)) * 10 * time.Second)
		w.ask(op{e: random.IntN(30)}, room.Invite, r, guest, whom, cast[random.IntN(len(cast))])
		if i == 1 {
			w.hs.direct(invites.Effect{Action: pick(o.a, room.Leave, room.Join), Room: r, Performer: whom, Target: whom})
		}
		if random.IntN(2) == 0 {
			w.heard()
		}
		if i == 0 && random.IntN(3) == 0 { // somebody invites them anew by hand, of which the ledger has not heard
			w.heard()
			w.hs.direct(invites.Effect{Action: room.Kick, Room: r, Performer: cast[0], Target: whom})
			w.hs.direct(invites.Effect{Action: room.Invite, Room: r, Performer: cast[0], Target: whom})
		} else if i == 2 && random.IntN(3) > 0 { // who may ask is another matter by now
			w.heard()
			put(lent, w.rules()[random.IntN(4)](random))
			w.hs.state(lender, cast[0], policy.Key(), lent)
		} else if random.IntN(2) == 0 {
			guest = w.oneOf(r, random.IntN(len(cast)), cast[1], "join")
		}
		w.ask(op{e: random.IntN(30)}, policy.ActionWithdraw, r, guest, whom)
	}
}

// put sets a field of a document, or several, by path.
func put(doc map[string]any, fields map[string]any) {
	for path, value := range fields {
		at := doc
		parts := strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			inner, _ := at[part].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				at[part] = inner
			}
			at = inner
		}
		at[parts[len(parts)-1]] = value
	}
}

// rules make up values of the fields of a policy that narrow.
func (w *story) rules() []func(*rand.Rand) map[string]any {
	type fields = map[string]any
	span := func(r *rand.Rand) string { return pick(r.IntN(3), "30s", "2m", "10m") }
	quota := func(of string) func(*rand.Rand) fields {
		return func(r *rand.Rand) fields {
			f := fields{"quota." + of + ".count": r.IntN(4)}
			if r.IntN(3) > 0 {
				f["quota."+of+".per"] = pick(r.IntN(3), "60s", "5m", "1h")
			}
			return f
		}
	}
	cooldown := func(after string) func(*rand.Rand) fields {
		return func(r *rand.Rand) fields { return fields{"whom.cooldown." + after: span(r)} }
	}
	return []func(*rand.Rand) fields{
		func(r *rand.Rand) fields { return fields{"ask.level": pick(r.IntN(4), 0, 25, 25, 50)} },
		func(r *rand.Rand) fields {
			return fields{"ask.users": pick(r.IntN(3), []string{"@d*:*"}, []string{"@?aro:here", "@e*"}, []string{})}
		},
		func(r *rand.Rand) fields {
			return fields{"ask.servers": pick(r.IntN(3), []string{"here"}, []string{"t*", "here"}, []string{})}
		},
		func(r *rand.Rand) fields { return fields{"ask.joined_for": span(r)} },
		func(r *rand.Rand) fields {
			return fields{"whom.deny_users": []string{cast[r.IntN(len(cast))].String()}}
		},
		func(r *rand.Rand) fields {
			return fields{"whom.deny_servers": pick(r.IntN(2), []string{"there"}, []string{"10.*"})}
		},
		func(r *rand.Rand) fields {
			return fields{"whom.allow_servers": pick(r.IntN(3), []string{"there"}, []string{"here", "10.*"}, []string{})}
		},
		func(r *rand.Rand) fields {
			return fields{"whom.allow_users": pick(r.IntN(2), []string{"@c*:*", "@d*:*"}, []string{"@i*"})}
		},
		func(r *rand.Rand) fields { return fields{"whom.ip_literals": r.IntN(3) == 0} },
		func(r *rand.Rand) fields {
			return fields{"whom.lists": pick(r.IntN(6), []string{"!gone:here"}, []string{}, []string{w.list.String()}, []string{w.list.String()}, []string{w.list.String()}, []string{w.list.String()})}
		},
		cooldown("leave"), cooldown("decline"), cooldown("kick"),
		func(r *rand.Rand) fields { return fields{"whom.max_members": 2 + r.IntN(5)} },
		quota("person"), quota("server"), quota("room"),
		func(r *rand.Rand) fields {
			return fields{"approval.required": r.IntN(2) == 0, "approval.expires": "720h"}
		},
		func(r *rand.Rand) fields {
			return fields{"pending.withdraw_on": pick(r.IntN(5), []string{}, []string{"inviter_banned"}, []string{"listed", "inviter_left"}, []string{"inviter_left", "inviter_banned"}, []string{"denied"})}
		},
		func(r *rand.Rand) fields {
			return fields{"pending.expire_after": pick(r.IntN(3), "60s", "10m", "1h"), "pending.remind_before": "30s"}
		},
	}
}

// document makes up a policy, now and then a malformed one.
func (w *story) document(o op) map[string]any {
	r := rand.New(rand.NewPCG(uint64(o.d), uint64(o.e)))
	doc := map[string]any{"version": 1}
	if r.IntN(17) == 0 {
		return map[string]any{}
	}
	if r.IntN(4) > 0 {
		doc["delegate"] = r.IntN(3) > 0
	}
	rules := w.rules()
	for range r.IntN(5) {
		put(doc, rules[r.IntN(len(rules))](r))
	}
	if r.IntN(2) == 0 {
		put(doc, map[string]any{"knocks.desk": true, "knocks.accept_users": pick(r.IntN(2), []string{}, []string{"@d*:*"}),
			"knocks.accept_members_of": pick(r.IntN(3), []string{}, []string{w.spaces[1].String()}, []string{w.rooms[0].String(), w.spaces[0].String()})})
	}
	for path, value := range map[string]any{
		"guard.mode":      pick(o.a, "enforce", "watch", "watch", "enforce", "off"),
		"guard.join_rule": pick(o.a/5, "invite", "restricted", "invite", "public", "knock"),
		"guard.intruders": pick(o.a/25, "kick", "kick", "report"),
		"guard.by_hand":   pick(o.a/75, "withdraw", "withdraw", "ignore"),
		"guard.levels":    pick(o.a/225, map[string]any{"users_default": 50}, map[string]any{"invite": 50, "kick": 50}, map[string]any{"ban": 0, "invite": 0}, map[string]any{}),
	} {
		if o.c/4%3 != 0 || len(path)%3 == o.c%4 { // all of it, or parts
			put(doc, map[string]any{path: value})
		}
	}
	if o.c%5 == 0 {
		delete(doc, "guard")
	}
	if r.IntN(20) == 0 {
		doc["whom_ever"] = w.deep(o.e) // a field that there is not
	}
	return doc
}

// upgrade replaces a room, or has a new room claim to replace one, and has people invite there.
func (w *story) upgrade(o op, r id.RoomID, whom id.UserID) {
	if len(w.rooms) == 5 {
		return
	}
	next := id.RoomID(fmt.Sprintf("!%d-%s:here", len(w.rooms), w.name))
	w.hs.Create(next, "11", cast[0], bot)
	w.hs.Set(next, "m.room.create", "", cast[0], map[string]any{"room_version": "11", "creator": cast[0], "predecessor": map[string]any{"room_id": r}})
	users := map[string]any{cast[0].String(): 100, bot.String(): 100, cast[1].String(): pick(o.b, 0, 50)}
	w.hs.Set(next, "m.room.power_levels", "", cast[0], map[string]any{"invite": pick(o.c, 0, 50), "users": users})
	w.enter(next, cast[0], bot, cast[1], cast[3])
	w.rooms = append(w.rooms, next)
	w.tally.add("upgrade")
	if o.d%4 > 0 {
		w.hs.state(r, w.hs.creator(r), room.Key{Type: room.TypeTombstone}, map[string]any{"replacement_room": pick(o.e, next, next, next, r)})
	}
	if o.d%3 > 0 {
		w.hs.state(r, cast[o.b%2], policy.Key(), w.document(o))
	}
	if event, _ := w.hs.truth(r).Event(policy.Key()); event != nil && o.c%3 == 0 { // some homeservers copy it
		w.hs.Set(next, policy.EventType, "", cast[0], event.Content)
		copied, _ := w.hs.truth(next).Event(policy.Key())
		w.hs.written[copied.ID] = true
		w.tally.add("policy copied in an upgrade")
	}
	key := ""
	w.inbox = append(w.inbox, invites.Received{Event: id.EventID(fmt.Sprintf("$%s-upgrade-%d", w.name, len(w.rooms))), Room: next, Type: policy.EventType,
		StateKey: &key, Raw: json.RawMessage(`{}`), SentAt: w.clock.Now(), ReceivedAt: w.clock.Now()})
	if o.a%2 == 0 {
		w.guarding()
	}
	w.ask(op{e: o.e}, room.Invite, next, cast[pick(o.a, 0, 1, 3)], w.oneOf(next, o.b, whom, "leave"), cast[o.c%len(cast)])
	if o.e%3 == 0 {
		w.hs.direct(invites.Effect{Action: room.Invite, Room: next, Performer: cast[0], Target: whom})
	}
}

// turn has somebody invite, and then something turn against the invitation: the inviter is banned or leaves, or a policy list bans the invitee.
// Now and then the bot loses the space whose policy says what to do, or the policy's author loses power.
func (w *story) turn(o op, r id.RoomID, whom id.UserID) {
	inviter, in := cast[1], r
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	users[bot.String()], users[inviter.String()] = 100, 50
	levels["invite"], levels["kick"] = 0, 50
	delete(levels, "events")
	w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: inviter, Target: inviter})
	doc := map[string]any{"version": 1, "whom": map[string]any{"lists": []string{w.list.String()}}}
	put(doc, pick(o.d, map[string]any{"ask.level": 0}, map[string]any{"pending.withdraw_on": []string{"inviter_left", "inviter_banned", "listed"}},
		map[string]any{"pending.withdraw_on": []string{"inviter_left"}}, map[string]any{"pending.withdraw_on": []string{}}))
	if o.c%2 == 0 {
		in = w.spaces[o.c/2%len(w.spaces)]
		w.under(in, r)
		w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	}
	w.hs.state(in, pick(o.c/4, cast[0], cast[0], cast[1]), policy.Key(), doc)
	whom = w.oneOf(r, o.b, whom, "leave", "")
	if o.a/4%2 == 0 {
		w.ask(op{e: 1}, room.Invite, r, inviter, whom)
	} else {
		w.hs.direct(invites.Effect{Action: room.Invite, Room: r, Performer: inviter, Target: whom})
	}
	w.heard()
	switch o.b / 8 % 5 {
	case 4: // the policy itself names them by now
		put(doc, map[string]any{"whom.deny_users": []string{whom.String()}, "pending.withdraw_on": pick(o.a/8, []string{"denied"}, []string{"listed", "denied"}, []string{"listed"})})
		w.hs.state(in, pick(o.c/4, cast[0], cast[0], cast[1]), policy.Key(), doc)
	case 0:
		w.hs.direct(invites.Effect{Action: room.Ban, Room: r, Performer: cast[0], Target: inviter})
	case 1:
		w.hs.direct(invites.Effect{Action: room.Leave, Room: r, Performer: inviter, Target: inviter})
	default:
		w.hs.state(w.list, cast[0], room.Key{Type: "m.policy.rule.user", StateKey: "turn"}, map[string]any{"recommendation": "m.ban", "entity": whom.String()})
	}
	if in != r && o.d%3 == 0 {
		w.hs.direct(invites.Effect{Action: room.Kick, Room: in, Performer: cast[0], Target: bot})
	}
	if o.d%5 == 0 {
		users[cast[0].String()] = 0
		w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	}
	w.review(o)
	w.hs.state(w.list, cast[0], room.Key{Type: "m.policy.rule.user", StateKey: "turn"}, map[string]any{})
	w.ask(op{e: 1}, room.Invite, r, cast[0], whom)
}
