package encryption

import (
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/store"
)

// syncFilter leaves rooms out of /sync: their events come in transactions.
const syncFilter = `{"room":{"rooms":[]},"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]}}`

// follow takes in what is sent to the device, until the homeserver does not know the device any more.
// The homeserver keeps what it sent until the next request names the position after it; that is saved only once all
// before it is. So nothing is lost, however this ends.
func (d *Device) follow(ctx context.Context) error {
	timeout := time.Duration(0)
	for pause := firstPause; ; {
		resp, err := d.poll(ctx, timeout)
		if err == nil {
			err = d.take(ctx, resp)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, mautrix.MUnknownToken):
			return errGone
		case err != nil:
			d.log.Err(cause(err)).Dur("again_in", pause).Msg("keys could not be taken in")
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		d.tell()
		if len(resp.ToDevice.Events) == 0 {
			timeout = pollTime
			d.set(true, true)
		}
	}
}

func (d *Device) poll(ctx context.Context, timeout time.Duration) (*mautrix.RespSync, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+requestTime-time.Second)
	defer cancel()
	return d.machine.Client.FullSyncRequest(ctx, mautrix.ReqSync{
		Timeout: int(timeout.Milliseconds()), Since: d.since, FilterID: syncFilter, SetPresence: event.PresenceOffline,
	})
}

// take processes one answer of /sync and saves the position after it.
func (d *Device) take(ctx context.Context, resp *mautrix.RespSync) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if changed := resp.DeviceLists.Changed; len(changed) > 0 {
		if _, err := d.machine.FetchKeys(ctx, changed, false); err != nil {
			return err
		}
	}
	for _, ev := range resp.ToDevice.Events {
		ev.Type.Class = event.ToDeviceEventType
		if err := ev.Content.ParseRaw(ev.Type); err != nil {
			d.log.Debug().Err(err).Str("type", ev.Type.Type).Stringer("sender", ev.Sender).Msg("a message to the device can't be read")
			continue
		}
		if err := d.message(ctx, ev); err != nil {
			return err
		}
	}
	if resp.DeviceOTKCount.SignedCurve25519 < minOneTimeKeys {
		d.machine.HandleOTKCounts(ctx, &resp.DeviceOTKCount)
	}
	d.machine.MarkOlmHashSavePoint(ctx)
	if len(resp.ToDevice.Events) > 0 || len(resp.DeviceLists.Changed) > 0 || d.since == "" {
		if err := d.keys.PutNextBatch(ctx, resp.NextBatch); err != nil {
			return err
		}
	}
	// Where nothing came, the position need not be saved: after a restart, the one before it gives the same.
	d.since = resp.NextBatch
	return nil
}

// minOneTimeKeys is when the library is asked whether more are needed: it keeps half of the 100 that a device may have.
const minOneTimeKeys = 50

// message processes one message to the device.
func (d *Device) message(ctx context.Context, ev *event.Event) error {
	switch content := ev.Content.Parsed.(type) {
	case *event.EncryptedEventContent:
		// In one transaction: the session that it came by moves on, and the key in it is kept, or neither.
		err := d.keys.once(ctx, func(ctx context.Context) { d.machine.HandleToDeviceEvent(ctx, ev) })
		if err != nil {
			d.fresh = nil
			if store.Unfit(err) { // again it would fail again, and all that comes after it wait for ever
				d.log.Warn().Err(err).Stringer("sender", ev.Sender).Msg("a message to the device can't be kept and is left out")
				return d.machine.Load(ctx)
			}
			return errors.Join(err, d.machine.Load(ctx))
		}
		return ctx.Err()
	case *event.RoomKeyRequestEventContent:
		d.machine.HandleRoomKeyRequest(ctx, ev.Sender, content) // not through the machine, which would do it beside this
	case *event.RoomKeyWithheldEventContent:
		d.machine.HandleToDeviceEvent(ctx, ev)
	}
	return nil
}

// received is what the library calls for each key that it keeps. d.mu is held.
func (d *Device) received(_ context.Context, r id.RoomID, session id.SessionID, _ uint32) {
	d.log.Debug().Stringer("room", r).Stringer("session", session).Msg("a key came")
	d.fresh = append(d.fresh, r)
}

// tell says for which rooms keys came.
func (d *Device) tell() {
	d.mu.Lock()
	fresh := d.fresh
	d.fresh = nil
	d.mu.Unlock()
	slices.Sort(fresh)
	for _, r := range slices.Compact(fresh) {
		d.arrived(r)
	}
}
