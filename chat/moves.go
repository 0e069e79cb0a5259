package chat

import (
	"context"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// MoveCases carry over what belongs to a room that another one replaces.
type MoveCases interface {
	// Begin records the upgrade that led to a room, if there is one.
	Begin(ctx context.Context, next id.RoomID) error
	// Due returns upgrades with work to do.
	Due(ctx context.Context) ([]invites.Upgrade, error)
	// Run does the work on an upgrade that can be done now. done: nothing is left but Told, which ends it.
	Run(ctx context.Context, u invites.Upgrade) (after invites.Upgrade, done bool, err error)
	Told(ctx context.Context, u invites.Upgrade) error
}

// Upgrades has upgrades carried over, and tells the new rooms.
type Upgrades struct {
	cases  MoveCases
	cards  *CardDesk
	runner *commands.Runner
	sender *Sender
	log    zerolog.Logger
}

// Sweep works on the upgrades that are due.
func (m *Upgrades) Sweep(ctx context.Context) {
	due, err := m.cases.Due(ctx)
	for _, u := range due {
		if err := m.run(ctx, u); err != nil && ctx.Err() == nil {
			m.log.Warn().Err(err).Stringer("room", u.Old).Stringer("successor", u.New).Int64("step", u.Step).Msg("Upgrade not carried over yet")
		}
	}
	if err != nil && ctx.Err() == nil {
		m.log.Warn().Err(err).Msg("Upgrades can't be read")
	}
}

// run works on one upgrade. A message is sent before the end is noted: after a crash, the same one is sent again.
func (m *Upgrades) run(ctx context.Context, u invites.Upgrade) error {
	u, done, err := m.cases.Run(ctx, u)
	if err != nil {
		return err
	}
	if err := m.cards.showClosed(ctx, invites.CardTodo{Room: u.Old, Limit: cardsOfOne}); err != nil {
		return err
	}
	if err := m.cards.postOf(ctx, id.EventID(u.Key())); err != nil || !done {
		return err
	}
	m.log.Info().Stringer("room", u.Old).Stringer("successor", u.New).Stringer("actor", u.Actor).Int("notes", len(u.Notes)).Msg("Upgrade carried over")
	if len(u.Notes) > 0 {
		if _, err := m.sender.say(ctx, u.New, transaction(id.EventID(u.Old), "carried over to "+string(u.New)), m.runner.CarriedOver(u), commands.Message{}, ""); err != nil {
			return err
		}
	}
	return m.cases.Told(ctx, u)
}
