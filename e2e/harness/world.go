package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/homeserver"
)

// Options say what a World is made of. The zero value is the homeserver that the environment names, without limits, with a
// Usher that may not act for others.
type Options struct {
	Kind       homeserver.Kind // default $USHER_E2E_HOMESERVER, else Dendrite
	Puppet     bool            // Usher may act for local users
	Encrypted  bool            // accounts encrypt, and rooms with the bot are encrypted; also by $USHER_E2E_ENCRYPTED
	Set        map[string]any  // further settings of Usher, by their dotted path
	RateLimits bool            // the homeserver has its own default limits
	MSC4190    bool            // the bot's registration makes devices, but can't log in
	TLSPort    int             // the homeserver federates on this port of localhost
	Antispam   []string        // callbacks by which Synapse asks Usher; the endpoint is on
	FailOpen   []string        // those of them that Synapse lets through when Usher does not answer
	Alone      bool            // no Usher: a bot and a puppet registration for tests of the homeserver itself
}

// World is a homeserver of its own with one Usher beside it.
type World struct {
	Server *homeserver.Server
	Usher  *Usher // nil in a World that is Alone
	Door   *Door
	// Bot and Puppet are the registrations in a World that is Alone.
	Bot, Puppet homeserver.Registration

	AntispamToken string // of Usher's endpoint, where it is on

	t         T
	accounts  int
	encrypted bool
	secret    []id.RoomID // rooms that were encrypted from the start
}

// Kind returns the homeserver that the environment names.
func Kind() homeserver.Kind {
	if kind := os.Getenv("USHER_E2E_HOMESERVER"); kind != "" {
		return homeserver.Kind(kind)
	}
	return homeserver.Dendrite
}

// New starts a homeserver and Usher, and ends both with the test.
func New(t T, o Options) *World {
	t.Helper()
	if o.Kind == "" {
		o.Kind = Kind()
	}
	w := &World{t: t, encrypted: o.Encrypted || os.Getenv("USHER_E2E_ENCRYPTED") != ""}
	if err := w.start(t.Context(), o); err != nil {
		t.Fatalf("starting %s: %v", o.Kind, err)
	}
	return w
}

// start starts everything. What was started is ended with the test even if the rest fails.
func (w *World) start(ctx context.Context, o Options) error {
	port, err := child.FreePort()
	if err != nil {
		return err
	}
	server := homeserver.Options{Kind: o.Kind, Port: port, RateLimits: o.RateLimits, TLSPort: o.TLSPort, Domain: "usher.test"}
	if o.TLSPort != 0 {
		server.Domain = fmt.Sprintf("localhost:%d", o.TLSPort)
	}
	if w.Door, err = OpenDoor(); err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = w.Door.Close() })
	if o.Alone {
		w.Bot = homeserver.BotRegistration(server.Domain, "usher", w.Door.URL)
		w.Puppet = homeserver.PuppetRegistration(server.Domain, "usher-puppet")
		server.Registrations = [][]byte{w.Bot.YAML(), w.Puppet.YAML()}
		return w.startServer(ctx, server)
	}
	tap, err := OpenTap(fmt.Sprintf("http://127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = tap.Close() })
	dir, err := os.MkdirTemp("", "usher-e2e-")
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if len(o.Antispam) > 0 {
		w.AntispamToken = rand.Text()
		o.Set = maps.Clone(o.Set)
		if o.Set == nil {
			o.Set = map[string]any{}
		}
		o.Set["antispam.enabled"], o.Set["antispam.token"] = true, w.AntispamToken
	}
	w.Usher, server.Registrations, err = NewUsher(ctx, Setup{
		Dir: dir, Domain: server.Domain, Homeserver: tap.URL, Address: w.Door.URL, Puppet: o.Puppet, Set: o.Set,
	})
	if err != nil {
		return err
	}
	if len(o.Antispam) > 0 {
		server.Antispam = &homeserver.Antispam{URL: w.Usher.URL() + "/_usher/antispam", Token: w.AntispamToken, Callbacks: o.Antispam, FailOpen: o.FailOpen}
	}
	if o.MSC4190 {
		server.Registrations[0] = append(server.Registrations[0], "io.element.msc4190: true\n"...)
	}
	w.Usher.Door, w.Usher.Tap = w.Door, tap
	if err := w.startServer(ctx, server); err != nil {
		return err
	}
	w.t.Cleanup(w.endUsher)
	return w.Usher.Start(ctx)
}

// startServer starts the homeserver.
func (w *World) startServer(ctx context.Context, o homeserver.Options) (err error) {
	if w.Server, err = homeserver.Start(ctx, o); err != nil {
		return err
	}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("%s's log ends with:\n%s", w.Server.Kind, w.Server.Tail(20))
		}
		if err := w.Server.Stop(); err != nil {
			w.t.Logf("stopping %s: %v", w.Server.Kind, err)
		}
	})
	return nil
}

