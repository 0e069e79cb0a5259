package delivery

import (
	"usher/invites"
	"usher/room"
)

// origin says how the rows of one origin are carried out.
type origin struct {
	redactable bool // the command may be taken back by redacting it
	checked    bool // Delivery.Checks tells whether the row is still wanted
	admitted   bool // the policy itself let in a user who knocked: its ask rules do not apply while the knock's card stands accepted
	charged    bool // the row may have been charged to quotas
	announced  bool // the status message of the command tells of the outcome
}

// originOf returns how a row is carried out. It is unknown for rows that a newer version recorded.
//
// Each origin is a line here. All else is the same for all rows: the actor is judged, except that a join is judged as the joiner's own.
func originOf(row invites.Change) (o origin, known bool) {
	switch row.Origin {
	case invites.OriginCommand:
		return origin{redactable: true, charged: true, announced: true}, true
	case invites.OriginAutoJoin:
		return origin{redactable: true, announced: true}, true
	case invites.OriginCard:
		return origin{}, true
	case invites.OriginKnock:
		return origin{admitted: true}, true
	case invites.OriginGuard, invites.OriginExpiry:
		return origin{checked: true}, true
	}
	return origin{}, false
}

// because is the reason that the bot itself gives for a change that nobody asked for.
func because(row invites.Change) (p room.Phrase) {
	switch {
	case row.Origin == invites.OriginExpiry:
		p = room.Say("because.expired")
	case row.Origin == invites.OriginGuard && row.Action == room.Kick:
		p = room.Say("because.intruder")
	case row.Origin == invites.OriginGuard:
		p = room.Say("because.by_hand")
	}
	return p
}
