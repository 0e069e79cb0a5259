package powertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

// watched is the model homeserver with the oracle at its door.
type watched struct {
	*invitestest.Homeserver
	w       *story
	serving id.EventID // command that is being worked on
	again   bool       // by the queue
	fault   invites.Class
	hidden  int                 // which of what is asked for is kept back, from 1
	hide    int                 // for how many more snapshots
	veiled  int                 // for how many more snapshots nothing of spaces is shown
	written map[id.EventID]bool // policy events that their sender had the power to send
	wrong   string

	guarding bool                             // the guard is at work, for the event in serving
	expiring bool                             // what expired is withdrawn
	turning  bool                             // what somebody's standing turned against is withdrawn
	dated    time.Time                        // what the server of a user says about when the user's event was sent; zero: the truth
	lost     bool                             // the policy read last would come from a space that the bot has lost
	approved map[question]bool                // cards that somebody with the power said yes to
	came     map[id.RoomID]map[id.UserID]bool // who is in a room uninvited
	people   map[id.RoomID]map[id.UserID]*standing
	sent     []sent
	rules    map[room.Key]json.RawMessage // of the policy list

	planning  *planned // power levels are the plan's
	moving    *moving  // what is set is carried over
	carrying  bool     // a policy is carried over
	upgrading *moving  // rooms are upgraded
}

// lostAnswer makes an act take effect and seem to fail.
const lostAnswer = invites.ClassStopped + 2

var errLost = errors.New("made up")

// truth is all of a room's state.
func (h *watched) truth(r id.RoomID) *room.Snapshot {
	snap, err := h.Homeserver.Snapshot(context.Background(), r, "", nil, true)
	h.w.must(err)
	return snap
}

// Snapshot shows the room, but keeps some of it back when told to. A space is shown to those who are in it.
func (h *watched) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if slices.Contains(h.w.spaces, r) && !h.joined(r, bot) && !(h.w.Self.MayAssert(viewer) && h.joined(r, viewer)) {
		return nil, invites.ErrNoView
	}
	ofSpaces := slices.Contains(h.w.spaces, r) || slices.ContainsFunc(needs, func(k room.Key) bool { return k.Type == "m.space.parent" })
	hide, veil := h.hide > 0, h.veiled > 0 && ofSpaces
	if !hide && !veil {
		return h.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
	}
	all, err := h.Homeserver.Snapshot(context.Background(), r, "", nil, true)
	if err != nil {
		return nil, err // a policy list, of which there are rules and no room
	}
	events := map[room.Key]*room.Event{}
	for i, k := range needs {
		if veil && i%3 == h.veiled%3 || !veil && i%6 == h.hidden-1 {
			continue
		}
		events[k], _ = all.Event(k)
	}
	if veil {
		h.w.tally.add("space kept back")
		h.veiled--
	} else {
		h.w.tally.add("state kept back")
		h.hide--
	}
	return room.NewSnapshot(room.State{Events: events}), nil
}

func (h *watched) joined(r id.RoomID, user id.UserID) bool {
	membership, _ := h.truth(r).Membership(user)
	return membership == "join"
}

// Act makes the change and has the oracle judge it.
func (h *watched) Act(ctx context.Context, e invites.Effect) error {
	fault := h.fault
	h.fault = 0
	if fault > 0 && fault != lostAnswer {
		return &invites.ActError{Class: fault - 1, Code: "M_MADE_UP", Status: 500, Err: errLost}
	}
	before, l := h.truth(e.Room), h.law(e.Room)
	if err := h.Homeserver.Act(ctx, e); err != nil {
		return err
	}
	h.w.say("! %s: %s of %s in %s", e.Performer, e.Action, e.Target, e.Room)
	if h.again {
		h.w.tally.add("act by the queue")
	}
	var asker id.UserID
	switch c := h.w.said[h.serving]; {
	case h.expiring:
		h.judgeExpiry(before, l, e)
	case h.turning:
		h.judgeTurned(before, l, e)
	case h.upgrading != nil:
		h.judgeEntering(e)
	case c != nil && c.plan != nil:
		h.judgePlan(before, l, c, e)
		if e.Action == room.Invite && e.Performer == bot {
			asker = c.actor
		}
	case h.guarding && e.Performer == bot && c == nil:
		h.judgeGuard(before, l, e)
	default:
		h.judge(before, l, e)
		if c != nil && e.Action == room.Invite && e.Performer == bot {
			asker = c.actor
		}
	}
	h.note(before, e, asker)
	if fault == lostAnswer {
		h.w.tally.add("lost answer")
		return &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errLost}
	}
	return nil
}

