package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// OwnInvitations knows the open invitations of the bot.
type OwnInvitations interface {
	// Invitations returns the invitations that are new since a position, all for an empty one; the rooms whose invitations are over; and the
	// next position.
	Invitations(ctx context.Context, since string) (open []invites.OwnInvitation, over []id.RoomID, next string, err error)
}

// Invited finds rooms that the bot is invited to, and accepts invitations that no event has led to: those of an outage, those that the
// homeserver does not push, and those whose first join was refused. It asks as long as an invitation stands.
type Invited struct {
	source interface {
		OwnInvitations
		Occupancy
	}
	members *Memberships
	log     zerolog.Logger

	since string
	hurry chan struct{} // signals Run to look

	mu   sync.Mutex
	open map[id.RoomID]*standing
}

// standing is an invitation that stands.
type standing struct {
	invites.OwnInvitation
	next  time.Time // when to accept it, unless the bot is in the room by then
	pause time.Duration
}

// acceptAtOnce is how many invitations are accepted side by side.
const acceptAtOnce = 16

// Pauses of Invited.
const (
	lookPause   = 10 * time.Second // between two looks
	eventTime   = 8 * time.Second  // an event of the invitation has this long to arrive and lead to the join
	firstAccept = 15 * time.Second // after a refused join
	lastAccept  = 5 * time.Minute
)

// Run looks until ctx ends.
func (i *Invited) Run(ctx context.Context) {
	for {
		if err := i.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			i.log.Warn().Err(err).Msg("The bot's own invitations unreadable")
		}
		pause := time.NewTimer(lookPause)
		select {
		case <-pause.C:
		case <-i.hurry:
		case <-ctx.Done():
			return
		}
	}
}

// Retry has the bot ask to join a room again soon. It reports whether the bot has an open invitation there.
func (i *Invited) Retry(r id.RoomID) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.open[r]
	if s == nil {
		return false
	}
	s.next, s.pause = time.Time{}, firstAccept
	signal(i.hurry)
	return true
}

// look reads the invitations and accepts those whose time has come.
func (i *Invited) look(ctx context.Context, now time.Time) error {
	open, over, next, err := i.source.Invitations(ctx, i.since)
	if err != nil {
		return err
	}
	i.since = next
	due := i.note(open, over, now)
	if len(due) == 0 {
		return nil
	}
	joined, err := i.source.JoinedRooms(ctx)
	if err != nil {
		return err
	}
	var accepting sync.WaitGroup // side by side: each may wait for the server of its inviter
	slots := make(chan struct{}, acceptAtOnce)
	for _, one := range due {
		slots <- struct{}{}
		accepting.Go(func() {
			defer func() { <-slots }()
			if slices.Contains(joined, one.Room) || i.accept(ctx, one, now) {
				i.note(nil, []id.RoomID{one.Room}, now)
			}
		})
	}
	accepting.Wait()
	return nil
}

// note notes invitations that are new and rooms whose invitations are over. It returns the invitations whose time has come, with their next
// times set.
func (i *Invited) note(open []invites.OwnInvitation, over []id.RoomID, now time.Time) (due []invites.OwnInvitation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, one := range open {
		i.open[one.Room] = &standing{OwnInvitation: one, next: now.Add(eventTime), pause: firstAccept}
	}
	for _, r := range over {
		delete(i.open, r)
	}
	for _, s := range i.open {
		if !now.Before(s.next) {
			due = append(due, s.OwnInvitation)
			s.next, s.pause = now.Add(s.pause), min(2*s.pause, lastAccept)
		}
	}
	return due
}

// accept accepts an invitation, or declines it. It reports whether that is done.
func (i *Invited) accept(ctx context.Context, one invites.OwnInvitation, now time.Time) bool {
	ev := invites.Received{Room: one.Room, Sender: one.Sender, Event: id.EventID("invited:" + one.Room.String()), ReceivedAt: now}
	err := i.members.invited(ctx, ev, one.Direct)
	if err != nil {
		i.log.Info().Err(err).Stringer("room", one.Room).Msg("Invitation not accepted yet")
	}
	return err == nil
}
