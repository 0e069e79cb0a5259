package chat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/events"
	"usher/invites"
	"usher/room"
)

// Opener decrypts events for the bot's device.
type Opener interface {
	// CaughtUp reports whether all keys from before the start have arrived.
	CaughtUp() bool
	// Open returns an event as its sender encrypted it. Errors wrap invites.ErrNoKey, invites.ErrUnreadable or invites.ErrReplay; after
	// any other error, the event is to be opened again.
	Open(ctx context.Context, ev invites.Received) (invites.Received, error)
}

// EncryptedInbox is the part of the inbox for ending encrypted events.
type EncryptedInbox interface {
	Handled(ctx context.Context, events ...id.EventID) error
	// Dismiss ends chat, many events in one commit.
	Dismiss(ctx context.Context, events []id.EventID) error
}

// EncryptedRooms opens encrypted events. An event without its key waits for it, outside of its lane.
type EncryptedRooms struct {
	opener     Opener // nil: encryption is off
	bot        id.UserID
	inbox      EncryptedInbox
	open       OpenCards
	runner     *commands.Runner
	replies    *Replies
	waiting    *waitingForKeys
	background *Background
	patience   time.Duration // how long an event waits for its key
	started    time.Time     // while keys from before the start may arrive, an event waits that long from the start on
	log        zerolog.Logger

	mu   sync.Mutex
	told map[id.RoomID]bool // rooms with a notice of an unreadable event, and no readable event since
	chat []id.EventID       // opened events without a command, to be dropped from the inbox soon
}

// openEvent returns an event as its sender meant it. goOn is false where the event has to wait, or was brought to its end. A patient call
// returns internal errors, to be tried again; else such an event counts as unreadable.
func (e *EncryptedRooms) openEvent(ctx context.Context, ev invites.Received, patient bool) (opened invites.Received, goOn bool, err error) {
	switch {
	case ev.StateKey != nil, e.opener == nil && ev.Type != room.TypeEncrypted:
		return ev, true, nil
	case e.opener == nil:
		return ev, false, e.inbox.Handled(ctx, ev.Event) // encryption was switched off meanwhile
	}
	now := time.Now()
	if e.waiting.blocked(ev, now) {
		return ev, false, nil
	}
	if ev.Type != room.TypeEncrypted {
		e.waiting.leave(ev)
		return ev, true, nil
	}
	if ev.Redacted {
		e.waiting.leave(ev)
		return ev, false, e.inbox.Handled(ctx, ev.Event)
	}
	opened, err = e.opener.Open(ctx, ev)
	end := e.waitEnd(ev)
	inVain := err != nil && !patient && ctx.Err() == nil && !errors.Is(err, context.Canceled) // the device may just have moved on
	switch {
	case errors.Is(err, invites.ErrNoKey) && now.Before(end) && e.waiting.wait(ev, now, end):
		return ev, false, nil
	case errors.Is(err, invites.ErrReplay):
		e.log.Warn().Err(err).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("Replayed event ignored")
		err = e.inbox.Handled(ctx, ev.Event)
	case errors.Is(err, invites.ErrNoKey), errors.Is(err, invites.ErrUnreadable), inVain:
		if err = e.unreadable(ctx, ev, err); err != nil && !e.opener.CaughtUp() {
			// Without the device nothing can be sent to an encrypted room. The event is opened again once the device is there.
			e.waiting.setAside(ev)
			return ev, false, nil
		}
	case err == nil:
		e.noteTold(ev.Room, false)
		row := events.Route(opened, e.bot)
		goOn = row.Opens && (row.Handler != events.ToCards || e.mayVote(opened))
		if !goOn {
			e.dropChat(ev.Event)
		}
	}
	if err == nil {
		e.waiting.leave(ev)
	}
	return opened, goOn, err
}

// catchUpTime is the shortest time for which an event waits for the device.
const catchUpTime = time.Minute

// waitEnd returns the time until which an event waits for its key. Until all keys from before the start have arrived, the event waits
// from the start on, but no longer: the device may never be set up.
func (e *EncryptedRooms) waitEnd(ev invites.Received) time.Time {
	if e.opener.CaughtUp() {
		return ev.ReceivedAt.Add(e.patience)
	}
	since := e.started
	if ev.ReceivedAt.After(since) {
		since = ev.ReceivedAt
	}
	return since.Add(max(e.patience, catchUpTime))
}

