package cards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/delivery"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the cards. Its methods return ErrNotFound for a missing card.
type Store interface {
	// OpenCard adds a card, with the next number of its room, unless its question has one already, and returns
	// it as stored.
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
	// CardOf returns the card of a question.
	CardOf(ctx context.Context, command id.EventID, action room.ActionType, r id.RoomID, target id.UserID) (invites.Card, error)
	// CardNumbered returns a card by its room and its number there.
	CardNumbered(ctx context.Context, shownIn id.RoomID, number int64) (invites.Card, error)
	// OpenCards returns open cards, by ID.
	OpenCards(ctx context.Context, q invites.CardQuery) ([]invites.Card, error)
	// CountCards counts open cards.
	CountCards(ctx context.Context, q invites.CardQuery) (int, error)
	// CastVote counts a vote on an open card; it replaces an earlier one by the same voter. False: the card is closed.
	CastVote(ctx context.Context, card int64, v invites.Vote) (bool, error)
	// WithdrawVote takes a vote back, if the voter has not voted otherwise since.
	WithdrawVote(ctx context.Context, card int64, vote id.EventID) error
	// Votes returns the votes on a card, in the order of voting.
	Votes(ctx context.Context, card int64) ([]invites.Vote, error)
	// CloseCard ends a card. False: it was closed before, and nothing was changed.
	CloseCard(ctx context.Context, c invites.Closing) (bool, error)
	// Received returns an event of the inbox, or ErrNotFound.
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
	// ChangesOf returns the rows of one request, by ID.
	ChangesOf(ctx context.Context, request string) ([]invites.Change, error)
}

// Homeserver shows state. All errors but ErrNoView and context errors are *ActError.
type Homeserver interface {
	// Snapshot returns the known state of a room, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Redacted tells whether an event has been redacted, by the homeserver's record, read as in Snapshot.
	Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error)
}

// Cards keeps the cards. All fields but Servers are required.
type Cards struct {
	Store      Store
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Delivery   *delivery.Delivery
	Confirmed  Confirmed
	Limits     Limits
	Servers    Servers // nil: there are no cards about servers
}

// Limits are the operator's limits of invitations.
type Limits interface {
	// Spend counts one invitation, or returns the decision of the limit that is reached. The result takes the count back.
	Spend(actor, target id.UserID) (no *policy.Decision, giveBack func())
}

// Servers carries out what people decided about a server.
type Servers interface {
	// Decided does what a closed card says. A second call changes nothing.
	Decided(ctx context.Context, c invites.Card) error
}

// Confirmed carries out confirmed commands, and withdrawals and changes of state that somebody agreed to.
type Confirmed interface {
	// Confirmed does the work of a confirmed command as its card has it. A second call goes on where the first one ended. The row tells of
	// work without rows of its own; else it is zero.
	Confirmed(ctx context.Context, c invites.Card) (invites.Change, error)
}

// rules returns the policy in force for a room; nil where it can't be seen.
func rules(ctx context.Context, s *Cards, r id.RoomID, viewer id.UserID) (*policy.InForce, error) {
	p, err := s.Judge.Policies.Of(ctx, r, viewer)
	switch {
	case errors.Is(err, invites.ErrNoView):
		return nil, nil
	case err == nil && p == nil:
		return nil, invites.ErrKept
	}
	return p, err
}

// Open makes a card for each waiting row without one. The rows are committed already: called again after a crash, it makes the
// missing cards.
func (s *Cards) Open(ctx context.Context, rows []invites.Change) error {
	var rule *policy.InForce
	for _, row := range rows {
		if row.Status != invites.StatusWaiting {
			continue
		}
		if rule == nil {
			var err error
			if rule, err = rules(ctx, s, row.Room, row.Actor); err != nil {
				return err
			}
			if rule == nil {
				return fmt.Errorf("the policy of %s can't be read", row.Room)
			}
		}
		if err := s.openCard(ctx, row, rule); err != nil {
			return err
		}
	}
	return nil
}

// openCard makes the card of a row. In a room which the policy may not name, the card can only be cancelled.
func (s *Cards) openCard(ctx context.Context, row invites.Change, rule *policy.InForce) error {
	a, now := rule.Document.Approval, s.Clock.Now()
	card := invites.Card{
		Kind: invites.CardApproval, Room: row.Room, ShownIn: cmp.Or(a.Room, row.Room), Command: id.EventID(row.Request), Home: row.CommandRoom,
		Action: row.Action, Actor: row.Actor, Target: row.Target, Performer: row.Performer, Reason: row.Reason, Policy: rule.Event(),
		Votes: max(a.Votes, 1), Level: a.Level, CreatedAt: now, State: invites.CardOpen,
	}
	if row.Code == invites.CodeLinkApproval {
		card.Code = row.Code
	}
	if card.ShownIn != row.Room {
		var err error
		if card.ShownIn, err = s.Judge.Reach.Current(ctx, card.ShownIn); err != nil {
			return err
		}
	}
	within, err := s.Judge.Reach.Reaches(ctx, row.Room, card.ShownIn, rule, "approval.room", true)
	if err != nil {
		return err
	}
	if !within {
		card.ShownIn, card.Code = row.Room, invites.CodeNoRoom
	}
	if a.Expires > 0 {
		card.ExpiresAt = now.Add(a.Expires)
	}
	if _, err := s.Store.OpenCard(ctx, card); err != nil {
		return fmt.Errorf("opening a card: %w", err)
	}
	return nil
}

