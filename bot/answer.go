package bot

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/events"
	"usher/exactjson"
	"usher/invites"
	"usher/loop"
	"usher/room"
)

// How long a command that meets internal trouble is tried again before it is answered as failed.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	patience   = 10 * time.Minute
)

// handle brings one event of a lane to its end. What can't be ended, because the store or the homeserver is down, is tried
// again, so that the room's order holds; at shutdown it stays in the inbox.
func (b *bot) handle(ctx context.Context, ev invites.Received) {
	started := time.Now()
	b.metrics.LaneWait(started.Sub(ev.ReceivedAt))
	defer b.admitted.Delete(ev.Event)
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ; {
		// Without its token the bot can do nothing, so it begins nothing.
		if b.client.AwaitToken(ctx) != nil {
			return
		}
		err := b.once(ctx, ev, time.Since(started) < patience)
		if err == nil {
			return
		}
		wait := pause.Next()
		if under := new(invites.UnderWayError); errors.As(err, &under) {
			wait = time.Until(under.Until) + time.Millisecond
		} else {
			b.log.Err(err).Stringer("room", ev.Room).Stringer("event", ev.Event).Dur("again_in", wait).Msg("an event could not be handled")
		}
		if !loop.Sleep(ctx, wait) {
			return
		}
	}
}

// once tries to handle an event. An error means that it should be tried again.
func (b *bot) once(ctx context.Context, ev invites.Received, patient bool) error {
	defer b.survive(ev)
	now, err := b.port.Received(ctx, ev.Event)
	if errors.Is(err, invites.ErrNotFound) || now.Handled {
		b.sealed.parking.leave(ev)
		return nil
	} else if err != nil {
		return err
	}
	was := now.Type
	now, goOn, err := b.open(ctx, now, patient)
	if err != nil || !goOn {
		return err
	}
	m, reply, err := b.dispatch(ctx, now)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil && patient {
		return err
	}
	if err != nil {
		b.log.Err(err).Stringer("event", ev.Event).Msg("a command is given up")
		reply = commands.Failed()
	}
	if was == room.TypeEncrypted && now.Type == room.TypeMessage && reply.Empty() {
		b.dismiss(ev.Event)
		return nil
	}
	if err := b.answer(ctx, now, m, reply); err != nil || !reply.Progress {
		return err
	}
	if err := b.postCards(ctx, ev.Event); err != nil {
		return err
	}
	// The queue may have finished before there was a message to edit.
	return b.report(ctx, ev.Event, finished)
}

// dispatch runs an event, and turns a panic into an answer: the next event works.
func (b *bot) dispatch(ctx context.Context, ev invites.Received) (m commands.Message, reply commands.Reply, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			b.panicked(ev, cause)
			m = commands.Message{Event: ev.Event, Room: ev.Room, Sender: ev.Sender}
			reply, err = commands.Panicked(), nil
		}
	}()
	switch events.Route(ev, b.self.Bot).Handler {
	case events.ToCommands:
		return b.runner.Dispatch(ctx, ev)
	case events.ToCards:
		if voted, err := b.voted(ctx, ev); voted || err != nil {
			return m, reply, err
		}
		err = b.decide(ctx, ev)
	case events.ToRedacted:
		err = b.removed(ctx, ev) // the inbox has marked the redacted command
	case events.ToOwn:
		err = b.own(ctx, ev)
	case events.ToKnocks:
		err = b.knocked(ctx, ev, exactjson.Text(ev.Raw, "content", "reason"))
	case events.ToGuard:
		if b.guard.Watches(ev.Room) {
			err = b.guard.Handle(ctx, ev)
		}
	case events.ToLevels:
		err = b.releveled(ctx, ev)
	case events.ToPolicy:
		err = b.policyChanged(ctx, ev)
	case events.ToSpaces:
		err = b.related(ctx, ev)
	case events.ToFollow:
		err = b.follow(ctx, ev)
	}
	return m, reply, err
}

// answer sends a reply, and ends the event unless work goes on that the answer is to tell of. Transaction ids come from the
// event's id, so that an answer sent again after a crash is the same answer.
func (b *bot) answer(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	if allowed, tell := b.mayAnswer(ev, reply); !allowed {
		b.metrics.Limited("answer")
		if reply = (commands.Reply{}); tell {
			reply = commands.Quiet()
		}
	}
	if content := reply.Reaction(m); content != nil {
		if _, err := b.send(ctx, ev.Room, transaction(ev.Event, "reaction"), room.TypeReaction, content); err != nil {
			return err
		}
	}
	if !reply.Text.Empty() {
		if err := b.tell(ctx, ev, m, reply); err != nil {
			return err
		}
	}
	if reply.Image != nil {
		if err := b.attach(ctx, ev, m, reply); err != nil {
			return err
		}
	}
	if reply.Progress || reply.Card {
		return nil
	}
	if ev.Answer != "" {
		b.cards.Close(ev.Answer)
		return b.port.Handled(ctx, ev.Event) // the queue's workers look whether somebody has told already
	}
	b.end(ev.Event)
	return nil
}

// end notes beside the lane that an event's reply is out: nothing waits for that, and in company it shares a commit. Should
// a crash come first, the next start sends the same answer, under the same transaction id.
func (b *bot) end(event id.EventID) {
	b.ending.Go(func() {
		if err := b.port.Handled(context.WithoutCancel(b.ctx), event); err != nil {
			b.log.Warn().Err(err).Stringer("event", event).Msg("answered, but the next start does not know and answers again")
		}
	})
}

// tell sends the notice of a reply, or edits the one that stands already.
func (b *bot) tell(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	if ev.Answer != "" && reply.Card {
		b.await(ev, ev.Answer) // after a restart: what it says counts
		return nil
	}
	if ev.Answer != "" {
		what := reply.Text.String()
		if reply.Progress {
			what += time.Now().String() // it may say again what it said before
		}
		_, err := b.send(ctx, ev.Room, transaction(ev.Event, what), room.TypeMessage, reply.Edit(m, ev.Answer))
		return err
	}
	answer, err := b.send(ctx, ev.Room, transaction(ev.Event, "notice"), room.TypeMessage, reply.Notice(m))
	if err != nil || !(reply.Progress || reply.Card) {
		return err
	}
	if answer == "" {
		return b.port.Handled(ctx, ev.Event) // there will be nothing to edit
	}
	if reply.Progress {
		b.progress.due(ev.Event, time.Now()) // it says what is so now: the first edit has time
	}
	if err := b.store.SetAnswer(ctx, ev.Event, answer); err != nil || !reply.Card {
		return err
	}
	b.await(ev, answer)
	return nil
}

// send sends an event, encrypted where the room is. A homeserver that will not take it, because the bot may not speak there, is logged and not asked again.
func (b *bot) send(ctx context.Context, r id.RoomID, txn, kind string, content any) (id.EventID, error) {
	kind, content, err := b.seal(ctx, r, kind, content)
	if errors.Is(err, errMute) {
		return "", nil
	}
	var sent id.EventID
	if err == nil {
		sent, err = b.client.Send(ctx, r, txn, kind, content)
	}
	if invites.Unseen(err) {
		b.log.Warn().Err(err).Stringer("room", r).Msg("the room does not let me answer")
		return "", nil
	}
	return sent, err
}

// transaction derives a transaction id from the event that is answered and what the answer is.
func transaction(event id.EventID, what string) string {
	sum := sha256.Sum256([]byte(event.String() + "\x00" + what))
	return "usher-" + base64.RawURLEncoding.EncodeToString(sum[:15])
}
