package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/config"
	"usher/connect"
	"usher/invites/inbound"
	"usher/invites/native"
	"usher/loop"
	"usher/web"
	"usher/web/dashboard"
)

// newSite makes the web pages and endpoints of the active process.
func (b *bot) newSite(p *process) *web.Site {
	o := web.Options{Log: b.log, Antispam: p.antispam(b.newNative())}
	if cfg := &p.cfg.Web; cfg.PublicURL != "" {
		proxies, _ := cfg.Trusted() // checked with the config
		o.Pages = web.NewPages(cfg.PublicURL, web.Mark(p.cfg.Appservice.HSToken.Reveal()))
		visitors := web.Visitors{Proxies: proxies, Relay: p.cfg.Appservice.HSToken.Reveal()}
		o.Links = web.NewLinks(web.LinkOptions{
			Pages: o.Pages, Cases: b.domain.links, Uses: b.domain.requests, Pictures: b.client, Bot: b.self.Bot, Visitors: visitors,
		})
		o.Others = append(o.Others, newDashboard(b, p, o.Pages, visitors))
		if b.domain.letters.Key != "" { // also after the mail server was taken away
			o.Stop = web.NewStop(o.Pages, b.domain.letters, visitors)
		}
	}
	return web.New(o)
}

// newDashboard makes the pages for people who look after rooms.
func newDashboard(b *bot, p *process, pages *web.Pages, visitors web.Visitors) *dashboard.Dashboard {
	return dashboard.New(dashboard.Options{
		Pages: pages, Visitors: visitors, Sessions: b.domain.sessions, Ledger: b.domain.ledger, Cards: b.domain.cards, Desk: b.chat.Cards, Links: b.domain.links,
		Health: dashboardHealth{p, b}, Rooms: dashboardRooms{b.rooms, b.runner.Chat}, Names: b.domain.judge.Reach,
		Policies: b.domain.judge.Policies, Clock: clock{}, Log: b.log,
		Level: func(user id.UserID) (permitted, operator bool) {
			level := b.runner.Level(user)
			return level >= commands.User, level >= commands.Operator
		},
	})
}

// dashboardRooms are the rooms of the dashboard: all but the bot's direct chats.
type dashboardRooms struct {
	joined *joinedRooms
	chat   commands.Chat
}

// All implements dashboard.Rooms.
func (r dashboardRooms) All(ctx context.Context) ([]id.RoomID, error) {
	list, err := r.joined.All(ctx)
	return slices.DeleteFunc(list, func(in id.RoomID) bool { return r.chat.DirectWith(in) != "" }), err
}

// dashboardHealth is how the process is doing.
type dashboardHealth struct {
	p *process
	b *bot
}

// State implements dashboard.Health.
func (h dashboardHealth) State(ctx context.Context) (dashboard.State, error) {
	waits, err := h.b.store.Backlog(ctx)
	if err != nil {
		return dashboard.State{}, err
	}
	list, err := h.b.rooms.All(ctx)
	if err != nil {
		return dashboard.State{}, err
	}
	events, err1 := h.b.store.WaitingAfter(ctx, 0, dashboard.MaxState)
	next, err2 := h.b.store.NextOpen(ctx, dashboard.MaxState)
	unread, err3 := h.b.store.Quarantined(ctx, dashboard.MaxState)
	return dashboard.State{
		Version: h.p.version, Faults: h.p.health.Phrases(), Rooms: len(list),
		Events: waits.Events, Oldest: waits.Oldest, Open: waits.Open, Due: waits.Due, Quarantine: waits.Quarantine,
		Waiting: events, Next: next, Unread: unread,
	}, errors.Join(err1, err2, err3)
}

