// Package bot puts the parts of Usher together, starts and stops them. It holds no rules and no handlers.
package bot

import (
	"time"

	"github.com/rs/zerolog"

	"usher/appservice"
	"usher/chat"
	"usher/commands"
	"usher/encryption"
	"usher/homeserver"
	"usher/invites"
	"usher/invites/letters"
	"usher/jobs"
	"usher/metrics"
	"usher/plan"
	"usher/web"
)

// bot is Usher at work, for one time for which its process is the active one.
type bot struct {
	log     zerolog.Logger
	self    invites.Identity
	store   loggedStore
	metrics *metrics.Metrics
	client  *homeserver.Client
	state   *homeserver.State
	device  *encryption.Device // nil: encryption is off
	index   appservice.Index
	domain  *domain
	runner  *commands.Runner
	jobs    *jobs.Queue
	swept   int // due rows that the last sweeps have listed
	chat    *chat.Chat
	served
	rooms   *joinedRooms
	closers []func()
}

// served are the handlers of requests, and of letters.
type served struct {
	intake  *appservice.Intake
	site    *web.Site
	plans   *plan.Service
	postman *letters.Postman // nil: no mail is set up
}

// clock is the real one.
type clock struct{}

// Now implements invites.Clock.
func (clock) Now() time.Time { return time.Now() }
