package bot

import (
	"context"
	"errors"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/encryption"
	"usher/events"
	"usher/invites"
	"usher/room"
	"usher/store"
)

// device is the bot's device in encrypted rooms, an encryption.Device.
type device interface {
	Run(ctx context.Context)
	Ready() bool
	CaughtUp() bool
	Open(ctx context.Context, ev invites.Received) (invites.Received, error)
	Seal(ctx context.Context, r id.RoomID, eventType string, content any) (string, any, error)
	SealFile(ctx context.Context, r id.RoomID, data []byte) (*event.EncryptedFileInfo, error)
	ShareHistory(ctx context.Context, r id.RoomID, users []id.UserID) (devices int, err error)
	Changed(r id.RoomID, eventType string)
	Invalidate(r id.RoomID)
}

// sealed is the bot's part in encrypted rooms.
type sealed struct {
	device  device // nil: encryption is off
	parking *parking
	wait    time.Duration // how long a key is waited for

	mu   sync.Mutex
	told map[id.RoomID]bool // rooms told that something can't be read, and nothing could since
	mute map[id.RoomID]bool // encrypted rooms, while encryption is off
	chat []id.EventID       // opened and found to be no command: dropped from the inbox soon
}

// buildEncryption makes the device and its database.
func (b *bot) buildEncryption(ctx context.Context, cfg *config.Config, version string) error {
	b.sealed.told = map[id.RoomID]bool{}
	b.sealed.parking = newParking(func(ev invites.Received) { b.lanes.push(b.ctx, []invites.Received{ev}) })
	if !cfg.Encryption.Enabled {
		return nil
	}
	keys, err := store.OpenKeys(ctx, connect.Keys(cfg))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, func() { _ = keys.Close() })
	b.sealed.wait = cfg.Encryption.WaitForKeys
	d, err := encryption.New(ctx, encryption.Options{
		Homeserver: cfg.Homeserver.Address, Bot: b.self.Bot, Token: cfg.Appservice.ASToken.Reveal(), UserAgent: "usher/" + version,
		PickleKey: cfg.Encryption.PickleKey.Reveal(), RecoveryKey: cfg.Encryption.RecoveryKey.Reveal(),
		SignedOnly: cfg.Encryption.ShareKeysWith == config.ShareSigned, History: cfg.Encryption.HistorySharing,
		Keys: keys, Rooms: b.state, Log: b.log, Now: time.Now, Arrived: b.sealed.parking.release,
	})
	if err != nil {
		return err
	}
	b.sealed.device = d
	return nil
}

