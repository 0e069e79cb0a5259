package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/zeroconfig"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/chat"
	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/encryption"
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
	lease       = 45 * time.Second // an attempt at a row ends with it
	sweepLimit  = 1000
	sweepEvery  = 5 * time.Second
	keepHandled = 7 * 24 * time.Hour // longer than anything is tried
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
	b := &bot{log: log, self: identity(cfg), metrics: metrics.New(version, clock{}), pending: appservice.NewPending(), cards: appservice.NewCards()}
	err := b.open(ctx, cfg, version)
	if err == nil {
		b.jobs, err = jobs.New(ctx, jobs.Config{
			Store: b.store.stored.Store, Deliver: b.deliver, Sweep: b.sweep, SweepEvery: sweepEvery, Clean: b.clean, Workers: cfg.Delivery.Workers,
			Logger: slogger(log), Clock: clock{},
		})
		if err != nil {
			err = fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
		}
	}
	if err != nil {
		b.close()
		return nil, err
	}
	b.health = &operator.Health{Database: b.store, Tokens: b.client}
	if b.device != nil {
		b.health.Device = b.device
	}
	b.compose(cfg, version)
	return b, nil
}

// open opens the homeserver's client, the databases and the device.
func (b *bot) open(ctx context.Context, cfg *config.Config, version string) (err error) {
	if b.client, err = connect.Homeserver(cfg, version, b.metrics, b.log); err != nil {
		return err
	}
	db, err := store.Open(ctx, connect.Database(cfg))
	if err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	b.closers = append(b.closers, func() { _ = db.Close() })
	if n := db.Ahead(); n > 0 {
		b.log.Info().Int("upgrades", n).Msg("Database upgraded by a newer version")
	}
	b.store = loggedStore{stored{db}, b.metrics.Store(db), b.log}
	b.state = homeserver.NewState(b.client, homeserver.StateOptions{Creates: db, Log: b.log})
	if !cfg.Encryption.Enabled {
		return nil
	}
	keys, err := store.OpenKeys(ctx, connect.Keys(cfg))
	if err == nil {
		b.closers = append(b.closers, func() { _ = keys.Close() })
		b.device, err = encryption.New(ctx, encryption.Options{
			Homeserver: cfg.Homeserver.Address, Bot: b.self.Bot, Token: cfg.Appservice.ASToken.Reveal(), UserAgent: "usher/" + version,
			PickleKey: cfg.Encryption.PickleKey.Reveal(), RecoveryKey: cfg.Encryption.RecoveryKey.Reveal(),
			SignedOnly: cfg.Encryption.ShareKeysWith == config.ShareSigned, History: cfg.Encryption.HistorySharing,
			Keys: keys, Rooms: b.state, Log: b.log, Arrived: func(r id.RoomID) { b.chat.KeysArrived(r) },
		})
	}
	if err != nil {
		return fmt.Errorf("%w: that of the keys: %w", connect.ErrDatabase, err)
	}
	return nil
}

