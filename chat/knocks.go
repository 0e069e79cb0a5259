package chat

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/invites/cards"
	"usher/policy"
)

// KnockCase receives knocks.
type KnockCase interface {
	Receive(ctx context.Context, k cards.Knock) (cards.Reception, error)
}

// Knockers reads from the state of a room who knocks.
type Knockers interface {
	// Knocking returns the events of the users who knock at a room.
	Knocking(ctx context.Context, r id.RoomID, now time.Time) ([]invites.Received, error)
}

// LinkCase lets people in by links.
type LinkCase interface {
	// UseKnock uses the link whose code is the reason of a user's knock at a room. It reports whether there is such a link: else the knock is
	// one as any other.
	UseKnock(ctx context.Context, user id.UserID, r id.RoomID, reason string) (used bool, err error)
}

// knocked receives a knock, and shows its card.
func (d *CardDesk) knocked(ctx context.Context, ev invites.Received) error {
	reason := exactjson.Text(ev.Raw, "content", "reason")
	if used, err := d.links.UseKnock(ctx, ev.Sender, ev.Room, reason); used || err != nil {
		return err
	}
	got, err := d.knocks.Receive(ctx, cards.Knock{Event: ev.Event, Room: ev.Room, User: ev.Sender, Reason: reason})
	if err == nil && got.Full != nil {
		return d.tellFull(ctx, got.Full)
	}
	if err != nil || got.Card == nil {
		return err
	}
	c := *got.Card
	if got.Paused {
		if _, err := d.sender.say(ctx, c.ShownIn, transaction(ev.Event, "paused"), d.runner.Paused(c), commands.Message{}, ""); err != nil {
			return err
		}
	}
	switch {
	case c.State != invites.CardOpen:
		return d.Show(ctx, cards.Ballot{Card: c})
	case c.Event != "":
		return nil
	}
	return d.post(ctx, c)
}

// Knocking makes cards of the knocks at a room from before its policy wanted them, or from before the bot came.
func (d *CardDesk) Knocking(ctx context.Context, r id.RoomID) error {
	p, err := d.runner.Judge.Policies.Of(ctx, r, d.runner.Self.Bot)
	if err != nil || p == nil || p.Fault() != nil || !p.Document.Knocks.Desk {
		return invites.UnlessUnseen(err)
	}
	found, err := d.knockers.Knocking(ctx, r, time.Now())
	for _, ev := range found[:min(len(found), cardsOfOne)] {
		if err == nil {
			err = d.knocked(ctx, ev)
		}
	}
	return invites.UnlessUnseen(err)
}

// desks makes cards of earlier knocks where a changed policy may have opened a desk: at its room, and at the rooms that inherit from it.
func (d *CardDesk) desks(ctx context.Context, ev invites.Received, links []invites.SpaceChild) error {
	layer, err := policy.Parse(exactjson.Find(ev.Raw, "content"))
	if err != nil || layer.Text("knocks.desk") != "true" {
		return nil // rooms.policyChanged tells of faults
	}
	rooms, err := d.runner.Judge.Policies.Heirs(ctx, ev.Room, links)
	for _, r := range append(rooms, ev.Room) {
		err = errors.Join(err, d.Knocking(ctx, r))
	}
	return err
}

// tellFull tells a room, once in an hour, that more users knock than cards show. The transaction id names the hour.
func (d *CardDesk) tellFull(ctx context.Context, crowd *cards.Crowd) error {
	r, now := crowd.Room, time.Now()
	if first, _ := d.full.take(r, now); !first {
		return nil
	}
	txn := transaction(id.EventID(r), "full "+now.Truncate(time.Hour).Format(time.RFC3339))
	_, err := d.sender.say(ctx, r, txn, d.runner.KnocksFull(crowd), commands.Message{}, "")
	return err
}
