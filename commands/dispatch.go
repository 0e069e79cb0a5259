// Package commands turns a message into a use case and its outcome into a Reply value: one file a command, one visible
// table.
package commands

import (
	"context"
	"errors"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/judge"
	"usher/invites/ledger"
	"usher/invites/requests"
)

// Runner runs commands. One serves all rooms.
type Runner struct {
	UseCases
	Prefix    string
	Names     []string                    // the bot's names besides its user id: the display name
	Level     func(id.UserID) Level       // the operator's permissions
	RoundTrip func(context.Context) error // one request to the homeserver, for !ping
	Limit     Limit                       // how many commands a person may give; nil: any number
	Chat      Chat
	Version   string
	MaxAge    time.Duration // commands older than this when they first arrive are not run
	Drawing   sync.Mutex    // a large picture takes some 20 MB: one at a time

	named map[string]*Command // Table by name and alias
	built sync.Once
}

// UseCases are the parts of the domain that commands call. Each use case checks the rights of its asker.
type UseCases struct {
	Requests *requests.Requests
	Policies *requests.Editor
	Ledger   *ledger.Ledger
	Cards    *cards.Cards
	Judge    *judge.Judge
	Clock    invites.Clock
	Self     invites.Identity
}

// Chat is what commands need of the rooms they are given in.
type Chat interface {
	Direct(id.RoomID) bool                           // whether a room is a direct chat with the bot
	Voted(ctx context.Context, b cards.Ballot) error // shows the result of a vote on its card and carries it out
}

// Call is one command as it was given.
type Call struct {
	*Runner
	arguments
	Message Message
	Event   invites.Received
	Level   Level
}

// given is the command that a message gives.
type given struct {
	name       string
	words      []word      // behind the name
	structured *structured // nil: typed
	mentioned  bool        // by the bot's name, not by the prefix
}

// given reads the command that a message gives. ok is false if the message does not address the bot. A structured command counts instead
// of the message's text; it addresses the only user that the message mentions.
func (d *Runner) given(m Message) (g given, ok bool) {
	if s := m.structured; s != nil {
		g.name, _ = s.split()
		g.structured, g.mentioned = s, true
		return g, len(s.to) == 1 && s.to[0] == d.Self.Bot
	}
	g.name, g.words, g.mentioned, ok = invocation(m.Text, d.Prefix, d.Self.Bot, d.Names)
	return g, ok
}

func (d *Runner) newCall(ev invites.Received, m Message, command *Command) *Call {
	return &Call{
		Runner: d, Message: m, Event: ev, Level: d.Level(ev.Sender),
		arguments: arguments{form: form{command, nil}, prefix: d.Prefix, asker: m.Sender, words: map[string][]word{}},
	}
}

// Dispatch runs the command in an event and returns its message and reply. An empty reply means that the event was none of
// Usher's business. An error is an internal one: the event is to be tried again.
func (d *Runner) Dispatch(ctx context.Context, ev invites.Received) (Message, Reply, error) {
	m, err := parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
	if err != nil || m.edit || m.kind != "m.text" || ev.Redacted {
		return m, Reply{}, nil
	}
	g, ok := d.given(m)
	if !ok {
		return m, Reply{}, nil
	}
	command := d.find(g.name)
	if command == nil {
		return m, d.unknown(g.mentioned, g.name), nil
	}
	c := d.newCall(ev, m, command)
	if reply, refused, err := c.limited(ctx); refused || err != nil {
		return m, reply, err
	}
	if reply, refused := c.refuse(); refused {
		return m, reply, nil
	}
	if err := c.read(g); err != nil {
		reply, err := faultless(Reply{}, err)
		return m, reply, err
	}
	reply, err := faultless(c.form.run()(ctx, c))
	return m, reply, err
}

// faultless turns a fault, and the error of an asker who may not know something, into a reply.
func faultless(reply Reply, err error) (Reply, error) {
	var fault Fault
	switch {
	case errors.Is(err, judge.ErrNotJoined):
		err = faultf("I only speak of rooms that you are in (invite.sender_not_joined).")
	case errors.Is(err, judge.ErrKickPower):
		err = faultf("Only people with the power to kick may ask for that (kick.power).")
	}
	if errors.As(err, &fault) {
		reply, err = Reply{Mention: true}, nil
		reply.Text.Say(fault.Text)
	}
	return reply, err
}

// refuse answers what is not run at all.
func (c *Call) refuse() (reply Reply, refused bool) {
	reply.Mention = true
	switch {
	case c.Level < c.form.Level && c.Level == Nobody:
		reply.Text.Say("The operator of this Usher does not let you use it.").Reason("permissions")
	case c.Level < c.form.Level:
		reply.Text.Sayf("%s%s is for the operators of this Usher.", c.Prefix, c.form.Name).Reason("permissions")
	case c.MaxAge > 0 && c.Event.ReceivedAt.Sub(c.Event.SentAt) > c.MaxAge:
		age := c.Event.ReceivedAt.Sub(c.Event.SentAt).Round(time.Minute)
		reply.Text.Sayf("This reached me only after %s, so I did not run it. If you still want it, say it again.", age).Reason("too_old")
	default:
		return Reply{}, false
	}
	return reply, true
}

// unknown answers a word that is no command: other bots share the prefix, so only somebody who names this one hears of it.
func (d *Runner) unknown(mentioned bool, name string) (reply Reply) {
	if !mentioned {
		return reply
	}
	if name != "" {
		reply.Text.Sayf("I know no command “%s”.%s ", name, suggest(name, d.names(Operator), d.Prefix))
	}
	reply.Text.Say("Try ").Code(d.Prefix + "help").Say(".")
	return reply
}

// Parse reads the message in an inbox event.
func Parse(ev invites.Received) (Message, error) {
	return parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
}

// Failed is the answer to a command that internal trouble kept from running.
func Failed() (reply Reply) {
	reply.Mention = true
	reply.Text.Say("Something stood in my way for too long, so I gave this up. Nobody was invited beyond what I told you. Try again later.").Reason("internal")
	return reply
}

// Panicked is the answer to a command that met a bug.
func Panicked() (reply Reply) {
	reply.React = "💥"
	reply.Text.Say("💥 That should not have happened: I met a bug. It is in the operator's log.").Reason("internal")
	return reply
}

// Unreadable is the answer to an encrypted message that can't be read.
func Unreadable() (reply Reply) {
	reply.Text.Say("I couldn't read that: its key never reached me. Say it again; if that does not help, leave the app and open it again.").Reason("unreadable")
	return reply
}
