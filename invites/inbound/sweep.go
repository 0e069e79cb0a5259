package inbound

import (
	"context"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Reason codes of invitations that are declined for their invitees.
const (
	CodeDeclined = "spam.declined" // the sender is blocked by now; for people
	CodeStands   = "spam.stands"   // the sender is not blocked any more, or the invitee has joined or knows the sender
)

// Bounds of declining.
const (
	keepInvited  = 7 * 24 * time.Hour
	sweepEvery   = time.Minute
	sweepEntries = 500 // at a time
	sweepPages   = 20  // of one sweep; the next one goes on from there
	brakeMost    = 20
	brakeWindow  = time.Hour
)

// sweeping is where the sweep of open invitations stands. One sweep runs at a time.
type sweeping struct {
	next   time.Time
	behind invites.InboundEntry
	recent []time.Time // the invitations declined lately
	held   int         // open invitations of blocked senders that the brake keeps
}

// declinePrefix begins the Request of declined invitations, which goes on with the event of the invitation, a space and its sender.
const declinePrefix = "inbound:"

// invitedTo writes the part of an entry after the sender; empty where the invitation can't be told from others.
func invitedTo(target id.UserID, event id.EventID, r id.RoomID) string {
	if len(event) < 2 || event[0] != '$' || len(event) > room.MaxID || len(r) > room.MaxID || strings.ContainsAny(string(event)+string(target), " \x00") {
		return ""
	}
	return string(target) + " " + string(event) + " " + string(r)
}

// readInvited reads what invitedTo wrote.
func readInvited(other string) (target id.UserID, event id.EventID, r id.RoomID) {
	user, rest, _ := strings.Cut(other, " ")
	ev, in, _ := strings.Cut(rest, " ")
	return id.UserID(user), id.EventID(ev), id.RoomID(in)
}

// Sweep reads the operators' rules again, writes refusals to the audit, and declines open invitations whose senders were blocked since, once a
// minute. The state of things decides, not events, so that a sweep that fails delays only.
func (s *Inbound) Sweep(ctx context.Context) error {
	now := s.Clock.Now()
	s.mu.Lock()
	early := now.Before(s.sweeping.next)
	if !early {
		s.sweeping.next = now.Add(sweepEvery)
	}
	s.mu.Unlock()
	if early {
		return nil
	}
	_, err := s.Reload(ctx)
	return errors.Join(err, s.Flush(ctx), s.decline(ctx, now))
}

// hurry has the next call of Sweep sweep: somebody was blocked.
func (s *Inbound) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping.next = time.Time{}
}

// declinable is an open invitation of a sender who is blocked.
type declinable struct {
	entry invites.InboundEntry
	invitation
	event  id.EventID
	code   string
	sure   bool // operators themselves have banned the sender
	allows bool // the brake lets it pass
}

// decline looks through the invitations let through lately.
func (s *Inbound) decline(ctx context.Context, now time.Time) error {
	var found []declinable
	senders := map[string]declinable{}
	for range sweepPages {
		page, err := s.Store.InboundAfter(ctx, invites.InboundInvited, s.sweeping.behind, now, sweepEntries)
		if err != nil {
			return err
		}
		for _, entry := range page {
			one, asked := senders[entry.Who]
			if !asked {
				if one.code, one.sure, err = s.blocked(ctx, id.UserID(entry.Who)); err != nil {
					return err
				}
				senders[entry.Who] = one
			}
			if one.code == "" {
				continue
			}
			one.entry, one.sender = entry, id.UserID(entry.Who)
			one.target, one.event, one.room = readInvited(entry.Other)
			if exempt, err := s.exempt(ctx, one.invitation); err != nil {
				return err
			} else if !exempt {
				found = append(found, one)
			}
		}
		s.sweeping.behind = invites.InboundEntry{}
		if len(page) < sweepEntries {
			break
		}
		s.sweeping.behind = page[len(page)-1]
	}
	return record(ctx, s, brake(s, found, now), now)
}