// Accepted implements delivery.Approvals.
func (s *Cards) Accepted(ctx context.Context, row invites.Change, action room.ActionType) (bool, error) {
	card, err := s.Store.CardOf(ctx, id.EventID(row.Request), action, row.Room, row.Target)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	return err == nil && card.State == invites.CardAccepted, err
}

// Withdraw implements delivery.Approvals.
func (s *Cards) Withdraw(ctx context.Context, row invites.Change) error {
	card, err := s.Store.CardOf(ctx, id.EventID(row.Request), row.Action, row.Room, row.Target)
	if err == nil && card.State == invites.CardOpen {
		_, err = s.Cancel(ctx, card, invites.CodeUnsent)
	}
	return invites.UnlessNone(err)
}

// row returns the row of a card: the one in question, or the one made by its outcome; ErrNotFound where there is none (yet).
func (s *Cards) row(ctx context.Context, c invites.Card) (invites.Change, error) {
	rows, err := s.Store.ChangesOf(ctx, string(c.Command))
	for _, row := range rows {
		if row.Room == c.Room && row.Target == c.Target && row.Action != room.Join {
			return row, nil
		}
	}
	if err == nil {
		err = invites.ErrNotFound
	}
	return invites.Change{}, err
}

// CarryOut does the work after a closed card, as far as possible at once, and returns the row after it. The row is zero if the card
// leads to none, or is about several targets.
func (s *Cards) CarryOut(ctx context.Context, c invites.Card) (invites.Change, error) {
	if c.Kind == invites.CardConfirm || c.Kind == invites.CardWithdraw || c.Kind == invites.CardMove {
		if c.State != invites.CardAccepted {
			return invites.Change{}, nil
		}
		full, err := s.Store.CardOf(ctx, c.Command, c.Action, c.Room, c.Target)
		if err != nil {
			return invites.Change{}, err
		}
		return s.Confirmed.Confirmed(ctx, full)
	}
	if c.Kind == invites.CardServer {
		if s.Servers == nil {
			return invites.Change{}, nil
		}
		return invites.Change{}, s.Servers.Decided(ctx, c)
	}
	row, err := s.row(ctx, c)
	if errors.Is(err, invites.ErrNotFound) {
		return invites.Change{}, nil
	}
	if err != nil || row.Status != invites.StatusOpen || row.DueAt.After(s.Clock.Now()) {
		return row, err
	}
	if err := s.Delivery.Now(ctx, []*invites.Change{&row}, nil); err != nil {
		return row, err
	}
	return s.row(ctx, c)
}

// close ends a card and commits its consequences. It returns the card after it, whoever closed it.
func (s *Cards) close(ctx context.Context, c invites.Card, end invites.Closing) (invites.Card, error) {
	end.Card, end.At = c.ID, s.Clock.Now()
	switch c.Kind {
	case invites.CardKnock:
		end.Row = s.admission(c, end)
	case invites.CardApproval:
		row, err := s.row(ctx, c)
		if err != nil {
			return c, err
		}
		settleWaiting(&row, c, end)
		end.Row = &row
	}
	verdict := room.Deny
	if end.State == invites.CardAccepted {
		verdict = room.Allow
	}
	code := end.Code
	if code == "" {
		code = string(c.Kind) + "." + string(end.State)
	}
	end.Audit = append(end.Audit, invites.Audit{
		At: end.At, Kind: invites.AuditVote, Action: c.Action, Room: c.Room, Actor: end.By, Performer: c.Performer, Target: c.Target,
		Verdict: verdict.String(), Code: code, Policy: c.Policy, Request: string(c.Command),
	})
	if _, err := s.Store.CloseCard(ctx, end); err != nil {
		return c, fmt.Errorf("closing a card: %w", err)
	}
	return s.Store.CardOf(ctx, c.Command, c.Action, c.Room, c.Target)
}

