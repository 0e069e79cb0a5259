package web

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites/native"
	"usher/room"
	"usher/words"
)

// Judge decides on callbacks.
type Judge interface {
	Answer(ctx context.Context, q native.Question) (native.Answer, error)
}

// AntispamCounters count callbacks. result is the verdict, "next" for a refusal by the next
// service, or "open" or "closed" for an answer without a decision.
type AntispamCounters interface {
	Callback(name, result, code string, took time.Duration)
}

// Antispam answers a homeserver that asks before it accepts an invitation or a join, by the protocol of synapse-http-antispam: 2xx
// lets the change through, and any other status with a JSON body refuses it, with the body for the user's client.
// The paths of Meowlnir and Draupnir are served as well, since continuwuity knows these two.
type Antispam struct {
	Token     string
	Timeout   time.Duration              // of one answer
	FailsOpen func(callback string) bool // the answer to a callback without a decision
	Judge     Judge
	Language  string // tag of the language of reasons; empty: English
	Next      *Next  // nil: there is none
	Counters  AntispamCounters
	Log       zerolog.Logger

	seen seen
}

// antispamPaths are the path shapes of the protocol, as patterns and as prefixes.
var antispamPaths = map[string]string{
	"POST /_usher/antispam/{callback}":         "/_usher/antispam/",
	"POST /_meowlnir/antispam/{id}/{callback}": "/_meowlnir/antispam/",
	"POST /api/1/spam_check/{callback}":        "/api/1/spam_check/",
}

