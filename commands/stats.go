package commands

import (
	"cmp"
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/picture"
	"usher/room"
	"usher/words"
)

func statsCommand() Command {
	return Command{
		Name: "stats", Level: User,
		Words: []string{"statistics"}, Loose: []string{"numbers", "count"},
		See:    []string{"tree", "audit"},
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

// sent counts the invitations. A renewed one goes on in another and does not count.
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
	inviters []id.UserID // by the number sent, the largest first
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
		return c.statsPicture(ctx, s, now, dark(ctx, c, in))
	}
	var reply Reply
	reply.Text.Tell(room.Say("stats.total", "from", from.Format(time.DateOnly)).Holding(s.total.phrases()...))
	for i, n := range s.weeks {
		if n.sent() > 0 {
			reply.Text.Line().Tell(room.Say("stats.week", "week", from.Add(time.Duration(i)*week).Format(time.DateOnly)).Holding(n.phrases()...))
		}
	}
	for i, inviter := range s.inviters {
		if i == maxInviters {
			reply.Text.Line().Say("more.people", "n", len(s.inviters)-i)
			break
		}
		reply.Text.Line().Tell(room.Say("stats.inviter", "inviter", inviter).Holding(s.by[inviter].phrases()...))
	}
	return reply, nil
}

// words lists counts. Zeros are left out, except for the number sent.
func (n counts) phrases() []room.Phrase {
	all := []room.Phrase{room.Say("stats.sent", "n", n.sent())}
	for _, fate := range []invites.Fate{
		invites.FateAccepted, invites.FateDeclined, invites.FateExpired, invites.FateWithdrawn, invites.FateBanned, invites.FateUnseen, invites.FatePending,
	} {
		if n[fate] > 0 {
			all = append(all, room.Say("stats.fate", "n", n[fate], "fate", fate))
		}
	}
	return all
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

func (c *Call) statsPicture(ctx context.Context, s stats, now time.Time, dark bool) (Reply, error) {
	since := room.Say("picture.since", "from", s.from.Format(time.DateOnly)).Holding(s.total.phrases()...)
	v := words.For(c.Language(ctx, c.Message.Room))
	chart := picture.Chart{
		Title: v.Text(room.Say("picture.weeks")), Subtitle: v.Text(since), ListTitle: v.Text(room.Say("picture.inviters")), Meaning: meanings(v), Dark: dark,
	}
	for i, n := range s.weeks {
		chart.Columns = append(chart.Columns, n.bar(v.Text(room.Say("picture.week", "at", s.from.Add(time.Duration(i)*week).Format(time.RFC3339)))))
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
	return Reply{Image: &Image{drawn, "invitations.png", v.Text(room.Say("picture.stats", "at", when(now)).Holding(since))}}, nil
}

// meanings are the words for the tints of people and their invitations.
func meanings(v *words.Voice) map[picture.Tint]string {
	return map[picture.Tint]string{
		picture.Good: v.Text(room.Say("picture.good")), picture.Open: v.Text(room.Say("picture.open")), picture.Bad: v.Text(room.Say("picture.bad")),
		picture.Absent: v.Text(room.Say("picture.absent")),
	}
}