// direct has somebody do something without Usher, where the rules let them.
func (h *watched) direct(e invites.Effect) bool {
	if e.Performer == bot && e.Action == room.Invite {
		return false // it only invites through Usher
	}
	before := h.truth(e.Room)
	if !h.dated.IsZero() {
		h.Homeserver.Clock = stopped(h.dated)
	}
	err := h.Homeserver.Act(context.Background(), e)
	h.Homeserver.Clock = h.w.clock
	if err != nil {
		return false
	}
	h.w.say("%s: %s of %s in %s", e.Performer, e.Action, e.Target, e.Room)
	h.w.tally.add("direct %s", e.Action)
	h.note(before, e, "")
	return true
}

// stopped is a clock that stands.
type stopped time.Time

func (s stopped) Now() time.Time { return time.Time(s) }

// note remembers what became of somebody, and has the ledger and the guard hear of it.
func (h *watched) note(before *room.Snapshot, e invites.Effect, asker id.UserID) {
	was, _ := before.Membership(e.Target)
	if e.Action == room.Join && was != "join" {
		if h.came[e.Room] == nil {
			h.came[e.Room] = map[id.UserID]bool{}
		}
		h.came[e.Room][e.Target] = was != "invite"
	}
	h.remember(was, e, asker)
	h.w.happened(e.Room, room.MemberKey(e.Target))
}

// state has somebody change a room's state, where the rules let them.
func (h *watched) state(r id.RoomID, sender id.UserID, k room.Key, content any) {
	raw, err := json.Marshal(content)
	h.w.must(err)
	event, err := h.Homeserver.SendState(context.Background(), r, sender, k, raw)
	if err != nil {
		return
	}
	h.w.say("%s sets %s %s in %s: %s", sender, k.Type, k.StateKey, r, raw)
	h.w.tally.add("direct %s", k.Type)
	switch {
	case k.Type == policy.EventType:
		h.written[event] = true
	case k.Type == "m.space.parent":
		h.Claim(id.RoomID(k.StateKey), r)
	case r == h.w.list:
		h.rules[k] = raw
	}
	h.w.happened(r, k)
}

// SendState sets state as the service wants it and has the oracle judge it.
func (h *watched) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	fault := h.fault
	h.fault = 0
	if fault > 0 && fault != lostAnswer {
		return "", &invites.ActError{Class: fault - 1, Code: "M_MADE_UP", Status: 500, Err: errLost}
	}
	before, l := h.truth(r), h.law(r)
	event, err := h.Homeserver.SendState(ctx, r, as, k, content)
	if err != nil {
		return event, err
	}
	h.w.say("! %s sets %s in %s: %s", as, k.Type, r, content)
	switch {
	case h.moving != nil:
		h.judgeMove(before, l, r, as, k, content, event)
	case h.carrying:
		h.judgeCarried(before, r, as, k, content, event)
	case h.planning != nil:
		h.judgePlanLevels(before, l, as, k, content)
	default:
		h.judgeState(before, l, as, k, content)
	}
	if k.Type == room.TypeSpaceParent {
		h.Claim(id.RoomID(k.StateKey), r)
	}
	h.w.happened(r, k)
	if fault == lostAnswer {
		return "", &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errLost}
	}
	return event, nil
}

// judge is the oracle: it knows who asked for what, and reads the room and its policy with its own eyes.
func (h *watched) judge(before *room.Snapshot, l law, e invites.Effect) {
	c := h.w.said[h.serving]
	if c != nil && c.each != nil {
		c = c.each[e.Target]
		h.w.tally.add("act %s in an upgrade", e.Action)
	}
	wrong := func(format string, args ...any) {
		h.wrong = fmt.Sprintf("%s: %s of %s in %s by %s: ", h.serving, e.Action, e.Target, e.Room, e.Performer) + fmt.Sprintf(format, args...)
	}
	if c == nil {
		wrong("nobody asked for it")
		return
	}
	actor, kind := c.actor, string(e.Action)
	autoJoin := e.Action == room.Join && c.action == room.Invite
	if autoJoin {
		actor = e.Target
	}
	takesBack := e.Action == room.Kick && c.action == policy.ActionWithdraw
	if takesBack {
		kind = string(c.action)
	}
	membership, _ := before.Membership(e.Target)
	byRules := room.Authorize(before, room.Action{Type: e.Action, Sender: actor, Target: e.Target}).Verdict == room.Allow
	why := "" // not granted by the policy
	if e.Action == room.Invite {
		why = h.forbids(l, before, c, e)
	}
	switch {
	case c.takenBack:
		wrong("it was taken back")
	case e.Room != c.room || !slices.Contains(c.targets, e.Target) || e.Action != c.action && !autoJoin && !takesBack:
		wrong("that is not what was asked for")
	case autoJoin && !h.w.Self.AutoJoin(e.Target):
		wrong("nobody configured that they join")
	case takesBack && membership != "invite":
		wrong("there was no open invitation")
	case e.Performer != bot && (e.Performer != actor || !h.w.Self.MayAssert(actor)):
		wrong("sent as somebody who did not ask")
	case c.knock && c.actor == bot && e.Action == room.Invite && !h.admits(before, l, e.Target):
		wrong("the policy does not let them in")
	case why != "":
		wrong("the policy is against it: %s", why)
	case !byRules && !h.delegated(before, l, c, e):
		wrong("%s may not do that", actor)
	case !byRules:
		h.w.tally.add("act %s lent%s", kind, where(l, "delegate"))
	default:
		h.w.tally.add("act %s by power", kind)
	}
	if e.Action == room.Invite {
		h.met(l)
		h.spent(c, e)
	}
}

