package welcome

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Store is the part of the store with the people to be welcomed.
type Store interface {
	// RoomsToGreet returns up to limit rooms with users to be welcomed.
	RoomsToGreet(ctx context.Context, limit int) ([]id.RoomID, error)
	// ToGreet returns up to limit users to be welcomed in a room: first the users of messages that were begun, then the others in the order of
	// their coming.
	ToGreet(ctx context.Context, r id.RoomID, limit int) ([]invites.Welcome, error)
	// Welcomed returns how many messages of welcome a room has had since a time.
	Welcomed(ctx context.Context, r id.RoomID, since time.Time) (invites.Welcomed, error)
	// BeginWelcome makes a message of some users, or notes that it is tried again. giver is as in GivenWelcome.
	BeginWelcome(ctx context.Context, batch int64, giver id.RoomID, at time.Time, users ...int64) error
	// GivenWelcome reports whether a user has a message, begun or sent, with the words of a room's policy.
	GivenWelcome(ctx context.Context, target id.UserID, giver id.RoomID) (bool, error)
	// EndWelcome notes that the message of some users was sent, or never can be.
	EndWelcome(ctx context.Context, at time.Time, users ...int64) error
	// DropWelcomes forgets users who get no welcome.
	DropWelcomes(ctx context.Context, users ...int64) error
}

// Links knows the texts of invite links.
type Links interface {
	// Welcome returns the text of the link that led to an invitation, and its maker. The text is empty for other requests.
	Welcome(ctx context.Context, request string) (text string, maker id.UserID, err error)
}

// Welcomes makes the messages for people who came. All exported fields are required. It is for one goroutine.
type Welcomes struct {
	Store Store
	Links Links
	Judge *judge.Judge
	Clock invites.Clock
	Self  invites.Identity

	held map[id.RoomID]time.Time // rooms in which nothing is said before a time
}

// Person is somebody to greet.
type Person struct {
	User id.UserID
	Name string // in the room
}

// Message is one message of welcome.
type Message struct {
	Room     id.RoomID
	Batch    int64 // names it, with Since
	Since    time.Time
	Direct   bool // to the only one of People, in a direct chat
	People   []Person
	More     int      // who came besides and are not named
	Inviters []string // names
	Name     string   // of the room
	Text     policy.Welcome
	ByLink   bool // the text is of a link, made by Maker
	Maker    id.UserID

	rows []int64
}

// Bounds of the messages. Each message of welcome in a room within an hour doubles the pause before the next one: a flood of joins makes some
// nine messages, with all people in them. Direct messages are for one person each, so they have a number.
const (
	maxRooms    = 1000
	maxPeople   = 500 // of one message
	maxNamed    = 30
	window      = time.Hour
	firstPause  = 10 * time.Second
	maxDoubled  = 9
	maxDirect   = 30
	againAfter  = time.Minute // after a try without an answer
	holdTrouble = time.Minute
)

// Rooms lists the rooms with people to greet now.
func (s *Welcomes) Rooms(ctx context.Context) ([]id.RoomID, error) {
	rooms, err := s.Store.RoomsToGreet(ctx, maxRooms)
	now := s.Clock.Now()
	for r, until := range s.held {
		if !now.Before(until) {
			delete(s.held, r)
		}
	}
	return slices.DeleteFunc(rooms, func(r id.RoomID) bool { return !s.held[r].IsZero() }), err
}

// hold has Rooms leave a room out for a time.
func (s *Welcomes) hold(r id.RoomID, d time.Duration) {
	if s.held == nil {
		s.held = map[id.RoomID]time.Time{}
	}
	s.held[r] = s.Clock.Now().Add(d)
}

