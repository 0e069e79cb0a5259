package powertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/guard"
	"usher/invites/invitestest"
	"usher/invites/links"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/plan"
	"usher/policy"
	"usher/room"
	"usher/store"
)

const bot = invitestest.Bot

// cast are the people of the stories; the bot is among those who may be invited, kicked or banned. The first creates the rooms.
var cast = []id.UserID{"@olga:here", "@bela:here", "@caro:here", "@dino:there", "@edda:there", "@ivan:10.0.0.1", bot}

// asked is a command as the oracle remembers it.
type asked struct {
	actor     id.UserID
	action    room.ActionType
	room      id.RoomID
	targets   []id.UserID
	takenBack bool
	knock     bool                 // it came of a knock
	at        time.Time            // asked for
	number    int                  // in order
	law       law                  // at the time
	link      *policy.LinkUse      // the link by which the targets come in
	plan      *planned             // a plan asks
	each      map[id.UserID]*asked // an upgrade asks, for each at its own time
}

// question is what a card asks.
type question struct {
	command id.EventID
	action  room.ActionType
	room    id.RoomID
	target  id.UserID
}

// story is one world in which a script plays.
type story struct {
	*invitestest.Domain
	t     *testing.T
	hs    *watched
	clock *invitestest.Clock
	queue *invitestest.Queue
	db    *store.Store
	rooms []id.RoomID
	name  string

	spaces   []id.RoomID
	list     id.RoomID             // a policy list
	members  []invites.MemberEvent // that the ledger has not heard of yet
	expiries map[int64]bool        // rows of what expired
	turned   map[int64]bool        // rows of invitations that somebody's standing turned against
	said     map[id.EventID]*asked
	last     []id.EventID // commands, in order
	cards    []question   // that may be open
	guard    *guard.Guard
	inbox    []invites.Received // for the guard, that may be behind
	then     func()             // happens while the guard reports; nil: nothing
	told     []string
	tally    tally

	planner  *plan.Planner
	runner   *plan.Runner
	plans    []*planned // under way
	upgrader *moves.Upgrader
	moves    map[string]*moving // by key
	links    []int64
}

// newStory makes rooms that differ with the seed. Its names are its own, so that all stories share one store.
func newStory(t *testing.T, db *store.Store, seed uint64) *story {
	stories := storyNumber(t, db)
	w := &story{t: t, db: db, clock: invitestest.NewClock(), queue: &invitestest.Queue{}, name: fmt.Sprintf("%d-%d", seed, stories),
		said: map[id.EventID]*asked{}, expiries: map[int64]bool{}, turned: map[int64]bool{}}
	w.hs = &watched{Homeserver: &invitestest.Homeserver{Name: w.name + "-e", Clock: w.clock}, w: w, written: map[id.EventID]bool{}, came: map[id.RoomID]map[id.UserID]bool{},
		approved: map[question]bool{}, people: map[id.RoomID]map[id.UserID]*standing{}, rules: map[room.Key]json.RawMessage{}}
	w.Domain = invitestest.New(db, invitestest.Surroundings{
		Homeserver: w.hs, Queue: w.queue, Clock: w.clock,
		Self: invites.Identity{Bot: bot, Domain: "here", Assert: seed%2 == 0,
			AutoJoin: func(user id.UserID) bool { return user == "@caro:here" }},
		AtOnce: 2, Lease: 30 * time.Second, GiveUp: time.Hour,
	})
	w.planners()
	w.movers()
	w.guard = w.Guard
	w.guard.Tell = func(_ context.Context, _ id.RoomID, r guard.Report) error {
		w.say("the guard reports: %s %s about %s %s", r.Kind, r.Part, r.Who, r.Code)
		w.meantime()
		return nil
	}
	for i := range 2 {
		r := id.RoomID(fmt.Sprintf("!%d-%s:here", i, w.name))
		version := fmt.Sprint(1 + (seed*2+uint64(i)*5)%12)
		w.hs.Create(r, version, cast[0], bot)
		users := map[string]any{}
		if version != "12" {
			users[cast[0].String()] = 100
		}
		if level := (seed / 3 % 4) * 50; level > 0 {
			users[bot.String()] = min(level, 100)
		}
		w.hs.Set(r, "m.room.power_levels", "", cast[0], map[string]any{"invite": 50, "users": users})
		w.rooms = append(w.rooms, r)
		w.enter(r, cast[0], bot, cast[1], cast[3])
	}
	w.furnish()
	return w
}

