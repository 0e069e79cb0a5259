package encryption

import (
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix"

	"usher/loop"
)

// syncFilter leaves rooms out of /sync: their events arrive in transactions.
const syncFilter = `{"room":{"rooms":[]},"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]}}`

// follow receives messages to the device until the homeserver does not know the device any more, or ctx ends.
//
// The homeserver keeps a message until a request names a position after it. The session saves a position only once it has processed
// all messages before it. So no message is lost at any end.
func (d *Device) follow(ctx context.Context) error {
	s, err := d.currentSession()
	if err != nil {
		return err
	}
	timeout := time.Duration(0)
	for pause := (loop.Backoff{First: firstPause, Last: lastPause}); ; {
		resp, err := s.poll(ctx, timeout)
		if err == nil {
			err = d.process(ctx, s, resp)
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
			continue
		}
		pause.Reset()
		d.reportKeys(s)
		if len(resp.ToDevice.Events) == 0 {
			timeout = pollTime
			d.setState(true, true)
		}
	}
}

func (d *Device) process(ctx context.Context, s *session, resp *mautrix.RespSync) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.process(ctx, resp)
}

// reportKeys reports each room that got keys.
func (d *Device) reportKeys(s *session) {
	d.mu.Lock()
	rooms := s.newKeys
	s.newKeys = nil
	d.mu.Unlock()
	slices.Sort(rooms)
	for _, r := range slices.Compact(rooms) {
		d.arrived(r)
	}
}
