package encryption

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// shareChunk is the number of users, or devices, in one step under the device's lock.
const shareChunk = 50

// prepare makes the outbound session o of a room and sends its key to the devices of the holders. The key follows later
// for devices of servers without an answer in time.
func (d *sharer) prepare(ctx context.Context, r id.RoomID, o *outbound) error {
	s, err := d.currentSession(ctx)
	if err != nil {
		return err
	}
	users, err := d.rooms.findHolders(ctx, r, o)
	if err != nil {
		return fmt.Errorf("finding the users that may read it: %w", cause(err))
	}
	// Fetched for each session: the list of changed devices in /sync leaves out users without a shared room for a while.
	found, silent, err := s.fetch.devices(ctx, users, keyTime)
	if err != nil {
		return fmt.Errorf("fetching devices: %w", cause(err))
	}
	if err := d.saveDevices(ctx, r, users, found); err != nil {
		return err
	}
	if err := d.makeSession(ctx, r, o); err != nil {
		return err
	}
	result, err := d.share(ctx, &lateShare{room: r, session: o, users: users}, keyTime)
	if err != nil {
		return fmt.Errorf("sharing keys: %w", cause(err))
	}
	for server, late := range byServer(users) {
		if silent[server] || result.silent[server] {
			done := map[deviceOf]bool{}
			for device := range result.done {
				if device.user.Homeserver() == server {
					done[device] = true
				}
			}
			d.late.add(&lateShare{room: r, session: o, server: server, users: late, done: done}, d.o.Now())
		}
	}
	return nil
}