// storyNumber counts the stories played on a store.
func storyNumber(t *testing.T, db *store.Store) int64 {
	t.Helper()
	event := id.EventID(fmt.Sprintf("$story-%d", time.Now().UnixNano()))
	got, err := db.Receive(t.Context(), []invites.Received{{Event: event, Raw: []byte("{}")}})
	if err != nil || len(got) != 1 {
		t.Fatal(err, len(got))
	}
	if err := db.Handled(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	return got[0].Seq
}

// play plays a script and returns what went wrong, if anything.
func (w *story) play(script []op) string {
	defer w.clear()
	for _, o := range script {
		w.tally.steps++
		w.clock.Advance(time.Duration(o.e%20) * time.Second)
		w.step(o)
		if o.e%3 > 0 {
			w.heard()
			w.guarding()
		}
		if w.hs.wrong != "" {
			return w.hs.wrong
		}
	}
	return ""
}

// kinds is how many kinds of steps there are; some are several of these.
const kinds = oldKinds + 14

// oldKinds is how many there were before plans and moves.
const oldKinds = 152

func (w *story) step(o op) {
	r, who, whom := w.rooms[o.a%len(w.rooms)], cast[o.b%len(cast)], cast[o.c%len(cast)]
	if o.a/8%8 == 0 {
		r = w.spaces[o.a%len(w.spaces)]
	}
	if o.e%2 == 0 {
		who = privileged(o)
	}
	switch {
	case o.kind < 22:
		if o.e/8%4 > 0 {
			who, whom = w.oneOf(r, o.b, who, "join"), w.oneOf(r, o.c, whom, "leave", "")
		}
		w.ask(o, room.Invite, r, who, whom, cast[o.d%len(cast)])
	case o.kind < 27:
		if o.d%4 > 0 {
			whom = who
		}
		w.ask(o, room.Join, r, who, whom)
	case o.kind < 37:
		w.ask(o, pick(o.d, room.Kick, room.Ban, room.Unban, room.Leave), r, who, whom)
	case o.kind < 42:
		w.deliver(o)
	case o.kind < 47:
		w.vote(o, who)
	case o.kind < 66:
		action := pick(o.d, room.Invite, room.Invite, room.Join, room.Join, room.Join, room.Leave, room.Leave, room.Kick, room.Ban, room.Unban, room.Knock, room.Knock)
		if action == room.Join || action == room.Leave || action == room.Knock {
			whom = who
		}
		if o.e/4%2 == 0 && who.Homeserver() != "here" && who == whom { // whose server says that it was long ago
			w.hs.dated = w.clock.Now().Add(-pick(o.e/8, 2*time.Hour, 2*time.Minute, 1000*time.Hour))
		}
		done := w.hs.direct(invites.Effect{Action: action, Room: r, Performer: who, Target: whom})
		w.hs.dated = time.Time{}
		if done && action == room.Knock {
			w.knocked(r, who)
		}
	case o.kind < 74:
		w.hs.state(r, privileged(o), room.Key{Type: "m.room.power_levels"}, w.levels(o, r))
	case o.kind < 79:
		rule := pick(o.d, "public", "public", "knock", "knock", "invite", "knock", "restricted", "knock_restricted", "odd")
		w.hs.state(r, privileged(o), room.Key{Type: "m.room.join_rules"}, map[string]any{"join_rule": rule, "deep": w.deep(o.e)})
	case o.kind < 86:
		if o.a/64%3 == 0 {
			r = w.spaces[o.b%len(w.spaces)]
		}
		w.hs.state(r, privileged(o), policy.Key(), w.document(o))
	case o.kind < 88:
		w.scene(o, r, who, whom)
	case o.kind < 90:
		w.court(o, r, who, whom)
	case o.kind < 94:
		w.hs.fault = pick(o.d, invites.ClassFailed+1, invites.ClassLater+1, invites.ClassRefused+1, invites.ClassStopped+1, lostAnswer)
		w.say("the homeserver will fail (%d)", w.hs.fault)
	case o.kind < 97:
		w.hs.hidden, w.hs.hide = 1+o.d%6, 1+o.e%12
		w.say("the homeserver will keep something back (%d)", w.hs.hidden)
	case o.kind < 100:
		w.takeBack(o)
	case o.kind >= oldKinds+10:
		w.goOn(o)
	case o.kind >= oldKinds+5:
		w.moveOn(o, w.rooms[o.a%len(w.rooms)])
	case o.kind >= oldKinds:
		w.employ(o, w.rooms[o.a%len(w.rooms)])
	case o.kind >= oldKinds-19 && o.kind < oldKinds-16:
		w.arrive(o, w.rooms[o.a%len(w.rooms)], who)
	case o.kind >= oldKinds-16 && o.kind < oldKinds-14:
		w.armed(o, w.rooms[o.a%len(w.rooms)], whom)
	case o.kind >= oldKinds-14 && o.kind < oldKinds-11:
		w.turn(o, w.rooms[o.a%len(w.rooms)], whom)
	case o.kind >= oldKinds-11 && o.kind < oldKinds-9:
		w.upgrade(o, w.rooms[o.a%len(w.rooms)], whom)
	case o.kind >= oldKinds-9 && o.kind < oldKinds-7:
		w.demotion(o, w.rooms[o.a%len(w.rooms)])
	case o.kind >= oldKinds-3:
		w.throughLink(o, w.rooms[o.a%len(w.rooms)], who)
	case o.kind >= oldKinds-7:
		w.lockdown(o, w.rooms[o.a%len(w.rooms)], whom)
	default:
		w.later(o, r, who, whom)
	}
}

func pick[T any](n int, from ...T) T { return from[n%len(from)] }

// privileged is somebody who is likelier to have power than others.
func privileged(o op) id.UserID { return cast[min(o.b%len(cast), o.c%len(cast), o.e%len(cast))] }

// ask has somebody give a command.
func (w *story) ask(o op, action room.ActionType, r id.RoomID, actor id.UserID, targets ...id.UserID) {
	command := id.EventID(fmt.Sprintf("$%s-%d", w.name, len(w.last)))
	at := w.clock.Now()
	_, err := w.db.Receive(w.t.Context(), []invites.Received{{Event: command, Room: r, Sender: actor, Type: "m.room.message", Raw: []byte("{}"), SentAt: at, ReceivedAt: at}})
	w.must(err)
	if o.e%3 > 0 {
		targets = targets[:1]
	}
	w.said[command] = &asked{actor: actor, action: action, room: r, targets: targets, at: at, number: len(w.last), law: w.hs.law(r)}
	w.last = append(w.last, command)
	w.say("%s asks to %s %v in %s", actor, action, targets, r)
	w.hs.serving = command
	rows, err := w.Ask(w.t.Context(), requests.Request{
		Command: command, CommandRoom: r, Actor: actor, Action: action, Room: r, Targets: targets, AsBot: o.e%5 == 0,
	})
	w.hs.serving = ""
	var act *invites.ActError
	if err != nil && !errors.As(err, &act) {
		w.must(err)
	}
	for _, row := range rows {
		w.say("  → %s: %s %s", row.Target, row.Status, row.Code)
		switch row.Status {
		case invites.StatusRefused:
			w.tally.add("refused %s %s", action, row.Code)
		case invites.StatusWaiting:
			w.tally.add("refused %s %s", action, row.Code)
			w.cards = append(w.cards, question{command, action, r, row.Target})
		}
	}
}

// throughLink has somebody make an invite link, and people come in by it, in a room whose policy may have rules for links.
func (w *story) throughLink(o op, r id.RoomID, maker id.UserID) {
	if o.d%4 > 0 {
		doc := pick(o.e/2, w.document(o), map[string]any{"version": 1}) // the others refuse for many a reason
		put(doc, pick(o.c, map[string]any{"links.allow": false}, map[string]any{"links.max_uses": 1}, map[string]any{"links.max_uses": 1}, map[string]any{"links.max_age": "1h0m0s"},
			map[string]any{"links.level": 60}, map[string]any{"links.max_uses": 2, "links.level": 50}, map[string]any{"links.max_age": "1h0m0s"}, map[string]any{"links.level": 60}))
		if o.d%4 == 1 { // it comes before the link
			w.hs.state(r, cast[0], policy.Key(), doc)
		} else {
			defer w.hs.state(r, cast[0], policy.Key(), map[string]any{})
		}
		l := w.makeLink(r, maker)
		if l.ID == 0 {
			return
		}
		first := w.oneOf(r, o.b, cast[2], "leave", "")
		w.useLink(o, l, first)
		w.hs.state(r, cast[0], policy.Key(), doc)
		w.clock.Advance(pick(o.e, 0, 2*time.Hour))
		if next := w.oneOf(r, o.e, cast[4], "leave", ""); next != first { // the same one would go on with the first use, as old as it was then
			w.useLink(o, l, next)
		}
		return
	}
	if l := w.makeLink(r, maker); l.ID != 0 {
		w.useLink(o, l, w.oneOf(r, o.b, cast[2], "leave", ""))
	}
}

// makeLink has somebody make a link. The zero link means that they may not.
func (w *story) makeLink(r id.RoomID, maker id.UserID) invites.Link {
	l, _, err := w.Links.Create(w.t.Context(), links.Wish{Maker: maker, Rooms: []id.RoomID{r}})
	var refusal links.Refusal
	if errors.As(err, &refusal) {
		w.tally.add("refused link %s", refusal.Code)
		return invites.Link{}
	}
	if !unreachable(err) {
		w.must(err)
	}
	w.say("%s makes link %d into %s", maker, l.ID, r)
	w.links = append(w.links, l.ID)
	return l
}

// useLink has somebody come in by a link.
func (w *story) useLink(o op, l invites.Link, user id.UserID) {
	r, at := l.Rooms[0], w.clock.Now()
	l, err := w.db.Link(w.t.Context(), l.ID)
	w.must(err)
	about := &asked{actor: l.Maker, action: room.Invite, room: r, targets: []id.UserID{user}, at: at, number: len(w.last), law: w.hs.law(r),
		link: &policy.LinkUse{Uses: l.Used, Age: at.Sub(l.CreatedAt)}}
	now := id.EventID(fmt.Sprintf("$%s-%d", w.name, len(w.last)))
	w.said[now], w.hs.serving = about, now
	w.say("%s uses link %d of %s into %s", user, l.ID, l.Maker, r)
	use, rows, err := w.UseLink(w.t.Context(), l, user)
	w.hs.serving = ""
	var refusal links.Refusal
	if errors.As(err, &refusal) {
		w.tally.add("refused link %s", refusal.Code)
		return
	}
	if !unreachable(err) {
		w.must(err)
	}
	request := id.EventID(links.Request(use, r)) // the key of the row
	if _, before := w.said[request]; before {
		return
	}
	w.said[request], w.last = about, append(w.last, request)
	for _, row := range rows {
		w.say("  → %s: %s %s", row.Target, row.Status, row.Code)
		switch row.Status {
		case invites.StatusRefused:
			w.tally.add("refused invite %s", row.Code)
		case invites.StatusWaiting:
			w.cards = append(w.cards, question{request, room.Invite, r, row.Target})
		case invites.StatusDone:
			w.tally.add("act invite by a link")
		}
	}
}

// vote has somebody vote on one of the last cards, and carries out what that decides.
func (w *story) vote(o op, voter id.UserID) {
	if len(w.cards) == 0 || voter == bot { // the bot's own reactions are no votes
		return
	}
	about := w.cards[max(0, len(w.cards)-1-o.d%3)]
	card, err := w.db.CardOf(w.t.Context(), about.command, about.action, about.room, about.target)
	w.must(err)
	choice := pick(o.c, invites.Accept, invites.Accept, invites.Decline, invites.BanThem)
	needed := room.Level(50)
	if about.action == room.Knock {
		needed = card.Level
	}
	truth := w.hs.truth(about.room)
	membership, _ := truth.Membership(voter)
	if power, _ := truth.Power(voter); choice == invites.Accept && power >= needed && membership == "join" && voter != w.actorOf(about) {
		w.hs.approved[about] = true
	}
	event := id.EventID(fmt.Sprintf("$%s-vote-%d", w.name, w.tally.steps))
	ballot, err := w.Cards.Vote(w.t.Context(), card, invites.Vote{Voter: voter, Choice: choice, Room: card.ShownIn, Event: event, At: w.clock.Now()})
	if unreachable(err) {
		return
	}
	w.must(err)
	w.say("%s votes to %s %s of %s: %s %s", voter, choice, about.action, about.target, ballot.Card.State, ballot.Code)
	w.decided(about, ballot.Card)
}

// decided carries out what was decided about a card.
func (w *story) decided(about question, card invites.Card) {
	if card.State == invites.CardOpen {
		return
	}
	w.tally.add("card %s", card.State)
	if about.action == room.Knock { // whoever decided is who asks
		action := map[invites.CardState]room.ActionType{invites.CardAccepted: room.Invite, invites.CardDeclined: room.Kick, invites.CardBanned: room.Ban}[card.State]
		w.said[about.command] = &asked{actor: card.ClosedBy, action: action, room: about.room, targets: []id.UserID{about.target}, knock: true}
	}
	w.hs.serving = about.command
	_, err := w.Cards.CarryOut(w.t.Context(), card)
	w.hs.serving = ""
	if !unreachable(err) {
		w.must(err)
	}
}

// actorOf returns who asks what a card is about.
func (w *story) actorOf(about question) id.UserID {
	if about.action == room.Knock {
		return about.target
	}
	return w.said[about.command].actor
}

// knocked brings a knock before the desk.
func (w *story) knocked(r id.RoomID, user id.UserID) {
	event, _ := w.hs.truth(r).Event(room.MemberKey(user))
	key := user.String()
	_, err := w.db.Receive(w.t.Context(), []invites.Received{{Event: event.ID, Room: r, Sender: user, Type: "m.room.member", StateKey: &key, Raw: []byte("{}"),
		SentAt: w.clock.Now(), ReceivedAt: w.clock.Now()}})

	w.must(err)
	reception, err := w.Knocks.Receive(w.t.Context(), cards.Knock{Event: event.ID, Room: r, User: user})
	if unreachable(err) || err == nil && reception.Card == nil {
		return
	}
	w.must(err)
	about := question{event.ID, room.Knock, r, user}
	w.last, w.cards = append(w.last, event.ID), append(w.cards, about)
	w.say("%s knocks at %s: %s", user, r, reception.Card.State)
	if reception.Card.State == invites.CardAccepted {
		w.hs.approved[about] = true
	}
	w.decided(about, *reception.Card)
}

// unreachable tells whether the homeserver failed, or kept state back, as it was told to.
func unreachable(err error) bool {
	var act *invites.ActError
	return errors.As(err, &act) || errors.Is(err, invites.ErrKept)
}

// deliver does what the queue was asked for, at its time or, now and then, too early.
func (w *story) deliver(o op) {
	for _, wake := range w.queue.Take() {
		if late := wake.At.Sub(w.clock.Now()); late > 0 && o.d%4 > 0 {
			w.clock.Advance(late)
		}
		w.row(wake.Row)
	}
}

func (w *story) row(row int64) {
	command, ok := w.commandOf(row)
	if !ok && !w.expiries[row] && !w.turned[row] {
		return
	}
	w.hs.serving, w.hs.again, w.hs.expiring, w.hs.turning = command, true, w.expiries[row], w.turned[row]
	w.hs.guarding = w.said[command] == nil
	outcome, err := invitestest.One(w.Delivery.Deliver(w.t.Context(), row))
	w.hs.serving, w.hs.again, w.hs.guarding, w.hs.expiring, w.hs.turning = "", false, false, false, false
	w.must(err)
	w.say("later, for %s: %s %s", command, outcome.Status, outcome.Code)
	if outcome.Status == invites.StatusRefused && w.expiries[row] {
		w.tally.add("refused expire %s", outcome.Code)
	}
	if outcome.Status == invites.StatusOpen {
		w.must(w.queue.Wake(w.t.Context(), outcome.At, row))
	}
}

// commandOf finds what a row belongs to: a command, or an event that the guard saw.
func (w *story) commandOf(row int64) (id.EventID, bool) {
	for i := len(w.last) - 1; i >= 0; i-- {
		rows, err := w.db.ChangesOf(w.t.Context(), string(w.last[i]))
		w.must(err)
		for _, have := range rows {
			if have.ID == row {
				return w.last[i], true
			}
		}
	}
	return "", false
}

// happened puts a state event into the inbox, if the guard wants it.
func (w *story) happened(r id.RoomID, k room.Key) {
	event, _ := w.hs.truth(r).Event(k)
	if event == nil || r == w.list {
		return
	}
	if k.Type == "m.room.member" {
		w.hears(r, k, event)
	}
	if !passesOn(k.Type) && !w.guard.Watches(r) {
		return
	}
	raw, err := json.Marshal(map[string]any{"content": event.Content})
	w.must(err)
	w.inbox = append(w.inbox, invites.Received{
		Event: event.ID, Room: r, Sender: event.Sender, Type: k.Type, StateKey: &k.StateKey, Raw: raw, SentAt: w.clock.Now(), ReceivedAt: w.clock.Now(),
	})
}

// guarding has the guard look at what is in its inbox, as the lane would.
func (w *story) guarding() {
	w.hs.guarding = true
	defer func() { w.hs.guarding = false }()
	for len(w.inbox) > 0 {
		ev := w.inbox[0]
		_, err := w.db.Receive(w.t.Context(), []invites.Received{ev})
		w.must(err)
		w.last, w.hs.serving = append(w.last, ev.Event), ev.Event
		if passesOn(ev.Type) {
			err = w.regard()
		} else if w.guard.Watches(ev.Room) {
			err = w.guard.Handle(w.t.Context(), ev)
		}
		var act *invites.ActError
		if errors.As(err, &act) {
			w.say("the guard will try again: %v", err)
			return // it stays first
		}
		w.must(err)
		w.inbox = w.inbox[1:]
	}
}

// takeBack redacts one of the last commands.
func (w *story) takeBack(o op) {
	if len(w.last) == 0 {
		return
	}
	command := w.last[max(0, len(w.last)-1-o.d%4)]
	c := w.said[command]
	if c != nil && (c.plan != nil || c.each != nil || c.link != nil) {
		return // no command
	}
	w.tally.add("taken back")
	if c == nil {
		_, err := w.db.Redact(w.t.Context(), command, cast[o.b%len(cast)])
		w.must(err)
		return
	}
	w.say("%s takes %s back", c.actor, command)
	w.hs.Redact(command)
	if o.e%2 == 0 { // else the homeserver does not say so by itself, as Dendrite's does not
		_, err := w.db.Redact(w.t.Context(), command, c.actor)
		w.must(err)
		c.takenBack = true
	}
}

// levels changes the power levels of a room a little.
func (w *story) levels(o op, r id.RoomID) map[string]any {
	content := map[string]any{}
	snap := w.hs.truth(r)
	if event, _ := snap.Event(room.Key{Type: "m.room.power_levels"}); event != nil {
		w.must(json.Unmarshal(event.Content, &content))
	}
	level := pick(o.c/8, 0, 50, 50, 100, 25)
	content["deep"] = w.deep(o.e)
	if o.d%2 == 0 {
		users, _ := content["users"].(map[string]any)
		users[cast[o.a/2%len(cast)].String()] = level
		return content
	}
	if o.d%10 == 1 {
		events, _ := content["events"].(map[string]any)
		if events == nil {
			events = map[string]any{}
			content["events"] = events
		}
		events[pick(o.a, "m.space.parent", policy.EventType)] = level
		return content
	}
	content[pick(o.d/2, "invite", "kick", "ban", "users_default", "state_default")] = level
	return content
}

// deep is a value that holds nothing, now and then deeper than many readers read.
func (w *story) deep(n int) any {
	var value any = 0
	if n%7 == 0 {
		w.tally.add("deep event")
		for range 700 {
			value = []any{value}
		}
	}
	return value
}

// scene makes work for the guard, which seldom comes about by chance: the bot has power, the door stands open, and people come
// and are invited past it.
func (w *story) scene(o op, r id.RoomID, who, whom id.UserID) {
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	users[bot.String()], users[cast[1].String()] = pick(o.d, 50, 100), 50
	if delete(levels, "events"); o.d%3 == 0 {
		levels["events"] = map[string]any{"m.room.power_levels": 100}
	}
	w.hs.state(r, cast[0], room.Key{Type: "m.room.power_levels"}, levels)
	w.hs.state(r, cast[0], room.Key{Type: "m.room.join_rules"}, map[string]any{"join_rule": "public"})
	doc := w.document(o)
	guard := map[string]any{"mode": pick(o.a, "watch", "enforce"), "join_rule": "invite", "intruders": "kick", "by_hand": "withdraw",
		"levels": pick(o.e/4, map[string]any{"users_default": 75}, map[string]any{"ban": 25}, map[string]any{"events.m.room.name": 60}, map[string]any{})}
	if doc["version"] != nil {
		doc["guard"] = guard
	}
	w.hs.state(r, cast[o.b%2], policy.Key(), doc)
	if o.c%2 == 0 {
		w.guarding()
	}
	w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: who, Target: who})
	w.hs.direct(invites.Effect{Action: room.Invite, Room: r, Performer: cast[0], Target: whom})
}

