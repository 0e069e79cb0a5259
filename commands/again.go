package commands

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Inbox is the commands' port to the events kept by the intake.
type Inbox interface {
	// Received returns an event, or invites.ErrNotFound.
	Received(ctx context.Context, event id.EventID) (invites.Received, error)
	// SetAnswer notes the answer to an event; of a failed command, the edit which ran instead. A redaction of the event then also
	// redacts the edit.
	SetAnswer(ctx context.Context, event, answer id.EventID) error
}

// again reports whether an edit may run, and notes it, so no other edit of the same message runs. Its sender must be the author of the
// message, which must have been a command which failed before it did anything, and not longer ago than commands may be old.
func (r *Runner) again(ctx context.Context, ev invites.Received, m Message) (bool, error) {
	if r.Inbox == nil {
		return false, nil
	}
	first, err := r.Inbox.Received(ctx, m.Edits)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	if err != nil || first.Sender != ev.Sender || first.Room != ev.Room || first.Redacted || first.Answer != "" && first.Answer != ev.Event ||
		r.Age.Max > 0 && ev.SentAt.Sub(first.SentAt) > r.Age.Max {
		return false, err
	}
	if failed, err := r.failed(ctx, first); !failed || err != nil {
		return false, err
	}
	return true, r.Inbox.SetAnswer(ctx, first.Event, ev.Event)
}

// failed reports whether a message was a command without effect: it could not be read, or it was refused before anything was recorded.
func (r *Runner) failed(ctx context.Context, ev invites.Received) (bool, error) {
	m, err := parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
	if err != nil || m.Edits != "" || m.kind != "m.text" && (m.File == nil || m.Text == "") {
		return false, nil
	}
	g, ok := r.given(m)
	if !ok {
		return false, nil
	}
	command := r.find(g.name)
	if command == nil || g.spaced {
		reply := r.unknown(g)
		return !reply.Empty(), nil
	}
	c := r.newCall(ev, m, command)
	if _, refused := c.refuse(); refused {
		return false, nil
	}
	if err := c.read(g); err != nil {
		return true, nil
	}
	if c.help || !c.form.Records || c.has("dry-run") {
		return false, nil
	}
	begun, err := r.Requests.Begun(ctx, ev.Event)
	return !begun, err
}
