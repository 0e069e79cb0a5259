package requests

import (
	"context"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// codeCarried is the code of the audit row of a policy carried over to a new room.
const codeCarried = "policy.carried"

// Carried is how the policy of a replaced room came to its replacement.
type Carried struct {
	From   id.RoomID   // room with the policy; empty: no policy of a replaced room governs the room
	By     id.UserID   // sender of the policy event in the new room; empty: nobody may send it yet, and the old policy counts until somebody does
	Admins []id.UserID // users with the power to set the policy, at most maxAdmins
}

// maxAdmins bounds how many users are named.
const maxAdmins = 10

// CarryOver writes the policy of a replaced room into its replacement, if its author may write it there: as the author where Usher
// may act for them, else as the bot for the author, if it has the power too. Until then the old policy governs the new room as it is.
func (s *Editor) CarryOver(ctx context.Context, command id.EventID, r id.RoomID) (c Carried, err error) {
	p, err := s.Judge.Policies.Of(ctx, r, s.Self.Bot)
	if err == nil && p == nil {
		err = invites.ErrKept
	}
	if err != nil {
		return c, invites.UnlessUnseen(err)
	}
	i := slices.IndexFunc(p.Sources, func(s policy.Source) bool { return s.Carried })
	if i < 0 {
		return c, nil
	}
	source := p.Sources[i]
	author := source.Person(s.Self.Bot)
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(s.Self.Bot)}
	if author != "" {
		needs = append(needs, room.MemberKey(author))
	}
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, needs, true)
	if err != nil {
		return c, invites.UnlessUnseen(err)
	}
	c.From, c.Admins = source.Room, admins(snap, s.Self.Bot)
	may := func(user id.UserID) bool { return snap.CanSend(user, policy.EventType, true).Verdict == room.Allow }
	content := source.Layer.ContentFor(author)
	switch {
	case source.Fault != nil || source.Lapsed || author == "" || !may(author) || len(content) > maxContent:
		return c, nil
	case s.Self.MayAssert(author):
		c.By, content = author, source.Layer.Content()
	case may(s.Self.Bot):
		c.By = s.Self.Bot
	default:
		return c, nil
	}
	event, err := s.Homeserver.SendState(ctx, r, c.By, policy.Key(), content)
	if invites.Refused(err) {
		c.By = ""
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("carrying the policy over: %w", err)
	}
	_, err = s.Store.Record(ctx, nil, []invites.Audit{{
		At: s.Clock.Now(), Kind: invites.AuditEffect, Action: ActionPolicy, Room: r, Actor: author, Performer: c.By,
		Verdict: string(invites.StatusDone), Code: codeCarried, Policy: event, Request: string(command),
	}})
	return c, err
}

// Admins lists the users with the power, by name in a room, to set its policy.
func (s *Editor) Admins(ctx context.Context, r id.RoomID) ([]id.UserID, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, s.Self.Bot, []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}}, false)
	if err != nil {
		return nil, invites.UnlessUnseen(err)
	}
	return admins(snap, s.Self.Bot), nil
}

// admins lists the users with the power, by name in a room, to set its policy.
func admins(snap *room.Snapshot, bot id.UserID) (list []id.UserID) {
	needed, known := snap.NeededToSend(policy.EventType)
	for _, user := range snap.Named() {
		power, knows := snap.Power(user)
		if known && knows && power >= needed && user != bot && len(list) < maxAdmins {
			list = append(list, user)
		}
	}
	return list
}
