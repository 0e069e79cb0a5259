package plan

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

var levelsKey = room.Key{Type: room.TypePowerLevels}

// grants judges the power levels that a plan gives.
type grants struct {
	policy    *policy.InForce
	use       policy.PlanUse
	actor     id.UserID
	performer id.UserID
	bot       id.UserID
}

// may returns the reason against giving a user a level; room.Allow: none. The actor, the performer and, in the bot's name, the author of the policy
// must each be able to: nobody raises anybody above themselves.
func (g grants) may(snap *room.Snapshot, user id.UserID, level int64) (verdict room.Verdict, code string, because room.Phrase) {
	content := withPower(snap, user, level)
	if content == nil {
		return room.Deny, CodeLevels, room.Say("plan.why.levels")
	}
	d := g.policy.Agrees(snap, g.use, room.Action{Type: room.SetPowerLevels, Sender: g.performer, Content: content})
	for _, side := range []struct {
		policy.Side
		sender id.UserID
	}{{policy.SideActor, g.actor}, {policy.SidePerformer, g.performer}} {
		if d.Verdict != room.Allow {
			break
		}
		if r := room.Authorize(snap, room.Action{Type: room.SetPowerLevels, Sender: side.sender, Content: content}); r.Verdict != room.Allow {
			d = policy.Decision{Verdict: r.Verdict, Code: r.Rule, Side: side.Side, Evidence: r.Evidence}
		}
	}
	if d.Verdict == room.Allow {
		return d.Verdict, "", because
	}
	q := policy.Question{Action: room.SetPowerLevels, Actor: g.actor, Performer: g.performer, Target: user}
	return d.Verdict, string(d.Code), explain(q, d, g.bot)
}

// withPower returns the content of the room's power levels with one user's level, all levels as integers; nil where there is none to change:
// content made of nothing would take everybody's power away.
func withPower(snap *room.Snapshot, user id.UserID, level int64) json.RawMessage {
	event, _ := snap.Event(levelsKey)
	if event == nil {
		return nil
	}
	return withPowers(snap, event.Content, map[id.UserID]int64{user: level})
}
