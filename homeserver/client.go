package homeserver

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// ClientOptions says which homeserver to talk to and as whom.
type ClientOptions struct {
	Homeserver  string        // base URL of the client-server API
	Domain      string        // server name; its users are local
	Bot         id.UserID     // the bot's own user
	Token       string        // as_token of the bot's registration
	PuppetToken string        // as_token of the identity assertion registration; empty: nobody is asserted
	Timeout     time.Duration // of one request; 30 s if 0
	Connections int           // kept open to the homeserver, and at most so many at once; 64 if 0
	UserAgent   string
	Counters    Counters // may be nil
	Log         zerolog.Logger
}

// Client makes requests to the homeserver, as the bot or as an asserted local user. It makes each request once, with a deadline of its
// own. Its methods return *invites.ActError or the error of the context, unless they say otherwise. The methods of Client are about
// rooms, those of Account about the bot's own account.
type Client struct{ Account }

// Account makes requests about the bot's account, and about the homeserver as a whole.
type Account struct{ *connection }

// connection makes requests and knows whether the homeserver takes the tokens.
type connection struct {
	bot, puppet *mautrix.Client // puppet is nil where nobody may be asserted
	anybody     *mautrix.Client // without a token
	user        id.UserID
	domain      string
	timeout     time.Duration
	shares      *shares
	counters    Counters
	log         zerolog.Logger

	botStanding, puppetStanding standing

	acted atomic.Int64 // when a room was first changed, in milliseconds; 0: not yet
}

// NewClient checks the options and makes a client. It does not talk to the homeserver yet.
func NewClient(o ClientOptions) (*Client, error) {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 64
	}
	if o.Counters == nil {
		o.Counters = nobody{}
	}
	c := &connection{user: o.Bot, domain: o.Domain, timeout: o.Timeout, shares: newShares(o.Connections), counters: o.Counters, log: o.Log}
	pool := &http.Client{Transport: transport(o.Connections), CheckRedirect: noRedirect}
	var err error
	if c.bot, err = newRaw(o, o.Token, pool); err != nil {
		return nil, err
	}
	if c.anybody, err = newRaw(o, "", pool); err != nil {
		return nil, err
	}
	if o.PuppetToken != "" {
		if c.puppet, err = newRaw(o, o.PuppetToken, pool); err != nil {
			return nil, err
		}
	}
	return &Client{Account{c}}, nil
}

func newRaw(o ClientOptions, token string, pool *http.Client) (*mautrix.Client, error) {
	raw, err := mautrix.NewClient(o.Homeserver, o.Bot, token)
	if err != nil {
		return nil, fmt.Errorf("homeserver address: %w", err)
	}
	raw.Client = pool
	raw.IgnoreRateLimit = true
	raw.DefaultHTTPRetries = 0
	raw.UserAgent = o.UserAgent
	raw.ResponseSizeLimit = 32 << 20
	return raw, nil
}

// transport keeps connections open: a handshake costs more than most requests do.
func transport(connections int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          connections,
		MaxIdleConnsPerHost:   connections,
		MaxConnsPerHost:       connections,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
}

// noRedirect keeps tokens where they were meant to go.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CanAssert tells whether Usher may act as the user: the bot itself, or a local user where assertion is configured.
func (c *connection) CanAssert(user id.UserID) bool {
	if user == c.user {
		return true
	}
	local, domain, err := user.Parse()
	return c.puppet != nil && err == nil && local != "" && domain == c.domain
}

// Close closes idle connections.
func (c *connection) Close() { c.bot.Client.CloseIdleConnections() }

// request is one call of the client-server API.
type request struct {
	name        string    // for counters
	remote      string    // the other server without which the homeserver can't answer; empty: none
	as          id.UserID // empty: the bot
	actor       id.UserID // the user who asks for it; empty: the user that it is as
	puppet      bool      // by the second registration's token, whoever it is as
	open        bool      // without a token: for what everybody may ask, also before the bot's user exists
	sender      bool      // as the registration's own sender instead, who always exists
	method      string
	media       bool  // of the media repository, not of the client-server API
	path        []any // below /_matrix/client, or /_matrix/media
	query       url.Values
	body        any
	data        []byte // a body that is no JSON, of the type contentType
	contentType string
	must        string                        // the key that the answer must have; empty: any object will do
	reader      mautrix.ClientResponseHandler // nil: the whole answer, which must be a JSON object
}

