package powertest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// law is a policy in force as the oracle reads it: raw values by path, and which event each is from.
type law struct {
	values map[string]json.RawMessage
	from   map[string]*room.Event
	room   id.RoomID
	own    map[string]bool      // set by the room itself
	in     map[string]id.RoomID // which room sets it
	none   bool                 // nobody has written any
	broken bool                 // one of its events can't be read
}

// law reads the policy of a room and, field by field, those of the spaces above it.
func (h *watched) law(r id.RoomID) law {
	l := law{values: map[string]json.RawMessage{}, from: map[string]*room.Event{}, own: map[string]bool{}, in: map[string]id.RoomID{}, room: r, none: true}
	h.lost = false
	governing := h.governing(r, 4)
	if h.lost {
		l.broken, l.none = true, false
		h.w.tally.add("judged by a lost space")
	}
	for _, source := range slices.Backward(governing) {
		event, _ := h.truth(source).Event(room.Key{Type: policy.EventType})
		if event == nil {
			continue
		}
		fields := map[string]json.RawMessage{}
		flatten("", event.Content, fields)
		if len(fields) == 0 {
			continue
		}
		l.none = false
		event = h.meant(source, event)
		l.from[nearest], l.own[nearest], l.in[nearest] = event, source == r, source
		for path, value := range fields {
			if strings.HasPrefix(path, "whom_ever") {
				l.broken = true
			}
			l.values[path], l.from[path], l.own[path], l.in[path] = value, event, source == r, source
		}
	}
	return l
}

// meant returns the event by which somebody meant what a policy event says: where it was only copied in an upgrade, the one in the replaced room.
func (h *watched) meant(r id.RoomID, event *room.Event) *room.Event {
	old := h.replaces(r)
	if old == "" || event.Sender != h.creator(r) {
		return event
	}
	if before, _ := h.truth(old).Event(room.Key{Type: policy.EventType}); before != nil && string(before.Content) == string(event.Content) {
		return h.meant(old, before)
	}
	return event
}

// nearest stands for a path: where the nearest policy comes from.
const nearest = "*"

// governing lists the rooms whose policies count in a room, nearest first: its own and the spaces above it or, until the room has a policy
// event, the rooms that govern the room that it replaces, before the spaces.
func (h *watched) governing(r id.RoomID, depth int) []id.RoomID {
	list := h.above(r)
	if event, _ := h.truth(r).Event(room.Key{Type: policy.EventType}); event != nil || depth == 0 {
		return list
	}
	if old := h.replaces(r); old != "" {
		before := h.governing(old, depth-1)
		list = append(before, slices.DeleteFunc(list[1:], func(space id.RoomID) bool { return slices.Contains(before, space) })...)
		h.w.tally.add("judged by the policy of a replaced room")
	}
	return list
}

// replaces returns the room that a room replaces, by the word of both.
func (h *watched) replaces(r id.RoomID) id.RoomID {
	var created struct {
		Predecessor struct {
			Room id.RoomID `json:"room_id"`
		}
	}
	var stone struct {
		Room id.RoomID `json:"replacement_room"`
	}
	create, _ := h.truth(r).Event(room.Key{Type: room.TypeCreate})
	h.w.must(json.Unmarshal(create.Content, &created))
	if created.Predecessor.Room == "" {
		return ""
	}
	if event, _ := h.truth(created.Predecessor.Room).Event(room.Key{Type: room.TypeTombstone}); event != nil {
		h.w.must(json.Unmarshal(event.Content, &stone))
	}
	if stone.Room != r {
		return ""
	}
	return created.Predecessor.Room
}

// flatten lists the values in an object by their paths.
func flatten(prefix string, content json.RawMessage, into map[string]json.RawMessage) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(content, &fields) != nil || len(fields) == 0 && prefix != "" {
		into[prefix] = content
		return
	}
	for key, raw := range fields {
		flatten(strings.TrimPrefix(prefix+"."+key, "."), raw, into)
	}
}

