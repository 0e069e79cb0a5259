// Package commands reads commands in room messages, calls use cases for them, and words the outcome as a Reply value. It sends
// nothing itself.
//
// Table (table.go) lists the commands. Each has a file of its own, with its declaration: name, parameters, level, function. A message
// passes through these steps:
//
//   - message.go reads the content of the event. In a message with HTML, links count, not their text.
//   - words.go splits a typed command into words; word.class decides the kind of each word, and no other function does.
//   - parse.go gives the words to the parameters by their class. structured.go does so for commands sent as data (MSC4391).
//   - Runner.Read (dispatch.go) checks the sender, the age and the limits, and makes a Call. Call.Touches (beside.go) tells which users the
//     command concerns. Call.Run calls the command's function.
//
// Notices words cards, reports of guards and greetings. Advertiser keeps descriptions of the commands in the state of rooms.
package commands

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/inbound"
	"usher/invites/judge"
	"usher/invites/ledger"
	"usher/invites/letters"
	"usher/invites/links"
	"usher/invites/moves"
	"usher/invites/requests"
	"usher/invites/sessions"
	"usher/invites/spaces"
	"usher/policy"
	"usher/room"
)

// Runner runs commands. One serves all rooms.
type Runner struct {
	Notices
	UseCases
	Names      []string                    // the bot's names besides its user id: the display name
	Level      func(id.UserID) Level       // the operator's permissions
	RoundTrip  func(context.Context) error // one request to the homeserver, for !ping
	Limit      Limit                       // how many commands a person may give; nil: any number
	Chat       Chat
	People     People // nil: nobody is looked up
	Inbox      Inbox  // nil: no edit runs
	Version    string
	Advertiser *Advertiser // nil: none
	Conditions
	Lists   Lists
	Drawing sync.Mutex // a large picture takes some 20 MB: one at a time

	lookups   lookups // see the method index
	directory directory
}

// Lists bounds the lists of people that commands take.
type Lists struct {
	Files  Files // nil: no file is read
	People int   // of one command
	Bytes  int64 // of a file
}

// Conditions are the conditions on a command, besides its sender's.
type Conditions struct {
	Age       Age
	Protected Protected
}

// Protected is the least protection of commands in encrypted rooms.
type Protected struct {
	Least invites.Protection
	Rooms EncryptedRooms // nil: encryption is off, and each command counts
}

// EncryptedRooms tells which rooms are encrypted.
type EncryptedRooms interface {
	Encrypted(ctx context.Context, r id.RoomID) (bool, error)
}

// Age tells which commands are too old to be run: people do not expect an old command to be carried out all at once.
type Age struct {
	Max     time.Duration // commands older than this when they arrive are not run; 0: no limit
	Hearing Hearing       // nil: each delay counts
}

// Hearing knows when the homeserver held commands back although Usher could take them.
type Hearing interface {
	// Unheard returns how much of the time between sending and arrival the bot could not hear.
	Unheard(sent, arrived time.Time) time.Duration
}

// of returns the age of a command when it arrived, without the time for which the homeserver held it back after an outage.
func (a Age) of(ev invites.Received) time.Duration {
	age := ev.ReceivedAt.Sub(ev.SentAt)
	if a.Hearing != nil {
		age -= a.Hearing.Unheard(ev.SentAt, ev.ReceivedAt)
	}
	return age
}

// UseCases are the parts of the domain called by commands. Each use case checks the rights of its asker.
type UseCases struct {
	Requests *requests.Requests
	Policies *requests.Editor
	Ledger   *ledger.Ledger
	Cards    *cards.Cards
	Links    *links.Links
	Sessions *sessions.Sessions
	Letters  *letters.Letters
	Judge    *judge.Judge
	Clock    invites.Clock
	Choices  Choices
	Spaces   *spaces.Spaces
	Inbound  *inbound.Inbound // nil: off
	Moves    *moves.Upgrader
	Movers   *moves.Movers
}

// Chat is the commands' port to rooms.
type Chat interface {
	DirectWith(id.RoomID) id.UserID                        // the other person of a direct chat with the bot; empty: it is none
	Retry(id.RoomID) bool                                  // has the bot ask to join again; false: it has no open invitation there
	Voted(ctx context.Context, b cards.Ballot) error       // shows the result of a vote on its card and carries it out
	Settled(ctx context.Context, r id.RoomID) error        // shows the results of the cards about a room that a command closed
	Knocking(ctx context.Context, r id.RoomID) error       // makes cards of knocks from before the room's policy wanted them
	Besides(ctx context.Context, m Message, r Reply) error // sends a reply that stays as it is, besides the one that is edited
	// Beside runs the rest of a command. Where that takes longer than a lane may wait, the reply says so, and is edited at the end.
	Beside(ctx context.Context, ev invites.Received, rest func(context.Context) (Reply, error)) (Reply, error)
}

