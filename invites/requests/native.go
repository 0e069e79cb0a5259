package requests

import (
	"context"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/room"
)

// seenWithin is how long a homeserver may take to show an invitation that it asked about. Then the row lapses, and its quotas are given back.
const seenWithin = time.Minute

// reader makes the reader for the decisions of a request.
func (s *Requests) reader(req Request) *judge.Reader {
	if !req.native() {
		return &judge.Reader{Link: req.Link, Unasked: req.Origin == invites.OriginPlan && req.Actor == s.Self.Bot}
	}
	return &judge.Reader{Native: true, Viewer: s.Self.Bot}
}

// Native decides on an invitation that the homeserver is about to send for its actor, and records the decision. An allowed invitation is a row
// under way: it has spent its quotas, and ends when the room shows the invitation, or lapses after seenWithin. Where people have to agree,
// the row waits for their card. A refusal is returned with its sentence, and Flush brings it to the audit.
//
// Asked again before the room shows the invitation, as where a client tries again, it returns the row that is under way.
func (s *Requests) Native(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error) {
	row, err := s.Store.Announced(ctx, r, actor, target, s.Clock.Now())
	if err == nil {
		if seen, err := s.Delivery.Seen(ctx, row); err != nil || !seen {
			return row, err
		}
	} else if invites.UnlessNone(err) != nil {
		return row, err
	}
	return s.native(ctx, invites.OriginNative, r, actor, target)
}

// NativeAddress is Native for an invitation to an address, for which target stands. People can't agree to it, since Usher could not send it.
func (s *Requests) NativeAddress(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error) {
	return s.native(ctx, invites.OriginAddress, r, actor, target)
}

// native reports whether the homeserver sends the invitation for the actor's own client.
func (r Request) native() bool {
	return r.Origin == invites.OriginNative || r.Origin == invites.OriginAddress
}

func (s *Requests) native(ctx context.Context, origin invites.Origin, r id.RoomID, actor, target id.UserID) (invites.Change, error) {
	req := Request{
		Origin: origin, Command: id.EventID(invites.NativePrefix + strconv.FormatInt(s.Clock.Now().UnixNano(), 36)), CommandRoom: r,
		Actor: actor, Action: room.Invite, Room: r, Targets: []id.UserID{target},
	}
	rows, _, err := s.decideAndRecord(ctx, req, false, 0)
	if err != nil {
		return invites.Change{}, err
	}
	return rows[0], s.Cards.Open(ctx, rows)
}

// underWay makes the rows of a native request that are allowed the homeserver's.
func underWay(rows []invites.Change) {
	for i := range rows {
		if row := &rows[i]; row.Status == invites.StatusOpen && (row.Origin == invites.OriginNative || row.Origin == invites.OriginAddress) {
			row.Attempt, row.DueAt, row.LeasedUntil = 1, row.CreatedAt.Add(seenWithin), row.CreatedAt.Add(seenWithin)
		}
	}
}