// above lists a room and the spaces that it inherits from, nearest first: at most four.
func (h *watched) above(r id.RoomID) []id.RoomID {
	list := []id.RoomID{r}
	for len(list) <= 4 {
		space := h.spaceOf(list[len(list)-1], list)
		if space == "" {
			break
		}
		list = append(list, space)
	}
	return list
}

// spaceOf is the space that a room is in: both say so, with servers; the room's word takes as much power as writing its policy does; the bot
// is in the space. The canonical one comes first, then the first by id. A space that the bot has lost is none, but its policy was not nothing.
func (h *watched) spaceOf(r id.RoomID, but []id.RoomID) id.RoomID {
	levels := h.levelsIn(h.truth(r), nil)
	takes := func(kind string) int64 {
		for _, name := range []string{"events." + kind, "state_default"} {
			if level, set := levels[name]; set {
				return level
			}
		}
		return 50
	}
	if takes("m.space.parent") < takes(policy.EventType) {
		return ""
	}
	type word struct {
		Via       []string `json:"via"`
		Canonical bool     `json:"canonical"`
	}
	said := func(in id.RoomID, kind string, about id.RoomID) (w word) {
		if event, _ := h.truth(in).Event(room.Key{Type: kind, StateKey: string(about)}); event != nil {
			h.w.must(json.Unmarshal(event.Content, &w))
		}
		return w
	}
	var best id.RoomID
	var canonical, lost bool
	for _, space := range slices.Sorted(slices.Values(h.w.spaces)) {
		parent, child := said(r, "m.space.parent", space), said(space, "m.space.child", r)
		membership, _ := h.truth(space).Membership(bot)
		gone := membership != "join" && h.Governs(r, space)
		naming, _ := h.truth(r).Event(room.Key{Type: "m.space.parent", StateKey: string(space)})
		if naming != nil && !h.Governs(r, space) { // who named it has the power, if it does not count already
			if power, _ := h.truth(r).Power(naming.Sender); int64(power) < takes(policy.EventType) {
				continue
			}
		}
		if slices.Contains(but, space) || len(parent.Via) == 0 || !gone && (len(child.Via) == 0 || membership != "join") {
			continue
		}
		if best == "" || parent.Canonical && !canonical {
			best, canonical, lost = space, parent.Canonical, gone
		}
	}
	if lost {
		h.lost = true
		return ""
	}
	return best
}

// read reads a value into what is given, if it is set.
func (l law) read(path string, into any) {
	if raw, set := l.values[path]; set {
		if err := json.Unmarshal(raw, into); err != nil {
			panic(path + " is not as the stories write it: " + string(raw))
		}
	}
}

func (l law) number(path string) (n int64) {
	l.read(path, &n)
	return n
}

func (l law) text(path string) (s string) {
	l.read(path, &s)
	return s
}

func (l law) list(path string) (list []string) {
	l.read(path, &list)
	return list
}

func (l law) holds(path string, otherwise bool) bool {
	l.read(path, &otherwise)
	return otherwise
}

func (l law) span(path string, otherwise time.Duration) time.Duration {
	text := l.text(path)
	if text == "" {
		return otherwise
	}
	d, ok := spanOf(text)
	if !ok {
		panic(text)
	}
	return d
}

// spanOf reads a span of time, which may be in days.
func spanOf(text string) (time.Duration, bool) {
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// levels lists what a guard keeps.
func (l law) levels() map[string]int64 {
	kept := map[string]int64{}
	for path := range l.values {
		if name, ok := strings.CutPrefix(path, "guard.levels."); ok {
			kept[name] = l.number(path)
		}
	}
	return kept
}

// legit tells whether a field was written by somebody who had the power to.
func (h *watched) legit(l law, path string) bool {
	return l.from[path] != nil && h.written[l.from[path].ID]
}

// like tells whether a glob of one of the lists matches.
func like(globs []string, text string) bool {
	for _, glob := range globs {
		pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(glob))
		if regexp.MustCompile("^" + pattern + "$").MatchString(text) {
			return true
		}
	}
	return false
}

// sent is an invitation that Usher sent, as the quotas see it.
type sent struct {
	room    id.RoomID
	actor   id.UserID
	at      time.Time // asked for
	number  int       // of the command, in order
	target  id.UserID
	charged bool
}

