package chat

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// RoomState reads and changes rooms for the bot, as invites.Homeserver does.
type RoomState interface {
	Act(ctx context.Context, e invites.Effect) error
	CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (invites.StateEvent, error)
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
}

// Occupancy tells which rooms the bot is in, and whether it is alone in one.
type Occupancy interface {
	JoinedRooms(ctx context.Context) ([]id.RoomID, error)
	Alone(ctx context.Context, r id.RoomID) (bool, error)
}

// Joins has the operator's limits on joins.
type Joins interface {
	// Join counts one join of the bot at the word of a user, and reports whether it is within the limits.
	Join(sender id.UserID) bool
}

// Memberships takes the bot into rooms and out of them: on invitations, after upgrades, and when all others have left.
type Memberships struct {
	*ender
	self      invites.Identity
	runner    *commands.Runner
	state     RoomState
	occupancy Occupancy
	direct    *DirectChats
	sender    *Sender
	cards     *CardDesk
	rooms     *Rooms
	joins     Joins
	log       zerolog.Logger

	mu       sync.Mutex
	checking map[id.RoomID][]id.UserID // rooms with a call of leaveIfAlone ahead, with the users banned meanwhile
	leads    map[string]time.Time      // when a user first had the bot join a room, by both, until it has
	moving   map[string]chan error     // the answers to joins and leaves under way, by action and room
}

// handle handles a change of the bot's own membership.
func (m *Memberships) handle(ctx context.Context, ev invites.Received) error {
	switch exactjson.Text(ev.Raw, "content", "membership") {
	case "invite":
		return m.invited(ctx, ev, exactjson.Get(ev.Raw, "content", "is_direct").Kind == exactjson.True)
	case "join":
		if stays(ev.Raw) {
			return nil
		}
		if old, led := strings.CutPrefix(exactjson.Text(ev.Raw, "content", "reason"), following); led {
			if may, err := m.mayStay(ctx, ev.Room, id.RoomID(old)); err != nil || !may {
				return err
			}
		}
		m.runner.Advertiser.Look(ev.Room)
		return errors.Join(m.ownDirect(ctx, ev.Room), m.rooms.joined(ctx, ev.Room), m.rooms.upgraded(ctx, ev.Event, ev.Room), m.cards.Knocking(ctx, ev.Room))
	case "leave", "ban":
		m.direct.forget(ev.Room)
		return m.rooms.left(ctx, ev.Event, ev.Room)
	}
	return nil
}

// stays reports whether a join event only changes the name or avatar of a member. Such events come for all rooms at once and need no
// work.
func stays(raw []byte) bool {
	return exactjson.Text(raw, "unsigned", "prev_content", "membership") == "join"
}

// joinPatience is how long the event of an invitation, or of an upgrade, is handled again after a refusal: a homeserver may learn only in a
// moment that it is to let the bot in.
const joinPatience = 30 * time.Second

// invited accepts an invitation by a user with permission, and declines others.
func (m *Memberships) invited(ctx context.Context, ev invites.Received, direct bool) error {
	log := m.log.With().Stringer("room", ev.Room).Stringer("sender", ev.Sender).Logger()
	if guest := direct && m.runner.Links.Address != ""; !guest && m.runner.Level(ev.Sender) == commands.Nobody { // a guest may redeem the code of a link
		log.Info().Msg("Invitation declined: no permission")
		return m.decline(ctx, ev.Room, room.Say("refuse.nobody"))
	}
	if !m.mayLead(ev.Sender, ev.Room) {
		log.Warn().Msg("Invitation declined: too many from this server")
		return m.decline(ctx, ev.Room, room.Say("because.too_many"))
	}
	if direct {
		if err := invites.UnlessRefused(m.direct.add(ctx, ev.Sender, ev.Room)); err != nil {
			return err
		}
	}
	err := m.move(ctx, room.Join, ev.Room, []string{ev.Sender.Homeserver()})
	if invites.Refused(err) && time.Since(ev.ReceivedAt) > joinPatience {
		log.Warn().Err(err).Msg("Invitation not accepted: the homeserver is asked now and then")
		return nil // Invited has it
	} else if err != nil {
		return err
	}
	log.Info().Msg("Room joined")
	_, err = m.sender.say(ctx, ev.Room, transaction(ev.Event, "greeting"), m.greeting(ctx, ev.Room, direct), commands.Message{}, "")
	if err == nil {
		m.entered(ev.Sender, ev.Room)
	}
	return err
}

// leadAgain is how long further tries of one join count as the same one.
const leadAgain = 2 * time.Hour

// mayLead reports whether a user may have the bot join a room. Each join counts once, however often it is tried.
func (m *Memberships) mayLead(sender id.UserID, r id.RoomID) bool {
	lead, now := sender.String()+" "+r.String(), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if began, known := m.leads[lead]; known && now.Sub(began) < leadAgain {
		return true
	}
	if !m.joins.Join(sender) {
		return false
	}
	maps.DeleteFunc(m.leads, func(_ string, began time.Time) bool { return now.Sub(began) >= leadAgain })
	m.leads[lead] = now
	return true
}

