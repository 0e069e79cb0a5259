package bot

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/homeserver"
	"usher/invites"
	"usher/operator"
)

// pings is a homeserver that can be asked to call.
type pings struct {
	mu    sync.Mutex
	n     int
	err   error
	acted time.Time
}

func (p *pings) Acted() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acted
}

func (p *pings) Ping(context.Context, string, string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.err
}

func (p *pings) after(d time.Duration) (n int) {
	time.Sleep(d)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	n, p.n = p.n, 0
	return n
}

// now sets the homeserver's next answers.
func (p *pings) now(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func TestWaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		hs, hearing := &pings{}, &appservice.Hearing{}
		w := newWaker(hs, "usher", hearing, zerolog.New(&log))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		if n := hs.after(time.Second); n != 1 {
			t.Errorf("%d pings at the beginning", n)
		}
		if n := hs.after(10 * time.Minute); n < 9 || n > 11 {
			t.Errorf("%d pings in ten minutes without a transaction", n)
		}
		health := &operator.Health{}
		told := wakingHealth{health, w}
		told.Committed(nil)
		told.Committed(errors.New("full"))
		if n := hs.after(time.Second); n != 0 {
			t.Errorf("%d pings while nothing changes for the better", n)
		}
		told.Committed(nil)
		if n := hs.after(time.Second); n != 1 || health.Failing() {
			t.Errorf("%d pings when transactions can be committed again", n)
		}

		unreached := &invites.ActError{Code: "M_CONNECTION_FAILED", Status: 502, Err: errors.New("refused")}
		hs.now(unreached)
		if n := hs.after(time.Hour); n < 50 || n > 80 {
			t.Errorf("%d pings in an hour in which the homeserver can't reach Usher", n)
		}
		if n := strings.Count(log.String(), "can't reach Usher"); n != 1 {
			t.Errorf("warned %d times: %s", n, log.String())
		}
		hs.now(nil)
		hs.after(2 * time.Minute)
		if !strings.Contains(log.String(), "reaches Usher again") {
			t.Error(log.String())
		}
		hs.now(homeserver.ErrUnsupported)
		hs.after(2 * time.Minute)
		if n := hs.after(24 * time.Hour); n > 25 {
			t.Errorf("%d pings in a day to a homeserver without pings", n)
		}
		cancel()
		<-done
	})
}

// TestSilentHomeserver: a homeserver without pings, as Dendrite, sends nothing, as with "url: null". That is found out once the bot has acted in
// a room, and not before: perhaps nobody has said anything.
func TestSilentHomeserver(t *testing.T) {
	for name, tt := range map[string]struct {
		acts, hears bool
		warns       int
	}{"quiet": {}, "heard": {acts: true, hears: true}, "deaf": {acts: true, warns: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				hs, hearing := &pings{err: homeserver.ErrUnsupported}, &appservice.Hearing{}
				w := newWaker(hs, "usher", hearing, zerolog.New(&log))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); w.Run(ctx) }()
				hs.after(time.Hour)
				if log.Len() > 0 {
					t.Error("warned before anything happened: ", log.String())
				}
				if tt.acts {
					hs.mu.Lock()
					hs.acted = time.Now()
					hs.mu.Unlock()
				}
				if tt.hears {
					hearing.Heard(time.Now())
				}
				hs.after(time.Minute)
				w.Wake()
				hs.after(time.Hour)
				if n := strings.Count(log.String(), "sent Usher nothing"); n != tt.warns {
					t.Errorf("warned %d times: %s", n, log.String())
				}
				cancel()
				<-done
			})
		})
	}
}
