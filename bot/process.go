package bot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/config"
	"usher/connect"
	"usher/homeserver"
	"usher/loop"
	"usher/metrics"
	"usher/operator"
	"usher/store"
	"usher/web"
)

// process is one running Usher. From its start to its end it listens, and answers for health and metrics. While it is the active
// process on its database, a bot acts; else it forwards requests to the active process.
type process struct {
	cfg     *config.Config
	version string
	log     zerolog.Logger
	store   *store.Store
	client  *homeserver.Client
	metrics *metrics.Metrics
	health  *operator.Health
	standby *appservice.Standby
	relay   *web.Relay
	hearing *appservice.Hearing
	waker   *waker
	acting  atomic.Pointer[bot]            // nil: this process stands by
	inbound atomic.Pointer[config.Inbound] // read since the start; nil: as in cfg
	stopBy  func() time.Time               // when the process has to have stopped, counted from the first call
}

// Run runs Usher until ctx ends, then finishes the work under way within the configured time. Its errors wrap
// operator.ErrTokenRefused, operator.ErrHomeserverUnreachable, connect.ErrDatabase or connect.ErrListen where one of these is the cause. An end of ctx is
// no error, also during the start.
//
// At each hang-up it reads the config again, and compares the files of plans with their rooms.
func Run(ctx context.Context, cfg *config.Config, version string, reload Reload) error {
	log, err := logger(cfg)
	if err != nil {
		return err
	}
	err = run(ctx, cfg, version, reload, log)
	if err != nil && ctx.Err() != nil {
		log.Info().Err(err).Msg("stopped as asked; this was not finished")
		return nil
	}
	return err
}

// run is Run with a log.
func run(ctx context.Context, cfg *config.Config, version string, reload Reload, log zerolog.Logger) (err error) {
	p := &process{cfg: cfg, version: version, log: log, metrics: metrics.New(version, clock{})}
	if p.client, err = connect.Homeserver(cfg, version, p.metrics, log); err != nil {
		return err
	}
	if p.store, err = store.Open(ctx, connect.Database(cfg)); err != nil {
		return fmt.Errorf("%w: %w", connect.ErrDatabase, err)
	}
	defer func() { _ = p.store.Close() }()
	if p.store.Created() {
		log.Warn().Str("place", connect.Place(connect.Database(cfg))).
			Msg("There was no database at this place: a new, empty one was made. If Usher ran before, look for its volume or database.uri")
	}
	if n := p.store.Ahead(); n > 0 {
		log.Info().Int("upgrades", n).Msg("Database of a newer version")
	}
	p.stopBy = sync.OnceValue(func() time.Time { return time.Now().Add(cfg.ShutdownTimeout) })
	p.health = &operator.Health{Database: p.store, Tokens: p.client, Device: p, Peer: p}
	p.hearing = &appservice.Hearing{}
	p.waker = newWaker(p.client, cfg.Appservice.ID, p.hearing, log)
	p.standby = appservice.NewStandby(appservice.StandbyOptions{
		Tokens: tokens(cfg), Active: p.store.ActiveAddress, MaxBody: int64(cfg.Appservice.MaxBodySize),
		ReadTimeout: cfg.Appservice.RequestTimeout, Ready: p.health.Reasons, Log: log,
	})
	p.relay = web.NewRelay(p.standby, cfg.Appservice.HSToken.Reveal(), p.antispam(nil), log)
	if err := p.meet(ctx); err != nil {
		return err
	}
	go p.reloads(ctx, reload)
	return p.serve(ctx)
}

// tokens returns the secrets of the homeserver's requests.
func tokens(cfg *config.Config) appservice.Tokens {
	tokens := appservice.Tokens{HS: cfg.Appservice.HSToken.Reveal(), Query: cfg.Appservice.QueryToken}
	if cfg.Puppet.Enabled {
		tokens.Other = cfg.Puppet.HSToken.Reveal()
	}
	return tokens
}

// meet makes the bot known to the homeserver, and finds out early what keeps Usher from working.
func (p *process) meet(ctx context.Context) error {
	if err := operator.Meet(ctx, p.cfg, p.client, p.log); err != nil {
		return err
	}
	if err := p.client.SetProfile(ctx, p.cfg.Appservice.Bot.Displayname, p.cfg.Appservice.Bot.Avatar); err != nil {
		p.log.Warn().Err(err).Msg("Profile not set")
	}
	if err := p.giveAvatar(ctx); err != nil {
		p.log.Warn().Err(err).Msg("Avatar not set")
	}
	rooms, err := p.client.JoinedRooms(ctx)
	if err != nil {
		return fmt.Errorf("%w: listing joined rooms: %w", operator.ErrHomeserverUnreachable, err)
	}
	p.log.Info().Str("user", p.cfg.BotUser()).Int("rooms", len(rooms)).Bool("puppet", p.cfg.Puppet.Enabled).Msg("Homeserver met")
	if len(rooms) == 0 {
		p.log.Info().Str("user", p.cfg.BotUser()).Msg("Next: invite the bot to a room and say " + p.cfg.Commands.Prefix + "help there")
	}
	return nil
}

