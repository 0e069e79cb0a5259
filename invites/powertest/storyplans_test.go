package powertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/plan"
	"usher/policy"
	"usher/room"
)

// staff is the name of all plans.
const staff = "staff"

// planned is a run of a plan as the oracle remembers it.
type planned struct {
	run     *plan.Run
	room    id.RoomID
	manager id.UserID // empty: in the bot's name
	steps   map[plan.Kind][]id.UserID
	levels  map[id.UserID]int64
}

// request is the key of the rows of a run.
func (p *planned) request() id.EventID {
	return id.EventID(invites.PlanRequest + p.run.Key + " " + p.room.String())
}

// planners makes the parts that carry plans out.
func (w *story) planners() {
	asking := requests.Planning{Requests: w.Requests}
	w.planner = &plan.Planner{Facts: w.db, Homeserver: w.hs, Requests: asking, Policies: w.Judge.Policies, Clock: w.clock, Self: w.Self}
	w.runner = &plan.Runner{Store: w.db, Homeserver: w.hs, Requests: asking, Policies: w.Judge.Policies, History: w.Judge.History, Clock: w.clock, Self: w.Self}
	w.Delivery.Checks[invites.OriginPlan] = w.runner
}

// employ has a plan want people and power levels in a room, in the name of the bot or of a manager, and begins to carry it out. The room, or its
// space, agrees to plans, to other ones now and then. Between the plan and its run somebody may lose power, or the room changes its mind.
func (w *story) employ(o op, r id.RoomID) {
	random := rand.New(rand.NewPCG(uint64(o.c), uint64(o.d)))
	author, in := cast[o.b%2], r
	if o.e%3 == 0 {
		in = w.spaces[o.b/2%len(w.spaces)]
		w.under(in, r)
		w.hs.state(r, cast[0], policy.Key(), map[string]any{})
	}
	weigh := func(authors int) {
		levels := w.levels(op{d: 1, c: 8, e: o.e}, r)
		users, _ := levels["users"].(map[string]any)
		users[bot.String()], users[cast[1].String()], users[cast[3].String()] = pick(o.a, 50, 100, 100, 100), authors, pick(o.a/4, 0, 50, 75)
		levels["invite"], levels["kick"] = pick(o.d, 25, 50), pick(o.d/2, 25, 50, 75)
		levels["events"] = map[string]any{room.TypePowerLevels: pick(o.d/6, 25, 50, 75), policy.EventType: 50, "m.space.parent": 100}
		delete(levels, "users_default")
		w.hs.state(r, cast[0], room.Key{Type: room.TypePowerLevels}, levels)
	}
	weigh(pick(o.d/16, 50, 75, 50, 100))
	manager := pick(random.IntN(6), "", "", "", cast[0], cast[1], cast[3])
	doc := map[string]any{"version": 1, "delegate": random.IntN(3) == 0}
	put(doc, map[string]any{"plan.allow": pick(random.IntN(9), []string{staff}, []string{"st*"}, []string{staff, "@nobody:here"}, []string{"@olga:here"}, []string{"@bela:here"}, []string{"@dino:there"}, []string{"*"}, []string{"other"}, []string{})})
	for range random.IntN(3) {
		put(doc, w.rules()[random.IntN(len(w.rules()))](random))
	}
	w.hs.state(in, author, policy.Key(), doc)
	run := w.wish(random, r, manager)
	if run == nil {
		return
	}
	switch random.IntN(8) {
	case 0, 1:
		weigh(pick(random.IntN(2), 0, 40))
	case 2:
		put(doc, map[string]any{"plan.allow": pick(random.IntN(2), []string{"other"}, []string{})})
		w.hs.state(in, author, policy.Key(), doc)
	case 3:
		w.hs.direct(invites.Effect{Action: room.Kick, Room: in, Performer: cast[0], Target: author})
	}
	w.advance(run)
	if random.IntN(2) == 0 {
		weigh(pick(random.IntN(3), 0, 40, 75))
	}
}