// Call is one command as it was given.
type Call struct {
	*Runner
	arguments
	Message Message
	Event   invites.Received
	Level   Level
	until   time.Time // when requests to other servers have to be over; zero: none was made yet
}

// given is the command in a message.
type given struct {
	invocation
	structured *structured // nil: typed
}

// given reads the command in a message. ok is false if the message does not address the bot. A structured command counts instead of the
// message's text; it addresses the bot if the message mentions the bot and nobody else. In a person's direct chat each message of theirs does.
func (r *Runner) given(m Message) (g given, ok bool) {
	if s := m.structured; s != nil {
		g.name, _ = s.split()
		g.structured, g.mentioned = s, true
		return g, len(s.to) == 1 && s.to[0] == r.Self.Bot
	}
	g.invocation, ok = invoked(m.Text, r.Prefix, r.Self.Bot, r.Names)
	if direct := r.Chat != nil && r.Chat.DirectWith(m.Room) == m.Sender; direct && !ok {
		g.invocation, ok = invocationOf(strings.TrimLeft(m.Text, "/.!"), true)
	} else if direct {
		g.mentioned = true
	}
	return g, ok
}

func (r *Runner) newCall(ev invites.Received, m Message, command *Command) *Call {
	return &Call{
		Runner: r, Message: m, Event: ev, Level: r.Level(ev.Sender),
		arguments: arguments{
			form: form{command, nil}, prefix: r.Prefix, asker: m.Sender, words: map[string][]word{}, persons: map[string]id.UserID{}, strangers: map[string]error{}, reply: m.ReplyTo != "", listed: m.File != nil && command != nil && command.Many != nil,
			known: func(name string) bool { return r.find(name) != nil },
		},
	}
}

// Read reads the command in an event, and returns its message and its call. The events of a room are read in order, and each counts against
// its sender's limit. Without a call, the reply is final; an empty one means: the event does not concern Usher. An error is an
// internal one: the event is to be tried again.
func (r *Runner) Read(ctx context.Context, ev invites.Received) (Message, *Call, Reply, error) {
	m, err := parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
	if err != nil || m.kind != "m.text" && (m.File == nil || m.Text == "") || ev.Redacted {
		return m, nil, Reply{}, nil
	}
	g, ok := r.given(m)
	if !ok {
		return m, nil, Reply{}, nil
	}
	if m.Edits != "" {
		if again, err := r.again(ctx, ev, m); !again || err != nil {
			return m, nil, Reply{}, err
		}
	}
	command := r.find(g.name)
	c := r.newCall(ev, m, command)
	var unknown Reply
	if command == nil || g.spaced {
		if unknown = r.unknown(g); unknown.Empty() {
			return m, nil, unknown, nil
		}
	}
	if reply, refused, err := c.limited(ctx); refused || err != nil {
		return m, nil, reply, err
	}
	if !unknown.Empty() {
		return m, nil, unknown, nil
	}
	reply, refused := c.refuse()
	if refused {
		return m, nil, reply, nil
	}
	if reply, refused, err = r.Protected.refuse(ctx, ev); refused || err != nil {
		return m, nil, reply, err
	}
	if err = c.read(g); err != nil {
		reply, err = faultless(reply, err)
		return m, nil, reply, err
	}
	return m, c, reply, nil
}

// Run runs the command. An error is an internal one, as of Read.
func (c *Call) Run(ctx context.Context) (reply Reply, err error) {
	if c.help {
		return c.explained(), nil
	}
	list, err := listOf(ctx, c)
	if list != nil && err == nil {
		return faultless(c.form.Many(ctx, list))
	}
	if err == nil {
		err = c.recognize(ctx)
	}
	if err == nil {
		reply, err = c.form.run()(ctx, c)
	}
	if err == nil {
		reply.Text = c.withMeant(reply.Text)
	}
	return faultless(reply, err)
}

// withMeant puts the meaning of the arguments before a text, where they needed guessing.
func (c *Call) withMeant(text Text) Text {
	meant := c.meant()
	if meant.Empty() {
		return text
	}
	if !text.Empty() {
		meant.Line().Append(text)
	}
	return meant
}

// maxTargets is how many people one command may name: no more fit into a message.
const maxTargets = 5000

