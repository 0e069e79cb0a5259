package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/events"
	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// RoomStore is the part of the store for spaces and invitations seen in rooms.
type RoomStore interface {
	SpaceChildren(ctx context.Context) ([]invites.SpaceChild, error)
	SaveSpaceChildren(ctx context.Context, links []invites.SpaceChild) error
	DeleteSpaceChild(ctx context.Context, child, space id.RoomID) error
	// Complete brings the open invitations of a room into line with its state.
	Complete(ctx context.Context, r id.RoomID, invited []invites.MemberEvent, asked time.Time) error
	// EachPending calls found for every open invitation.
	EachPending(ctx context.Context, found func(id.RoomID, id.UserID)) error
	// Reminded marks invitations as reminded of.
	Reminded(ctx context.Context, invitations ...int64) error
	// ForgetExpiries has the rules of expiry of all rooms read anew.
	ForgetExpiries(ctx context.Context) error
	// PendingOf returns the open invitation of a user in a room, or invites.ErrNotFound.
	PendingOf(ctx context.Context, r id.RoomID, target id.UserID) (invites.Invitation, error)
	// UnsentOf returns the invitations of some users in a room that wait to be sent.
	UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) ([]invites.Change, error)
	// Receive adds events to the inbox and returns those that are new, with Seq set.
	Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error)
	// EndAddresses ends the open invitations of addresses in a room that the bot has left.
	EndAddresses(ctx context.Context, r id.RoomID, at time.Time) error
}

// SpaceCache knows which spaces claim a room as their child.
type SpaceCache interface {
	Spaces(r id.RoomID) []id.RoomID
	Link(links []invites.SpaceChild) (fresh []invites.SpaceChild)
	// Unlink forgets a link, or all links of a room for an empty space.
	Unlink(child, space id.RoomID)
	// Governs reports whether a room was last seen to inherit a policy from a space.
	Governs(child, space id.RoomID) bool
	// UnsavedLinks returns the links by which rooms inherit, or do not any more; SavedLinks notes that they are in the store.
	UnsavedLinks() []invites.SpaceChild
	SavedLinks(links []invites.SpaceChild)
	// Names reports whether a room of the bot names a space as its own.
	Names(ctx context.Context, r, space id.RoomID) (bool, error)
}

// Invitees reads the open invitations of a room, and the spaces that it names, from its state.
type Invitees interface {
	InvitedMembers(ctx context.Context, r id.RoomID, now time.Time) ([]invites.MemberEvent, error)
	// Parents returns the links of a room to the spaces that it names.
	Parents(ctx context.Context, r id.RoomID) ([]invites.SpaceChild, error)
}

// Pending is the intake's index of open invitations, by which it finds the member events at their end.
type Pending interface {
	Add(r id.RoomID, user id.UserID)
}

// Guard keeps rooms as their policies say.
type Guard interface {
	Load(ctx context.Context) error
	Watches(r id.RoomID) bool
	Handle(ctx context.Context, ev invites.Received) error
	// Refresh reads the policy of a room anew, and starts or ends its guard.
	Refresh(ctx context.Context, r id.RoomID) error
	// RefreshBelow refreshes all rooms that may inherit from a room.
	RefreshBelow(ctx context.Context, r id.RoomID) error
}

// Expiries are the use cases of unanswered invitations.
type Expiries interface {
	// Expire records the withdrawal of overdue invitations. It returns the rows to wake, and the invitations to remind of.
	Expire(ctx context.Context) (due []int64, remind []invites.Invitation, err error)
	// Rule returns the rule of expiry of a room.
	Rule(ctx context.Context, r id.RoomID) (invites.ExpiryRule, error)
}

// Rooms follows the state of rooms: policies, spaces, the guard, and the ledger of invitations.
type Rooms struct {
	store    RoomStore
	spaces   SpaceCache
	invitees Invitees
	pending  Pending
	guard    Guard
	expiries Expiries
	queue    invites.Queue
	runner   *commands.Runner
	sender   *Sender
	feed     *Feed
	reviews  *Reviews
	moves    MoveCases
	log      zerolog.Logger

	expiriesChanged atomic.Bool // in some room, since the last sweep
}

