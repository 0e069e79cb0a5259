package chat

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// editPause is the least time between two edits of one status message, except for the last edit.
const editPause = 2 * time.Second

// editTimes keeps when status messages were edited.
type editTimes struct {
	mu     sync.Mutex
	edited map[id.EventID]time.Time // by command
	soon   map[id.EventID]bool      // commands with an edit ahead, when a pause is over
}

// newEditTimes makes an editTimes.
func newEditTimes() *editTimes {
	return &editTimes{edited: map[id.EventID]time.Time{}, soon: map[id.EventID]bool{}}
}

// schedule reports whether a command's next edit was not scheduled yet, and counts it as scheduled.
func (e *editTimes) schedule(command id.EventID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.soon[command] {
		return false
	}
	e.soon[command] = true
	return true
}

// begin ends the waiting of a scheduled edit.
func (e *editTimes) begin(command id.EventID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.soon, command)
}

// due reports whether a message was not edited a moment ago, and counts it as edited now.
func (e *editTimes) due(command id.EventID, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.edited[command]) < editPause {
		return false
	}
	e.edited[command] = now
	return true
}

// forget forgets when a command's message was edited.
func (e *editTimes) forget(command id.EventID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.edited, command)
}

// striped is a set of locks, among which each command has one.
type striped [64]sync.Mutex

// of returns the lock of a command.
func (s *striped) of(command id.EventID) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(command))
	return &s[h.Sum32()%uint32(len(s))]
}

// StatusInbox is the part of the store for status messages.
type StatusInbox interface {
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
	// Inviting reports whether a command has open rows.
	Inviting(ctx context.Context, command id.EventID) (bool, error)
	// Answered returns the event with an answer that is still edited, or ErrNotFound.
	Answered(ctx context.Context, answer id.EventID) (invites.Received, error)
}

// Progress tells how a command stands, and steers it.
type Progress interface {
	Standing(ctx context.Context, command id.EventID) (invites.Standing, error)
	// EachOutcome hands the rows of a command to f.
	EachOutcome(ctx context.Context, command id.EventID, f func(invites.Change)) error
	// Steer pauses, resumes or stops a command, and reports whether the user may wish that.
	Steer(ctx context.Context, user id.UserID, command id.EventID, wish invites.Choice) (bool, error)
}

// Delivery carries rows out.
type Delivery interface {
	// Deliver makes one attempt at each of some rows.
	Deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error)
}

// Token tells whether the homeserver refuses the bot's token.
type Token interface{ TokenRefused() bool }

// StatusMessages keeps the messages with the progress of commands. The queue calls Deliver.
type StatusMessages struct {
	*ender
	inbox     StatusInbox
	delivery  Delivery
	requests  Progress
	token     Token
	replies   *Replies
	encrypted *EncryptedRooms
	edits     *editTimes
	log       zerolog.Logger
	reporting striped
}

// refusedPause is how long a row is left alone while the homeserver refuses the bot's token.
const refusedPause = 15 * time.Second

// occasion is why a status message might be edited.
type occasion int

const (
	settled  occasion = iota // a row was settled: edit now and then
	delayed                  // a row has to wait: edit at once, or as soon as an edit is due
	finished                 // edit only if nothing is open any more
	decided                  // a reply told the verdict on a row: edit now and then
)

// Deliver makes one attempt at each row and edits the status message of each command.
func (s *StatusMessages) Deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error) {
	if s.token.TokenRefused() {
		later := invites.Outcome{Status: invites.StatusOpen, At: time.Now().Add(refusedPause)}
		return slices.Repeat([]invites.Outcome{later}, len(rows)), nil // begin nothing
	}
	outcomes, err := s.delivery.Deliver(ctx, rows...)
	if err != nil {
		return nil, err
	}
	s.Delivered(ctx, outcomes)
	return outcomes, nil
}

// Delivered edits the status messages of the commands of some attempts. It implements delivery.Beside.
func (s *StatusMessages) Delivered(ctx context.Context, outcomes []invites.Outcome) {
	occasions := map[id.EventID]occasion{}
	for _, outcome := range outcomes {
		switch outcome.Status {
		case "":
		case invites.StatusOpen:
			occasions[outcome.Command] = delayed
		default:
			occasions[outcome.Command] = max(occasions[outcome.Command], settled)
		}
	}
	for command, why := range occasions {
		s.reportOrRetry(ctx, command, why, editPause)
	}
}

