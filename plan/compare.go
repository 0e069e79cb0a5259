package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Reason codes of steps.
const (
	CodeLeft    = "plan.left"    // left or declined by themselves
	CodeBot     = "plan.bot"     // the bot is no matter of plans
	CodeCreator = "plan.creator" // creators of a room are not removed
	CodeAbsent  = "plan.absent"  // no power level for somebody who did not get in
	CodeLevels  = "plan.levels"  // the room has no power levels to change
	CodeUnknown = "plan.no_room" // there is no room of this name
	CodeAgain   = "plan.again"   // the homeserver refused it within the last day
)

// Facts are the records that a comparison reads.
type Facts interface {
	// PlanNotes returns all notes of a plan.
	PlanNotes(ctx context.Context, plan string) ([]invites.PlanNote, error)
	// UnsentOf returns the invitations of users in a room that wait to be sent.
	UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) ([]invites.Change, error)
}

// Homeserver shows and sets state. Errors are as in judge.Homeserver.
type Homeserver interface {
	// Snapshot returns the known state of a room, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Members lists the users with a membership in a room.
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
	// Resolve looks an alias up. The error is Refused where there is none.
	Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error)
}

// Foreseer decides on requests without doing anything.
type Foreseer interface {
	Foresee(ctx context.Context, req requests.Request) ([]judge.Judgement, error)
}

// Planner compares wishes with rooms. All fields are required.
type Planner struct {
	Facts      Facts
	Homeserver Homeserver
	Requests   Foreseer
	Policies   *judge.Policies
	Clock      invites.Clock
	Self       invites.Identity
}

// Compare returns the difference. automatic: nobody has asked for it, so changes that were refused within the last day are left alone. The
// error is a *Fault, or tells that the homeserver or the store does not answer.
func (p *Planner) Compare(ctx context.Context, w *Wish, automatic bool) (Difference, error) {
	d := Difference{Plan: w.Name}
	if err := w.Check(); err != nil {
		return d, err
	}
	list, err := p.Facts.PlanNotes(ctx, w.Name)
	if err != nil {
		return d, err
	}
	notes := map[invites.PlanNote]invites.PlanNote{}
	for _, n := range list {
		notes[noteKey(n)] = n
	}
	rooms := map[id.RoomID]bool{}
	for i := range w.Rooms {
		c := comparison{Planner: p, wish: w, room: &w.Rooms[i], notes: notes, automatic: automatic, now: p.Clock.Now()}
		c.diff.Name = c.room.Room
		if err := c.compare(ctx); err != nil {
			return d, fmt.Errorf("%s: %w", c.room.Room, err)
		}
		if rooms[c.diff.Room] && c.diff.Room != "" {
			return d, fault(room.Say("plan.fault.twice", "room", c.room.Room))
		}
		rooms[c.diff.Room] = true
		d.Rooms = append(d.Rooms, c.diff)
	}
	return d, nil
}

// noteKey is a note without what may change.
func noteKey(n invites.PlanNote) invites.PlanNote {
	n.Code, n.At = "", time.Time{}
	return n
}

// comparison is the work on one room.
type comparison struct {
	*Planner
	wish      *Wish
	room      *Room
	notes     map[invites.PlanNote]invites.PlanNote
	automatic bool
	now       time.Time

	diff    RoomDiff
	policy  *policy.InForce
	snap    *room.Snapshot
	in      map[id.UserID]bool // joined or invited
	invited map[id.UserID]bool // about to be invited
}

func (c *comparison) compare(ctx context.Context) error {
	r, err := c.resolve(ctx)
	if err != nil || r == "" {
		return err
	}
	c.diff.Room = r
	if c.policy, err = c.Policies.Of(ctx, r, ""); errors.Is(err, invites.ErrNoView) || err == nil && c.policy == nil {
		c.whole(policy.Decision{Verdict: room.Unknown, Code: policy.CodeNoView})
		return nil
	} else if err != nil {
		return err
	}
	if c.snap, err = c.look(ctx, nil, true); err != nil {
		return err
	}
	if d := c.policy.Agrees(c.snap, c.use(), room.Action{Type: room.Invite, Sender: c.Self.Bot}); d.Code == policy.CodePlan || d.Code == policy.CodeMalformed {
		c.whole(d)
		return nil
	}
	if err := c.members(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.invitations(ctx), c.removals(ctx)); err != nil {
		return err
	}
	c.powers()
	return nil
}

// resolve finds the room; without one, the result is empty.
func (c *comparison) resolve(ctx context.Context) (id.RoomID, error) {
	if c.room.Room[0] == '!' {
		return id.RoomID(c.room.Room), nil
	}
	r, _, err := c.Homeserver.Resolve(ctx, id.RoomAlias(c.room.Room))
	if invites.Refused(err) {
		c.diff.Code, c.diff.Because = CodeUnknown, room.Say("plan.why.no_room")
		return "", nil
	}
	return r, err
}

