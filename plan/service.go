package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Service does plans in the active process. All fields but Settings are required. Step is called from one goroutine, the HTTP handler from
// any.
type Service struct {
	Planner  *Planner
	Runner   *Runner
	Settings Settings
	// Read reads a file with all its sources.
	Read func(ctx context.Context, file string) (*Wish, error)
	// Tell sends a report to the configured room, if there is one. The same key sends once.
	Tell func(ctx context.Context, key string, text room.Phrase) error
	Log  zerolog.Logger

	desk   desk
	mu     sync.Mutex // guards due
	due    time.Time  // of the next sync
	open   []*Run
	loaded bool
	next   time.Time // of the next look at open runs
}

// Settings are the operator's.
type Settings struct {
	Files    []string
	Interval time.Duration
	Managers []string // users in whose name a plan may act
}

// retrySync is the pause after a sync that met trouble.
const retrySync = time.Minute

// Step does what is due: wishes by HTTP, runs under way, the sync of files.
func (s *Service) Step(ctx context.Context) {
	for job := s.desk.take(); job != nil; job = s.desk.take() {
		s.desk.settle(job, s.do(ctx, job))
	}
	s.advance(ctx)
	s.mu.Lock()
	now := s.Planner.Clock.Now()
	due := len(s.Settings.Files) > 0 && !s.due.After(now)
	if due {
		s.due = now.Add(s.Settings.Interval)
	}
	s.mu.Unlock()
	if due && !s.sync(ctx) {
		s.mu.Lock()
		s.due = now.Add(min(retrySync, s.Settings.Interval))
		s.mu.Unlock()
	}
}

// SyncNow makes the sync of the files due.
func (s *Service) SyncNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = time.Time{}
}

// do compares the wish of a job and, to apply it, begins its run.
func (s *Service) do(ctx context.Context, job *job) (end Status) {
	d, err := s.compare(ctx, &job.Wish, false)
	end = Status{State: Planned, Difference: &d}
	if err == nil && job.Apply {
		err = d.Brake(job.Confirm)
	}
	var f *Fault
	switch {
	case errors.As(err, &f):
		end.State, end.Code, end.Because = Faulty, f.Code, f.Phrase
		return end
	case err == nil && job.Apply:
		if err = s.noteMissing(ctx, &job.Wish, &d); err == nil {
			end.Run, err = s.begin(ctx, job.Key, &job.Wish, d.Steps())
			end.State = Running
		}
	}
	if err != nil {
		s.Log.Warn().Err(err).Str("plan", job.Wish.Name).Msg("Plan not compared")
		end.State, end.Because = Faulty, room.Say("plan.fault.trouble", "error", err)
		end.Code = "plan.trouble"
	}
	return end
}

func (s *Service) compare(ctx context.Context, w *Wish, automatic bool) (Difference, error) {
	if w.Manager != "" && !slices.Contains(s.Settings.Managers, string(w.Manager)) {
		return Difference{}, fault(room.Say("plan.fault.manager", "user", w.Manager))
	}
	return s.Planner.Compare(ctx, w, automatic)
}

// begin records a run.
func (s *Service) begin(ctx context.Context, key string, w *Wish, steps []Step) (*Run, error) {
	run := &Run{Key: key, Plan: w.Name, Manager: w.Manager, Reason: w.Reason, Steps: steps}
	if err := s.Runner.Begin(ctx, run); err != nil {
		return nil, err
	}
	s.open, s.next = append(s.open, run), time.Time{}
	return run, nil
}