// banned has the invitations of banned users that wait to be sent tried at once: the try decides anew, and ends them.
func (r *Rooms) banned(ctx context.Context, in id.RoomID, users []id.UserID) error {
	unsent, err := r.store.UnsentOf(ctx, in, users...)
	if err != nil {
		return err
	}
	var rows []int64
	for _, row := range unsent {
		if row.Status == invites.StatusOpen {
			rows = append(rows, row.ID)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return r.queue.Wake(ctx, time.Now(), rows...)
}

// Load reads the memory of the cache, the intake and the guard from the store.
func (r *Rooms) Load(ctx context.Context) error {
	links, err := r.store.SpaceChildren(ctx)
	r.spaces.Link(links)
	return errors.Join(err, r.store.EachPending(ctx, r.pending.Add), r.guard.Load(ctx))
}

// Changed invalidates the caches in chat after a change of a room's state.
func (r *Rooms) Changed(in id.RoomID, k room.Key) {
	caches := events.Invalidated(k)
	if caches&events.Rules != 0 {
		r.expiriesChanged.Store(true) // in any room: spaces pass their rules on
	}
	if caches&events.Lists != 0 && r.reviews.cases.Lists(in) {
		r.expiriesChanged.Store(true)
	}
	if caches&events.Power != 0 {
		r.runner.Advertiser.Look(in)
	}
}

// Invalidate drops what the caches in chat hold of a room, or of every room for an empty id.
func (r *Rooms) Invalidate(in id.RoomID) {
	r.expiriesChanged.Store(true)
	if in != "" {
		r.runner.Advertiser.Look(in)
	}
}

// relink brings a link of a room to a space into line with the room's own word. The claim of the space is asked for by decisions.
func (r *Rooms) relink(ctx context.Context, child, space id.RoomID) error {
	names, err := r.spaces.Names(ctx, child, space)
	if err != nil {
		return err
	}
	if names {
		return r.linked(ctx, []invites.SpaceChild{{Space: space, Child: child}})
	}
	r.spaces.Unlink(child, space)
	return r.store.DeleteSpaceChild(ctx, child, space)
}

// linked keeps links of rooms to spaces, as many as the cache takes.
func (r *Rooms) linked(ctx context.Context, links []invites.SpaceChild) error {
	fresh := r.spaces.Link(links)
	if len(fresh) == 0 {
		return nil
	}
	if err := r.store.SaveSpaceChildren(ctx, fresh); err != nil {
		for _, link := range fresh {
			r.spaces.Unlink(link.Child, link.Space)
		}
		return err
	}
	return nil
}

// dropStrangers forgets links that rooms do not confirm: earlier versions kept the claims of any space.
func (r *Rooms) dropStrangers(ctx context.Context) {
	links, err := r.store.SpaceChildren(ctx)
	for _, link := range links {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = r.relink(ctx, link.Child, link.Space)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn().Err(err).Msg("Links to spaces not checked")
	}
}

// claimed reports whether a room names a space: then the room's power levels decide about its inheritance.
func (r *Rooms) claimed(in id.RoomID) bool { return len(r.spaces.Spaces(in)) > 0 }

// joined completes the ledger of a newly joined room, learns its spaces, and starts its guard.
func (r *Rooms) joined(ctx context.Context, in id.RoomID) error {
	links, err := r.invitees.Parents(ctx, in)
	if err == nil {
		err = r.linked(ctx, links)
	}
	if invites.UnlessRefused(err) != nil {
		return fmt.Errorf("reading the spaces of a room: %w", err)
	}
	return errors.Join(r.completeLedger(ctx, in), r.recheck(ctx, in))
}

// upgraded carries the policy of the room that a room replaces over to it, or tells the room which policy counts until it has one. The rest of the old
// room follows later (Upgrades). cause is the event that led to it.
func (r *Rooms) upgraded(ctx context.Context, cause id.EventID, in id.RoomID) error {
	if err := r.moves.Begin(ctx, in); err != nil {
		return err
	}
	carried, err := r.runner.Policies.CarryOver(ctx, cause, in)
	if err != nil || carried.From == "" {
		return err
	}
	// The same words are said once, whatever leads here again.
	_, err = r.sender.say(ctx, in, transaction(id.EventID(carried.From), "upgraded to "+string(in)), r.runner.Upgraded(carried), commands.Message{}, "")
	return err
}

// governs reports whether the policy of a room counts in the room that replaces it and has none, or a copy of it, so that the bot has to stay.
func (r *Rooms) governs(ctx context.Context, in id.RoomID) (bool, error) {
	j, bot := r.runner.Judge, r.runner.Self.Bot
	next, err := j.Reach.ReplacedBy(ctx, in, bot)
	if err != nil || next == "" {
		return false, err
	}
	p, err := j.Policies.Of(ctx, next, bot)
	if err != nil || p == nil {
		return false, invites.UnlessUnseen(err)
	}
	return slices.ContainsFunc(p.Sources, func(s policy.Source) bool { return s.Carried && s.Room == in || s.Copied == in }), nil
}

// awaitGuests is how long the bot stays alone in a room for people with an open invitation: without anybody there, they could not come.
const awaitGuests = 30 * 24 * time.Hour

// needed reports whether the bot has to stay in a room without anybody else.
func needed(ctx context.Context, r *Rooms, in id.RoomID, now time.Time) (bool, error) {
	found, err := r.invitees.InvitedMembers(ctx, in, now)
	if err != nil {
		return false, invites.UnlessRefused(err)
	}
	for _, m := range found {
		if age := now.Sub(m.SentAt); age < awaitGuests && age > -time.Hour { // dates are their senders' word
			return true, nil
		}
	}
	return r.governs(ctx, in)
}

// left ends the guard of a room after the bot left, and the room's open invitations in the ledger.
func (r *Rooms) left(ctx context.Context, cause id.EventID, in id.RoomID) error {
	if err := r.spaceLost(ctx, cause, in); err != nil {
		return err
	}
	r.spaces.Unlink(in, "")
	if r.reviews.cases.Lists(in) {
		r.expiriesChanged.Store(true) // the rooms that follow the list hear of it
	}
	return errors.Join(r.store.DeleteSpaceChild(ctx, in, ""), r.store.Complete(ctx, in, nil, time.Now()), r.store.EndAddresses(ctx, in, time.Now()), r.recheck(ctx, in))
}

// spaceLost tells the rooms that inherit a policy from a space that the bot is not there any more: the policy is unknown by now, and denies.
func (r *Rooms) spaceLost(ctx context.Context, cause id.EventID, space id.RoomID) error {
	links, err := r.store.SpaceChildren(ctx)
	if err != nil {
		return err
	}
	heirs, err := r.runner.Judge.Policies.Heirs(ctx, space, links)
	if err != nil {
		return err
	}
	for _, heir := range heirs {
		if _, err := r.sender.say(ctx, heir, transaction(cause, "space lost "+string(heir)), r.runner.SpaceLost(space), commands.Message{}, ""); err != nil {
			return err
		}
	}
	return nil
}

// saveLinks keeps the links by which rooms inherit policies. Decisions notice them, and wait for no commit.
func (r *Rooms) saveLinks(ctx context.Context) error {
	links := r.spaces.UnsavedLinks()
	err := r.store.SaveSpaceChildren(ctx, links)
	if err == nil {
		r.spaces.SavedLinks(links)
	}
	return err
}

// policyChanged rechecks the guards of a room whose policy changed. It tells the author of an unreadable policy about the fault, once,
// since an event is handled once.
func (r *Rooms) policyChanged(ctx context.Context, ev invites.Received) error {
	_, err := policy.Parse(exactjson.Find(ev.Raw, "content"))
	var malformed policy.Malformed
	if !errors.As(err, &malformed) {
		links, err := r.store.SpaceChildren(ctx)
		return errors.Join(err, r.recheck(ctx, ev.Room), r.reviews.cards.desks(ctx, ev, links))
	}
	r.log.Warn().Err(err).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("Policy can't be read")
	_, err = r.sender.say(ctx, ev.Room, transaction(ev.Event, "malformed"), r.runner.Malformed(ev.Sender, malformed), commands.Message{}, "")
	return errors.Join(err, r.recheck(ctx, ev.Room))
}
