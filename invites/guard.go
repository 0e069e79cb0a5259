package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// A guard that has set a room back so often within the window stops.
const (
	guardRounds = 3
	guardWindow = time.Hour
)

// Guard keeps rooms as their policies say. It knows which rooms have a guard, so that all others cost nothing.
type Guard struct {
	Service *Service
	Store   Guards
	// Tell sends a report to its room, and is told the same one again after a crash.
	Tell func(ctx context.Context, r id.RoomID, report Report) error

	mu    sync.RWMutex
	rooms map[id.RoomID]*sync.Mutex // held while a room's door is looked at: a space's policy does so from another lane
}

// Load learns which rooms are guarded.
func (g *Guard) Load(ctx context.Context) error {
	list, err := g.Store.Guarded(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rooms = make(map[id.RoomID]*sync.Mutex, len(list))
	for _, r := range list {
		g.rooms[r] = new(sync.Mutex)
	}
	return nil
}

// Watches reports whether a room has a guard.
func (g *Guard) Watches(r id.RoomID) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.rooms[r] != nil
}

// turn returns the lock of a guarded room.
func (g *Guard) turn(r id.RoomID) *sync.Mutex {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rooms == nil {
		g.rooms = map[id.RoomID]*sync.Mutex{}
	}
	if g.rooms[r] == nil {
		g.rooms[r] = new(sync.Mutex)
	}
	return g.rooms[r]
}

// Refresh reads the policy of a room, starts or ends its guard, and has it look at the door. It is for when the policy, or
// what the room inherits, may have changed.
func (g *Guard) Refresh(ctx context.Context, r id.RoomID) error {
	p, err := g.Service.Policy(ctx, r, "")
	if errors.Is(err, ErrNoView) {
		return g.forget(ctx, r)
	}
	if err != nil || p == nil {
		return err
	}
	if p.Fault() != nil {
		return nil // as before, until it can be read
	}
	if p.Document.Guard.Mode == policy.Off {
		return g.forget(ctx, r)
	}
	if _, err := g.watch(ctx, r, p); err != nil {
		return err
	}
	return g.door(ctx, r, p, true)
}

// forget ends a room's guard, as when the bot has left.
func (g *Guard) forget(ctx context.Context, r id.RoomID) error {
	if !g.Watches(r) {
		return nil
	}
	if err := g.Store.EndWatch(ctx, r); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.rooms, r)
	return nil
}

// watch returns what is remembered of a room under its policy; a new policy starts anew.
func (g *Guard) watch(ctx context.Context, r id.RoomID, p *policy.InForce) (Watch, error) {
	var name strings.Builder
	for _, source := range p.Sources {
		name.WriteString(string(source.Event) + " ")
	}
	w, err := g.Store.Watch(ctx, r)
	if err != nil && !errors.Is(err, ErrNotFound) || err == nil && w.Policy == name.String() {
		return w, err
	}
	w = Watch{Room: r, Policy: name.String()}
	return w, g.Store.SetWatch(ctx, w)
}

// Handle looks at a state event of a guarded room.
func (g *Guard) Handle(ctx context.Context, ev Received) error {
	p, err := g.Service.Policy(ctx, ev.Room, "")
	if errors.Is(err, ErrNoView) || err == nil && (p == nil || p.Fault() != nil) {
		return nil // whoever wrote a policy that can't be read is told so
	}
	if err != nil || p.Document.Guard.Mode == policy.Off {
		return err
	}
	if ev.Type != "m.room.member" {
		return g.door(ctx, ev.Room, p, false)
	}
	if ev.StateKey == nil {
		return nil
	}
	membership, target := membershipOf(ev), id.UserID(*ev.StateKey)
	switch {
	case target == g.Service.Self.Bot || ev.Sender == g.Service.Self.Bot:
	case membership == "join":
		return g.joined(ctx, ev, p, target)
	case membership == "invite":
		return g.byHand(ctx, ev, p, target)
	}
	return nil
}

