package powertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/moves"
	"usher/policy"
	"usher/room"
)

// moving is an upgrade that is carried over, as the oracle remembers it.
type moving struct {
	old, next id.RoomID
	actor     id.UserID // sender of the tombstone, or asked for the upgrade
	voter     id.UserID // decides about another room; empty: nobody
}

// directory is the model's list of rooms and aliases, with the oracle at its door.
type directory struct {
	invitestest.Directory
	h *watched
}

// movers makes the parts that take rooms along.
func (w *story) movers() {
	w.moves = map[string]*moving{}
	w.Moves.Homeserver = struct {
		invitestest.FullHomeserver
		invitestest.Memory
		moves.Directory
	}{w.hs, w.hs, directory{invitestest.Directory{Homeserver: w.hs.Homeserver}, w.hs}}
	w.upgrader = &moves.Upgrader{Moves: w.Moves, Asked: w.db}
}

// moveOn has rooms replaced, with much that could come along, and carries over what is due.
func (w *story) moveOn(o op, r id.RoomID) {
	switch {
	case o.e%3 == 0 && len(w.rooms) < 6:
		w.replace(o, r)
	case o.e%7 == 1 && len(w.rooms) < 6:
		w.askUpgrade(o, r)
	case o.e%7 == 3 && len(w.links) > 0:
		if l, err := w.db.Link(w.t.Context(), w.links[o.b%len(w.links)]); err == nil {
			w.useLink(o, l, w.oneOf(l.Rooms[0], o.c, cast[4], "leave", ""))
		}
	}
	w.clock.Advance(pick(o.d, 0, time.Minute, time.Minute, 10*time.Minute))
	w.carry(o)
	if o.b%3 > 0 {
		w.decideMoves(o)
	}
}

// replace has somebody replace a room, with a space, an alias, an invitation, a link and a question that could come along. The tombstone may take less
// power than the policy, and who sends it may lack power in the new room or the space.
func (w *story) replace(o op, r id.RoomID) {
	space, by := w.spaces[o.b%len(w.spaces)], pick(o.c, cast[0], cast[0], cast[1], cast[3])
	w.ballast(o, r, space, by)
	next := id.RoomID(fmt.Sprintf("!%d-%s:here", len(w.rooms), w.name))
	w.hs.Create(next, "11", by, bot)
	w.hs.Set(next, room.TypeCreate, "", by, map[string]any{"room_version": "11", "creator": by, "predecessor": map[string]any{"room_id": r}})
	w.hs.Set(next, room.TypePowerLevels, "", by, map[string]any{"invite": pick(o.d, 0, 50), "users": map[string]any{by.String(): pick(o.d/2, 100, 100, 40, 50), bot.String(): pick(o.d/8, 100, 50, 100), cast[1].String(): 50}})
	w.enter(next, by, bot, cast[1])
	w.rooms = append(w.rooms, next)
	w.hs.state(r, by, room.Key{Type: room.TypeTombstone}, map[string]any{"replacement_room": next})
	w.tally.add("upgrade")
	if o.a/4%4 == 0 {
		w.carryPolicy(next)
	}
	if o.a/16%5 == 0 { // who replaced it is not in there, or loses power
		w.hs.direct(invites.Effect{Action: room.Leave, Room: next, Performer: by, Target: by})
	}
	if o.a/16%5 == 1 {
		w.weigh(o, r, map[id.UserID]int{cast[1]: 0, cast[3]: 0, bot: 100})
	}
}

// weigh sets the power levels of users in a room.
func (w *story) weigh(o op, r id.RoomID, of map[id.UserID]int) {
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	for user, level := range of {
		users[user.String()] = level
	}
	levels["invite"] = pick(o.b, 0, 50)
	delete(levels, "users_default")
	levels["events"] = map[string]any{room.TypeTombstone: pick(o.e/2, 50, 25, 50, 100), policy.EventType: pick(o.e/8, 50, 50, 75), "m.space.parent": pick(o.e/16, 50, 100), room.TypeCanonicalAlias: pick(o.e/32, 50, 25, 75)}
	w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
}

