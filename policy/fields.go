package policy

import (
	"fmt"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// kind is the type of a field's value.
type kind string

const (
	boolean  kind = "true or false"
	integer  kind = "a whole number"
	span     kind = "a duration such as 36h or 7d"
	choice   kind = "one of a few words"
	roomID   kind = "a room id"
	userList kind = "a list of users, with * and ? as wildcards"
	servers  kind = "a list of servers, with * and ? as wildcards"
	rooms    kind = "a list of room ids"
)

// Field is one field of the document: what !policy set takes and !policy shows.
type Field struct {
	Path    string // as in "ask.level"
	About   string // what it is for, in a few words
	kind    kind
	least   int64    // of integers, and of spans in seconds
	most    int64    // the same
	choices []string // of choice
	at      func(*Document) any
	words   func(*Document) string // a sentence on its value
}

// Bounds of values.
const (
	maxLevel = 1<<53 - 1
	maxCount = 100_000
	maxSpan  = 10 * 366 * 24 * 3600 // seconds
	maxItems = 500                  // of one list; an event holds 64 KiB in all
	maxGlob  = 255
)

// levelsPath is the object whose members are fields of their own, by the names of m.room.power_levels.
const levelsPath = "guard.levels"

// Fields lists the fields in the order of the document. Those of guard.levels are found by Lookup.
func Fields() []Field {
	var all []Field
	for _, section := range [][]Field{askFields(), whomFields(), quotaFields(), approvalFields(), knockFields(), guardFields()} {
		all = append(all, section...)
	}
	return all
}

// Lookup finds a field by its path.
func Lookup(path string) (Field, bool) {
	if name, ok := strings.CutPrefix(path, levelsPath+"."); ok {
		return levelField(name)
	}
	for _, f := range Fields() {
		if f.Path == path {
			return f, true
		}
	}
	return Field{}, false
}

func askFields() []Field {
	return []Field{
		{Path: "delegate", About: "whether I invite for people below the room's invite level", kind: boolean,
			at: func(d *Document) any { return &d.Delegate },
			words: func(d *Document) string {
				return either(d.Delegate, "I invite for people below the room's invite level.", "People need the room's invite level to invite through me.")
			}},
		{Path: "ask.level", About: "power level that one needs to ask", kind: integer, least: -maxLevel, most: maxLevel,
			at:    func(d *Document) any { return &d.Ask.Level },
			words: func(d *Document) string { return fmt.Sprintf("One needs power level %d to ask.", d.Ask.Level) }},
		{Path: "ask.users", About: "who may ask", kind: userList,
			at:    func(d *Document) any { return &d.Ask.Users },
			words: func(d *Document) string { return only("may ask", d.Ask.Users) }},
		{Path: "ask.servers", About: "whose people may ask", kind: servers,
			at:    func(d *Document) any { return &d.Ask.Servers },
			words: func(d *Document) string { return only("may ask", people(d.Ask.Servers)) }},
		{Path: "ask.joined_for", About: "how long one must have been in the room to ask", kind: span, most: maxSpan,
			at: func(d *Document) any { return &d.Ask.JoinedFor },
			words: func(d *Document) string {
				return either(d.Ask.JoinedFor > 0, "One must have been in the room for "+Span(d.Ask.JoinedFor)+" to ask.", "One may ask as soon as one is in the room.")
			}},
	}
}

func whomFields() []Field {
	cooldown := func(name, after string, at func(*Document) *time.Duration) Field {
		return Field{Path: "whom.cooldown." + name, About: "how long nobody is invited after " + after, kind: span, most: maxSpan,
			at: func(d *Document) any { return at(d) },
			words: func(d *Document) string {
				return either(*at(d) > 0, "Nobody is invited within "+Span(*at(d))+" of "+after+".", "People may be invited at once after "+after+".")
			}}
	}
	return []Field{
		{Path: "whom.allow_users", About: "who alone may be invited", kind: userList,
			at:    func(d *Document) any { return &d.Whom.AllowUsers },
			words: func(d *Document) string { return only("may be invited", d.Whom.AllowUsers) }},
		{Path: "whom.deny_users", About: "who may not be invited", kind: userList,
			at:    func(d *Document) any { return &d.Whom.DenyUsers },
			words: func(d *Document) string { return never(d.Whom.DenyUsers) }},
		{Path: "whom.allow_servers", About: "whose people alone may be invited", kind: servers,
			at:    func(d *Document) any { return &d.Whom.AllowServers },
			words: func(d *Document) string { return only("may be invited", people(d.Whom.AllowServers)) }},
		{Path: "whom.deny_servers", About: "whose people may not be invited", kind: servers,
			at:    func(d *Document) any { return &d.Whom.DenyServers },
			words: func(d *Document) string { return never(people(d.Whom.DenyServers)) }},
		{Path: "whom.ip_literals", About: "whether people on servers that go by an IP address may be invited", kind: boolean,
			at: func(d *Document) any { return &d.Whom.IPLiterals },
			words: func(d *Document) string {
				return "People on servers that go by an IP address may " + either(d.Whom.IPLiterals, "", "not ") + "be invited."
			}},
		{Path: "whom.lists", About: "policy lists: whom they ban is not invited", kind: rooms,
			at: func(d *Document) any { return &d.Whom.Lists },
			words: func(d *Document) string {
				return either(len(d.Whom.Lists) > 0, "Nobody is invited whom these policy lists ban: "+some(strs(d.Whom.Lists))+".", "No policy lists are watched.")
			}},
		{Path: "whom.except_users", About: "who may be invited although a policy list bans them", kind: userList,
			at: func(d *Document) any { return &d.Whom.ExceptUsers },
			words: func(d *Document) string {
				return either(len(d.Whom.ExceptUsers) > 0, "Policy lists do not keep these out: "+some(d.Whom.ExceptUsers)+".", "No user is exempt from policy lists by name.")
			}},
		{Path: "whom.except_servers", About: "whose people may be invited although a policy list bans them", kind: servers,
			at: func(d *Document) any { return &d.Whom.ExceptServers },
			words: func(d *Document) string {
				return either(len(d.Whom.ExceptServers) > 0, "Policy lists do not keep these out: "+some(people(d.Whom.ExceptServers))+".", "No server is exempt from policy lists.")
			}},
		cooldown("leave", "leaving", func(d *Document) *time.Duration { return &d.Whom.Cooldown.Leave }),
		cooldown("decline", "declining an invitation", func(d *Document) *time.Duration { return &d.Whom.Cooldown.Decline }),
		cooldown("kick", "being kicked", func(d *Document) *time.Duration { return &d.Whom.Cooldown.Kick }),
		{Path: "whom.max_members", About: "how many members the room may have before nobody more is invited", kind: integer, most: 10_000_000,
			at: func(d *Document) any { return &d.Whom.MaxMembers },
			words: func(d *Document) string {
				return either(d.Whom.MaxMembers > 0, fmt.Sprintf("Nobody is invited while the room has %d members or more.", d.Whom.MaxMembers),
					"The room may grow without limit.")
			}},
	}
}

func quotaFields() []Field {
	scope := func(name, whose string, at func(*Document) *Rate) []Field {
		return rateFields("quota."+name, "invitations "+whose, at, func(r Rate) string {
			return either(r.Count > 0, fmt.Sprintf("At most %d invitations within %s %s.", r.Count, Span(r.Per), whose), "Any number of invitations "+whose+".")
		})
	}
	all := scope("person", "by one person", func(d *Document) *Rate { return &d.Quota.Person })
	all = append(all, scope("room", "in the room", func(d *Document) *Rate { return &d.Quota.Room })...)
	return append(all, scope("server", "by the people of one server", func(d *Document) *Rate { return &d.Quota.Server })...)
}

// rateFields are the two fields of a rate. Both show the same sentence.
func rateFields(path, what string, at func(*Document) *Rate, words func(Rate) string) []Field {
	say := func(d *Document) string { return words(*at(d)) }
	return []Field{
		{Path: path + ".count", About: "how many " + what + " in the time; 0: any number", kind: integer, most: maxCount,
			at: func(d *Document) any { return &at(d).Count }, words: say},
		{Path: path + ".per", About: "the time that " + what + " are counted over", kind: span, least: 60, most: 366 * 24 * 3600,
			at: func(d *Document) any { return &at(d).Per }, words: say},
	}
}

func approvalFields() []Field {
	return []Field{
		{Path: "approval.required", About: "whether invitations need approval", kind: boolean,
			at: func(d *Document) any { return &d.Approval.Required },
			words: func(d *Document) string {
				return either(d.Approval.Required, "Invitations need approval.", "Invitations need no approval.")
			}},
		{Path: "approval.votes", About: "how many must approve", kind: integer, least: 1, most: 50,
			at: func(d *Document) any { return &d.Approval.Votes },
			words: func(d *Document) string {
				return either(d.Approval.Votes == 1, "One vote decides.", fmt.Sprintf("It takes %d votes.", d.Approval.Votes))
			}},
		{Path: "approval.level", About: "power level from which on a vote counts", kind: integer, least: -maxLevel, most: maxLevel,
			at:    func(d *Document) any { return &d.Approval.Level },
			words: func(d *Document) string { return fmt.Sprintf("Votes count from power level %d on.", d.Approval.Level) }},
		{Path: "approval.room", About: "room in which approval is asked for; without one, the room itself", kind: roomID,
			at:    func(d *Document) any { return &d.Approval.Room },
			words: func(d *Document) string { return "Approval is asked for in " + here(d.Approval.Room) + "." }},
		{Path: "approval.expires", About: "how long approval may take", kind: span, least: 60, most: maxSpan,
			at: func(d *Document) any { return &d.Approval.Expires },
			words: func(d *Document) string {
				return "What is not approved within " + Span(d.Approval.Expires) + " lapses."
			}},
	}
}

func knockFields() []Field {
	all := []Field{
		{Path: "knocks.desk", About: "whether I bring knocks before the moderators", kind: boolean,
			at: func(d *Document) any { return &d.Knocks.Desk },
			words: func(d *Document) string {
				return either(d.Knocks.Desk, "I bring knocks before the moderators.", "I leave knocks alone.")
			}},
		{Path: "knocks.room", About: "room in which knocks are shown; without one, the room itself", kind: roomID,
			at:    func(d *Document) any { return &d.Knocks.Room },
			words: func(d *Document) string { return "Knocks are shown in " + here(d.Knocks.Room) + "." }},
		{Path: "knocks.level", About: "power level from which on one may answer knocks", kind: integer, least: -maxLevel, most: maxLevel,
			at: func(d *Document) any { return &d.Knocks.Level },
			words: func(d *Document) string {
				return fmt.Sprintf("Knocks are answered from power level %d on.", d.Knocks.Level)
			}},
		{Path: "knocks.accept_users", About: "who is let in at once", kind: userList,
			at:    func(d *Document) any { return &d.Knocks.AcceptUsers },
			words: func(d *Document) string { return atOnce(d.Knocks.AcceptUsers) }},
		{Path: "knocks.accept_servers", About: "whose people are let in at once", kind: servers,
			at:    func(d *Document) any { return &d.Knocks.AcceptServers },
			words: func(d *Document) string { return atOnce(people(d.Knocks.AcceptServers)) }},
		{Path: "knocks.accept_members_of", About: "rooms and spaces whose members are let in at once", kind: rooms,
			at: func(d *Document) any { return &d.Knocks.AcceptMembersOf },
			words: func(d *Document) string {
				return either(len(d.Knocks.AcceptMembersOf) > 0, "Members of these rooms who knock are let in at once: "+some(strs(d.Knocks.AcceptMembersOf))+".",
					"Being a member elsewhere lets nobody in.")
			}},
	}
	return append(all, rateFields("knocks.breaker", "knocks", func(d *Document) *Rate { return &d.Knocks.Breaker }, func(r Rate) string {
		return either(r.Count > 0, fmt.Sprintf("More than %d knocks within %s pause letting people in at once.", r.Count, Span(r.Per)),
			"No number of knocks is too many.")
	})...)
}

func guardFields() []Field {
	return []Field{
		{Path: "guard.mode", About: "whether I watch over the door, or set it back too", kind: choice, choices: []string{Off, Watch, Enforce},
			at: func(d *Document) any { return &d.Guard.Mode },
			words: func(d *Document) string {
				return map[string]string{Off: "I don't watch the door.", Watch: "I report changes to the door.", Enforce: "I set changes to the door back."}[d.Guard.Mode]
			}},
		{Path: "guard.join_rule", About: "the join rule that the room is to keep", kind: choice,
			choices: []string{"invite", "knock", "restricted", "knock_restricted", "public", "private"},
			at:      func(d *Document) any { return &d.Guard.JoinRule },
			words: func(d *Document) string {
				return either(d.Guard.JoinRule != "", "The join rule is to stay “"+d.Guard.JoinRule+"”.", "Any join rule is fine.")
			}},
		{Path: "guard.intruders", About: "what to do about people who joined uninvited while the door stood open", kind: choice,
			choices: []string{Ignore, Report, Kick}, at: func(d *Document) any { return &d.Guard.Intruders },
			words: func(d *Document) string {
				return "People who come in uninvited while the door stands open are " + done(d.Guard.Intruders) + "."
			}},
		{Path: "guard.by_hand", About: "what to do about invitations made past me that this policy would refuse", kind: choice,
			choices: []string{Ignore, Report, Withdraw}, at: func(d *Document) any { return &d.Guard.ByHand },
			words: func(d *Document) string {
				return "Invitations made past me that this policy would refuse are " + done(d.Guard.ByHand) + "."
			}},
		{Path: "pending.expire_after", About: "when an invitation that nobody answers is withdrawn", kind: span, most: maxSpan,
			at: func(d *Document) any { return &d.Pending.ExpireAfter },
			words: func(d *Document) string {
				return either(d.Pending.ExpireAfter > 0, "Invitations that nobody answers are withdrawn after "+Span(d.Pending.ExpireAfter)+".", "Invitations stand until they are answered.")
			}},
		{Path: "pending.remind_before", About: "how long before that the one who asked is reminded", kind: span, most: maxSpan,
			at: func(d *Document) any { return &d.Pending.RemindBefore },
			words: func(d *Document) string {
				return either(d.Pending.RemindBefore > 0, "Whoever asked is reminded "+Span(d.Pending.RemindBefore)+" before that.", "Nobody is reminded.")
			}},
	}
}

// levelField is the field of one guarded power level.
func levelField(name string) (Field, bool) {
	switch name {
	case "invite", "kick", "ban", "redact", "events_default", "state_default", "users_default", "notifications.room":
	default:
		if eventType, ok := strings.CutPrefix(name, "events."); !ok || eventType == "" {
			return Field{}, false
		}
	}
	return Field{Path: levelsPath + "." + name, About: "the power level for “" + name + "” that the room is to keep", kind: integer,
		least: -maxLevel, most: maxLevel,
		at: func(d *Document) any { return levelAt{d, name} },
		words: func(d *Document) string {
			return fmt.Sprintf("The power level for “%s” is to stay %d.", name, d.Guard.Levels[name])
		}}, true
}

// levelAt is a place in Guard.Levels.
type levelAt struct {
	d    *Document
	name string
}

// assign sets a field of the document. The value is of the field's kind.
func (f Field) assign(d *Document, value any) {
	switch p := f.at(d).(type) {
	case *bool:
		*p = value.(bool)
	case *int64:
		*p = value.(int64)
	case *room.Level:
		*p = room.Level(value.(int64))
	case *time.Duration:
		*p = value.(time.Duration)
	case *string:
		*p = value.(string)
	case *id.RoomID:
		*p = id.RoomID(value.(string))
	case *[]string:
		*p = value.([]string)
	case *[]id.RoomID:
		*p = nil
		for _, r := range value.([]string) {
			*p = append(*p, id.RoomID(r))
		}
	case levelAt:
		if p.d.Guard.Levels == nil {
			p.d.Guard.Levels = map[string]room.Level{}
		}
		p.d.Guard.Levels[p.name] = room.Level(value.(int64))
	}
}

// Words says in a sentence what the document has in this field.
func (f Field) Words(d *Document) string { return f.words(d) }

// Takes says what values the field takes.
func (f Field) Takes() string {
	switch f.kind {
	case choice:
		return "one of " + strings.Join(f.choices, ", ")
	case integer:
		if f.most < maxLevel {
			return fmt.Sprintf("a whole number from %d to %d", f.least, f.most)
		}
	}
	return string(f.kind)
}
