package chat

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// Answers is the part of the inbox for answered events.
type Answers interface {
	// Handled ends events.
	Handled(ctx context.Context, events ...id.EventID) error
	// SetAnswer keeps the answer to an event, to be edited later.
	SetAnswer(ctx context.Context, event, answer id.EventID) error
}

// Replies sends the replies to events.
type Replies struct {
	*ender
	inbox  Answers
	sender *Sender
	limits *Limits
	edits  *editTimes
	open   OpenCards // status messages, too: a ❌ on one stops the command
}

// answer sends a reply, and ends the event unless the reply is to be edited later. Transaction ids come from the event's id: an
// answer sent again after a crash is the same answer.
func (a *Replies) answer(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	if allowed, tell := a.limits.mayAnswer(ev, reply); !allowed {
		if reply = (commands.Reply{}); tell {
			reply = commands.Quiet()
		}
	}
	reacted, err := a.react(ctx, ev, m, reply)
	if err != nil {
		return err
	}
	if !reacted && reply.Text.Empty() && reply.Image == nil && reply.React != "" {
		reply = reply.InWords() // the room takes no reactions
	}
	if !reply.Text.Empty() {
		if err := a.notice(ctx, ev, m, reply); err != nil {
			return err
		}
	}
	if reply.Image != nil {
		if err := a.sender.attach(ctx, ev, m, reply); err != nil {
			return err
		}
	}
	if reply.Progress {
		if ev.Answer != "" {
			a.open.Open(ev.Answer) // after a restart, before anything is edited
		}
		return nil
	}
	if ev.Answer != "" {
		return a.inbox.Handled(ctx, ev.Event) // at once: the workers of the queue look whether the last edit is out
	}
	a.end(ev.Event)
	return nil
}

// react sends the reaction of a reply, and reports whether the room took one.
func (a *Replies) react(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) (reacted bool, err error) {
	content := reply.Reaction(m)
	if content == nil {
		return false, nil
	}
	_, reacted, err = a.sender.try(ctx, ev.Room, transaction(ev.Event, "reaction"), room.TypeReaction, content)
	return reacted, err
}

// notice sends the notice of a reply, or edits the earlier one.
func (a *Replies) notice(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	if ev.Answer != "" {
		part := reply.Text.String()
		if reply.Progress {
			part += time.Now().String() // a later edit may have the same text as an earlier one
		}
		if reply.Progress {
			a.open.Open(ev.Answer)
		} else {
			a.open.Close(ev.Answer)
		}
		_, err := a.sender.say(ctx, ev.Room, transaction(ev.Event, part), reply, m, ev.Answer)
		return err
	}
	answer, taken, err := a.sender.try(ctx, ev.Room, transaction(ev.Event, "notice"), room.TypeMessage, a.sender.worded(ctx, ev.Room, reply, m.Sender).Notice(m))
	if err == nil && !taken && reply.React == "" { // a room without notices may take reactions
		_, err = a.react(ctx, ev, m, reply.InOneSign())
	}
	if err != nil || !reply.Progress {
		return err
	}
	if answer == "" {
		return a.inbox.Handled(ctx, ev.Event) // there will be nothing to edit
	}
	a.edits.due(ev.Event, time.Now()) // the notice is up to date: the first edit has time
	a.open.Open(answer)
	return a.inbox.SetAnswer(ctx, ev.Event, answer)
}
