package chat

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/events"
	"usher/invites"
	"usher/room"
)

// doors is a guard, the bot's rooms, and the open invitations in each of them.
type doors struct {
	handled []id.RoomID
	joined  error // what asking for the joined rooms ends with
	broken  id.RoomID
	invited map[id.RoomID][]invites.MemberEvent

	knocking []invites.Received
}

func (d *doors) Knocking(context.Context, id.RoomID, time.Time) ([]invites.Received, error) {
	return d.knocking, nil
}

func (d *doors) Load(context.Context) error                     { return nil }
func (d *doors) Watches(r id.RoomID) bool                       { return r != "!unguarded:here" }
func (d *doors) Refresh(context.Context, id.RoomID) error       { return nil }
func (d *doors) RefreshBelow(context.Context, id.RoomID) error  { return nil }
func (d *doors) Alone(context.Context, id.RoomID) (bool, error) { return false, nil }
func (d *doors) JoinedRooms(context.Context) ([]id.RoomID, error) {
	return []id.RoomID{"!broken:here", "!a:here", "!unguarded:here"}, d.joined
}
func (d *doors) Parents(context.Context, id.RoomID) ([]invites.SpaceChild, error) {
	return nil, nil
}

func (d *doors) Handle(_ context.Context, ev invites.Received) error {
	d.handled = append(d.handled, ev.Room)
	if ev.Room == d.broken {
		return &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("trouble")}
	}
	return nil
}

func (d *doors) InvitedMembers(_ context.Context, r id.RoomID, _ time.Time) ([]invites.MemberEvent, error) {
	return d.invited[r], nil
}

// TestReread: after an event that can't be read, the guard looks at the room, and takes in open invitations that the ledger does not know, once.
// Where the event names no room, every room of the bot gets an event of its own, once: trouble with one room keeps no other waiting.
func TestReread(t *testing.T) {
	b, _ := newChat(t)
	invitation := func(r id.RoomID, event id.EventID) invites.MemberEvent {
		return invites.MemberEvent{Event: event, Room: r, Target: "@guest:here", Sender: "@alice:here", Membership: "invite", SentAt: time.Now(), SeenAt: time.Now()}
	}
	d := &doors{broken: "!broken:here", invited: map[id.RoomID][]invites.MemberEvent{}}
	for _, r := range []id.RoomID{"!broken:here", "!a:here", "!unguarded:here"} {
		d.invited[r] = []invites.MemberEvent{invitation(r, id.EventID("$invite in "+r))}
	}
	b.Members.occupancy, b.Rooms.guard, b.Rooms.invitees = d, d, d
	known := func() (in []id.RoomID) {
		waiting, err := b.store.WaitingAfter(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range waiting {
			if ev.Type == events.Unreadable {
				continue
			}
			if ev.Type != room.TypeMember || ev.StateKey == nil || *ev.StateKey != "@guest:here" || ev.Sender != "@alice:here" {
				t.Errorf("in the inbox: %+v", ev)
			}
			in = append(in, ev.Room)
		}
		return in
	}

	for range 2 {
		if err := b.Members.reread(t.Context(), invites.Received{Event: "$deep", Room: "!a:here", Type: "m.odd"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := known(); !slices.Equal(got, []id.RoomID{"!a:here"}) || !slices.Equal(d.handled, []id.RoomID{"!a:here", "!a:here"}) {
		t.Errorf("one room: guard looked at %v, invitations taken in %v", d.handled, got)
	}

	d.handled = nil
	everywhere := invites.Received{Event: "$roomless", Type: events.Unreadable}
	for range 2 {
		if err := b.Members.reread(t.Context(), everywhere); err != nil {
			t.Error(err)
		}
	}
	waiting, err := b.store.WaitingAfter(t.Context(), 0, 100)
	if err != nil || len(d.handled) > 0 {
		t.Fatalf("all rooms: guard looked at %v at once; %v", d.handled, err)
	}
	var in []id.RoomID
	for _, ev := range waiting {
		if ev.Type != events.Unreadable {
			continue
		}
		in = append(in, ev.Room)
		if err := b.Members.reread(t.Context(), ev); (err != nil) != (ev.Room == d.broken) {
			t.Errorf("%s: %v", ev.Room, err)
		}
	}
	if !slices.Equal(in, []id.RoomID{"!broken:here", "!a:here", "!unguarded:here"}) || !slices.Equal(d.handled, in[:2]) { // no guard watches the third
		t.Errorf("all rooms: events in %v, guard looked at %v", in, d.handled)
	}

	for class, again := range map[invites.Class]bool{invites.ClassFailed: true, invites.ClassLater: true, invites.ClassStopped: true, invites.ClassRefused: false} {
		d.joined = &invites.ActError{Class: class, Err: errors.New("no list")}
		if err := b.Members.reread(t.Context(), everywhere); (err != nil) != again {
			t.Errorf("class %v: %v", class, err)
		}
	}
}
