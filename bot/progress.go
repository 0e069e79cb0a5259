package bot

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// editPause is the least time between two edits of one status message, save the last.
const editPause = 2 * time.Second

// progress keeps the status messages of commands whose work goes on in the queue.
type progress struct {
	mu     sync.Mutex
	edited map[id.EventID]time.Time // when a command's message was last edited
	soon   map[id.EventID]bool      // to be edited when editPause is over
}

// schedule reports whether a command's next edit was not scheduled yet.
func (p *progress) schedule(command id.EventID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.soon[command] {
		return false
	}
	if p.soon == nil {
		p.soon = map[id.EventID]bool{}
	}
	p.soon[command] = true
	return true
}

// begin ends the waiting of a scheduled edit.
func (p *progress) begin(command id.EventID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.soon, command)
}

// due reports whether a message was not edited a moment ago, and counts it as edited now.
func (p *progress) due(command id.EventID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.edited[command]) < editPause {
		return false
	}
	if p.edited == nil {
		p.edited = map[id.EventID]time.Time{}
	}
	p.edited[command] = now
	return true
}

// over forgets when a command's message was edited.
func (p *progress) over(command id.EventID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.edited, command)
}

// striped is a set of locks, among which each command has one.
type striped [64]sync.Mutex

// of returns the lock of a command.
func (s *striped) of(command id.EventID) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(command))
	return &s[h.Sum32()%uint32(len(s))]
}

// refusedPause is how long a row is left alone while the homeserver refuses the bot's token.
const refusedPause = 15 * time.Second

// occasion is why a status message might be edited.
type occasion int

const (
	settled  occasion = iota // a row was settled: say so now and then
	delayed                  // a row has to wait: say so at once, or as soon as an edit is due
	finished                 // only if nothing is open any more
)

// deliver is what the queue calls: one attempt at each row, and word of them, once for each command.
func (b *bot) deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error) {
	if b.client.TokenRefused() {
		later := invites.Outcome{Status: invites.StatusOpen, At: time.Now().Add(refusedPause)}
		return slices.Repeat([]invites.Outcome{later}, len(rows)), nil // begin nothing
	}
	outcomes, err := b.domain.delivery.Deliver(ctx, rows...)
	if err != nil {
		return nil, err
	}
	why := map[id.EventID]occasion{}
	for _, outcome := range outcomes {
		switch outcome.Status {
		case "":
		case invites.StatusOpen:
			why[outcome.Command] = delayed
		default:
			why[outcome.Command] = max(why[outcome.Command], settled)
		}
	}
	for command, occasion := range why {
		b.tellOf(ctx, command, occasion, editPause)
	}
	return outcomes, nil
}

// tellOf reports. Where that fails it is tried again after a pause: it may be the last word on the command.
func (b *bot) tellOf(ctx context.Context, command id.EventID, why occasion, pause time.Duration) {
	if err := b.report(ctx, command, why); err != nil && b.ctx.Err() == nil {
		b.log.Warn().Err(err).Stringer("event", command).Dur("again_in", pause).Msg("the status message could not be edited")
		b.progress.over(command) // it was not edited
		b.tellAfter(pause, command)
	}
}

// tellAfter reports when a pause is over: of many rows that have to wait, the first is told of at once, and the others together.
func (b *bot) tellAfter(pause time.Duration, command id.EventID) {
	if !b.progress.schedule(command) {
		return
	}
	time.AfterFunc(pause, func() {
		b.progress.begin(command)
		if b.ctx.Err() == nil {
			b.tellOf(b.ctx, command, delayed, min(2*pause, lastPause))
		}
	})
}

// worthwhile reports whether there is to be said now what a command's rows show. To read them all after each of them would
// take longer than to invite everybody.
func (b *bot) worthwhile(ctx context.Context, command id.EventID, why occasion) (bool, error) {
	switch {
	case why != finished && b.progress.due(command, time.Now()):
		return true, nil
	case why == delayed:
		b.tellAfter(editPause, command)
		return false, nil
	}
	more, err := b.store.Inviting(ctx, command)
	if more && why == settled {
		b.tellAfter(editPause, command)
	}
	return !more && err == nil, err
}

// report edits a command's status message to what its rows show. When nothing is open any more, the event is ended.
func (b *bot) report(ctx context.Context, command id.EventID, why occasion) error {
	defer b.survive(invites.Received{Event: command})
	if now, err := b.worthwhile(ctx, command, why); err != nil || !now {
		return err
	}
	rows, err := b.domain.requests.Progress(ctx, command)
	if err != nil || len(rows) == 0 {
		return err
	}
	more := slices.ContainsFunc(rows, func(row invites.Change) bool {
		return row.Status == invites.StatusOpen || row.Status == invites.StatusWaiting
	})
	if !more {
		b.progress.over(command)
	}
	// One report at a time, so that two deliveries which finish together don't both send the last one.
	lock := b.reporting.of(command)
	lock.Lock()
	defer lock.Unlock()
	ev, err := b.store.Received(ctx, command)
	if errors.Is(err, invites.ErrNotFound) {
		return nil // no message asked for it
	}
	if err != nil || ev.Answer == "" || ev.Handled {
		return err // nobody waits for word: the lane has answered, or is about to
	}
	m, err := b.message(ctx, ev)
	if err != nil {
		return err
	}
	reply := commands.Outcome(rows, time.Now())
	if reply.Text.Empty() {
		reply.Text.Say("progress.all", "n", len(rows))
	}
	return b.answer(ctx, ev, m, reply)
}
