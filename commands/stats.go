package commands

import (
	"context"
	"time"

	"usher/invites"
	"usher/invites/ledger"
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

// maxInviters is how many inviters are shown.
const maxInviters = 10

// counts words counts.
type counts ledger.Counts

func runStats(ctx context.Context, c *Call) (Reply, error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	now := c.Clock.Now()
	s, err := c.Ledger.Stats(ctx, c.Message.Sender, in, now)
	if err != nil {
		return Reply{}, err
	}
	if c.has("picture") {
		return c.statsPicture(ctx, s, now, dark(ctx, c, in))
	}
	var reply Reply
	reply.Text.Tell(room.Say("stats.total", "from", s.From.Format(time.DateOnly)).Holding(counts(s.Total).phrases()...))
	for i, n := range s.Weeks {
		if n.Sent() > 0 {
			reply.Text.Line().Tell(room.Say("stats.week", "week", s.Week(i).Format(time.DateOnly)).Holding(counts(n).phrases()...))
		}
	}
	for i, inviter := range s.Inviters {
		if i == maxInviters {
			reply.Text.Line().Say("more.people", "n", s.People-i)
			break
		}
		reply.Text.Line().Tell(room.Say("stats.inviter", "inviter", inviter).Holding(counts(s.By[inviter]).phrases()...))
	}
	return reply, nil
}

// words lists counts. Zeros are left out, except for the number sent.
func (n counts) phrases() []room.Phrase {
	all := []room.Phrase{room.Say("stats.sent", "n", ledger.Counts(n).Sent())}
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

func (c *Call) statsPicture(ctx context.Context, s ledger.Stats, now time.Time, dark bool) (Reply, error) {
	since := room.Say("picture.since", "from", s.From.Format(time.DateOnly)).Holding(counts(s.Total).phrases()...)
	v := words.For(c.Language(ctx, c.Message.Room))
	chart := picture.Chart{
		Title: v.Text(room.Say("picture.weeks")), Subtitle: v.Text(since), ListTitle: v.Text(room.Say("picture.inviters")), Meaning: meanings(v), Dark: dark,
	}
	for i, n := range s.Weeks {
		chart.Columns = append(chart.Columns, counts(n).bar(v.Text(room.Say("picture.week", "at", s.Week(i).Format(time.RFC3339)))))
	}
	for _, inviter := range s.Inviters[:min(len(s.Inviters), maxInviters)] {
		chart.List = append(chart.List, counts(s.By[inviter]).bar(visible(string(inviter))))
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
