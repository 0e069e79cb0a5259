package native

import (
	"context"
	"errors"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Rooms knows the rooms of the bot, without a request in nearly all cases.
type Rooms interface {
	// In reports whether the bot is in a room.
	In(ctx context.Context, r id.RoomID) (bool, error)
}

// Invitations decides on invitations and records the decisions.
type Invitations interface {
	// Native decides on an invitation that the homeserver is about to send for its actor. The row is open where it may be sent.
	Native(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error)
	// NativeAddress does so for an invitation to an address, for which target stands.
	NativeAddress(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error)
}

// Sending knows which changes Usher itself is sending.
type Sending interface {
	// Sending reports whether this process sends a change at the moment. It asks nobody.
	Sending(action room.ActionType, r id.RoomID, performer, target id.UserID) bool
}

// Store is the part of the store read by callbacks.
type Store interface {
	// Leased reports whether a row of an invitation is under way, also by an earlier process. It is one indexed read.
	Leased(ctx context.Context, r id.RoomID, performer, target id.UserID) (bool, error)
}

// Cards shows cards to people.
type Cards interface {
	// Post shows the cards of a request soon. It does not wait.
	Post(request id.EventID)
}

// Inbound is the operator's policy about invitations to users of the homeserver.
type Inbound interface {
	// Judge returns the code and the sentence of a refusal, no code where an invitation may pass. event is nil where a local user invites.
	Judge(ctx context.Context, sender, target id.UserID, r id.RoomID, event []byte) (code string, reason room.Phrase, err error)
	// Passed notes that an invitation from another server was let through.
	Passed(ctx context.Context, sender, target id.UserID, r id.RoomID, event []byte) error
}

// Admissions knows the users whom the policies of rooms let in without an invitation.
type Admissions interface {
	// Admits tells also how many users may be let in at a time.
	Admits(ctx context.Context, r id.RoomID, user id.UserID) (admits bool, breaker policy.Rate, err error)
}

// Limits are the operator's limits.
type Limits interface {
	// Admit counts one user let in without an invitation, or returns the decision of the limit that is reached.
	Admit(r id.RoomID, user id.UserID, breaker policy.Rate) *policy.Decision
}

// Native answers callbacks. All fields but Inbound are required.
type Native struct {
	Inbound     Inbound // nil: off
	Rooms       Rooms
	Invitations Invitations
	Sending     Sending
	Store       Store
	Cards       Cards
	Admissions  Admissions
	Limits      Limits
	Judge       *judge.Judge
	Self        invites.Identity
}

// Answer decides on a callback. The verdict is unknown, or the error not nil, where the decision can't be made; nothing is refused or let
// through then but by the operator's word.
func (n *Native) Answer(ctx context.Context, q Question) (Answer, error) {
	if q.Sender == "" || q.Room == "" {
		return Answer{Verdict: room.Unknown, Code: CodeMalformed}, nil
	}
	switch q.Callback {
	case MayInvite:
		return n.invite(ctx, q)
	case MayInviteFederated:
		return n.arriving(ctx, q)
	case MayInviteAddress:
		return n.address(ctx, q)
	case MayJoin, MayMakeJoin:
		return n.join(ctx, q)
	}
	return allowed, nil
}

// arriving decides on an invitation of a local user by a user of another server. The homeserver asks about it by MayInvite as well, in
// the name of the other user: then the policy of the room counts, where the bot is in it.
func (n *Native) arriving(ctx context.Context, q Question) (Answer, error) {
	if n.Inbound == nil {
		return allowed, nil
	}
	code, reason, err := n.Inbound.Judge(ctx, q.Sender, q.Target, q.Room, q.Event)
	switch {
	case err != nil:
		return Answer{Verdict: room.Unknown}, err
	case code != "":
		return Answer{Code: code, Reason: reason}, nil
	}
	return allowed, n.Inbound.Passed(ctx, q.Sender, q.Target, q.Room, q.Event)
}

// invite decides on an invitation by a user of the homeserver.
func (n *Native) invite(ctx context.Context, q Question) (Answer, error) {
	if q.Target == "" {
		return Answer{Verdict: room.Unknown, Code: CodeMalformed}, nil
	}
	if q.Sender == n.Self.Bot || n.Sending.Sending(room.Invite, q.Room, q.Sender, q.Target) {
		return allowed, nil // the homeserver asks Usher about Usher's own request
	}
	if n.Inbound != nil && q.Sender.Homeserver() == n.Self.Domain {
		code, reason, err := n.Inbound.Judge(ctx, q.Sender, q.Target, q.Room, nil)
		if code != "" || err != nil {
			return Answer{Code: code, Reason: reason}, err
		}
	}
	governed, err := n.governed(ctx, q.Room)
	if err != nil || !governed {
		return allowed, err
	}
	if ours, err := n.Store.Leased(ctx, q.Room, q.Sender, q.Target); err != nil || ours {
		return allowed, err
	}
	row, err := n.Invitations.Native(ctx, q.Room, q.Sender, q.Target)
	if err != nil {
		return Answer{Verdict: room.Unknown}, err
	}
	switch row.Status {
	case invites.StatusOpen, invites.StatusDone:
		return allowed, nil
	case invites.StatusWaiting:
		n.Cards.Post(id.EventID(row.Request))
		return Answer{Code: row.Code, Reason: room.Say("native.asked", "target", q.Target)}, nil
	}
	return Answer{Code: row.Code, Reason: row.Detail}, nil
}

// address decides on an invitation to an e-mail address or a telephone number, which nobody has on Matrix yet. The policy of the room judges it as one
// to a user on the server that the address names; a telephone number is on no server. People can't
// approve it. The address itself is not recorded.
func (n *Native) address(ctx context.Context, q Question) (Answer, error) {
	governed, err := n.governed(ctx, q.Room)
	if err != nil || !governed {
		return allowed, err
	}
	server := nowhere
	if at := strings.LastIndexByte(q.Address, '@'); at >= 0 && q.Medium == "email" {
		server = strings.ToLower(q.Address[at+1:])
	}
	row, err := n.Invitations.NativeAddress(ctx, q.Room, q.Sender, id.UserID("@"+q.Medium+"/address:"+server))
	switch {
	case err != nil:
		return Answer{Verdict: room.Unknown}, err
	case row.Status == invites.StatusOpen:
		return allowed, nil
	}
	return Answer{Code: row.Code, Reason: row.Detail}, nil
}

// nowhere is the server of addresses without one.
const nowhere = "address.invalid"

// governed reports whether a room has a policy that the bot can read.
func (n *Native) governed(ctx context.Context, r id.RoomID) (bool, error) {
	p, err := n.governing(ctx, r)
	return p != nil, err
}

// governing returns the policy of a room, nil where it has none that the bot can read.
func (n *Native) governing(ctx context.Context, r id.RoomID) (*policy.InForce, error) {
	in, err := n.Rooms.In(ctx, r)
	if err != nil || !in {
		return nil, err
	}
	p, err := n.Judge.Policies.Of(ctx, r, n.Self.Bot)
	switch {
	case errors.Is(err, invites.ErrNoView):
		return nil, nil // the bot has left
	case err != nil:
		return nil, err
	case p == nil:
		return nil, errUnseen
	case !p.Governs():
		return nil, nil
	}
	return p, nil
}

// errUnseen says that the state of a room does not tell which policy is in force.
var errUnseen = errors.New("native: the policy in force is not known")