// door looks whether the room's state is as the policy says. It acts on what the room shows, not on what an event said, so
// that doing it again, after a crash or in a different order, is harmless. What is found when the policy changes is set back
// without counting: nobody fights yet.
func (g *Guard) door(ctx context.Context, r id.RoomID, p *policy.InForce, first bool) error {
	turn := g.turn(r)
	turn.Lock()
	defer turn.Unlock()
	if p.Fault() != nil {
		return nil
	}
	snap, err := g.Service.look(ctx, r, p)
	if err != nil || snap == nil {
		return err
	}
	guard := &p.Document.Guard
	for _, drift := range guard.Drifts(snap) {
		parts, events, err := g.causes(ctx, r, guard, snap, drift)
		if err != nil {
			return err
		}
		for _, d := range parts {
			if err := g.drifted(ctx, r, p, d, events[d.Event], first); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxBack is how many events are gone back to find who changed something.
const maxBack = 16

// causes takes a drift apart by the events that brought it about: somebody else may have changed other things since.
func (g *Guard) causes(ctx context.Context, r id.RoomID, guard *policy.Guard, snap *room.Snapshot, d policy.Drift) (list []policy.Drift, at map[id.EventID]StateEvent, err error) {
	at = map[id.EventID]StateEvent{}
	for _, what := range d.What {
		cause, err := g.cause(ctx, r, guard, snap, d, what)
		if err != nil {
			return nil, nil, err
		}
		one := policy.Drift{Key: d.Key, Event: d.Event, Changer: d.Changer, What: []policy.Difference{what}}
		if cause.ID != "" {
			one.Event, one.Changer, at[cause.ID] = cause.ID, cause.Sender, cause
		}
		same := slices.IndexFunc(list, func(other policy.Drift) bool { return other.Event == one.Event })
		if same < 0 {
			list = append(list, one)
		} else {
			list[same].What = append(list[same].What, what)
		}
	}
	return list, at, nil
}

// cause follows a state event back to the one that brought a difference about, with what was before it. It is empty where
// nothing can be read.
func (g *Guard) cause(ctx context.Context, r id.RoomID, guard *policy.Guard, snap *room.Snapshot, d policy.Drift, what policy.Difference) (cause StateEvent, err error) {
	next := d.Event
	for range maxBack {
		if next == "" {
			break
		}
		event, err := g.Service.stateEvent(ctx, r, "", next)
		if err == nil && event.Before == nil && event.Replaces != "" {
			var earlier StateEvent
			earlier, err = g.Service.stateEvent(ctx, r, "", event.Replaces)
			event.Before = earlier.Content
		}
		if Unseen(err) {
			break
		}
		if err != nil {
			return cause, err
		}
		cause, next = event, event.Replaces
		if !guard.Had(snap, d.Key, event.Before, what) {
			break
		}
	}
	return cause, nil
}

// drifted reports a drift and sets it back, if it may and has not fought too long. The round is counted first, then told,
// then fought: whatever is done again after a crash is done for the same event.
func (g *Guard) drifted(ctx context.Context, r id.RoomID, p *policy.InForce, d policy.Drift, cause StateEvent, first bool) error {
	snap, err := g.Service.look(ctx, r, p) // anew: the part before may have been set back
	if err != nil || snap == nil {
		return err
	}
	report := Report{Kind: ReportDrift, Part: "watch", Event: d.Event, Who: d.Changer, Key: d.Key, What: d.What, At: cause.SentAt}
	if p.Document.Guard.Mode != policy.Enforce {
		return g.tellOnce(ctx, r, p, report)
	}
	p.Document.Guard.Mend(snap, &d, cause.Before)
	if code, because := p.MaySetBack(snap, &d, g.Service.Self.Bot); code != "" {
		report.Part, report.Code, report.Rule = string(code), string(code), string(because.Rule)
		return g.tellOnce(ctx, r, p, report)
	}
	fight, err := g.fight(ctx, r, p, d.Event, first)
	if err != nil {
		return err
	}
	if fight != fightsOn {
		report.Part, report.Code, report.Window = string(fight), string(policy.CodeGuardStopped), guardWindow
		if fight == stopsNow {
			report.Call = g.admins(snap)
		}
		return g.tellOnce(ctx, r, p, report)
	}
	report.Acts, report.Part = true, "enforce"
	if err := g.Tell(ctx, r, report); err != nil {
		return err
	}
	return g.setBack(ctx, r, p, d, report)
}

// setBack sets a drift back.
func (g *Guard) setBack(ctx context.Context, r id.RoomID, p *policy.InForce, d policy.Drift, report Report) error {
	s := g.Service
	_, err := s.Homeserver.SendState(ctx, r, s.Self.Bot, d.Key, d.Content)
	audit := Audit{At: s.Clock.Now(), Kind: AuditEffect, Action: d.Action("").Type, Room: r, Actor: s.Self.Bot, Performer: s.Self.Bot,
		Target: d.Changer, Verdict: string(StatusDone), Code: "guard.set_back", Policy: p.Event(), Command: d.Event}
	if Refused(err) {
		code := Errcode(err)
		audit.Verdict, audit.Code = string(StatusRefused), code
		report.Acts, report.Part, report.Code, report.Because = false, "refused", code, meaning(code)
		err = g.tellOnce(ctx, r, p, report)
	}
	if err != nil {
		return fmt.Errorf("setting %s back: %w", d.Key.Type, err)
	}
	_, err = s.Store.Record(ctx, nil, []Audit{audit})
	return err
}

// maxTold bounds what is remembered of reports.
const maxTold = 32

// tellOnce tells of what is left as it is, once under one policy.
func (g *Guard) tellOnce(ctx context.Context, r id.RoomID, p *policy.InForce, report Report) error {
	w, err := g.watch(ctx, r, p)
	if err != nil {
		return err
	}
	name := string(report.Event) + " " + report.Part
	if slices.Contains(w.Told, name) {
		return nil
	}
	if err := g.Tell(ctx, r, report); err != nil {
		return err
	}
	w.Told = append(w.Told, name)
	w.Told = w.Told[max(0, len(w.Told)-maxTold):]
	return g.Store.SetWatch(ctx, w)
}

// stop says whether a fight has ended.
type stop string

const (
	fightsOn stop = ""
	stopsNow stop = "stops"
	stopped  stop = "stopped"
)

// fight counts a round, or ends the fight.
func (g *Guard) fight(ctx context.Context, r id.RoomID, p *policy.InForce, event id.EventID, first bool) (stop, error) {
	w, err := g.watch(ctx, r, p)
	if err != nil {
		return stopped, err
	}
	again := func(round Round) bool { return round.Event == event }
	now := g.Service.Clock.Now()
	switch {
	case slices.ContainsFunc(w.Rounds, again) && !w.Stopped:
		return fightsOn, nil // begun before a crash
	case w.Stopped && len(w.Rounds) > 0 && again(w.Rounds[len(w.Rounds)-1]):
		return stopsNow, nil
	case w.Stopped:
		return stopped, nil
	case first:
		return fightsOn, nil
	}
	w.Rounds = slices.DeleteFunc(w.Rounds, func(round Round) bool { return !round.At.After(now.Add(-guardWindow)) })
	w.Stopped = len(w.Rounds) >= guardRounds
	w.Rounds = append(w.Rounds, Round{event, now})
	if err := g.Store.SetWatch(ctx, w); err != nil {
		return stopped, err
	}
	if w.Stopped {
		return stopsNow, nil
	}
	return fightsOn, nil
}

// maxCalled bounds how many people are called.
const maxCalled = 10

// admins lists the users whom the room gives power by name, its creators included, and who may change the policy: at most maxCalled,
// the strongest.
func (g *Guard) admins(snap *room.Snapshot) (list []id.UserID) {
	needed, known := snap.NeededToSend(policy.EventType)
	for _, user := range snap.Named() {
		power, knows := snap.Power(user)
		if known && knows && power >= needed && user != g.Service.Self.Bot && len(list) < maxCalled {
			list = append(list, user)
		}
	}
	slices.Sort(list)
	return list
}