// settleWaiting settles a waiting row by its closed card, or opens it.
func settleWaiting(row *invites.Change, c invites.Card, end invites.Closing) {
	row.Code, row.Detail, row.SettledAt, row.DueAt = end.Code, room.Phrase{}, end.At, end.At
	switch end.State {
	case invites.CardAccepted:
		row.Status, row.SettledAt, row.CreatedAt = invites.StatusOpen, time.Time{}, end.At // from now on it may be given up as too old
	case invites.CardCancelled:
		row.Status, row.Detail = invites.StatusCancelled, Gone(end.Code, c.Target)
		if end.Code == invites.CodeNoRoom || end.Code == string(room.RuleInviteTargetBanned) {
			row.Status = invites.StatusRefused
		}
	case invites.CardExpired:
		row.Status, row.Code, row.Detail = invites.StatusRefused, invites.CodeExpired, room.Say("detail.expired")
	default:
		row.Status, row.Code = invites.StatusRefused, invites.CodeDenied
		row.Detail = room.Say("detail.declined", "by", end.By)
		if c.Votes > 1 {
			row.Detail = room.Say("detail.declined.many")
		}
		if end.Answer != "" {
			row.Detail = room.Sentences(row.Detail, room.Say("detail.answer", "answer", end.Answer))
		}
	}
}

// Gone says why a question about a user is not asked any more.
func Gone(code string, target id.UserID) (p room.Phrase) {
	switch code {
	case string(room.RuleInviteTargetBanned):
		p = room.Say("why.invite.target_banned", "target", target)
	case invites.CodeRedacted:
		p = room.Say("detail.redacted")
	case invites.CodeUnsent:
		p = room.Say("detail.unsent")
	case invites.CodeRemoved:
		p = room.Say("detail.removed")
	case invites.CodeAskerLeft:
		p = room.Say("detail.asker_left")
	case invites.CodeNoRoom:
		p = room.Say("detail.no_room")
	case invites.CodeKnockGone:
		p = room.Say("detail.knock_gone")
	case invites.CodeReplaced:
		p = room.Say("detail.replaced")
	}
	return p
}

// Cancel closes a card because its question is gone.
func (s *Cards) Cancel(ctx context.Context, c invites.Card, code string) (invites.Card, error) {
	return s.close(ctx, c, invites.Closing{State: invites.CardCancelled, Code: code})
}

// Review looks whether an open card's question still stands, and closes the card where it does not. With thorough, the homeserver is asked
// whether the card or the command was redacted, which it may not have told.
func (s *Cards) Review(ctx context.Context, c invites.Card, thorough bool) (invites.Card, error) {
	if c.State != invites.CardOpen {
		return c, nil
	}
	if !c.ExpiresAt.IsZero() && !s.Clock.Now().Before(c.ExpiresAt) {
		return s.close(ctx, c, invites.Closing{State: invites.CardExpired})
	}
	code, err := s.moot(ctx, c, thorough)
	if err != nil || code == "" {
		return c, err
	}
	return s.Cancel(ctx, c, code)
}

// moot tells why a card's question does not stand any more; empty: it does.
func (s *Cards) moot(ctx context.Context, c invites.Card, thorough bool) (code string, err error) {
	ev, err := s.Store.Received(ctx, c.Command)
	switch {
	case err == nil && ev.Redacted && c.Kind != invites.CardKnock:
		return invites.CodeRedacted, nil
	case err != nil && !errors.Is(err, invites.ErrNotFound):
		return "", err
	}
	keys := []room.Key{room.MemberKey(c.Actor)}
	if c.Kind == invites.CardApproval {
		keys = append(keys, room.MemberKey(c.Target))
	}
	snap, err := s.Homeserver.Snapshot(ctx, c.Room, s.Self.Bot, keys, false)
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return "", err
	}
	if err == nil {
		membership, known := snap.Membership(c.Actor)
		switch {
		case known && c.Kind == invites.CardKnock && membership != "knock":
			return invites.CodeKnockGone, nil
		case known && c.Kind != invites.CardKnock && membership != "join":
			return invites.CodeAskerLeft, nil
		}
		if target, known := snap.Membership(c.Target); known && c.Kind == invites.CardApproval && target == "ban" {
			return string(room.RuleInviteTargetBanned), nil
		}
	}
	if !thorough {
		return "", nil
	}
	if (c.Kind == invites.CardApproval || c.Kind == invites.CardConfirm) && c.Commanded() {
		if gone, err := s.redacted(ctx, c.Home, c.Command); err != nil || gone {
			return invites.CodeRedacted, err
		}
	}
	if c.Event != "" {
		if gone, err := s.redacted(ctx, c.ShownIn, c.Event); err != nil || gone {
			return invites.CodeRemoved, err
		}
	}
	return "", nil
}

// redacted asks the homeserver whether an event was redacted, since not every homeserver tells application services. It reads as the bot:
// the sender of the event is not the voting user. An event out of sight does not count as redacted.
func (s *Cards) redacted(ctx context.Context, r id.RoomID, event id.EventID) (bool, error) {
	is, err := s.Homeserver.Redacted(ctx, r, s.Self.Bot, event)
	if invites.Unseen(err) {
		return false, nil
	}
	return is, err
}
