package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// kind is the type of a field's value, as in the key of the words for it.
type kind string

const (
	boolean  kind = "boolean"
	integer  kind = "integer"
	span     kind = "duration"
	choice   kind = "choice"
	roomID   kind = "room"
	userList kind = "users"
	servers  kind = "servers"
	rooms    kind = "rooms"
	template kind = "template"
	choices  kind = "choices"
	language kind = "language"
	plans    kind = "plans"
	greeting kind = "greeting"
)

// Field is one field of the document, as !policy set takes it and !policy shows it.
type Field struct {
	Path    string // as in "ask.level"; the path tags of Document lead to its value
	kind    kind
	least   int64    // of integers, and of spans in seconds
	most    int64    // the same
	choices []string // of choice and choices
}

// Bounds of values.
const (
	maxLevel = 1<<53 - 1
	maxCount = 100_000
	minRate  = 60                   // seconds
	maxRate  = 366 * 24 * 3600      // seconds
	maxSpan  = 10 * 366 * 24 * 3600 // seconds
	maxItems = 500                  // of one list; an event holds 64 KiB in all
	maxGlob  = 255

	maxGuarded = 100 // power levels in guard.levels
)

// levelsPath is the object whose members are fields of their own, by the names of m.room.power_levels.
const levelsPath = "guard.levels"

// withdrawOn is the field of Pending.WithdrawOn, the one with a default that acts.
const withdrawOn = "pending.withdraw_on"

// The fields of Welcome.
const (
	WelcomeText  = "welcome.text"
	WelcomeWhere = "welcome.where"
)

// fieldTable has the fields in the order of the document. Lookup finds the fields of guard.levels.
var fieldTable = []Field{
	{Path: "delegate", kind: boolean},
	{Path: "ask.level", kind: integer, least: -maxLevel, most: maxLevel},
	{Path: "ask.users", kind: userList},
	{Path: "ask.servers", kind: servers},
	{Path: "ask.joined_for", kind: span, most: maxSpan},
	{Path: "whom.allow_users", kind: userList},
	{Path: "whom.deny_users", kind: userList},
	{Path: "whom.allow_servers", kind: servers},
	{Path: "whom.deny_servers", kind: servers},
	{Path: "whom.ip_literals", kind: boolean},
	{Path: "whom.lists", kind: rooms},
	{Path: "whom.except_users", kind: userList},
	{Path: "whom.except_servers", kind: servers},
	{Path: "whom.cooldown.leave", kind: span, most: maxSpan},
	{Path: "whom.cooldown.decline", kind: span, most: maxSpan},
	{Path: "whom.cooldown.kick", kind: span, most: maxSpan},
	{Path: "whom.max_members", kind: integer, most: 10_000_000},
	{Path: "quota.person.count", kind: integer, most: maxCount},
	{Path: "quota.person.per", kind: span, least: minRate, most: maxRate},
	{Path: "quota.room.count", kind: integer, most: maxCount},
	{Path: "quota.room.per", kind: span, least: minRate, most: maxRate},
	{Path: "quota.server.count", kind: integer, most: maxCount},
	{Path: "quota.server.per", kind: span, least: minRate, most: maxRate},
	{Path: "approval.required", kind: boolean},
	{Path: "approval.votes", kind: integer, least: 1, most: 50},
	{Path: "approval.level", kind: integer, least: -maxLevel, most: maxLevel},
	{Path: "approval.room", kind: roomID},
	{Path: "approval.expires", kind: span, least: 60, most: maxSpan},
	{Path: "knocks.desk", kind: boolean},
	{Path: "knocks.room", kind: roomID},
	{Path: "knocks.level", kind: integer, least: -maxLevel, most: maxLevel},
	{Path: "knocks.accept_users", kind: userList},
	{Path: "knocks.accept_servers", kind: servers},
	{Path: "knocks.accept_members_of", kind: rooms},
	{Path: "knocks.breaker.count", kind: integer, most: maxCount},
	{Path: "knocks.breaker.per", kind: span, least: minRate, most: maxRate},
	{Path: "guard.mode", kind: choice, choices: []string{Off, Watch, Enforce}},
	{Path: "guard.join_rule", kind: choice, choices: []string{"invite", "knock", "restricted", "knock_restricted", "public", "private"}},
	{Path: "guard.intruders", kind: choice, choices: []string{Ignore, Report, Kick}},
	{Path: "guard.by_hand", kind: choice, choices: []string{Ignore, Report, Withdraw}},
	{Path: "pending.expire_after", kind: span, most: maxSpan},
	{Path: "pending.remind_before", kind: span, most: maxSpan},
	{Path: "invitation.reason", kind: template},
	{Path: WelcomeText, kind: greeting},
	{Path: WelcomeWhere, kind: choice, choices: []string{InRoom, Direct}},
	{Path: withdrawOn, kind: choices, choices: []string{Listed, Denied, InviterBanned, InviterLeft}},
	{Path: "links.allow", kind: boolean},
	{Path: "links.max_uses", kind: integer, most: maxCount},
	{Path: "links.max_age", kind: span, most: maxSpan},
	{Path: "links.level", kind: integer, least: -maxLevel, most: maxLevel},
	{Path: "join.deny", kind: boolean},
	{Path: "join.max_members", kind: integer, most: 10_000_000},
	{Path: "plan.allow", kind: plans},
	{Path: "named_by", kind: rooms},
	{Path: "language", kind: language},
	{Path: "pictures", kind: choice, choices: []string{Light, Dark}},
}