// whole refuses everything in the room.
func (c *comparison) whole(d policy.Decision) {
	c.diff.Code, c.diff.Because = string(d.Code), policy.Explain(policy.Question{Action: room.Invite, Actor: c.actor(), Performer: c.Self.Bot}, d).Phrase()
}

func (c *comparison) use() policy.PlanUse {
	return policy.PlanUse{Name: c.wish.Name, Manager: c.wish.Manager}
}

// actor is the user in whose name the plan acts.
func (c *comparison) actor() id.UserID { return actorOf(c.wish.Manager, c.Self) }

func actorOf(manager id.UserID, self invites.Identity) id.UserID {
	if manager != "" {
		return manager
	}
	return self.Bot
}

// look reads the state for all decisions about the plan, and the memberships of users.
func (c *comparison) look(ctx context.Context, users []id.UserID, fresh bool) (*room.Snapshot, error) {
	return lookAt(ctx, c.Homeserver, c.diff.Room, c.policy, c.Self.Bot, append([]id.UserID{c.actor()}, users...), fresh)
}

func lookAt(ctx context.Context, hs Homeserver, r id.RoomID, p *policy.InForce, bot id.UserID, users []id.UserID, fresh bool) (*room.Snapshot, error) {
	needs := append([]room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, {Type: room.TypeJoinRules}, policy.Key(), room.MemberKey(bot)}, p.AuthorKeys(bot)...)
	for _, user := range users {
		needs = append(needs, room.MemberKey(user))
	}
	return hs.Snapshot(ctx, r, "", needs, fresh)
}

func (c *comparison) members(ctx context.Context) error {
	c.in, c.invited = map[id.UserID]bool{}, map[id.UserID]bool{}
	for _, membership := range []string{"join", "invite"} {
		list, err := c.Homeserver.Members(ctx, c.diff.Room, membership)
		if err != nil {
			return err
		}
		for _, user := range list {
			c.in[user] = true
		}
	}
	c.diff.Members = len(c.in)
	if c.in[c.Self.Bot] {
		c.diff.Members--
	}
	return nil
}

func (c *comparison) step(s Step) {
	s.Room = c.diff.Room
	c.diff.Steps = append(c.diff.Steps, s)
}

func (c *comparison) refuse(would Kind, user id.UserID, code string, because room.Phrase) {
	c.step(Step{Kind: Refuse, Would: would, User: user, Code: code, Because: because})
}

// lately returns the note of a refusal that an automatic comparison heeds.
func (c *comparison) lately(would Kind, user id.UserID) bool {
	n, noted := c.notes[invites.PlanNote{Plan: c.wish.Name, Kind: refusalOf(would), Room: c.diff.Room, User: user}]
	if !noted || !c.automatic || n.At.Add(24*time.Hour).Before(c.now) {
		return false
	}
	c.refuse(would, user, CodeAgain, room.Say("plan.why.again", "code", n.Code))
	return true
}

// invitations adds the steps of people who are wanted and not in the room.
func (c *comparison) invitations(ctx context.Context) error {
	var absent, wanted []id.UserID
	for _, p := range c.room.People {
		switch {
		case p.User == c.Self.Bot || c.in[p.User]:
			c.diff.Same++
		default:
			absent = append(absent, p.User)
		}
	}
	snap, err := c.look(ctx, absent, false)
	if err != nil {
		return err
	}
	unsent := map[id.UserID]bool{}
	rows, err := c.Facts.UnsentOf(ctx, c.diff.Room, absent...)
	if err != nil {
		return err
	}
	for _, row := range rows {
		unsent[row.Target] = true
	}
	for _, user := range absent {
		agreed := c.policy.Agrees(snap, c.use(), room.Action{Type: room.Invite, Sender: c.Self.Bot, Target: user})
		member, _ := snap.Event(room.MemberKey(user))
		switch {
		case unsent[user]:
			c.step(Step{Kind: Busy, User: user})
		case agreed.Verdict != room.Allow:
			c.decided(Invite, room.Invite, user, agreed)
		case member != nil && member.Sender == user && exactjson.Text(member.Content, "membership") == "leave" && !c.wish.Again:
			c.refuse(Invite, user, CodeLeft, room.Say("plan.why.left", "target", user))
		case c.lately(Invite, user):
		default:
			wanted = append(wanted, user)
		}
	}
	return c.foresee(ctx, Invite, room.Invite, wanted)
}

// decided refuses a change because of a decision.
func (c *comparison) decided(kind Kind, action room.ActionType, user id.UserID, d policy.Decision) {
	q := policy.Question{Action: action, Actor: c.actor(), Performer: c.Self.Performer(action, c.actor(), user, false), Target: user}
	c.refuse(kind, user, string(d.Code), explain(q, d, c.Self.Bot))
}

