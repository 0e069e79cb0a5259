package delivery

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// reasonOf returns the reason with which a row is carried out: a person's words, or the bot's own phrase. An invitation that the bot sends for
// somebody names the asker, since the invitee sees the bot as its sender.
func reasonOf(ctx context.Context, d *Delivery, row invites.Change) (reason string, because room.Phrase, err error) {
	if row.Action != room.Invite || row.Origin != invites.OriginCommand && row.Origin != invites.OriginBulk || row.Performer != d.Self.Bot || row.Actor == d.Self.Bot {
		return row.Reason, ownReason(row), nil
	}
	member := room.MemberKey(row.Actor)
	snap, err := d.Homeserver.Snapshot(ctx, row.Room, row.Actor, []room.Key{member}, false)
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return "", because, err
	}
	asker := string(row.Actor)
	if err == nil {
		if event, _ := snap.Event(member); event != nil {
			if name := plainName(room.DisplayName(event)); name != "" {
				asker = name + " (" + asker + ")"
			}
		}
	}
	p, err := d.Judge.Policies.Of(ctx, row.Room, row.Actor)
	if err != nil && !errors.Is(err, invites.ErrNoView) {
		return "", because, err
	}
	if p != nil {
		if text, set := p.Document.Invitation.Fill(asker, row.Reason); set {
			return "", room.Say(room.KeyText, "text", text), nil
		}
	}
	return "", room.Say("because.asked", "asker", asker, "reason", row.Reason), nil
}

// languageOf returns the language of the bot's own phrase for a change in a room; empty without a phrase.
func languageOf(ctx context.Context, d *Delivery, r id.RoomID, because room.Phrase) string {
	if because.Empty() {
		return ""
	}
	return d.Judge.Policies.Language(ctx, r)
}

// maxName is the length in characters of the longest display name that an invitation shows.
const maxName = 60

// plainName returns a display name on one line; empty for a name that could pass for an id, or with invisible characters.
func plainName(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	odd := func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune("@:()", r) }
	if strings.ContainsFunc(name, odd) || len([]rune(name)) > maxName {
		return ""
	}
	return name
}