// lockdown has somebody write a policy that lends power, and then takes from them what they did it by: the policy's level is raised, or
// theirs is lowered.
func (w *story) lockdown(o op, r id.RoomID, whom id.UserID) {
	in := r
	if o.c%2 == 0 {
		in = w.spaces[o.c/2%len(w.spaces)]
		w.under(in, r)
		w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	}
	set := func(in id.RoomID, writer, writing int) {
		levels := w.levels(op{d: 1, c: 8, e: o.e}, in)
		users, _ := levels["users"].(map[string]any)
		users[bot.String()], users[cast[1].String()] = 100, writer
		levels["invite"], levels["kick"], levels["events"] = pick(o.d, 25, 50, 75), 25, map[string]any{policy.EventType: writing, "m.space.parent": 100}
		w.hs.state(in, cast[0], room.Key{Type: "m.room.power_levels"}, levels)
	}
	set(r, 50, 50)
	set(in, 50, 50)
	w.hs.direct(invites.Effect{Action: room.Join, Room: in, Performer: cast[1], Target: cast[1]})
	w.hs.state(in, cast[1], policy.Key(), map[string]any{"version": 1, "delegate": true, "knocks": map[string]any{"desk": true, "accept_users": []string{"*"}},
		"guard": map[string]any{"mode": "enforce", "by_hand": "withdraw", "levels": map[string]any{"ban": 25}}, "whom": map[string]any{"deny_users": []string{"@d*:*"}}})
	if o.b%2 == 0 {
		set(in, 50, 100)
	} else {
		set(in, pick(o.b/2, 40, 0, 50), 50)
	}
	w.ask(op{e: o.e | 1}, room.Invite, r, w.oneOf(r, o.a, cast[3], "join"), whom)
	w.hs.direct(invites.Effect{Action: room.Invite, Room: r, Performer: cast[0], Target: whom})
}