// explain words a decision. The bot's own lack of power is told as the bot's, also where it is the actor.
func explain(q policy.Question, d policy.Decision, bot id.UserID) room.Phrase {
	if d.Side == policy.SideActor && q.Actor == bot {
		d.Side = policy.SidePerformer
	}
	return policy.Explain(q, d).Phrase()
}

// foresee adds steps as the judge decides on them.
func (c *comparison) foresee(ctx context.Context, kind Kind, action room.ActionType, targets []id.UserID) error {
	if len(targets) == 0 {
		return nil
	}
	judged, err := c.Requests.Foresee(ctx, requests.Request{Origin: invites.OriginPlan, Key: "-", Actor: c.actor(), Action: action, Room: c.diff.Room, Targets: targets})
	if err != nil {
		return err
	}
	for _, j := range judged {
		if j.Decision.Verdict != room.Allow {
			c.refuse(kind, j.Question.Target, string(j.Decision.Code), explain(j.Question, j.Decision, c.Self.Bot))
			continue
		}
		c.step(Step{Kind: kind, User: j.Question.Target})
		c.invited[j.Question.Target] = c.invited[j.Question.Target] || kind == Invite
	}
	return nil
}

// removals adds the steps of people whom no source names.
func (c *comparison) removals(ctx context.Context) error {
	if !c.room.Exclusive {
		return nil
	}
	named := map[id.UserID]bool{c.Self.Bot: true, c.wish.Manager: true}
	for _, p := range c.room.People {
		named[p.User] = true
	}
	var missing, wanted []id.UserID
	for user := range c.in {
		if !named[user] && !policy.MatchUser(c.room.Keep, user) {
			missing = append(missing, user)
		}
	}
	slices.Sort(missing)
	snap, err := c.look(ctx, missing, false)
	if err != nil {
		return err
	}
	for _, user := range missing {
		agreed := c.policy.Agrees(snap, c.use(), room.Action{Type: room.Kick, Sender: c.Self.Bot, Target: user})
		switch {
		case creator(snap, user):
			c.refuse(Remove, user, CodeCreator, room.Say("plan.why.creator", "target", user))
		case agreed.Verdict != room.Allow:
			c.decided(Remove, room.Kick, user, agreed)
		case c.waits(user) || c.lately(Remove, user):
		default:
			wanted = append(wanted, user)
		}
	}
	return c.foresee(ctx, Remove, room.Kick, wanted)
}

// waits adds a step for somebody within the grace period.
func (c *comparison) waits(user id.UserID) bool {
	if c.wish.Grace == 0 {
		return false
	}
	n, noted := c.notes[c.missing(user)]
	if !noted {
		n.At = c.now
	}
	until := n.At.Add(c.wish.Grace)
	if noted && !until.After(c.now) {
		return false
	}
	c.step(Step{Kind: Wait, User: user, Until: until, First: !noted})
	return true
}

func (c *comparison) missing(user id.UserID) invites.PlanNote {
	return invites.PlanNote{Plan: c.wish.Name, Kind: invites.PlanMissing, Room: c.diff.Room, User: user}
}

// creator reports whether a user made the room, or has the power of a creator.
func creator(snap *room.Snapshot, user id.UserID) bool {
	event, _ := snap.Event(room.Key{Type: room.TypeCreate})
	power, known := snap.Power(user)
	return event != nil && (event.Sender == user || exactjson.Text(event.Content, "creator") == string(user)) || known && power == room.Infinite
}

// powers adds the steps of power levels, for people who are in the room or about to be invited.
func (c *comparison) powers() {
	for _, p := range c.room.People {
		if p.Power == nil {
			continue
		}
		was, known := c.snap.Power(p.User)
		switch {
		case known && int64(was) == *p.Power:
		case p.User == c.Self.Bot:
			c.refuse(Power, p.User, CodeBot, room.Say("plan.why.bot"))
		case !c.in[p.User] && !c.invited[p.User]: // the refusal of the invitation says it
		default:
			grants := grants{c.policy, c.use(), c.actor(), c.Self.Performer(room.SetPowerLevels, c.actor(), p.User, false), c.Self.Bot}
			if c.in[p.User] {
				c.diff.Same--
			}
			if may, code, because := grants.may(c.snap, p.User, *p.Power); may != room.Allow {
				c.refuse(Power, p.User, code, because)
			} else if !c.lately(Power, p.User) {
				c.step(Step{Kind: Power, User: p.User, Was: int64(was), Power: *p.Power})
			}
		}
	}
	slices.SortStableFunc(c.diff.Steps, func(a, b Step) int { return rank(a.Kind) - rank(b.Kind) })
}

// rank orders steps for people.
func rank(k Kind) int { return slices.Index([]Kind{Invite, Busy, Remove, Wait, Power, Refuse}, k) }
