package bot

import (
	"context"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// own handles an event that changes the bot's own membership.
func (b *bot) own(ctx context.Context, ev invites.Received) error {
	switch exactjson.Text(ev.Raw, "content", "membership") {
	case "invite":
		return b.invited(ctx, ev, exactjson.Get(ev.Raw, "content", "is_direct").Kind == exactjson.True)
	case "join":
		if stays(ev.Raw) {
			return nil
		}
		if old, led := strings.CutPrefix(exactjson.Text(ev.Raw, "content", "reason"), following); led {
			if may, err := b.mayStay(ctx, ev.Room, id.RoomID(old)); err != nil || !may {
				return err
			}
		}
		b.adopt(ctx, ev.Room)
		b.runner.Advertiser.Look(ev.Room)
		return errors.Join(b.arrived(ctx, ev.Room), b.regard(ctx, ev.Room))
	case "leave", "ban":
		return errors.Join(b.departed(ctx, ev.Room), b.regard(ctx, ev.Room))
	}
	return nil
}

// invited accepts an invitation from somebody whom the operator lets use Usher, and declines others.
func (b *bot) invited(ctx context.Context, ev invites.Received, direct bool) error {
	log := b.log.With().Stringer("room", ev.Room).Stringer("sender", ev.Sender).Logger()
	if b.runner.Level(ev.Sender) == commands.Nobody {
		log.Info().Msg("declining an invitation: the permissions don't let them use me")
		return invites.UnlessRefused(b.move(ctx, room.Leave, ev.Room, nil))
	}
	if direct {
		if err := b.direct.add(ctx, ev.Sender, ev.Room); err != nil {
			return err
		}
	}
	err := b.move(ctx, room.Join, ev.Room, []string{ev.Sender.Homeserver()})
	if invites.Refused(err) {
		log.Warn().Err(err).Msg("an invitation could not be accepted")
		return nil
	} else if err != nil {
		return err
	}
	log.Info().Msg("joined a room")
	_, err = b.send(ctx, ev.Room, transaction(ev.Event, "greeting"), room.TypeMessage, b.greeting(ctx, ev.Room, direct))
	return err
}

// greeting says in one line what Usher can do in a room, and which power it lacks.
func (b *bot) greeting(ctx context.Context, r id.RoomID, direct bool) any {
	if direct {
		return b.runner.Greeting(direct, policy.Question{}, policy.Decision{})
	}
	// Somebody who is surely not there: what is left is the bot's own standing.
	q := policy.Question{Action: room.Invite, Actor: b.self.Bot, Performer: b.self.Bot, Target: id.NewUserID("nobody/usher", b.self.Domain)}
	snap, err := b.state.Snapshot(ctx, r, b.self.Bot, policy.Needs(q), false)
	if err != nil {
		b.log.Warn().Err(err).Stringer("room", r).Msg("the room's state could not be read")
		return b.runner.Greeting(direct, q, policy.Decision{Verdict: room.Unknown})
	}
	return b.runner.Greeting(direct, q, policy.Decide(snap, q, policy.Merge(), policy.Facts{}))
}

// move has the bot itself join or leave a room.
func (b *bot) move(ctx context.Context, action room.ActionType, r id.RoomID, via []string) error {
	return b.state.Act(ctx, invites.Effect{Action: action, Room: r, Via: via, Performer: b.self.Bot, Target: b.self.Bot})
}

// leftPause is how long after somebody left the bot looks whether anybody is still there: people leave in groups.
const leftPause = 2 * time.Second

// left notices that somebody left a room.
func (b *bot) left(r id.RoomID) {
	b.emptying.Lock()
	defer b.emptying.Unlock()
	if b.checking[r] {
		return
	}
	b.checking[r] = true
	time.AfterFunc(leftPause, func() { b.leaveIfAlone(r) })
}

// leaveIfAlone leaves a room that all people have left.
func (b *bot) leaveIfAlone(r id.RoomID) {
	defer b.survive(invites.Received{Room: r})
	b.emptying.Lock()
	delete(b.checking, r)
	b.emptying.Unlock()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	b.tend(ctx, r)
	alone, err := b.client.Alone(ctx, r)
	if err == nil && alone {
		b.log.Info().Stringer("room", r).Msg("leaving a room: nobody else is there")
		err = errors.Join(b.runner.Advertiser.Withdraw(ctx, r), b.move(ctx, room.Leave, r, nil))
	}
	if invites.UnlessRefused(err) != nil && ctx.Err() == nil {
		b.log.Warn().Err(err).Stringer("room", r).Msg("could not look who is left in a room")
	}
}
