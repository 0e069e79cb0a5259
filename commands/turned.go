package commands

import (
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites/ledger"
	"usher/policy"
	"usher/room"
)

// maxNamed is how many people one sentence names.
const maxNamed = 5

// Finding tells what has turned against some open invitations.
func Finding(t ledger.Turn) room.Phrase {
	var people []string
	for _, e := range t.Invitations[:min(maxNamed, len(t.Invitations))] {
		people = append(people, string(e.Target))
	}
	n, named := len(t.Invitations), strings.Join(people, " ")
	switch t.Code {
	case policy.CodeTurnListed:
		return room.Say("turned.listed", "n", n, "people", named)
	case policy.CodeTurnDenied:
		return room.Say("turned.denied", "n", n, "people", named)
	case policy.CodeTurnBanned:
		return room.Say("turned.inviter_banned", "n", n, "people", named, "inviter", t.Inviter)
	}
	return room.Say("turned.inviter_left", "n", n, "people", named, "inviter", t.Inviter)
}

// Turned words a finding about open invitations, and what becomes of them.
func (n Notices) Turned(t ledger.Turn) Reply {
	var reply Reply
	reply.Text.Tell(Finding(t))
	switch {
	case t.Done == ledger.Withdrawing:
		reply.Text.Say("turned.withdraws")
	case t.Why == policy.CodeGuardPower:
		reply.Text.Say("guard.power", "rule", t.Rule)
	case t.Why == policy.CodeGuardAuthor:
		reply.Text.Say("guard.author")
	}
	if t.Done == ledger.Left && t.Inviter != "" {
		reply.Text.Say("turned.prune", "prefix", n.Prefix, "inviter", t.Inviter)
	} else if t.Done == ledger.Left {
		reply.Text.Say("turned.uninvite", "prefix", n.Prefix)
	}
	reply.Text.Reason(string(t.Code))
	return reply
}

// SpaceLost tells a room that the bot has left a space with a policy for it.
func (n Notices) SpaceLost(space id.RoomID) Reply {
	var reply Reply
	reply.Text.Say("space.lost", "space", space).Reason(string(policy.CodeMalformed))
	return reply
}

// Unreadable tells a room that a policy list which it follows can't be read.
func (n Notices) Unreadable(list id.RoomID) Reply {
	var reply Reply
	reply.Text.Say("turned.unreadable", "list", list, "prefix", n.Prefix).Reason("policy.unknown")
	return reply
}
