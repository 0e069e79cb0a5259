package appservice

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Tokens are the secrets by which the homeserver shows that a request is its own
// (https://spec.matrix.org/latest/application-service-api/#authorization).
type Tokens struct {
	HS    string // hs_token of the registration
	Other string // hs_token of the second registration, for which the homeserver must send nothing; empty: there is none
	Query bool   // take the token from the query too, where homeservers before Matrix 1.4 send it
}

// check reports whether a request has a token, in the header or, with query, in the query, and whether it is the given one.
func check(r *http.Request, token string, query bool) (shown, right bool) {
	found, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok && query && r.URL.RawQuery != "" {
		found = r.URL.Query().Get("access_token")
	}
	return found != "", found != "" && token != "" && subtle.ConstantTimeCompare([]byte(found), []byte(token)) == 1
}

// Shown reports whether a request shows the homeserver's token in its header.
func (t Tokens) Shown(r *http.Request) bool {
	_, right := check(r, t.HS, false)
	return right
}

// gate lets only the homeserver's requests through.
type gate struct {
	Tokens
	log    zerolog.Logger
	warned atomic.Int64 // when a refused transaction was last logged, in Unix seconds; 0: never
}

// open reports whether a request is the homeserver's. It answers another one, and ends its connection.
func (g *gate) open(w http.ResponseWriter, r *http.Request) bool {
	shown, right := check(r, g.HS, g.Query)
	if right {
		return true
	}
	g.warn(r, time.Now().Unix())
	w.Header().Set("Connection", "close")                         // nothing more is read of it
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a connection without deadlines, as in tests, is fine
	if shown {
		refuse(w, http.StatusForbidden, "M_FORBIDDEN")
	} else {
		refuse(w, http.StatusUnauthorized, "M_MISSING_TOKEN")
	}
	return false
}

// warnEvery is the pause between two warnings of refused transactions, in seconds.
const warnEvery = 3600

// warn logs a refused transaction, once an hour: either the homeserver has another registration, so that the bot is deaf, or a stranger
// sends it. The reason is a word that the manual explains.
func (g *gate) warn(r *http.Request, now int64) {
	last := g.warned.Load()
	if !strings.Contains(r.URL.Path, "/transactions/") || last != 0 && now-last < warnEvery || !g.warned.CompareAndSwap(last, now) {
		return
	}
	reason := "wrong_token"
	if shown, _ := check(r, g.HS, g.Query); !shown {
		reason = "no_token"
	}
	if _, right := check(r, g.Other, true); right {
		reason = "token_of_second_registration"
	} else if _, right := check(r, g.HS, true); right {
		reason = "token_in_query"
	}
	g.log.Warn().Str("reason", reason).Str("from", r.RemoteAddr).Msg("Transaction refused: it does not show appservice.hs_token")
}