// startEncryption brings the device to life until the bot is closed.
func (b *bot) startEncryption() {
	if b.sealed.device == nil {
		return
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var parts sync.WaitGroup
	parts.Go(func() { b.sealed.device.Run(ctx) })
	b.closers = append(b.closers, func() { cancel(); parts.Wait() })
}

// open returns an event as its sender meant it. go on is false where it has to wait, or was brought to its end. What fails inside is
// to be tried again for as long as there is patience; then the event counts as unreadable.
func (b *bot) open(ctx context.Context, ev invites.Received, patient bool) (opened invites.Received, goOn bool, err error) {
	switch {
	case ev.StateKey != nil, b.sealed.device == nil && ev.Type != room.TypeEncrypted:
		return ev, true, nil
	case b.sealed.device == nil:
		return ev, false, b.store.Handled(ctx, ev.Event) // encryption was switched off meanwhile
	}
	now := time.Now()
	if b.sealed.parking.blocked(ev, now) {
		return ev, false, nil
	}
	if ev.Type != room.TypeEncrypted {
		b.sealed.parking.leave(ev)
		return ev, true, nil
	}
	if ev.Redacted {
		b.sealed.parking.leave(ev)
		return ev, false, b.store.Handled(ctx, ev.Event)
	}
	opened, err = b.sealed.device.Open(ctx, ev)
	end := ev.ReceivedAt.Add(b.sealed.wait)
	vain := err != nil && !patient && ctx.Err() == nil && !errors.Is(err, context.Canceled) // not that the device just moved on
	switch {
	case errors.Is(err, encryption.ErrNoKey) && (now.Before(end) || !b.sealed.device.CaughtUp()):
		if !now.Before(end) {
			end = now.Add(time.Minute) // released before, once the device has caught up
		}
		b.sealed.parking.park(ev, now, end)
		return ev, false, nil
	case errors.Is(err, encryption.ErrReplay):
		b.log.Warn().Err(err).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("an event repeats another and is left alone")
		err = b.store.Handled(ctx, ev.Event)
	case errors.Is(err, encryption.ErrNoKey), errors.Is(err, encryption.ErrUnreadable), vain:
		err = b.unreadable(ctx, ev, err)
	case err == nil:
		b.sealed.tell(ev.Room, false)
		row := events.Route(opened, b.self.Bot)
		goOn = row.Opens && (row.Handler != events.ToCards || b.mayVote(opened))
		if !goOn {
			b.dismiss(ev.Event)
		}
	}
	if err == nil {
		b.sealed.parking.leave(ev)
	}
	return opened, goOn, err
}

// mayVote reports whether an opened reaction is a vote by its key, and notes it with its card, if that is open.
func (b *bot) mayVote(opened invites.Received) bool {
	card, key := commands.Reaction(opened.Raw)
	if appservice.Vote(key) == "" {
		return false
	}
	b.cards.Vote(card, opened.Event)
	return true
}

// tell notes whether a room was told, and reports whether it had been.
func (s *sealed) tell(r id.RoomID, told bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.told[r]
	if told {
		s.told[r] = true
	} else {
		delete(s.told, r)
	}
	return before
}

// unreadable ends an event that can't be read. Nobody can tell whether it was a command; so the room is told once, and again
// only after something could be read there. People who may not use the bot are not told.
func (b *bot) unreadable(ctx context.Context, ev invites.Received, why error) error {
	b.log.Info().AnErr("why", why).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("an event can't be read")
	if b.runner.Level(ev.Sender) == commands.Nobody || b.sealed.tell(ev.Room, true) {
		return b.store.Handled(ctx, ev.Event)
	}
	err := b.answer(ctx, ev, commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}, commands.Unreadable())
	if err != nil {
		b.sealed.tell(ev.Room, false)
	}
	return err
}

// dismissPause is how long opened chat may stay in the inbox, so that much of it goes in one commit.
const (
	dismissPause = 2 * time.Second
	dismissMany  = 100
)

// dismiss drops an event that was opened and is no command. Should it come up again before that, it is opened again.
func (b *bot) dismiss(ev id.EventID) {
	b.sealed.mu.Lock()
	defer b.sealed.mu.Unlock()
	b.sealed.chat = append(b.sealed.chat, ev)
	switch len(b.sealed.chat) {
	case 1:
		time.AfterFunc(dismissPause, b.dismissAll)
	case dismissMany:
		go b.dismissAll()
	}
}

// dismissAll drops what was dismissed.
func (b *bot) dismissAll() {
	b.sealed.mu.Lock()
	list := b.sealed.chat
	b.sealed.chat = nil
	b.sealed.mu.Unlock()
	if len(list) == 0 || b.ctx.Err() != nil {
		return
	}
	if err := b.store.Dismiss(b.ctx, list); err != nil {
		b.log.Warn().Err(err).Int("events", len(list)).Msg("opened chat stays in the inbox until the next start")
	}
}

// seal turns what is said into what goes to the homeserver. An error means that nothing may be sent.
func (b *bot) seal(ctx context.Context, r id.RoomID, kind string, content any) (string, any, error) {
	if b.sealed.device == nil {
		return kind, content, b.plain(ctx, r)
	}
	return b.sealed.device.Seal(ctx, r, kind, content)
}

// message reads the message in an inbox event, encrypted or not. Of one that can't be opened any more, it still says who sent it.
func (b *bot) message(ctx context.Context, ev invites.Received) (commands.Message, error) {
	if ev.Type == room.TypeEncrypted && b.sealed.device != nil {
		opened, err := b.sealed.device.Open(ctx, ev)
		if err != nil {
			b.log.Warn().Err(err).Stringer("event", ev.Event).Msg("a command can't be opened again")
			return commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}, nil
		}
		ev = opened
	}
	return commands.Parse(ev)
}
