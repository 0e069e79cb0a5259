package commands

import (
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Notices words the bot's messages without a command: cards and their results, reports of a guard, greetings.
type Notices struct {
	Prefix string // of commands
	Self   invites.Identity
}

// Greeting is the bot's first message in a room: one line about its use and its power there. The decision is on an invitation by the bot itself.
func (n Notices) Greeting(direct bool, q policy.Question, standing policy.Decision) *event.MessageEventContent {
	var reply Reply
	t := &reply.Text
	t.Say("Hello! Say ").Code(n.Prefix + "invite @user:server")
	if direct {
		t.Say(" and a room, and I invite them there; ").Code(n.Prefix + "help").Say(" lists the rest.")
		return reply.Notice(Message{})
	}
	t.Say(" and I invite them here, if you may; ").Code(n.Prefix + "help").Say(" lists the rest.")
	local := n.Self.Assert
	switch {
	case standing.Verdict == room.Allow && local:
		t.Sayf(" Invitations by people of %s come from themselves, those by others from me.", n.Self.Domain)
	case standing.Verdict == room.Allow:
		t.Say(" The invitations come from me, and I have the power to send them.")
	case standing.Verdict == room.Deny && local:
		t.Sayf(" Invitations by people of %s come from themselves. For others I can't send any yet: ", n.Self.Domain)
		t.Say(lower(said(policy.Explain(q, asMine(standing)).Phrase())))
	case standing.Verdict == room.Deny:
		t.Say(" I can't send any yet, though: " + lower(said(policy.Explain(q, asMine(standing)).Phrase())))
	}
	return reply.Notice(Message{})
}

// asMine words a decision from the bot's side.
func asMine(d policy.Decision) policy.Decision {
	if d.Side == policy.SideActor {
		d.Side = policy.SidePerformer
	}
	return d
}

// Malformed tells the author of an unreadable policy, and the room's other admins, about its fault.
func (n Notices) Malformed(author id.UserID, fault policy.Malformed) *event.MessageEventContent {
	reply := Reply{Mention: true}
	reply.Text.Say("⚠️ ").Code(string(author)).Say(" set a policy for this room that I can't read: " + said(fault.Phrase()) +
		". Until somebody who may send that state event mends it, or empties it by ").Code(n.Prefix + "policy reset").Say(", I invite nobody here.").
		Reason(string(policy.CodeMalformed))
	return reply.Notice(Message{Sender: author})
}
