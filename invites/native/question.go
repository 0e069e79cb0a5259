package native

import (
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Callback names a question of the homeserver, as in the protocol of synapse-http-antispam.
type Callback string

// The callbacks that are judged.
const (
	MayInvite          Callback = "user_may_invite"
	MayInviteFederated Callback = "federated_user_may_invite"
	MayInviteAddress   Callback = "user_may_send_3pid_invite"
	MayJoin            Callback = "user_may_join_room"
	MayMakeJoin        Callback = "accept_make_join"
)

// Judged reports whether Usher judges a callback. It lets all others through.
func (c Callback) Judged() bool {
	return slices.Contains([]Callback{MayInvite, MayInviteFederated, MayInviteAddress, MayJoin, MayMakeJoin}, c)
}

// Question is one callback. Fields that the callback has not are empty.
type Question struct {
	Callback Callback
	Sender   id.UserID // inviter, or joining user
	Target   id.UserID // invitee
	Room     id.RoomID
	Medium   string // of an invitation to an address: email or msisdn
	Address  string
	Invited  bool   // a join: an invitation of the user stands
	Event    []byte // an invitation over federation, in the format for clients
}

// Answer is a decision on a question. The zero value refuses.
type Answer struct {
	Verdict room.Verdict
	Code    string      // reason code of a refusal
	Reason  room.Phrase // for the user whose request is refused
}

// allowed is the answer that lets a change through.
var allowed = Answer{Verdict: room.Allow}

// Reason codes of answers.
const (
	CodeUndecided = "native.undecided" // a refusal without a decision
	CodeMalformed = "native.malformed" // the callback can't be read
)