// standing is what the oracle remembers of somebody in a room.
type standing struct {
	joined, left, declined, kicked time.Time

	// Of the invitation, while it is open:
	invited time.Time
	asker   id.UserID // had the bot send it; empty: it did not
	inviter id.UserID // who asked for it, or sent it
}

// of returns what is remembered of somebody.
func (h *watched) of(r id.RoomID, user id.UserID) *standing {
	if h.people[r] == nil {
		h.people[r] = map[id.UserID]*standing{}
	}
	if h.people[r][user] == nil {
		h.people[r][user] = &standing{}
	}
	return h.people[r][user]
}

// remember takes in a change of somebody's membership.
func (h *watched) remember(was string, e invites.Effect, asker id.UserID) {
	s, now := h.of(e.Room, e.Target), h.w.clock.Now()
	own := e.Performer == e.Target
	s.invited, s.asker = time.Time{}, ""
	switch e.Action {
	case room.Join:
		if was != "join" {
			s.joined = now
		}
	case room.Invite:
		s.invited, s.asker, s.inviter = now, asker, e.Performer
		if asker != "" {
			s.inviter = asker
		}
	case room.Leave, room.Kick, room.Ban:
		switch {
		case was == "join" && own:
			s.left = now
		case was == "invite" && own:
			s.declined = now
		case was == "join":
			s.kicked = now
		}
	}
}

// forbids says what a policy has against an invitation.
func (h *watched) forbids(l law, s *room.Snapshot, c *asked, e invites.Effect) string {
	now, host := h.w.clock.Now(), e.Target.Homeserver()
	past := h.of(e.Room, e.Target)
	too := func(path string, since time.Time) bool {
		rest := l.span(path, 0)
		return rest > 0 && !since.IsZero() && now.Sub(since) < rest
	}
	allows := len(l.list("whom.allow_users")) + len(l.list("whom.allow_servers"))
	switch {
	case l.none:
		return ""
	case l.broken:
		return "it is malformed"
	case !((c.knock || c.plan != nil) && c.actor == bot) && h.mayNotAsk(l, s, c.actor) != "": // whom the policy itself lets in, nobody asks for
		return h.mayNotAsk(l, s, c.actor)
	case c.link != nil && h.againstLink(c, s) != "":
		return h.againstLink(c, s)
	case l.denies(e.Target):
		return "whom.deny_users, whom.deny_servers, whom.ip_literals"
	case allows > 0 && !like(l.list("whom.allow_users"), e.Target.String()) && !like(l.list("whom.allow_servers"), host):
		return "whom.allow_users, whom.allow_servers"
	case h.listed(l, e.Target) != "":
		return "whom.lists: " + h.listed(l, e.Target)
	case too("whom.cooldown.leave", past.left), too("whom.cooldown.decline", past.declined), too("whom.cooldown.kick", past.kicked):
		return "whom.cooldown"
	case l.number("whom.max_members") > 0 && h.members(e.Room) >= l.number("whom.max_members"):
		return "whom.max_members"
	case l.holds("approval.required", false) && !h.approved[question{h.serving, room.Invite, e.Room, e.Target}] && !h.approved[question{h.serving, room.Knock, e.Room, e.Target}]:
		return "approval.required"
	}
	return h.overspent(c, e)
}

// againstLink says what the policy had against the link by which somebody comes in, when they used it.
func (h *watched) againstLink(c *asked, s *room.Snapshot) string {
	power, _ := s.Power(c.actor)
	switch l := c.law; {
	case !l.holds("links.allow", true):
		return "links.allow"
	case l.number("links.max_uses") > 0 && c.link.Uses >= l.number("links.max_uses"):
		return "links.max_uses"
	case l.span("links.max_age", 0) > 0 && c.link.Age >= l.span("links.max_age", 0):
		return "links.max_age"
	case int64(power) < l.number("links.level"):
		return "links.level"
	}
	return ""
}