// reportOrRetry reports, and again after a pause if the report fails: it may be the last one of the command.
func (s *StatusMessages) reportOrRetry(ctx context.Context, command id.EventID, why occasion, pause time.Duration) {
	if err := s.report(ctx, command, why); err != nil {
		s.log.Warn().Err(err).Stringer("event", command).Dur("again_in", pause).Msg("Status message not edited")
		s.edits.forget(command) // the message was not edited
		s.reportLater(pause, command)
	}
}

// reportLater reports when a pause is over. Of many waiting rows, the first is reported at once, and the others together.
func (s *StatusMessages) reportLater(pause time.Duration, command id.EventID) {
	if !s.edits.schedule(command) {
		return
	}
	s.background.After(pause, func(ctx context.Context) {
		s.edits.begin(command)
		s.reportOrRetry(ctx, command, delayed, min(2*pause, lastPause))
	})
}

// Do runs a job beside its caller. It implements delivery.Beside.
func (s *StatusMessages) Do(job func(context.Context)) {
	s.background.Do(func(ctx context.Context) {
		defer s.recoverPanic(invites.Received{})
		job(ctx)
	})
}

// worthwhile reports whether to edit the message now. To read all rows of a command after each of them would take longer than to invite
// everybody.
func (s *StatusMessages) worthwhile(ctx context.Context, command id.EventID, why occasion) (bool, error) {
	switch {
	case why != finished && s.edits.due(command, time.Now()):
		return true, nil
	case why == delayed:
		s.reportLater(editPause, command)
		return false, nil
	}
	more, err := s.inbox.Inviting(ctx, command)
	if more && (why == settled || why == decided) {
		s.reportLater(editPause, command)
	}
	return !more && err == nil, err
}

// report edits a command's status message to the state of its rows. When no row is open any more, the event is ended.
func (s *StatusMessages) report(ctx context.Context, command id.EventID, why occasion) error {
	defer s.recoverPanic(invites.Received{Event: command})
	if now, err := s.worthwhile(ctx, command, why); err != nil || !now {
		return err
	}
	st, err := s.requests.Standing(ctx, command)
	if err != nil || len(st.Rows)+len(st.Counts) == 0 {
		return err
	}
	if !st.More() {
		s.edits.forget(command)
	}
	// One report at a time: two deliveries which finish together don't both send the last one.
	lock := s.reporting.of(command)
	lock.Lock()
	defer lock.Unlock()
	if st.Counts != nil {
		return s.conclude(ctx, command, commands.BulkOutcome(st, time.Now()), true, false)
	}
	reply := commands.Outcome(st.Rows, time.Now())
	if reply.Text.Empty() {
		reply.Text.Say("progress.all", "n", len(st.Rows))
	}
	return s.conclude(ctx, command, reply, len(st.Rows) > manyRows, why == decided)
}

// Work of more rows than manyRows, or longer than longWork, has its end told by a new reply: an edit notifies nobody, and of a large room the
// edited message is out of sight.
const (
	manyRows = 10
	longWork = time.Minute
)

// endAnew tells the end of long work by a new reply, which notifies the asker, and returns the last edit of the status message. With told,
// another message has told the end.
func (s *StatusMessages) endAnew(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply, told bool) (commands.Reply, error) {
	if !told {
		end := reply
		end.Mention, end.Aloud = true, true
		if _, err := s.replies.sender.say(ctx, ev.Room, transaction(ev.Event, "end"), end, m, ""); err != nil {
			return reply, err
		}
		if reply.Outcomes {
			if err := s.sendOutcomes(ctx, ev, m); err != nil {
				return reply, err
			}
		}
	}
	return commands.EndedBelow(reply), nil
}

// conclude edits a command's status message, and ends the command unless the reply is to be edited again. See endAnew for many and told.
func (s *StatusMessages) conclude(ctx context.Context, command id.EventID, reply commands.Reply, many, told bool) error {
	ev, err := s.inbox.Received(ctx, command)
	if err != nil || ev.Answer == "" || ev.Handled {
		return invites.UnlessNone(err) // there is no message to edit, or not yet: the lane has answered, or is about to
	}
	m, err := s.encrypted.command(ctx, ev)
	if err != nil {
		return err
	}
	if !reply.Progress && (told || many || time.Since(ev.ReceivedAt) > longWork) {
		if reply, err = s.endAnew(ctx, ev, m, reply, told); err != nil {
			return err
		}
	}
	return s.replies.answer(ctx, ev, m, reply)
}
