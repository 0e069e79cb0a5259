package delivery

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/room"
)

// reasonOf returns the reason with which a row is carried out: a person's words, or the bot's own phrase. An invitation that the bot sends for
// somebody names the asker, since the invitee sees the bot as its sender.
func reasonOf(ctx context.Context, d *Delivery, row invites.Change) (reason string, because room.Phrase, err error) {
	if row.Action != room.Invite || row.Origin != invites.OriginCommand && row.Origin != invites.OriginBulk && row.Origin != invites.OriginSpace || row.Performer != d.Self.Bot || row.Actor == d.Self.Bot {
		return row.Reason, ownReason(row), nil
	}
	member := room.MemberKey(row.Actor)
	snap, err := d.Homeserver.Snapshot(ctx, row.Room, row.Actor, []room.Key{member}, false)
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return "", because, err
	}
	asker, words := room.OneLine(string(row.Actor)), room.OneLine(row.Reason) // in the bot's name: nobody else's lines, and no other order
	if err == nil {
		if event, _ := snap.Event(member); event != nil {
			if name := judge.PlainName(room.DisplayName(event)); name != "" {
				asker = name + " (" + asker + ")"
			}
		}
	}
	p, err := d.Judge.Policies.Of(ctx, row.Room, row.Actor)
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return "", because, err
	}
	if p != nil {
		if text, set := p.Document.Invitation.Fill(asker, words); set {
			return "", room.Say(room.KeyText, "text", text), nil
		}
	}
	return "", room.Say("because.asked", "asker", asker, "reason", words), nil
}

// languageOf returns the language of the bot's own phrase for a change in a room; empty without a phrase.
func languageOf(ctx context.Context, d *Delivery, r id.RoomID, because room.Phrase) string {
	if because.Empty() {
		return ""
	}
	return d.Judge.Policies.Language(ctx, r)
}