// Next returns the next message of a room, nil where there is none for now. It is the caller's to send it, and to call Sent.
func (s *Welcomes) Next(ctx context.Context, r id.RoomID) (*Message, error) {
	rows, err := s.Store.ToGreet(ctx, r, maxPeople)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	p, err := s.Judge.Policies.Of(ctx, r, s.Self.Bot)
	switch {
	case errors.Is(err, invites.ErrNoView):
		return nil, s.drop(ctx, rows)
	case err != nil:
		return nil, fmt.Errorf("reading the policy: %w", err)
	case p == nil || p.Fault() != nil:
		s.hold(r, holdTrouble)
		return nil, nil
	}
	author := s.author(p)
	if author == "" {
		return nil, s.drop(ctx, rows)
	}
	first := rows[0]
	if first.Batch != 0 && s.Clock.Now().Before(first.BegunAt.Add(againAfter)) {
		s.hold(r, first.BegunAt.Add(againAfter).Sub(s.Clock.Now()))
		return nil, nil
	}
	m, err := s.gather(ctx, p, rows)
	if err != nil || m == nil {
		return nil, err
	}
	if wait, err := s.tooMany(ctx, m); err != nil || wait > 0 && first.Batch == 0 {
		s.hold(r, wait)
		return nil, err
	}
	if may, err := s.look(ctx, p, author, m); err != nil || !may {
		return nil, err
	}
	giver := givenBy(p)
	if m.ByLink {
		giver = ""
	}
	return m, s.Store.BeginWelcome(ctx, m.Batch, giver, s.Clock.Now(), m.rows...)
}

// Sent notes that a message was sent, or never can be.
func (s *Welcomes) Sent(ctx context.Context, m *Message) error {
	return s.Store.EndWelcome(ctx, s.Clock.Now(), m.rows...)
}

// Failed has a message tried again later.
func (s *Welcomes) Failed(m *Message) { s.hold(m.Room, againAfter) }

// drop forgets people who get no welcome.
func (s *Welcomes) drop(ctx context.Context, rows []invites.Welcome) error {
	return s.Store.DropWelcomes(ctx, idsOf(rows)...)
}

func idsOf(rows []invites.Welcome) (ids []int64) {
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids
}

// author returns the field by whose author the bot speaks; empty where the policy wants no welcome. A policy with a place for welcomes and no
// text has only those of links said.
func (s *Welcomes) author(p *policy.InForce) string {
	if p.Document.Welcome.Text != "" {
		return policy.WelcomeText
	}
	if _, set := p.From(policy.WelcomeWhere); set {
		return policy.WelcomeWhere
	}
	return ""
}

// gather makes the message of the first user, with all others who get the same one. It is nil where nobody gets any.
func (s *Welcomes) gather(ctx context.Context, p *policy.InForce, rows []invites.Welcome) (*Message, error) {
	for len(rows) > 0 {
		first := rows[0]
		text, maker, err := s.textFor(ctx, p, first)
		if err != nil {
			return nil, err
		}
		if text == "" {
			if err := s.drop(ctx, rows[:1]); err != nil {
				return nil, err
			}
			rows = rows[1:]
			continue
		}
		m := &Message{
			Room: first.Room, Batch: first.Batch, Since: first.JoinedAt, Direct: p.Document.Welcome.Where == policy.Direct, ByLink: maker != "", Maker: maker,
			Text: policy.Welcome{Text: text},
		}
		if m.Batch == 0 {
			m.Batch = first.ID
		}
		var named []invites.Welcome
		for _, row := range rows {
			same := row.Batch == first.Batch
			if same && first.Batch == 0 && row.ID != first.ID {
				other, by, err := s.textFor(ctx, p, row)
				if err != nil {
					return nil, err
				}
				same = other == text && by == maker && !m.Direct
			}
			if same {
				m.rows = append(m.rows, row.ID)
				named = append(named, row)
			}
		}
		m.name(named)
		return m, nil
	}
	return nil, nil
}

// name puts the first users into the message, and counts the others. Their names come with look.
func (m *Message) name(rows []invites.Welcome) {
	for i, row := range rows {
		if i == maxNamed {
			m.More = len(rows) - maxNamed
			break
		}
		m.People = append(m.People, Person{User: row.Target})
		if by := string(row.Inviter); !slices.Contains(m.Inviters, by) {
			m.Inviters = append(m.Inviters, by)
		}
	}
}

