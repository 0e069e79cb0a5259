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

// MoverCases remind people who were invited to another room.
type MoverCases interface {
	// Due returns the reminders to send now. Each is tried again after a pause, until Reminded.
	Due(ctx context.Context) ([]invites.MoveReminder, error)
	Reminded(ctx context.Context, m invites.Move, there bool) error
}

// Upgrades has upgrades carried over, and tells the new rooms. It reminds people to come there.
type Upgrades struct {
	cases  MoveCases
	movers MoverCases
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

// Remind sends the reminders that are due.
func (m *Upgrades) Remind(ctx context.Context) {
	due, err := m.movers.Due(ctx)
	for _, one := range due {
		if err := m.remind(ctx, one); err != nil && ctx.Err() == nil {
			m.log.Warn().Err(err).Stringer("room", one.Old).Stringer("successor", one.New).Msg("Reminder of a move not sent yet")
		}
	}
	if err != nil && ctx.Err() == nil {
		m.log.Warn().Err(err).Msg("Reminders of moves can't be made")
	}
}

// remind sends one reminder to the old room, or tells the actor why not. A message is sent before that is noted: after a crash, the same one is sent
// again.
func (m *Upgrades) remind(ctx context.Context, r invites.MoveReminder) (err error) {
	var sent id.EventID
	if !r.Mute {
		if sent, err = m.sender.say(ctx, r.Old, transaction(r.Command, "reminder"), m.runner.MoveReminder(r), commands.Message{}, ""); err != nil {
			return err
		}
	}
	if sent == "" {
		asked := commands.Message{Event: r.Command, Room: r.CommandRoom, Sender: r.Actor}
		if _, err := m.sender.say(ctx, r.CommandRoom, transaction(r.Command, "no reminder"), m.runner.NotReminded(r), asked, ""); err != nil {
			return err
		}
	}
	m.log.Info().Stringer("room", r.Old).Stringer("successor", r.New).Stringer("actor", r.Actor).Int("people", len(r.Users)).Bool("there", sent != "").Msg("Reminded of a move")
	return m.movers.Reminded(ctx, r.Move, sent != "")
}