// ballast fills a room with what may come along.
func (w *story) ballast(o op, r, space id.RoomID, by id.UserID) {
	w.weigh(o, r, map[id.UserID]int{bot: 100, cast[1]: 50, cast[3]: pick(o.a, 25, 50)})
	w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: by, Target: by})
	switch o.a / 2 % 4 {
	case 0:
		w.under(space, r)
	case 1:
		w.hs.state(space, cast[0], room.Key{Type: room.TypeSpaceChild, StateKey: r.String()}, map[string]any{"via": []string{"here"}})
	case 2:
		w.under(space, r)
		w.hs.direct(invites.Effect{Action: room.Join, Room: space, Performer: by, Target: by})
	}
	alias := id.RoomAlias(fmt.Sprintf("#%d-%s:here", len(w.rooms), w.name))
	_ = invitestest.Directory{Homeserver: w.hs.Homeserver}.SetAlias(w.t.Context(), alias, r, cast[0])
	w.hs.state(r, cast[0], room.Key{Type: room.TypeCanonicalAlias}, map[string]any{"alias": alias})
	if o.b/2%3 > 0 {
		doc := w.document(o)
		w.hs.state(r, cast[o.b%2], policy.Key(), doc)
	}
	w.hs.direct(invites.Effect{Action: room.Invite, Room: r, Performer: cast[0], Target: w.oneOf(r, o.c, cast[5], "leave", "")})
	if o.b/4%2 == 0 {
		w.makeLink(r, cast[o.d%2])
	}
	if o.b/8%3 == 0 { // a question
		w.hs.state(r, cast[0], policy.Key(), map[string]any{"version": 1, "approval": map[string]any{"required": true, "expires": "30d"}})
		w.ask(op{e: 1}, room.Invite, r, by, w.oneOf(r, o.d, cast[4], "leave", ""))
		w.ask(op{e: 1}, room.Invite, r, cast[0], w.oneOf(r, o.d+1, cast[2], "leave", ""))
	}
	other := w.spaces[1-o.b%2]
	if o.b/16%3 == 0 {
		w.hs.state(other, cast[o.c%2], policy.Key(), map[string]any{"version": 1, "knocks": map[string]any{"desk": true, "accept_users": []string{"@d*:*"}, "accept_members_of": []string{r.String()}}})
	}
	w.heard()
}

// carryPolicy has the policy of a replaced room carried over.
func (w *story) carryPolicy(next id.RoomID) {
	w.hs.carrying = true
	_, err := w.Editor.CarryOver(w.t.Context(), "$carried", next)
	w.hs.carrying = false
	if !unreachable(err) && !errors.Is(err, invites.ErrNoView) {
		w.must(err)
	}
}

// carry begins the upgrades that the bot has seen, and does what is due.
func (w *story) carry(o op) {
	for _, next := range w.rooms {
		if o.c%2 == 0 {
			w.carryPolicy(next)
		}
		if err := w.Moves.Begin(w.t.Context(), next); err != nil && !unreachable(err) {
			w.must(err)
		}
	}
	w.clock.Advance(5 * time.Second)
	due, err := w.Moves.Due(w.t.Context())
	w.must(err)
	for _, u := range due {
		m := w.moves[u.Key()]
		if m == nil { // begun this moment
			stone, _ := w.hs.truth(u.Old).Event(room.Key{Type: room.TypeTombstone})
			m = &moving{old: u.Old, next: u.New, actor: stone.Sender}
			w.moves[u.Key()] = m
		}
		if m.next == "" {
			m.next = u.New
		}
		if u.Actor != m.actor {
			w.hs.wrong = fmt.Sprintf("%s acts for upgrade %d of %s", u.Actor, u.ID, m.actor)
			return
		}
		w.runMove(u, m)
	}
}

// runMove does the steps of an upgrade.
func (w *story) runMove(u invites.Upgrade, m *moving) {
	key := id.EventID(u.Key())
	rightful := w.hs.rightful(m)
	var before []invites.Link
	for _, l := range w.links {
		one, err := w.db.Link(w.t.Context(), l)
		w.must(err)
		before = append(before, one)
	}
	w.expects(key, m, rightful)
	questions := w.open(m.old)
	w.hs.serving, w.hs.moving = key, m
	after, done, err := w.Moves.Run(w.t.Context(), u)
	w.hs.serving, w.hs.moving = "", nil
	w.say("upgrade %d of %s to %s by %s: step %d, %t %v", u.ID, m.old, m.next, m.actor, after.Step, done, err)
	for i, l := range w.links {
		one, err := w.db.Link(w.t.Context(), l)
		w.must(err)
		if !slices.Equal(one.Rooms, before[i].Rooms) {
			w.tally.add("link moved")
			if !rightful {
				w.hs.wrong = fmt.Sprintf("link %d leads to %v", l, one.Rooms)
			}
		}
	}
	if left := w.open(m.old); len(left) < len(questions) {
		w.tally.add("questions ended in an upgrade")
		if !rightful {
			w.hs.wrong = fmt.Sprintf("questions about %s end: %v, %v", m.old, questions, left)
		}
	}
	rows, err := w.db.ChangesOf(w.t.Context(), string(key))
	w.must(err)
	for _, row := range rows {
		about := question{key, room.Invite, row.Room, row.Target}
		if row.Status == invites.StatusWaiting && !slices.Contains(w.cards, about) {
			w.cards = append(w.cards, about)
		}
	}
	if done {
		w.must(w.Moves.Told(w.t.Context(), after))
	}
}