// denies reports whether the fields that deny name a user.
func (l law) denies(user id.UserID) bool {
	host := user.Homeserver()
	return like(l.list("whom.deny_users"), user.String()) || like(l.list("whom.deny_servers"), host) || !l.holds("whom.ip_literals", true) && host == "10.0.0.1"
}

// mayNotAsk says why a policy does not let somebody ask.
func (h *watched) mayNotAsk(l law, s *room.Snapshot, actor id.UserID) string {
	power, _ := s.Power(actor)
	users, servers := l.list("ask.users"), l.list("ask.servers")
	switch {
	case int64(power) < l.number("ask.level"):
		return "ask.level"
	case len(users)+len(servers) > 0 && !like(users, actor.String()) && !like(servers, actor.Homeserver()):
		return "ask.users, ask.servers"
	case h.w.clock.Now().Sub(h.of(l.room, actor).joined) < l.span("ask.joined_for", 0):
		return "ask.joined_for"
	}
	return ""
}

// listed says which policy list bans somebody, or can't be read.
func (h *watched) listed(l law, user id.UserID) string {
	for _, list := range l.list("whom.lists") {
		if id.RoomID(list) != h.w.list {
			return list + " is not there"
		}
		for k, raw := range h.rules {
			var rule struct{ Entity, Recommendation string }
			h.w.must(json.Unmarshal(raw, &rule))
			about := user.String()
			switch {
			case strings.HasSuffix(k.Type, ".server"):
				about = user.Homeserver()
			case strings.HasSuffix(k.Type, ".room"):
				about = l.room.String()
			}
			bans := slices.Contains([]string{"m.ban", "m.takedown", "org.matrix.mjolnir.ban"}, rule.Recommendation)
			if bans && like([]string{rule.Entity}, about) {
				return rule.Entity
			}
		}
	}
	return ""
}

// banned reports whether the policy lists ban a user.
func (h *watched) banned(l law, user id.UserID) bool {
	rooms := maps.Clone(h.rules)
	maps.DeleteFunc(h.rules, func(k room.Key, _ json.RawMessage) bool { return strings.HasSuffix(k.Type, ".room") })
	defer func() { h.rules = rooms }()
	why := h.listed(l, user)
	return why != "" && !strings.HasSuffix(why, " is not there")
}

// members counts who is in a room.
func (h *watched) members(r id.RoomID) (n int64) {
	truth := h.truth(r)
	for _, user := range cast {
		if membership, _ := truth.Membership(user); membership == "join" {
			n++
		}
	}
	return n
}

// overspent says which quota an invitation goes beyond: by what was in force when it was asked for, and of those sent what was asked
// for before it.
func (h *watched) overspent(c *asked, e invites.Effect) string {
	if c.knock {
		return ""
	}
	same := map[string]func(s sent) bool{
		"person": func(s sent) bool { return s.actor == c.actor },
		"server": func(s sent) bool { return s.actor.Homeserver() == c.actor.Homeserver() },
		"room":   func(sent) bool { return true },
	}
	for name, counts := range same {
		most, per := c.law.number("quota."+name+".count"), c.law.span("quota."+name+".per", 24*time.Hour)
		n := int64(1)
		for _, s := range h.sent {
			if s.room == e.Room && s.charged && counts(s) && s.number <= c.number && (s.number != c.number || s.target != e.Target) && c.at.Sub(s.at) < per {
				n++
			}
		}
		if most > 0 && n > most {
			return "quota." + name
		}
	}
	return ""
}

// charges tells whether a policy has a quota.
func (l law) charges() bool {
	return l.number("quota.person.count")+l.number("quota.server.count")+l.number("quota.room.count") > 0
}

// met counts under which rules an invitation was sent.
func (h *watched) met(l law) {
	for _, path := range slices.Sorted(maps.Keys(l.values)) {
		if raw := string(l.values[path]); raw == "0" || raw == "[]" || raw == "false" && path != "whom.ip_literals" {
			continue // no rule
		}
		h.w.tally.add("sent under %s%s", path, where(l, path))
	}
}

// where words whether a field is a space's.
func where(l law, path string) string {
	if l.from[path] != nil && !l.own[path] {
		return " by a space"
	}
	return ""
}
