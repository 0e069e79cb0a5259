package chat

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"usher/commands"
	"usher/invites/spaces"
)

// SpaceCases send the invitations that wait for people to join a space.
type SpaceCases interface {
	// Sweep sends those of people who have joined, and returns what became of them.
	Sweep(ctx context.Context) ([]spaces.Came, error)
}

// Spaces tells askers what became of the rooms of a space after somebody joined it.
type Spaces struct {
	cases  SpaceCases
	runner *commands.Runner
	sender *Sender
	log    zerolog.Logger
}

// spacesTake is how long one sweep waits for the homeserver.
const spacesTake = time.Minute

// Sweep sends the invitations that are due.
func (s *Spaces) Sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, spacesTake)
	defer cancel()
	came, err := s.cases.Sweep(ctx)
	for _, one := range came {
		m := commands.Message{Event: one.Command, Room: one.CommandRoom, Sender: one.Actor}
		if _, err := s.sender.say(ctx, one.CommandRoom, transaction(one.Command, "space "+string(one.Space)+" "+string(one.Target)), s.runner.CameToSpace(one, s.runner.Chat.DirectWith(one.CommandRoom) == one.Actor), m, ""); err != nil {
			s.log.Warn().Err(err).Stringer("room", one.CommandRoom).Msg("Invitations to a space not told")
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("Invitations that wait for a space not sent")
	}
}