// clientFor returns the client to make a request with.
func (c *connection) clientFor(r request) (*mautrix.Client, error) {
	switch {
	case r.as != c.user && !c.CanAssert(r.as):
		return nil, &invites.ActError{Class: invites.ClassRefused, Err: fmt.Errorf("%s can't be asserted", r.as)}
	case r.open:
		return c.anybody, nil
	case r.puppet || r.as != c.user:
		return c.puppet, nil
	}
	return c.bot, nil
}

// do makes one request and returns the body of a 2xx answer.
func (c *connection) do(ctx context.Context, r request) (body []byte, err error) {
	r.as = cmp.Or(r.as, c.user)
	raw, err := c.clientFor(r)
	if err != nil {
		return nil, err
	}
	if r.name != "whoami" && !r.open { // asked for whatever the homeserver thinks of the token
		if c.standingOf(raw).refused.Load() {
			return nil, &invites.ActError{Class: invites.ClassStopped, Code: mautrix.MUnknownToken.ErrCode, Err: errNotAsked}
		}
		defer func() {
			if invites.Stopped(err) {
				c.judge(ctx, raw)
			}
		}()
	}
	deadline, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	claim := r.claim()
	if crowded, err := c.shares.take(deadline, claim); err != nil {
		if !crowded {
			r.remote = ""
		}
		return nil, answerError(ctx, err, r.remote, nil, nil, time.Now())
	}
	start := time.Now()
	defer func() { c.shares.give(claim, time.Since(start)) }()
	body, resp, err := raw.MakeFullRequestWithResp(deadline, r.full(raw))
	end := time.Now()
	c.counters.Call(r.name, status(resp), end.Sub(start))
	c.log.Debug().Str("call", r.name).Stringer("as", r.as).Int("status", status(resp)).Dur("took", end.Sub(start)).Msg("Homeserver called")
	if err == nil && (resp.StatusCode == http.StatusAccepted || r.reader == nil && !r.answeredBy(body)) {
		err = errAnswer
	}
	if err != nil {
		return nil, answerError(ctx, err, r.remote, resp, body, end)
	}
	if r.method != http.MethodGet && (r.name == "join" || claim.room != "") {
		c.acted.CompareAndSwap(0, end.UnixMilli())
	}
	return body, nil
}

// Acted returns when this process first changed something in a room, the zero time if it has not. The homeserver sends such a change back
// in a transaction.
func (c *connection) Acted() time.Time {
	if at := c.acted.Load(); at != 0 {
		return time.UnixMilli(at)
	}
	return time.Time{}
}

// answeredBy reports whether the body of a 2xx answer can come from a homeserver that did what it was asked for: it is an object with the
// required key, and no error. Events that are read may have any key, so the answers to GET are not looked through.
func (r request) answeredBy(body []byte) bool {
	if r.name == "state" && unreadable(body) { // one event, which is as it is: see parseEvent
		return true
	}
	if !isObject(body) {
		return false
	}
	failed := r.method != http.MethodGet && (exactjson.Find(body, "errcode") != nil || exactjson.Find(body, "error") != nil)
	return !failed && (r.must == "" || exactjson.Find(body, r.must) != nil)
}

// isObject reports whether a body is one JSON object.
func isObject(body []byte) bool {
	return exactjson.Valid(body) && exactjson.IsObject(bytes.TrimSpace(body))
}

// full is the request as mautrix makes it.
func (r request) full(raw *mautrix.Client) mautrix.FullRequest {
	full := mautrix.FullRequest{
		Method: r.method, URL: raw.BuildURLWithFullQuery(r.below(), r.asserted), RequestJSON: r.body, RequestBytes: r.data,
		MaxAttempts: 1, Handler: r.reader,
	}
	if r.data != nil {
		full.Headers = http.Header{"Content-Type": {r.contentType}}
	}
	return full
}

// asserted fills the query. user_id is set except for the registration's sender, who is another user than the bot.
func (r request) asserted(query url.Values) {
	for key, values := range r.query {
		query[key] = values
	}
	if !r.open && !r.sender {
		query.Set("user_id", r.as.String())
	}
}