// mayVote reports whether an opened reaction is a vote by its key, and notes it if its card is open.
func (e *EncryptedRooms) mayVote(opened invites.Received) bool {
	card, key := commands.Reaction(opened.Raw)
	if _, votes := invites.ChoiceOf(key); !votes {
		return false
	}
	e.open.Vote(card, opened.Event)
	return true
}

// noteTold notes whether a room was told of an unreadable event, and reports whether it had been.
func (e *EncryptedRooms) noteTold(r id.RoomID, told bool) (before bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before = e.told[r]
	if told {
		e.told[r] = true
	} else {
		delete(e.told, r)
	}
	return before
}

// unreadable ends an unreadable event. It may have been a command, so its room gets one notice, and another only after a readable event.
// Users without permission get none.
func (e *EncryptedRooms) unreadable(ctx context.Context, ev invites.Received, cause error) error {
	e.log.Info().AnErr("cause", cause).Stringer("room", ev.Room).Stringer("event", ev.Event).Msg("Event can't be read")
	if e.runner.Level(ev.Sender) == commands.Nobody || e.noteTold(ev.Room, true) {
		return e.inbox.Handled(ctx, ev.Event)
	}
	err := e.replies.answer(ctx, ev, commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}, commands.Unreadable())
	if err != nil {
		e.noteTold(ev.Room, false)
	}
	return err
}

// Bounds of the time for which opened chat stays in the inbox, to share one commit.
const (
	dropPause = 2 * time.Second
	dropMany  = 100
)

// dropChat drops an opened event without a command from the inbox, a little later. If the event comes up again before that, it is opened
// again.
func (e *EncryptedRooms) dropChat(ev id.EventID) {
	e.mu.Lock()
	e.chat = append(e.chat, ev)
	n := len(e.chat)
	e.mu.Unlock()
	switch n {
	case 1:
		e.background.After(dropPause, e.dropAll)
	case dropMany:
		e.background.Do(e.dropAll)
	}
}

// dropAll drops the events from dropChat.
func (e *EncryptedRooms) dropAll(ctx context.Context) {
	e.mu.Lock()
	list := e.chat
	e.chat = nil
	e.mu.Unlock()
	if len(list) == 0 {
		return
	}
	if err := e.inbox.Dismiss(ctx, list); err != nil {
		e.log.Warn().Err(err).Int("events", len(list)).Msg("Opened chat not dropped")
	}
}

// errOff is the error of opening an event while encryption is off.
var errOff = errors.New("encryption is off")

// reopen opens an event again, encrypted or not. After an error, the returned event has its identifiers only.
func (e *EncryptedRooms) reopen(ctx context.Context, ev invites.Received) (invites.Received, error) {
	if ev.Type != room.TypeEncrypted {
		return ev, nil
	}
	bare := invites.Received{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}
	if e.opener == nil {
		return bare, errOff
	}
	opened, err := e.opener.Open(ctx, ev)
	if err != nil {
		return bare, fmt.Errorf("opening it again: %w", err)
	}
	return opened, nil
}

// openedInbox is the inbox for commands: its encrypted events are opened.
type openedInbox struct {
	Inbox
	encrypted *EncryptedRooms
}

// Received implements commands.Inbox. An event that can't be read counts as missing.
func (o openedInbox) Received(ctx context.Context, event id.EventID) (invites.Received, error) {
	ev, err := o.Inbox.Received(ctx, event)
	if err != nil {
		return ev, err
	}
	opened, err := o.encrypted.reopen(ctx, ev)
	for _, closed := range []error{errOff, invites.ErrNoKey, invites.ErrUnreadable, invites.ErrReplay} {
		if errors.Is(err, closed) {
			return opened, fmt.Errorf("%w: %w", invites.ErrNotFound, err)
		}
	}
	return opened, err
}

// command reads the message in an inbox event, encrypted or not. After an error it has the sender only.
func (e *EncryptedRooms) command(ctx context.Context, ev invites.Received) (commands.Message, error) {
	opened, err := e.reopen(ctx, ev)
	if err != nil {
		e.log.Warn().Err(err).Stringer("event", ev.Event).Msg("Command can't be opened again")
		return commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}, nil
	}
	return commands.Parse(opened)
}
