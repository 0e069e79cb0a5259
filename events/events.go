// Package events is the table of the event types used by Usher. Each row says for one kind of event when the intake keeps it in the
// inbox, which handler gets it, whether an encrypted event may turn out to be one, and which caches it invalidates.
//
// The intake asks Find for each event of a transaction. The bot asks Route for each event from the inbox, and switches on the
// handler once. An event type without a row matters to nobody: the intake only tells the state cache of the change.
//
// To add an event type, add a row, and a handler if none fits. This package holds no logic of any handler.
package events

import (
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// Keep says when the intake keeps an event in the inbox.
type Keep int

// When the intake keeps an event.
const (
	Never              Keep = iota
	Always                  // always
	IfAddressed             // the message may be a command
	IfSecret                // the encrypted event may be a command or a vote
	IfVote                  // the reaction is a vote on an open card
	IfCard                  // the redacted event is an open card or a vote on one, or may be state whose changes are kept
	IfGuarded               // a guard watches the room
	IfGuardedOrClaimed      // a guard watches the room, or a space claims it
)

// Handler says which part of the bot handles an event of the inbox.
type Handler int

// The handlers.
const (
	Nobody     Handler = iota
	ToCommands         // runs a command
	ToCards            // counts a vote on a card
	ToRedacted         // looks at the redacted card, the redacted vote on a card, or the redacted state
	ToOwn              // follows the memberships of the bot
	ToKnocks           // answers a knock
	ToGuard            // defends the room
	ToLevels           // looks at the power levels of a guarded or claimed room
	ToPolicy           // reads a policy again
	ToSpaces           // looks at the policies inherited by a room
	ToFollow           // follows a room to its successor
	ToInbound          // reads the operators' rules about invitations to local users again
	ToReread           // looks at a room anew after an unreadable event
)

// Unreadable is the type of the events put into the inbox by the intake itself where it can't tell which state of a room has changed.
// The room is empty where not even the room is known. The stream's events of this type are ignored.
const Unreadable = "chat.usher.unreadable"

// InboundRules is the type of the operators' rules about invitations to local users, which counts in their room only.
const InboundRules = "chat.usher.inbound"

// Caches is a set of caches.
type Caches uint8

// The caches which an event may invalidate, besides the state cache, which every state event invalidates.
const (
	Keys  Caches = 1 << iota // users with the keys of the bot's encrypted events
	Rules                    // rules of expiry, which rooms inherit
	Power                    // power levels, by which the bot may advertise its commands
	Lists                    // rules of policy lists, by which open invitations are judged anew
)

// Row is one kind of event.
type Row struct {
	Type        string
	State       bool     // a state event
	EmptyKey    bool     // with an empty state key only
	OfBot       bool     // with the bot as its state key only
	OfSender    bool     // with its sender as its state key only
	Memberships []string // of m.room.member; nil: any
	Keep        Keep
	Handler     Handler
	Opens       bool // an encrypted event may turn out to be one
	Invalidates Caches
}

// table lists all kinds of events. The first row fitting an event counts.
var table = append([]Row{
	{Type: room.TypeMessage, Keep: IfAddressed, Handler: ToCommands, Opens: true},
	{Type: room.TypeEncrypted, Keep: IfSecret},
	{Type: room.TypeReaction, Keep: IfVote, Handler: ToCards, Opens: true},
	{Type: room.TypeRedaction, Keep: IfCard, Handler: ToRedacted},

	{Type: room.TypeMember, State: true, OfSender: true, Memberships: []string{"knock"}, Keep: Always, Handler: ToKnocks, Invalidates: Keys},
	{Type: room.TypeMember, State: true, OfBot: true, Keep: Always, Handler: ToOwn, Invalidates: Keys},
	{Type: room.TypeMember, State: true, Memberships: []string{"knock"}, Keep: Always, Handler: ToGuard, Invalidates: Keys},
	{Type: room.TypeMember, State: true, Memberships: []string{"join", "invite"}, Keep: IfGuarded, Handler: ToGuard, Invalidates: Keys},
	{Type: room.TypeMember, State: true, Invalidates: Keys},
	{Type: room.TypeJoinRules, State: true, EmptyKey: true, Keep: IfGuarded, Handler: ToGuard},
	{Type: room.TypePowerLevels, State: true, EmptyKey: true, Keep: IfGuardedOrClaimed, Handler: ToLevels, Invalidates: Rules | Power},
	{Type: policy.EventType, State: true, EmptyKey: true, Keep: Always, Handler: ToPolicy, Invalidates: Rules},
	{Type: InboundRules, State: true, EmptyKey: true, Keep: Always, Handler: ToInbound},
	{Type: room.TypeTombstone, State: true, EmptyKey: true, Keep: Always, Handler: ToFollow},
	{Type: room.TypeSpaceChild, State: true, Keep: Always, Handler: ToSpaces},
	{Type: room.TypeSpaceParent, State: true, Keep: Always, Handler: ToSpaces},
	{Type: Unreadable, State: true, EmptyKey: true, Handler: ToReread},
	{Type: room.TypeEncryption, State: true, Invalidates: Keys},
	{Type: room.TypeHistoryVisibility, State: true, Invalidates: Keys},
}, lists()...)

// lists has a row for each type of a rule of a policy list.
func lists() (rows []Row) {
	for _, kind := range policy.ListTypes() {
		rows = append(rows, Row{Type: kind, State: true, Invalidates: Lists})
	}
	return rows
}

// Event is an event as the table sees it.
type Event struct {
	Type       string
	State      bool // it has a state key
	StateKey   string
	Sender     string
	Membership string // of m.room.member
}

// Find returns the row of an event, the zero Row if it has none.
func Find(e Event, bot id.UserID) Row {
	for i := range table {
		if table[i].Type != e.Type { // saves the copy of the row
			continue
		}
		if r := table[i]; r.fits(e, bot) {
			return r
		}
	}
	return Row{}
}

// fits reports whether an event of the row's type is of its kind.
func (r *Row) fits(e Event, bot id.UserID) bool {
	return r.State == e.State &&
		(!r.EmptyKey || e.StateKey == "") &&
		(!r.OfBot || e.StateKey == string(bot)) &&
		(!r.OfSender || e.StateKey == e.Sender) &&
		(r.Memberships == nil || slices.Contains(r.Memberships, e.Membership))
}

// Suspects returns the pieces of a room's state which a redacted event is taken for while nothing is known of them. Decisions read them, so
// they are known soon.
func Suspects(guarded bool) []room.Key {
	if !guarded {
		return suspects[:1:1]
	}
	return suspects
}

var suspects = []room.Key{policy.Key(), {Type: room.TypeJoinRules}, {Type: room.TypePowerLevels}}

// Route returns the row of an event from the inbox.
func Route(ev invites.Received, bot id.UserID) Row {
	e := Event{Type: ev.Type, Sender: string(ev.Sender)}
	if ev.StateKey != nil {
		e.State, e.StateKey = true, *ev.StateKey
	}
	if e.Type == room.TypeMember {
		e.Membership = exactjson.Text(ev.Raw, "content", "membership")
	}
	return Find(e, bot)
}

// Invalidated returns the caches invalidated by a change of a piece of state.
func Invalidated(k room.Key) (caches Caches) {
	for i := range table {
		if r := table[i]; r.Type == k.Type && r.State && (!r.EmptyKey || k.StateKey == "") {
			caches |= r.Invalidates
		}
	}
	return caches
}
