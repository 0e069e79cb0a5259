package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/zeroconfig"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/invites"
	"usher/jobs"
	"usher/metrics"
	"usher/operator"
	"usher/policy"
	"usher/room"
	"usher/store"
)

// Bounds of the running bot.
const (
	parallelRooms = 64
	lease         = 45 * time.Second // an attempt at a row ends with it
	sweepLimit    = 1000
	sweepEvery    = 5 * time.Second
	keepHandled   = 7 * 24 * time.Hour // longer than anything is tried
)

// Run runs Usher until ctx ends, then finishes what is under way within the configured time. Its errors wrap
// ErrTokenRefused, ErrHomeserverUnreachable, connect.ErrDatabase or connect.ErrListen where one of these is the cause.
func Run(ctx context.Context, cfg *config.Config, version string) error {
	log, err := logger(cfg)
	if err != nil {
		return err
	}
	b, err := build(ctx, cfg, version, log)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.meet(ctx, cfg); err != nil {
		return err
	}
	return b.serve(ctx, cfg)
}

func logger(cfg *config.Config) (zerolog.Logger, error) {
	var zc zeroconfig.Config
	if err := cfg.Logging.Decode(&zc); err != nil {
		return zerolog.Nop(), err
	}
	log, err := zc.Compile()
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("logging: %w", err)
	}
	return *log, nil
}