// open lists the open cards about a room.
func (w *story) open(r id.RoomID) (list []int64) {
	for _, kind := range []invites.CardKind{invites.CardApproval, invites.CardKnock, invites.CardWithdraw} {
		open, err := w.db.OpenCards(w.t.Context(), invites.CardQuery{Kind: kind, Room: r})
		w.must(err)
		for _, c := range open {
			list = append(list, c.ID)
		}
	}
	return list
}

// expects notes who may be invited to the new room of an upgrade from now on: who has an open invitation to the old one, and those whom
// the actor has asked for there. Without the right to replace the room, nobody.
func (w *story) expects(key id.EventID, m *moving, rightful bool) {
	c := w.said[key]
	if c == nil {
		c = &asked{actor: m.actor, action: room.Invite, room: m.next, each: map[id.UserID]*asked{}}
		w.said[key] = c
	}
	w.last = append(w.last, key)
	rows, err := w.db.ChangesOf(w.t.Context(), string(key))
	w.must(err)
	truth := w.hs.truth(m.old)
	for _, user := range cast {
		if slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Target == user }) {
			continue
		}
		membership, _ := truth.Membership(user)
		theirs := func(about question) bool {
			said := w.said[about.command]
			return about.room == m.old && about.target == user && said != nil && said.actor == m.actor
		}
		if delete(c.each, user); rightful && (membership == "invite" || slices.ContainsFunc(w.cards, theirs) || w.wanted(m, user)) {
			c.each[user] = &asked{actor: m.actor, action: room.Invite, room: m.next, targets: []id.UserID{user}, at: w.clock.Now(), number: len(w.last), law: w.hs.law(m.next)}
		}
	}
}

// wanted reports whether the actor of an upgrade has asked for an invitation to the old room, be it by the upgrade that led to it.
func (w *story) wanted(m *moving, user id.UserID) bool {
	for _, c := range w.said {
		if c.actor == m.actor && c.room == m.old && c.action == room.Invite && (slices.Contains(c.targets, user) || c.each[user] != nil) {
			return true
		}
	}
	return false
}

// decideMoves has people decide on cards about rooms that name a replaced one.
func (w *story) decideMoves(o op) {
	for _, r := range append(slices.Clone(w.spaces), w.rooms...) {
		open, err := w.db.OpenCards(w.t.Context(), invites.CardQuery{Kind: invites.CardMove, Room: r})
		w.must(err)
		for _, card := range open {
			m, voter := w.moves[string(card.Command)], pick(o.a, cast[0], cast[1], cast[3], cast[0])
			if m == nil {
				continue
			}
			event := id.EventID(fmt.Sprintf("$%s-move-%d-%d", w.name, w.tally.steps, card.ID))
			ballot, err := w.Cards.Vote(w.t.Context(), card, invites.Vote{Voter: voter, Choice: invites.Accept, Room: card.ShownIn, Event: event, At: w.clock.Now()})
			if unreachable(err) {
				continue
			}
			w.must(err)
			w.say("%s votes about the upgrade to %s in %s: %s %s", voter, m.next, r, ballot.Card.State, ballot.Code)
			if ballot.Card.State != invites.CardAccepted {
				continue
			}
			if o.b%4 == 0 { // who voted loses power first
				w.weigh(o, r, map[id.UserID]int{cast[1]: 0, cast[3]: 0})
			}
			about := *m
			about.voter = voter
			w.hs.moving = &about
			_, err = w.Moves.Confirmed(w.t.Context(), ballot.Card)
			w.hs.moving = nil
			if !unreachable(err) {
				w.must(err)
			}
		}
	}
}