// wish has a plan compared with a room, and its run recorded. It is nil where there is nothing to do.
func (w *story) wish(random *rand.Rand, r id.RoomID, manager id.UserID) *planned {
	in := plan.Room{Room: r.String(), Exclusive: random.IntN(2) == 0, People: []plan.Person{{User: cast[0]}}}
	for _, user := range cast[1:] {
		if random.IntN(2) == 0 {
			continue
		}
		person := plan.Person{User: user}
		if random.IntN(2) == 0 {
			level := pick(random.IntN(5), int64(0), 25, 50, 75, 100)
			person.Power = &level
		}
		in.People = append(in.People, person)
	}
	wish := &plan.Wish{Name: staff, Manager: manager, Again: random.IntN(3) > 0, Rooms: []plan.Room{in}}
	w.say("plan %s for %q wants %+v in %s", staff, manager, in.People, r)
	d, err := w.planner.Compare(w.t.Context(), wish, false)
	if err != nil {
		w.say("  → %v", err)
		return nil
	}
	if d.Rooms[0].Code != "" {
		w.tally.add("plan refused %s", d.Rooms[0].Code)
	}
	for _, s := range d.Steps(plan.Refuse) {
		w.tally.add("plan refused %s", s.Code)
	}
	steps := d.Steps()
	if len(steps) == 0 {
		return nil
	}
	p := &planned{run: &plan.Run{Key: fmt.Sprintf("%s-%d", w.name, len(w.last)), Plan: staff, Manager: manager, Steps: steps}, room: r, manager: manager,
		steps: map[plan.Kind][]id.UserID{}, levels: map[id.UserID]int64{}}
	for _, s := range steps {
		w.say("  → %s %s %d", s.Kind, s.User, s.Power)
		if p.steps[s.Kind] = append(p.steps[s.Kind], s.User); s.Kind == plan.Power {
			p.levels[s.User] = s.Power
		}
	}
	w.must(w.runner.Begin(w.t.Context(), p.run))
	w.plans = append(w.plans, p)
	return p
}

// advance carries a run out as far as it goes. Trouble is as of commands: it goes on later.
func (w *story) advance(p *planned) {
	actor := p.manager
	if actor == "" {
		actor = bot
	}
	request := p.request()
	rows, err := w.db.ChangesOf(w.t.Context(), string(request))
	w.must(err)
	if !slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Action == room.Invite }) { // asked for now
		w.said[request] = &asked{actor: actor, room: p.room, at: w.clock.Now(), number: len(w.last), law: w.hs.law(p.room), plan: p}
		w.last = append(w.last, request)
	}
	w.hs.serving, w.hs.planning = request, p
	err = w.runner.Advance(w.t.Context(), p.run)
	w.hs.serving, w.hs.planning = "", nil
	w.say("the plan %s goes on: %d open, %v", p.run.Key, p.run.Open, err)
	if err != nil || p.run.Open > 0 {
		return
	}
	for _, s := range p.run.Steps {
		if s.Code != invites.CodeDone {
			w.tally.add("plan refused %s %s", s.Kind, s.Code)
		}
	}
	w.must(w.runner.End(w.t.Context(), p.run))
	w.plans = slices.DeleteFunc(w.plans, func(other *planned) bool { return other == p })
}

// goOn goes on with the runs of plans.
func (w *story) goOn(o op) {
	for _, p := range slices.Clone(w.plans) {
		w.clock.Advance(pick(o.e, 0, 31*time.Second, 5*time.Second))
		w.advance(p)
	}
}

// agreed says why a room has not agreed to a plan, or why its agreement lends power: without a manager, its author must be able to do
// the action too.
func (h *watched) agreed(s *room.Snapshot, l law, p *planned, a room.Action) string {
	const path = "plan.allow"
	names := l.list(path)
	switch {
	case l.none || l.broken || !h.legit(l, path):
		return "no policy agrees to a plan"
	case !like(names, staff) && (p.manager == "" || !like(names, p.manager.String())):
		return fmt.Sprintf("the policy agrees to %v only", names)
	case p.manager == "" && h.lends(s, l, path, a):
		return fmt.Sprintf("it lends %s power", author(l.from[path]))
	}
	return ""
}

