package room

import (
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// Values of membership and of join_rule. "invite" and "knock" are both.
const (
	join            = "join"
	invite          = "invite"
	leave           = "leave"
	ban             = "ban"
	knock           = "knock"
	public          = "public"
	restricted      = "restricted"
	knockRestricted = "knock_restricted"
)

// MemberKey returns the key of a user's member event.
func MemberKey(user id.UserID) Key { return Key{TypeMember, string(user)} }

// creation is the content of m.room.create.
type creation struct {
	exists    bool
	valid     bool // rule 1 accepts it
	server    string
	federates bool
	creator   id.UserID   // may join first, and has power 100 without power levels (v1–v11)
	creators  []id.UserID // the users with infinite power (v12)
}

// Snapshot is an immutable view of a room's state, parsed once. It is safe for concurrent use.
type Snapshot struct {
	events    map[Key]*Event
	complete  bool
	version   id.RoomVersion
	supported bool   // the version is one of 1 to 12
	traits    traits // of the version

	create   creation
	levels   *powerLevels         // nil: no such event, or not known
	joinRule string               // empty: malformed
	members  map[id.UserID]string // leave without an event, empty if it is malformed

	knowsCreate, knowsLevels, knowsJoinRule bool
}

// NewSnapshot parses state by the room version's rules. It never fails: malformed state is kept as such and makes
// the verdicts depending on it deny. The events and their content must not be changed afterwards.
func NewSnapshot(state State) *Snapshot {
	s := &Snapshot{
		events:   maps.Clone(state.Events),
		complete: state.Complete,
		version:  state.Version,
		joinRule: invite, // without an event
		members:  make(map[id.UserID]string, len(state.Events)),
	}
	create := s.events[Key{Type: TypeCreate}]
	content := parseContent(create)
	if s.version == "" && create != nil {
		s.version = versionIn(content)
	}
	s.traits, s.supported = traitsOf(s.version)
	s.knowsCreate = s.knows(Key{Type: TypeCreate})
	s.knowsLevels = s.knows(Key{Type: TypePowerLevels})
	s.knowsJoinRule = s.knows(Key{Type: TypeJoinRules})
	if create != nil {
		s.create = s.traits.creation(create, content)
	}
	for key, e := range s.events {
		switch {
		case key.Type == TypeMember:
			s.members[id.UserID(key.StateKey)] = membershipIn(e)
		case e == nil:
		case key == Key{Type: TypePowerLevels}:
			s.levels = s.traits.powerLevels(parseContent(e))
		case key == Key{Type: TypeJoinRules}:
			s.joinRule, _ = parseContent(e).Get("join_rule").Str()
		}
	}
	return s
}

// membershipIn reads a member event, which may be none.
func membershipIn(e *Event) string {
	if e == nil {
		return leave
	}
	membership, _ := parseContent(e).Get("membership").Str()
	for _, known := range [...]string{join, leave, invite, ban, knock} {
		if membership == known {
			return known // lets go of the content
		}
	}
	return membership
}

// parseContent returns an event's content, or a value other than an object if it is malformed.
func parseContent(e *Event) exactjson.Value {
	if e == nil {
		return exactjson.Value{}
	}
	n, _, ok := exactjson.Parse(e.Content)
	if !ok {
		return exactjson.Value{}
	}
	return n
}

// versionIn reads room_version, which is 1 when there is none.
func versionIn(create exactjson.Value) id.RoomVersion {
	v := create.Get("room_version")
	if !v.Exists() {
		return "1"
	}
	version, _ := v.Str()
	return id.RoomVersion(version)
}

// creation applies rule 1 (m.room.create) as far as content and sender go.
func (t *traits) creation(e *Event, content exactjson.Value) creation {
	c := creation{exists: true, valid: content.Kind == exactjson.Object && ValidUserID(string(e.Sender)), creator: e.Sender}
	c.server = domain(string(e.Sender))
	// "the property m.federate set to false": any value but true counts, as Synapse has it.
	federate := content.Get("m.federate")
	c.federates = !federate.Exists() || federate.Kind == exactjson.True
	if t.creatorInContent { // 1.4 of v1–v10: no creator, reject
		creator, _ := content.Get("creator").Str()
		c.creator = id.UserID(creator)
		c.valid = c.valid && content.Get("creator").Exists()
	}
	if t.privilegedCreators { // 1.4 of v12: additional_creators must be an array of user IDs
		c.creators = []id.UserID{e.Sender}
		more := content.Get("additional_creators")
		c.valid = c.valid && (!more.Exists() || more.Kind == exactjson.Array)
		for _, item := range more.Items {
			creator, _ := item.Str()
			c.valid = c.valid && ValidUserID(creator)
			c.creators = append(c.creators, id.UserID(creator))
		}
	}
	return c
}

// Event returns a piece of the state of the snapshot, auth-relevant or not. known is false where
// nothing is known of it; a known nil event does not exist in the room.
func (s *Snapshot) Event(k Key) (e *Event, known bool) {
	e, known = s.events[k]
	return e, known || s.complete
}

// Tells reports whether all of some pieces of state are known.
func (s *Snapshot) Tells(needs ...Key) bool {
	return !slices.ContainsFunc(needs, func(k Key) bool { return !s.knows(k) })
}

func (s *Snapshot) knows(k Key) bool {
	_, known := s.Event(k)
	return known
}

// Membership returns a user's membership, "leave" for somebody without one, and an empty string if their member
// event is malformed.
func (s *Snapshot) Membership(user id.UserID) (membership string, known bool) {
	if m, ok := s.members[user]; ok {
		return m, true
	}
	return leave, s.complete
}

// JoinRule returns the room's join rule, "invite" for a room without one, and an empty string if the event is malformed.
func (s *Snapshot) JoinRule() (rule string, known bool) {
	return s.joinRule, s.knowsJoinRule
}

// Version returns the room version, empty if unknown.
func (s *Snapshot) Version() id.RoomVersion { return s.version }

// Power returns a user's power level and whether it is known. It is not known either when it is malformed.
func (s *Snapshot) Power(user id.UserID) (level Level, known bool) {
	if !s.knowsCreate || !s.supported {
		return 0, false
	}
	l, known := s.power(user)
	return l.value, known && l.state == given
}

// isCreator reports whether a user has the infinite power of v12.
func (s *Snapshot) isCreator(user id.UserID) bool { return slices.Contains(s.create.creators, user) }

// power returns a user's power level. The create event must be known.
func (s *Snapshot) power(user id.UserID) (l level, known bool) {
	if s.isCreator(user) {
		return exactly(Infinite), true
	}
	if s.levels == nil {
		if user == s.create.creator && !s.traits.privilegedCreators {
			return exactly(100), s.knowsLevels
		}
		return exactly(0), s.knowsLevels
	}
	if l = s.levels.users.find(string(user)); l.state != absent {
		return l, true
	}
	return s.levels.named[usersDefault].or(defaultLevel(usersDefault)), true
}

// named returns one of the levels named by m.room.power_levels. The event must be known.
func (s *Snapshot) named(i int) level {
	if s.levels == nil {
		return exactly(defaultLevel(i))
	}
	return s.levels.named[i].or(defaultLevel(i))
}

// eventLevel returns the required power level of an event type. The power levels must be known.
func (s *Snapshot) eventLevel(eventType string, isState bool) level {
	if s.levels != nil {
		if l := s.levels.events.find(eventType); l.state != absent {
			return l
		}
	}
	if isState {
		return s.named(stateDefault)
	}
	return s.named(eventsDefault)
}
