package room

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"

	"usher/exactjson"
)

// A level is a power level as some event gives it, or does not. The zero value is absent.
type level struct {
	state levelState
	value Level    // saturates within (-2⁶³, 2⁶³-1): Infinite is a creator's alone
	exact *big.Int // the value where value is saturated, so comparing stays exact; else nil
}

type levelState uint8

const (
	absent levelState = iota
	given
	malformed
)

func exactly(v Level) level { return level{state: given, value: v} }

// or returns the default for an absent level.
func (l level) or(def Level) level {
	if l.state == absent {
		return exactly(def)
	}
	return l
}

// reaches reports whether l suffices where needed is asked for. Nothing suffices for, or with, a malformed level.
func (l level) reaches(needed level) bool {
	return l.state == given && needed.state == given && compare(l, needed) >= 0
}

// outranks reports whether l is above another. A malformed level outranks nothing and is outranked by nothing.
func (l level) outranks(other level) bool {
	return l.state == given && other.state == given && compare(l, other) > 0
}

// same reports whether a level was neither added, changed nor removed. Malformed levels always count as changed.
func (l level) same(other level) bool {
	return l.state == other.state && l.state != malformed && (l.state == absent || compare(l, other) == 0)
}

func compare(a, b level) int {
	if c := cmp.Compare(a.value, b.value); c != 0 || a.exact == nil && b.exact == nil {
		return c
	}
	return a.big().Cmp(b.big())
}

func (l level) big() *big.Int {
	if l.exact != nil {
		return l.exact
	}
	return big.NewInt(int64(l.value))
}

// level reads a power level as the room version allows it to be written.
func (t *traits) level(n exactjson.Value) level {
	switch n.Kind {
	case exactjson.None:
		return level{}
	case exactjson.Number:
		return t.number(n.Raw)
	case exactjson.String:
		if t.strings {
			return stringLevel(n.Text())
		}
	}
	return level{state: malformed}
}

func (t *traits) number(s string) level {
	if strings.ContainsAny(s, ".eE") {
		if !t.floats {
			return level{state: malformed}
		}
		return floatLevel(s)
	}
	if t.canonicalJSON && !exactjson.Fits53(s) {
		return level{state: malformed} // no event of this version can hold it
	}
	return integerLevel(s)
}

// stringLevel reads the string format of v1–v9: one base 10 integer, any zeroes and one sign before it, any space
// around it.
func stringLevel(s string) level {
	s = strings.TrimSpace(s)
	digits := s
	if s != "" && (s[0] == '+' || s[0] == '-') {
		digits = s[1:]
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return level{state: malformed}
		}
	}
	if digits == "" {
		return level{state: malformed}
	}
	return integerLevel(s)
}

// floatLevel reads the float format of v1–v5: exponent applied, then truncated; no more than a binary64 can hold.
func floatLevel(s string) level {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return level{state: malformed}
	}
	if f = math.Trunc(f); math.Abs(f) < 1<<62 {
		return exactly(Level(f))
	}
	i, _ := new(big.Float).SetFloat64(f).Int(nil)
	return bigLevel(i)
}

// integerLevel reads digits with an optional sign, up to the range of a binary64.
func integerLevel(s string) level {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil && v > math.MinInt64 && v < math.MaxInt64 {
		return exactly(Level(v))
	}
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return level{state: malformed}
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return level{state: malformed}
	}
	return bigLevel(i)
}

func bigLevel(i *big.Int) level {
	if i.IsInt64() && i.Int64() > math.MinInt64 && i.Int64() < math.MaxInt64 {
		return exactly(Level(i.Int64()))
	}
	if i.Sign() < 0 {
		return level{state: given, value: math.MinInt64, exact: i}
	}
	return level{state: given, value: math.MaxInt64 - 1, exact: i}
}

// The levels named by m.room.power_levels, in the specification's order.
const (
	usersDefault = iota
	eventsDefault
	stateDefault
	banLevel
	redactLevel
	kickLevel
	inviteLevel
	namedLevels
)

func levelName(i int) string {
	return [namedLevels]string{"users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"}[i]
}

// defaultLevel is the value of a named level when the event, or the whole event, is missing
// (https://spec.matrix.org/latest/client-server-api/#mroompower_levels).
func defaultLevel(i int) Level {
	return [namedLevels]Level{stateDefault: 50, banLevel: 50, redactLevel: 50, kickLevel: 50}[i]
}

// powerLevels is the content of m.room.power_levels.
type powerLevels struct {
	named                        [namedLevels]level
	users, events, notifications table
}

func (t *traits) powerLevels(content exactjson.Value) *powerLevels {
	p := new(powerLevels)
	for i := range p.named {
		p.named[i] = t.level(content.Get(levelName(i)))
		if content.Kind != exactjson.Object {
			p.named[i].state = malformed
		}
	}
	p.users = t.table(content, "users")
	p.events = t.table(content, "events")
	p.notifications = t.table(content, "notifications")
	return p
}

// A table is an object of power levels. levels goes with the object's items.
type table struct {
	state  levelState // malformed: not an object
	object exactjson.Value
	levels []level
}

func (t *traits) table(content exactjson.Value, name string) table {
	n := content.Get(name)
	if content.Kind != exactjson.Object || n.Exists() && n.Kind != exactjson.Object {
		return table{state: malformed}
	}
	out := table{given, n, make([]level, len(n.Items))}
	for i := range n.Items {
		out.levels[i] = t.level(n.Items[i].Value)
	}
	return out
}

func (t *table) find(key string) level {
	if t.state == malformed {
		return level{state: malformed}
	}
	if i := t.object.Find(key); i >= 0 {
		return t.levels[i]
	}
	return level{}
}

// A change is an entry with a difference between two tables. Its levels are absent where it was added or removed.
type change struct {
	key      string
	old, new level
}

// changes lists the differences between two tables. A malformed table counts as one changed entry without a key.
func changes(old, new *table) []change {
	if old.state == malformed || new.state == malformed {
		return []change{{"", level{state: malformed}, level{state: malformed}}}
	}
	var out []change
	for i, item := range old.object.Items {
		if c := (change{item.Key, old.levels[i], new.find(item.Key)}); !c.old.same(c.new) {
			out = append(out, c)
		}
	}
	for i, item := range new.object.Items {
		if old.find(item.Key).state == absent {
			out = append(out, change{item.Key, level{}, new.levels[i]})
		}
	}
	return out
}
