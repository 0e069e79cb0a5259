package chat

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/cards"
)

// Inbox is the part of the store for events.
type Inbox interface {
	Backlog
	Received
	Answers
	VoteInbox
	// Dismiss ends chat, many events in one commit.
	Dismiss(ctx context.Context, events []id.EventID) error
	// Inviting reports whether a command has open rows.
	Inviting(ctx context.Context, command id.EventID) (bool, error)
	// Answered returns the event with an answer that is still edited, or ErrNotFound.
	Answered(ctx context.Context, answer id.EventID) (invites.Received, error)
}

// Stores are the parts of the store for chat.
type Stores struct {
	Inbox Inbox
	Cards CardStore
	Rooms RoomStore
}

// Homeserver is the requests of the bot itself.
type Homeserver interface {
	Token
	Timeline
	Annotations
	AccountData
	DirectMaker
	Occupancy
	OwnInvitations
	Invitees
}

// State is the state of rooms as the homeserver has it, with a cache.
type State interface {
	StateReader
	RoomState
	SpaceCache
}

// Cases are the use cases.
type Cases struct {
	Cards    CardCases
	Knocks   KnockCase
	Links    LinkCase
	Guard    Guard
	Expiries Expiries
	Requests Progress
	Delivery Delivery
	Joins    Joins
	Reviews  ReviewCases
	Moves    MoveCases
	Welcomes WelcomeCases
	Spaces   SpaceCases
	Movers   MoverCases
}

// Device is the bot's device in encrypted rooms.
type Device interface {
	Opener
	Sealer
	KeySharer
	FileOpener
}

// Index is the intake's memory of events to which later events may refer.
type Index struct {
	Cards   OpenCards
	Pending Pending
}

// Settings are the settings of chat.
type Settings struct {
	WaitForKeys       time.Duration // how long an encrypted event waits for its key
	CommandsPerMinute int           // of one user; 0: no limit
	AnswersPerMinute  int           // in one room; 0: no limit
}

// Options are the parts for New. All are required except Media and Device.
type Options struct {
	Self       invites.Identity
	Runner     *commands.Runner // New sets its Chat, its Inbox and its Limit
	Stores     Stores
	Homeserver Homeserver
	Knockers   Knockers
	State      State
	Media      Media // nil: no file is read
	Cases      Cases
	Queue      invites.Queue
	Index      Index
	Device     Device // nil: encryption is off
	Settings   Settings
	Counters   Counters
	Log        zerolog.Logger
}

// Chat is the way from an event of the inbox to its reply.
type Chat struct {
	*Feed
	Lanes   *Lanes
	Status  *StatusMessages
	Cards   *CardDesk
	Members *Memberships
	Invited *Invited
	Rooms   *Rooms
	Welcome *Welcomes
	Spaces  *Spaces
	Direct  *DirectChats
	Letters Letters
	History *HistorySharing // nil: encryption is off
	Moves   *Upgrades

	handler    *Handler
	waiting    *waitingForKeys
	background *Background
}