// IsAntispam reports whether a path belongs to the antispam endpoint.
func IsAntispam(path string) bool {
	for _, prefix := range antispamPaths {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func (a *Antispam) routes(mux *http.ServeMux) {
	for pattern := range antispamPaths {
		mux.HandleFunc(pattern, a.serve)
	}
	mux.HandleFunc("GET /_usher/antispam/seen", a.serveSeen)
}

// serve answers one callback.
func (a *Antispam) serve(w http.ResponseWriter, r *http.Request) {
	if !authorized(w, r, a.Token) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !exactjson.IsObject(exactjson.Find(body)) {
		answer(w, http.StatusBadRequest, refusal{Errcode: "M_NOT_JSON"})
		return
	}
	a.seen.note(r.PathValue("callback"), time.Now())
	switch callback := r.PathValue("callback"); native.Callback(callback) {
	case "ping":
		answer(w, http.StatusOK, map[string]string{"id": exactjson.Text(body, "id"), "status": "ok"})
	default:
		a.decide(w, r, question(native.Callback(callback), body), body)
	}
}

// question reads the body of a callback.
func question(callback native.Callback, body []byte) native.Question {
	text := func(keys ...string) string {
		for _, key := range keys {
			if s := exactjson.Text(body, key); s != "" {
				return s
			}
		}
		return ""
	}
	q := native.Question{
		Callback: callback, Sender: id.UserID(text("inviter", "user")), Target: id.UserID(text("invitee")), Room: id.RoomID(text("room_id", "room")),
		Medium: text("medium"), Address: text("address"), Invited: exactjson.Get(body, "is_invited").Kind == exactjson.True,
	}
	if callback == native.MayInviteFederated {
		q.Event = exactjson.Find(body, "event")
		q.Sender, q.Target = id.UserID(exactjson.Text(q.Event, "sender")), id.UserID(exactjson.Text(q.Event, "state_key"))
		q.Room = id.RoomID(exactjson.Text(q.Event, "room_id"))
	}
	return q
}

// refusal is a body that refuses. Synapse gives its fields to the client.
type refusal struct {
	Errcode string `json:"errcode"`
	Error   string `json:"error,omitempty"`
	Code    string `json:"chat.usher.code,omitempty"`
}

// decide answers with the decision, or as configured where there is none in time.
func (a *Antispam) decide(w http.ResponseWriter, r *http.Request, q native.Question, body []byte) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
	defer cancel()
	also := a.askNext(ctx, q.Callback, body)
	decided, err := a.inTime(ctx, q)
	result := decided.Verdict.String()
	switch {
	case err == nil && decided.Verdict == room.Deny:
		answer(w, http.StatusForbidden, a.refused(decided))
	default:
		other := <-also
		switch {
		case other.refusal != nil:
			result, decided.Code = "next", ""
			answer(w, http.StatusForbidden, other.refusal)
		case err == nil && decided.Verdict == room.Allow && other.err == nil:
			answer(w, http.StatusOK, struct{}{})
		default:
			err = errors.Join(err, other.err)
			result = a.undecided(w, string(q.Callback))
		}
	}
	took := time.Since(start)
	a.Counters.Callback(string(q.Callback), result, decided.Code, took)
	if result != room.Allow.String() {
		a.Log.Info().Err(err).Str("callback", string(q.Callback)).Stringer("room", q.Room).Stringer("sender", q.Sender).Str("result", result).
			Str("code", decided.Code).Dur("took", took).Msg("Callback refused or undecided")
	}
}

// second is the answer of the next service.
type second struct {
	refusal json.RawMessage
	err     error
}

// askNext asks the next service, if there is one, while Usher decides.
func (a *Antispam) askNext(ctx context.Context, callback native.Callback, body []byte) <-chan second {
	answered := make(chan second, 1)
	if a.Next == nil {
		answered <- second{}
		return answered
	}
	go func() {
		var s second
		s.refusal, s.err = a.Next.ask(ctx, callback, body)
		answered <- s
	}()
	return answered
}

// inTime asks the judge, and waits no longer than ctx lasts. A decision that comes later is dropped.
func (a *Antispam) inTime(ctx context.Context, q native.Question) (native.Answer, error) {
	type decision struct {
		native.Answer
		error
	}
	decided := make(chan decision, 1)
	go func() {
		d := decision{error: errFault}
		defer func() {
			if fault := recover(); fault != nil {
				a.Log.Error().Any("fault", fault).Bytes("stack", debug.Stack()).Msg("Callback met a bug")
			}
			decided <- d
		}()
		if !q.Callback.Judged() {
			d.Answer, d.error = native.Answer{Verdict: room.Allow}, nil
			return
		}
		d.Answer, d.error = a.Judge.Answer(ctx, q)
	}()
	select {
	case d := <-decided:
		return d.Answer, d.error
	case <-ctx.Done():
		return native.Answer{Verdict: room.Unknown}, ctx.Err()
	}
}

var errFault = errors.New("web: a bug")

// undecided answers a callback without a decision as configured, and returns "open" or "closed".
func (a *Antispam) undecided(w http.ResponseWriter, callback string) string {
	if a.FailsOpen(callback) {
		answer(w, http.StatusOK, struct{}{})
		return "open"
	}
	answer(w, http.StatusForbidden, a.refused(native.Answer{Code: native.CodeUndecided, Reason: room.Say("native.undecided")}))
	return "closed"
}

// refused puts a refusal into words.
func (a *Antispam) refused(with native.Answer) refusal {
	return refusal{Errcode: "M_FORBIDDEN", Error: words.For(a.Language).Text(with.Reason), Code: with.Code}
}

// authorized reports whether a request shows the token, and answers it if not.
func authorized(w http.ResponseWriter, r *http.Request, token string) bool {
	switch shown, has := bearer(r); {
	case !has:
		answer(w, http.StatusUnauthorized, refusal{Errcode: "M_MISSING_TOKEN"})
	case !same(shown, token):
		answer(w, http.StatusForbidden, refusal{Errcode: "M_FORBIDDEN"})
	default:
		return true
	}
	return false
}

// bears reports whether a request shows the token.
func bears(r *http.Request, token string) bool {
	shown, _ := bearer(r)
	return same(shown, token)
}

// bearer returns the token that a request shows.
func bearer(r *http.Request) (token string, has bool) {
	token, has = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token, has && token != ""
}

// same compares a shown token with the right one, in constant time.
func same(shown, token string) bool {
	return token != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(token)) == 1
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // nobody is left to tell
}
