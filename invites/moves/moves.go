package moves

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/invites/delivery"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/room"
)

// Store is the part of the store for moves. A missing upgrade is ErrNotFound.
type Store interface {
	// BeginUpgrade adds an upgrade, unless there is one of the same rooms, and returns it as stored.
	BeginUpgrade(ctx context.Context, u invites.Upgrade) (invites.Upgrade, error)
	// SaveUpgrade keeps how far an upgrade is carried over. It replaces another one of the same rooms.
	SaveUpgrade(ctx context.Context, u invites.Upgrade) error
	Upgrade(ctx context.Context, upgrade int64) (invites.Upgrade, error)
	// UpgradeOf returns the upgrade of a room to another one; empty: to one that the homeserver was asked for.
	UpgradeOf(ctx context.Context, from, to id.RoomID) (invites.Upgrade, error)
	UpgradesDue(ctx context.Context, now time.Time, limit int) ([]invites.Upgrade, error)
	// MoveLinks has the links into a room lead into another one, and returns how many they are.
	MoveLinks(ctx context.Context, from, to id.RoomID) (int64, error)
	// Pending returns up to limit open invitations of a room, the oldest first, and how many there are.
	Pending(ctx context.Context, r id.RoomID, limit int) ([]invites.Invitation, int, error)
	// UnsentIn returns up to limit invitations of a room that wait to be sent, without those that need approval first.
	UnsentIn(ctx context.Context, r id.RoomID, limit int) ([]invites.Change, error)
	// OpenCards returns open cards, and OpenCard adds one unless its question has one already.
	OpenCards(ctx context.Context, q invites.CardQuery) ([]invites.Card, error)
	OpenCard(ctx context.Context, c invites.Card) (invites.Card, error)
	// Record adds audit rows.
	Record(ctx context.Context, rows []invites.Change, audit []invites.Audit, charges ...invites.Charge) ([]invites.Change, error)
}

// Commands is the part of the store for upgrades that commands asked for.
type Commands interface {
	// UpgradeBy returns the upgrade that a command asked for.
	UpgradeBy(ctx context.Context, command id.EventID) (invites.Upgrade, error)
	// DropUpgrade forgets an upgrade that led to nothing.
	DropUpgrade(ctx context.Context, upgrade int64) error
}

// Homeserver shows and changes state. Errors are as in judge.Homeserver.
type Homeserver interface {
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error)
	// Act makes one change of a membership, once.
	Act(ctx context.Context, e invites.Effect) error
	// Members returns the users with a membership in a room, as the bot sees it.
	Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error)
	// Spaces returns the spaces that a room names as its own.
	Spaces(r id.RoomID) []id.RoomID
	// Resolve looks an alias up, and servers that know the room.
	Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error)
	Directory
}

// Directory knows the bot's rooms, the aliases of the homeserver, and makes rooms.
type Directory interface {
	JoinedRooms(ctx context.Context) ([]id.RoomID, error)
	Aliases(ctx context.Context, r id.RoomID, as id.UserID) ([]id.RoomAlias, error)
	SetAlias(ctx context.Context, alias id.RoomAlias, r id.RoomID, as id.UserID) error
	DropAlias(ctx context.Context, alias id.RoomAlias, as id.UserID) error
	// Upgrade replaces a room by one of another version, as a user, and returns the new room.
	Upgrade(ctx context.Context, r id.RoomID, as id.UserID, version string, creators []id.UserID) (id.RoomID, error)
	// RoomVersions returns the version of new rooms, and all stable versions.
	RoomVersions(ctx context.Context) (usual string, stable []string, err error)
}

// Moves carries upgrades over. All fields are required.
type Moves struct {
	Store      Store
	Homeserver Homeserver
	Clock      invites.Clock
	Self       invites.Identity
	Judge      *judge.Judge
	Cards      *cards.Cards
	Delivery   *delivery.Delivery
	Requests   *requests.Requests
	Editor     *requests.Editor
	May        func(id.UserID) bool // whether a user may use the bot
}

// Times of the work on an upgrade. The homeserver is left to finish its own part first: it sends the tombstone before that.
const (
	beginAfter = 3 * time.Second
	firstPause = 5 * time.Second
	lastPause  = 10 * time.Minute
	giveUp     = 24 * time.Hour
)

// Begin records the upgrade that led to a room, if there is one, its sender may use the bot, and nobody has recorded it.
func (s *Moves) Begin(ctx context.Context, next id.RoomID) error {
	found, err := s.Judge.Reach.Replaces(ctx, next)
	if err != nil || found.Old == "" {
		return invites.UnlessUnseen(err)
	}
	if _, err := s.Store.UpgradeOf(ctx, found.Old, ""); !errors.Is(err, invites.ErrNotFound) {
		return err // the command that asked for it goes on with it
	}
	if found.By == s.Self.Bot || !s.May(found.By) {
		return nil
	}
	now := s.Clock.Now()
	_, err = s.Store.BeginUpgrade(ctx, invites.Upgrade{Old: found.Old, New: next, Actor: found.By, CreatedAt: now, DueAt: now.Add(beginAfter)})
	return err
}

// dueAtOnce is how many upgrades are worked on in one turn.
const dueAtOnce = 20

// Due returns upgrades with work to do.
func (s *Moves) Due(ctx context.Context) ([]invites.Upgrade, error) {
	return s.Store.UpgradesDue(ctx, s.Clock.Now(), dueAtOnce)
}

// errLater says that a step has more to do, or waits for something.
var errLater = errors.New("moves: the step goes on later")

