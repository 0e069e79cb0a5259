package inbound

import (
	"cmp"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
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
