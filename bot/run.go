package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/chat"
	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/encryption"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/delivery"
	"usher/invites/links"
	"usher/invites/requests"
	"usher/jobs"
	"usher/loop"
	"usher/room"
	"usher/store"
)

// Bounds of the running bot.
const (
	lease        = 45 * time.Second // an attempt at a row ends with it
	sweepLimit   = 10_000
	sweepEvery   = 5 * time.Second
	keepWelcomes = 24 * time.Hour     // nobody is greeted later
	keepHandled  = 7 * 24 * time.Hour // longer than anything is tried
)

// build puts together a bot, for the time for which this process is the active one. Nothing runs yet.
func (p *process) build(ctx context.Context) (*bot, error) {
	b := &bot{
		log: p.log, self: identity(p.cfg), store: loggedStore{p.store, p.metrics, p.log}, metrics: p.metrics,
		client: p.client, index: appservice.Index{Pending: appservice.NewPending(), Cards: appservice.NewCards()},
	}
	b.state = homeserver.NewState(b.client, homeserver.StateOptions{Creates: b.store, Log: b.log})
	if err := b.openDevice(ctx, p.cfg, p.version); err != nil {
		b.close()
		return nil, fmt.Errorf("%w: that of the keys: %w", connect.ErrDatabase, err)
	}
	b.jobs = jobs.New(jobs.Config{
		Deliver: b.deliver, Turns: turns{b.store, b.self.Domain}, Sweep: b.sweep, SweepEvery: sweepEvery, Clean: func(ctx context.Context) error { return b.clean(ctx, p.cfg.Database) }, Workers: p.cfg.Delivery.Workers,
		HardStop: reserve(p.cfg.ShutdownTimeout), Logger: slogger(b.log), Clock: clock{},
	})
	b.rooms = &joinedRooms{list: b.client.JoinedRooms, state: b.state.Snapshot}
	b.compose(p.settings(), p.version)
	b.runner.Age.Hearing = p.hearing
	b.intake = b.newIntake(p)
	b.site = b.newSite(p)
	return b, nil
}

// openDevice opens the database of keys and makes the device, where encryption is on.
func (b *bot) openDevice(ctx context.Context, cfg *config.Config, version string) error {
	if !cfg.Encryption.Enabled {
		return nil
	}
	keys, err := store.OpenKeys(ctx, connect.Keys(cfg))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, func() { _ = keys.Close() })
	b.device, err = encryption.New(ctx, encryption.Options{
		Homeserver: cfg.Homeserver.Address, Bot: b.self.Bot, Token: cfg.Appservice.ASToken.Reveal(), UserAgent: "usher/" + version,
		PickleKey: cfg.Encryption.PickleKey.Reveal(), RecoveryKey: cfg.Encryption.RecoveryKey.Reveal(),
		SignedOnly: cfg.Encryption.ShareKeysWith == config.ShareSigned, Verify: cfg.Encryption.Commands == config.CommandsVerified, History: cfg.Encryption.HistorySharing,
		Keys: keys, Rooms: b.state, Log: b.log, Now: time.Now, Arrived: func(r id.RoomID) { b.chat.KeysArrived(r) },
	})
	return err
}

