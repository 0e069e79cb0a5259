package chat

import (
	"context"
	"fmt"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// Bounds of the commands that go on beside their lanes: how many at a time, with one of each person, and for how long a lane waits for one.
const (
	besideLanes  = 4
	lanePatience = 3 * time.Second
	answerComes  = 100 * time.Millisecond // between two looks whether the first answer is out
)

// bulk is the work for many people that goes on beside lanes.
type bulk struct {
	*CardDesk
	slots chan struct{}

	mu      sync.Mutex
	reading map[id.UserID]bool // people whose list is being read
	begun   map[int64]bool     // confirmed cards whose rows are being recorded
}

// newBulk makes a bulk.
func newBulk(d *CardDesk) *bulk {
	return &bulk{CardDesk: d, slots: make(chan struct{}, besideLanes), reading: map[id.UserID]bool{}, begun: map[int64]bool{}}
}

// claim notes a key of a set that mu guards, if it is not in it.
func claim[K comparable](mu *sync.Mutex, set map[K]bool, k K) (free func(), claimed bool) {
	mu.Lock()
	defer mu.Unlock()
	if set[k] {
		return nil, false
	}
	set[k] = true
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(set, k)
	}, true
}

// rest is the rest of a command, and its result.
type rest struct {
	run   func(context.Context) (commands.Reply, error)
	reply commands.Reply
	err   error
}

// try runs the rest. A panic becomes an answer.
func (d *bulk) try(ctx context.Context, ev invites.Received, r *rest) {
	defer func() {
		if cause := recover(); cause != nil {
			d.status.panicked(ev, cause)
			r.reply, r.err = commands.Panicked(), nil
		}
	}()
	r.reply, r.err = r.run(ctx)
}

// Beside implements commands.Chat.
func (d *bulk) Beside(ctx context.Context, ev invites.Received, run func(context.Context) (commands.Reply, error)) (reply commands.Reply, err error) {
	free, claimed := claim(&d.mu, d.reading, ev.Sender)
	if !claimed {
		reply.Mention = true
		reply.Text.Say("list.busy")
		return reply, nil
	}
	r, over := &rest{run: run}, make(chan struct{})
	d.status.background.Do(func(ctx context.Context) {
		defer free()
		defer close(over)
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
			d.try(ctx, ev, r)
		case <-ctx.Done():
			r.err = ctx.Err()
		}
	})
	patience := time.NewTimer(lanePatience)
	defer patience.Stop()
	select {
	case <-over:
		return r.reply, r.err
	case <-ctx.Done():
		return reply, ctx.Err()
	case <-patience.C:
	}
	d.status.background.Do(func(ctx context.Context) {
		select {
		case <-over:
			d.answerLate(ctx, ev, r)
		case <-ctx.Done():
		}
	})
	reply.Progress = true
	reply.Text.Say("list.reading")
	return reply, nil
}

// answerLate puts the answer of a command that went on beside its lane in the place of the first one. At shutdown, the next start runs the
// command again.
func (d *bulk) answerLate(ctx context.Context, ev invites.Received, r *rest) {
	defer d.status.recoverPanic(ev)
	start, pause := time.Now(), firstPause
	for r.err != nil {
		if time.Since(start) > patience {
			d.log.Err(r.err).Stringer("event", ev.Event).Msg("Command given up")
			r.reply, r.err = commands.Failed(), nil
			break
		}
		d.log.Warn().Err(r.err).Stringer("event", ev.Event).Msg("Command goes on later")
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, lastPause)
		d.try(ctx, ev, r)
	}
	for { // the lane sends the first answer
		now, err := d.status.inbox.Received(ctx, ev.Event)
		if err == nil && (now.Answer != "" || now.Handled) {
			break
		}
		if !sleep(ctx, answerComes) {
			return
		}
	}
	err := d.status.conclude(ctx, ev.Event, r.reply, false, false)
	if err == nil && r.reply.Progress {
		err = d.postOf(ctx, ev.Event)
	}
	if err != nil { // a card that is not shown yet is shown by the sweep
		d.log.Warn().Err(err).Stringer("event", ev.Event).Msg("Answer not sent")
	}
}

// sleep waits, and reports whether ctx lasted.
func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// forMany reports whether a card confirms a request for many people, which takes longer to begin than a lane may wait.
func forMany(c invites.Card) bool {
	return c.Kind == invites.CardConfirm && c.Action == room.Invite && c.State == invites.CardAccepted && !c.Told
}

// begin carries out a confirmed request for many people beside the lane, once at a time. After an error the sweep begins again.
func (d *bulk) begin(c invites.Card) {
	free, claimed := claim(&d.mu, d.begun, c.ID)
	if !claimed {
		return
	}
	d.status.background.Do(func(ctx context.Context) {
		defer free()
		defer d.status.recoverPanic(invites.Received{})
		if err := d.carryOut(ctx, c); err != nil && ctx.Err() == nil {
			d.log.Warn().Err(err).Int64("card", c.ID).Msg("Request for many people not begun yet")
		}
	})
}

// carryOut records the rows of a request, and then tells how it stands.
func (d *bulk) carryOut(ctx context.Context, c invites.Card) error {
	if err := d.offer(ctx, c.ShownIn, c.Event, invites.ReactPause); err != nil {
		return err
	}
	if _, err := d.cases.CarryOut(ctx, c); err != nil {
		return err
	}
	if err := d.store.ToldCard(ctx, c.ID); err != nil { // from now on the rows are all there is to do
		return err
	}
	return d.status.report(ctx, c.Command, settled)
}

// offer puts a reaction on a message, for people to press.
func (d *CardDesk) offer(ctx context.Context, r id.RoomID, on id.EventID, key string) error {
	content := &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: on, Key: key}}
	_, err := d.sender.send(ctx, r, transaction(on, key), room.TypeReaction, content)
	return err
}

// sendOutcomes sends the file with the outcome of each person of a command.
func (s *StatusMessages) sendOutcomes(ctx context.Context, ev invites.Received, m commands.Message) error {
	sender := s.replies.sender
	o := commands.NewOutcomes(sender.worded(ctx, ev.Room, commands.Reply{}, m.Sender).Lang)
	if err := s.requests.EachOutcome(ctx, ev.Event, o.Add); err != nil {
		return fmt.Errorf("reading outcomes: %w", err)
	}
	return sender.attachFile(ctx, ev, m, commands.Attachment{Name: "invitations.csv", Type: "text/csv", Data: o.File()})
}
