package plan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/plan"
	"usher/room"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	rob   = invitestest.Remote
	lobby = invitestest.Lobby
)

type object = map[string]any

// world is a world whose lobby agrees to the plan staff. The bot has power 100, and so has alice, the author of the policy.
type world struct {
	*invitestest.World
	*plan.Service
	t       *testing.T
	files   map[string]*plan.Wish // read by Read; an absent one is a fault
	trouble error                 // of Tell
	told    []room.Phrase
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: invitestest.NewWorld(t), t: t, files: map[string]*plan.Wish{}}
	w.levels(object{string(alice): 100, string(bot): 100})
	w.allow("staff")
	w.restart()
	return w
}

// levels sets the power levels of users in the lobby. A kick takes 50, power levels 75.
func (w *world) levels(users object) {
	w.HS.Set(lobby, room.TypePowerLevels, "", alice, object{"invite": 50, "events": object{room.TypePowerLevels: 75}, "users": users})
}

// allow names plans or managers in the policy.
func (w *world) allow(names ...string) {
	w.Govern(object{"plan": object{"allow": names}, "ask": object{"level": 0}})
}

// restart makes the parts anew, as another process has them.
func (w *world) restart() {
	settings := plan.Settings{Managers: []string{string(alice), string(carol), string(rob)}}
	if w.Service != nil {
		settings = w.Settings
	}
	w.Build()
	asking := prompt{requests.Planning{Requests: w.Requests}, w}
	planner := &plan.Planner{Facts: w.DB, Homeserver: w.HS, Requests: asking, Policies: w.Judge.Policies, Clock: w.Clock, Self: w.In.Self}
	runner := &plan.Runner{Store: w.DB, Homeserver: w.HS, Requests: asking, Policies: w.Judge.Policies, History: w.Judge.History, Clock: w.Clock, Self: w.In.Self}
	w.Delivery.Checks[invites.OriginPlan] = runner
	w.Service = &plan.Service{
		Planner: planner, Runner: runner, Settings: settings, Log: zerolog.Nop(),
		Read: func(_ context.Context, file string) (*plan.Wish, error) {
			if wish := w.files[file]; wish != nil {
				return wish, nil
			}
			return nil, plan.NewFault(room.Say("plan.fault.version", "file", file))
		},
		Tell: func(_ context.Context, _ string, text room.Phrase) error {
			if w.trouble == nil {
				w.told = append(w.told, text)
			}
			return w.trouble
		},
	}
}

// prompt is the use cases for plans with a queue that makes attempts at once.
type prompt struct {
	requests.Planning
	w *world
}

// Plan implements plan.Requester.
func (p prompt) Plan(ctx context.Context, req requests.Request) error {
	err := p.Planning.Plan(ctx, req)
	for _, turn := range p.w.Queue.Take() {
		_, _ = p.w.Delivery.Deliver(ctx, turn.Row) // what fails is tried again
	}
	return err
}

// wish is the wish for some people in the lobby. A name may have a power level, as in "@ann:here 50".
func wish(people ...string) *plan.Wish {
	r := plan.Room{Room: string(lobby)}
	for _, text := range people {
		p := plan.Person{}
		var level int64
		if n, _ := fmt.Sscanf(text, "%s %d", &p.User, &level); n == 2 {
			p.Power = &level
		}
		r.People = append(r.People, p)
	}
	return &plan.Wish{Name: "staff", Rooms: []plan.Room{r}}
}

func exclusive(people ...string) *plan.Wish {
	w := wish(people...)
	w.Rooms[0].Exclusive = true
	return w
}

// short words steps, such as "invite @bob:here, refuse remove @rob:there kick.power".
func short(steps []plan.Step) string {
	var all []string
	for _, s := range steps {
		text := string(s.Kind)
		if s.Would != "" {
			text += " " + string(s.Would)
		}
		text += " " + string(s.User)
		if s.Kind == plan.Power {
			text += fmt.Sprintf(" %d→%d", s.Was, s.Power)
		}
		all = append(all, strings.TrimSpace(text+" "+s.Code))
	}
	return strings.Join(all, ", ")
}