// saveDevices has the library check and save fetched devices. Users without an answer keep the devices known before. A change makes the
// sessions of all rooms stale, except that of the room r, which may be empty: these devices are about to get its key.
func (d *sharer) saveDevices(ctx context.Context, r id.RoomID, users []id.UserID, found keyAnswer) error {
	users = slices.DeleteFunc(slices.Clone(users), func(user id.UserID) bool { return found.Devices[user] == nil })
	for chunk := range slices.Chunk(users, shareChunk) {
		err := d.step(ctx, &offline{room: r, devices: found}, func(ctx context.Context, s *session) error {
			_, err := s.machine.FetchKeys(ctx, chunk, true)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookUpPause is the time for which the looked-up devices of a user are taken for true.
const lookUpPause = time.Minute

// lookUp fetches the devices of a user, unless they were fetched a moment ago and have not changed since. If the user's server does not
// answer, the known devices stay.
func (d *sharer) lookUp(ctx context.Context, r id.RoomID, user id.UserID) error {
	if !d.rooms.startLookUp(user, d.o.Now()) {
		return nil
	}
	s, err := d.currentSession(ctx)
	if err != nil {
		return err
	}
	found, _, err := s.fetch.devices(ctx, []id.UserID{user}, keyTime)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		d.rooms.devicesChanged([]id.UserID{user}, r)
		return fmt.Errorf("fetching devices: %w", errors.Join(cause(err), ctx.Err()))
	}
	return d.saveDevices(ctx, "", []id.UserID{user}, found)
}

// makeSession makes the outbound session o in the database, in place of the session before. Nobody has its key yet.
func (d *sharer) makeSession(ctx context.Context, r id.RoomID, o *outbound) error {
	return d.step(ctx, &offline{room: r}, func(ctx context.Context, s *session) error {
		if !d.rooms.isLatest(r, o) {
			return errSuperseded
		}
		err := s.keys.RemoveOutboundGroupSession(ctx, r)
		if err == nil {
			err = s.machine.ShareGroupSession(ctx, r, nil)
		}
		if err != nil {
			return err
		}
		made, err := s.keys.GetOutboundGroupSession(ctx, r)
		if err != nil {
			return err
		}
		if made == nil {
			return crypto.ErrNoGroupSession
		}
		o.key = made.ShareContent()
		return s.keys.takeFault()
	})
}

// deviceOf names a device of a user.
type deviceOf struct {
	user   id.UserID
	device id.DeviceID
}

// shared is the outcome of sharing a key.
type shared struct {
	done   map[deviceOf]bool // devices with the key, or with a notice
	silent map[string]bool   // servers without one-time keys in time
}

// share sends the key of a session to the known devices of users, except to the devices in done.
func (d *sharer) share(ctx context.Context, o *lateShare, bound time.Duration) (shared, error) {
	result := shared{done: maps.Clone(o.done), silent: map[string]bool{}}
	if result.done == nil {
		result.done = map[deviceOf]bool{}
	}
	for chunk := range slices.Chunk(o.users, shareChunk) {
		recipients, refused, err := d.recipients(ctx, o, chunk, result.done)
		if err == nil {
			err = d.sendWithheld(ctx, o, refused, event.RoomKeyWithheldUnverified)
		}
		if err != nil {
			return result, err
		}
		for _, device := range refused {
			result.done[deviceOf{device.UserID, device.DeviceID}] = true
		}
		for some := range slices.Chunk(recipients, shareChunk) {
			if err := d.shareWith(ctx, o, some, bound, &result); err != nil {
				return result, err
			}
		}
	}
	return result, nil
}

// recipients returns the devices of users allowed to get a key, and the other devices.
func (d *sharer) recipients(ctx context.Context, o *lateShare, users []id.UserID, done map[deviceOf]bool) (recipients, refused []*id.Device, err error) {
	err = d.step(ctx, &offline{room: o.room}, func(ctx context.Context, s *session) error {
		for _, user := range users {
			devices, err := s.keys.GetDevices(ctx, user)
			if err != nil {
				return err
			}
			for name, device := range devices {
				if o.device != "" && o.device != device.IdentityKey {
					continue
				}
				if done[deviceOf{user, name}] || user == s.machine.Client.UserID && name == s.machine.Client.DeviceID {
					continue
				}
				trust, err := s.machine.ResolveTrustContext(ctx, device)
				if err != nil {
					return err
				}
				if trust == id.TrustStateBlacklisted || trust < s.machine.SendKeysMinTrust {
					refused = append(refused, device)
				} else {
					recipients = append(recipients, device)
				}
			}
		}
		return nil
	})
	return recipients, refused, err
}

// shareWith sends the key of a session to devices. A device without a one-time key at an answering server gets a notice.
func (d *sharer) shareWith(ctx context.Context, o *lateShare, devices []*id.Device, bound time.Duration, result *shared) error {
	m := toDevices{room: o.room, kind: event.ToDeviceRoomKey, content: o.session.key, session: o.session}
	if o.device != "" {
		m.session = nil
	}
	sealed, silent, err := d.sealForDevices(ctx, m, devices, bound)
	if err != nil {
		return err
	}
	var keyless []*id.Device
	for _, device := range devices {
		switch {
		case sealed.Messages[device.UserID][device.DeviceID] != nil:
		case silent[device.UserID.Homeserver()]:
			result.silent[device.UserID.Homeserver()] = true
			continue
		default:
			keyless = append(keyless, device)
		}
		result.done[deviceOf{device.UserID, device.DeviceID}] = true
	}
	return d.sendWithheld(ctx, o, keyless, event.RoomKeyWithheldNoOlmSession)
}

// toDevices is a message to devices.
type toDevices struct {
	room    id.RoomID // the encryption takes turns of this room, if any
	kind    event.Type
	content event.Content
	session *outbound // nothing is sent if the room has another session by now; may be nil
}

// sealForDevices encrypts a message for devices and sends it. It returns the sent messages, and the servers without
// one-time keys within bound.
func (d *sharer) sealForDevices(
	ctx context.Context, m toDevices, devices []*id.Device, bound time.Duration,
) (sealed *mautrix.ReqSendToDevice, silent map[string]bool, err error) {
	var without []*id.Device
	var s *session
	err = d.step(ctx, &offline{room: m.room}, func(ctx context.Context, now *session) error {
		s = now
		for _, device := range devices {
			if !s.keys.HasSession(ctx, device.IdentityKey) {
				without = append(without, device)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	claimed, silent, err := s.fetch.oneTimeKeys(ctx, without, bound)
	if err != nil {
		return nil, nil, err
	}
	messages := map[id.UserID]map[id.DeviceID]*event.Content{}
	for _, device := range devices {
		if messages[device.UserID] == nil {
			messages[device.UserID] = map[id.DeviceID]*event.Content{}
		}
		messages[device.UserID][device.DeviceID] = &m.content
	}
	err = d.step(ctx, &offline{room: m.room, oneTime: claimed}, func(ctx context.Context, s *session) error {
		if m.session != nil && !d.rooms.isLatest(m.room, m.session) {
			return errSuperseded
		}
		sealed, err = s.machine.EncryptToDevices(ctx, m.kind, &mautrix.ReqSendToDevice{Messages: messages})
		return errors.Join(err, s.keys.takeFault())
	})
	if err != nil {
		return nil, nil, err
	}
	maps.DeleteFunc(sealed.Messages, func(_ id.UserID, devices map[id.DeviceID]*event.Content) bool { return len(devices) == 0 })
	if len(sealed.Messages) > 0 {
		_, err = s.fetch.client.SendToDevice(ctx, event.ToDeviceEncrypted, sealed)
	}
	return sealed, silent, err
}

// sendWithheld tells devices about a key withheld from them.
func (d *sharer) sendWithheld(ctx context.Context, o *lateShare, devices []*id.Device, code event.RoomKeyWithheldCode) error {
	if len(devices) == 0 {
		return nil
	}
	s, err := d.currentSession(ctx)
	if err != nil {
		return err
	}
	key := o.session.key.AsRoomKey()
	content := &event.Content{Parsed: &event.RoomKeyWithheldEventContent{
		RoomID: o.room, Algorithm: id.AlgorithmMegolmV1, SessionID: key.SessionID, SenderKey: s.identity, Code: code,
	}}
	req := &mautrix.ReqSendToDevice{Messages: map[id.UserID]map[id.DeviceID]*event.Content{}}
	for _, device := range devices {
		if req.Messages[device.UserID] == nil {
			req.Messages[device.UserID] = map[id.DeviceID]*event.Content{}
		}
		req.Messages[device.UserID][device.DeviceID] = content
	}
	if _, err := s.fetch.client.SendToDevice(ctx, event.ToDeviceRoomKeyWithheld, req); err != nil {
		d.log.Warn().Err(cause(err)).Stringer("room", o.room).Msg("devices could not be told that they get no key")
	}
	return nil
}