// entered ends a join: the next one counts anew.
func (m *Memberships) entered(sender id.UserID, r id.RoomID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leads, sender.String()+" "+r.String())
}

// decline declines an invitation of the bot, for a reason that the inviter sees.
func (m *Memberships) decline(ctx context.Context, r id.RoomID, reason room.Phrase) error {
	return invites.UnlessRefused(m.act(ctx, invites.Effect{Action: room.Leave, Room: r, Performer: m.self.Bot, Target: m.self.Bot, Because: reason, Language: m.self.Language}))
}

// greeting names in one line the uses of Usher in a room, and the power it lacks.
func (m *Memberships) greeting(ctx context.Context, r id.RoomID, direct bool) commands.Reply {
	if direct {
		return m.runner.Greeting(direct, policy.Question{}, policy.Decision{})
	}
	// The target is surely not there: the decision depends on the bot's own standing.
	q := policy.Question{Action: room.Invite, Actor: m.self.Bot, Performer: m.self.Bot, Target: id.NewUserID("nobody/usher", m.self.Domain)}
	snap, err := m.state.Snapshot(ctx, r, m.self.Bot, policy.Needs(q), false)
	if err != nil {
		m.log.Warn().Err(err).Stringer("room", r).Msg("Room state unreadable")
		return m.runner.Greeting(direct, q, policy.Decision{Verdict: room.Unknown})
	}
	return m.runner.Greeting(direct, q, policy.Decide(snap, q, policy.Merge(), policy.Facts{}))
}

// move has the bot itself join or leave a room.
func (m *Memberships) move(ctx context.Context, action room.ActionType, r id.RoomID, via []string) error {
	return m.act(ctx, invites.Effect{Action: action, Room: r, Via: via, Performer: m.self.Bot, Target: m.self.Bot})
}

// moveTakes is how long one try at an event waits for the bot's own join or leave, which may need a server that an inviter chose.
const moveTakes = 3 * time.Second

// errMoving says that the bot's own join or leave is still under way.
var errMoving = errors.New("the homeserver has not answered yet")

// movedKept is how long the answer to the bot's own join or leave is kept for the next call.
const movedKept = time.Minute

// act makes a change of the bot's own membership, and waits for moveTakes. Later the error is errMoving, and the next call for the same
// change waits for the same request, or gets its answer if it is younger than movedKept.
func (m *Memberships) act(ctx context.Context, e invites.Effect) error {
	key := string(e.Action) + " " + e.Room.String()
	m.mu.Lock()
	moved := m.moving[key]
	if moved == nil {
		moved = make(chan error, 1)
		m.moving[key] = moved
		go func() {
			moved <- m.state.Act(context.WithoutCancel(ctx), e)
			time.AfterFunc(movedKept, func() { m.forget(key, moved) })
		}()
	}
	m.mu.Unlock()
	patience := time.NewTimer(moveTakes)
	defer patience.Stop()
	select {
	case err := <-moved:
		m.forget(key, moved)
		return err
	case <-patience.C:
		return errMoving
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget forgets a request of the bot's own join or leave.
func (m *Memberships) forget(key string, moved chan error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moving[key] == moved {
		delete(m.moving, key)
	}
}

// leftPause is the pause after somebody left until the bot looks whether anybody is still there: people leave in groups.
const leftPause = 2 * time.Second

// noteLeft has the bot look soon whether anybody is still in a room. banned is the user who was banned, empty if none was.
func (m *Memberships) noteLeft(r id.RoomID, banned id.UserID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	users, ahead := m.checking[r]
	if banned != "" {
		users = append(users, banned)
	}
	m.checking[r] = users
	if ahead {
		return
	}
	m.background.After(leftPause, func(ctx context.Context) { m.leaveIfAlone(ctx, r) })
}

// leaveIfAlone reviews the cards about a room and its invitations after somebody left, and leaves the room if nobody else is there.
func (m *Memberships) leaveIfAlone(ctx context.Context, r id.RoomID) {
	defer m.recoverPanic(invites.Received{Room: r})
	m.mu.Lock()
	banned := m.checking[r]
	delete(m.checking, r)
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	m.cards.reviewRoom(ctx, r)
	if err := m.rooms.banned(ctx, r, banned); err != nil && ctx.Err() == nil {
		m.log.Warn().Err(err).Stringer("room", r).Msg("Invitations of banned users not looked at")
	}
	m.rooms.reviews.sweep(ctx, []id.RoomID{r})
	alone, err := m.occupancy.Alone(ctx, r)
	if err == nil && alone {
		var stays bool
		if stays, err = needed(ctx, m.rooms, r, time.Now()); err != nil || stays {
			return
		}
		m.log.Info().Stringer("room", r).Msg("Room left: nobody else there")
		err = errors.Join(m.runner.Advertiser.Withdraw(ctx, r), m.move(ctx, room.Leave, r, nil))
	}
	if invites.UnlessRefused(err) != nil && ctx.Err() == nil {
		m.log.Warn().Err(err).Stringer("room", r).Msg("Members unreadable")
	}
}
