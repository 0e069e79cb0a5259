package appservice

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Inbox is the part of invites.Store that the intake writes to.
type Inbox interface {
	Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error)
	Quarantine(ctx context.Context, bad []invites.Undecodable) error
	Redact(ctx context.Context, event id.EventID, sender id.UserID) (bool, error)
}

// Watcher is told what changed in rooms. State is one.
type Watcher interface {
	Changed(r id.RoomID, k room.Key)
	Invalidate(r id.RoomID)
}

// IntakeOptions says what the intake knows and whom it serves. Only Inbox, Token and Bot are required.
type IntakeOptions struct {
	Inbox       Inbox
	Watcher     Watcher
	Pending     *Pending               // open invitations; starts empty if nil
	Cards       *Cards                 // open cards; none if nil
	Token       string                 // hs_token: what the homeserver shows
	Bot         id.UserID              // the bot's own user
	DisplayName string                 // the bot's, by which it may be addressed
	Prefix      string                 // of commands
	Known       func(name string) bool // whether a word after the prefix names a command; nil: every word may
	Encrypted   bool                   // keep encrypted events, which may be commands
	MaxBody     int64                  // bytes of one transaction; 50 MiB if 0
	ReadTimeout time.Duration          // for reading one; 30 s if 0
	Commit      time.Duration          // for committing one; 10 s if 0

	Deliver  func([]invites.Received)                          // gets the new events of the inbox, in order, one call at a time, after the commit
	Recover  func()                                            // after a commit of unknown outcome: look what waits in the inbox, not all of it was delivered
	Policy   string                                            // type of a state event that is kept for the inbox, wherever it is sent
	Guarded  func(id.RoomID) bool                              // a guard watches the room's door: what moves it is kept for the inbox; nil: nowhere
	Claimed  func(id.RoomID) bool                              // a space claims the room: its power levels, which say whether its own word on that counts, are kept for the inbox; nil: none
	Linked   func(context.Context, []invites.SpaceChild) error // spaces claimed rooms; an error keeps the transaction with the homeserver
	Redacted func(id.RoomID, id.EventID)                       // an event, of state or not, may have been redacted
	Left     func(id.RoomID)                                   // somebody left or was banned from the room; may come more than once, or be lost
	Ready    func() []string                                   // what keeps Usher from working; nothing: ready

	Now      func() time.Time // time.Now if nil
	Counters Counters
	Log      zerolog.Logger
}

// Intake is the application service API (https://spec.matrix.org/latest/application-service-api/#homeserver---application-service-api).
// A transaction is answered 200 only after what it brought for the inbox is committed; nearly all of them bring nothing.
type Intake struct {
	o         IntakeOptions
	addressed addressing
	own       string        // the bot's id as a JSON string
	turn      chan struct{} // held while committing and delivering, so that both have one order
	mu        sync.Mutex
	waiting   []*arrival  // for the next commit
	doubt     atomic.Bool // a commit failed that may have taken effect
	draining  atomic.Bool
	buffers   sync.Pool // of *work
}

// Bounds of one request where no others are set.
const (
	defaultBody = 50 << 20
	defaultRead = 30 * time.Second
)

// NewIntake makes the handler.
func NewIntake(o IntakeOptions) *Intake {
	if o.MaxBody == 0 {
		o.MaxBody = defaultBody
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = defaultRead
	}
	if o.Commit == 0 {
		o.Commit = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Counters == nil {
		o.Counters = nobody{}
	}
	if o.Pending == nil {
		o.Pending = NewPending()
	}
	if o.Cards == nil {
		o.Cards = NewCards()
	}
	return &Intake{
		o: o, addressed: newAddressing(o.Prefix, o.Bot, o.DisplayName, o.Known), own: `"` + o.Bot.String() + `"`, turn: make(chan struct{}, 1),
		buffers: sync.Pool{New: func() any { return new(work) }},
	}
}

// Drain makes it answer 503 to transactions from now on: the homeserver keeps them. Those under way are finished.
func (n *Intake) Drain() { n.draining.Store(true) }

// Paths of the API; homeservers of old leave the prefix out.
const (
	pathPrefix       = "/_matrix/app/v1"
	pathTransactions = "/transactions/"
	pathUsers        = "/users/"
	pathRooms        = "/rooms/"
	pathPing         = "/ping"
	pathLive         = "/_matrix/mau/live"
	pathReady        = "/_matrix/mau/ready"
)

// ServeHTTP implements http.Handler.
func (n *Intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case pathLive:
		reply(w, http.StatusOK, emptyJSON)
		return
	case pathReady:
		n.ready(w)
		return
	}
	if status, code := authorize(r, n.o.Token); status != http.StatusOK {
		refuse(w, status, code)
		return
	}
	p := strings.TrimPrefix(r.URL.Path, pathPrefix)
	txn, isTransaction := strings.CutPrefix(p, pathTransactions)
	user, isUser := strings.CutPrefix(p, pathUsers)
	switch {
	case isTransaction && r.Method == http.MethodPut:
		n.transaction(w, r, txn)
	case isUser && r.Method == http.MethodGet && user == n.o.Bot.String(), p == pathPing && r.Method == http.MethodPost:
		reply(w, http.StatusOK, emptyJSON)
	case (isUser || strings.HasPrefix(p, pathRooms)) && r.Method == http.MethodGet:
		refuse(w, http.StatusNotFound, "M_NOT_FOUND")
	case isTransaction, isUser, strings.HasPrefix(p, pathRooms), p == pathPing:
		refuse(w, http.StatusMethodNotAllowed, "M_UNRECOGNIZED")
	default:
		refuse(w, http.StatusNotFound, "M_UNRECOGNIZED")
	}
}

