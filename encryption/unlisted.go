package encryption

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// unlisted is a device that sent an event to a room before the homeserver listed it: the news of it travels apart from the event, and
// slower. The bot's events of that time are encrypted without it, so their keys follow once the device is listed.
type unlisted struct {
	room id.RoomID
	user id.UserID
	key  id.IdentityKey

	until    time.Time
	last     *outbound // the last session whose key will follow
	sessions int
}

// Bounds of unlisted devices. Members can claim any number of devices.
const (
	unlistedTime        = 10 * time.Minute // how long a device may take to be listed
	maxUnlistedOfUser   = 5
	maxUnlistedOfServer = 50
	maxUnlisted         = 1000
	maxUnlistedSessions = 5 // for each device in a room
)

// unlistedDevices is the unlisted devices in all rooms. It belongs to the steps under the device's lock.
type unlistedDevices struct{ list []*unlisted }

// keyLength is the length of a device's public key, unpadded Base64.
const keyLength = 43

// expect notes a device, unless there are too many.
func (n *unlistedDevices) expect(r id.RoomID, user id.UserID, key id.IdentityKey, now time.Time) {
	n.list = slices.DeleteFunc(n.list, func(d *unlisted) bool { return now.After(d.until) })
	ofUser, ofServer := 0, 0
	for _, d := range n.list {
		if d.room == r && d.user == user && d.key == key {
			return
		}
		if d.user == user {
			ofUser++
		}
		if d.user.Homeserver() == user.Homeserver() {
			ofServer++
		}
	}
	if ofUser < maxUnlistedOfUser && ofServer < maxUnlistedOfServer && len(n.list) < maxUnlisted {
		n.list = append(n.list, &unlisted{room: r, user: user, key: key, until: now.Add(unlistedTime)})
	}
}

// in returns the unlisted devices in a room.
func (n *unlistedDevices) in(r id.RoomID, now time.Time) (found []*unlisted) {
	for _, d := range n.list {
		if d.room == r && !now.After(d.until) {
			found = append(found, d)
		}
	}
	return found
}

// drop forgets a device.
func (n *unlistedDevices) drop(old *unlisted) {
	n.list = slices.DeleteFunc(n.list, func(d *unlisted) bool { return d == old })
}

// expectSender notes the sending device of an event as new if the bot does not know it. It runs under the device's lock.
func (d *sharer) expectSender(ctx context.Context, s *session, r id.RoomID, user id.UserID, key id.IdentityKey) {
	if len(key) != keyLength || user == d.o.Bot {
		return
	}
	if device, err := s.keys.FindDeviceByKey(ctx, user, key); err == nil && device == nil {
		d.unlisted.expect(r, user, key, d.o.Now())
	}
}

// followLater has the key of the session o, from its next event on, sent to the new devices of a room once they are listed. It runs
// under the device's lock.
func (d *sharer) followLater(ctx context.Context, s *session, r id.RoomID, o *outbound) error {
	for _, device := range d.unlisted.in(r, d.o.Now()) {
		listed, err := s.keys.FindDeviceByKey(ctx, device.user, device.key)
		if err != nil {
			return err
		}
		holds, stale := d.rooms.holds(device.user, o)
		if listed != nil && !stale {
			d.unlisted.drop(device) // the session was made for it, too
			continue
		}
		if !holds || device.last == o || device.sessions >= maxUnlistedSessions {
			continue
		}
		now, err := s.keys.GetOutboundGroupSession(ctx, r)
		if err != nil {
			return err
		}
		if now == nil {
			return crypto.ErrNoGroupSession
		}
		device.last = o
		device.sessions++
		d.late.add(&lateShare{
			room: r, session: &outbound{key: now.ShareContent()}, server: device.user.Homeserver(), users: []id.UserID{device.user},
			device: device.key, until: device.until,
		}, d.o.Now())
	}
	return nil
}
