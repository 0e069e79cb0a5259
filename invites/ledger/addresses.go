package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/room"
)

// AddressStore is the part of the store with the open invitations of addresses.
type AddressStore interface {
	// Addresses returns up to limit open invitations of addresses in a room, the oldest first, and how many there are.
	Addresses(ctx context.Context, r id.RoomID, limit int) ([]invites.AddressInvitation, int, error)
	// Record adds audit rows.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
}

// AddressHomeserver shows state and sets it. Errors are as in judge.Homeserver.
type AddressHomeserver interface {
	Homeserver
	// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
}

// Addresses withdraws invitations of addresses: e-mail addresses and telephone numbers that nobody has on Matrix yet. All fields are
// required.
type Addresses struct {
	Store      AddressStore
	Homeserver AddressHomeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
}

// AddressWithdrawal is somebody's wish to withdraw invitations of addresses.
type AddressWithdrawal struct {
	Command id.EventID
	Room    id.RoomID
	Actor   id.UserID
	Named   []string // each an address, or its name in the room
	AsBot   bool     // the bot sends it also where it could act as the actor
	DryRun  bool
}

// AddressError is why invitations of addresses are not withdrawn, for people.
type AddressError struct {
	Code   string
	Named  string // of an unknown one
	Phrase room.Phrase
}

// Error implements error.
func (e *AddressError) Error() string { return "ledger: " + e.Code }

// Reason codes of withdrawals, and their action in the audit.
const (
	CodeAddressUnknown    = "withdraw.address.unknown"
	CodeAddressSeveral    = "withdraw.address.several"    // an address fits several names
	CodeAddressPower      = "withdraw.address.power"      // the actor may not send the event
	CodeAddressPerformer  = "withdraw.address.performer"  // the actor may, but the bot can't act for them and lacks the power itself
	CodeAddressHomeserver = "withdraw.address.homeserver" // the homeserver refused it
	codeAddressGone       = "withdraw.address"            // of an audit row
	ActionWithdrawAddress = room.ActionType("withdraw_address")
)

// maxAddresses is how many open invitations of addresses of a room are looked through.
const maxAddresses = 5000

// Withdraw withdraws invitations of addresses for an actor: their own with the power to invite, as the Matrix rules have it, and those of
// others with the power to kick as well, as for invitations of users. All of them may be withdrawn, or none is. It returns those withdrawn.
func (s *Addresses) Withdraw(ctx context.Context, w AddressWithdrawal) (found []invites.AddressInvitation, err error) {
	if err := s.Judge.Reach.Member(ctx, w.Room, w.Actor); err != nil {
		return nil, err
	}
	open, _, err := s.Store.Addresses(ctx, w.Room, maxAddresses)
	if err != nil {
		return nil, err
	}
	for _, named := range w.Named {
		fit, err := fitting(open, named)
		if err != nil {
			return nil, err
		}
		found = append(found, fit...)
	}
	performer, err := s.performer(ctx, w)
	if err == nil && slices.ContainsFunc(found, func(a invites.AddressInvitation) bool { return a.Sender != w.Actor }) {
		err = s.Judge.Reach.MayKick(ctx, w.Room, w.Actor)
	}
	if err != nil || w.DryRun {
		return found, err
	}
	for _, a := range found {
		if err := s.withdraw(ctx, w, performer, a); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// performer chooses the sender of the events, by the current state.
func (s *Addresses) performer(ctx context.Context, w AddressWithdrawal) (id.UserID, error) {
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}, room.MemberKey(w.Actor), room.MemberKey(s.Self.Bot)}
	snap, err := s.Homeserver.Snapshot(ctx, w.Room, w.Actor, needs, true)
	if err != nil {
		return "", err
	}
	may, can := snap.CanSend(w.Actor, room.TypeThirdParty, true), snap.CanSend(s.Self.Bot, room.TypeThirdParty, true)
	switch {
	case may.Verdict == room.Unknown || can.Verdict == room.Unknown:
		return "", fmt.Errorf("reading who may withdraw the invitation of an address: state unknown")
	case may.Verdict != room.Allow:
		return "", &AddressError{Code: CodeAddressPower, Phrase: room.Say("uninvite.power", "needed", may.Evidence.Needed, "had", may.Evidence.Had)}
	case s.Self.MayAssert(w.Actor) && !w.AsBot:
		return w.Actor, nil
	case can.Verdict != room.Allow:
		return "", &AddressError{Code: CodeAddressPerformer, Phrase: room.Say("uninvite.performer", "needed", can.Evidence.Needed)}
	}
	return s.Self.Bot, nil
}

// withdraw empties the event of one invitation, so that nobody can take it up.
func (s *Addresses) withdraw(ctx context.Context, w AddressWithdrawal, by id.UserID, a invites.AddressInvitation) error {
	event, err := s.Homeserver.SendState(ctx, w.Room, by, room.Key{Type: room.TypeThirdParty, StateKey: a.Token}, json.RawMessage("{}"))
	if invites.Refused(err) {
		return &AddressError{Code: CodeAddressHomeserver, Phrase: room.Say("edit.server", "errcode", invites.Errcode(err)).Holding(judge.Meaning(err)...)}
	}
	if err != nil {
		return fmt.Errorf("withdrawing the invitation of an address: %w", err)
	}
	_, err = s.Store.Record(ctx, nil, []invites.Audit{{
		At: s.Clock.Now(), Kind: invites.AuditEffect, Action: ActionWithdrawAddress, Room: w.Room, Actor: w.Actor, Performer: by,
		Verdict: string(invites.StatusDone), Code: codeAddressGone, Policy: event, Request: string(w.Command),
	}})
	return err
}

// fitting returns the open invitations named by a text: those of the name, or the one of the address.
func fitting(open []invites.AddressInvitation, named string) (fit []invites.AddressInvitation, err error) {
	for _, a := range open {
		if strings.EqualFold(a.Name, named) {
			fit = append(fit, a)
		}
	}
	if len(fit) > 0 {
		return fit, nil
	}
	for _, a := range open {
		if shortens(a.Name, named) {
			fit = append(fit, a)
		}
	}
	switch len(fit) {
	case 0:
		return nil, &AddressError{Code: CodeAddressUnknown, Named: named, Phrase: room.Say("uninvite.no_address", "address", named)}
	case 1:
		return fit, nil
	}
	return nil, &AddressError{Code: CodeAddressSeveral, Phrase: room.Say("uninvite.several", "address", named, "n", len(fit))}
}

// shortens reports whether a name is an address with its parts shortened, as identity servers do it: "a...@e..." is ann@example.org.
func shortens(name, address string) bool {
	local, server, is := strings.Cut(strings.ToLower(name), "@")
	of, at, whole := strings.Cut(strings.ToLower(address), "@")
	return is && whole && begins(local, of) && begins(server, at)
}

// begins reports whether a text is a whole, or its beginning with an ellipsis.
func begins(text, whole string) bool {
	for _, ellipsis := range []string{"...", "…"} {
		if start, cut := strings.CutSuffix(text, ellipsis); cut {
			return strings.HasPrefix(whole, start)
		}
	}
	return text == whole
}
