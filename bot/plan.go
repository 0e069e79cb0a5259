package bot

import (
	"context"
	"net/http"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/config"
	"usher/invites"
	"usher/invites/requests"
	"usher/loop"
	"usher/plan"
	"usher/plan/source"
	"usher/room"
)

// planEvery is the pause between two looks at plans.
const planEvery = 500 * time.Millisecond

// newPlans makes the service of plans, and has delivery ask it about its rows.
func newPlans(b *bot, cfg *config.Config) *plan.Service {
	planner := &plan.Planner{Facts: b.store, Homeserver: b.state, Requests: requests.Planning{Requests: b.domain.requests}, Policies: b.domain.judge.Policies, Clock: clock{}, Self: b.self}
	runner := &plan.Runner{
		Store: b.store, Homeserver: b.state, Requests: requests.Planning{Requests: b.domain.requests}, Policies: b.domain.judge.Policies, History: b.domain.judge.History, Clock: clock{}, Self: b.self,
	}
	b.domain.delivery.Checks[invites.OriginPlan] = runner
	return &plan.Service{
		Planner: planner, Runner: runner, Read: source.Read, Log: b.log,
		Settings: plan.Settings{Files: cfg.Plan.Files, Interval: cfg.Plan.Interval, Managers: cfg.Plan.Managers},
		Tell: func(ctx context.Context, key string, text room.Phrase) error {
			if cfg.Plan.Room == "" {
				return nil
			}
			return b.chat.PlanReport(ctx, id.RoomID(cfg.Plan.Room), key, text)
		},
	}
}

// runPlans looks after plans, until ctx ends.
func (s served) runPlans(ctx context.Context) { loop.Every(ctx, planEvery, s.plans.Step) }

// onPlan reports whether a request at the listener of the appservice is about plans.
func onPlan(r *http.Request) bool {
	return r.URL.Path == plan.Path || strings.HasPrefix(r.URL.Path, plan.Path+"/")
}

// servePlan answers a request about plans in the active process. It shows the token of the homeserver's requests, as the config has it.
func (p *process) servePlan(b *bot, w http.ResponseWriter, r *http.Request) {
	if !tokens(p.cfg).Shown(r) {
		w.Header().Set("Connection", "close") // nothing more is read of it
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.cfg.Appservice.RequestTimeout))
	b.plans.ServeHTTP(w, r)
}
