package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

const (
	maxContent = 60_000 // bytes of power levels: an event holds 65,536 in all
	maxMends   = 3      // writes because somebody changed the same event at the same time
)

// codePower is the code of audit rows of power levels.
const codePower = "plan.power"

// grant gives the power levels of a run to people who are in the room or invited, in one event for each room.
func (r *Runner) grant(ctx context.Context, run *Run, rows map[stepKey]invites.Change) (err error) {
	for _, in := range run.inRooms() {
		var open []*Step
		for i := range run.Steps {
			s := &run.Steps[i]
			row, has := rows[stepKey{in, s.User, Invite}]
			if s.Room == in && s.Kind == Power && !s.Done && (!has || row.Status != invites.StatusOpen) {
				open = append(open, s)
			}
		}
		if len(open) == 0 {
			continue
		}
		err = errors.Join(err, r.grantIn(ctx, run, in, open)) // trouble in one room is none of the others'
	}
	return err
}

// grantIn settles some power levels in one room. The room is read past the cache right before they are written.
func (r *Runner) grantIn(ctx context.Context, run *Run, in id.RoomID, open []*Step) error {
	actor := actorOf(run.Manager, r.Self)
	users := make([]id.UserID, len(open))
	for i, s := range open {
		users[i] = s.User
	}
	p, snap, err := r.anew(ctx, in, actor, users, true)
	if err != nil && !invites.Unseen(err) {
		return err
	}
	g := grants{p, policy.PlanUse{Name: run.Plan, Manager: run.Manager}, actor, r.Self.Performer(room.SetPowerLevels, actor, "", false), r.Self.Bot}
	wanted := map[id.UserID]int64{}
	for _, s := range open {
		if err != nil {
			s.Done, s.Code, s.Because = true, string(policy.CodeNoView), policy.Explain(policy.Question{Action: room.SetPowerLevels, Actor: actor, Performer: g.performer}, policy.Decision{Code: policy.CodeNoView}).Phrase()
			continue
		}
		membership, knows := snap.Membership(s.User)
		if !knows {
			return unknownState(room.MemberKey(s.User))
		}
		now, known := snap.Power(s.User)
		may, code, because := g.may(snap, s.User, s.Power)
		switch {
		case known && int64(now) == s.Power:
			s.Done, s.Code = true, invites.CodeDone
		case membership != "join" && membership != "invite":
			s.Done, s.Code, s.Because = true, CodeAbsent, room.Say("plan.why.absent", "target", s.User)
		case may == room.Unknown:
			return fmt.Errorf("power level of %s: %s", s.User, code)
		case may != room.Allow:
			s.Done, s.Code, s.Because = true, code, because
		default:
			wanted[s.User] = s.Power
		}
	}
	if len(wanted) > 0 {
		code, because, err := r.write(ctx, in, g, snap, wanted)
		if err != nil {
			return err
		}
		for _, s := range open {
			if _, written := wanted[s.User]; written {
				s.Done, s.Code, s.Because = true, code, because
			}
		}
	}
	return r.settle(ctx, run, in, g, p, open)
}

// settle records the power levels of a room as settled, with their audit, in one commit.
func (r *Runner) settle(ctx context.Context, run *Run, in id.RoomID, g grants, p *policy.InForce, settled []*Step) error {
	var audit []invites.Audit
	for _, s := range settled {
		a := invites.Audit{
			At: r.Clock.Now(), Kind: invites.AuditEffect, Action: room.SetPowerLevels, Room: in, Actor: g.actor, Performer: g.performer,
			Target: s.User, Verdict: string(invites.StatusDone), Code: codePower, Request: run.request(in),
		}
		if s.Code != invites.CodeDone {
			a.Verdict, a.Code = string(invites.StatusRefused), s.Code
		}
		if p != nil {
			a.Policy = p.Event()
		}
		audit = append(audit, a)
	}
	row, err := run.row()
	if err != nil {
		return err
	}
	return r.Store.SavePlanRun(ctx, row, audit...)
}

// write sends power levels, and returns how that ended. Where the new event replaces another one than the event read, somebody was faster:
// the content is made anew of theirs, so that nothing of theirs is undone, be it beyond the power of the actor.
func (r *Runner) write(ctx context.Context, in id.RoomID, g grants, snap *room.Snapshot, wanted map[id.UserID]int64) (code string, because room.Phrase, err error) {
	event, _ := snap.Event(levelsKey) // there is one: each level was judged
	base, read := event.Content, event.ID
	for range maxMends {
		content := withPowers(snap, base, wanted)
		if len(content) > maxContent || content == nil {
			return CodeLevels, room.Say("plan.why.levels"), nil
		}
		sent, err := r.Homeserver.SendState(ctx, in, g.performer, levelsKey, content)
		if invites.Refused(err) {
			return invites.Errcode(err), room.Say("detail.refused").Holding(judge.Meaning(err)...), nil
		}
		if err != nil || sent == "" || sent == read {
			return invites.CodeDone, because, err
		}
		ours, err := r.History.Event(ctx, in, "", sent)
		if err != nil || ours.Replaces == "" || ours.Replaces == read {
			return invites.CodeDone, because, invites.UnlessUnseen(err)
		}
		theirs, err := r.History.Event(ctx, in, "", ours.Replaces)
		if err != nil {
			return invites.CodeDone, because, invites.UnlessUnseen(err)
		}
		if string(withPowers(snap, theirs.Content, wanted)) == string(content) {
			return invites.CodeDone, because, nil
		}
		base, read = theirs.Content, sent
	}
	return "", because, errors.New("somebody else changes the power levels at the same time, again and again")
}

// withPowers returns the content of power levels with those of some users, all levels as integers; nil where it can't be changed.
func withPowers(snap *room.Snapshot, content json.RawMessage, wanted map[id.UserID]int64) json.RawMessage {
	content = snap.PlainLevels(content)
	for _, user := range slices.Sorted(maps.Keys(wanted)) {
		if content = exactjson.Set(content, strconv.AppendInt(nil, wanted[user], 10), "users", string(user)); content == nil {
			return nil
		}
	}
	return content
}
