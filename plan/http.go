package plan

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"usher/invites"
	"usher/room"
)

// Path is where the active process takes wishes, on the listener of the appservice: POST a Job there, and GET its Status below by its key. With the
// query Known, the Status comes without the Difference.
// The caller has checked the token.
const Path = "/_usher/plan"

// Known is the query of a caller who has the Difference of a job already.
const Known = "known"

// SyncPath is where a POST makes the sync of the files due.
const SyncPath = Path + "/sync"

// MaxBody is the longest body of a Job, in bytes.
const MaxBody = 32 << 20

// Job is a wish to be compared or applied.
type Job struct {
	Key     string `json:"key"` // unique; a Job sent again with the same key is done once
	Apply   bool   `json:"apply"`
	Confirm int    `json:"confirm"` // number of removals that the caller means; 0: none given
	Wish    Wish   `json:"wish"`
}

// State is how far a job is.
type State string

// The states.
const (
	Queued  State = "queued"
	Planned State = "planned" // compared; nothing else was asked for
	Faulty  State = "faulty"  // it can't be carried out; nothing was done
	Running State = "running"
	Ended   State = "ended"
)

// Status is how far a job is, and its results.
type Status struct {
	State      State       `json:"state"`
	Code       string      `json:"code,omitempty"` // of Faulty
	Because    room.Phrase `json:"because,omitzero"`
	Difference *Difference `json:"difference,omitempty"`
	Run        *Run        `json:"run,omitempty"`
}

// job is a Job with its status.
type job struct {
	Job
	status Status
}

// Bounds of the desk.
const (
	maxQueued = 16
	maxKept   = 32
	maxKey    = 64
)

// desk holds the jobs of this process. What a job began is in the store.
type desk struct {
	mu     sync.Mutex
	queue  []*job
	recent []*job // with those queued, the oldest first
}

func (d *desk) find(key string) *job {
	for _, j := range d.recent {
		if j.Key == key {
			return j
		}
	}
	return nil
}

// put queues a job, unless it is there. It reports whether there was room.
func (d *desk) put(j Job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.find(j.Key) != nil {
		return true
	}
	if len(d.queue) >= maxQueued {
		return false
	}
	one := &job{j, Status{State: Queued}}
	d.queue, d.recent = append(d.queue, one), append(d.recent, one)
	if len(d.recent) > maxKept {
		d.recent = d.recent[len(d.recent)-maxKept:]
	}
	return true
}

// take returns the next job, nil without one.
func (d *desk) take() *job {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return nil
	}
	one := d.queue[0]
	d.queue = d.queue[1:]
	return one
}

// settle keeps the result of a job.
func (d *desk) settle(j *job, status Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status.Run = copied(status.Run)
	j.status, j.Wish = status, Wish{}
}

// progress updates the status of the job whose run goes on.
func (d *desk) progress(run *Run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j := d.find(run.Key); j != nil && j.status.Run != nil {
		j.status.Run = copied(run)
		if !run.EndedAt.IsZero() {
			j.status.State = Ended
		}
	}
}

// copied returns a copy for readers beside the goroutine of Step.
func copied(run *Run) *Run {
	if run == nil {
		return nil
	}
	c := *run
	c.Steps = append([]Step(nil), run.Steps...)
	return &c
}

// status returns the status of a job.
func (d *desk) status(key string) (Status, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j := d.find(key); j != nil {
		return j.status, true
	}
	return Status{}, false
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch key, below := strings.CutPrefix(r.URL.Path, Path+"/"); {
	case r.URL.Path == SyncPath && r.Method == http.MethodPost:
		s.SyncNow()
		w.WriteHeader(http.StatusAccepted)
	case below && r.Method == http.MethodGet:
		s.answer(w, r, key)
	case r.URL.Path == Path && r.Method == http.MethodPost:
		s.receive(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Service) receive(w http.ResponseWriter, r *http.Request) {
	var j Job
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	body.DisallowUnknownFields() // of a newer version
	if err := body.Decode(&j); err != nil || j.Key == "" || len(j.Key) > maxKey || strings.ContainsAny(j.Key, " /") {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	switch _, err := s.Runner.Store.PlanRun(r.Context(), j.Key); {
	case err == nil: // begun before this process started
	case !errors.Is(err, invites.ErrNotFound), !s.desk.put(j):
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// answer tells the status of a job, or of a run that an earlier process began.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, key string) {
	status, known := s.desk.status(key)
	if !known {
		row, err := s.Runner.Store.PlanRun(r.Context(), key)
		if errors.Is(err, invites.ErrNotFound) {
			http.NotFound(w, r)
			return
		}
		run := new(Run)
		if err == nil {
			run, err = readRun(row)
		}
		if err != nil {
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
		status = Status{State: Running, Run: run}
		if !run.EndedAt.IsZero() {
			status.State = Ended
		}
	}
	if r.URL.Query().Has(Known) {
		status.Difference = nil
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}