// compose makes the use cases and the ways in.
func (b *bot) compose(cfg *config.Config, version string) {
	limits := delivery.Limits{Lease: lease, GiveUpAfter: cfg.Delivery.GiveUpAfter}
	b.domain = newDomain(b.store, b.state, b.metrics.Queue(b.jobs), b.self, limits, newLimits(cfg, b.self))
	b.domain.requests.AtOnce = cfg.Delivery.AtOnce
	if b.domain.inbound = b.newInbound(cfg); b.domain.inbound != nil {
		b.domain.cards.Servers, b.domain.delivery.Checks[invites.OriginInbound] = b.domain.inbound, b.domain.inbound
	}
	b.domain.links.Address, b.domain.sessions.Address = cfg.Web.PublicURL, cfg.Web.PublicURL
	b.plans = newPlans(b, cfg)
	b.domain.links.Limits = links.Limits{MaxUses: int64(cfg.Web.Links.MaxUses), MaxAge: cfg.Web.Links.MaxAge, Open: cfg.Web.Links.PerPerson}
	b.domain.letters = newLetters(b, &cfg.Mail)
	b.runner = b.newRunner(cfg, version)
	b.domain.moves.May = func(user id.UserID) bool { return b.runner.Level(user) != commands.Nobody }
	o := chat.Options{
		Self: b.self, Runner: b.runner, Stores: chat.Stores{Inbox: b.store, Cards: b.store, Rooms: b.store},
		Homeserver: b.client, Knockers: b.client, State: b.state, Media: b.client,
		Cases: chat.Cases{
			Cards: b.domain.cards, Knocks: b.domain.knocks, Links: b.domain.requests, Guard: b.domain.guard, Expiries: b.domain.ledger.Expiries,
			Requests: requests.Bulk{Requests: b.domain.requests}, Delivery: b.domain.delivery, Joins: b.domain.requests.Limits, Reviews: b.domain.ledger.Reviews,
			Moves: b.domain.moves, Welcomes: b.domain.welcomes, Spaces: b.domain.spaces, Movers: b.domain.movers,
		},
		Queue: b.jobs, Index: chat.Index{Cards: b.index.Cards, Pending: b.index.Pending},
		Settings: chat.Settings{
			WaitForKeys: cfg.Encryption.WaitForKeys, CommandsPerMinute: cfg.Commands.PerMinute, AnswersPerMinute: cfg.Commands.AnswersPerMinute,
		},
		Counters: b.metrics, Log: b.log,
	}
	if b.device != nil {
		o.Device = b.device
	}
	b.chat = chat.New(o)
	b.domain.delivery.Beside = b.chat.Status
	b.domain.requests.Poster = b.chat.Cards
	if b.domain.letters.On {
		b.postman = newPostman(b, cfg)
	}
	if b.domain.inbound != nil {
		b.domain.inbound.Poster = b.chat.Cards
	}
	b.domain.guard.Tell = b.chat.Rooms.GuardReport
	if b.device != nil && cfg.Encryption.HistorySharing {
		b.domain.delivery.History = b.chat.History
	}
}

// newLimits makes the operator's limits.
func newLimits(cfg *config.Config, self invites.Identity) *requests.Limits {
	l := cfg.Limits
	most := requests.Most{
		Person: int64(l.InvitesPerPerson), Server: int64(l.InvitesPerServer), All: int64(l.InvitesInAll),
		People: int64(l.PeoplePerHour), JoinsOfServer: int64(l.JoinsPerServer), JoinsOfOwn: int64(l.JoinsOfOwnServer),
	}
	return requests.NewLimits(most, self, clock{}, func(user id.UserID) bool { return cfg.Permissions.Level(user.String()) == config.LevelOperator })
}

func identity(cfg *config.Config) invites.Identity {
	return invites.Identity{
		Bot: id.UserID(cfg.BotUser()), Domain: cfg.Homeserver.Domain, Assert: cfg.Puppet.Enabled, Language: cfg.Language,
		AutoJoin: func(user id.UserID) bool { return cfg.AutoJoins(user.String()) },
	}
}

