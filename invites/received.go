package invites

import (
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"
)

// Received is an event kept by the inbox: a command, or a change in the bot's own life (an invitation to it, a tombstone).
type Received struct {
	Seq        int64           // order of arrival, set by Store.Receive
	Event      id.EventID      // unique: an event acts once
	Room       id.RoomID       // room of the event
	Sender     id.UserID       // as the homeserver vouches for it
	Type       string          // event type
	StateKey   *string         // nil: no state event
	Raw        json.RawMessage // the event as received
	SentAt     time.Time       // origin_server_ts
	ReceivedAt time.Time       // when the transaction arrived
	Redacted   bool            // taken back by its sender before it ran
	Handled    bool            // its reply is out, nothing is left to do
	Answer     id.EventID      // status message, edited as the work goes on; empty: none

	Protection Protection // of an event opened by the bot's device; not kept in the inbox
}

// Protection is the protection of an event between its sender's device and the bot's device.
type Protection int

// The protections, the weakest first.
const (
	Plain     Protection = iota // none: the homeservers vouch for the sender
	Encrypted                   // by a key sent in the name of the sender
	Verified                    // by a key of a device signed by its owner's cross-signing identity, the first one seen of this owner
)

// Undecodable is an event, or bytes sent in place of one, which could not be read. It is kept for the operator.
type Undecodable struct {
	Transaction string
	Raw         []byte // at most the first 64 KiB
	Fault       string
	ReceivedAt  time.Time
}

// MemberEvent is the part of an m.room.member event, or of an m.room.third_party_invite event, needed by the ledger.
type MemberEvent struct {
	Event      id.EventID
	Room       id.RoomID
	Target     id.UserID // the user of the membership; empty for an address
	Sender     id.UserID
	Membership string    // "invite", "join", "leave" or "ban"; AddressInvited or AddressGone for an address
	ThirdParty bool      // an invitation by e-mail or telephone number, since claimed
	Token      string    // of an address; for a claimed invitation, of the address that claimed it
	Name       string    // of an address, as in AddressInvitation
	SentAt     time.Time // origin_server_ts
	SeenAt     time.Time // by our own clock
}

// Stand-ins for the membership in m.room.third_party_invite events.
const (
	AddressInvited = "address_invited"
	AddressGone    = "address_gone" // withdrawn
)

// OfAddress reports whether the event is about an address.
func (m *MemberEvent) OfAddress() bool {
	return m.Membership == AddressInvited || m.Membership == AddressGone
}

// lateAfter is the usual delay of an event from another server.
const lateAfter = time.Minute

// Late reports whether the server of a user dated the user's own event earlier than it came, by more than the usual delay. Then the event
// counts from when it came: a server dates its users' events as it likes.
func (m *MemberEvent) Late() bool {
	return m.Sender == m.Target && m.SeenAt.Sub(m.SentAt) > lateAfter
}