// serve listens, and acts or stands by, until ctx ends or the listener fails.
func (p *process) serve(ctx context.Context) error {
	listener, err := connect.Listen(p.cfg.Appservice.Listen)
	if err != nil {
		return fmt.Errorf("%w: %w", connect.ErrListen, err)
	}
	monitor := operator.Monitor{Health: p.health, Metrics: p.metrics, Lanes: p.lanes, Log: p.log}
	stop, err := monitor.Start(p.cfg.Metrics)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopWeb, err := p.serveWeb(cancel)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := connect.Server(p)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("%w: %w", connect.ErrListen, err))
		}
	}()
	p.log.Info().Stringer("address", listener.Addr()).Msg("Listening")
	go loop.Every(ctx, recheckEvery, p.client.Recheck)
	err = p.actInTurn(ctx, listener.Addr())
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, connect.ErrListen) {
		err = cause
	}
	p.standby.Drain()
	deadline, done := context.WithDeadline(context.WithoutCancel(ctx), p.stopBy())
	defer done()
	if late := errors.Join(server.Shutdown(deadline), stopWeb(deadline)); late != nil {
		p.log.Warn().Err(late).Msg("Requests unanswered")
	}
	return err
}

// ServeHTTP implements http.Handler.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := p.acting.Load()
	switch {
	case p.onSite(r):
		p.serveSite(w, r)
	case b != nil && onPlan(r):
		p.servePlan(b, w, r)
	case b != nil:
		b.intake.ServeHTTP(w, r)
	default:
		p.standby.ServeHTTP(w, r)
	}
}

// recheckEvery is the pause between two checks of a refused token.
const recheckEvery = 5 * time.Second

// activePause is the longest pause between two tries to become the active process while the database can't be asked.
const activePause = 2 * time.Second

// actInTurn waits until this process is the active one and acts until it is not, again and again until ctx ends. Only the first
// time, a failure to begin is an error.
func (p *process) actInTurn(ctx context.Context, listening net.Addr) error {
	pause := loop.Backoff{First: firstPause, Last: activePause}
	for first := true; ctx.Err() == nil; {
		active, err := p.store.AwaitActive(ctx)
		if err == nil {
			err = p.act(ctx, active, listening)
			if left := active.Close(); left != nil {
				p.log.Warn().Err(left).Msg("Session not closed")
			}
			if err != nil && first {
				return err
			}
			first = false
		}
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			pause.Reset()
		}
		wait := pause.Next()
		p.log.Warn().Err(err).Dur("again_in", wait).Msg("Not the active process")
		loop.Sleep(ctx, wait)
	}
	return nil
}

// act runs a bot until ctx ends, which lets it finish, or until another process may act, which stops it at once.
func (p *process) act(ctx context.Context, active *store.Active, listening net.Addr) error {
	b, err := p.build(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	held, cancel := context.WithCancel(ctx) // ends when ctx does, or with the right to act
	defer cancel()
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx)) // ends when the work is to stop at once
	defer stopWork()
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() {
		if active.Watch(watching) != nil {
			cancel()
			stopWork()
		}
	})
	defer func() { unwatch(); watch.Wait() }()
	err = b.start(held, work)
	address := advertised(p.cfg.Appservice, listening, active.LocalAddr())
	if err == nil {
		p.hearing.Able(time.Now())
		p.acting.Store(b)
		err = active.Announce(held, address)
	}
	if err != nil && held.Err() == nil {
		p.acting.Store(nil)
		stopWork()
		b.halt()
		return err
	}
	p.log.Info().Str("address", address).Msg("Ready")
	go p.waker.Run(held)
	<-held.Done()
	b.intake.Drain()
	b.site.Drain()
	p.hearing.Unable()
	if ctx.Err() == nil {
		p.log.Warn().Msg("Active session lost: stopping")
		p.acting.Store(nil)
		stopWork()
		b.halt()
		p.health.Committed(nil) // the next active process commits the transactions
		return nil
	}
	p.log.Info().Msg("Stopping")
	p.health.Stop()
	deadline, done := context.WithDeadline(context.WithoutCancel(ctx), p.stopBy().Add(-reserve(p.cfg.ShutdownTimeout)))
	defer done()
	b.finish(deadline, b.jobs.Stop)
	return nil
}

// advertised is the address at which other processes reach this one: the configured one; or where it listens; or, where it listens
// on all addresses, the one from which it reaches the database server; or the name of this machine.
func advertised(cfg config.Appservice, listening, database net.Addr) string {
	if cfg.Advertise != "" {
		return cfg.Advertise
	}
	tcp, ok := listening.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return cfg.Listen
	}
	port := fmt.Sprint(tcp.Port)
	if from, ok := database.(*net.TCPAddr); ok && !from.IP.IsLoopback() {
		return net.JoinHostPort(from.IP.String(), port)
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return net.JoinHostPort(name, port)
}

// lanes implements metrics.Sources.
func (p *process) lanes() (l metrics.Lanes) {
	if b := p.acting.Load(); b != nil {
		l.Active = true
		l.Rooms, l.Events = b.chat.Lanes.Depth()
	}
	l.Statements, l.Commits = p.store.Costs()
	return l
}

// Ready implements operator.Device: the device of encrypted rooms matters to the active process only.
func (p *process) Ready() bool {
	b := p.acting.Load()
	return b == nil || b.device == nil || b.device.Ready()
}

// Unreachable implements operator.Peer.
func (p *process) Unreachable(ctx context.Context) bool {
	return p.acting.Load() == nil && p.standby.Reachable(ctx) != nil
}
