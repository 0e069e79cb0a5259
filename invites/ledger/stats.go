package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// statsWeeks is how many weeks are counted.
const statsWeeks = 12

const week = 7 * 24 * time.Hour

// Counts is how many invitations have which fate.
type Counts map[invites.Fate]int

// Sent counts the invitations. A renewed one goes on in another and does not count.
func (n Counts) Sent() (sum int) {
	for fate, count := range n {
		if fate != invites.FateRenewed {
			sum += count
		}
	}
	return sum
}

// Stats counts the invitations of a room in the last weeks, this one included.
type Stats struct {
	Total    Counts
	Weeks    []Counts // the oldest first
	From     time.Time
	Inviters []id.UserID // the ones with the most, by the number sent, the largest first
	People   int         // all inviters
	By       map[id.UserID]Counts
}

// Week is the first day of a week.
func (s Stats) Week(i int) time.Time { return s.From.Add(time.Duration(i) * week) }

// Stats counts the invitations of a room up to now.
func (s *Ledger) Stats(ctx context.Context, asker id.UserID, r id.RoomID, now time.Time) (Stats, error) {
	now = now.UTC()
	monday := now.Truncate(24*time.Hour).AddDate(0, 0, -((int(now.Weekday()) + 6) % 7))
	from := monday.Add(-(statsWeeks - 1) * week)
	if err := s.Judge.Reach.Member(ctx, r, asker); err != nil {
		return Stats{}, err
	}
	weeks, err := s.Store.Tallies(ctx, r, from, monday)
	if err != nil {
		return Stats{}, err
	}
	inviters, people, err := s.Store.Busiest(ctx, r, from, maxInviters)
	return add(weeks, inviters, people, from), err
}

// maxInviters is how many inviters are told apart.
const maxInviters = 20

func add(weeks, inviters []invites.Tally, people int, from time.Time) Stats {
	s := Stats{Total: Counts{}, Weeks: make([]Counts, statsWeeks), From: from, By: map[id.UserID]Counts{}, People: people}
	for i := range s.Weeks {
		s.Weeks[i] = Counts{}
	}
	for _, t := range weeks {
		s.Weeks[int(t.Week.Sub(from)/week)][t.Fate] += t.Count
		s.Total[t.Fate] += t.Count
	}
	for _, t := range inviters {
		if s.By[t.Inviter] == nil {
			s.By[t.Inviter] = Counts{}
			s.Inviters = append(s.Inviters, t.Inviter)
		}
		s.By[t.Inviter][t.Fate] += t.Count
	}
	slices.SortFunc(s.Inviters, func(a, b id.UserID) int {
		return cmp.Or(s.By[b].Sent()-s.By[a].Sent(), cmp.Compare(a, b))
	})
	return s
}
