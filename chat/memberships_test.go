package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// slowJoins is a RoomState whose joins wait for an answer.
type slowJoins struct {
	RoomState
	answer chan error
	acts   atomic.Int32
}

func (s *slowJoins) Act(context.Context, invites.Effect) error {
	s.acts.Add(1)
	return <-s.answer
}

// TestSlowJoinFreesItsSlot: a try at an event waits three seconds for the bot's own join; the next try waits for the same request.
func TestSlowJoinFreesItsSlot(t *testing.T) {
	t.Parallel()
	b, _ := newChat(t)
	slow := &slowJoins{answer: make(chan error)}
	b.Members.state = slow
	start := time.Now()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); !errors.Is(err, errMoving) {
		t.Errorf("got %v, want %v", err, errMoving)
	}
	if took := time.Since(start); took > moveTakes+10*time.Second {
		t.Errorf("waited %s", took)
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 1 {
		t.Errorf("%v after %d requests, want one", err, slow.acts.Load())
	}
	go func() { slow.answer <- nil }()
	if err := b.Members.move(t.Context(), room.Join, "!slow:silent.example", nil); err != nil || slow.acts.Load() != 2 {
		t.Errorf("%v after %d requests: an old answer serves a new invitation", err, slow.acts.Load())
	}
}

// TestLateAnswerIsForgotten: the answer to a join that nobody waited for serves the next try, but none a minute later.
func TestLateAnswerIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowJoins{answer: make(chan error, 2)}
		m := &Memberships{state: slow, moving: map[string]chan error{}}
		for _, pause := range []time.Duration{movedKept / 2, 2 * movedKept} {
			before := slow.acts.Load()
			if err := m.move(t.Context(), room.Leave, "!r:here", nil); !errors.Is(err, errMoving) {
				t.Fatal(err)
			}
			slow.answer <- nil
			time.Sleep(pause)
			slow.answer <- nil
			err := m.move(t.Context(), room.Leave, "!r:here", nil)
			if again := slow.acts.Load() - before; err != nil || (again == 2) != (pause > movedKept) {
				t.Errorf("%s later: %v after %d requests", pause, err, again)
			}
			if len(slow.answer) > 0 {
				<-slow.answer
			}
		}
		synctest.Wait()
		time.Sleep(2 * movedKept)
		if len(m.moving) > 0 {
			t.Errorf("kept: %v", m.moving)
		}
	})
}

// fewJoins lets each user have the bot join so many rooms.
type fewJoins map[id.UserID]int

func (f fewJoins) Join(sender id.UserID) bool {
	f[sender]--
	return f[sender] >= 0
}

// TestJoinCountsOnce: however often one join is tried, it counts once against the limit of its server; after it, the next one counts.
func TestJoinCountsOnce(t *testing.T) {
	m := &Memberships{joins: fewJoins{"@rob:there": 2}, leads: map[string]time.Time{}}
	for range 100 {
		if !m.mayLead("@rob:there", "!a:there") {
			t.Fatal("another try counts")
		}
	}
	m.entered("@rob:there", "!a:there")
	if !m.mayLead("@rob:there", "!a:there") || m.mayLead("@rob:there", "!b:there") {
		t.Error("two joins were to count")
	}
}

// TestAcceptedSideBySide: invitations whose servers do not answer hold up no other.
func TestAcceptedSideBySide(t *testing.T) {
	b, _ := newChat(t)
	b.level = commands.User
	hung := &slowJoins{answer: make(chan error)}
	b.Members.state = hung
	b.Invited.source = struct {
		OwnInvitations
		Occupancy
	}{nobodyInvited{}, &doors{}}
	var open []invites.OwnInvitation
	for i := range acceptAtOnce {
		open = append(open, invites.OwnInvitation{Room: id.RoomID(fmt.Sprint("!r", i)), Sender: "@alice:here"})
	}
	b.Invited.note(open, nil, time.Now().Add(-time.Hour))
	start := time.Now()
	if err := b.Invited.look(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > moveTakes+10*time.Second || int(hung.acts.Load()) != acceptAtOnce {
		t.Errorf("%d joins were tried within %s", hung.acts.Load(), took)
	}
	close(hung.answer)
}

// nobodyInvited has no new invitations of the bot.
type nobodyInvited struct{}

func (nobodyInvited) Invitations(context.Context, string) ([]invites.OwnInvitation, []id.RoomID, string, error) {
	return nil, nil, "", nil
}

// woken is a queue that notes the rows that it is to wake.
type woken []int64

func (w *woken) Wake(_ context.Context, _ time.Time, rows ...int64) error {
	*w = append(*w, rows...)
	return nil
}

// TestBanned: a ban has the invitations of the banned user in the room that wait to be sent tried at once, and no others.
func TestBanned(t *testing.T) {
	queue := &woken{}
	b, _ := newChat(t, func(o *Options) { o.Queue = queue })
	row := func(in id.RoomID, target id.UserID, status invites.Status) invites.Change {
		return invites.Change{
			Request: "$c", Command: "$c", Action: room.Invite, Room: in, Target: target, Actor: "@alice:here", Status: status, DueAt: time.Now().Add(time.Hour),
		}
	}
	rows, err := b.store.Record(t.Context(), []invites.Change{
		row("!r:here", "@bob:far", invites.StatusOpen), row("!r:here", "@carol:far", invites.StatusOpen), row("!other:here", "@bob:far", invites.StatusOpen),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Left("!r:here", "")
	b.Left("!r:here", "@bob:far")
	b.Left("!r:here", "@dora:far")
	b.Members.leaveIfAlone(t.Context(), "!r:here")
	if want := (woken{rows[0].ID}); !slices.Equal(*queue, want) {
		t.Errorf("woken %v, want %v", *queue, want)
	}
}

// guests is a room with nobody but the bot, and people who are invited.
type guests struct {
	Invitees
	Occupancy
	invited []time.Duration // how long ago
}

func (guests) Alone(context.Context, id.RoomID) (bool, error) { return true, nil }

func (g guests) InvitedMembers(_ context.Context, r id.RoomID, now time.Time) (found []invites.MemberEvent, err error) {
	for _, age := range g.invited {
		found = append(found, invites.MemberEvent{Event: "$i", Room: r, Target: "@guest:there", Sender: "@alice:here", SentAt: now.Add(-age)})
	}
	return found, nil
}

// TestAloneWithGuests: the bot keeps a room for people who are invited there, since without anybody in it they could not come.
func TestAloneWithGuests(t *testing.T) {
	for _, tt := range []struct {
		invited []time.Duration
		leaves  int
	}{{nil, 1}, {[]time.Duration{time.Minute}, 0}, {[]time.Duration{2 * awaitGuests, time.Hour}, 0}, {[]time.Duration{2 * awaitGuests}, 1}, {[]time.Duration{-1000 * time.Hour}, 1}} {
		b, s := newChat(t)
		g := guests{invited: tt.invited}
		b.Members.occupancy, b.Rooms.invitees = g, g
		b.Members.leaveIfAlone(t.Context(), "!r:here")
		if got := s.count("/leave"); got != tt.leaves {
			t.Errorf("%v: left %d times, want %d", tt.invited, got, tt.leaves)
		}
	}
}
