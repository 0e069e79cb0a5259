package chat

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/events"
	"usher/invites"
	"usher/room"
)

// Pauses of an event after trouble inside, and how long it is tried.
const (
	firstPause     = time.Second
	lastPause      = 30 * time.Second
	lastLimit      = 5 * time.Minute        // longest pause that the homeserver may ask for
	soon           = 30 * time.Second       // then trouble is logged as an error
	patience       = 10 * time.Minute       // then a command is answered as failed
	answerPatience = time.Hour              // then an event ends without its answer
	tokenPause     = time.Second            // while the homeserver refuses the bot's token
	freshFor       = 100 * time.Millisecond // then a new event is read from the inbox, which knows of its redaction
)

// Received returns an event as the inbox has it by now.
type Received interface {
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
}

// Handler handles the events of lanes: it opens an event, calls the part for its type, and sends the reply.
type Handler struct {
	*ender
	inbox     Received
	token     Token
	bot       id.UserID
	runner    *commands.Runner
	limits    *Limits
	encrypted *EncryptedRooms
	replies   *Replies
	status    *StatusMessages
	cards     *CardDesk
	members   *Memberships
	rooms     *Rooms
	log       zerolog.Logger
}

// Handle implements EventHandler. While the store or the homeserver is down, the event is handled again, to keep the order of its lane.
// At shutdown it stays in the inbox.
func (h *Handler) Handle(ctx context.Context, turn *Turn) (again time.Time) {
	ev, now := turn.Event, time.Now()
	if h.token.TokenRefused() { // the bot can do nothing, so it begins nothing
		return now.Add(tokenPause)
	}
	tried := now.Sub(turn.Since)
	err := h.once(ctx, turn, tried < patience)
	if errors.Is(err, errInTurn) {
		return now
	}
	if turn.Tries == 0 {
		h.counters.LaneWait(now.Sub(ev.ReceivedAt))
	}
	if err == nil {
		h.limits.over(ev.Event)
		return time.Time{}
	}
	log := h.log.With().Stringer("room", ev.Room).Stringer("event", ev.Event).Logger()
	if under := new(invites.UnderWayError); errors.As(err, &under) {
		return under.Until.Add(time.Millisecond)
	}
	if tried > answerPatience && ctx.Err() == nil && h.ender.inbox.Handled(ctx, ev.Event) == nil {
		log.Err(err).Msg("Event given up")
		h.limits.over(ev.Event)
		return time.Time{}
	}
	pause := min(firstPause<<min(turn.Tries, 10), lastPause)
	if wait, limited := invites.Limited(err); limited {
		pause = max(pause, min(wait, lastLimit))
	}
	level := zerolog.WarnLevel // most such trouble is over at once
	if tried > soon {
		level = zerolog.ErrorLevel
	}
	log.WithLevel(level).Err(err).Dur("again_in", pause).Msg("Event handled again")
	return now.Add(pause)
}

// errInTurn says that an event has to wait for events before it in its lane.
var errInTurn = errors.New("waits for the events before it")

// once tries to handle an event. After an error, the event is to be handled again.
func (h *Handler) once(ctx context.Context, turn *Turn, patient bool) error {
	ev := turn.Event
	defer h.recoverPanic(ev)
	if h.over(ev.Event) {
		return nil
	}
	now, err := h.content(ctx, turn)
	if errors.Is(err, invites.ErrNotFound) || now.Handled {
		h.waiting.leave(ev)
		return nil
	} else if err != nil {
		return err
	}
	arrived := now.Type
	now, goOn, err := h.encrypted.openEvent(ctx, now, patient)
	if err != nil || !goOn {
		return err
	}
	m, reply, err := h.dispatch(ctx, turn, now)
	if err != nil && (patient || ctx.Err() != nil || errors.Is(err, errInTurn)) {
		return err
	}
	if err != nil {
		h.log.Err(err).Stringer("event", ev.Event).Msg("Command given up")
		reply = commands.Failed()
	}
	if arrived == room.TypeEncrypted && now.Type == room.TypeMessage && reply.Empty() && !reply.Progress {
		h.encrypted.dropChat(ev.Event)
		return nil
	}
	if err := h.replies.answer(ctx, now, m, reply); err != nil || !reply.Progress {
		return err
	}
	if err := h.cards.postOf(ctx, ev.Event); err != nil {
		return err
	}
	// The queue may have finished before there was a message to edit.
	return h.status.report(ctx, ev.Event, finished)
}

// content returns an event as the inbox has it by now. An event that has just come from the intake is not read again.
func (h *Handler) content(ctx context.Context, turn *Turn) (invites.Received, error) {
	ev := turn.Event
	turn.Event.Raw = nil
	if age := time.Since(ev.ReceivedAt); len(ev.Raw) > 0 && age >= 0 && age < freshFor {
		return ev, nil
	}
	return h.inbox.Received(ctx, ev.Event)
}

// dispatch runs an event, and turns a panic into an answer: the next event works. Each event has all of its room to itself, except
// commands on different users.
func (h *Handler) dispatch(ctx context.Context, turn *Turn, ev invites.Received) (m commands.Message, reply commands.Reply, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			h.panicked(ev, cause)
			m = commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}
			reply, err = commands.Panicked(), nil
		}
	}()
	handler := events.Route(ev, h.bot).Handler
	if handler == events.ToCommands {
		m, call, reply, err := h.runner.Read(ctx, ev)
		if err != nil || call == nil {
			return m, reply, err
		}
		if !turn.Beside(call.Touches(ctx)) {
			return m, reply, errInTurn
		}
		reply, err = call.Run(ctx)
		return m, reply, err
	}
	if !turn.Beside(nil, true) {
		return m, reply, errInTurn
	}
	switch handler {
	case events.ToCards:
		err = h.cards.react(ctx, ev)
	case events.ToRedacted:
		err = errors.Join(h.cards.redact(ctx, ev), redacted(ctx, h.rooms, ev)) // the inbox has marked the redacted command
	case events.ToOwn:
		err = h.members.handle(ctx, ev)
	case events.ToKnocks:
		err = h.cards.knocked(ctx, ev)
	case events.ToGuard:
		err = h.rooms.guarded(ctx, ev)
	case events.ToLevels:
		err = h.rooms.recheckLevels(ctx, ev)
	case events.ToPolicy:
		err = h.rooms.policyChanged(ctx, ev)
	case events.ToSpaces:
		err = h.rooms.recheckSpace(ctx, ev)
	case events.ToInbound:
		m = commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}
		reply, err = h.runner.InboundChanged(ctx, ev)
	case events.ToReread:
		err = h.members.reread(ctx, ev)
	case events.ToFollow:
		err = h.members.follow(ctx, ev)
	}
	return m, reply, err
}