// places are the indexes of the document's fields, by path.
var places = indexed(reflect.TypeFor[Document](), "", nil)

// indexed follows the path tags of a struct.
func indexed(t reflect.Type, prefix string, at []int) map[string][]int {
	all := map[string][]int{}
	for i := range t.NumField() {
		path, index := prefix+t.Field(i).Tag.Get("path"), append(at[:len(at):len(at)], i)
		if t.Field(i).Type.Kind() != reflect.Struct {
			all[path] = index
			continue
		}
		for inner, index := range indexed(t.Field(i).Type, path+".", index) {
			all[inner] = index
		}
	}
	return all
}

// Fields lists the fields in the order of the document. Lookup finds the fields of guard.levels.
func Fields() []Field { return slices.Clone(fieldTable) }

// Lookup finds a field by its path.
func Lookup(path string) (Field, bool) {
	if name, ok := strings.CutPrefix(path, levelsPath+"."); ok {
		return Field{Path: path, kind: integer, least: -maxLevel, most: maxLevel}, isLevelName(name)
	}
	for _, f := range fieldTable {
		if f.Path == path {
			return f, true
		}
	}
	return Field{}, false
}

// isLevelName reports whether the guard can keep the power level of a name.
func isLevelName(name string) bool {
	switch name {
	case "invite", "kick", "ban", "redact", "events_default", "state_default", "users_default", "notifications.room":
		return true
	}
	eventType, isEvent := strings.CutPrefix(name, "events.")
	return isEvent && eventType != ""
}

// assign sets a field of the document. The value is of the field's kind.
func (f Field) assign(d *Document, value any) {
	if name, isLevel := strings.CutPrefix(f.Path, levelsPath+"."); isLevel {
		if d.Guard.Levels == nil {
			d.Guard.Levels = map[string]room.Level{}
		}
		d.Guard.Levels[name] = room.Level(value.(int64))
		return
	}
	if f.kind == rooms {
		var list []id.RoomID
		for _, r := range value.([]string) {
			list = append(list, id.RoomID(r))
		}
		value = list
	}
	at := reflect.ValueOf(d).Elem().FieldByIndex(places[f.Path])
	at.Set(reflect.ValueOf(value).Convert(at.Type()))
}

// value returns the document's value in the field, as With takes it; empty where it is the zero value.
func (f Field) value(d *Document) string {
	at := reflect.ValueOf(d).Elem().FieldByIndex(places[f.Path])
	switch value := at.Interface().(type) {
	case time.Duration:
		return either(value == 0, "", Span(value))
	case []string, []id.RoomID:
		return strings.Trim(fmt.Sprint(value), "[]")
	default:
		return fmt.Sprint(value)
	}
}

// Phrase tells the document's value in this field. Its key is "field." with the path; ".none" follows where the field sets no
// limit and names nobody.
func (f Field) Phrase(d *Document) room.Phrase {
	if name, isLevel := strings.CutPrefix(f.Path, levelsPath+"."); isLevel {
		return room.Say("field.guard.levels", "name", name, "n", d.Guard.Levels[name])
	}
	for _, end := range [...]string{".count", ".per"} {
		if path, isRate := strings.CutSuffix(f.Path, end); isRate {
			rate := reflect.ValueOf(d).Elem().FieldByIndex(places[path+".count"][:len(places[path+".count"])-1]).Interface().(Rate)
			return ratePhrase("field."+path, rate)
		}
	}
	key, value := "field."+f.Path, f.value(d)
	switch {
	case f.kind == boolean:
		return room.Phrase{Key: key + "." + value}
	case value == "", value == "0" && (f.Path == "links.max_uses" || strings.HasSuffix(f.Path, ".max_members")):
		return room.Phrase{Key: key + ".none"}
	case f.kind == integer:
		return room.Say(key, "n", value)
	}
	return room.Say(key, "value", value)
}

// ratePhrase is the sentence shared by the two fields of a rate.
func ratePhrase(key string, r Rate) room.Phrase {
	if r.Count == 0 {
		return room.Phrase{Key: key + ".none"}
	}
	return room.Say(key, "n", r.Count, "per", Span(r.Per))
}

// Prose reports whether the field takes a text of sentences, in which names of rooms and people stay as they are written.
func (f Field) Prose() bool { return f.kind == template || f.kind == greeting }

// About tells the purpose of the field in a few words.
func (f Field) About() room.Phrase { return room.Phrase{Key: "about." + f.Path} }

// Takes says which values the field takes.
func (f Field) Takes() room.Phrase {
	switch {
	case f.kind == choice:
		return room.Say("takes.choice", "choices", strings.Join(f.choices, ", "))
	case f.kind == choices:
		return room.Say("takes.choices", "choices", strings.Join(f.choices, ", "), "none", nothing)
	case f.kind == integer && f.most < maxLevel:
		return room.Say("takes.range", "least", f.least, "most", f.most)
	}
	return room.Phrase{Key: "takes." + string(f.kind)}
}
