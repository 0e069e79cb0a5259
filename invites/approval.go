package invites

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Reason codes of cards that were closed, and of the invitations that waited for them.
const (
	CodeDenied    = "approval.denied"       // those who decide said no
	CodeExpired   = "approval.expired"      // nobody decided in time
	CodeRemoved   = "approval.removed"      // the card was redacted
	CodeAskerLeft = "approval.asker_left"   // who asked has left the room
	CodeNoRoom    = "approval.no_room"      // the card can't be shown where the policy wants it
	CodeAsked     = "approval.asked"        // somebody else's card asks the same
	CodeTooMany   = "approval.too_many"     // more than one command may ask for
	CodeKnockGone = "knock.gone"            // who knocked does not knock any more
	CodeBreaker   = "policy.knocks.breaker" // knocks come too fast to let anybody in unseen
)

// rules returns the policy that governs a room; nil where it can't be seen.
func (s *Service) rules(ctx context.Context, r id.RoomID, viewer id.UserID) (*policy.InForce, error) {
	p, err := s.Policy(ctx, r, viewer)
	if errors.Is(err, ErrNoView) {
		return nil, nil
	}
	return p, err
}

// openCards makes sure that each row that waits has its card. The rows are committed already: run again after a crash,
// it makes what is missing.
func (s *Service) openCards(ctx context.Context, rows []Change) error {
	var rule *policy.InForce
	for _, row := range rows {
		if row.Status != StatusWaiting {
			continue
		}
		if rule == nil {
			var err error
			if rule, err = s.rules(ctx, row.Room, row.Actor); err != nil {
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

// openCard makes the card of a row, or of a room that the policy may not name, one that can only be cancelled.
func (s *Service) openCard(ctx context.Context, row Change, rule *policy.InForce) error {
	a, now := rule.Document.Approval, s.Clock.Now()
	card := Card{
		Kind: CardApproval, Room: row.Room, ShownIn: cmp.Or(a.Room, row.Room), Command: row.Command, Home: row.CommandRoom,
		Action: row.Action, Actor: row.Actor, Target: row.Target, Performer: row.Performer, Reason: row.Reason, Policy: rule.Event(),
		Votes: max(a.Votes, 1), Level: a.Level, CreatedAt: now, State: CardOpen,
	}
	within, err := s.reaches(ctx, row.Room, card.ShownIn, true)
	if err != nil {
		return err
	}
	if !within {
		card.ShownIn, card.Code = row.Room, CodeNoRoom
	}
	if a.Expires > 0 {
		card.ExpiresAt = now.Add(a.Expires)
	}
	if _, err := s.Store.OpenCard(ctx, card); err != nil {
		return fmt.Errorf("opening a card: %w", err)
	}
	return nil
}

// decideAgain decides on a row as the world is now. Approval is the last thing that a decision looks at, so that whether it
// was given is looked for only where nothing else stands in the way.
func (s *Service) decideAgain(ctx context.Context, inv Change, q policy.Question) (policy.Decision, error) {
	f := policy.Facts{Paid: true}
	if inv.Actor == s.Self.Bot {
		knocked, err := s.accepted(ctx, inv, room.Knock)
		if f.Itself = knocked; err != nil {
			return policy.Decision{}, err
		}
	}
	j, err := s.decide(ctx, inv.Room, q, f, nil)
	if err != nil || j.Decision.Code != policy.CodeApproval {
		return j.Decision, err
	}
	if f.Approved, err = s.approved(ctx, inv); err != nil || !f.Approved {
		return j.Decision, err
	}
	j, err = s.decide(ctx, inv.Room, q, f, nil)
	return j.Decision, err
}

// approved tells whether people have accepted what a row is to do.
func (s *Service) approved(ctx context.Context, inv Change) (bool, error) {
	for _, action := range []room.ActionType{inv.Action, room.Knock} { // asked for, or knocked for
		if accepted, err := s.accepted(ctx, inv, action); accepted || err != nil {
			return accepted, err
		}
	}
	return false, nil
}

// accepted tells whether a row's card of one kind was.
func (s *Service) accepted(ctx context.Context, inv Change, action room.ActionType) (bool, error) {
	card, err := s.Store.CardOf(ctx, inv.Command, action, inv.Room, inv.Target)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && card.State == CardAccepted, err
}

// row returns the invitation that a card is about, or that came of it; ErrNotFound where there is none (yet).
func (s *Service) row(ctx context.Context, c Card) (Change, error) {
	rows, err := s.Store.Invitations(ctx, c.Command)
	for _, row := range rows {
		if row.Room == c.Room && row.Target == c.Target && row.Action != room.Join {
			return row, nil
		}
	}
	if err == nil {
		err = ErrNotFound
	}
	return Change{}, err
}

// CarryOut does what a closed card leads to, as far as it can be done at once, and returns the row as it is then. A zero row
// says that nothing came of it. Again after a crash, it takes up where it was.
func (s *Service) CarryOut(ctx context.Context, c Card) (Change, error) {
	row, err := s.row(ctx, c)
	if errors.Is(err, ErrNotFound) {
		return Change{}, nil
	}
	if err != nil || row.Status != StatusOpen || row.DueAt.After(s.Clock.Now()) {
		return row, err
	}
	if err := s.deliverNow(ctx, []*Change{&row}, nil); err != nil {
		return row, err
	}
	return s.row(ctx, c)
}

// close ends a card and commits what follows from it. It returns the card as it is then, whoever closed it.
func (s *Service) close(ctx context.Context, c Card, end Closing) (Card, error) {
	end.Card, end.At = c.ID, s.Clock.Now()
	if c.Kind == CardKnock {
		end.Row = s.admission(c, end)
	} else {
		row, err := s.row(ctx, c)
		if err != nil {
			return c, err
		}
		settleWaiting(&row, c, end)
		end.Row = &row
	}
	verdict := room.Deny
	if end.State == CardAccepted {
		verdict = room.Allow
	}
	code := end.Code
	if code == "" {
		code = string(c.Kind) + "." + string(end.State)
	}
	end.Audit = append(end.Audit, Audit{
		At: end.At, Kind: AuditVote, Action: c.Action, Room: c.Room, Actor: end.By, Performer: c.Performer, Target: c.Target,
		Verdict: verdict.String(), Code: code, Policy: c.Policy, Command: c.Command,
	})
	if _, err := s.Store.CloseCard(ctx, end); err != nil {
		return c, fmt.Errorf("closing a card: %w", err)
	}
	return s.Store.CardOf(ctx, c.Command, c.Action, c.Room, c.Target)
}

// settleWaiting makes of a row that waited what a closed card makes of it.
func settleWaiting(row *Change, c Card, end Closing) {
	row.Code, row.Detail, row.SettledAt, row.DueAt = end.Code, "", end.At, end.At
	switch end.State {
	case CardAccepted:
		row.Status, row.SettledAt, row.CreatedAt = StatusOpen, time.Time{}, end.At // from now on it may be given up as too old
	case CardCancelled:
		row.Status, row.Detail = StatusCancelled, Gone(end.Code)
		if end.Code == CodeNoRoom {
			row.Status = StatusRefused
		}
	case CardExpired:
		row.Status, row.Code, row.Detail = StatusRefused, CodeExpired, "Nobody decided in time."
	default:
		row.Status, row.Code = StatusRefused, CodeDenied
		row.Detail = string(end.By) + " declined."
		if c.Votes > 1 {
			row.Detail = "Those who decide declined."
		}
		if end.Answer != "" {
			row.Detail = row.Detail + " Reason: " + end.Answer
		}
	}
}

// Gone words why a question is not asked any more.
func Gone(code string) string {
	switch code {
	case CodeRedacted:
		return "The command was taken back."
	case CodeRemoved:
		return "The request for approval was removed."
	case CodeAskerLeft:
		return "Whoever asked for it has left the room."
	case CodeNoRoom:
		return "This needs approval, but in the room where the policy wants it asked for I may not speak, or nobody is who may write the policy."
	case CodeKnockGone:
		return "They are not knocking any more."
	}
	return ""
}

// Cancel closes a card because its question is gone.
func (s *Service) Cancel(ctx context.Context, c Card, code string) (Card, error) {
	return s.close(ctx, c, Closing{State: CardCancelled, Code: code})
}

// Review looks whether an open card's question still stands, and closes it where it does not. thorough asks the homeserver
// for what nothing may have told of: a card or command redacted.
func (s *Service) Review(ctx context.Context, c Card, thorough bool) (Card, error) {
	if c.State != CardOpen {
		return c, nil
	}
	if !c.ExpiresAt.IsZero() && !s.Clock.Now().Before(c.ExpiresAt) {
		return s.close(ctx, c, Closing{State: CardExpired})
	}
	code, err := s.moot(ctx, c, thorough)
	if err != nil || code == "" {
		return c, err
	}
	return s.Cancel(ctx, c, code)
}

// moot tells why a card's question does not stand any more; empty: it does.
func (s *Service) moot(ctx context.Context, c Card, thorough bool) (code string, err error) {
	ev, err := s.Store.Received(ctx, c.Command)
	switch {
	case err == nil && ev.Redacted && c.Kind == CardApproval:
		return CodeRedacted, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return "", err
	}
	key := room.MemberKey(c.Actor)
	snap, err := s.Homeserver.Snapshot(ctx, c.Room, s.Self.Bot, []room.Key{key}, false)
	if err != nil && !errors.Is(err, ErrNoView) {
		return "", err
	}
	if err == nil {
		membership, known := snap.Membership(c.Actor)
		switch {
		case known && c.Kind == CardKnock && membership != "knock":
			return CodeKnockGone, nil
		case known && c.Kind == CardApproval && membership != "join":
			return CodeAskerLeft, nil
		}
	}
	if !thorough {
		return "", nil
	}
	if c.Kind == CardApproval {
		if gone, err := s.redacted(ctx, c.Home, c.Command); err != nil || gone {
			return CodeRedacted, err
		}
	}
	if c.Event != "" {
		if gone, err := s.redacted(ctx, c.ShownIn, c.Event); err != nil || gone {
			return CodeRemoved, err
		}
	}
	return "", nil
}

// redacted asks the homeserver whether an event was redacted. Not every homeserver tells application services of redactions.
// It reads as the bot, since whoever sent the event is not whose vote is served. What can't be seen is not taken for redacted.
func (s *Service) redacted(ctx context.Context, r id.RoomID, event id.EventID) (bool, error) {
	is, err := s.Homeserver.Redacted(ctx, r, s.Self.Bot, event)
	if Unseen(err) {
		return false, nil
	}
	return is, err
}
