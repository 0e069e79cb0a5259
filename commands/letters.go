package commands

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/letters"
	"usher/room"
)

// mailCall is a command about letters.
type mailCall struct{ *Call }

// maxAddresses is how many addresses one command may name.
const maxAddresses = 100

// wish is the wish of a command with addresses.
func (c mailCall) wish(ctx context.Context, addresses []string) (w letters.Wish, err error) {
	switch {
	case c.has("resend") && (len(addresses) == 0 || len(c.people("user")) > 0):
		return w, c.usage(room.Say("usage.resend"))
	case len(addresses) > maxAddresses:
		return w, fault(room.Say("many.addresses", "n", len(addresses), "most", maxAddresses))
	case !c.Letters.On:
		return w, fault(room.Sentences(word{text: addresses[0]}.read(c.asker).wrong, room.Say("letter.off")))
	}
	in, err := inviteInto(ctx, c.Call)
	return letters.Wish{
		Request: c.Message.Event, CommandRoom: c.Message.Room, Maker: c.Message.Sender, Room: in, Addresses: addresses, Language: c.Language(ctx, c.Message.Room), DryRun: c.has("dry-run"),
	}, err
}

// letters asks for letters, and words the outcome.
func (c mailCall) letters(ctx context.Context, w letters.Wish) (reply Reply, err error) {
	var results []letters.Result
	if c.has("resend") {
		results, err = c.Letters.Again(ctx, w)
	} else {
		results, err = c.Letters.Ask(ctx, w)
	}
	if err != nil {
		return reply, err
	}
	now := c.Clock.Now()
	for i, one := range results {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Say("more", "n", len(results)-i)
			break
		}
		tellResult(&reply.Text, one, now)
	}
	reply.Mention = !anyDone(results)
	return reply, nil
}

// revoke takes letters back, and returns the addresses without one.
func (c mailCall) revoke(ctx context.Context, in id.RoomID, named []string) (reply Reply, rest []string, err error) {
	results, err := c.Letters.Revoke(ctx, letters.Wish{Maker: c.Message.Sender, Room: in, Addresses: named, DryRun: c.has("dry-run")}, c.Event.ReceivedAt)
	now := c.Clock.Now()
	for _, one := range results {
		if one.Refusal.Code != "" {
			rest = append(rest, one.Address)
			continue
		}
		if !reply.Text.Empty() {
			reply.Text.Line()
		}
		if c.has("dry-run") {
			reply.Text.Say("letter.revocable", "address", one.Address)
		} else {
			tellResult(&reply.Text, one, now)
		}
	}
	return reply, rest, err
}

func anyDone(results []letters.Result) bool {
	for _, one := range results {
		if one.Refusal.Code == "" {
			return true
		}
	}
	return false
}

// tellResult tells of one address in a line. Without a letter, nothing was done: somebody only asks.
func tellResult(t *Text, one letters.Result, now time.Time) {
	switch {
	case one.Refusal.Code != "":
		t.Tell(room.Say("letter.no", "address", one.Address).Holding(one.Refusal.Phrase)).Reason(one.Refusal.Code)
	case one.Letter.ID == 0:
		t.Say("letter.may", "address", one.Address)
	case one.Letter.State == invites.LetterRevoked:
		t.Say("letter.revoked", "address", one.Address)
	case one.Letter.State == invites.LetterQueued:
		t.Say("letter.queued", "address", one.Address, "within", one.Letter.ExpiresAt.Sub(now))
	default: // the command runs again after a crash
		tellLetter(t, one.Letter, one.Address, now)
	}
}

// tellLetter tells of a letter in a line.
func tellLetter(t *Text, l invites.Letter, address string, now time.Time) {
	age := now.Sub(l.QueuedAt)
	if l.State == invites.LetterSent {
		age = now.Sub(l.SentAt)
	}
	p := room.Say("letter.row", "address", address, "maker", l.Maker, "age", age, "state", l.State, "wait", max(0, l.DueAt.Sub(now)), "left", l.ExpiresAt.Sub(now), "number", l.Link)
	if !l.Detail.Empty() {
		p = p.Holding(l.Detail)
	}
	t.Tell(p)
	if l.Code != "" {
		t.Reason(l.Code)
	}
}

// tellLetters tells of the open letters of a room, as far as the asker may know of them.
func (c mailCall) tellLetters(ctx context.Context, t *Text, in id.RoomID) error {
	list, err := c.Letters.Open(ctx, c.Message.Sender, in)
	if err != nil || len(list) == 0 {
		return err
	}
	if !t.Empty() {
		t.Line()
	}
	alone, err := private(ctx, c.Call)
	if err != nil {
		return err
	}
	now := c.Clock.Now()
	t.Say("letter.head", "n", len(list))
	tellSome(t, len(list), func(i int) {
		address := letters.Masked(list[i].Address)
		if alone && list[i].Maker == c.Message.Sender && list[i].Address != "" {
			address = list[i].Address
		}
		tellLetter(t, list[i], address, now)
	})
	t.Line().Say("letter.stop", "prefix", c.Prefix)
	return nil
}

// whyAddress explains the last letter to an address, and whether there can be one now.
func (c mailCall) whyAddress(ctx context.Context, t *Text, in id.RoomID, address string) error {
	last, known, next, err := c.Letters.Why(ctx, c.Message.Sender, in, address)
	if err != nil {
		return err
	}
	now := c.Clock.Now()
	if known {
		tellLetter(t, last, address, now)
		t.Line()
	}
	tellResult(t, next, now)
	return nil
}

// LetterRefused tells the maker of a letter that it could not be sent.
func LetterRefused(l invites.Letter) (reply Reply) {
	reply.Mention, reply.Aloud = true, true
	address := l.Address
	if address == "" {
		address = letters.Masked("")
	}
	reply.Text.Tell(room.Say("letter.no", "address", address).Holding(l.Detail)).Reason(l.Code)
	return reply
}
