package delivery

import (
	"context"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// CodeLapsed is the outcome of an invitation that the homeserver asked about, and that no room shows.
const CodeLapsed = "native.lapsed"

// watched ends a row whose change the homeserver made for the actor's own client. Where the room never showed the invitation, its quotas
// are given back.
func (d *Delivery) watched(ctx context.Context, row invites.Change) invites.Outcome {
	done := invites.Outcome{Status: invites.StatusDone, Code: invites.CodeDone}
	seen, err := d.Seen(ctx, row)
	if err != nil {
		return d.failure(row, err)
	}
	lapsed := invites.Outcome{Status: invites.StatusRefused, Code: CodeLapsed, Detail: room.Say("detail.lapsed"), Quiet: true}
	switch {
	case seen:
		return done
	case row.Origin == invites.OriginAddress:
		return lapsed
	}
	snap, err := d.Homeserver.Snapshot(ctx, row.Room, d.Self.Bot, []room.Key{room.MemberKey(row.Target)}, true)
	switch {
	case err != nil && !invites.Unseen(err):
		return d.failure(row, err)
	case err == nil && policy.Took(snap, row.Action, row.Target):
		return done
	}
	return lapsed
}

// sent names a change that is being sent.
type sent struct {
	action            room.ActionType
	room              id.RoomID
	performer, target id.UserID
}

// sending is the changes for which a request to the homeserver is under way in this process.
type sending struct {
	mu  sync.Mutex
	all map[sent]int
}

// begin notes the change of a row until the caller calls end.
func (s *sending) begin(row invites.Change) (end func()) {
	key := sent{policy.OnTheWire(row.Action), row.Room, row.Performer, row.Target}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[sent]int{}
	}
	s.all[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.all[key]--; s.all[key] == 0 {
			delete(s.all, key)
		}
	}
}

// Sending reports whether this process is sending a change of a user's membership. It asks nobody.
func (d *Delivery) Sending(action room.ActionType, r id.RoomID, performer, target id.UserID) bool {
	d.sending.mu.Lock()
	defer d.sending.mu.Unlock()
	return d.sending.all[sent{action, r, performer, target}] > 0
}