func (b *bot) newRunner(cfg *config.Config, version string) *commands.Runner {
	return &commands.Runner{
		Notices: commands.Notices{Prefix: cfg.Commands.Prefix, Self: b.self, Guide: cfg.Commands.Guide}, UseCases: b.domain.useCases(b.store), Version: version,
		Lists:      commands.Lists{People: cfg.Commands.MaxPeople, Bytes: int64(cfg.Commands.MaxList)},
		Conditions: commands.Conditions{Age: commands.Age{Max: cfg.Commands.MaxAge}, Protected: b.protected(cfg)},
		Names:      []string{cfg.Appservice.Bot.Displayname}, People: homeserver.People{Client: b.client},
		Level: func(user id.UserID) commands.Level {
			switch cfg.Permissions.Level(user.String()) {
			case config.LevelUser:
				return commands.User
			case config.LevelOperator:
				return commands.Operator
			}
			return commands.Nobody
		},
		RoundTrip: func(ctx context.Context) error {
			_, err := b.client.Versions(ctx)
			return err
		},
		Advertiser: commands.NewAdvertiser(roomState{b.client, b.state}, b.self.Bot, cfg.Commands.Advertise, cfg.Language, func(r id.RoomID, err error) {
			b.log.Warn().Err(err).Stringer("room", r).Msg("Descriptions of commands not updated")
		}),
	}
}

// protected returns the least protection of commands in encrypted rooms.
func (b *bot) protected(cfg *config.Config) commands.Protected {
	if b.device == nil {
		return commands.Protected{}
	}
	least := invites.Encrypted
	switch cfg.Encryption.Commands {
	case config.CommandsAny:
		least = invites.Plain
	case config.CommandsVerified:
		least = invites.Verified
	}
	return commands.Protected{Least: least, Rooms: b.device}
}

// roomState is the homeserver as the advertiser of commands sees it.
type roomState struct {
	*homeserver.Client
	state *homeserver.State
}

// Snapshot implements commands.RoomState.
func (s roomState) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	return s.state.Snapshot(ctx, r, viewer, needs, fresh)
}

// SendState implements commands.RoomState.
func (s roomState) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	return s.state.SendState(ctx, r, as, k, content)
}

// start loads the state of the database and of the homeserver into memory, and begins to work until work ends. It fails early when ctx ends:
// the process stops, or lost the right to act.
func (b *bot) start(ctx, work context.Context) error {
	if err := b.loadDirectChats(ctx); err != nil {
		return err
	}
	if err := errors.Join(b.recallClock(ctx), b.resume(ctx, work), b.domain.requests.Limits.Load(ctx, b.store), b.chat.Load(ctx)); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	b.jobs.Start()
	parts := []func(context.Context){b.chat.Run, b.runner.Advertiser.Run, b.intake.Run, b.watchClock, b.cards, b.expiries, b.moves, b.runPlans, regularly(b.chat.Welcome.Sweep), regularly(b.chat.Spaces.Sweep), regularly(b.chat.Moves.Remind), b.inbound}
	if b.device != nil {
		parts = append(parts, b.device.Run)
	}
	if b.postman != nil {
		parts = append(parts, func(ctx context.Context) { post(ctx, b) })
	}
	work, cancel := context.WithCancel(work)
	var running sync.WaitGroup
	for _, run := range parts {
		running.Go(func() { run(work) })
	}
	b.closers = append(b.closers, func() { cancel(); running.Wait() })
	return nil
}