// build puts the parts together. Nothing runs yet.
func build(ctx context.Context, cfg *config.Config, version string, log zerolog.Logger) (*bot, error) {
	b := &bot{log: log, self: identity(cfg), checking: map[id.RoomID]bool{}}
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.closers = append(b.closers, cancel)
	var err error
	b.metrics = metrics.New(version, clock{})
	if b.client, err = connect.Homeserver(cfg, version, b.metrics, log); err != nil {
		return nil, err
	}
	if b.store, err = store.Open(ctx, connect.Database(cfg)); err != nil {
		return nil, fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	b.closers = append(b.closers, func() { _ = b.store.Close() })
	if n := b.store.Ahead(); n > 0 {
		log.Info().Int("upgrades", n).Msg("the database was upgraded by a newer version, with which this one can go on")
	}
	b.pending, b.cards = appservice.NewPending(), appservice.NewCards()
	b.state = homeserver.NewState(b.client, homeserver.StateOptions{Creates: b.store, Log: log})
	if err := b.buildEncryption(ctx, cfg, version); err != nil {
		b.close()
		return nil, fmt.Errorf("%w: that of the keys: %w", connect.ErrDatabase, err)
	}
	b.jobs, err = jobs.New(ctx, jobs.Config{
		Store: b.store, Deliver: b.deliver, Sweep: b.sweep, SweepEvery: sweepEvery, Clean: b.clean, Workers: cfg.Delivery.Workers,
		Logger: slogger(log), Clock: clock{},
	})
	if err != nil {
		b.close()
		return nil, fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
	}
	b.port = journal{b.metrics.Store(b.store), log}
	b.invites = &invites.Service{
		Store: b.port, Homeserver: b.metrics.Homeserver(b.record(cfg)), Queue: b.metrics.Queue(b.jobs), Clock: clock{}, Self: b.self,
		Limits: invites.Limits{AtOnce: cfg.Delivery.AtOnce, Lease: lease, GiveUpAfter: cfg.Delivery.GiveUpAfter},
	}
	b.health = &operator.Health{Database: b.store, Tokens: b.client}
	if b.sealed.device != nil {
		b.health.Device = b.sealed.device
	}
	b.direct = &directs{homeserver: b.client}
	b.guard = b.newGuard()
	b.runner = b.newRunner(cfg, version)
	b.lanes = newLanes(parallelRooms, b.handle)
	b.feed = &feed{store: b.store, lanes: b.lanes, most: mostInLanes, log: log}
	b.lanes.hungry, b.lanes.low = func() { b.feed.hungry(b.ctx) }, mostInLanes/2
	b.commands.perMinute, b.answers.perMinute = cfg.Commands.PerMinute, cfg.Commands.AnswersPerMinute
	return b, nil
}

// record is the homeserver as the use cases see it.
func (b *bot) record(cfg *config.Config) invites.Homeserver {
	if b.sealed.device == nil || !cfg.Encryption.HistorySharing {
		return b.state
	}
	return historian{b.state, b}
}

func identity(cfg *config.Config) invites.Identity {
	return invites.Identity{
		Bot: id.UserID(cfg.BotUser()), Domain: cfg.Homeserver.Domain, Assert: cfg.Puppet.Enabled,
		AutoJoin: func(user id.UserID) bool { return cfg.AutoJoins(user.String()) },
	}
}

func (b *bot) newRunner(cfg *config.Config, version string) *commands.Runner {
	return &commands.Runner{
		Notices: commands.Notices{Prefix: cfg.Commands.Prefix, Self: b.self}, Invites: b.invites, MaxAge: cfg.Commands.MaxAge, Version: version,
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
func (c chat) Voted(ctx context.Context, b invites.Ballot) error { return c.show(ctx, b) }

// meet makes the bot known to the homeserver and learns what the homeserver has on record of it.
func (b *bot) meet(ctx context.Context, cfg *config.Config) error {
	if _, err := b.client.Versions(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrHomeserverUnreachable, err)
	}
	if err := b.client.Register(ctx); err != nil {
		return unwelcome("registering the bot", err)
	}
	me, err := b.client.Whoami(ctx)
	if err != nil {
		return unwelcome("asking who I am", err)
	}
	if me != b.self.Bot {
		return fmt.Errorf("%w: it takes me for %s, but the config says %s", ErrTokenRefused, me, b.self.Bot)
	}
	if err := b.client.SetProfile(ctx, cfg.Appservice.Bot.Displayname, cfg.Appservice.Bot.Avatar); err != nil {
		b.log.Warn().Err(err).Msg("the profile could not be set")
	}
	if err := b.direct.load(ctx); err != nil {
		return unwelcome("reading direct chats", err)
	}
	rooms, err := b.client.JoinedRooms(ctx)
	if err != nil {
		return unwelcome("listing joined rooms", err)
	}
	b.log.Info().Stringer("user", b.self.Bot).Int("rooms", len(rooms)).Bool("puppet", b.self.Assert).Msg("met the homeserver")
	return nil
}

// unwelcome tells a refused token from a homeserver that is not there.
func unwelcome(doing string, err error) error {
	if invites.Stopped(err) || invites.Refused(err) {
		return fmt.Errorf("%w while %s: %w", ErrTokenRefused, doing, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrHomeserverUnreachable, doing, err)
}

// serve runs everything until ctx ends.
func (b *bot) serve(ctx context.Context, cfg *config.Config) error {
	listener, err := connect.Listen(cfg.Appservice.Listen)
	if err != nil {
		return fmt.Errorf("%w: %w", connect.ErrListen, err)
	}
	intake := b.newIntake(cfg)
	if cfg.Database.Type == config.TypeSQLite {
		if err := b.resume(ctx); err != nil {
			return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
		}
	}
	if err := errors.Join(b.recallSpaces(ctx), b.loadPending(ctx), b.loadCards(ctx), b.guard.Load(ctx)); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	if err := b.feed.rewind(b.ctx); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	if err := b.jobs.Start(b.ctx); err != nil {
		return fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
	}
	b.startEncryption()
	monitor := operator.Monitor{Health: b.health, Metrics: b.metrics, Lanes: b.lanes.depth, Log: b.log}
	stop, err := monitor.Start(cfg.Metrics)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, stop)
	go b.recheck(b.ctx)
	go b.runner.Advertiser.Run(b.ctx)
	go b.feed.watch(b.ctx)
	server := &http.Server{Handler: intake, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	b.log.Info().Stringer("address", listener.Addr()).Msg("ready")
	select {
	case err = <-failed:
		err = fmt.Errorf("%w: %w", connect.ErrListen, err)
	case <-ctx.Done():
		err = nil
	}
	b.log.Info().Msg("stopping: what is under way is finished")
	intake.Drain()
	b.health.Stop()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	b.finish(deadline, b.jobs.Stop, server.Shutdown)
	return err
}

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

func (b *bot) newIntake(cfg *config.Config) *appservice.Intake {
	return appservice.NewIntake(appservice.IntakeOptions{
		Inbox: b.port, Watcher: watchers{b}, Pending: b.pending, Cards: b.cards, Encrypted: b.sealed.device != nil,
		Token: cfg.Appservice.HSToken.Reveal(), Bot: b.self.Bot,
		DisplayName: cfg.Appservice.Bot.Displayname, Prefix: cfg.Commands.Prefix, Known: b.runner.Known,
		MaxBody: int64(cfg.Appservice.MaxBodySize), ReadTimeout: cfg.Appservice.RequestTimeout,
		Deliver: func(events []invites.Received) { b.feed.push(b.ctx, events) },
		Recover: func() {
			if err := b.feed.rewind(b.ctx); err != nil {
				b.log.Err(err).Msg("the inbox could not be read; it is tried again")
			}
		},
		Policy: policy.EventType, Guarded: b.guard.Watches, Claimed: b.claimed, Linked: b.linked, Left: b.left, Ready: b.health.Reasons,
		Redacted: b.state.Forget,
		Counters: b.metrics, Log: b.log,
	})
}

// recheckEvery is the pause between two checks of a refused token.
const recheckEvery = 5 * time.Second

// recheck checks regularly whether the homeserver takes a refused token again, until ctx ends.
func (b *bot) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.client.Recheck(ctx)
		case <-ctx.Done():
			return
		}
	}
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