// Run does the steps of an upgrade that can be done now, and keeps after each how far it came. done tells that nothing is left but Told.
func (s *Moves) Run(ctx context.Context, u invites.Upgrade) (after invites.Upgrade, done bool, err error) {
	found, err := s.Judge.Reach.Replaces(ctx, u.New)
	if err == nil && found.Old != u.Old { // the tombstone names another room by now, or the bot is in one of both no more
		u.Notes = nil
		return u, true, nil
	}
	for err == nil && int(u.Step) < len(steps) {
		if err = steps[u.Step](s, ctx, &u, found); err == nil {
			u.Step, u.Rest = u.Step+1, nil
			err = s.Store.SaveUpgrade(ctx, u)
		}
	}
	switch age := s.Clock.Now().Sub(u.CreatedAt); {
	case err == nil:
		return u, true, nil
	case ctx.Err() != nil:
		return u, false, ctx.Err()
	case age > giveUp:
		u.Note(room.Say("move.gave_up"))
		return u, true, nil
	case errors.Is(err, errLater):
		u.DueAt, err = s.Clock.Now().Add(max(firstPause, min(age/10, lastPause))), nil
	default:
		u.DueAt = s.Clock.Now().Add(max(firstPause, min(age/2, lastPause)))
	}
	return u, false, errors.Join(err, s.Store.SaveUpgrade(ctx, u))
}

// Told ends the work on an upgrade, when its notes were told.
func (s *Moves) Told(ctx context.Context, u invites.Upgrade) error {
	u.DueAt = time.Time{}
	return s.Store.SaveUpgrade(ctx, u)
}

// powers is the state that tells whether users may send state.
func powers(users ...id.UserID) []room.Key {
	needs := []room.Key{{Type: room.TypeCreate}, {Type: room.TypePowerLevels}}
	for _, user := range users {
		needs = append(needs, room.MemberKey(user))
	}
	return needs
}

// look shows a room's state as the bot sees it, all of it that is asked for: nothing that the homeserver keeps back counts as missing.
func (s *Moves) look(ctx context.Context, r id.RoomID, fresh bool, needs ...room.Key) (*room.Snapshot, error) {
	return s.lookAs(ctx, r, s.Self.Bot, fresh, needs...)
}

// lookAs is look for somebody as whom the bot reads where it can't see the room itself.
func (s *Moves) lookAs(ctx context.Context, r id.RoomID, viewer id.UserID, fresh bool, needs ...room.Key) (*room.Snapshot, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
	if err == nil && !snap.Tells(needs...) {
		err = invites.ErrKept
	}
	return snap, err
}

// writer chooses the sender of a piece of state for an actor with the power to send it themselves: the actor, where the bot may act for them, else the
// bot, if it has the power too. A phrase says why nobody may.
func (s *Moves) writer(snap *room.Snapshot, actor id.UserID, kind string) (by id.UserID, why room.Phrase) {
	switch {
	case snap.CanSend(actor, kind, true).Verdict != room.Allow:
		return "", room.Say("move.power", "user", actor, "type", kind)
	case s.Self.MayAssert(actor):
		return actor, why
	case snap.CanSend(s.Self.Bot, kind, true).Verdict != room.Allow:
		return "", room.Say("move.power", "user", s.Self.Bot, "type", kind)
	}
	return s.Self.Bot, why
}

// write sets a piece of state in a room for an actor, unless it has the content already. A phrase says why it can't be.
func (s *Moves) write(ctx context.Context, u *invites.Upgrade, actor id.UserID, r id.RoomID, k room.Key, content json.RawMessage) (why room.Phrase, err error) {
	snap, err := s.look(ctx, r, true, append(powers(s.Self.Bot, actor), k)...)
	if err != nil {
		return unseen(err)
	}
	if event, _ := snap.Event(k); event != nil && same(event.Content, content) {
		return why, nil
	}
	by, why := s.writer(snap, actor, k.Type)
	if by == "" {
		return why, nil
	}
	event, err := s.Homeserver.SendState(ctx, r, by, k, content)
	if invites.Refused(err) {
		return room.Say("move.refused", "errcode", invites.Errcode(err)).Holding(judge.Meaning(err)...), nil
	}
	if err != nil {
		return why, fmt.Errorf("carrying %s over: %w", k.Type, err)
	}
	_, err = s.Store.Record(ctx, nil, []invites.Audit{{
		At: s.Clock.Now(), Kind: invites.AuditEffect, Action: room.ActionType(k.Type), Room: r, Actor: actor, Performer: by,
		Verdict: string(invites.StatusDone), Code: codeCarried, Policy: event, Request: u.Key(),
	}})
	return why, err
}

// codeCarried is the code of the audit row of state that was carried over.
const codeCarried = "upgrade.carried"

// unseen turns the refusal to show a room into a phrase.
func unseen(err error) (room.Phrase, error) {
	if invites.Unseen(err) {
		return room.Say("move.unseen"), nil
	}
	return room.Phrase{}, err
}

// ofKey returns the upgrade of a key.
func ofKey(ctx context.Context, s *Moves, text string) (invites.Upgrade, error) {
	rest, ok := strings.CutPrefix(text, invites.UpgradeRequest)
	number, err := strconv.ParseInt(rest, 10, 64)
	if !ok || err != nil {
		return invites.Upgrade{}, invites.ErrNotFound
	}
	return s.Store.Upgrade(ctx, number)
}

// joined reports whether a user is in a room.
func joined(ctx context.Context, s *Moves, r id.RoomID, user id.UserID) (bool, error) {
	snap, err := s.look(ctx, r, false, room.MemberKey(user))
	if err != nil {
		return false, invites.UnlessUnseen(err)
	}
	membership, _ := snap.Membership(user)
	return membership == "join", nil
}
