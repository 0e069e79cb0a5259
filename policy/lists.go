package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// List is a policy list (https://spec.matrix.org/latest/client-server-api/#moderation-policy-lists): the rules of one room which ban
// users, servers or rooms. Names are compared without regard to case, servers in their canonical form.
// The zero value is empty. It is not safe for concurrent use.
type List struct {
	rules   map[room.Key]listRule
	users   entities
	servers entities
	rooms   entities
}

// Bounds of a list. A rule beyond maxRules, or with a longer entity than maxGlob, bans nobody. A longer reason is cut.
const (
	maxRules  = 200_000
	maxReason = 500 // bytes
)

// listRule is one banning rule.
type listRule struct {
	entity string // a glob as it is written; empty where it is hidden
	hash   string // SHA-256 of the entity, 32 bytes, where it is hidden
	reason string
}

// ListTypes are the event types read by a List, today's and the former ones.
func ListTypes() []string {
	return []string{
		"m.policy.rule.user", "m.room.rule.user", "org.matrix.mjolnir.rule.user",
		"m.policy.rule.server", "m.room.rule.server", "org.matrix.mjolnir.rule.server",
		"m.policy.rule.room", "m.room.rule.room", "org.matrix.mjolnir.rule.room",
	}
}

// Set replaces the rule under a state key. A content without a banning rule only removes the old rule.
func (l *List) Set(k room.Key, content json.RawMessage) {
	types := ListTypes()
	kind := slices.Index(types, k.Type)
	if kind < 0 {
		return
	}
	k = room.Key{Type: types[kind], StateKey: strings.Clone(k.StateKey)} // the event need not be kept in memory
	in := []*entities{&l.users, &l.servers, &l.rooms}[kind/3]
	if l.rules == nil {
		l.rules = map[room.Key]listRule{}
	}
	if old, had := l.rules[k]; had {
		in.remove(l.forms(k, old), k)
		delete(l.rules, k)
	}
	rule, bans := parseRule(content)
	if !bans || len(l.rules) >= maxRules {
		return
	}
	l.rules[k] = rule
	in.add(l.forms(k, rule), k)
}

// forms lists the globs, names and hashes by which a rule is found.
func (l *List) forms(k room.Key, rule listRule) []string {
	switch {
	case rule.hash != "":
		return []string{hidden + rule.hash}
	case strings.HasSuffix(k.Type, ".server"):
		return denyingServers([]string{rule.entity})[0].forms
	}
	return denyingUsers([]string{rule.entity})[0].forms
}

// Len is the number of banning rules.
func (l *List) Len() int { return len(l.rules) }

// Match returns the rule against a user or their server, or nil.
func (l *List) Match(user id.UserID) *Hit {
	at := len(user) - len(user.Homeserver())
	exact := []string{string(user), string(user[:at]) + ServerName(user)}
	if k, found := l.users.find(spellUser(user), exact); found {
		return l.hit(k)
	}
	if k, found := l.servers.find(spellServer(user), []string{user.Homeserver()}); found {
		return l.hit(k)
	}
	return nil
}

// MatchRoom returns the rule against a room, by its ID or by one of its aliases, or nil.
func (l *List) MatchRoom(r id.RoomID, aliases ...string) *Hit {
	for _, name := range append([]string{string(r)}, aliases...) {
		if k, found := l.rooms.find(spell(name, room.CanonicalID(name)), []string{name}); found {
			return l.hit(k)
		}
	}
	return nil
}

func (l *List) hit(k room.Key) *Hit {
	return &Hit{Entity: l.rules[k].entity, Reason: l.rules[k].reason}
}

// parseRule reads a rule of a policy list. An unreadable rule bans nobody: other people keep the list, and one of their
// mistakes must not lock everybody out.
func parseRule(content json.RawMessage) (rule listRule, bans bool) {
	rulePart := func(path ...string) string { return exactjson.Text(content, path...) }
	switch rulePart("recommendation") {
	case "m.ban", "org.matrix.mjolnir.ban", "m.takedown", "org.matrix.msc4204.takedown":
	default:
		return rule, false
	}
	rule.entity, rule.reason = rulePart("entity"), cut(rulePart("reason"), maxReason)
	if rule.entity != "" {
		return rule, len(rule.entity) <= maxGlob
	}
	for _, name := range []string{"hashes", "org.matrix.msc4205.hashes"} {
		sum, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rulePart(name, "sha256"), "="))
		if err == nil && len(sum) == sha256.Size {
			rule.hash = string(sum)
			return rule, true
		}
	}
	return rule, false
}

// cut returns at most the first bytes of a text, in memory of its own.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:most], "")) + "…"
}

// hidden stands before a hash among names.
const hidden = "\x00"

// entities finds the rule against a name. Entities without wildcards and hashes are looked up in a map. The globs are compared one
// after the other: nearly all are ruled out by their pairs of bytes, which lie side by side in memory.
type entities struct {
	names map[string][]room.Key
	hides bool     // a hash was ever among the names
	pairs []uint64 // of globs, in their order
	globs []filed
}

// filed is a glob with its rule.
type filed struct {
	glob string
	key  room.Key
}

func (e *entities) add(forms []string, k room.Key) {
	for _, form := range forms {
		if isGlobbing(form) {
			e.pairs = append(e.pairs, pairsIn(form))
			e.globs = append(e.globs, filed{form, k})
			continue
		}
		if e.names == nil {
			e.names = map[string][]room.Key{}
		}
		e.hides = e.hides || strings.HasPrefix(form, hidden)
		e.names[form] = append(e.names[form], k)
	}
}

func (e *entities) remove(forms []string, k room.Key) {
	for _, form := range forms {
		if isGlobbing(form) {
			at := slices.Index(e.globs, filed{form, k})
			e.pairs = slices.Delete(e.pairs, at, at+1)
			e.globs = slices.Delete(e.globs, at, at+1)
			continue
		}
		e.names[form] = slices.DeleteFunc(e.names[form], func(other room.Key) bool { return other == k })
		if len(e.names[form]) == 0 {
			delete(e.names, form)
		}
	}
}

// isGlobbing reports whether a form has wildcards.
func isGlobbing(form string) bool {
	return !strings.HasPrefix(form, hidden) && strings.ContainsAny(form, "*?")
}

// find returns the rule against a name. Its spellings are compared with names and globs; these and the exact texts with hashes.
func (e *entities) find(names spellings, exact []string) (room.Key, bool) {
	for _, name := range names {
		if keys := e.names[name.text]; len(keys) > 0 {
			return keys[0], true
		}
		exact = append(exact, name.text)
	}
	for _, text := range exact {
		if !e.hides {
			break
		}
		sum := sha256.Sum256([]byte(text))
		if keys := e.names[hidden+string(sum[:])]; len(keys) > 0 {
			return keys[0], true
		}
	}
	for _, name := range names {
		for i, pairs := range e.pairs {
			if pairs&^name.pairs == 0 && name.match(e.globs[i].glob) {
				return e.globs[i].key, true
			}
		}
	}
	return room.Key{}, false
}