// endUsher stops Usher and tells what a failed test needs.
func (w *World) endUsher() {
	if w.Usher.Running() {
		if err := w.Usher.Stop(); err != nil {
			w.t.Logf("stopping usher: %v", err)
		}
	}
	leaks := w.leaks()
	if !w.t.Failed() && len(leaks) == 0 && os.Getenv("USHER_E2E_LOG") == "" {
		return
	}
	for _, r := range w.Usher.Tap.Requests(nil) {
		w.t.Logf("usher asked: %s %s as %q → %d", r.Method, r.Path, r.User, r.Status)
	}
	w.t.Logf("usher's log ends with:\n%s", w.Usher.Tail(60))
	if len(leaks) > 0 {
		w.t.Fatalf("sent unencrypted to encrypted rooms: %+v", leaks)
	}
}

// leaks are the requests by which Usher sent to encrypted rooms what is not encrypted. State never is, nor are redactions.
func (w *World) leaks() []Request {
	return w.Usher.Tap.Requests(func(r Request) bool {
		return slices.ContainsFunc(w.secret, func(room id.RoomID) bool {
			return strings.Contains(r.Path, string(room)+"/send/") && !strings.Contains(r.Path, "/send/m.room.encrypted/")
		})
	})
}

// Account makes an account; its name gets a number, so that no two are alike.
func (w *World) Account(name string) *Account {
	w.t.Helper()
	w.accounts++
	return w.equip(NewAccount(w.t, w.Server, fmt.Sprintf("%s%d", name, w.accounts), "", false))
}

// Admin makes the account that the operator's permissions name.
func (w *World) Admin() *Account {
	w.t.Helper()
	return w.equip(NewAccount(w.t, w.Server, "admin", "", true))
}

// equip gives an account of an encrypted World a device that encrypts.
func (w *World) equip(a *Account) *Account {
	w.t.Helper()
	if w.encrypted {
		a.Encrypted()
	}
	return a
}

// NewAccount makes an account with the given localpart on a homeserver. An empty password stands for a simple one.
func NewAccount(t T, s *homeserver.Server, localpart, password string, admin bool) *Account {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if password == "" {
		password = localpart + "-password"
	}
	client, err := s.Register(ctx, localpart, password, admin)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &Account{
		ID: client.UserID, Password: password, Client: client, Patience: Patience,
		t: t, inbox: map[id.RoomID]bool{}, known: map[string]bool{},
	}
}

// BotRoom makes a room of the owner's with the bot in it.
func (w *World) BotRoom(owner *Account, o RoomOptions) id.RoomID {
	w.t.Helper()
	o.Invite = append(o.Invite, w.Usher.Bot)
	if w.encrypted {
		o.State = append(o.State, map[string]any{
			"type": "m.room.encryption", "state_key": "", "content": map[string]any{"algorithm": "m.megolm.v1.aes-sha2"},
		})
	}
	room := owner.CreateRoom(o)
	if w.encrypted {
		w.secret = append(w.secret, room)
	}
	owner.AwaitMember(room, w.Usher.Bot, "join")
	return room
}

// Peer starts a second homeserver, without Usher, that federates on a port of localhost.
func Peer(t T, kind homeserver.Kind, tlsPort int) *homeserver.Server {
	t.Helper()
	w := &World{t: t}
	if err := w.startServer(t.Context(), homeserver.Options{Kind: kind, TLSPort: tlsPort}); err != nil {
		t.Fatalf("starting a second homeserver: %v", err)
	}
	return w.Server
}

// Soon is a context that ends after Patience, or with the test.
func Soon(t T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Wait waits until a channel is closed.
func Wait(t T, what string, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-Soon(t).Done():
		t.Fatalf("waited in vain for %s", what)
	}
}

// Eventually asks again and again until something is so.
func Eventually(t T, what string, so func() bool) {
	t.Helper()
	ctx := Soon(t)
	for pause := time.NewTicker(50 * time.Millisecond); ; {
		if so() {
			pause.Stop()
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
