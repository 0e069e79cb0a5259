package operator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/connect"
	"usher/exactjson"
	"usher/homeserver"
	"usher/invites"
	"usher/room"
)

// wayBack has the homeserver call Usher. If no Usher is running, doctor itself answers the call.
func (d *doctor) wayBack(ctx context.Context, running bool) finding {
	e := &ear{probe: make(chan id.RoomID, 1)}
	if !running {
		listener, err := connect.Listen(d.cfg.Appservice.Listen)
		if err != nil {
			return finding{ill, room.Say("doctor.listen", "listen", d.cfg.Appservice.Listen, "error", err), room.Say("remedy.taken_port")}
		}
		e.intake = appservice.NewIntake(appservice.IntakeOptions{Tokens: appservice.Tokens{HS: d.cfg.Appservice.HSToken.Reveal(), Query: d.cfg.Appservice.QueryToken}, Log: zerolog.Nop()})
		e.intake.Drain() // the homeserver keeps its transactions for a running Usher
		server := connect.Server(e)
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
	}
	err := d.client.Ping(ctx, d.cfg.Appservice.ID, "doctor")
	if errors.Is(err, homeserver.ErrUnsupported) {
		return d.listen(ctx, e, running)
	}
	return d.called(err, e, running)
}

// called is the finding of a ping's answer.
func (d *doctor) called(err error, e *ear, running bool) finding {
	code, copied := invites.Errcode(err), room.Say("remedy.copy")
	way := room.Say("remedy.way", "address", d.cfg.Appservice.Address, "listen", d.cfg.Appservice.Listen)
	elsewhere := room.Say("remedy.way_other", "listen", d.cfg.Appservice.Listen)
	switch {
	case err == nil && (running || e.right.Load()):
		return finding{mark: well, found: room.Say("doctor.way")}
	case err == nil:
		return finding{ill, room.Say("doctor.way_other", "error", "200"), elsewhere}
	case strings.HasSuffix(code, "URL_NOT_SET"):
		return finding{ill, room.Say("doctor.no_url"), copied}
	case strings.HasSuffix(code, "BAD_STATUS") && (e.wrong.Load() || running):
		return finding{ill, room.Say("doctor.way_token"), copied}
	case strings.HasSuffix(code, "BAD_STATUS"):
		return finding{ill, room.Say("doctor.way_other", "error", said(err)), elsewhere}
	case code == "M_FORBIDDEN": // the token is known: the path names another registration
		return finding{ill, room.Say("doctor.other_id", "id", d.cfg.Appservice.ID), copied}
	case unanswered(err):
		return finding{ill, room.Say("doctor.no_way", "error", said(err)), way}
	}
	return finding{ill, because(err), room.Say("remedy.log")}
}

// Bounds of the wait for an event of the bot's own.
const (
	hearingWait  = 10 * time.Second
	hearingPause = 100 * time.Millisecond
)

// listen finds out whether the homeserver sends events where it can't be asked to call: the bot makes a room of its own and leaves it.
func (d *doctor) listen(ctx context.Context, e *ear, running bool) finding {
	start := time.Now()
	made, err := d.client.CreateRoom(ctx)
	if err != nil {
		return finding{unchecked, room.Say("doctor.no_ping"), room.Say("remedy.ping", "prefix", d.cfg.Commands.Prefix)}
	}
	e.probe <- made
	defer func() { _ = d.client.LeaveRoom(ctx, made) }()
	for time.Since(start) < hearingWait && ctx.Err() == nil {
		heard := e.right.Load()
		if running {
			_, last, err := ready(ctx, d.cfg)
			heard = err == nil && last >= start.UnixMilli()
		}
		switch {
		case heard:
			return finding{mark: well, found: room.Say("doctor.heard")}
		case e.wrong.Load():
			return finding{ill, room.Say("doctor.way_token"), room.Say("remedy.copy")}
		}
		time.Sleep(hearingPause)
	}
	return finding{ill, room.Say("doctor.unheard", "wait", hearingWait),
		room.Say("remedy.unheard", "address", d.cfg.Appservice.Address, "listen", d.cfg.Appservice.Listen)}
}

// ear answers the homeserver while no Usher runs, and notes whether it showed the right token.
type ear struct {
	intake       *appservice.Intake
	probe        chan id.RoomID // gets the room whose events alone are taken
	right, wrong atomic.Bool
}

// ServeHTTP implements http.Handler. It takes a transaction only if all its events are of the doctor's own room, so that the homeserver need
// not try again; it keeps all others for a running Usher.
func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &statusNoted{ResponseWriter: w, own: func() bool { return e.own(r.Context(), r.URL.Path, body) }}
	e.intake.ServeHTTP(answer, r)
	if strings.HasPrefix(r.URL.Path, "/_matrix/mau/") {
		return
	}
	refused := answer.status == http.StatusForbidden || answer.status == http.StatusUnauthorized
	e.wrong.Store(e.wrong.Load() || refused)
	e.right.Store(e.right.Load() || !refused)
}

// own reports whether a transaction holds events of the doctor's own room only.
func (e *ear) own(ctx context.Context, path string, body []byte) bool {
	if !strings.Contains(path, "/transactions/") {
		return false
	}
	var own id.RoomID
	select {
	case own = <-e.probe:
		e.probe <- own
	case <-ctx.Done():
	case <-time.After(hearingWait):
	}
	for event := range exactjson.Items(body, "events") {
		if own == "" || exactjson.Text(event, "room_id") != own.String() {
			return false
		}
	}
	return true
}

// statusNoted notes the status of an answer, and turns the refusal of the doctor's own events into a 200.
type statusNoted struct {
	http.ResponseWriter
	own    func() bool
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusNoted) WriteHeader(status int) {
	if status == http.StatusServiceUnavailable && s.own() {
		status = http.StatusOK
	}
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusNoted) Unwrap() http.ResponseWriter { return s.ResponseWriter }