// compare compares a wish for one room.
func (w *world) compare(wish *plan.Wish, automatic bool) plan.Difference {
	w.t.Helper()
	d, err := w.Planner.Compare(w.t.Context(), wish, automatic)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// differs checks the steps of a wish for one room.
func (w *world) differs(wish *plan.Wish, want string) {
	w.t.Helper()
	d := w.compare(wish, false)
	if got := strings.TrimSpace(d.Rooms[0].Code + " " + short(d.Rooms[0].Steps)); got != want {
		w.t.Errorf("%s, expected %s", got, want)
	}
}

// begin records the run of a wish.
func (w *world) begin(key string, wish *plan.Wish) *plan.Run {
	w.t.Helper()
	d := w.compare(wish, false)
	run := &plan.Run{Key: key, Plan: wish.Name, Manager: wish.Manager, Reason: wish.Reason, Steps: d.Steps()}
	if err := w.Runner.Begin(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
	return run
}

// deliver has the queued rows of a request delivered.
func (w *world) deliver(run *plan.Run) {
	w.t.Helper()
	rows, err := w.DB.ChangesOf(w.t.Context(), invites.PlanRequest+run.Key+" "+string(lobby))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, row := range rows {
		if row.Status == invites.StatusOpen {
			if _, err := w.Delivery.Deliver(w.t.Context(), row.ID); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// finish carries a run out until nothing is open, and returns how its steps ended.
func (w *world) finish(run *plan.Run) string {
	w.t.Helper()
	for range 10 {
		if err := w.Runner.Advance(w.t.Context(), run); err != nil {
			w.t.Fatal(err)
		}
		if run.Open == 0 {
			return short(run.Steps)
		}
		w.Clock.Advance(w.In.Lease)
		w.deliver(run)
	}
	w.t.Fatalf("never over: %s", short(run.Steps))
	return ""
}

// power returns the content of users in the lobby's power levels.
func (w *world) power(user id.UserID) string {
	snap, _ := w.HS.Snapshot(w.t.Context(), lobby, bot, nil, true)
	event, _ := snap.Event(room.Key{Type: room.TypePowerLevels})
	return string(exactjson.Find(event.Content, "users", string(user)))
}

// writes counts the power level events of the lobby so far.
func (w *world) writes() int {
	past, _ := w.HS.History(w.t.Context(), lobby, bot, room.Key{Type: room.TypePowerLevels}, 100)
	return len(past)
}

// acts counts the acts with a user as their target.
func (w *world) acts(target id.UserID) (n int) {
	for _, act := range w.HS.Acts() {
		if act.Target == target {
			n++
		}
	}
	return n
}

// heard lists the keys of the reports.
func (w *world) heard() string {
	var keys []string
	for _, p := range w.told {
		keys = append(keys, p.Key)
	}
	return strings.Join(keys, " ")
}

// blind is a homeserver whose snapshots lack the memberships of some users.
type blind struct {
	*invitestest.Homeserver
	users []id.UserID
}

func (b blind) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	full, err := b.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
	if err != nil {
		return nil, err
	}
	events := map[room.Key]*room.Event{}
	for _, k := range needs {
		if k.Type != room.TypeMember || !slices.Contains(b.users, id.UserID(k.StateKey)) {
			events[k], _ = full.Event(k)
		}
	}
	return room.NewSnapshot(room.State{Events: events}), nil
}

// away is a homeserver that does not answer.
type away struct{ *invitestest.Homeserver }

func (away) Snapshot(context.Context, id.RoomID, id.UserID, []room.Key, bool) (*room.Snapshot, error) {
	return nil, &invites.ActError{Class: invites.ClassFailed, Status: 502}
}