// spent remembers an invitation for the quotas.
func (h *watched) spent(c *asked, e invites.Effect) {
	again := func(s sent) bool { return s.number == c.number && s.target == e.Target } // since the answer was lost
	if !c.knock && !slices.ContainsFunc(h.sent, again) {
		h.sent = append(h.sent, sent{e.Room, c.actor, c.at, c.number, e.Target, c.law.charges()})
	}
}

// delegated tells whether the room's policy grants an invitation to somebody who lacks nothing but the power to invite, or has
// them take back what the bot sent for them.
func (h *watched) delegated(s *room.Snapshot, l law, c *asked, e invites.Effect) bool {
	membership, _ := s.Membership(c.actor)
	if !h.legit(l, "delegate") || !l.holds("delegate", false) || e.Performer != bot || membership != "join" {
		return false
	}
	if h.lends(s, l, "delegate", room.Action{Type: e.Action, Target: e.Target}) {
		return false
	}
	if c.action == policy.ActionWithdraw {
		return e.Action == room.Kick && !l.broken && h.mayNotAsk(l, s, c.actor) == "" && h.of(e.Room, e.Target).asker == c.actor
	}
	return e.Action == room.Invite && c.action == room.Invite
}

// judgeExpiry is the oracle on invitations that are withdrawn because nobody answered them.
func (h *watched) judgeExpiry(before *room.Snapshot, l law, e invites.Effect) {
	membership, _ := before.Membership(e.Target)
	after, invited := l.span("pending.expire_after", 0), h.of(e.Room, e.Target).invited
	why := ""
	switch {
	case e.Action != room.Kick || e.Performer != bot:
		why = "what expires is withdrawn by the bot"
	case membership != "invite":
		why = "there was no open invitation"
	case after == 0 || l.broken || !h.legit(l, "pending.expire_after"):
		why = "no policy wants it"
	case h.lends(before, l, "pending.expire_after", room.Action{Type: room.Kick, Sender: bot, Target: e.Target}):
		why = "who wrote it could not do it"
	case h.w.clock.Now().Sub(invited) < after:
		why = fmt.Sprintf("it is %s old and may be %s", h.w.clock.Now().Sub(invited), after)
	}
	if why != "" {
		h.wrong = fmt.Sprintf("expiry of %s in %s: %s", e.Target, e.Room, why)
	}
	h.w.tally.add("act expire%s", where(l, "pending.expire_after"))
}

// judgeTurned is the oracle on invitations that are withdrawn because somebody's standing has turned.
func (h *watched) judgeTurned(before *room.Snapshot, l law, e invites.Effect) {
	membership, _ := before.Membership(e.Target)
	inviter, _ := before.Membership(h.of(e.Room, e.Target).inviter)
	on, path := []string{"listed", "inviter_banned"}, "pending.withdraw_on"
	if _, set := l.values[path]; set {
		on = l.list(path)
	} else {
		path = nearest
	}
	cause := slices.Contains(on, "listed") && h.banned(l, e.Target) || slices.Contains(on, "denied") && l.denies(e.Target) || slices.Contains(on, "inviter_banned") && inviter == "ban" || slices.Contains(on, "inviter_left") && inviter == "leave"
	why := ""
	switch {
	case e.Action != room.Kick || e.Performer != bot:
		why = "it is withdrawn by the bot"
	case membership != "invite":
		why = "there was no open invitation"
	case l.none || l.broken || !h.legit(l, path):
		why = "no policy wants it"
	case !cause:
		why = fmt.Sprintf("nothing speaks against it: the inviter %s is %q, the policy names %v", h.of(e.Room, e.Target).inviter, inviter, on)
	case h.lends(before, l, path, room.Action{Type: room.Kick, Sender: bot, Target: e.Target}):
		why = "who wrote it could not do it"
	}
	if why != "" {
		h.wrong = fmt.Sprintf("withdrawal of %s in %s: %s", e.Target, e.Room, why)
	}
	h.w.tally.add("act turned%s", where(l, path))
}

// creator returns who made a room.
func (h *watched) creator(r id.RoomID) id.UserID {
	create, _ := h.truth(r).Event(room.Key{Type: room.TypeCreate})
	return create.Sender
}
