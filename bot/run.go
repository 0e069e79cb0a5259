package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/cards"
	"usher/invites/delivery"
	"usher/jobs"
	"usher/loop"
	"usher/metrics"
	"usher/room"
)

// Bounds of the running bot.
const (
	parallelRooms = 64
	lease         = 45 * time.Second // an attempt at a row ends with it
	sweepLimit    = 1000
	sweepEvery    = 5 * time.Second
	keepHandled   = 7 * 24 * time.Hour // longer than anything is tried
)

// build puts together a bot, for the time for which this process is the active one. Nothing runs yet.
func (p *process) build(ctx context.Context) (*bot, error) {
	cfg, version, log := p.cfg, p.version, p.log
	b := &bot{log: log, self: identity(cfg), checking: map[id.RoomID]bool{}, store: p.store, metrics: p.metrics, client: p.client}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.closers = append(b.closers, b.cancel)
	var err error
	b.pending, b.cards = appservice.NewPending(), appservice.NewCards()
	b.state = homeserver.NewState(b.client, homeserver.StateOptions{Creates: b.store, Log: log})
	if err := b.buildEncryption(ctx, cfg, version); err != nil {
		b.close()
		return nil, fmt.Errorf("%w: that of the keys: %w", connect.ErrDatabase, err)
	}
	b.jobs, err = jobs.New(ctx, jobs.Config{
		Store: b.store, Deliver: b.deliver, Sweep: b.sweep, SweepEvery: sweepEvery, Clean: b.clean, Workers: cfg.Delivery.Workers,
		HardStop: reserve(cfg.ShutdownTimeout), Logger: slogger(log), Clock: clock{},
	})
	if err != nil {
		b.close()
		return nil, fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
	}
	b.port = loggedStore{stored{b.store}, b.metrics.Store(b.store), log}
	b.domain = newDomain(b.port, b.homeserver(cfg), b.metrics.Queue(b.jobs), b.self, delivery.Limits{Lease: lease, GiveUpAfter: cfg.Delivery.GiveUpAfter})
	b.domain.requests.AtOnce = cfg.Delivery.AtOnce
	b.domain.guard.Tell, b.guard = b.guardReports, b.domain.guard
	b.direct = &directs{homeserver: b.client}
	b.runner = b.newRunner(cfg, version)
	b.lanes = newLanes(parallelRooms, b.handle)
	b.feed = &feed{store: b.store, lanes: b.lanes, most: mostInLanes, log: log}
	b.lanes.hungry, b.lanes.low = func() { b.feed.hungry(b.ctx) }, mostInLanes/2
	b.commands.perMinute, b.answers.perMinute = cfg.Commands.PerMinute, cfg.Commands.AnswersPerMinute
	b.intake = b.newIntake(cfg, p.health.Reasons)
	return b, nil
}

// homeserver is the homeserver for the use cases: acts are counted, and share a room's history where that is configured.
func (b *bot) homeserver(cfg *config.Config) watchedHomeserver {
	var actor metrics.Actor = b.state
	if b.sealed.device != nil && cfg.Encryption.HistorySharing {
		actor = historian{actor, b}
	}
	return watchedHomeserver{reads{b.state}, b.metrics.Actor(actor)}
}

func identity(cfg *config.Config) invites.Identity {
	return invites.Identity{
		Bot: id.UserID(cfg.BotUser()), Domain: cfg.Homeserver.Domain, Assert: cfg.Puppet.Enabled,
		AutoJoin: func(user id.UserID) bool { return cfg.AutoJoins(user.String()) },
	}
}

