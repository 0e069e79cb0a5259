package commands

import (
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// Notices words the bot's messages without a command: cards and their results, reports of a guard, greetings.
type Notices struct {
	Prefix string // of commands
	Self   invites.Identity
	Guide  string // address of a page for members; empty: none
}

// Greeting is the bot's first message in a room: one line about its use and its power there. The decision is on an invitation by the bot itself.
func (n Notices) Greeting(direct bool, q policy.Question, standing policy.Decision) (reply Reply) {
	t := &reply.Text
	if direct {
		t.Say("greeting.direct", "prefix", n.Prefix)
		return reply
	}
	t.Say("greeting.room", "prefix", n.Prefix)
	local, domain := n.Self.Assert, n.Self.Domain
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
	return reply
}

// asMine words a decision from the bot's side.
func asMine(d policy.Decision) policy.Decision {
	if d.Side == policy.SideActor {
		d.Side = policy.SidePerformer
	}
	return d
}

// Malformed tells the author of an unreadable policy, and the room's other admins, about its fault.
func (n Notices) Malformed(author id.UserID, fault policy.Malformed) Reply {
	reply := Reply{Call: []id.UserID{author}, Aloud: true}
	reply.Text.Tell(room.Say("policy.malformed", "author", author, "prefix", n.Prefix).Holding(fault.Phrase())).Reason(string(policy.CodeMalformed))
	return reply
}

// PolicyRedacted tells the admins of a room that its policy was redacted.
func (n Notices) PolicyRedacted(admins []id.UserID, fault policy.Malformed) Reply {
	reply := Reply{Call: admins, Aloud: len(admins) > 0}
	reply.Text.Tell(room.Say("policy.redacted").Holding(fault.Phrase())).Reason(string(policy.CodeMalformed))
	return reply
}

// CarriedOver tells a room what came with it from the room that it replaces, and what did not.
func (n Notices) CarriedOver(u invites.Upgrade) (reply Reply) {
	reply.Text.Say("move.carried", "old", u.Old)
	tellSome(&reply.Text, len(u.Notes), func(i int) { reply.Text.Tell(room.ReadPhrase(u.Notes[i])) })
	return reply
}

// Upgraded tells a room which policy counts in it since it replaces another. Its admins are called where they have to decide.
func (n Notices) Upgraded(c requests.Carried) (reply Reply) {
	if c.By != "" {
		reply.Text.Say("policy.carried", "from", c.From, "by", c.By)
		return reply
	}
	reply.Call, reply.Aloud = c.Admins, len(c.Admins) > 0
	reply.Text.Say("policy.not_carried", "from", c.From, "prefix", n.Prefix)
	return reply
}