// textFor returns the text for one user: that of the link by which the user came, with its maker, goes before that of the policy.
func (s *Welcomes) textFor(ctx context.Context, p *policy.InForce, row invites.Welcome) (text string, maker id.UserID, err error) {
	text, maker, err = s.Links.Welcome(ctx, row.Request)
	if err != nil {
		return "", "", err
	}
	if text == "" {
		text, err = s.ofPolicy(ctx, p, row)
		return text, "", err
	}
	snap, err := s.Judge.Policies.Look(ctx, row.Room, p, maker)
	if err != nil {
		return "", "", err
	}
	if snap == nil || snap.CanSend(maker, room.TypeMessage, false).Verdict != room.Allow {
		text, err = s.ofPolicy(ctx, p, row)
		return text, "", err
	}
	return text, maker, nil
}

// ofPolicy returns the text of the policy; none for somebody who has a message with the words of the same space.
func (s *Welcomes) ofPolicy(ctx context.Context, p *policy.InForce, row invites.Welcome) (text string, err error) {
	if giver := givenBy(p); giver != "" && row.Batch == 0 {
		if given, err := s.Store.GivenWelcome(ctx, row.Target, giver); err != nil || given {
			return "", err
		}
	}
	return p.Document.Welcome.Text, nil
}

// givenBy returns the room whose policy has the text, if the text counts in several rooms. A space's message in the space itself does not
// count: clients do not show it.
func givenBy(p *policy.InForce) id.RoomID {
	from, set := p.From(policy.WelcomeText)
	if set && (from.Inherited || p.Document.Welcome.Where == policy.Direct) {
		return from.Room
	}
	return ""
}

// tooMany returns how long a room has to wait for its next message.
func (s *Welcomes) tooMany(ctx context.Context, m *Message) (time.Duration, error) {
	now := s.Clock.Now()
	had, err := s.Store.Welcomed(ctx, m.Room, now.Add(-window))
	switch {
	case err != nil || had.Messages == 0:
		return 0, err
	case m.Direct && had.Messages < maxDirect:
		return 0, nil
	case m.Direct:
		return holdTrouble, nil
	}
	return had.Last.Add(firstPause << min(had.Messages-1, maxDoubled)).Sub(now), nil
}

// look reads the room: it gives people their names and drops those who have left. It reports whether the bot may speak there for the author of
// a field of the policy.
func (s *Welcomes) look(ctx context.Context, p *policy.InForce, author string, m *Message) (may bool, err error) {
	users := make([]id.UserID, 0, len(m.People)+len(m.Inviters)+1)
	for _, one := range m.People {
		users = append(users, one.User)
	}
	for _, by := range m.Inviters {
		users = append(users, id.UserID(by))
	}
	from, _ := p.From(author)
	if person := from.Person(s.Self.Bot); person != "" {
		users = append(users, person)
	}
	snap, err := s.Judge.Policies.Look(ctx, m.Room, p, users...)
	if err != nil {
		return false, err
	}
	speaks := room.Deny
	if snap != nil {
		speaks = p.SpokenBy(snap, author, s.Self.Bot)
	}
	if speaks == room.Unknown {
		s.hold(m.Room, holdTrouble)
		return false, nil
	}
	if snap != nil {
		m.People = slices.DeleteFunc(m.People, func(one Person) bool {
			membership, known := snap.Membership(one.User)
			return known && membership != "join"
		})
	}
	if speaks == room.Deny || len(m.People) == 0 {
		return false, s.Store.DropWelcomes(ctx, m.rows...)
	}
	for i := range m.People {
		m.People[i].Name = judge.PersonIn(snap, m.People[i].User)
	}
	for i, by := range m.Inviters {
		m.Inviters[i] = judge.PersonIn(snap, id.UserID(by))
	}
	m.Name = s.Judge.Reach.Name(ctx, m.Room, "")
	return true, nil
}
