// Package encryption is the bot's own device in end-to-end encrypted rooms
// (https://spec.matrix.org/latest/client-server-api/#end-to-end-encryption): it reads what was encrypted for it, and
// encrypts what the bot says. Its keys come by /sync, for which it is logged in as a device of its own.
package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"

	"usher/store"
)

// Errors of Open and Seal.
var (
	// ErrNoKey says that an event's key has not come yet. It may.
	ErrNoKey = errors.New("encryption: the key has not come yet")
	// ErrUnreadable says that an event can never be read, or that its key is not its sender's own.
	ErrUnreadable = errors.New("encryption: unreadable")
	// ErrReplay says that an event repeats what another one said before.
	ErrReplay = errors.New("encryption: a replay")
	// ErrNotReady says that the device is not set up at the moment, so nothing can be encrypted.
	ErrNotReady = errors.New("encryption: not set up yet")
)

// Rooms shows what the homeserver has on record of a room, as the bot sees it.
type Rooms interface {
	// Content returns the content of a state event with an empty state key, nil where the room has none. It is as fresh as
	// the transaction stream.
	Content(ctx context.Context, r id.RoomID, eventType string) (json.RawMessage, error)
	// Members returns the users with a membership, such as "join".
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
}

// Options says whose device it is.
type Options struct {
	Homeserver  string    // base URL of the client-server API
	Bot         id.UserID // the bot's own user, registered before
	Token       string    // as_token of the bot's registration
	PickleKey   string    // what the keys in the database are encrypted with
	RecoveryKey string    // of the bot's cross-signing identity; empty: derived from PickleKey
	SignedOnly  bool      // send keys to cross-signed devices only
	History     bool      // mark sent keys as fit for sharing with people who come later, and have ShareHistory share (MSC4268)
	UserAgent   string
	Keys        *store.Keys
	Rooms       Rooms
	Log         zerolog.Logger

	// Arrived is told that keys for a room came, or with an empty id that anything may be tried again. It may be nil.
	Arrived func(id.RoomID)
}

// Device is the bot's device. Run brings it to life; its other methods may be called at any time. Only one process at a time may
// run the device of one database of keys.
type Device struct {
	o    Options
	log  zerolog.Logger
	pool *http.Client

	mu      sync.Mutex         // held while keys are worked with: the library's own locks and the database's would deadlock
	machine *crypto.OlmMachine // nil: not set up
	running context.Context    // of Run: no step goes on after it; set with machine
	keys    *keyStore          // Run's alone while machine is nil
	since   string
	fresh   []id.RoomID // rooms that got keys since they were last told of

	state  sync.Mutex // guards what is below
	ready  bool       // the device is set up
	caught bool       // what was waiting for it at the homeserver has come
	rooms  rooms
}

// New makes a device. It does not talk to the homeserver yet.
func New(ctx context.Context, o Options) (*Device, error) {
	encrypted, err := o.Keys.EncryptedRooms(ctx)
	if err != nil {
		return nil, err
	}
	log := o.Log.With().Str("component", "encryption").Logger()
	d := &Device{
		o: o, log: log,
		pool: &http.Client{
			Transport:     sieve{http.DefaultTransport, log},
			Timeout:       pollTime + requestTime, // nothing that the library asks for waits for ever
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		rooms: newRooms(encrypted),
	}
	return d, nil
}

// Ready tells whether the device is set up, so that the bot can read and write in encrypted rooms.
func (d *Device) Ready() bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.ready
}

// CaughtUp tells whether the keys that were waiting at the homeserver have come: before that, a key that is missing says
// nothing.
func (d *Device) CaughtUp() bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.caught
}

// Bounds of waiting.
const (
	firstPause   = time.Second
	lastPause    = time.Minute
	pollTime     = 30 * time.Second // of one /sync
	requestTime  = 30 * time.Second // of any other request
	responseSize = 64 << 20
)

// errGone says that the homeserver does not know the device's token any more.
var errGone = errors.New("the homeserver does not know the device any more")

// Run sets the device up and takes keys in until ctx ends. It tries again after a failure, and replaces a device that the
// homeserver has deleted.
func (d *Device) Run(ctx context.Context) {
	defer d.letGo()
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		err := d.establish(ctx)
		if err == nil {
			pause = firstPause
			d.set(true, false)
			err = d.follow(ctx)
			d.set(false, false)
		}
		if ctx.Err() != nil {
			return
		}
		d.log.Err(cause(err)).Dur("again_in", pause).Msg("encrypted rooms can't be served for now")
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// letGo ends the work with the device. The next process loads it from the database.
func (d *Device) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.machine = nil
}

// set notes what state the device is in, and says when that makes things worth trying again.
func (d *Device) set(ready, caught bool) {
	d.state.Lock()
	changed := d.ready != ready || d.caught != caught
	d.ready, d.caught = ready, caught
	d.state.Unlock()
	if changed && ready {
		d.arrived("")
	}
}

// arrived reports that keys came for a room; an empty id means that every room is worth another try.
func (d *Device) arrived(r id.RoomID) {
	if d.o.Arrived != nil {
		d.o.Arrived(r)
	}
}

// within bounds a step by the time of Run. d.mu is held.
func (d *Device) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.running, cancel)
	return ctx, func() { stop(); cancel() }
}

// client makes a client with a token.
func (d *Device) client(token string) (*mautrix.Client, error) {
	c, err := mautrix.NewClient(d.o.Homeserver, d.o.Bot, token)
	if err != nil {
		return nil, err
	}
	c.Client = d.pool
	c.Log = zerolog.Nop() // it would log what people write
	c.IgnoreRateLimit = true
	c.DefaultHTTPRetries = 0
	c.UserAgent = d.o.UserAgent
	c.ResponseSizeLimit = responseSize
	return c, nil
}

// cause strips the library's wrapper, which holds the request and with it the token.
func cause(err error) error {
	var wrapped mautrix.HTTPError
	switch {
	case !errors.As(err, &wrapped):
		return err
	case wrapped.RespError != nil:
		return wrapped.RespError
	case wrapped.WrappedError != nil:
		return wrapped.WrappedError
	}
	return errors.New("no usable answer")
}
