// Package encryption is the bot's own device in end-to-end encrypted rooms
// (https://spec.matrix.org/latest/client-server-api/#end-to-end-encryption). It decrypts events sent to rooms that the bot is in, encrypts
// the bot's events, and shares the keys of a room's history with invited people.
//
//	d, err := encryption.New(ctx, options)
//	go d.Run(ctx)                                   // sets the device up and receives keys until ctx ends
//	ev, err = d.Open(ctx, ev)                       // an m.room.encrypted event → the event as encrypted by its sender
//	kind, content, err = d.Seal(ctx, r, kind, content) // the same event in a plain room, m.room.encrypted in an encrypted one
//	d.Invalidate(r)                                 // when its members, history visibility or encryption change: they decide who gets the next key
//
// The device is logged in by itself, apart from the appservice's user, and receives keys by /sync. Its keys are in a database of their
// own (store.Keys), encrypted with Options.PickleKey. Only one process may run the device of one such database at a time.
//
// The types, from the outside in:
//
//   - Device is the API. sharer sends keys of the bot's sessions to other devices, intake takes in messages to the device. All use core:
//     its lock is held while keys are read or written, and never while the homeserver is asked.
//   - session is the device as one login has set it up: the library's machine, its key store and the position in /sync. setup makes it.
//   - rooms knows which rooms are encrypted, and which users have the key of the bot's outbound session of a room.
//   - fetcher asks the homeserver for other users' keys, and offline gives them to the library under the lock.
//   - senders bounds the messages to the device, for a user, for a server and for all strangers together.
//   - keyStore is the library's store, which here reports errors; the library only logs them.
//   - dropUnreadable removes from the homeserver's answers the parts unreadable for the library.
//
// The package knows no commands, no policy and no room state but by the port Rooms.
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
	"maunium.net/go/mautrix/id"

	"usher/loop"
	"usher/store"
)

// Errors of Open and Seal, besides invites.ErrNoKey, invites.ErrUnreadable and invites.ErrReplay.
var (
	// ErrNotReady means the device is not set up at the moment, so nothing can be encrypted.
	ErrNotReady = errors.New("encryption: not set up yet")
)

// Rooms reads the state of rooms, as the bot sees it.
type Rooms interface {
	// Content returns the content of a state event with an empty state key, or nil if the room has none. It is as fresh as the
	// transaction stream.
	Content(ctx context.Context, r id.RoomID, eventType string) (json.RawMessage, error)
	// Members returns the users with a membership, such as "join".
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
}

// Options is the settings of a Device.
type Options struct {
	Homeserver  string    // base URL of the client-server API
	Bot         id.UserID // the bot's user, registered before
	Token       string    // as_token of the bot's registration
	PickleKey   string    // encrypts the keys in the database
	RecoveryKey string    // of the bot's cross-signing identity; empty: derived from PickleKey
	SignedOnly  bool      // send keys to cross-signed devices only
	Verify      bool      // look up the devices of senders, to tell events of verified devices
	History     bool      // mark sent keys as fit for sharing with later members, and have ShareHistory share (MSC4268)
	UserAgent   string
	Keys        *store.Keys
	Rooms       Rooms
	Log         zerolog.Logger
	Now         func() time.Time

	// Arrived is called with a room when keys for it arrived, and with "" when events of every room are worth another try. It may
	// be nil.
	Arrived func(id.RoomID)
}

// Device is the bot's device. Run sets it up and keeps it so. The other methods may be called at any time, from any goroutine.
type Device struct {
	*core
	http   *http.Client
	sharer *sharer
	intake *intake
}

// core is the session of the device and the lock to use it.
type core struct {
	o     Options
	log   zerolog.Logger
	rooms *rooms

	// turns is held while the session works with keys: the library's locks and the database's would deadlock otherwise. No request to
	// the homeserver is made under it, see step.
	turns   turns
	session *session // nil: not set up

	state    sync.Mutex // guards the fields below
	ready    bool       // the device is set up
	caughtUp bool       // the messages from before the login have arrived
}

// sharer sends the keys of the bot's outbound sessions to other users' devices.
type sharer struct {
	*core
	late     lateShares
	unlisted unlistedDevices
}

// intake takes in the messages to the device.
type intake struct {
	*core
	sharer  *sharer
	senders *senders
	repairs repairs
}

