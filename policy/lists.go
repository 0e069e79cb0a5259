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

// List is a policy list (https://spec.matrix.org/latest/client-server-api/#moderation-policy-lists): the rules on users and
// servers that ban, from one room. Looking somebody up costs the same with ten rules and with a hundred thousand.
// The zero value is empty. It is not safe for concurrent use.
type List struct {
	rules   map[room.Key]listRule
	users   entities
	servers entities
}

// listRule is one rule that bans.
type listRule struct {
	entity string // a glob; empty where it is hidden
	hash   string // SHA-256 of the entity, 32 bytes, where it is hidden
	reason string
}

// ListTypes are the event types that a List reads, today's and those of old.
func ListTypes() []string {
	return []string{
		"m.policy.rule.user", "m.room.rule.user", "org.matrix.mjolnir.rule.user",
		"m.policy.rule.server", "m.room.rule.server", "org.matrix.mjolnir.rule.server",
	}
}

// Set takes in a rule, or takes it out where the content is none that bans.
func (l *List) Set(k room.Key, content json.RawMessage) {
	kind := slices.Index(ListTypes(), k.Type)
	if kind < 0 {
		return
	}
	k = room.Key{Type: ListTypes()[kind], StateKey: strings.Clone(k.StateKey)} // lets go of the event that they are part of
	in := &l.users
	if strings.HasSuffix(k.Type, ".server") {
		in = &l.servers
	}
	if l.rules == nil {
		l.rules = map[room.Key]listRule{}
	}
	if old, had := l.rules[k]; had {
		in.remove(old, k)
		delete(l.rules, k)
	}
	rule, bans := parseRule(content)
	if !bans {
		return
	}
	if in == &l.servers {
		rule.entity = host(rule.entity)
	}
	l.rules[k] = rule
	in.add(rule, k)
}

// Len is the number of rules that ban.
func (l *List) Len() int { return len(l.rules) }

// Match returns the rule that bans a user or their server, or nil.
func (l *List) Match(user id.UserID) *Hit {
	k, hit := l.users.find(string(user))
	if name := plain(user); !hit && name != string(user) {
		k, hit = l.users.find(name)
	}
	if !hit {
		k, hit = l.servers.find(ServerName(user))
	}
	if !hit {
		return nil
	}
	return &Hit{Entity: l.rules[k].entity, Reason: l.rules[k].reason}
}

// parseRule reads a rule of a policy list. A rule that it can't read bans nobody: other people keep the list, and one of their
// mistakes must not lock everybody out.
func parseRule(content json.RawMessage) (rule listRule, bans bool) {
	rulePart := func(path ...string) string { return exactjson.Text(content, path...) }
	switch rulePart("recommendation") {
	case "m.ban", "org.matrix.mjolnir.ban", "m.takedown", "org.matrix.msc4204.takedown":
	default:
		return rule, false
	}
	rule.entity, rule.reason = rulePart("entity"), rulePart("reason")
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

// entities finds the rule that matches a text. Names and hashes are looked up. A glob is filed under one run of four bytes
// that whatever it matches must hold, the one that is shared with the fewest others; only globs without such a run are
// gone through.
type entities struct {
	names map[string][]room.Key
	globs map[gram][]filed
	rest  []filed
}

type gram [4]byte

// filed is a glob with the rule it belongs to.
type filed struct {
	glob string
	key  room.Key
}

func (e *entities) add(rule listRule, k room.Key) {
	if e.names == nil {
		e.names, e.globs = map[string][]room.Key{}, map[gram][]filed{}
	}
	if name, plain := rule.name(); plain {
		e.names[name] = append(e.names[name], k)
		return
	}
	best, found := gram{}, false
	for _, g := range grams(rule.entity) {
		if !found || len(e.globs[g]) < len(e.globs[best]) {
			best, found = g, true
		}
	}
	if !found {
		e.rest = append(e.rest, filed{rule.entity, k})
		return
	}
	e.globs[best] = append(e.globs[best], filed{rule.entity, k})
}

func (e *entities) remove(rule listRule, k room.Key) {
	if name, plain := rule.name(); plain {
		e.names[name] = slices.DeleteFunc(e.names[name], func(other room.Key) bool { return other == k })
		return
	}
	mine := func(f filed) bool { return f.key == k }
	for _, g := range grams(rule.entity) {
		e.globs[g] = slices.DeleteFunc(e.globs[g], mine)
	}
	e.rest = slices.DeleteFunc(e.rest, mine)
}

// find returns the rule that matches a text.
func (e *entities) find(text string) (room.Key, bool) {
	if keys := e.names[text]; len(keys) > 0 {
		return keys[0], true
	}
	sum := sha256.Sum256([]byte(text))
	if keys := e.names["\x00"+string(sum[:])]; len(keys) > 0 {
		return keys[0], true
	}
	for i := 0; i+len(gram{}) <= len(text); i++ {
		for _, f := range e.globs[gram([]byte(text[i:i+len(gram{})]))] {
			if Match(f.glob, text) {
				return f.key, true
			}
		}
	}
	for _, f := range e.rest {
		if Match(f.glob, text) {
			return f.key, true
		}
	}
	return room.Key{}, false
}

// name is what a rule without wildcards is looked up by.
func (r listRule) name() (name string, plain bool) {
	if r.hash != "" {
		return "\x00" + r.hash, true
	}
	return r.entity, !strings.ContainsAny(r.entity, "*?")
}

// grams lists the runs of four bytes in a glob that hold no wildcard.
func grams(glob string) (all []gram) {
	for i := 0; i+len(gram{}) <= len(glob); i++ {
		if g := gram([]byte(glob[i : i+len(gram{})])); !strings.ContainsAny(string(g[:]), "*?") {
			all = append(all, g)
		}
	}
	return all
}