// authorize checks the hs_token, in the header or, as homeservers of old do, in the query
// (https://spec.matrix.org/latest/application-service-api/#authorization).
func authorize(r *http.Request, hsToken string) (status int, errcode string) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found && r.URL.RawQuery != "" {
		token = r.URL.Query().Get("access_token")
	}
	switch {
	case token == "":
		return http.StatusUnauthorized, "M_MISSING_TOKEN"
	case hsToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(hsToken)) != 1:
		return http.StatusForbidden, "M_FORBIDDEN"
	}
	return http.StatusOK, ""
}

func (n *Intake) ready(w http.ResponseWriter) {
	var reasons []string
	if n.o.Ready != nil {
		reasons = n.o.Ready()
	}
	if n.draining.Load() {
		reasons = append(reasons, "shutting down")
	}
	answerReady(w, reasons)
}

// answerReady answers 200, or 503 with the reasons why this process can't work.
func answerReady(w http.ResponseWriter, reasons []string) {
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	body, err := json.Marshal(map[string]any{"ready": len(reasons) == 0, "reasons": append([]string{}, reasons...)})
	if err != nil {
		status = http.StatusInternalServerError
	}
	reply(w, status, body)
}

// transaction takes one transaction in and answers it.
func (n *Intake) transaction(w http.ResponseWriter, r *http.Request, txn string) {
	start := n.o.Now()
	t := n.buffers.Get().(*work)
	t.reset(start)
	t.txn = txn
	status, code := n.take(w, r, t, txn)
	if status == http.StatusOK {
		reply(w, status, emptyJSON)
	} else {
		refuse(w, status, code)
	}
	n.o.Counters.Transaction(status, t.events, len(t.body), n.o.Now().Sub(start))
	if cap(t.body) <= maxPooled {
		n.buffers.Put(t)
	}
}

func (n *Intake) take(w http.ResponseWriter, r *http.Request, t *work, txn string) (status int, errcode string) {
	if n.draining.Load() {
		return http.StatusServiceUnavailable, "M_UNKNOWN"
	}
	if r.ContentLength > n.o.MaxBody {
		return http.StatusRequestEntityTooLarge, "M_TOO_LARGE"
	}
	// A connection without deadlines, as in tests, is fine.
	_ = http.NewResponseController(w).SetReadDeadline(t.now.Add(n.o.ReadTimeout))
	err := t.read(r.Body, r.ContentLength, n.o.MaxBody)
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, "M_TOO_LARGE"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "M_UNKNOWN"
	case err != nil:
		return http.StatusBadRequest, "M_UNKNOWN"
	}
	// What is no JSON is sent again for ever; but nothing of it can be kept, and a 200 would lose it in silence.
	if err := n.sort(t, txn); err != nil {
		n.o.Log.Error().Err(err).Str("transaction_id", shorten(txn, 64)).Int("bytes", len(t.body)).Msg("Transaction refused")
		return http.StatusBadRequest, "M_NOT_JSON"
	}
	if t.quiet() {
		return http.StatusOK, ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), n.o.Commit)
	defer cancel()
	if err := n.commit(ctx, t); err != nil {
		n.o.Log.Error().Err(err).Str("transaction_id", shorten(txn, 64)).Msg("Transaction not committed")
		return http.StatusServiceUnavailable, "M_UNKNOWN"
	}
	return http.StatusOK, ""
}

// commit makes durable what a transaction brought, then hands it on.
func (n *Intake) commit(ctx context.Context, t *work) error {
	if len(t.received)+len(t.members)+len(t.redactions) > 0 {
		if err := n.receive(ctx, &arrival{txn: t.txn, received: t.received, members: t.members, redactions: t.redactions}); err != nil {
			return err
		}
	}
	if len(t.claims) > 0 && n.o.Linked != nil {
		if err := n.o.Linked(ctx, t.claims); err != nil {
			return fmt.Errorf("spaces: %w", err)
		}
	}
	if len(t.broken) > 0 {
		if err := n.o.Inbox.Quarantine(ctx, t.broken); err != nil {
			n.o.Log.Error().Err(err).Int("events", len(t.broken)).Msg("Undecodable events not kept")
		}
	}
	if n.o.Left != nil {
		for _, r := range t.left {
			n.o.Left(r)
		}
	}
	return nil
}

var (
	emptyJSON   = []byte("{}")
	jsonType    = []string{"application/json"}
	errTooLarge = errors.New("body too large")
)

func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to tell
}

func refuse(w http.ResponseWriter, status int, errcode string) {
	reply(w, status, fmt.Appendf(nil, `{"errcode":%q,"error":%q}`, errcode, http.StatusText(status)))
}