// meantime has happen what was to happen while the bot is at work.
func (w *story) meantime() {
	if then := w.then; then != nil {
		w.then = nil
		then()
	}
}

// demotion has somebody change what a guard keeps, and loses power while the guard is at it.
func (w *story) demotion(o op, r id.RoomID) {
	set := func(by id.UserID, level, ban int) {
		levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
		users, _ := levels["users"].(map[string]any)
		users[bot.String()], users[cast[1].String()], levels["ban"] = 100, level, ban
		delete(levels, "events")
		w.hs.state(r, by, room.Key{Type: room.TypePowerLevels}, levels)
	}
	set(cast[0], 90, 50)
	w.hs.direct(invites.Effect{Action: room.Join, Room: r, Performer: cast[1], Target: cast[1]})
	w.hs.state(r, cast[0], policy.Key(), map[string]any{"version": 1, "guard": map[string]any{"mode": "enforce", "levels": map[string]any{"ban": 50}}})
	w.guarding()
	set(cast[1], 90, pick(o.a, 25, 75))
	w.then = func() {
		w.tally.add("demoted in mid-act")
		set(cast[0], pick(o.b, 0, 50), pick(o.c, 25, 75, 50))
	}
	w.guarding()
	w.then = nil
}

// court makes work for those who decide: an invitation that needs approval, a knock, and votes, not all of them good.
func (w *story) court(o op, r id.RoomID, who, whom id.UserID) {
	levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
	users, _ := levels["users"].(map[string]any)
	users[bot.String()], users[cast[1].String()] = pick(o.d, 0, 50, 100), 50
	levels["invite"] = pick(o.d/3, 0, 50)
	w.hs.state(r, cast[0], room.Key{Type: "m.room.power_levels"}, levels)
	w.hs.state(r, cast[0], room.Key{Type: "m.room.join_rules"}, map[string]any{"join_rule": "knock"})
	in := r
	if o.c/4%3 == 0 { // the space decides
		in = w.spaces[o.c/16%len(w.spaces)]
		w.under(in, r)
		w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	}
	w.hs.state(in, cast[o.b%2], policy.Key(), map[string]any{"version": 1, "delegate": o.d%2 == 0, "approval": map[string]any{"required": true, "expires": "30d"},
		"knocks": map[string]any{"desk": true, "level": pick(o.a, 0, 50), "accept_users": pick(o.e/2, []string{}, []string{"@d*:*"}),
			"accept_members_of": pick(o.e/4, []string{}, []string{w.spaces[0].String()})}})
	w.ask(op{e: o.e | 1}, room.Invite, r, cast[pick(o.a/2, 0, 1, 3)], whom)
	w.vote(op{d: 0, c: o.c}, cast[o.e%4])
	if w.hs.direct(invites.Effect{Action: room.Knock, Room: r, Performer: who, Target: who}) {
		w.knocked(r, who)
		w.vote(op{d: 0, c: o.c}, cast[o.b%4])
	}
}

func (w *story) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