// requestOf is the request of a command that names people for a change in a room.
func requestOf(c *Call, action room.ActionType, in id.RoomID) requests.Request {
	return requests.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: action,
		Room: in, Targets: c.people("user"), Reason: c.text("reason"), AsBot: c.has("as-bot"),
	}
}

// ask asks for a change, and words its outcome; a dry run only words the decisions on it.
func ask(ctx context.Context, c *Call, req requests.Request) (Reply, error) {
	if c.has("dry-run") {
		return c.judge(ctx, req)
	}
	rows, err := c.Requests.Ask(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	if slices.ContainsFunc(rows, func(row invites.Change) bool { return row.Code == string(policy.CodeUnsent) }) {
		if err := c.Chat.Settled(ctx, req.Room); err != nil {
			return Reply{}, err
		}
	}
	return retried(c, Outcome(rows, c.Clock.Now()), rows), nil
}

// faultless turns a fault into a reply, and so the refusal of a question about a room.
func faultless(reply Reply, err error) (Reply, error) {
	switch {
	case errors.Is(err, judge.ErrNotJoined):
		err = fault(room.Say("unknown.member"))
	case errors.Is(err, judge.ErrKickPower):
		err = fault(room.Say("refuse.kick"))
	}
	if over := new(requests.LimitError); errors.As(err, &over) {
		reply = Reply{Mention: true}
		reply.Text.Say("refuse.people", "most", over.Most).Reason("limit.people")
		return reply, nil
	}
	var fault Fault
	if errors.As(err, &fault) {
		reply, err = Reply{Mention: true}, nil
		reply.Text.Tell(fault.Phrase)
	}
	return reply, err
}

// refuse answers a command from a sender without permission, and a late command.
func (c *Call) refuse() (reply Reply, refused bool) {
	reply.Mention = true
	switch {
	case c.Level < c.form.Level && c.Level == Nobody:
		reply.Text.Say("refuse.nobody").Reason("permissions")
	case c.Level < c.form.Level:
		reply.Text.Say("refuse.operators", "command", c.Prefix+c.form.Name).Reason("permissions")
	case c.Age.Max > 0 && c.Age.of(c.Event) > c.Age.Max:
		age := c.Event.ReceivedAt.Sub(c.Event.SentAt).Round(time.Minute)
		reply.Text.Say("refuse.old", "age", age).Reason("too_old")
	default:
		return Reply{}, false
	}
	return reply, true
}

// refuse answers a command with too little protection for its room: a homeserver could have invented it.
func (p Protected) refuse(ctx context.Context, ev invites.Received) (reply Reply, refused bool, err error) {
	if p.Rooms == nil || ev.Protection >= p.Least {
		return reply, false, nil
	}
	encrypted, err := p.Rooms.Encrypted(ctx, ev.Room)
	if err != nil || !encrypted {
		return reply, false, err
	}
	reply.Mention = true
	if ev.Protection == invites.Plain {
		reply.Text.Say("refuse.plain").Reason("not_encrypted")
	} else {
		reply.Text.Say("refuse.unverified").Reason("not_verified")
	}
	return reply, true, nil
}

// unknown answers an unknown command. Other bots share the prefix: behind the prefix alone, only a near miss gets an answer.
func (r *Runner) unknown(g given) (reply Reply) {
	near := r.near(g.name, g.mentioned)
	if g.spaced {
		if near = ""; r.find(g.name) != nil {
			near = g.name
		}
	}
	switch {
	case near == "" && !g.mentioned:
		return reply
	case near != "":
		reply.Text.Say("suggest.command", "name", r.Prefix+near)
	case g.name != "":
		reply.Text.Say("unknown.command", "name", g.name)
	}
	reply.Text.Say("unknown.help", "prefix", r.Prefix)
	return reply
}

// Parse reads the message in an inbox event.
func Parse(ev invites.Received) (Message, error) {
	return parseMessage(ev.Event, ev.Room, ev.Sender, ev.Raw)
}

// Failed answers a command after internal trouble has kept it from running for too long.
func Failed() (reply Reply) {
	reply.Mention = true
	reply.Text.Say("trouble").Reason("internal")
	return reply
}

// Panicked answers a command after a panic.
func Panicked() (reply Reply) {
	reply.React = "💥"
	reply.Text.Say("bug").Reason("internal")
	return reply
}

// Unreadable answers an encrypted message without a key.
func Unreadable() (reply Reply) {
	reply.Text.Say("unreadable").Reason("unreadable")
	return reply
}
