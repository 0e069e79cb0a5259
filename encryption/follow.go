package encryption

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/loop"
)

// syncFilter leaves rooms out of /sync: their events arrive in transactions.
const syncFilter = `{"room":{"rooms":[]},"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]}}`

// follow receives messages to the device until the homeserver does not know the device any more, or ctx ends.
//
// The homeserver keeps a message until a request names a position after it. The session saves a position only once it has processed
// all messages before it. So no message is lost at any end.
func (d *intake) follow(ctx context.Context) error {
	s, err := d.currentSession(ctx)
	if err != nil {
		return err
	}
	timeout := time.Duration(0)
	var batch *batch // not processed to its end
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ; {
		if batch == nil {
			batch, err = d.poll(ctx, s, timeout)
		}
		if err == nil {
			err = d.process(ctx, s, batch)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, mautrix.MUnknownToken):
			return errGone
		case err != nil:
			wait := pause.Next()
			d.log.Err(cause(err)).Dur("again_in", wait).Msg("keys could not be taken in")
			loop.Sleep(ctx, wait)
			err = nil
			continue
		}
		pause.Reset()
		if batch.empty {
			timeout = pollTime
			d.setState(true, true)
		}
		batch = nil
	}
}

// batch is an answer of /sync with the messages to take in.
type batch struct {
	messages  []message
	empty     bool // the homeserver had no messages
	next      string
	changed   []id.UserID       // users with changed devices
	oneTime   int               // one-time keys left at the homeserver
	fallbacks []id.KeyAlgorithm // fallback keys not used yet; nil: the homeserver does not say
}

// message is a message to the device.
type message struct {
	event    *event.Event
	stranger bool
}

// poll waits for messages, and chooses the messages to take in.
func (d *intake) poll(ctx context.Context, s *session, timeout time.Duration) (*batch, error) {
	resp, err := s.poll(ctx, timeout)
	if err != nil {
		return nil, err
	}
	b := &batch{
		empty: len(resp.ToDevice.Events) == 0, next: resp.NextBatch, changed: resp.DeviceLists.Changed,
		oneTime: resp.DeviceOTKCount.SignedCurve25519, fallbacks: resp.FallbackKeys,
	}
	users := map[id.UserID]bool{}
	for _, ev := range resp.ToDevice.Events {
		users[ev.Sender] = true
	}
	known, err := d.acquainted(ctx, s, slices.Collect(maps.Keys(users)))
	if err != nil {
		return nil, err
	}
	dropped, now := 0, d.o.Now()
	for _, ev := range resp.ToDevice.Events {
		switch {
		case !d.matters(ev, known[ev.Sender]):
		case !d.senders.admit(ev.Sender, known[ev.Sender], now):
			dropped++
		default:
			b.messages = append(b.messages, message{ev, !known[ev.Sender]})
		}
	}
	if dropped > 0 {
		d.log.Warn().Int("messages", dropped).Msg("dropped messages to the device: their senders, or strangers together, send too many")
	}
	return b, nil
}

// matters reads a message, and reports whether the device has a use for it. Only other devices of the bot may ask for keys. Only
// acquaintances may send notices of withheld keys, in rooms known to be encrypted.
func (d *intake) matters(ev *event.Event, acquainted bool) bool {
	ev.Type.Class = event.ToDeviceEventType
	if err := ev.Content.ParseRaw(ev.Type); err != nil {
		return false
	}
	switch content := ev.Content.Parsed.(type) {
	case *event.EncryptedEventContent:
		return content.Algorithm == id.AlgorithmOlmV1
	case *event.RoomKeyRequestEventContent:
		return ev.Sender == d.o.Bot
	case *event.RoomKeyWithheldEventContent:
		return acquainted && content.Algorithm == id.AlgorithmMegolmV1 && len(content.SessionID) == sessionIDLength && d.rooms.isEncrypted(content.RoomID)
	}
	return false
}

// sessionIDLength is the length of a Megolm session's id, unpadded Base64.
const sessionIDLength = 43

// process takes in a batch, one message in one step, and saves the position after it. After an error it can be called again.
func (d *intake) process(ctx context.Context, s *session, b *batch) error {
	d.rooms.devicesChanged(b.changed, "")
	d.sharer.late.hasten(b.changed, d.o.Now())
	for len(b.messages) > 0 {
		if err := d.processMessage(ctx, b.messages[0]); err != nil {
			return err
		}
		b.messages = b.messages[1:]
	}
	d.reportKeys(ctx)
	if err := d.refill(ctx, b); err != nil {
		return err
	}
	return d.step(ctx, &offline{}, func(ctx context.Context, s *session) error { return s.save(ctx, b) })
}

// processMessage takes in one message.
func (d *intake) processMessage(ctx context.Context, m message) error {
	if content, ok := m.event.Content.Parsed.(*event.RoomKeyRequestEventContent); ok {
		return d.answerRequest(ctx, content)
	}
	return d.step(ctx, &offline{}, func(ctx context.Context, s *session) error {
		if m.stranger {
			s.keys.stranger = m.event.Sender
			defer func() { s.keys.stranger = "" }()
		}
		wedged, err := s.processMessage(ctx, m.event)
		if wedged != "" && !m.stranger {
			d.repairs.ask(wedge{m.event.Sender, wedged}, d.o.Now())
		}
		return err
	})
}

// reportKeys reports each room that got keys.
func (d *intake) reportKeys(ctx context.Context) {
	var rooms []id.RoomID
	_ = d.step(ctx, &offline{}, func(_ context.Context, s *session) error {
		rooms, s.newKeys = s.newKeys, nil
		return nil
	})
	slices.Sort(rooms)
	for _, r := range slices.Compact(rooms) {
		d.arrived(r)
	}
}