// antispam makes the endpoint for homeservers, nil if it is off. A process that does not act judges nothing.
func (p *process) antispam(judge web.Judge) *web.Antispam {
	a := &p.cfg.Antispam
	if !a.Enabled {
		return nil
	}
	quiet := p.log.Sample(&zerolog.BurstSampler{Burst: refusalLines, Period: time.Minute})
	endpoint := &web.Antispam{Token: a.Token.Reveal(), Timeout: a.Timeout, FailsOpen: a.FailsOpen, Judge: judge, Language: p.cfg.Language, Counters: p.metrics, Log: quiet}
	if a.Next.URL != "" {
		endpoint.Next = &web.Next{URL: a.Next.URL, Token: a.Next.Token.Reveal(), Client: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
	}
	return endpoint
}

// refusalLines is how many lines a minute the log has of callbacks that strangers may cause. The metrics count all.
const refusalLines = 200

// newNative makes the use case of callbacks.
func (b *bot) newNative() *native.Native {
	n := &native.Native{
		Rooms: b.rooms, Invitations: b.domain.requests, Sending: b.domain.delivery, Store: b.store, Cards: b.chat.Cards, Admissions: b.domain.knocks,
		Limits: b.domain.requests.Limits, Judge: b.domain.judge, Self: b.self,
	}
	if b.domain.inbound != nil {
		n.Inbound = b.domain.inbound
	}
	return n
}

// newInbound makes the operator's policy about invitations to local users, nil if it is off.
func (b *bot) newInbound(cfg *config.Config) *inbound.Inbound {
	in := &cfg.Inbound
	if !cfg.Antispam.Enabled || !in.Enabled {
		return nil
	}
	return &inbound.Inbound{Rules: inboundRules(in), Lists: b.domain.judge.Lists, Store: b.store, Clock: clock{}, Self: b.self, Homeserver: b.state, Queue: b.jobs,
		Operator: func(user id.UserID) bool { return cfg.Permissions.Level(user.String()) == config.LevelOperator }}
}

// inboundRules returns the rules of the config.
func inboundRules(in *config.Inbound) inbound.Rules {
	limit := func(p config.People) inbound.Limit { return inbound.Limit{People: p.People, Per: p.Per} }
	rules := inbound.Rules{
		IPLiterals: in.IPLiterals, NoCreate: in.NoCreate, Ops: id.RoomID(in.Room), BanList: id.RoomID(in.BanList), Sender: limit(in.Sender), Room: limit(in.PerRoom),
		Server: limit(in.Server), New: limit(in.NewSender), Rush: limit(in.Rush), Breaker: limit(in.Breaker), Block: in.BlockFor,
	}
	for _, r := range in.Lists {
		rules.Lists = append(rules.Lists, id.RoomID(r))
	}
	if in.BanList != "" {
		rules.Lists = append(rules.Lists, id.RoomID(in.BanList))
	}
	return rules
}

// inbound looks after the operator's policy about invitations to local users, and after the refusals of callbacks, until ctx ends.
func (b *bot) inbound(ctx context.Context) {
	s := b.domain.inbound
	loop.Every(ctx, sweepEvery, func(ctx context.Context) {
		err := b.domain.requests.Flush(ctx)
		if s != nil {
			err = errors.Join(err, s.Sweep(ctx))
		}
		if err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("Invitations to local users not looked after")
		}
	})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), haltTime)
	defer cancel()
	err := b.domain.requests.Flush(last)
	if s != nil {
		err = errors.Join(err, s.Flush(last))
	}
	if err != nil {
		b.log.Warn().Err(err).Msg("Refused invitations not in the audit")
	}
}

// webHandler serves web.listen: the active process has a site, another one passes requests on.
type webHandler struct{ *process }

// ServeHTTP implements http.Handler.
func (p webHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if web.IsAntispam(r.URL.Path) && p.cfg.Antispam.At != config.AtWeb {
		http.NotFound(w, r)
		return
	}
	p.serveSite(w, r)
}

// serveSite answers from the site of the active process.
func (p *process) serveSite(w http.ResponseWriter, r *http.Request) {
	b := p.acting.Load()
	switch {
	case b != nil:
		b.site.ServeHTTP(w, r)
	case web.Relayed(r, p.cfg.Appservice.HSToken.Reveal()): // another process takes this one for the active one
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	default:
		p.relay.ServeHTTP(w, r)
	}
}

// onSite reports whether a request at the listener of the appservice is for the site: one that another process passes on, or a callback, if
// the config has them there.
func (p *process) onSite(r *http.Request) bool {
	a := &p.cfg.Antispam
	return a.Enabled && a.At == config.AtAppservice && web.IsAntispam(r.URL.Path) || web.Relayed(r, p.cfg.Appservice.HSToken.Reveal())
}

// serveWeb listens at web.listen, if that is set, and calls failed where the listener ends by itself. The caller calls stop, which waits for
// requests under way as long as its context lasts.
func (p *process) serveWeb(failed context.CancelCauseFunc) (stop func(context.Context) error, err error) {
	if p.cfg.Web.Listen == "" {
		return func(context.Context) error { return nil }, nil
	}
	listener, err := connect.Listen(p.cfg.Web.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: web: %w", connect.ErrListen, err)
	}
	server := connect.Server(webHandler{p})
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("%w: web: %w", connect.ErrListen, err))
		}
	}()
	p.log.Info().Stringer("address", listener.Addr()).Msg("Web listener started")
	return server.Shutdown, nil
}