// compose makes the use cases and the ways in.
func (b *bot) compose(cfg *config.Config, version string) {
	b.invites = &invites.Service{
		Store: b.store, Homeserver: b.metrics.Homeserver(b.state), Queue: b.metrics.Queue(b.jobs), Clock: clock{}, Self: b.self,
		Limits: invites.Limits{AtOnce: cfg.Delivery.AtOnce, Lease: lease, GiveUpAfter: cfg.Delivery.GiveUpAfter},
	}
	b.guard = &invites.Guard{Service: b.invites, Store: b.store}
	b.runner = b.newRunner(cfg, version)
	o := chat.Options{
		Self: b.self, Runner: b.runner, Stores: chat.Stores{Inbox: b.store, Cards: b.store, Rooms: b.store},
		Homeserver: b.client, State: b.state,
		Cases: chat.Cases{
			Cards: b.invites, Knocks: b.invites, Guard: b.guard, Expiries: b.invites, Requests: b.invites, Delivery: b.invites,
		},
		Queue: b.jobs, Index: chat.Index{Cards: b.cards, Pending: b.pending},
		Settings: chat.Settings{
			WaitForKeys: cfg.Encryption.WaitForKeys, CommandsPerMinute: cfg.Commands.PerMinute, AnswersPerMinute: cfg.Commands.AnswersPerMinute,
		},
		Counters: b.metrics, Log: b.log,
	}
	if b.device != nil {
		o.Device = b.device
	}
	b.chat = chat.New(o)
	b.guard.Tell = b.chat.Rooms.GuardReport
	if b.device != nil && cfg.Encryption.HistorySharing {
		b.invites.History = b.chat.History
	}
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
		Names: []string{cfg.Appservice.Bot.Displayname},
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
		Advertiser: commands.NewAdvertiser(roomState{b.client, b.state}, b.self.Bot, cfg.Commands.Advertise, func(r id.RoomID, err error) {
			b.log.Warn().Err(err).Stringer("room", r).Msg("Descriptions of commands not updated")
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

// meet makes the bot known to the homeserver and learns what the homeserver has on record of it.
func (b *bot) meet(ctx context.Context, cfg *config.Config) error {
	if _, err := b.client.Versions(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrHomeserverUnreachable, err)
	}
	if err := b.client.Register(ctx); err != nil {
		return unwelcome("registering the bot's user", err)
	}
	me, err := b.client.Whoami(ctx)
	if err != nil {
		return unwelcome("asking who I am", err)
	}
	if me != b.self.Bot {
		return fmt.Errorf("%w: it takes me for %s, but the config says %s", ErrTokenRefused, me, b.self.Bot)
	}
	if err := b.client.SetProfile(ctx, cfg.Appservice.Bot.Displayname, cfg.Appservice.Bot.Avatar); err != nil {
		b.log.Warn().Err(err).Msg("Profile not set")
	}
	if err := b.chat.Direct.Load(ctx); err != nil {
		return unwelcome("reading which rooms are direct chats", err)
	}
	rooms, err := b.client.JoinedRooms(ctx)
	if err != nil {
		return unwelcome("asking which rooms I am in", err)
	}
	b.log.Info().Stringer("user", b.self.Bot).Int("rooms", len(rooms)).Bool("puppet", b.self.Assert).Msg("Homeserver met")
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
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends when the process is to stop at once
	defer cancel()
	intake := b.newIntake(cfg)
	if err := b.start(ctx, work, cfg); err != nil {
		return err
	}
	monitor := operator.Monitor{Health: b.health, Metrics: b.metrics, Lanes: b.chat.Lanes.Depth, Log: b.log}
	stop, err := monitor.Start(cfg.Metrics)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, stop)
	server := &http.Server{Handler: intake, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	b.log.Info().Stringer("address", listener.Addr()).Msg("Ready")
	select {
	case err = <-failed:
		err = fmt.Errorf("%w: %w", connect.ErrListen, err)
	case <-ctx.Done():
		err = nil
	}
	b.log.Info().Msg("Stopping")
	intake.Drain()
	b.health.Stop()
	deadline, done := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer done()
	b.finish(deadline, b.jobs.Stop, server.Shutdown)
	return err
}

// start loads from the database the state that is kept in memory, and begins to work. The work ends with work, or when the bot is closed.
func (b *bot) start(ctx, work context.Context, cfg *config.Config) error {
	if cfg.Database.Type == config.TypeSQLite {
		if err := b.resume(ctx, work); err != nil {
			return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
		}
	}
	if err := b.chat.Load(ctx); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	if err := b.jobs.Start(work); err != nil {
		return fmt.Errorf("%w: the queue: %w", connect.ErrDatabase, err)
	}
	parts := []func(context.Context){b.chat.Run, b.recheck, b.runner.Advertiser.Run}
	if b.device != nil {
		parts = append(parts, b.device.Run)
	}
	var running sync.WaitGroup
	work, cancel := context.WithCancel(work)
	for _, run := range parts {
		running.Go(func() { run(work) })
	}
	b.closers = append(b.closers, func() { cancel(); running.Wait() })
	return nil
}

// finish waits for the work under way, in the lanes first, and for the notes that events are answered, as long as ctx lasts.
func (b *bot) finish(ctx context.Context, others ...func(context.Context) error) {
	late := b.chat.Stop(ctx)
	for _, stop := range append(others, b.chat.Settle) {
		late = errors.Join(late, stop(ctx))
	}
	if late != nil {
		b.log.Warn().Err(late).Msg("Not everything finished")
	}
}

func (b *bot) newIntake(cfg *config.Config) *appservice.Intake {
	return appservice.NewIntake(appservice.IntakeOptions{
		Inbox: b.store, Watcher: watchers{b}, Pending: b.pending, Cards: b.cards, Encrypted: b.device != nil,
		Token: cfg.Appservice.HSToken.Reveal(), Bot: b.self.Bot,
		DisplayName: cfg.Appservice.Bot.Displayname, Prefix: cfg.Commands.Prefix, Known: b.runner.Known,
		MaxBody: int64(cfg.Appservice.MaxBodySize), ReadTimeout: cfg.Appservice.RequestTimeout,
		Deliver: b.chat.Feed.Push, Recover: b.chat.Feed.Rewind, Policy: policy.EventType, Guarded: b.guard.Watches,
		Claimed: b.chat.Rooms.Claimed, Linked: b.chat.Rooms.Linked, Left: b.chat.Members.Left, Ready: b.health.Reasons,
		Redacted: b.state.Forget, Counters: b.metrics, Log: b.log,
	})
}

// watchers hears of changes in rooms for all parts that keep something of them in memory.
type watchers struct{ *bot }

// Changed implements appservice.Watcher.
func (b watchers) Changed(r id.RoomID, k room.Key) {
	b.state.Changed(r, k)
	b.chat.Rooms.Changed(r, k)
	if b.device != nil {
		b.device.Changed(r, k.Type)
	}
}

// Invalidate implements appservice.Watcher.
func (b watchers) Invalidate(r id.RoomID) {
	b.state.Invalidate(r)
	if b.device != nil {
		b.device.Invalidate(r)
	}
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

// deliver makes one attempt at each of some rows.
func (b *bot) deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error) {
	return b.chat.Status.Deliver(ctx, rows...)
}

// sweep does regular work, and lists the rows that are due and may have no job.
func (b *bot) sweep(ctx context.Context) ([]int64, error) {
	b.chat.Cards.Sweep(ctx)
	if err := b.chat.Rooms.Expire(ctx); err != nil && ctx.Err() == nil {
		b.log.Warn().Err(err).Msg("Expired invitations not withdrawn")
	}
	return b.store.Due(ctx, time.Now(), sweepLimit)
}

// clean deletes rows that are no longer needed.
func (b *bot) clean(ctx context.Context) error {
	return b.store.Clean(ctx, time.Now().Add(-keepHandled))
}

// close closes the parts, the last one opened first.
func (b *bot) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}
