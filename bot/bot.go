// Package bot puts the parts together and runs them: one ordered lane a room. It holds no rules.
package bot

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/guard"
	"usher/jobs"
	"usher/metrics"
	"usher/store"
)

// Errors of Run that have a remedy of their own, besides those of package connect. The operator's manual lists them with their exit codes.
var (
	ErrTokenRefused          = errors.New("the homeserver refuses the as_token")
	ErrHomeserverUnreachable = errors.New("the homeserver can't be reached")
)

// bot is Usher at work, for one time for which its process is the active one.
type bot struct {
	ctx      context.Context // ends when the work is to stop at once
	cancel   context.CancelFunc
	log      zerolog.Logger
	self     invites.Identity
	store    *store.Store
	port     loggedStore // the same, logged and measured
	metrics  *metrics.Metrics
	client   *homeserver.Client
	state    *homeserver.State
	pending  *appservice.Pending
	cards    *appservice.Cards
	domain   *domain
	guard    *guard.Guard
	runner   *commands.Runner
	jobs     *jobs.Queue
	intake   *appservice.Intake
	lanes    *lanes
	feed     *feed
	commands rate[id.UserID]
	answers  rate[id.RoomID]
	admitted sync.Map // ids of events being handled whose command may run, so that trying again costs its sender nothing
	direct   *directs
	progress progress
	sealed   sealed
	heirs    heirs

	ending sync.WaitGroup // notes that a reply is out

	expiriesChanged atomic.Bool // since the last sweep, in some room

	emptying sync.Mutex
	checking map[id.RoomID]bool

	reporting striped
	closers   []func()
}

// clock is the real one.
type clock struct{}

// Now implements invites.Clock.
func (clock) Now() time.Time { return time.Now() }