// byActor reports whether a user sends something themselves or through the bot.
func (h *watched) byActor(as, actor id.UserID) bool {
	return as == bot || as == actor && h.w.Self.MayAssert(actor)
}

// judgePlan is the oracle on memberships that a plan changes.
func (h *watched) judgePlan(before *room.Snapshot, l law, c *asked, e invites.Effect) {
	a := room.Action{Type: e.Action, Sender: c.actor, Target: e.Target}
	may := room.Authorize(before, a).Verdict == room.Allow
	wanted := c.plan.steps[map[room.ActionType]plan.Kind{room.Invite: plan.Invite, room.Kick: plan.Remove}[e.Action]]
	why := h.agreed(before, l, c.plan, a)
	if e.Action == room.Join { // of somebody invited, if it is configured
		if invited := slices.Contains(c.plan.steps[plan.Invite], e.Target); !invited || e.Performer != e.Target || !h.w.Self.AutoJoin(e.Target) || !h.w.Self.MayAssert(e.Target) {
			h.wrong = fmt.Sprintf("%s: %s joins %s", h.serving, e.Target, e.Room)
		}
		return
	}
	switch {
	case !slices.Contains(wanted, e.Target) || e.Room != c.room:
		why = "that is not what the plan wants"
	case e.Target == bot || e.Action == room.Kick && (e.Target == h.creator(e.Room) || e.Target == c.plan.manager):
		why = "that is not for plans to do"
	case !h.byActor(e.Performer, c.actor):
		why = "sent as somebody who did not ask"
	case why != "":
	case !may && !(e.Action == room.Invite && h.delegated(before, l, &asked{actor: c.actor, action: e.Action}, e)):
		why = c.actor.String() + " may not do that"
	case e.Action == room.Invite:
		why = h.forbids(l, before, c, e)
	}
	if why != "" {
		h.wrong = fmt.Sprintf("%s: %s of %s in %s by %s: %s", h.serving, e.Action, e.Target, e.Room, e.Performer, why)
	}
	if e.Action == room.Invite {
		h.spent(c, e)
	}
	h.w.tally.add("plan %s%s%s", e.Action, named(c.plan.manager), where(l, "plan.allow"))
}

// named words in whose name a plan acts.
func named(manager id.UserID) string {
	if manager != "" {
		return " by a manager"
	}
	return ""
}

// judgePlanLevels is the oracle on power levels that a plan gives.
func (h *watched) judgePlanLevels(before *room.Snapshot, l law, as id.UserID, k room.Key, content json.RawMessage) {
	p, actor := h.planning, h.w.said[h.serving].actor
	a := room.Action{Type: room.SetPowerLevels, Sender: actor, Content: content}
	why := h.agreed(before, l, p, a)
	switch {
	case k.Type != room.TypePowerLevels || l.room != p.room:
		why = "no plan is about that"
	case !h.byActor(as, actor):
		why = "sent as somebody who did not ask"
	case why == "" && room.Authorize(before, a).Verdict != room.Allow:
		why = actor.String() + " may not do that"
	}
	old, next := h.levelsIn(before, nil), h.levelsIn(before, content)
	for _, name := range append(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(next))...) {
		was, set := old[name]
		now, stays := next[name]
		if was == now && set == stays {
			continue
		}
		user, ofUser := strings.CutPrefix(name, "users.")
		wanted, gives := p.levels[id.UserID(user)]
		membership, _ := before.Membership(id.UserID(user))
		if !ofUser || !gives || now != wanted || membership != "join" && membership != "invite" {
			why = "the plan does not want " + name + " so"
		}
	}
	if why != "" {
		h.wrong = fmt.Sprintf("%s: %s sets %s to %s: %s", h.serving, as, k.Type, content, why)
	}
	h.w.tally.add("plan levels%s%s", named(p.manager), where(l, "plan.allow"))
}
