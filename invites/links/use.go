package links

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// UseStore is the part of the store with the uses of links. A missing link or use is ErrNotFound.
type UseStore interface {
	// LinkByPage returns the link of a page, by the hash of the secret in its address.
	LinkByPage(ctx context.Context, hash string) (invites.Link, error)
	// LinkByCode returns the link of a code for direct chats, by its hash.
	LinkByCode(ctx context.Context, hash string) (invites.Link, error)
	// KnockKeys returns the public keys for the codes of knocks by a link.
	KnockKeys(ctx context.Context, link int64) ([]string, error)
	// TakeLink records the use of a link by a user, or returns the use recorded before; fresh tells which. ErrUsedUp: no use is left.
	TakeLink(ctx context.Context, u invites.LinkUse) (use invites.LinkUse, fresh bool, err error)
	// GiveLinkBack takes a use back: it led to nothing.
	GiveLinkBack(ctx context.Context, u invites.LinkUse) error
	// LinkUseOf returns the use of a link with a ticket.
	LinkUseOf(ctx context.Context, link int64, ticket string) (invites.LinkUse, error)
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
}

// ByPage returns the link of a page, or ErrNotFound.
func (s *Links) ByPage(ctx context.Context, secret Secret) (invites.Link, error) {
	return s.Usage.LinkByPage(ctx, secret.pageHash())
}

// ByCode returns the link of a code for direct chats, or ErrNotFound.
func (s *Links) ByCode(ctx context.Context, code string) (invites.Link, error) {
	return s.Usage.LinkByCode(ctx, hashCode(code))
}

// ByKnock returns the link for whose code in the reason a user knocks at a room, or ErrNotFound.
func (s *Links) ByKnock(ctx context.Context, user id.UserID, r id.RoomID, reason string) (invites.Link, error) {
	k, ok := readKnock(reason)
	if !ok || k.until < s.Clock.Now().Unix() {
		return invites.Link{}, invites.ErrNotFound
	}
	keys, err := s.Usage.KnockKeys(ctx, k.link)
	if err != nil {
		return invites.Link{}, err
	}
	if !k.by(user, keys) {
		return invites.Link{}, invites.ErrNotFound
	}
	l, err := s.Store.Link(ctx, k.link)
	if err == nil && !opens(l, r) {
		err = invites.ErrNotFound
	}
	return l, err
}

// State is whether a link works.
type State struct {
	Code   string      // empty: it works
	Reason room.Phrase // for the maker
	Rooms  []id.RoomID // the rooms into which it works
}

// State tells whether a link works now: for each room the standing of its maker, and the rules of the room's policy.
func (s *Links) State(ctx context.Context, l invites.Link) (State, error) {
	now := s.Clock.Now()
	switch {
	case !l.EndedAt.IsZero():
		return State{Code: invites.CodeLinkRevoked, Reason: room.Say("link.revoked", "by", l.EndedBy)}, nil
	case !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt):
		return State{Code: invites.CodeLinkExpired, Reason: room.Say("link.expired")}, nil
	case l.MaxUses > 0 && l.Used >= l.MaxUses:
		return State{Code: invites.CodeLinkUsedUp, Reason: room.Say("link.used_up")}, nil
	}
	var state State
	for _, r := range l.Rooms {
		j, err := s.standing(ctx, l.Maker, r, s.useOf(l, l.Used))
		if err != nil {
			return State{}, err
		}
		if d := j.Decision; d.Verdict == room.Deny && !aboutTarget(d.Code) {
			state.Code, state.Reason = string(d.Code), j.Explain().Phrase()
			continue
		}
		state.Rooms = append(state.Rooms, r)
	}
	if len(state.Rooms) > 0 {
		state.Code, state.Reason = "", room.Phrase{}
	}
	return state, nil
}

// useOf is a use of a link as the policy sees it.
func (s *Links) useOf(l invites.Link, before int64) policy.LinkUse {
	return policy.LinkUse{Uses: before, Age: s.Clock.Now().Sub(l.CreatedAt)}
}

// standing judges whether a user's link into a room works, by the invitation of nobody in particular.
func (s *Links) standing(ctx context.Context, maker id.UserID, r id.RoomID, use policy.LinkUse) (judge.Judgement, error) {
	q := judge.InviteAnybody(s.Self, maker)
	all, err := s.Judge.Each(ctx, r, []policy.Question{q}, &judge.Reader{Link: &use, Bounded: true})
	if err != nil {
		return judge.Judgement{}, err
	}
	return all[0], nil
}

// aboutTarget reports whether a reason concerns the invited user, or passes with time: then a link goes on working for others.
func aboutTarget(code room.Rule) bool {
	for _, about := range [...]string{"policy.whom.", "policy.quota.", "policy.approval.", "invite.target", "invite.already", "join.already"} {
		if strings.HasPrefix(string(code), about) {
			return true
		}
	}
	return false
}