func (b *bot) newRunner(cfg *config.Config, version string) *commands.Runner {
	return &commands.Runner{
		Notices: commands.Notices{Prefix: cfg.Commands.Prefix, Self: b.self}, UseCases: b.domain.useCases(), MaxAge: cfg.Commands.MaxAge, Version: version,
		Names: []string{cfg.Appservice.Bot.Displayname}, Chat: chat{b},
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
		Limit: b.mayCommand,
		Advertiser: commands.NewAdvertiser(roomState{b.client, b.state}, b.self.Bot, cfg.Commands.Advertise, func(r id.RoomID, err error) {
			b.log.Warn().Err(err).Stringer("room", r).Msg("could not bring the descriptions of commands up to date")
		}),
	}
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

// chat is the rooms as commands see them.
type chat struct{ *bot }

// Direct implements commands.Chat.
func (c chat) Direct(r id.RoomID) bool { return c.direct.has(r) }

// Voted implements commands.Chat.
func (c chat) Voted(ctx context.Context, b cards.Ballot) error { return c.show(ctx, b) }

// start loads from the database all that is kept in memory, and begins to work. It ends early when ctx ends or the right to act is
// lost.
func (b *bot) start(ctx context.Context) error {
	if err := b.loadDirectChats(ctx); err != nil {
		return err
	}
	if err := errors.Join(b.resume(ctx), b.recallSpaces(ctx), b.loadPending(ctx), b.loadCards(ctx), b.guard.Load(ctx)); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	if err := b.feed.rewind(b.ctx); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	if err := b.jobs.Start(b.ctx); err != nil {
		return fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
	}
	b.startEncryption()
	go loop.Every(b.ctx, feedEvery, b.feed.look)
	go b.runner.Advertiser.Run(b.ctx)
	return nil
}

// loadDirectChats asks the homeserver which rooms are direct chats, until it answers: without that, commands would be overlooked.
func (b *bot) loadDirectChats(ctx context.Context) error {
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ; {
		err := b.direct.load(ctx)
		if err == nil {
			return nil
		}
		wait := pause.Next()
		b.log.Warn().Err(err).Dur("again_in", wait).Msg("could not read which rooms are direct chats")
		if !loop.Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// halt ends all work at once, without finishing it.
func (b *bot) halt() {
	b.cancel()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.jobs.Stop(over) // cancels the deliveries under way
	deadline, cancel := context.WithTimeout(context.Background(), haltTime)
	defer cancel()
	b.finish(deadline)
}

// reserve is the part of shutdown_timeout that is kept for deliveries that have to be cancelled.
func reserve(shutdown time.Duration) time.Duration { return min(2*time.Second, shutdown/4) }

// haltTime bounds the wait for work that was told to end at once.
const haltTime = 5 * time.Second

// finish waits for what is under way, in the lanes first, and for the notes of what is answered, as long as ctx lasts.
func (b *bot) finish(ctx context.Context, others ...func(context.Context) error) {
	late := b.lanes.stop(ctx)
	for _, stop := range append(others, func(ctx context.Context) error { return over(ctx, &b.ending) }) {
		late = errors.Join(late, stop(ctx))
	}
	if late != nil {
		b.log.Warn().Err(late).Msg("not everything was finished in time; the next start goes on with it")
	}
}

func (b *bot) newIntake(cfg *config.Config, ready func() []string) *appservice.Intake {
	return appservice.NewIntake(appservice.IntakeOptions{
		Inbox: b.port, Watcher: watchers{b}, Sink: sink{b}, Pending: b.pending, Cards: b.cards, Encrypted: b.sealed.device != nil,
		Token: cfg.Appservice.HSToken.Reveal(), Bot: b.self.Bot,
		DisplayName: cfg.Appservice.Bot.Displayname, Prefix: cfg.Commands.Prefix, Known: b.runner.Known,
		Limits: appservice.Limits{Body: int64(cfg.Appservice.MaxBodySize), Read: cfg.Appservice.RequestTimeout},
		Ready:  ready, Counters: b.metrics, Log: b.log,
	})
}

// sweep lists the rows that should be worked on and may have no job.
func (b *bot) sweep(ctx context.Context) ([]int64, error) {
	b.tend(ctx, "")
	if err := b.expire(ctx); err != nil && ctx.Err() == nil {
		b.log.Warn().Err(err).Msg("could not look which invitations have expired")
	}
	return b.store.Due(ctx, time.Now(), sweepLimit)
}

// clean deletes what is no longer needed.
func (b *bot) clean(ctx context.Context) error {
	return b.store.Clean(ctx, time.Now().Add(-keepHandled))
}

// close ends what build began, last first.
func (b *bot) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}