// askUpgrade has somebody ask for an upgrade of a room, and confirm it.
func (w *story) askUpgrade(o op, r id.RoomID) {
	who := cast[o.c%len(cast)]
	if o.d%2 == 0 {
		who = pick(o.c, cast[0], cast[1], cast[3])
	}
	if who == bot {
		return
	}
	w.ballast(o, r, w.spaces[o.b%2], who)
	command := id.EventID(fmt.Sprintf("$%s-upgrade-%d", w.name, w.tally.steps))
	plan, err := w.upgrader.Plan(w.t.Context(), r, who, "")
	w.say("%s asks to upgrade %s: %+v %v", who, r, plan.To, err)
	var refusal moves.Refusal
	if errors.As(err, &refusal) {
		w.tally.add("refused upgrade %s", refusal.Code)
	}
	if err != nil && o.a%4 > 0 {
		return
	}
	version := plan.To
	if version == "" { // as if the power was lost after the question
		version = "12"
	}
	if o.a/4%4 == 0 {
		w.weigh(o, r, map[id.UserID]int{cast[1]: 0, cast[3]: 0, bot: pick(o.a/16, 0, 100)})
	}
	w.hs.upgrading = &moving{old: r, actor: who}
	row, err := w.upgrader.Perform(w.t.Context(), invites.Card{Kind: invites.CardConfirm, Action: moves.ActionUpgrade, Room: r, Command: command, Actor: who, Reason: version, State: invites.CardAccepted, ClosedBy: who})
	made := w.hs.upgrading
	w.hs.upgrading = nil
	w.say("  → %s %s %v", row.Status, row.Code, err)
	if row.Code != "" {
		w.tally.add("refused upgrade %s", row.Code)
	}
	if made.next == "" {
		return
	}
	w.rooms = append(w.rooms, made.next)
	if u, err := w.db.UpgradeBy(w.t.Context(), command); err == nil {
		w.moves[u.Key()] = &moving{old: r, next: made.next, actor: who}
	}
}

// clearMoves ends the upgrades of a story.
func (w *story) clearMoves() {
	w.clock.Advance(10000 * time.Hour)
	due, err := w.Moves.Due(w.t.Context())
	w.must(err)
	for _, u := range due {
		w.must(w.Moves.Told(w.t.Context(), u))
	}
}

// rightful reports whether the sender of a tombstone could do with the old room's policy as they like, by levels that protect the tombstone as well.
func (h *watched) rightful(m *moving) bool {
	s := h.truth(m.old)
	stone, _ := s.Event(room.Key{Type: room.TypeTombstone})
	if stone == nil || m.next == "" || h.replaces(m.next) != m.old {
		return false
	}
	ending, _ := s.NeededToSend(room.TypeTombstone)
	writing, _ := s.NeededToSend(policy.EventType)
	power, _ := s.Power(stone.Sender)
	return ending >= writing && power >= writing
}

// maySet reports whether a user could set a type of state in a room now.
func maySet(s *room.Snapshot, user id.UserID, kind string) bool {
	membership, _ := s.Membership(user)
	power, _ := s.Power(user)
	needed, known := s.NeededToSend(kind)
	return membership == "join" && known && power >= needed
}

// judgeMove is the oracle on state that is carried over in an upgrade.
func (h *watched) judgeMove(before *room.Snapshot, l law, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage, event id.EventID) {
	m, actor, why := h.moving, h.moving.actor, ""
	if m.voter != "" {
		actor = m.voter
	}
	said := func(in id.RoomID, k room.Key) json.RawMessage {
		s := before
		if in != r {
			s = h.truth(in)
		}
		if event, _ := s.Event(k); event != nil {
			return event.Content
		}
		return nil
	}
	was := room.Key{Type: k.Type, StateKey: strings.Replace(k.StateKey, m.next.String(), m.old.String(), 1)}
	switch {
	case h.replaces(m.next) != m.old:
		why = "no room replaces the other any more"
	case !maySet(before, actor, k.Type):
		why = actor.String() + " may not do that"
	case !h.byActor(as, actor):
		why = "sent as somebody who did not ask"
	case r == m.next && m.voter == "" && (k.Type == room.TypeSpaceParent || k.Type == room.TypeCanonicalAlias):
		if now := said(m.old, k); len(now) > 2 && !alike(now, content) {
			why = "the old room has " + string(now)
		}
	case r == m.old && k.Type == room.TypeCanonicalAlias && m.voter == "":
		if string(content) != "{}" || !alike(said(m.next, k), said(m.old, k)) {
			why = "its aliases did not come along"
		}
	case k.Type == policy.EventType && m.voter != "":
		why = h.judgeRenamed(before, l, m, said(r, k), content)
		h.written[event] = true
	case (k.Type == room.TypeSpaceParent || k.Type == room.TypeSpaceChild) && k.StateKey == m.next.String():
		if !alike(said(r, was), content) {
			why = "the link to the old room is " + string(said(r, was))
		}
	default:
		why = "nobody asked for it"
	}
	if why != "" {
		h.wrong = fmt.Sprintf("upgrade of %s to %s by %s: %s sets %s %s in %s to %s: %s", m.old, m.next, actor, as, k.Type, k.StateKey, r, content, why)
	}
	h.w.tally.add("moved %s%s", k.Type, map[bool]string{true: " after a vote"}[m.voter != ""])
}

