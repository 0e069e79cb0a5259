// The demo runs a real homeserver and Usher beside it, plays a conversation over the client API, prints it as it happens, and
// stays up so that any Matrix client can log in. `make demo` builds what it needs and starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// folder is where everything lives. It is made anew each time.
const folder = ".demo"

// Ports, both on 127.0.0.1 only.
const (
	defaultPort = 8008  // the homeserver's, usual for Matrix
	usherPort   = 29339 // Usher's
	webPort     = 29340 // of Usher's pages
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := newPrinter(os.Stdout)
	if err := run(ctx, p); err != nil {
		p.fail(err)
		os.Exit(1)
	}
}

// run starts both, plays, and waits for Ctrl-C unless ONCE is set. What it started it ends.
func run(ctx context.Context, p *printer) error {
	port, err := ports()
	if err != nil {
		return err
	}
	s := &show{printer: p, ctx: ctx}
	defer s.end()
	if err := s.start(port); err != nil {
		return err
	}
	if err := s.play(); err != nil {
		return err
	}
	if os.Getenv("ONCE") != "" {
		return nil
	}
	s.invite()
	select {
	case <-ctx.Done():
		return nil
	case <-s.server.Done():
		return errors.New("the homeserver ended by itself; its log ends with:\n" + s.server.Tail(20))
	case <-s.usher.Done():
		return errors.New("Usher ended by itself; its log ends with:\n" + s.usher.Tail(20))
	}
}

// ports returns the homeserver's port, and refuses ports that are taken.
func ports() (int, error) {
	port := defaultPort
	if text := os.Getenv("PORT"); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return 0, fmt.Errorf("PORT=%s is no port", text)
		}
	}
	if !child.PortFree(port) {
		return 0, fmt.Errorf("port %d is taken by another program, and the homeserver needs it.\nStop that program, or choose another port: make demo PORT=%d", port, port+1)
	}
	for _, needed := range []int{usherPort, webPort} {
		if !child.PortFree(needed) {
			return 0, fmt.Errorf("port %d is taken by another program, and Usher needs it. Is another demo running?", needed)
		}
	}
	return port, nil
}

// show is one performance. It stands in for a test where the harness asks for one.
type show struct {
	*printer
	ctx      context.Context
	server   *homeserver.Server
	usher    *harness.Usher
	cast     []*harness.Account
	cleanups []func()
	failure  error
	page     string // of alice's invite link
}

// start starts the homeserver and Usher.
func (s *show) start(port int) error {
	s.title("A homeserver (Dendrite) and Usher, both real, both on SQLite in " + folder)
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	dir := filepath.Join(folder, "usher")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	address := fmt.Sprintf("http://localhost:%d", port)
	usher, registrations, err := harness.NewUsher(s.ctx, harness.Setup{
		Dir: dir, Domain: "localhost", Homeserver: address, Port: usherPort, Puppet: true, Set: map[string]any{
			"logging.min_level": "info", "web.listen": fmt.Sprintf("127.0.0.1:%d", webPort), "web.public_url": fmt.Sprintf("http://localhost:%d", webPort),
		},
	})
	if err != nil {
		return err
	}
	s.step("", "Usher wrote its registrations")
	s.server, err = homeserver.Start(s.ctx, homeserver.Options{
		Kind: homeserver.Dendrite, Dir: filepath.Join(folder, "homeserver"), Domain: "localhost", Port: port, Registrations: registrations,
	})
	if err != nil {
		return err
	}
	s.server.URL = address
	s.Cleanup(func() { s.ended("The homeserver", s.server.Stop()) })
	s.step("", "the homeserver answers at "+address)
	s.Cleanup(func() {
		if usher.Running() {
			s.ended("Usher", usher.Stop())
		}
	})
	s.usher = usher
	if err := usher.Start(s.ctx); err != nil {
		return err
	}
	s.step("", "Usher is ready")
	return nil
}

// play plays the conversation on a goroutine of its own, which Fatalf may end.
func (s *show) play() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.conversation()
		s.secret()
	}()
	<-done
	if s.ctx.Err() != nil {
		return nil // Ctrl-C in the middle is no failure
	}
	return s.failure
}

// end ends what was started, last first.
func (s *show) end() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		cleanup := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		cleanup()
	}
}

// ended tells that something was ended.
func (s *show) ended(what string, err error) {
	if err != nil {
		s.line(what + ": " + err.Error())
		return
	}
	s.line(what + " has ended.")
}

// Helper implements harness.T.
func (s *show) Helper() {}

// Logf implements harness.T.
func (s *show) Logf(format string, args ...any) { s.line(fmt.Sprintf(format, args...)) }

// Context implements harness.T.
func (s *show) Context() context.Context { return s.ctx }

// Cleanup implements harness.T.
func (s *show) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Failed implements harness.T.
func (s *show) Failed() bool { return s.failure != nil }

// Fatalf implements harness.T: it ends the conversation.
func (s *show) Fatalf(format string, args ...any) {
	s.failure = fmt.Errorf(format, args...)
	runtime.Goexit()
}