// noteMissing keeps since when people are missing: those within the grace period, and nobody else.
func (s *Service) noteMissing(ctx context.Context, w *Wish, d *Difference) error {
	notes, err := s.Planner.Facts.PlanNotes(ctx, w.Name)
	if err != nil {
		return err
	}
	missing, known := map[invites.PlanNote]bool{}, map[id.RoomID]bool{}
	var add, remove []invites.PlanNote
	for _, r := range d.Rooms {
		known[r.Room] = r.Code == "" // of a room that can't be seen, nothing is known
	}
	d.Each(func(step Step) {
		n := invites.PlanNote{Plan: w.Name, Kind: invites.PlanMissing, Room: step.Room, User: step.User}
		missing[n] = missing[n] || step.Kind == Wait || step.Kind == Remove || step.Would == Remove
		if step.First {
			n.At = s.Planner.Clock.Now()
			add = append(add, n)
		}
	})
	for _, n := range notes {
		if n.Kind == invites.PlanMissing && known[n.Room] && !missing[noteKey(n)] {
			remove = append(remove, n)
		}
	}
	return s.Runner.Store.NotePlan(ctx, add, remove)
}

// Pauses between two looks at open runs: the more steps, the longer.
const (
	quickLook = time.Second
	slowLook  = 15 * time.Second
	manySteps = 200
)

// advance goes on with the runs under way.
func (s *Service) advance(ctx context.Context) {
	now := s.Planner.Clock.Now()
	if s.next.After(now) {
		return
	}
	if !s.loaded {
		open, err := s.Runner.Open(ctx)
		if err != nil {
			s.Log.Warn().Err(err).Msg("Runs of plans unreadable")
			s.next = now.Add(slowLook)
			return
		}
		s.open, s.loaded = open, true
	}
	left, pause := s.open[:0:0], quickLook
	for _, run := range s.open {
		err := s.Runner.Advance(ctx, run)
		if err == nil && run.Open == 0 {
			err = s.end(ctx, run)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Str("plan", run.Plan).Str("run", run.Key).Msg("Run of a plan not finished")
			pause = max(pause, slowLook/3)
		}
		s.desk.progress(run)
		if err != nil || run.EndedAt.IsZero() {
			left = append(left, run)
		}
		if run.Open > manySteps {
			pause = slowLook
		}
	}
	s.open, s.next = left, now.Add(pause)
}

// reportFor is how long a report is tried.
const reportFor = time.Hour

// end reports a finished run, and settles it.
func (s *Service) end(ctx context.Context, run *Run) error {
	if len(run.Steps) > 0 {
		if err := s.Tell(ctx, run.Key, run.report()); err != nil {
			now := s.Planner.Clock.Now()
			if run.unreported.IsZero() {
				run.unreported = now
			}
			if !invites.Refused(err) && now.Sub(run.unreported) < reportFor {
				return fmt.Errorf("reporting: %w", err)
			}
			s.Log.Warn().Err(err).Str("run", run.Key).Msg("Plan not reported")
		}
	}
	return s.Runner.End(ctx, run)
}

// sync carries out the files. Where something keeps a file from being carried out, the room is told once. It reports whether there was no trouble.
func (s *Service) sync(ctx context.Context) (well bool) {
	rooms, well := map[id.RoomID]string{}, true
	for _, file := range s.Settings.Files {
		err := s.syncFile(ctx, file, rooms)
		var f *Fault
		if err == nil || errors.As(err, &f) {
			err = s.hold(ctx, file, f)
		}
		if err != nil && ctx.Err() == nil {
			well = false
			s.Log.Warn().Err(err).Str("file", file).Msg("Plan not synchronised")
		}
	}
	return well
}

func (s *Service) syncFile(ctx context.Context, file string, rooms map[id.RoomID]string) error {
	if !s.loaded {
		return errors.New("the runs under way are not known")
	}
	w, err := s.Read(ctx, file)
	if err != nil {
		return err
	}
	d, err := s.compare(ctx, w, true)
	if err != nil {
		return err
	}
	for _, r := range d.Rooms {
		if other, taken := rooms[r.Room]; taken && r.Room != "" && other != file {
			return fault(room.Say("plan.fault.two_files", "room", r.Name, "other", other))
		}
		rooms[r.Room] = file
	}
	if err := s.noteMissing(ctx, w, &d); err != nil {
		return err
	}
	if err := d.Brake(0); err != nil {
		return err
	}
	steps := slices.DeleteFunc(d.Steps(), s.underWay(w.Name))
	if len(steps) == 0 {
		return nil
	}
	_, err = s.begin(ctx, fmt.Sprintf("sync-%s-%d", w.Name, s.Planner.Clock.Now().UnixNano()), w, steps)
	return err
}