// blocked reports why a sender may not invite any more. sure says that operators themselves decided it, on their own list.
func (s *Inbound) blocked(ctx context.Context, sender id.UserID) (code string, sure bool, err error) {
	rules := s.InForce()
	hit, err := s.Lists.Bans(ctx, rules.Lists, sender, "")
	if err != nil {
		return "", false, err
	}
	if hit != nil {
		return CodeListed, rules.BanList != "" && hit.List == rules.BanList, nil
	}
	known, err := s.known(ctx, sender, false)
	if err != nil || known {
		return "", false, err
	}
	blocked, err := s.stands(ctx, invites.InboundBlocked, room.CanonicalServer(sender.Homeserver()), "")
	if blocked {
		code = CodeBlocked
	}
	return code, false, err
}

// brake drops the invitations beyond the brake: of more than brakeMost within brakeWindow it lets none pass but those that operators themselves
// have decided on.
func brake(s *Inbound, found []declinable, now time.Time) (passing []declinable) {
	var lately []time.Time
	for _, at := range s.sweeping.recent {
		if at.After(now.Add(-brakeWindow)) {
			lately = append(lately, at)
		}
	}
	unsure := 0
	for _, one := range found {
		if !one.sure {
			unsure++
		}
	}
	held := unsure > 0 && len(lately)+unsure > brakeMost
	for _, one := range found {
		if one.sure || !held {
			passing = append(passing, one)
		}
		if !one.sure && !held {
			lately = append(lately, now)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping.recent, s.sweeping.held = lately, len(found)-len(passing)
	return passing
}

// Held returns how many open invitations of blocked senders stand because there are too many of them.
func (s *Inbound) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweeping.held
}

// record has invitees decline invitations.
func record(ctx context.Context, s *Inbound, list []declinable, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	rows, audit := make([]invites.Change, len(list)), make([]invites.Audit, len(list))
	for i, one := range list {
		rows[i] = invites.Change{
			Origin: invites.OriginInbound, Request: declinePrefix + string(one.event) + " " + string(one.sender), CommandRoom: one.room, Action: room.Leave, Room: one.room,
			Target: one.target, Actor: one.target, Performer: one.target, Status: invites.StatusOpen, Code: one.code, CreatedAt: now, DueAt: now,
		}
		audit[i] = invites.AuditOf(rows[i], invites.AuditDecision, room.Allow.String(), one.code, "", now)
	}
	stored, err := s.Store.Record(ctx, rows, audit)
	if err != nil {
		return err
	}
	var due []int64
	for i, one := range list {
		if stored[i].Status == invites.StatusOpen {
			due = append(due, stored[i].ID)
			s.note(Refusal{At: now, Sender: one.sender, Target: one.target, Room: one.room, Code: CodeDeclined})
		}
		if err := s.Store.DropInbound(ctx, invites.InboundInvited, one.entry.Who, one.entry.Other); err != nil {
			return err
		}
	}
	return s.Queue.Wake(ctx, now, due...)
}

// Off is the check of rows by which invitees decline, where the protection is off: none is wanted.
type Off struct{}

// Wanted implements delivery.Check.
func (Off) Wanted(context.Context, invites.Change) (code string, detail room.Phrase, err error) {
	return CodeStands, room.Say("inbound.stands"), nil
}

// Wanted implements delivery.Check: the sender is still blocked, and the invitee has neither joined nor come to know the sender.
func (s *Inbound) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	_, by, _ := strings.Cut(strings.TrimPrefix(row.Request, declinePrefix), " ")
	in := invitation{sender: id.UserID(by), target: row.Target, room: row.Room}
	stands := func(err error) (string, room.Phrase, error) { return CodeStands, room.Say("inbound.stands"), err }
	blocked, _, err := s.blocked(ctx, in.sender)
	if err != nil || blocked == "" {
		return stands(err)
	}
	if exempt, err := s.exempt(ctx, in); err != nil || exempt {
		return stands(err)
	}
	// Declining is leaving to Matrix: somebody who has joined must stay. A user who is invited only does not see the room.
	snap, err := s.Homeserver.Snapshot(ctx, row.Room, row.Target, []room.Key{room.MemberKey(row.Target)}, true)
	if errors.Is(err, invites.ErrNoView) {
		return "", detail, nil
	}
	if err != nil {
		return "", detail, err
	}
	if membership, known := snap.Membership(row.Target); !known || membership == "join" {
		return stands(nil)
	}
	return "", detail, nil
}
