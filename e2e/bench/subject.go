package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"usher/e2e/child"
	"usher/e2e/harness"
)

// subject is a process that is measured, with a homeserver of its own.
type subject struct {
	name, address, token string
	home                 *homeserver
	pid                  int
	stop                 func()
	usher                *harness.Usher // nil: a yardstick
	dir                  string
	metrics              string // address of Usher's metrics and profiles; empty: it has none
}

const patience = time.Minute

// startYardstick starts one of the yardsticks; acts says whether it carries commands out.
func startYardstick(dir, name, kind, binary string, acts bool) (*subject, error) {
	home, err := openHomeserver()
	if err != nil {
		return nil, err
	}
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, address: fmt.Sprintf("127.0.0.1:%d", port), token: "hush", home: home, dir: dir}
	file := fmt.Sprintf("%s-%d", kind, serial.Add(1))
	args := []string{"-kind", kind, "-listen", s.address, "-database", filepath.Join(dir, file+".db")}
	if acts {
		args = append(args, "-homeserver", home.url)
	}
	process, err := child.Start(exec.Command(binary, args...), filepath.Join(dir, file+".log"))
	if err != nil {
		return nil, err
	}
	s.pid, s.stop = process.PID(), process.Kill
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := process.Answers(ctx, "http://"+s.address+"/_matrix/mau/live"); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, process.Tail(10))
	}
	return s, nil
}

// newUsher configures a Usher as it comes, save for its log and who may use it.
func (b *bench) newUsher(name string, set map[string]any) (*subject, error) {
	home, err := openHomeserver()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, fmt.Sprintf("usher-%d", serial.Add(1)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	settings := map[string]any{
		"logging.min_level":           "warn",
		"encryption.enabled":          false, // this homeserver has no keys
		"commands.per_minute":         0,
		"commands.answers_per_minute": 0,
	}
	if name != other { // the other version may not know these
		for _, key := range []string{"invites_per_person", "invites_per_server", "invites_in_all", "people_per_hour"} {
			settings["limits."+key] = 0
		}
	}
	var metrics string
	if b.profiles != "" || set["metrics.enabled"] == true {
		port, err := child.FreePort()
		if err != nil {
			return nil, err
		}
		metrics = fmt.Sprintf("127.0.0.1:%d", port)
		settings["metrics.enabled"], settings["metrics.pprof"], settings["metrics.listen"] = true, true, metrics
	}
	if uri := os.Getenv("USHER_E2E_POSTGRES"); uri != "" { // processes with the same database would take turns
		uri, err := harness.NewDatabase(uri)
		if err != nil {
			return nil, err
		}
		settings["database.uri"] = uri
	}
	maps.Copy(settings, set)
	puppet := settings["puppet.enabled"] == true
	binary := ""
	if name == other {
		binary = b.base
	}
	usher, registrations, err := harness.NewUsher(context.Background(), harness.Setup{
		Binary: binary, Dir: dir, Domain: domain, Homeserver: home.url, Port: port, Puppet: puppet, Set: settings,
	})
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, address: fmt.Sprintf("127.0.0.1:%d", port), home: home, usher: usher, dir: dir, metrics: metrics}
	for _, text := range registrations {
		var registration struct {
			URL   *string `yaml:"url"`
			Token string  `yaml:"hs_token"`
		}
		if err := yaml.Unmarshal(text, &registration); err != nil {
			return nil, err
		}
		if registration.URL != nil {
			s.token = registration.Token
		}
	}
	return s, nil
}

// start starts Usher and waits until it is ready.
func (s *subject) start() error {
	if err := s.usher.Start(context.Background()); err != nil {
		return err
	}
	s.pid, s.stop = s.usher.PID(), func() { _ = s.usher.Stop() }
	return nil
}

// startUsher configures and starts one.
func (b *bench) startUsher(name string, set map[string]any) (*subject, error) {
	s, err := b.newUsher(name, set)
	if err != nil {
		return nil, err
	}
	return s, s.start()
}

// other is the name of the other version of Usher.
const other = "base"

// besideBase starts the other version, if there is one, beside some subjects.
func (b *bench) besideBase(set map[string]any, subjects ...*subject) ([]*subject, error) {
	if b.base == "" {
		return subjects, nil
	}
	s, err := b.startUsher(other, set)
	return append(subjects, s), err
}

// cpu is the processor time that the process has used.
func (s *subject) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// status reads a number from the process's status, such as VmRSS in kB.
func (s *subject) status(name string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// rss is the process's memory in MiB.
func (s *subject) rss() float64 { return s.status("VmRSS") / 1024 }

// ask reads from the address of Usher's metrics and profiles.
func (s *subject) ask(path string) ([]byte, error) {
	resp, err := http.Get("http://" + s.metrics + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// metric is one of Usher's metrics, one without labels.
func (s *subject) metric(name string) (float64, error) {
	values, err := s.metricsOf(name)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// profile has the process write down for so long where its processor time goes, and keeps that in a file. The function that it
// returns waits for it.
func (s *subject) profile(file string, length time.Duration) (done func() error) {
	ended := make(chan error, 1)
	go func() {
		text, err := s.ask(fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(length.Seconds()))))
		ended <- errors.Join(err, os.WriteFile(file, text, 0o600))
	}()
	return func() error { return <-ended }
}