// alike reports whether two contents say the same.
func alike(a, b json.RawMessage) bool {
	x, _, ok := exactjson.Parse(a)
	y, _, also := exactjson.Parse(b)
	return ok && also && bytes.Equal(exactjson.AppendCanonical(nil, x), exactjson.AppendCanonical(nil, y))
}

// judgeRenamed says what is wrong with a policy that names the new room instead of the old one: it says anything else, or it gives effect to
// fields whose author could not do the same.
func (h *watched) judgeRenamed(before *room.Snapshot, l law, m *moving, was, content json.RawMessage) string {
	had, has := fieldsOf(was), fieldsOf(content)
	if had["version"] == nil || len(had) != len(has) {
		return "the policy is another one"
	}
	for path := range had {
		renamed := strings.ReplaceAll(string(had[path]), m.old.String(), m.next.String())
		if renamed != string(has[path]) && !sameSpan(had[path], has[path]) && !strings.Contains(string(had[path]), m.next.String()) {
			return path + " is another one"
		}
	}
	for _, path := range []string{"delegate", "knocks.accept_users", "knocks.accept_members_of"} {
		a := room.Action{Type: room.Invite, Target: "@nobody:invalid"}
		if value := string(had[path]); value == "" || value == "false" || value == "[]" || strings.Contains(value, m.old.String()) {
			continue
		}
		theirs := room.Authorize(before, room.Action{Type: room.Invite, Sender: m.voter, Target: a.Target}).Verdict == room.Allow
		if l.own[path] && h.lends(before, l, path, a) && theirs {
			return "it gives effect to " + path
		}
	}
	return ""
}

// sameSpan reports whether two values are the same span of time, as 60s and 1m.
func sameSpan(a, b json.RawMessage) bool {
	x, is := spanOf(strings.Trim(string(a), `"`))
	y, also := spanOf(strings.Trim(string(b), `"`))
	return is && also && x == y
}

// fieldsOf lists the fields of a policy but for whom the bot wrote it.
func fieldsOf(content json.RawMessage) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	flatten("", content, fields)
	maps.DeleteFunc(fields, func(path string, value json.RawMessage) bool { return path == "for" || string(value) == "{}" }) // an empty group has no fields
	return fields
}

// judgeCarried is the oracle on a policy that is carried over in an upgrade.
func (h *watched) judgeCarried(before *room.Snapshot, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage, event id.EventID) {
	old := h.replaces(r)
	for depth := 0; old != "" && depth < 4; depth++ {
		if has, _ := h.truth(old).Event(policy.Key()); has != nil {
			break
		}
		old = h.replaces(old)
	}
	had, _ := before.Event(policy.Key())
	why := ""
	if old == "" || k != policy.Key() || had != nil {
		why = "no policy is to be carried over"
	} else {
		source, _ := h.truth(old).Event(policy.Key())
		by := author(source)
		switch {
		case !h.written[source.ID] || !maySet(h.truth(old), by, policy.EventType):
			why = by.String() + " may not write it in the old room"
		case !maySet(before, by, policy.EventType):
			why = by.String() + " may not write it here"
		case !h.byActor(as, by):
			why = "sent as somebody who did not ask"
		case as == bot && string(content) != "{}" && author(&room.Event{Sender: bot, Content: content}) != by:
			why = "it is not written for its author"
		case string(content) == "{}" && len(fieldsOf(source.Content)) == 1: // the version alone says as little
		case !slices.Equal(paths(fieldsOf(source.Content)), paths(fieldsOf(content))):
			why = "it is not " + string(source.Content)
		}
	}
	if why != "" {
		h.wrong = fmt.Sprintf("%s sets the policy of %s to %s: %s", as, r, content, why)
	}
	h.written[event] = true
	h.w.tally.add("policy carried over%s", map[bool]string{true: " by the bot"}[as == bot])
}