// New puts a Chat together. Nothing runs yet.
func New(o Options) *Chat {
	lanes, background := NewLanes(o.Self.Bot, parallelLanes, mostInLanes/2), NewBackground()
	c := &Chat{
		Lanes: lanes, Feed: NewFeed(o.Stores.Inbox, lanes, mostInLanes, o.Log), Direct: NewDirectChats(o.Homeserver),
		waiting: newWaitingForKeys(lanes), background: background,
	}
	limits := NewLimits(o.Settings.CommandsPerMinute, o.Settings.AnswersPerMinute, o.Counters)
	end := &ender{inbox: o.Stores.Inbox, waiting: c.waiting, background: background, counters: o.Counters, log: o.Log}
	sender := NewSender(o.Homeserver, o.State, nil, o.Log)
	sender.speaker = o.Runner
	encrypted := &EncryptedRooms{
		bot: o.Self.Bot, inbox: o.Stores.Inbox, open: o.Index.Cards, runner: o.Runner, waiting: c.waiting, background: background,
		patience: o.Settings.WaitForKeys, started: time.Now(), log: o.Log, told: map[id.RoomID]bool{},
	}
	if o.Device != nil {
		sender.sealer, encrypted.opener = o.Device, o.Device
		c.History = NewHistorySharing(o.Device, background, o.Log)
	}
	edits := newEditTimes()
	replies := &Replies{ender: end, inbox: o.Stores.Inbox, sender: sender, limits: limits, edits: edits, open: o.Index.Cards}
	encrypted.replies = replies
	c.Status = &StatusMessages{
		ender: end, inbox: o.Stores.Inbox, delivery: o.Cases.Delivery, requests: o.Cases.Requests, token: o.Homeserver, replies: replies,
		encrypted: encrypted, edits: edits, log: o.Log,
	}
	c.Cards = &CardDesk{
		store: o.Stores.Cards, cases: o.Cases.Cards, knocks: o.Cases.Knocks, links: o.Cases.Links, runner: o.Runner, open: o.Index.Cards, sender: sender,
		limits: limits, status: c.Status, knockers: o.Knockers, log: o.Log,
		full: newLimit[id.RoomID](1), called: newLimit[id.RoomID](1),
		missed: &MissedVotes{
			annotations: o.Homeserver, inbox: o.Stores.Inbox, lanes: lanes, bot: o.Self.Bot, open: o.Index.Cards, log: o.Log, cards: map[id.EventID]id.RoomID{},
		},
	}
	c.Cards.bulk = newBulk(c.Cards)
	c.Rooms = &Rooms{
		store: o.Stores.Rooms, spaces: o.State, invitees: o.Homeserver, pending: o.Index.Pending, guard: o.Cases.Guard,
		expiries: o.Cases.Expiries, queue: o.Queue, runner: o.Runner, sender: sender, feed: c.Feed, log: o.Log,
	}
	c.Rooms.reviews = &Reviews{cases: o.Cases.Reviews, cards: c.Cards, queue: o.Queue, runner: o.Runner, sender: sender, log: o.Log}
	c.Moves = &Upgrades{cases: o.Cases.Moves, movers: o.Cases.Movers, cards: c.Cards, runner: o.Runner, sender: sender, log: o.Log}
	c.Rooms.moves = o.Cases.Moves
	c.Members = &Memberships{
		ender: end, self: o.Self, runner: o.Runner, state: o.State, occupancy: o.Homeserver, direct: c.Direct, sender: sender,
		cards: c.Cards, rooms: c.Rooms, log: o.Log, joins: o.Cases.Joins,
		checking: map[id.RoomID][]id.UserID{}, moving: map[string]chan error{}, leads: map[string]time.Time{},
	}
	c.Spaces = &Spaces{cases: o.Cases.Spaces, runner: o.Runner, sender: sender, log: o.Log}
	c.Welcome = &Welcomes{cases: o.Cases.Welcomes, maker: o.Homeserver, direct: c.Direct, state: o.State, runner: o.Runner, sender: sender, bot: o.Self.Bot, log: o.Log}
	c.Invited = &Invited{source: o.Homeserver, members: c.Members, log: o.Log, hurry: make(chan struct{}, 1), open: map[id.RoomID]*standing{}}
	c.handler = &Handler{
		ender: end, inbox: o.Stores.Inbox, token: o.Homeserver, bot: o.Self.Bot, runner: o.Runner, limits: limits, encrypted: encrypted,
		replies: replies, status: c.Status, cards: c.Cards, members: c.Members, rooms: c.Rooms, log: o.Log,
	}
	o.Runner.Lists.Files = newFiles(o, encrypted)
	o.Runner.Chat, o.Runner.Limit = forCommands{c.Direct, c.Cards, c.Invited, sender}, limits.MayCommand
	c.Letters = Letters{sender}
	o.Runner.Inbox = openedInbox{o.Stores.Inbox, encrypted}
	return c
}

// forCommands implements commands.Chat.
type forCommands struct {
	direct  *DirectChats
	cards   *CardDesk
	invited *Invited
	sender  *Sender
}

// Retry implements commands.Chat.
func (c forCommands) Retry(r id.RoomID) bool { return c.invited.Retry(r) }

// DirectWith implements commands.Chat.
func (c forCommands) DirectWith(r id.RoomID) id.UserID { return c.direct.with(r) }

// Knocking implements commands.Chat.
func (c forCommands) Knocking(ctx context.Context, r id.RoomID) error {
	return c.cards.Knocking(ctx, r)
}

// Settled implements commands.Chat.
func (c forCommands) Settled(ctx context.Context, r id.RoomID) error {
	return c.cards.showClosed(ctx, invites.CardTodo{Room: r, Limit: cardsOfOne})
}

// Beside implements commands.Chat.
func (c forCommands) Beside(ctx context.Context, ev invites.Received, rest func(context.Context) (commands.Reply, error)) (commands.Reply, error) {
	return c.cards.bulk.Beside(ctx, ev, rest)
}

// Besides implements commands.Chat.
func (c forCommands) Besides(ctx context.Context, m commands.Message, r commands.Reply) error {
	_, err := c.sender.say(ctx, m.Room, transaction(m.Event, "besides"), r, m, "")
	return err
}

// Voted implements commands.Chat.
func (c forCommands) Voted(ctx context.Context, b cards.Ballot) error { return c.cards.Show(ctx, b) }

// Load reads the state in memory from the store, and has the feed bring the waiting events of the inbox to the lanes.
func (c *Chat) Load(ctx context.Context) error {
	if err := errors.Join(c.Rooms.Load(ctx), c.Cards.Load(ctx)); err != nil {
		return err
	}
	c.Recover()
	return nil
}

// Run handles events until ctx ends, which ends all work at once.
func (c *Chat) Run(ctx context.Context) {
	var parts sync.WaitGroup
	parts.Go(func() { c.background.Run(ctx) })
	parts.Go(func() { c.Rooms.dropStrangers(ctx) })
	parts.Go(func() { c.Feed.Run(ctx) })
	parts.Go(func() { c.Lanes.Run(ctx, c.handler) })
	parts.Go(func() { c.Invited.Run(ctx) })
	parts.Wait()
}

// Stop begins no more events and waits for the events under way, as long as ctx lasts. Their notes may last longer: see Settle.
func (c *Chat) Stop(ctx context.Context) error { return c.Lanes.Stop(ctx) }

// Settle waits for the work beside the lanes, such as the notes on answered events, as long as ctx lasts.
func (c *Chat) Settle(ctx context.Context) error { return c.background.Wait(ctx) }

// KeysArrived has encrypted events of a room, of all rooms for an empty id, go on: room keys have arrived.
func (c *Chat) KeysArrived(r id.RoomID) { c.waiting.release(r) }
