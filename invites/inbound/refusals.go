package inbound

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Refusal is one refused invitation.
type Refusal struct {
	At             time.Time
	Sender, Target id.UserID
	Room           id.RoomID
	Code           string
}

// ring keeps the last refusals.
type ring struct {
	list []Refusal
	next int
}

// maxRefusals is how many refusals are kept.
const maxRefusals = 20_000

func (r *ring) add(one Refusal) {
	if len(r.list) < maxRefusals {
		r.list = append(r.list, one)
		return
	}
	r.list[r.next] = one
	r.next = (r.next + 1) % maxRefusals
}

// Refused returns up to limit refused invitations of a user, or of all users for an empty id, the newest first.
func (s *Inbound) Refused(target id.UserID, limit int) []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Refusal
	for i := range s.refusals.list {
		one := s.refusals.list[(s.refusals.next+len(s.refusals.list)-1-i)%len(s.refusals.list)]
		if target == "" || one.Target == target {
			found = append(found, one)
		}
		if len(found) == limit {
			break
		}
	}
	return found
}

// Total counts refusals of one server for one reason.
type Total struct {
	Server, Code string
	Count        int
}

// Totals counts the refusals kept, the most frequent first.
func (s *Inbound) Totals() []Total {
	s.mu.Lock()
	counts := map[Total]int{}
	for _, one := range s.refusals.list {
		counts[Total{Server: one.Sender.Homeserver(), Code: one.Code}]++
	}
	s.mu.Unlock()
	var list []Total
	for one, n := range counts {
		one.Count = n
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Total) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Server, b.Server), cmp.Compare(a.Code, b.Code))
	})
	return list
}

// tally counts refusals for the audit, by server and reason. The zero value is empty.
type tally struct {
	counts map[Total]int
	last   map[Total]Refusal
}

// Bounds of the audit of refusals.
const (
	maxTallied = 2000 // servers and reasons counted apart; further ones count together
	maxAudited = 50   // rows at a time; the rest is one row
)

func (t *tally) add(one Refusal) {
	t.count(Total{Server: room.CanonicalServer(one.Sender.Homeserver()), Code: one.Code}, 1, one)
}

// count adds n refusals, the last of which is one.
func (t *tally) count(key Total, n int, one Refusal) {
	if _, counted := t.counts[key]; !counted && len(t.counts) >= maxTallied {
		key.Server = anyServer
	}
	if t.counts == nil {
		t.counts, t.last = map[Total]int{}, map[Total]Refusal{}
	}
	t.counts[key] += n
	t.last[key] = one
}

// anyServer stands for several servers.
const anyServer = "*"

// Flush writes the refusals since the last time to the audit: a row for each server and reason, which stands for as many refusals as its request
// says. A single refusal names its sender and its invitee.
func (s *Inbound) Flush(ctx context.Context) error {
	s.mu.Lock()
	t := s.tally
	s.tally = tally{}
	s.mu.Unlock()
	if len(t.counts) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(t.counts), func(a, b Total) int {
		return cmp.Or(t.counts[b]-t.counts[a], cmp.Compare(a.Server, b.Server), cmp.Compare(a.Code, b.Code))
	})
	now := s.Clock.Now()
	var audit []invites.Audit
	row := func(actor, target id.UserID, code string, n int) {
		audit = append(audit, invites.Audit{
			At: now, Kind: invites.AuditDecision, Action: room.Invite, Actor: actor, Performer: actor, Target: target, Verdict: room.Deny.String(), Code: code,
			Request: fmt.Sprintf("%srefused=%d:%s.%d", declinePrefix, n, strconv.FormatInt(now.UnixMilli(), 36), len(audit)),
		})
	}
	rest := 0
	for i, key := range keys {
		switch n := t.counts[key]; {
		case i >= maxAudited:
			rest += n
		case n == 1:
			row(t.last[key].Sender, t.last[key].Target, key.Code, n)
		default:
			row(everybody(key.Server), everybody(s.Self.Domain), key.Code, n)
		}
	}
	if rest > 0 {
		row(everybody(anyServer), everybody(s.Self.Domain), CodeOther, rest)
	}
	_, err := s.Store.Record(ctx, nil, audit)
	if err != nil { // the next time counts them as well
		s.mu.Lock()
		defer s.mu.Unlock()
		for key, n := range t.counts {
			s.tally.count(key, n, t.last[key])
		}
	}
	return err
}
