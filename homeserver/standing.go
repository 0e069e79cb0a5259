package homeserver

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"maunium.net/go/mautrix"

	"usher/invites"
)

// standing remembers whether the homeserver refuses a token. After a refusal, only whoami is asked with it.
type standing struct{ refused atomic.Bool }

// set notes whether the homeserver refuses the token and reports whether that is new.
func (s *standing) set(refused bool) bool { return s.refused.Swap(refused) != refused }

// TokenRefused tells whether the homeserver refuses the bot's token.
func (c *connection) TokenRefused() bool { return c.botStanding.refused.Load() }

// PuppetRefused tells whether the homeserver refuses the second registration's token.
func (c *connection) PuppetRefused() bool { return c.puppetStanding.refused.Load() }

// Recheck asks whether tokens that were refused are taken again. Nothing else finds that out.
func (c *connection) Recheck(ctx context.Context) {
	for _, raw := range []*mautrix.Client{c.bot, c.puppet} {
		if raw != nil && c.standingOf(raw).refused.Load() {
			c.judge(ctx, raw)
		}
	}
}

func (c *connection) standingOf(raw *mautrix.Client) *standing {
	if raw == c.puppet {
		return &c.puppetStanding
	}
	return &c.botStanding
}

// judge asks whose a token is, as the bot, whom both namespaces cover: for a user whom it may not act as, Dendrite answers as
// if the token were unknown.
func (c *connection) judge(ctx context.Context, raw *mautrix.Client) {
	_, err := c.do(ctx, request{name: "whoami", must: "user_id", puppet: raw == c.puppet, method: http.MethodGet, path: path("v3", "account", "whoami")})
	refused := invites.Stopped(err)
	if err != nil && !refused {
		return // no word on it
	}
	if !c.standingOf(raw).set(refused) {
		return
	}
	token := "appservice.as_token"
	if raw == c.puppet {
		token = "puppet.as_token"
	}
	if refused {
		c.log.Error().Str("token", token).Msg("The homeserver refuses the token: nothing is done with it until it is taken again")
	} else {
		c.log.Info().Str("token", token).Msg("The homeserver takes the token again")
	}
}

// errNotAsked is the cause of a request that was not made.
var errNotAsked = errors.New("not asked: the homeserver refuses the token")