// New returns a device. It reads the database, and makes no request to the homeserver.
func New(ctx context.Context, o Options) (*Device, error) {
	encrypted, err := o.Keys.EncryptedRooms(ctx)
	if err != nil {
		return nil, err
	}
	c := &core{o: o, log: o.Log.With().Str("component", "encryption").Logger()}
	c.rooms = &rooms{
		source: o.Rooms, keys: o.Keys, history: o.History, log: c.log, encrypted: encrypted, outbound: map[id.RoomID]*outbound{},
	}
	share := &sharer{core: c}
	return &Device{
		core: c, sharer: share,
		intake: &intake{
			core: c, sharer: share, senders: newSenders(o.Bot),
			repairs: repairs{wanted: make(chan wedge, 100), at: map[wedge]time.Time{}},
		},
		http: &http.Client{
			Transport:     dropUnreadable{http.DefaultTransport, c.log},
			Timeout:       pollTime + requestTime, // bounds every request of the library
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Ready reports whether the device is set up, so the bot can read and write in encrypted rooms.
func (d *Device) Ready() bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.ready
}

// CaughtUp reports whether the keys waiting at the homeserver have arrived. Before that, invites.ErrNoKey says nothing about the sender.
func (d *Device) CaughtUp() bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.caughtUp
}

// Bounds of waiting, and of an answer.
const (
	firstPause   = time.Second
	lastPause    = time.Minute
	pollTime     = 30 * time.Second // of one /sync
	requestTime  = 30 * time.Second // of any other request
	responseSize = 64 << 20         // bytes
)

// errGone means the homeserver does not know the device's token any more.
var errGone = errors.New("the homeserver does not know the device any more")

// Run sets the device up and receives keys until ctx ends. It tries again after a failure, and replaces a device deleted at
// the homeserver.
func (d *Device) Run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { d.sharer.shareLate(ctx) })
	parts.Go(func() { d.intake.repairSessions(ctx) })
	defer d.setSession(nil) // the next process loads the keys from the database
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ctx.Err() == nil; {
		err := d.establish(ctx)
		if err == nil {
			pause.Reset()
			d.setState(true, false)
			err = d.intake.follow(ctx)
			d.setState(false, false)
		}
		if ctx.Err() != nil {
			return
		}
		wait := pause.Next()
		d.log.Err(cause(err)).Dur("again_in", wait).Msg("encrypted rooms can't be served for now")
		loop.Sleep(ctx, wait)
	}
}

// establish sets up a new session.
func (d *Device) establish(ctx context.Context) error {
	d.setSession(nil)
	s, err := (&setup{o: d.o, log: d.log, http: d.http}).run(ctx, d.rooms)
	if err != nil {
		return err
	}
	d.rooms.forgetOutbound()
	d.setSession(s)
	d.log.Info().Stringer("device", s.machine.Client.DeviceID).Msg("ready for encrypted rooms")
	return nil
}

// setSession waits for the step under way, which ends soon once the context of Run has ended.
func (d *core) setSession(s *session) {
	_ = d.turns.lock(context.Background(), "")
	defer d.turns.unlock()
	d.session = s
}

// currentSession returns the session, for requests without keys, or ErrNotReady.
func (d *core) currentSession(ctx context.Context) (s *session, err error) {
	if err := d.turns.lock(ctx, ""); err != nil {
		return nil, err
	}
	defer d.turns.unlock()
	if d.session == nil {
		return nil, ErrNotReady
	}
	return d.session, nil
}

// step runs fn under the device's lock, as a turn of the room of answers. Requests of the library in fn get these answers only. The
// step ends with Run.
func (d *core) step(ctx context.Context, answers *offline, fn func(context.Context, *session) error) error {
	if err := d.turns.lock(ctx, answers.room); err != nil {
		return err
	}
	defer d.turns.unlock()
	s := d.session
	if s == nil {
		return ErrNotReady
	}
	ctx, done := s.bound(ctx)
	defer done()
	s.wire.answers = answers
	defer func() { s.wire.answers = &offline{} }()
	_ = s.keys.takeFault()
	return fn(ctx, s)
}

// setState records the state of the device. A change to ready makes the events of every room worth another try.
func (d *core) setState(ready, caughtUp bool) {
	d.state.Lock()
	changed := d.ready != ready || d.caughtUp != caughtUp
	d.ready, d.caughtUp = ready, caughtUp
	d.state.Unlock()
	if changed && ready {
		d.arrived("")
	}
}

// arrived calls Options.Arrived.
func (d *core) arrived(r id.RoomID) {
	if d.o.Arrived != nil {
		d.o.Arrived(r)
	}
}

// Invalidate has the next event for a room sent with a new key.
func (d *Device) Invalidate(r id.RoomID) { d.rooms.invalidate(r) }

// InvalidateAll has the next event for each room sent with a new key.
func (d *Device) InvalidateAll() { d.rooms.invalidateAll() }

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
