package operator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"usher/config"
	"usher/plan"
	"usher/plan/source"
	"usher/room"
	"usher/words"
)

// PlanOptions say what Plan and Apply do, and how they print it.
type PlanOptions struct {
	Files    []string // empty: those of the config
	JSON     bool
	Detailed bool // of Plan: ErrPlanChanges where there are changes
	Confirm  int  // of Apply: number of removals that the caller means
	Yes      bool // of Apply: also in CI
	CI       bool // the environment is one of continuous integration
	Color    bool
}

var (
	// ErrPlanChanges is returned by Plan where a room differs from its plan.
	ErrPlanChanges = errors.New("there are changes")
	// ErrPlan is wrapped by errors about plans. Nothing was done.
	ErrPlan = errors.New("the plan is not carried out")
)

// Plan prints how rooms differ from the files, and changes nothing.
func Plan(ctx context.Context, cfg *config.Config, o PlanOptions, out io.Writer) error {
	return eachPlan(ctx, cfg, o, out, false)
}

// Apply has the running Usher carry files out, and prints how that ended. Once the running Usher has taken a file, it is carried out whether
// this command goes on or not.
func Apply(ctx context.Context, cfg *config.Config, o PlanOptions, out io.Writer) error {
	return eachPlan(ctx, cfg, o, out, !o.CI || o.Yes)
}

// Sync has the running Usher compare the files of its config with their rooms at once.
func Sync(ctx context.Context, cfg *config.Config, out io.Writer) error {
	r, err := newRunning(cfg).send(ctx, http.MethodPost, plan.SyncPath, nil)
	if err != nil {
		return err
	}
	if r.status != http.StatusAccepted {
		return fmt.Errorf("%w: the running Usher answers %d", ErrPlan, r.status)
	}
	_, err = fmt.Fprintln(out, words.For("").Text(room.Say("planned.synced", "n", len(cfg.Plan.Files))))
	return err
}

func eachPlan(ctx context.Context, cfg *config.Config, o PlanOptions, out io.Writer, apply bool) error {
	files := o.Files
	if len(files) == 0 {
		files = cfg.Plan.Files
	}
	if len(files) == 0 {
		return planError(room.Say("planned.no_files"))
	}
	changes := false
	for _, file := range files {
		wish, err := source.Read(ctx, file)
		if err != nil {
			return faultError(err)
		}
		job := plan.Job{Key: rand.Text(), Apply: apply, Confirm: o.Confirm, Wish: *wish}
		p := planPrinter{out: words.Terminal(out), raw: out, o: o, file: file, dry: o.CI && !o.Yes && !o.Detailed}
		status, err := newRunning(cfg).do(ctx, job, p.progress)
		if err != nil {
			return err
		}
		if err := p.print(status, apply); err != nil {
			return err
		}
		if status.State == plan.Faulty {
			return fmt.Errorf("%w: %s (%s)", ErrPlan, words.For("").Text(plan.WithFile(status.Because, file)), status.Code)
		}
		changes = changes || status.Difference != nil && status.Difference.Changes()
	}
	if changes && o.Detailed && !apply {
		return ErrPlanChanges
	}
	return nil
}

// planError is an error of a phrase.
func planError(p room.Phrase) error { return fmt.Errorf("%w: %s", ErrPlan, words.For("").Text(p)) }

// faultError words the fault of a source.
func faultError(err error) error {
	var f *plan.Fault
	if errors.As(err, &f) {
		return fmt.Errorf("%w: %s (%s)", ErrPlan, words.For("").Text(f.Phrase), f.Code)
	}
	return err
}

// running is the Usher that runs with this config, as the commands about plans ask it.
type running struct {
	cfg    *config.Config
	client http.Client
}

// Times of a conversation with the running Usher.
const (
	askEvery  = 300 * time.Millisecond
	startTime = 20 * time.Second // for the answer to a first request, while it starts
	lostTime  = 2 * time.Minute  // without an answer to a job that it took
)

func newRunning(cfg *config.Config) *running {
	network, address := config.Network(cfg.Appservice.Listen)
	return &running{cfg, http.Client{Timeout: cfg.Appservice.RequestTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { // the local machine where the host is empty or unspecified
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}}
}

type answered struct {
	status int
	body   []byte
}

// maxStatus is the longest status that is read, in bytes.
const maxStatus = 256 << 20

func (r *running) send(ctx context.Context, method, path string, body []byte) (answered, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://usher"+path, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	request.Header.Set("Authorization", "Bearer "+r.cfg.Appservice.HSToken.Reveal())
	response, err := r.client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return answered{}, fmt.Errorf("%w: %w", planError(room.Say("planned.down", "listen", r.cfg.Appservice.Listen)), err)
	} else if err != nil {
		return answered{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a := answered{status: response.StatusCode}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxStatus))
	return a, err
}

// do hands a job over, and waits for its end. The running Usher may be killed and started again meanwhile: a job that it forgot is handed
// over again, and one that it began goes on.
func (r *running) do(ctx context.Context, job plan.Job, progress func(plan.Status)) (plan.Status, error) {
	body, err := json.Marshal(job)
	if err != nil {
		return plan.Status{}, err
	}
	seen, patience, took := time.Now(), startTime, false
	var last *plan.Difference
	for ctx.Err() == nil {
		path := plan.Path + "/" + job.Key
		if last != nil {
			path += "?" + plan.Known
		}
		a, err := r.send(ctx, http.MethodGet, path, nil)
		if err == nil && a.status == http.StatusNotFound {
			a, err = r.send(ctx, http.MethodPost, plan.Path, body)
		}
		switch {
		case err != nil && !took:
			return plan.Status{}, err
		case err == nil && a.status == http.StatusOK:
			var status plan.Status
			if err := json.Unmarshal(a.body, &status); err != nil {
				return status, err
			}
			if status.Difference == nil {
				status.Difference = last // an earlier process made it
			}
			last = status.Difference
			if status.State != plan.Queued && status.State != plan.Running {
				return status, nil
			}
			progress(status)
			fallthrough
		case err == nil && a.status == http.StatusAccepted:
			seen, patience, took = time.Now(), lostTime, true
		case err == nil && a.status != http.StatusServiceUnavailable && a.status != http.StatusBadGateway:
			return plan.Status{}, fmt.Errorf("%w: the running Usher answers %d %s", ErrPlan, a.status, strings.TrimSpace(string(a.body)))
		}
		if time.Since(seen) > patience {
			return plan.Status{}, planError(room.Say("planned.gone"))
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
		}
	}
	return plan.Status{}, ctx.Err()
}
