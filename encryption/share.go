package encryption

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

// What replicas tell each other's devices.
const (
	tellAsked    = "asked"
	tellAnswered = "answered"
	tellKeys     = "keys" // came for a room
)

const (
	askTime    = 10 * time.Second // how long the replica that has the device is waited for
	listenPoll = time.Second      // how often questions and answers are looked for, should word of one be lost
)

// question asks to open an event, or to seal what is to be said in a room.
type question struct {
	Open    *invites.Received `json:",omitempty"`
	Room    id.RoomID         `json:",omitempty"`
	Type    string            `json:",omitempty"`
	Content json.RawMessage   `json:",omitempty"`
}

// reply has what was asked for, or a fault.
type reply struct {
	Type    string          `json:",omitempty"`
	Content json.RawMessage `json:",omitempty"`
	Fault   string          `json:",omitempty"`
	Code    int             `json:",omitempty"` // 1 + the place in codes of what the fault is
	Caught  bool            // what had come for the device at the homeserver was taken in
}

// codes are the errors that mean something to whoever asks.
var codes = [...]error{ErrNoKey, ErrUnreadable, ErrReplay}

// Heard is given what the devices of other replicas tell.
func (d *Device) Heard(what string, r id.RoomID) {
	if what == tellKeys && d.o.Arrived != nil {
		d.o.Arrived(r)
		return
	}
	d.state.Lock()
	defer d.state.Unlock()
	close(d.rung)
	d.rung = make(chan struct{})
}

// bell returns a channel that is closed when the next question or answer comes.
func (d *Device) bell() <-chan struct{} {
	d.state.Lock()
	defer d.state.Unlock()
	return d.rung
}

// arrived says, here and to other replicas, that keys came for a room.
func (d *Device) arrived(ctx context.Context, r id.RoomID) {
	if d.o.Arrived != nil {
		d.o.Arrived(r)
	}
	if d.o.Tell != nil {
		d.o.Tell(ctx, tellKeys, r)
	}
}

// within bounds a step by the time for which this replica has the device. d.mu is held.
func (d *Device) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.turn, cancel)
	return ctx, func() { stop(); cancel() }
}

// openElsewhere has the replica that has the device open an event.
func (d *Device) openElsewhere(ctx context.Context, ev invites.Received) (invites.Received, error) {
	got, err := d.ask(ctx, question{Open: &ev})
	if errors.Is(err, ErrNotReady) {
		return ev, fmt.Errorf("%w: %w", ErrNoKey, err) // whether it came can't be told yet
	}
	if err == nil {
		ev.Type, ev.Raw = got.Type, got.Content
	}
	return ev, err
}

// sealElsewhere has the replica that has the device seal what is to be said.
func (d *Device) sealElsewhere(ctx context.Context, r id.RoomID, eventType string, raw json.RawMessage) (string, any, error) {
	got, err := d.ask(ctx, question{Room: r, Type: eventType, Content: raw})
	return event.EventEncrypted.Type, got.Content, err
}

// ask asks the replica that has the device. If none has it for a while, the error is ErrNotReady.
func (d *Device) ask(ctx context.Context, q question) (reply, error) {
	if !d.o.Keys.Shared() {
		return reply{}, ErrNotReady
	}
	text, err := d.wrap(q)
	if err != nil {
		return reply{}, err
	}
	asked, err := d.o.Keys.Ask(ctx, text)
	if err != nil {
		return reply{}, err
	}
	defer func() {
		if err := d.o.Keys.Withdraw(context.WithoutCancel(ctx), asked); err != nil {
			d.log.Warn().Err(err).Msg("a question could not be withdrawn")
		}
	}()
	d.o.Tell(ctx, tellAsked, "")
	end, tick := time.NewTimer(askTime), time.NewTicker(listenPoll)
	defer end.Stop()
	defer tick.Stop()
	for {
		rung := d.bell()
		text, err := d.o.Keys.Answered(ctx, asked)
		if err != nil {
			return reply{}, err
		}
		if text != nil {
			return d.understand(text)
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-end.C:
			d.remote(false)
			return reply{}, ErrNotReady
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
	}
}

// understand reads an answer.
func (d *Device) understand(text []byte) (got reply, err error) {
	if err := d.unwrap(text, &got); err != nil {
		return got, err
	}
	d.remote(got.Caught)
	switch {
	case got.Fault == "":
		return got, nil
	case got.Code > 0 && got.Code <= len(codes):
		return got, fmt.Errorf("%w: %s", codes[got.Code-1], got.Fault)
	}
	return got, errors.New(got.Fault)
}

// remote notes whether the replica that has the device has caught up.
func (d *Device) remote(caught bool) {
	d.state.Lock()
	defer d.state.Unlock()
	if !d.ready {
		d.caught = caught
	}
}

// Serve answers other replicas while this one has the device, until ctx ends.
func (d *Device) Serve(ctx context.Context) {
	if !d.o.Keys.Shared() {
		return
	}
	tick := time.NewTicker(listenPoll)
	defer tick.Stop()
	for {
		rung := d.bell()
		if err := d.serve(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn().Err(err).Msg("other replicas could not be answered; it is tried again")
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// serve answers what was asked.
func (d *Device) serve(ctx context.Context) error {
	d.mu.Lock()
	here := d.machine != nil
	d.mu.Unlock()
	if !here {
		return nil
	}
	list, err := d.o.Keys.Questions(ctx)
	if err != nil {
		return err
	}
	for _, q := range list {
		got, err := d.answer(ctx, q)
		if errors.Is(err, ErrNotReady) || errors.Is(err, context.Canceled) {
			return ctx.Err() // whoever has the device next answers
		}
		if err != nil {
			got = reply{Fault: err.Error()}
			for i, known := range codes {
				if errors.Is(err, known) {
					got.Code = i + 1
				}
			}
		}
		got.Caught = d.CaughtUp()
		text, err := d.wrap(got)
		if err == nil {
			err = d.o.Keys.Answer(ctx, q.ID, text)
		}
		if err != nil {
			return err
		}
		d.o.Tell(ctx, tellAnswered, "")
	}
	return nil
}

// answer does what another replica asks for.
func (d *Device) answer(ctx context.Context, asked store.Question) (got reply, err error) {
	var q question
	if err := d.unwrap(asked.Text, &q); err != nil {
		return got, err
	}
	if q.Open != nil {
		sealed, err := parse(*q.Open)
		if err != nil {
			return got, err
		}
		opened, err := d.openHere(ctx, *q.Open, sealed)
		return reply{Type: opened.Type, Content: opened.Raw}, err
	}
	if _, err := d.settings(ctx, q.Room); err != nil { // so that the library knows them
		return got, err
	}
	sealed, err := d.sealHere(ctx, q.Room, q.Type, q.Content)
	if err != nil {
		return got, err
	}
	got.Content, err = json.Marshal(sealed)
	return got, err
}

// box encrypts what passes through the database, which else sees nothing of what people say. Replicas have one pickle key.
func (d *Device) box() (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, []byte(d.o.PickleKey))
	mac.Write([]byte("usher questions"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (d *Device) wrap(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	box, err := d.box()
	if err != nil {
		return nil, err
	}
	return box.Seal(nil, nil, text, nil), nil
}

func (d *Device) unwrap(text []byte, v any) error {
	box, err := d.box()
	if err == nil {
		text, err = box.Open(nil, nil, text, nil)
	}
	if err != nil {
		return fmt.Errorf("what another replica says can't be read, is encryption.pickle_key the same? %w", err)
	}
	return json.Unmarshal(text, v)
}
