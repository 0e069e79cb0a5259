package guard

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// maxBack is how many events are gone back to find the changing one.
const maxBack = 16

// causes takes a drift apart by the events behind it: somebody else may have changed other things since.
func (g *Guard) causes(ctx context.Context, r id.RoomID, guard *policy.Guard, snap *room.Snapshot, d policy.Drift) (list []policy.Drift, at map[id.EventID]invites.StateEvent, err error) {
	at = map[id.EventID]invites.StateEvent{}
	for _, what := range d.What {
		cause, err := g.cause(ctx, r, guard, snap, d, what)
		if err != nil {
			return nil, nil, err
		}
		one := policy.Drift{Key: d.Key, Event: d.Event, Changer: d.Changer, What: []policy.Difference{what}}
		if cause.ID != "" {
			one.Event, at[cause.ID] = cause.ID, cause
			one.Changer, _ = cause.Changed()
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

// cause follows a state event back to the event behind a difference, and adds the content before it. It is empty where
// nothing can be read.
func (g *Guard) cause(ctx context.Context, r id.RoomID, guard *policy.Guard, snap *room.Snapshot, d policy.Drift, what policy.Difference) (cause invites.StateEvent, err error) {
	next, read := d.Event, g.Judge.History.Event
	if current, _ := snap.Event(d.Key); current != nil && current.RedactedBy != "" {
		read = g.Judge.History.Redacted
	}
	for range maxBack {
		if next == "" {
			break
		}
		event, err := read(ctx, r, "", next)
		read = g.Judge.History.Event
		if err == nil && event.Before == nil && event.Replaces != "" {
			var earlier invites.StateEvent
			earlier, err = g.Judge.History.Event(ctx, r, "", event.Replaces)
			event.Before = earlier.Content
		}
		if invites.Unseen(err) {
			break
		}
		if err != nil {
			return cause, err
		}
		cause, next = event, event.Replaces
		if event.RedactedBy != "" || !guard.Had(snap, d.Key, event.Before, what) {
			break // a redaction is a change of its own
		}
	}
	return cause, nil
}

// drifted reports a drift and sets it back, if it may and has not fought too long. The round is counted first, then told, then fought: a
// repetition after a crash is for the same event.
func (g *Guard) drifted(ctx context.Context, r id.RoomID, p *policy.InForce, d policy.Drift, cause invites.StateEvent, first bool) error {
	snap, err := g.Judge.Policies.Look(ctx, r, p) // anew: the part before may have been set back
	if err != nil || snap == nil {
		return err
	}
	report := Report{Kind: ReportDrift, Part: "watch", Event: d.Event, Who: d.Changer, Key: d.Key, What: d.What}
	_, report.At = cause.Changed()
	if p.Document.Guard.Mode != policy.Enforce {
		return g.tellOnce(ctx, r, p, report)
	}
	p.Document.Guard.Mend(snap, &d, cause.Before)
	if code, because := p.MaySetBack(snap, &d, g.Self.Bot); code != "" {
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
	return g.setBack(ctx, r, p, d, cause.Before, report)
}

// maxTold bounds the memory of reports.
const maxTold = 32

// tellOnce tells of a drift left as it is, once under one policy.
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
	again := func(round invites.Round) bool { return round.Event == event }
	now := g.Clock.Now()
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
	w.Rounds = slices.DeleteFunc(w.Rounds, func(round invites.Round) bool { return !round.At.After(now.Add(-guardWindow)) })
	w.Stopped = len(w.Rounds) >= guardRounds
	w.Rounds = append(w.Rounds, invites.Round{Event: event, At: now})
	if err := g.Store.SetWatch(ctx, w); err != nil {
		return stopped, err
	}
	if w.Stopped {
		return stopsNow, nil
	}
	return fightsOn, nil
}

// maxCalled bounds how many users are called.
const maxCalled = 10

// admins lists the users with power by name in the room, its creators included, and with the right to change the policy: at most maxCalled,
// the strongest.
func (g *Guard) admins(snap *room.Snapshot) (list []id.UserID) {
	needed, known := snap.NeededToSend(policy.EventType)
	for _, user := range snap.Named() {
		power, knows := snap.Power(user)
		if known && knows && power >= needed && user != g.Self.Bot && len(list) < maxCalled {
			list = append(list, user)
		}
	}
	slices.Sort(list)
	return list
}
