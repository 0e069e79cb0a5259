package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/homeserver"
	"usher/invites"
	"usher/loop"
	"usher/operator"
)

// pinger asks the homeserver to call the application service of a registration.
type pinger interface {
	Ping(ctx context.Context, appservice, txn string) error
	// Acted returns when this process first changed something in a room; zero: not yet.
	Acted() time.Time
}

// waker has the homeserver call Usher, by an appservice ping, when transactions may have piled up there. A homeserver whose
// transactions failed waits longer and longer before it tries again, Synapse up to 512 s. A ping that reaches Usher ends this wait.
//
// It pings when this process becomes the active one, when transactions can be committed again, and when no transaction has come for
// a while: then either nobody speaks, or the homeserver can't reach Usher, which the ping finds out. Where the homeserver has no ping,
// as Dendrite, it warns if no transaction comes although the bot acts in rooms: the homeserver would send its acts back.
type waker struct {
	homeserver pinger
	id         string // of the registration
	hearing    *appservice.Hearing
	log        zerolog.Logger
	now        chan struct{} // has a value when a ping is wanted at once
	warned     bool          // of a homeserver that sends nothing
}

func newWaker(homeserver pinger, id string, hearing *appservice.Hearing, log zerolog.Logger) *waker {
	return &waker{homeserver: homeserver, id: id, hearing: hearing, log: log, now: make(chan struct{}, 1)}
}

// Wake asks for a ping at once. It does not block.
func (w *waker) Wake() {
	select {
	case w.now <- struct{}{}:
	default:
	}
}

const (
	quietFor  = time.Minute // without a transaction, before a ping
	againLast = time.Minute // longest pause between two pings that fail
)

// Run pings until ctx ends, once at the beginning.
func (w *waker) Run(ctx context.Context) {
	pause, deaf := loop.Backoff{First: firstPause, Last: againLast}, false
	for n := 0; ctx.Err() == nil; n++ {
		asked := time.Now()
		err := w.homeserver.Ping(ctx, w.id, fmt.Sprintf("usher-%d-%d", asked.UnixMilli(), n))
		switch {
		case err == nil:
			w.hearing.Called(time.Now())
			if deaf {
				w.log.Info().Msg("The homeserver reaches Usher again")
			}
			deaf = false
			pause.Reset()
			w.await(ctx, func() time.Duration { return quietFor - time.Since(later(asked, w.hearing.Last())) })
			continue
		case errors.Is(err, homeserver.ErrUnsupported):
			w.listen(ctx)
			continue
		case unreached(err):
			w.hearing.Unable()
			if !deaf {
				w.log.Warn().Err(err).Msg("The homeserver can't reach Usher, so Usher hears nothing: usher doctor finds out more")
			}
			deaf = true
		}
		at := time.Now().Add(pause.Next())
		w.await(ctx, func() time.Duration { return time.Until(at) })
	}
}

// echoTime is how long a homeserver may take to send an act of the bot back.
const echoTime = 30 * time.Second

// askAgain is when a homeserver without pings is asked once more: the answer may have been a proxy's.
const askAgain = time.Hour

// listen waits for a first transaction, then for an hour, or until Wake is called. It warns if none has come some time after the bot's first act in a room.
func (w *waker) listen(ctx context.Context) {
	for w.hearing.Last().IsZero() && !w.warned && ctx.Err() == nil {
		if acted := w.homeserver.Acted(); !acted.IsZero() && time.Since(acted) > echoTime {
			w.log.Warn().Time("acted", acted).Msg("The homeserver has sent Usher nothing, not even what the bot did in a room: look at url in the " +
				"homeserver's copy of the registration, and at its log; usher doctor finds out more")
			w.warned = true
		}
		at := time.Now().Add(echoTime / 3)
		w.await(ctx, func() time.Duration { return time.Until(at) })
	}
	at := time.Now().Add(askAgain)
	w.await(ctx, func() time.Duration { return time.Until(at) })
}

// await waits until Wake is called, or until left says that no time is left.
func (w *waker) await(ctx context.Context, left func() time.Duration) {
	for ctx.Err() == nil {
		wait := left()
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-w.now:
			return
		case <-ctx.Done():
		}
	}
}

// unreached reports whether the homeserver answered that it could not call Usher.
func unreached(err error) bool {
	code := invites.Errcode(err)
	return code == "M_URL_NOT_SET" || strings.HasSuffix(code, "CONNECTION_FAILED") || strings.HasSuffix(code, "CONNECTION_TIMEOUT") ||
		strings.HasSuffix(code, "BAD_STATUS")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// wakingHealth is the health of the process, and wakes the homeserver when transactions can be committed again.
type wakingHealth struct {
	*operator.Health
	waker *waker
}

// Committed implements appservice.Health.
func (h wakingHealth) Committed(err error) {
	failed := h.Failing()
	h.Health.Committed(err)
	if failed && err == nil {
		h.waker.Wake()
	}
}
