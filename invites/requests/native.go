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
	if req.Origin != invites.OriginNative {
		return &judge.Reader{Link: req.Link, Unasked: req.Origin == invites.OriginPlan && req.Actor == s.Self.Bot}
	}
	return &judge.Reader{Native: true, Viewer: s.Self.Bot}
}

// Native decides on an invitation that the homeserver is about to send for its actor, and records the decision. An allowed invitation is a row
// under way: it has spent its quotas, and ends when the room shows the invitation, or lapses after seenWithin. Where people have to agree,
// the row waits for their card. A refusal is a row as well, with its sentence.
func (s *Requests) Native(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error) {
	return s.native(ctx, r, actor, target, false)
}

// NativeAddress is Native for an invitation to an address, for which target stands. An allowed one has spent its quotas for good: the room does
// not show which address it was for. People can't agree to it, since Usher could not send it.
func (s *Requests) NativeAddress(ctx context.Context, r id.RoomID, actor, target id.UserID) (invites.Change, error) {
	return s.native(ctx, r, actor, target, true)
}

func (s *Requests) native(ctx context.Context, r id.RoomID, actor, target id.UserID, address bool) (invites.Change, error) {
	req := Request{
		Origin: invites.OriginNative, Command: id.EventID(invites.NativePrefix + strconv.FormatInt(s.Clock.Now().UnixNano(), 36)), CommandRoom: r,
		Actor: actor, Action: room.Invite, Room: r, Targets: []id.UserID{target}, Address: address,
	}
	rows, _, err := s.decideAndRecord(ctx, req, false)
	if err != nil {
		return invites.Change{}, err
	}
	return rows[0], s.Cards.Open(ctx, rows)
}

// underWay makes the rows of a native request that are allowed the homeserver's. An invitation to an address is done.
func underWay(req Request, rows []invites.Change) {
	for i := range rows {
		switch row := &rows[i]; {
		case row.Origin != invites.OriginNative || row.Status != invites.StatusOpen:
		case req.Address:
			row.Status, row.SettledAt = invites.StatusDone, row.CreatedAt
		default:
			row.Attempt, row.DueAt, row.LeasedUntil = 1, row.CreatedAt.Add(seenWithin), row.CreatedAt.Add(seenWithin)
		}
	}
}