// paths lists the set fields.
func paths(fields map[string]json.RawMessage) (list []string) {
	for path, value := range fields {
		if string(value) != "{}" {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// judgeEntering is the oracle on how the bot, or the asker, comes into the new room of an upgrade.
func (h *watched) judgeEntering(e invites.Effect) {
	m := h.upgrading
	guest := map[bool]id.UserID{true: m.actor, false: bot}[h.creator(m.next) == bot]
	invited := e.Action == room.Invite && e.Target == guest && e.Performer == h.creator(m.next)
	joined := e.Action == room.Join && e.Target == bot && e.Performer == bot
	if m.next == "" || e.Room != m.next || !invited && !joined {
		h.wrong = fmt.Sprintf("upgrade of %s for %s: %s of %s in %s by %s", m.old, m.actor, e.Action, e.Target, e.Room, e.Performer)
	}
}

// names judges who moves an alias: the homeserver lets its users do so who could have their room name it.
func (d directory) names(alias id.RoomAlias, as id.UserID) error {
	m := d.h.moving
	if fault := d.h.fault; fault > 0 && fault != lostAnswer {
		d.h.fault = 0
		return &invites.ActError{Class: fault - 1, Code: "M_MADE_UP", Status: 500, Err: errLost}
	}
	if m == nil || m.voter != "" || !maySet(d.h.truth(m.old), m.actor, room.TypeCanonicalAlias) || m.actor.Homeserver() != "here" || !d.h.byActor(as, m.actor) {
		d.h.wrong = fmt.Sprintf("%s moves %s: %+v", as, alias, m)
	}
	d.h.w.tally.add("alias moved")
	return nil
}

// SetAlias implements moves.Directory.
func (d directory) SetAlias(ctx context.Context, alias id.RoomAlias, r id.RoomID, as id.UserID) error {
	if err := d.names(alias, as); err != nil {
		return err
	}
	if d.h.moving == nil || r != d.h.moving.next {
		d.h.wrong = fmt.Sprintf("%s has %s lead to %s", as, alias, r)
	}
	return d.Directory.SetAlias(ctx, alias, r, as)
}

// DropAlias implements moves.Directory.
func (d directory) DropAlias(ctx context.Context, alias id.RoomAlias, as id.UserID) error {
	if err := d.names(alias, as); err != nil {
		return err
	}
	if leads, _, _ := d.Resolve(ctx, alias); d.h.moving == nil || leads != d.h.moving.old {
		d.h.wrong = fmt.Sprintf("%s drops %s, which leads to %s", as, alias, leads)
	}
	return d.Directory.DropAlias(ctx, alias, as)
}

// Upgrade implements moves.Directory. As homeservers do, it copies the power levels.
func (d directory) Upgrade(ctx context.Context, r id.RoomID, as id.UserID, version string, creators []id.UserID) (id.RoomID, error) {
	m, s := d.h.upgrading, d.h.truth(r)
	if !maySet(s, as, room.TypeTombstone) {
		return "", &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403, Err: errLost}
	}
	create, _ := s.Event(room.Key{Type: room.TypeCreate})
	foreign := func(user id.UserID) bool {
		more, _ := exactjson.Get(create.Content, "additional_creators").Texts()
		return m == nil || user != m.actor && (exactjson.Text(create.Content, "room_version") != "12" || user != create.Sender && !slices.Contains(more, user.String()))
	}
	if m == nil || r != m.old || !maySet(s, m.actor, room.TypeTombstone) || !d.h.byActor(as, m.actor) || slices.ContainsFunc(creators, foreign) {
		d.h.wrong = fmt.Sprintf("%s upgrades %s with the creators %v: %+v", as, r, creators, m)
	}
	next, err := d.Directory.Upgrade(ctx, r, as, version, creators)
	if m == nil || err != nil {
		return next, err
	}
	m.next = next
	levels := map[string]any{}
	event, _ := s.Event(room.Key{Type: room.TypePowerLevels})
	d.h.w.must(json.Unmarshal(event.Content, &levels))
	delete(levels, "deep")
	if users, _ := levels["users"].(map[string]any); version == "12" {
		for _, creator := range append(slices.Clone(creators), as) {
			delete(users, creator.String())
		}
	}
	d.h.Set(next, room.TypePowerLevels, "", as, levels)
	d.h.of(next, as).joined = d.h.w.clock.Now()
	d.h.w.tally.add("upgraded%s", map[bool]string{true: " by the bot"}[as == bot])
	return next, nil
}