// underWay tells of a step whether an earlier run of the same plan still has it to do.
func (s *Service) underWay(plan string) func(Step) bool {
	open := map[stepKey]bool{}
	for _, run := range s.open {
		for _, step := range run.Steps {
			if run.Plan == plan && !step.Done {
				open[stepKey{step.Room, step.User, step.Kind}] = true
			}
		}
	}
	return func(step Step) bool { return open[stepKey{step.Room, step.User, step.Kind}] }
}

// hold tells the room of the fault that keeps a file from being carried out; nil: nothing does. A note keeps the fault that was told last, so that a
// restart does not tell it again.
func (s *Service) hold(ctx context.Context, file string, f *Fault) error {
	notes, err := s.Planner.Facts.PlanNotes(ctx, file)
	if err != nil {
		return err
	}
	notes = slices.DeleteFunc(notes, func(n invites.PlanNote) bool { return n.Kind != invites.PlanHeld })
	if f == nil {
		return s.Runner.Store.NotePlan(ctx, nil, notes)
	}
	why := WithFile(f.Phrase, file)
	s.Log.Warn().Str("file", file).Str("code", f.Code).Str("why", f.Error()).Msg("Plan held")
	text := why.String()
	if len(notes) > 0 && notes[0].Code == text {
		return nil
	}
	now := s.Planner.Clock.Now()
	err = s.Tell(ctx, fmt.Sprintf("held-%s-%d", file, now.UnixNano()), room.Say("plan.report.held", "file", file, "code", f.Code).Holding(why))
	if err != nil && !invites.Refused(err) {
		return fmt.Errorf("reporting: %w", err)
	}
	return s.Runner.Store.NotePlan(ctx, []invites.PlanNote{{Plan: file, Kind: invites.PlanHeld, Code: text, At: now}}, nil)
}

// maxTold bounds the people whom a report names for each kind of change.
const maxTold = 10

// report says what a run did.
func (r *Run) report() room.Phrase {
	var parts []room.Phrase
	for _, kind := range []Kind{Invite, Remove, Power} {
		var names []id.UserID
		for _, s := range r.Steps {
			if s.Kind == kind && s.Code == invites.CodeDone {
				names = append(names, s.User)
			}
		}
		if len(names) > 0 {
			parts = append(parts, reported(kind, len(names), some(names)))
		}
	}
	refused := 0
	for _, s := range r.Steps {
		if s.Code == invites.CodeDone {
			continue
		}
		if refused++; refused <= maxTold {
			parts = append(parts, room.Say("plan.report.refused", "target", s.User).Holding(s.Kind.Refusal(s.Code, s.Because)))
		}
	}
	if refused > maxTold {
		parts = append(parts, room.Say("plan.report.more", "n", refused-maxTold))
	}
	return room.Say("plan.report", "plan", r.Plan, "n", len(r.inRooms())).Holding(parts...)
}

// reported is the line of a report about one kind of change.
func reported(kind Kind, n int, users string) room.Phrase {
	switch kind {
	case Invite:
		return room.Say("plan.report.invite", "n", n, "users", users)
	case Remove:
		return room.Say("plan.report.remove", "n", n, "users", users)
	}
	return room.Say("plan.report.power", "n", n, "users", users)
}

// some names the first of some users.
func some(users []id.UserID) string {
	text := ""
	for i, user := range users {
		if i == maxTold {
			return text + " …"
		}
		if i > 0 {
			text += " "
		}
		text += string(user)
	}
	return text
}
