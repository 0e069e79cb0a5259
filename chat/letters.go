package chat

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// Letters tells people about their letters.
type Letters struct{ sender *Sender }

// Refused tells the maker of a letter, in reply to the command, that it could not be sent. Told again after a crash, it is the same message.
func (l Letters) Refused(ctx context.Context, letter invites.Letter) error {
	command := id.EventID(letter.Request)
	to := commands.Message{Room: letter.CommandRoom, Event: command, Sender: letter.Maker}
	_, err := l.sender.say(ctx, letter.CommandRoom, transaction(command, "letter "+letter.Hash), commands.LetterRefused(letter), to, "")
	return err
}
