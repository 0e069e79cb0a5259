package store

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const (
	// An event that arrives again changes nothing, also after its end.
	insertAddress = `INSERT INTO address_invite (room_id, token, event_id, sender, name, command, at, seen_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
		ON CONFLICT (room_id, token) DO UPDATE SET event_id = excluded.event_id, sender = excluded.sender, name = excluded.name, command = excluded.command,
			at = excluded.at, seen_at = excluded.seen_at, ended_at = 0 WHERE address_invite.event_id <> excluded.event_id`
	// The request of the sender that the homeserver asked about, the oldest without an invitation.
	selectAddressAsked = `SELECT command FROM invitation i
		WHERE status = 'open' AND origin = 'address' AND room_id = $1 AND performer = $2 AND created_at <= $3
			AND NOT EXISTS (SELECT 1 FROM address_invite a WHERE a.command = i.command AND a.command <> '') ORDER BY due_at, id LIMIT 1`
	endAddress          = `UPDATE address_invite SET ended_at = $3 WHERE room_id = $1 AND token = $2 AND ended_at = 0`
	endAddresses        = `UPDATE address_invite SET ended_at = $2 WHERE room_id = $1 AND ended_at = 0`
	selectAddresses     = `SELECT event_id, room_id, token, sender, name, at FROM address_invite WHERE room_id = $1 AND ended_at = 0 ORDER BY at, token LIMIT $2`
	countAddresses      = `SELECT count(*) FROM address_invite WHERE room_id = $1 AND ended_at = 0`
	selectAddressSeen   = `SELECT true FROM address_invite WHERE command = $1 AND command <> ''`
	deleteGoneAddresses = `DELETE FROM address_invite WHERE (room_id, token) IN (SELECT room_id, token FROM address_invite WHERE ended_at <> 0 AND ended_at < $1 LIMIT $2)`
)

// observeAddress takes the invitation of an address, or its withdrawal, into the ledger.
func observeAddress(t *tx, m *invites.MemberEvent) error {
	if m.Membership == invites.AddressGone {
		_, err := t.exec(endAddress, m.Room, m.Token, m.SeenAt)
		return err
	}
	var command string
	if err := t.query(into(&command, value[string]), selectAddressAsked, m.Room, m.Sender, m.SeenAt); err != nil {
		return err
	}
	_, err := t.exec(insertAddress, m.Room, m.Token, m.Event, m.Sender, m.Name, command, earlier(m.SentAt, m.SeenAt), m.SeenAt)
	return err
}

// Addresses returns up to limit open invitations of addresses in a room, the oldest first, and how many there are.
func (s Ledger) Addresses(ctx context.Context, r id.RoomID, limit int) ([]invites.AddressInvitation, int, error) {
	fields := func(a *invites.AddressInvitation) []any {
		return []any{&a.Event, &a.Room, &a.Token, &a.Sender, &a.Name, &a.At}
	}
	list, err := all(ctx, s.db, fields, selectAddresses, r, limit)
	if err != nil || len(list) < limit {
		return list, len(list), err
	}
	n, err := one(ctx, s.db, value[int], countAddresses, r)
	return list, n, err
}

// AddressSeen reports whether a room showed the invitation of an address that a request was about.
func (s Ledger) AddressSeen(ctx context.Context, request string) (bool, error) {
	seen, err := one(ctx, s.db, value[bool], selectAddressSeen, request)
	return seen, invites.UnlessNone(err)
}

// EndAddresses ends the open invitations of addresses in a room that the bot has left.
func (s Ledger) EndAddresses(ctx context.Context, r id.RoomID, at time.Time) error {
	_, err := s.change(ctx, endAddresses, r, at)
	return err
}