// Pauses between two tries.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// loadDirectChats asks the homeserver which rooms are direct chats, until it answers: without that, the bot would overlook commands.
func (b *bot) loadDirectChats(ctx context.Context) error {
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ; {
		err := b.chat.Direct.Load(ctx)
		if err == nil {
			return nil
		}
		wait := pause.Next()
		b.log.Warn().Err(err).Dur("again_in", wait).Msg("Direct chats unreadable")
		if !loop.Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// halt waits a moment for cancelled work.
func (b *bot) halt() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.jobs.Stop(over) // cancels the deliveries under way
	deadline, cancel := context.WithTimeout(context.Background(), haltTime)
	defer cancel()
	b.finish(deadline)
}

// reserve is the part of shutdown_timeout that is kept for deliveries that have to be cancelled.
func reserve(shutdown time.Duration) time.Duration { return min(2*time.Second, shutdown/4) }

// haltTime bounds the wait for cancelled work.
const haltTime = 5 * time.Second

// finish waits for the work under way, in the lanes first, and for the notes on answered events, as long as ctx lasts.
func (b *bot) finish(ctx context.Context, others ...func(context.Context) error) {
	late := b.chat.Stop(ctx)
	for _, stop := range append(others, b.chat.Settle) {
		late = errors.Join(late, stop(ctx))
	}
	if late != nil {
		b.log.Warn().Err(late).Msg("Not everything finished")
	}
}

func (b *bot) newIntake(p *process) *appservice.Intake {
	cfg := p.cfg
	return appservice.NewIntake(appservice.IntakeOptions{
		Hearing: p.hearing, Health: wakingHealth{p.health, p.waker}, Tokens: tokens(cfg),
		Inbox: b.store, Watcher: watchers{b}, Sink: b.chat, Index: b.index, Encrypted: b.device != nil,
		Bot:         b.self.Bot,
		DisplayName: cfg.Appservice.Bot.Displayname, Prefix: cfg.Commands.Prefix, Known: b.runner.Known,
		Limits:   appservice.Limits{Body: int64(cfg.Appservice.MaxBodySize), Read: cfg.Appservice.RequestTimeout},
		Counters: b.metrics, Log: b.log,
	})
}

// deliver makes one attempt at each of some rows.
func (b *bot) deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error) {
	return b.chat.Status.Deliver(ctx, rows...)
}

// cards looks after cards, until ctx ends.
func (b *bot) cards(ctx context.Context) {
	b.chat.Cards.Sweep(ctx)
	loop.Every(ctx, sweepEvery, b.chat.Cards.Sweep)
}

// moves carries upgrades of rooms over, until ctx ends.
func (b *bot) moves(ctx context.Context) {
	b.chat.Moves.Sweep(ctx)
	loop.Every(ctx, sweepEvery, b.chat.Moves.Sweep)
}

// expiries looks after open invitations, until ctx ends.
func (b *bot) expiries(ctx context.Context) {
	loop.Every(ctx, sweepEvery, func(ctx context.Context) {
		if err := b.chat.Rooms.Expire(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("Expired invitations not withdrawn")
		}
	})
}

// regularly calls sweep now and then until ctx ends.
func regularly(sweep func(context.Context)) func(context.Context) {
	return func(ctx context.Context) { loop.Every(ctx, sweepEvery, sweep) }
}

// sweep lists rows that are due, one part after the other. It asks the homeserver nothing.
func (b *bot) sweep(ctx context.Context) ([]int64, error) {
	due, err := b.store.Due(ctx, time.Now(), b.swept, sweepLimit)
	if b.swept += sweepLimit; len(due) < sweepLimit {
		b.swept = 0
	}
	return due, err
}

// turns implements jobs.Turns.
type turns struct {
	store  loggedStore
	domain string
}

// Turns implements jobs.Turns.
func (t turns) Turns(ctx context.Context, rows []int64) ([]invites.Turn, error) {
	waiting, err := t.store.Waiting(ctx, rows)
	return delivery.Turns(t.domain, waiting), err
}

// clean puts the head of the audit into the log, out of reach of the database, and deletes rows after their time.
func (b *bot) clean(ctx context.Context, keep config.Database) error {
	now := time.Now()
	head, err := b.store.ChainHead(ctx)
	if err == nil && head != "" {
		b.log.Info().Str("head", head).Msg("Audit")
	}
	return errors.Join(err, b.store.Clean(ctx, now.Add(-keepHandled)), b.store.CleanInbound(ctx, now), b.store.CleanSessions(ctx, now), b.store.CleanWelcomes(ctx, now.Add(-keepWelcomes)), b.store.CleanLinks(ctx, now.Add(-keep.KeepRefused)), b.store.CleanPlans(ctx, now.Add(-keep.KeepRefused)), b.store.CleanMoves(ctx, now.Add(-keep.KeepRefused)), b.store.CleanLetters(ctx, now.Add(-keep.KeepRefused)), b.store.CleanRecords(ctx, now.Add(-keep.KeepRefused), now.Add(-keep.KeepAudit)))
}

// close closes the parts, the last one opened first.
func (b *bot) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}
