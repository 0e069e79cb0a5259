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
	if direct {
		t.Say("greeting.direct", "prefix", d.Prefix)
		return reply.Notice(Message{})
	}
	t.Say("greeting.room", "prefix", d.Prefix)
	local, domain := d.Invites.Self.Assert, d.Invites.Self.Domain
	why := policy.Explain(q, asMine(standing)).Phrase()
	switch {
	case standing.Verdict == room.Allow && local:
		t.Say("greeting.both", "domain", domain)
	case standing.Verdict == room.Allow:
		t.Say("greeting.mine")
	case standing.Verdict == room.Deny && local:
		t.Tell(room.Say("greeting.own", "domain", domain).Holding(why))
	case standing.Verdict == room.Deny:
		t.Tell(room.Say("greeting.powerless").Holding(why))
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

// Malformed tells the one who wrote a policy that it can't be read, and the room's other admins with them.
func Malformed(author id.UserID, fault policy.Malformed, prefix string) *event.MessageEventContent {
	reply := Reply{Mention: true}
	reply.Text.Tell(room.Say("policy.malformed", "author", author, "prefix", prefix).Holding(fault.Phrase())).Reason(string(policy.CodeMalformed))
	return reply.Notice(Message{Sender: author})
}
