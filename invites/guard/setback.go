package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// maxMends bounds how often one set-back is mended because somebody changed the same event at the same time.
const maxMends = 3

// setBack sets a drift back. A report was sent in the meantime, so the content is made of the state as it is now: somebody else may have
// changed it, the policy, or the power of a user. before is the content before the drift.
func (g *Guard) setBack(ctx context.Context, r id.RoomID, p *policy.InForce, d policy.Drift, before json.RawMessage, report Report) error {
	p, snap, err := g.anew(ctx, r, p)
	if err != nil || snap == nil || !p.Document.Guard.Remains(snap, &d) {
		return err
	}
	p.Document.Guard.Mend(snap, &d, before)
	if code, because := p.MaySetBack(snap, &d, g.Self.Bot); code != "" {
		report.Acts, report.Part, report.Code, report.Rule = false, string(code), string(code), string(because.Rule)
		return g.tellOnce(ctx, r, p, report)
	}
	if err = g.write(ctx, r, p, snap, d, before); err == nil {
		return nil
	}
	if !invites.Refused(err) {
		return fmt.Errorf("setting %s back: %w", d.Key.Type, err)
	}
	code := invites.Errcode(err)
	report.Acts, report.Part, report.Code, report.Because = false, "refused", code, room.Sentences(judge.Meaning(err)...)
	if err := g.tellOnce(ctx, r, p, report); err != nil {
		return err
	}
	return g.audit(ctx, r, p, d, invites.StatusRefused, code)
}

// anew reads the room past the cache, and the policy in force by it. The snapshot is nil where no policy enforces anything.
func (g *Guard) anew(ctx context.Context, r id.RoomID, p *policy.InForce) (*policy.InForce, *room.Snapshot, error) {
	if _, err := g.Homeserver.Snapshot(ctx, r, "", policy.GuardNeeds(g.Self.Bot), true); err != nil {
		return p, nil, invites.UnlessUnseen(err)
	}
	p, err := g.Judge.Policies.Of(ctx, r, "")
	if err != nil || p == nil || p.Fault() != nil || p.Document.Guard.Mode != policy.Enforce {
		return p, nil, invites.UnlessUnseen(err)
	}
	snap, err := g.Judge.Policies.Look(ctx, r, p)
	return p, snap, err
}

// write sends the content of a drift. Where the new event replaces another one than the event read, somebody was faster: the
// content is made anew of theirs, so the set-back undoes nothing else.
func (g *Guard) write(ctx context.Context, r id.RoomID, p *policy.InForce, snap *room.Snapshot, d policy.Drift, before json.RawMessage) error {
	var read id.EventID
	if event, _ := snap.Event(d.Key); event != nil {
		read = event.ID
	}
	wanted := d
	for range maxMends {
		sent, err := g.Homeserver.SendState(ctx, r, g.Self.Bot, d.Key, d.Content)
		if err == nil {
			err = g.audit(ctx, r, p, d, invites.StatusDone, "guard.set_back")
		}
		if err != nil || sent == "" || sent == read {
			return err
		}
		event, err := g.Judge.History.Event(ctx, r, "", sent)
		if err != nil || event.Replaces == "" || event.Replaces == read {
			return invites.UnlessUnseen(err)
		}
		theirs, err := g.Judge.History.Event(ctx, r, "", event.Replaces)
		if err != nil {
			return invites.UnlessUnseen(err)
		}
		d.What = wanted.What
		content := p.Document.Guard.Over(snap, &d, theirs.Event, before)
		if content == nil || string(content) == string(d.Content) {
			return nil
		}
		d.Content, read = content, sent
	}
	return errors.New("somebody else changes it at the same time, again and again")
}

// audit records a set-back.
func (g *Guard) audit(ctx context.Context, r id.RoomID, p *policy.InForce, d policy.Drift, status invites.Status, code string) error {
	_, err := g.Store.Record(ctx, nil, []invites.Audit{{At: g.Clock.Now(), Kind: invites.AuditEffect, Action: d.Action("").Type, Room: r, Actor: g.Self.Bot,
		Performer: g.Self.Bot, Target: d.Changer, Verdict: string(status), Code: code, Policy: p.Event(), Request: string(d.Event)}})
	return err
}
