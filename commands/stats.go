package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/picture"
)

func statsCommand() Command {
	return Command{
		Name: "stats", Level: User,
		About:  "Counts the invitations of the last twelve weeks, by week and by inviter.",
		Params: []Param{inRoom(), asPicture()},
		Run:    runStats,
	}
}

// How much is counted and shown.
const (
	statsWeeks  = 12
	maxInviters = 10
	week        = 7 * 24 * time.Hour
)

// counts is how many invitations have which fate.
type counts map[invites.Fate]int

// sent is how many invitations were made: one that was renewed goes on in another.
func (n counts) sent() (sum int) {
	for fate, count := range n {
		if fate != invites.FateRenewed {
			sum += count
		}
	}
	return sum
}

// stats are tallies added up.
type stats struct {
	total    counts
	weeks    []counts // the oldest first
	from     time.Time
	inviters []id.UserID // who sent most first
	by       map[id.UserID]counts
}

func add(tallies []invites.Tally, from time.Time) stats {
	s := stats{total: counts{}, weeks: make([]counts, statsWeeks), from: from, by: map[id.UserID]counts{}}
	for i := range s.weeks {
		s.weeks[i] = counts{}
	}
	for _, t := range tallies {
		if i := int(t.Week.Sub(from) / week); i >= 0 && i < statsWeeks {
			s.weeks[i][t.Fate] += t.Count
		}
		if s.by[t.Inviter] == nil {
			s.by[t.Inviter] = counts{}
			s.inviters = append(s.inviters, t.Inviter)
		}
		s.by[t.Inviter][t.Fate] += t.Count
		s.total[t.Fate] += t.Count
	}
	slices.SortFunc(s.inviters, func(a, b id.UserID) int {
		return cmp.Or(s.by[b].sent()-s.by[a].sent(), cmp.Compare(a, b))
	})
	return s
}

func runStats(ctx context.Context, c *Call) (Reply, error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	now := c.Clock.Now().UTC()
	monday := now.Truncate(24*time.Hour).AddDate(0, 0, -((int(now.Weekday()) + 6) % 7))
	from := monday.Add(-(statsWeeks - 1) * week)
	tallies, err := c.Ledger.Tallies(ctx, c.Message.Sender, in, from)
	if err != nil {
		return Reply{}, err
	}
	s := add(tallies, from)
	if c.has("picture") {
		return c.statsPicture(s, now)
	}
	var reply Reply
	reply.Text.Say("Since " + from.Format("2006-01-02") + ": " + s.total.words() + ".")
	for i, n := range s.weeks {
		if n.sent() > 0 {
			reply.Text.Line().Say("Week of " + from.Add(time.Duration(i)*week).Format("2006-01-02") + ": " + n.words())
		}
	}
	for i, inviter := range s.inviters {
		if i == maxInviters {
			reply.Text.Line().Sayf("… and %d more people.", len(s.inviters)-i)
			break
		}
		reply.Text.Line().Code(string(inviter)).Say(": " + s.by[inviter].words())
	}
	return reply, nil
}

// words lists counts; what there is none of is left out, but for how many were sent.
func (n counts) words() string {
	text := fmt.Sprintf("%d sent", n.sent())
	for _, fate := range []invites.Fate{
		invites.FateAccepted, invites.FateDeclined, invites.FateExpired, invites.FateWithdrawn, invites.FateBanned, invites.FateUnseen, invites.FatePending,
	} {
		if n[fate] > 0 {
			text += fmt.Sprintf(", %d %s", n[fate], fate)
		}
	}
	return text
}

// bar makes a bar of counts.
func (n counts) bar(name string) picture.Bar {
	b := picture.Bar{Name: name}
	for fate, count := range n {
		if fate != invites.FateRenewed {
			b.Parts[tint(fate)] += count
		}
	}
	return b
}

func (c *Call) statsPicture(s stats, now time.Time) (Reply, error) {
	chart := picture.Chart{
		Title: "Invitations by week", Subtitle: "since " + s.from.Format("2006-01-02") + ": " + s.total.words(), ListTitle: "Who invited most",
		Meaning: map[picture.Tint]string{picture.Good: "accepted", picture.Open: "pending", picture.Bad: "declined or banned", picture.Absent: "withdrawn, expired or unseen"},
	}
	for i, n := range s.weeks {
		chart.Columns = append(chart.Columns, n.bar(s.from.Add(time.Duration(i)*week).Format("2 Jan")))
	}
	for _, inviter := range s.inviters[:min(len(s.inviters), maxInviters)] {
		chart.List = append(chart.List, s.by[inviter].bar(visible(string(inviter))))
	}
	c.Drawing.Lock()
	defer c.Drawing.Unlock()
	drawn, err := chart.Draw()
	if err != nil {
		return Reply{}, err
	}
	return Reply{Image: &Image{drawn, "invitations.png", "Invitations " + chart.Subtitle + " · as of " + now.Format("2006-01-02 15:04") + " UTC"}}, nil
}
