package chat

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/invites/welcome"
	"usher/room"
)

// WelcomeCases make the messages for people who came into a room.
type WelcomeCases interface {
	// Rooms lists the rooms with people to greet now.
	Rooms(ctx context.Context) ([]id.RoomID, error)
	// Next returns the next message of a room, nil where there is none for now.
	Next(ctx context.Context, r id.RoomID) (*welcome.Message, error)
	// Sent notes that a message was sent, or never can be. Failed has it tried again later.
	Sent(ctx context.Context, m *welcome.Message) error
	Failed(m *welcome.Message)
}

// DirectMaker makes direct chats.
type DirectMaker interface {
	// CreateDirect makes a direct chat with a user, encrypted or not, and invites them. Its create event names the user under mark.
	CreateDirect(ctx context.Context, user id.UserID, encrypted bool, mark string) (id.RoomID, error)
}

// directMark is the key by which the create event of a direct chat, made by the bot, names the other person.
const directMark = "chat.usher.direct"

// Welcomes greets people who came into a room.
type Welcomes struct {
	cases  WelcomeCases
	maker  DirectMaker
	direct *DirectChats
	state  RoomState
	runner *commands.Runner
	sender *Sender
	bot    id.UserID
	log    zerolog.Logger
}

// Bounds of one sweep: messages of one room, and the time for one.
const (
	welcomesAtOnce = 5
	welcomeTakes   = 20 * time.Second
)

// Sweep sends the messages that are due.
func (w *Welcomes) Sweep(ctx context.Context) {
	rooms, err := w.cases.Rooms(ctx)
	for _, r := range rooms {
		for range welcomesAtOnce {
			more, err := w.one(ctx, r)
			if err != nil && ctx.Err() == nil {
				w.log.Warn().Err(err).Stringer("room", r).Msg("Welcome not sent")
			}
			if err != nil || !more {
				break
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		w.log.Warn().Err(err).Msg("People to welcome can't be read")
	}
}

// one sends one message of a room, and reports whether there may be more.
func (w *Welcomes) one(ctx context.Context, r id.RoomID) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, welcomeTakes)
	defer cancel()
	m, err := w.cases.Next(ctx, r)
	if err != nil || m == nil {
		return false, err
	}
	if err := w.send(ctx, m); err != nil {
		w.cases.Failed(m)
		return false, err
	}
	return true, w.cases.Sent(ctx, m)
}

// send sends a message; one that is refused for good counts as sent.
func (w *Welcomes) send(ctx context.Context, m *welcome.Message) error {
	to, asker := m.Room, commands.Message{}
	if m.Direct {
		var err error
		asker.Sender = m.People[0].User
		if to, err = w.chatWith(ctx, asker.Sender); invites.Refused(err) {
			w.log.Info().Err(err).Stringer("user", asker.Sender).Msg("No welcome: there can be no direct chat")
			return nil
		} else if err != nil {
			return err
		}
	}
	txn := transaction(id.EventID(m.Room), fmt.Sprintf("welcome %d %d", m.Batch, m.Since.UnixMilli()))
	_, err := w.sender.say(ctx, to, txn, w.runner.Welcome(m), asker, "")
	return err
}

// chatWith returns a direct chat with a user, and makes one if there is none.
func (w *Welcomes) chatWith(ctx context.Context, user id.UserID) (id.RoomID, error) {
	for _, r := range w.direct.of(user) {
		snap, err := w.state.Snapshot(ctx, r, w.bot, []room.Key{room.MemberKey(user)}, false)
		if invites.UnlessUnseen(err) != nil {
			return "", err
		}
		if err != nil {
			continue
		}
		switch membership, known := snap.Membership(user); {
		case !known:
			return "", invites.ErrKept
		case membership == "join", membership == "invite":
			return r, nil
		}
	}
	made, err := w.maker.CreateDirect(ctx, user, w.sender.sealer != nil, directMark)
	if err != nil {
		return "", err
	}
	return made, w.direct.add(ctx, user, made)
}

// ownDirect keeps a direct chat that the bot made: the process may have ended before it knew of it.
func (m *Memberships) ownDirect(ctx context.Context, r id.RoomID) error {
	snap, err := m.state.Snapshot(ctx, r, m.self.Bot, []room.Key{{Type: room.TypeCreate}}, false)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	create, _ := snap.Event(room.Key{Type: room.TypeCreate})
	if create == nil || create.Sender != m.self.Bot {
		return nil
	}
	if with := exactjson.Text(create.Content, directMark); with != "" {
		return m.direct.add(ctx, id.UserID(with), r)
	}
	return nil
}
