package delivery

import (
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// origin says how the rows of one origin are carried out.
type origin struct {
	redactable bool // the command may be taken back by redacting it
	checked    bool // Delivery.Checks tells whether the row is still wanted
	admitted   bool // the policy admitted the knocking user: its ask rules do not apply while the knock's card stands accepted
	charged    bool // the row may have been charged to quotas
	announced  bool // the status message of the command tells of the outcome
	urgent     bool // the row goes before the rows of commands
	unasked    bool // nobody asks where the bot is the actor: the ask rules do not apply
	watched    bool // the homeserver makes the change for the actor's own client: the row waits until the room shows it
}

// originOf returns how a row is carried out. It is unknown for rows recorded by a newer version.
//
// Each origin is a line here. All else is the same for all rows: the actor is judged, and for a join the joiner.
func originOf(row invites.Change) (o origin, known bool) {
	switch row.Origin {
	case invites.OriginCommand, invites.OriginBulk:
		return origin{redactable: true, charged: true, announced: true}, true
	case invites.OriginSpace:
		return origin{redactable: true, charged: true}, true
	case invites.OriginAutoJoin:
		return origin{redactable: true, announced: true}, true
	case invites.OriginNative, invites.OriginAddress:
		return origin{charged: true, watched: true}, true
	case invites.OriginAsked, invites.OriginMove:
		return origin{charged: true}, true
	case invites.OriginCard:
		return origin{urgent: true}, true
	case invites.OriginKnock:
		return origin{admitted: true, checked: true, urgent: true}, true
	case invites.OriginGuard:
		return origin{checked: true, urgent: true}, true
	case invites.OriginExpiry, invites.OriginTurned, invites.OriginInbound:
		return origin{checked: true}, true
	case invites.OriginLink:
		return origin{checked: true, charged: true}, true
	case invites.OriginPlan:
		return origin{checked: true, charged: true, unasked: true}, true
	}
	return origin{}, false
}

// Turns returns the turns of waiting rows. domain is the homeserver's own name.
func Turns(domain string, waiting []invites.Waiting) []invites.Turn {
	turns := make([]invites.Turn, len(waiting))
	for i, w := range waiting {
		origin, _ := originOf(invites.Change{Origin: w.Origin})
		turns[i] = invites.Turn{Row: w.ID, Actor: w.Actor, Priority: invites.PriorityBulk}
		if origin.urgent || w.Origin == invites.OriginExpiry { // mostly the bot's own, of all rooms
			turns[i].Room = w.Room
		}
		switch {
		case origin.urgent:
			turns[i].Priority = invites.PriorityUrgent
		case w.Size <= invites.FewRows && w.Origin != invites.OriginExpiry && w.Origin != invites.OriginTurned:
			turns[i].Priority = invites.PriorityFew
		}
		turns[i].Server = otherServer(domain, w.Action, w.Target, w.Via)
	}
	return turns
}

// otherServer returns the server without which a homeserver can't make a change; empty without one. domain is the homeserver's own name.
func otherServer(domain string, action room.ActionType, target id.UserID, via []string) string {
	other := ""
	switch {
	case action == room.Invite:
		other = target.Homeserver()
	case action == room.Join && len(via) > 0:
		other = via[0]
	}
	if other == domain {
		return ""
	}
	return other
}

// ownReason is the bot's own reason for a change without an asking user.
func ownReason(row invites.Change) (p room.Phrase) {
	switch {
	case row.Origin == invites.OriginExpiry:
		p = room.Say("because.expired")
	case row.Origin == invites.OriginTurned && row.Code == string(policy.CodeTurnListed):
		p = room.Say("because.listed")
	case row.Origin == invites.OriginTurned && row.Code == string(policy.CodeTurnDenied):
		p = room.Say("because.denied")
	case row.Origin == invites.OriginTurned:
		p = room.Say("because.inviter_gone")
	case row.Origin == invites.OriginGuard && row.Action == room.Kick:
		p = room.Say("because.intruder")
	case row.Origin == invites.OriginPlan && row.Action == room.Kick:
		p = room.Say("because.plan")
	case row.Origin == invites.OriginGuard:
		p = room.Say("because.by_hand")
	}
	return p
}