// Take records the use of a working link by a user, or returns the earlier one. The error is a Refusal where the link does not work, with
// a code of State.
func (s *Links) Take(ctx context.Context, l invites.Link, user id.UserID) (use invites.LinkUse, fresh bool, err error) {
	use, fresh, err = s.Usage.TakeLink(ctx, invites.LinkUse{Link: l.ID, Target: user, Ticket: random(secretBytes), At: s.Clock.Now()})
	if !errors.Is(err, invites.ErrUsedUp) {
		return use, fresh, err
	}
	if l, err = s.Store.Link(ctx, l.ID); err != nil {
		return use, false, err
	}
	state, err := s.State(ctx, l)
	if err == nil && state.Code == "" { // somebody gave a use back this moment
		state.Code = invites.CodeLinkUsedUp
	}
	if err == nil {
		err = Refusal{Code: state.Code, Phrase: state.Reason}
	}
	return use, false, err
}

// GiveBack takes a use back that led to nothing.
func (s *Links) GiveBack(ctx context.Context, u invites.LinkUse) error {
	return s.Usage.GiveLinkBack(ctx, u)
}

// PolicyUse is a use as the policy judges it.
func (s *Links) PolicyUse(l invites.Link, u invites.LinkUse) *policy.LinkUse {
	use := s.useOf(l, u.Number-1)
	return &use
}

// Request is the request of a use for one room: the key of its row.
func Request(u invites.LinkUse, r id.RoomID) string {
	return fmt.Sprintf("%s%d:%d:%s", invites.LinkRequest, u.Link, u.ID, r)
}

// linkOf returns the link of a request.
func linkOf(request string) (link int64, ok bool) {
	var use int64
	n, err := fmt.Sscanf(request, invites.LinkRequest+"%d:%d:", &link, &use)
	return link, err == nil && n == 2
}

// Welcome returns the text for guests of the link whose request led to an invitation, and its maker; an empty text for any other request.
func (s *Links) Welcome(ctx context.Context, request string) (text string, maker id.UserID, err error) {
	link, ok := linkOf(request)
	if !ok {
		return "", "", nil
	}
	l, err := s.Store.Link(ctx, link)
	return l.Welcome, l.Maker, invites.UnlessNone(err)
}

// Wanted implements delivery.Check: a row of a revoked link, or of a room taken from its link, is not carried out.
func (s *Links) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	link, ok := linkOf(row.Request)
	if !ok {
		return invites.CodeLinkUnknown, room.Say("link.unknown"), nil
	}
	l, err := s.Store.Link(ctx, link)
	switch {
	case errors.Is(err, invites.ErrNotFound):
		return invites.CodeLinkUnknown, room.Say("link.unknown"), nil
	case err != nil:
		return "", detail, err
	case !l.EndedAt.IsZero(), !opens(l, row.Room):
		return invites.CodeLinkRevoked, room.Say("link.revoked", "by", l.EndedBy), nil
	}
	return "", detail, nil
}

// Stage is how far somebody has come into a room by a link.
type Stage string

// The stages.
const (
	StageWorking Stage = "working" // the invitation is on its way
	StageWaiting Stage = "waiting" // people decide
	StageInvited Stage = "invited"
	StageJoined  Stage = "joined"
	StageRefused Stage = "refused"
)

// Progress is the stage of a use in one room.
type Progress struct {
	Room  id.RoomID
	Stage Stage
}

// Follow returns a use by its ticket with its stages, or ErrNotFound.
func (s *Links) Follow(ctx context.Context, l invites.Link, ticket string) (invites.LinkUse, []Progress, error) {
	use, err := s.Usage.LinkUseOf(ctx, l.ID, ticket)
	if err != nil {
		return use, nil, err
	}
	var all []Progress
	for _, r := range l.Rooms {
		rows, err := s.Usage.ChangesOf(ctx, Request(use, r))
		if err != nil {
			return use, nil, err
		}
		stage, err := s.stage(ctx, r, use.Target, l.Maker, rows)
		if err != nil {
			return use, nil, err
		}
		if stage != "" {
			all = append(all, Progress{r, stage})
		}
	}
	return use, all, nil
}

// stage is the stage of the rows of a use in one room; empty without a row.
func (s *Links) stage(ctx context.Context, r id.RoomID, target, maker id.UserID, rows []invites.Change) (Stage, error) {
	if len(rows) == 0 {
		return "", nil
	}
	switch rows[0].Status {
	case invites.StatusWaiting:
		return StageWaiting, nil
	case invites.StatusRefused, invites.StatusCancelled:
		return StageRefused, nil
	case invites.StatusOpen:
		return StageWorking, nil
	}
	snap, err := s.Homeserver.Snapshot(ctx, r, maker, []room.Key{room.MemberKey(target)}, false)
	if err != nil {
		return StageInvited, invites.UnlessUnseen(err)
	}
	switch membership, _ := snap.Membership(target); membership {
	case "join":
		return StageJoined, nil
	case "ban":
		return StageRefused, nil
	}
	return StageInvited, nil
}

// KnockFor is how long the code of a knock is good.
const KnockFor = time.Hour
