package commands

import (
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Greeting says in one line, on entering a room, what can be done there. The decision is on an invitation by the bot itself.
func (d *Runner) Greeting(direct bool, q policy.Question, standing policy.Decision) *event.MessageEventContent {
	var reply Reply
	t := &reply.Text
	t.Say("Hello! Say ").Code(d.Prefix + "invite @user:server")
	if direct {
		t.Say(" and a room, and I invite them there; ").Code(d.Prefix + "help").Say(" lists the rest.")
		return reply.Notice(Message{})
	}
	t.Say(" and I invite them here, if you may; ").Code(d.Prefix + "help").Say(" lists the rest.")
	local := d.Self.Assert
	switch {
	case standing.Verdict == room.Allow && local:
		t.Sayf(" Invitations by people of %s come from themselves, those by others from me.", d.Self.Domain)
	case standing.Verdict == room.Allow:
		t.Say(" The invitations come from me, and I have the power to send them.")
	case standing.Verdict == room.Deny && local:
		t.Sayf(" Invitations by people of %s come from themselves. For others I can't send any yet: ", d.Self.Domain)
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

// lower makes a sentence the continuation of another, save where it begins with "I".
func lower(s string) string {
	if len(s) < 2 || s[:2] == "I " || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]|0x20) + s[1:]
}

// Malformed tells the one who wrote a policy that it can't be read, and the room's other admins with them.
func Malformed(author id.UserID, fault policy.Malformed, prefix string) *event.MessageEventContent {
	reply := Reply{Mention: true}
	reply.Text.Say("⚠️ ").Code(string(author)).Say(" set a policy for this room that I can't read: " + said(fault.Phrase()) +
		". Until somebody who may send that state event mends it, or empties it by ").Code(prefix + "policy reset").Say(", I invite nobody here.").
		Reason(string(policy.CodeMalformed))
	return reply.Notice(Message{Sender: author})
}
