package appservice

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// Watcher is told of changes in rooms before anything of a transaction is committed. Its methods are called on hot paths and must not
// block.
type Watcher interface {
	// Changed says that a piece of a room's state may have changed.
	Changed(r id.RoomID, k room.Key)
	// Invalidate says that some state of a room changed, unknown which.
	Invalidate(r id.RoomID)
	// InvalidateAll says that some state changed, unknown in which room.
	InvalidateAll()
	// Forget says that an event, of state or not, may have been redacted. It returns the pieces of state which the event may be: those known
	// to be, and those of suspects of which nothing is known.
	Forget(r id.RoomID, event id.EventID, suspects ...room.Key) []room.Key
}

// Sink gets what the intake has committed, and knows which rooms matter.
type Sink interface {
	// Deliver gets the new events of the inbox, in order, one call at a time, after their commit.
	Deliver(fresh []invites.Received)
	// Recover is called after a commit of unknown outcome: the inbox may hold events that were not delivered.
	Recover()
	// Left says that a user left a room, or was banned from it: then banned is the user, else empty. Calls may come more than once, or be
	// lost.
	Left(r id.RoomID, banned id.UserID)
	// Guarded reports whether a guard watches a room.
	Guarded(r id.RoomID) bool
	// Claimed reports whether a room names a space.
	Claimed(r id.RoomID) bool
	// Addressed reports whether each message of a user in a room concerns the bot, since the room is the user's direct chat with it.
	Addressed(r id.RoomID, user id.UserID) bool
}

// Limits bounds transactions. Zero values stand for the defaults.
type Limits struct {
	Body   int64         // bytes of a transaction; 50 MiB if 0
	Read   time.Duration // time to read a transaction; 30 s if 0
	Commit time.Duration // time to commit a transaction; 10 s if 0
}

// Index is what the intake knows by heart, so that it keeps few events of the many that come.
type Index struct {
	Pending *Pending // open invitations; starts empty if nil
	Cards   *Cards   // open cards; none if nil
}

// IntakeOptions are the parts and settings of an intake. Inbox, Watcher, Sink, Tokens.HS and Bot are required.
type IntakeOptions struct {
	Inbox   Inbox
	Watcher Watcher
	Sink    Sink
	Index   Index

	Hearing *Hearing // starts empty if nil
	Health  Health   // always ready if nil

	Tokens      Tokens
	Bot         id.UserID
	DisplayName string                 // of the bot; a message that begins with it addresses the bot
	Prefix      string                 // of commands
	Known       func(name string) bool // reports whether a word after the prefix names a command; nil: every word may
	Encrypted   bool                   // keep encrypted events, which may be commands
	Limits      Limits

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
	waiting   []*arrival           // for the next commit
	doubt     atomic.Bool          // a commit failed that may have taken effect
	failed    atomic.Pointer[work] // the last transaction whose commit failed, until it is committed
	gate      gate
	draining  atomic.Bool
	buffers   sync.Pool // of *work
	routes    http.ServeMux
}

// Bounds of one request where no others are set.
const (
	defaultBody = 50 << 20
	defaultRead = 30 * time.Second
)

// NewIntake makes the handler.
func NewIntake(o IntakeOptions) *Intake {
	o.Limits.Body = cmp.Or(o.Limits.Body, defaultBody)
	o.Limits.Read = cmp.Or(o.Limits.Read, defaultRead)
	o.Limits.Commit = cmp.Or(o.Limits.Commit, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Counters == nil {
		o.Counters = nobody{}
	}
	if o.Index.Pending == nil {
		o.Index.Pending = NewPending()
	}
	if o.Index.Cards == nil {
		o.Index.Cards = NewCards()
	}
	if o.Hearing == nil {
		o.Hearing = &Hearing{}
	}
	if o.Health == nil {
		o.Health = healthy{}
	}
	n := &Intake{
		o: o, addressed: newAddressing(o.Prefix, o.Bot, o.DisplayName, o.Known), own: `"` + o.Bot.String() + `"`, turn: make(chan struct{}, 1),
		buffers: sync.Pool{New: func() any { return new(work) }}, gate: gate{Tokens: o.Tokens, log: o.Log},
	}
	n.route()
	return n
}

// Drain makes it answer 503 to transactions from now on: the homeserver keeps them. Those under way are finished.
func (n *Intake) Drain() { n.draining.Store(true) }

// Paths that tell the health of a process to anybody.
const (
	pathLive  = "/_matrix/mau/live"
	pathReady = "/_matrix/mau/ready"
)

// route adds the routes of the application service API, with and without the prefix that old homeservers leave out, and the answer to all
// other paths.
func (n *Intake) route() {
	n.routes.HandleFunc(pathLive, empty)
	n.routes.HandleFunc(pathReady, n.ready)
	n.routes.HandleFunc("/", refusal(http.StatusNotFound, "M_UNRECOGNIZED"))
	for _, prefix := range []string{"/_matrix/app/v1", ""} {
		n.routes.HandleFunc("PUT "+prefix+"/transactions/{txn...}", n.transaction)
		n.routes.HandleFunc("GET "+prefix+"/users/{user...}", n.user)
		n.routes.HandleFunc("GET "+prefix+"/rooms/{alias...}", refusal(http.StatusNotFound, "M_NOT_FOUND"))
		n.routes.HandleFunc("POST "+prefix+"/ping", empty)
		for _, path := range []string{"/transactions/", "/users/", "/rooms/", "/ping"} {
			n.routes.HandleFunc(prefix+path, refusal(http.StatusMethodNotAllowed, "M_UNRECOGNIZED"))
		}
	}
}

func empty(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, emptyJSON) }

func refusal(status int, errcode string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, errcode) }
}

// user answers whether a user exists: of the bot's namespace only the bot does.
func (n *Intake) user(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("user") == n.o.Bot.String() {
		empty(w, r)
		return
	}
	refuse(w, http.StatusNotFound, "M_NOT_FOUND")
}

// ready also tells who shows the hs_token when the last transaction came. Strangers do not learn it.
func (n *Intake) ready(w http.ResponseWriter, r *http.Request) {
	reasons := n.o.Health.Reasons()
	if n.draining.Load() {
		reasons = append(reasons, "shutting down")
	}
	var heard time.Time
	if _, right := check(r, n.o.Tokens.HS, false); right {
		heard = n.o.Hearing.Last()
	}
	answerReady(w, reasons, heard)
}

// answerReady answers 200, or 503 with the reasons why this process can't work. heard is left out when zero.
func answerReady(w http.ResponseWriter, reasons []string, heard time.Time) {
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer := map[string]any{"ready": len(reasons) == 0, "reasons": append([]string{}, reasons...)}
	if !heard.IsZero() {
		answer["last_transaction"] = heard.UnixMilli()
	}
	body, err := json.Marshal(answer)
	if err != nil {
		status = http.StatusInternalServerError
	}
	reply(w, status, body)
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
