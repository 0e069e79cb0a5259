// Package commands turns a message into a use case and its outcome into a Reply value: one file a command, one visible
// table.
package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Level is what somebody may do with Usher at all, by the operator's permissions.
type Level int

// The levels.
const (
	Nobody Level = iota
	User
	Operator
)

// Command is one command. A new one is a file that makes such a value, and a line in Table.
type Command struct {
	Name    string
	Aliases []string
	Usage   string // arguments, <required> and [optional]
	About   string // one sentence
	Level   Level  // who may run it
	Run     func(ctx context.Context, c *Call) (Reply, error)
	Decide  func(ctx context.Context, c *Call, yes bool) (Reply, error) // on the reaction to its card; nil: it makes none
}

// Table lists the commands, in the order in which !help shows them.
func Table() []Command {
	return []Command{
		inviteCommand(), uninviteCommand(), joinCommand(), whyCommand(),
		pendingCommand(), pruneCommand(), whoInvitedCommand(), treeCommand(), statsCommand(), auditCommand(),
		approveCommand(), denyCommand(), knocksCommand(),
		policyCommand(), listsCommand(), quotaCommand(),
		helpCommand(), pingCommand(),
	}
}

// Runner runs commands. One serves all rooms.
type Runner struct {
	Invites   *invites.Service
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

// Chat is what commands need of the rooms they are given in.
type Chat interface {
	Direct(id.RoomID) bool                             // whether a room is a direct chat with the bot
	Voted(ctx context.Context, b invites.Ballot) error // shows the result of a vote on its card and carries it out
}

// Call is one command as it was given.
type Call struct {
	*Runner
	Message Message
	Event   invites.Received
	Level   Level
	Command *Command
	Args    []word
	Flags   map[string]bool
}

// Fault is an error for the one who gave the command: its text is shown.
type Fault struct{ Text string }

// Error implements error.
func (f Fault) Error() string { return f.Text }

func faultf(format string, args ...any) error { return Fault{fmt.Sprintf(format, args...)} }

// Dispatch runs the command in an event and returns its message and reply. An empty reply means that the event was none of
// Usher's business. An error is an internal one: the event is to be tried again.
func (d *Runner) Dispatch(ctx context.Context, ev invites.Received) (Message, Reply, error) {
	m, err := parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
	if err != nil || m.edit || m.kind != "m.text" || ev.Redacted {
		return m, Reply{}, nil
	}
	name, args, mentioned, ok := invocation(m.Text, d.Prefix, d.Invites.Self.Bot, d.Names)
	if !ok {
		return m, Reply{}, nil
	}
	command := d.find(name)
	if command == nil {
		return m, d.unknown(mentioned, name), nil
	}
	c := &Call{Runner: d, Message: m, Event: ev, Level: d.Level(ev.Sender), Command: command}
	if reply, refused, err := c.limited(ctx); refused || err != nil {
		return m, reply, err
	}
	c.Flags, c.Args = takeFlags(args)
	if reply, refused := c.refuse(); refused {
		return m, reply, nil
	}
	reply, err := faultless(command.Run(ctx, c))
	return m, reply, err
}

// faultless turns a fault into a reply.
func faultless(reply Reply, err error) (Reply, error) {
	var fault Fault
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
	case c.Level < c.Command.Level && c.Level == Nobody:
		reply.Text.Say("The operator of this Usher does not let you use it.").Reason("permissions")
	case c.Level < c.Command.Level:
		reply.Text.Sayf("%s%s is for the operators of this Usher.", c.Prefix, c.Command.Name).Reason("permissions")
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
		reply.Text.Sayf("I know no command “%s”. ", name)
	}
	reply.Text.Say("Try ").Code(d.Prefix + "help").Say(".")
	return reply
}

// find looks a command up by its name or an alias.
func (d *Runner) find(name string) *Command {
	d.built.Do(func() {
		d.named = map[string]*Command{}
		for _, c := range Table() {
			for _, name := range append(c.Aliases, c.Name) {
				d.named[name] = &c
			}
		}
	})
	return d.named[name]
}

// Known reports whether a word names a command, for whoever decides which messages are worth keeping.
func (d *Runner) Known(name string) bool { return d.find(strings.ToLower(name)) != nil }

// usage is the fault of a command called wrongly.
func (c *Call) usage(problem string) error {
	return faultf("%s Usage: %s", problem, c.Command.form(c.Prefix))
}

// puzzled is the fault of a word that the command makes nothing of.
func (c *Call) puzzled(word string) error { return c.usage("I don't understand “" + word + "”.") }

// form is how a command is given.
func (c *Command) form(prefix string) string {
	return strings.TrimSpace(prefix + c.Name + " " + c.Usage)
}

// only refuses flags that the command does not have.
func (c *Call) only(flags ...string) error {
	for given := range c.Flags {
		known := false
		for _, f := range flags {
			known = known || f == given
		}
		if !known {
			return c.usage("I don't know the flag --" + given + ".")
		}
	}
	return nil
}

// resolve finds the id of a room that was named, and servers that know it.
func (c *Call) resolve(ctx context.Context, p place) (id.RoomID, []string, error) {
	if p.alias == "" {
		return p.room, p.via, nil
	}
	room, via, err := c.Invites.Homeserver.Resolve(ctx, p.alias)
	if invites.Refused(err) {
		return "", nil, faultf("I know no room %s.", p.alias)
	}
	return room, append(p.via, via...), err
}

// named finds the room that a word has to name.
func (c *Call) named(ctx context.Context, w word) (id.RoomID, []string, error) {
	p, ok := w.place()
	if !ok {
		return "", nil, faultf("%s is no room. One looks like #name:server.org, !id, or a link.", w.text)
	}
	return c.resolve(ctx, p)
}

// where is the room that a command is about: the one named in its first argument, else the current one. A direct chat is never
// meant.
func (c *Call) where(ctx context.Context, args []word) (r id.RoomID, via []string, rest []word, err error) {
	if len(args) > 0 {
		if p, named := args[0].place(); named {
			r, via, err = c.resolve(ctx, p)
			return r, via, args[1:], err
		}
	}
	if c.Chat.Direct(c.Message.Room) {
		return "", nil, nil, c.usage("This is our direct chat: name the room.")
	}
	return c.Message.Room, nil, args, nil
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
