package commands

import (
	"context"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/words"
)

// Choices is the part of the store for what people chose for themselves.
type Choices interface {
	// Language returns the language that a person chose, or invites.ErrNotFound.
	Language(ctx context.Context, user id.UserID) (string, error)
	SetLanguage(ctx context.Context, user id.UserID, language string) error
}

func languageCommand() Command {
	return Command{
		Name: "language", Level: User, Aliases: []string{"lang"},
		See:    []string{"policy"},
		Params: []Param{aWord("language", room.Say("param.language"), room.Phrase{}).optional(), inRoom()},
		Run:    runLanguage,
	}
}

// Language returns the tag of the language that the bot speaks in a room: in a direct chat the one that the person chose, elsewhere the one of
// the policy, or else the default one.
func (r *Runner) Language(ctx context.Context, in id.RoomID) string {
	with := r.Chat.DirectWith(in)
	if with == "" {
		return r.Judge.Policies.Language(ctx, in)
	}
	if chosen, err := r.Choices.Language(ctx, with); err == nil {
		return chosen
	}
	return r.Self.Language
}

// RoomName returns the alias or the name of a room, for an asker who may read it; with an empty asker, for a message of the bot's own accord.
func (r *Runner) RoomName(ctx context.Context, of id.RoomID, asker id.UserID) string {
	return r.Judge.Reach.Name(ctx, of, asker)
}

// spoken finds the catalogue of a language by its tag or by one of its names, such as "german" or "Deutsch".
func spoken(name string) (tag string, err error) {
	all := words.Languages()
	for _, tag := range all {
		for _, known := range strings.Fields(words.For(tag).Text(room.Say("speaks.names"))) {
			if strings.EqualFold(name, known) {
				return tag, nil
			}
		}
	}
	if tag, near := words.Match(name); near {
		return tag, nil
	}
	return "", fault(room.Say("speaks.unknown", "language", name, "known", strings.Join(all, ", ")))
}

func runLanguage(ctx context.Context, c *Call) (reply Reply, err error) {
	mine := direct(c) && !c.has("room")
	in := c.Message.Room
	if !mine {
		if in, err = c.joinedRoom(ctx); err != nil {
			return reply, asFault(err)
		}
	}
	if !c.has("language") {
		now, _ := words.Match(c.Language(ctx, in))
		reply.Text.Say("speaks.now", "language", now, "known", strings.Join(words.Languages(), ", "))
		return reply, nil
	}
	tag, err := spoken(c.text("language"))
	switch {
	case err != nil:
		return reply, err
	case !mine:
		reply, err = setField(ctx, c, in, "language", tag)
		return reply, asFault(err)
	}
	reply.Text.Say("speaks.set")
	return reply, c.Choices.SetLanguage(ctx, c.Message.Sender, tag)
}
