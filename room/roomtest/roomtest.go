// Package roomtest makes random rooms and actions for tests of authorization, the same ones from the same seed.
package roomtest

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// Users are the people of the random rooms. The first created the room; the last two are on another server.
func Users() []id.UserID {
	return []id.UserID{"@olga:one.example", "@bela:one.example", "@caro:one.example", "@alma:one.example", "@dino:two.example", "@edda:two.example"}
}

// Case is a room's whole state (which is Complete) and one action.
type Case struct {
	State  room.State
	Action room.Action
}

// Version returns the room version as a number.
func (c Case) Version() int {
	n, _ := strconv.Atoi(string(c.State.Version))
	return n
}

// New makes a random case. About half of the cases are such that an action has a chance.
func New(r *rand.Rand) Case {
	g := generator{Rand: r, version: 1 + r.IntN(12)}
	g.c.State = room.State{Version: id.RoomVersion(strconv.Itoa(g.version)), Events: make(map[room.Key]*room.Event), Complete: true}
	g.create()
	g.joinRules()
	g.powerLevels()
	g.members()
	g.action()
	return g.c
}

// object is a JSON object under construction. Values are anything that encoding/json takes.
type object = map[string]any

type generator struct {
	*rand.Rand
	version int
	c       Case
	levels  object // of m.room.power_levels; nil: none
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) user() id.UserID { return pick(g, Users()...) }

func (g *generator) set(evType, stateKey string, sender id.UserID, content any) {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	key := room.Key{Type: evType, StateKey: stateKey}
	g.c.State.Events[key] = &room.Event{Sender: sender, Content: raw}
}

func (g *generator) create() {
	if g.chance(1) {
		return
	}
	content := object{"room_version": string(g.c.State.Version)}
	if g.version <= 10 {
		content["creator"] = Users()[0]
		if g.chance(10) {
			content["creator"] = g.user()
		}
	}
	if g.chance(20) {
		content["m.federate"] = g.chance(30)
	}
	if g.chance(30) {
		content["additional_creators"] = []id.UserID{g.user()}
	}
	g.set("m.room.create", "", Users()[0], content)
}

func (g *generator) joinRules() {
	if g.chance(10) {
		return
	}
	rule := pick(g, "public", "invite", "knock", "restricted", "knock_restricted", "private")
	if g.version >= 8 && g.chance(40) {
		rule = pick(g, "knock", "restricted", "restricted", "knock_restricted")
	}
	g.set("m.room.join_rules", "", Users()[0], object{"join_rule": rule})
}

// Names of the integers in m.room.power_levels.
func named() []string {
	return []string{"users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"}
}

func (g *generator) powerLevels() {
	if g.chance(15) {
		return
	}
	g.levels = object{}
	for _, name := range named() {
		if g.chance(50) {
			g.levels[name] = g.level(0)
		}
	}
	users := object{}
	for _, user := range Users() {
		if g.chance(60) && !(g.version == 12 && g.isCreator(user)) {
			users[string(user)] = g.level(30)
		}
	}
	if g.chance(90) {
		g.levels["users"] = users
	}
	for _, name := range []string{"events", "notifications"} {
		if g.chance(60) {
			g.levels[name] = g.entries(name)
		}
	}
	g.set("m.room.power_levels", "", Users()[0], g.levels)
}

func (g *generator) isCreator(user id.UserID) bool {
	content := string(g.content("m.room.create", ""))
	return user == Users()[0] || len(content) > 0 && containsCreator(content, user)
}

func containsCreator(content string, user id.UserID) bool {
	for creator := range exactjson.Items([]byte(content), "additional_creators") {
		if exactjson.Text(creator) == string(user) {
			return true
		}
	}
	return false
}

func (g *generator) content(evType, stateKey string) json.RawMessage {
	if e := g.c.State.Events[room.Key{Type: evType, StateKey: stateKey}]; e != nil {
		return e.Content
	}
	return nil
}

func (g *generator) entries(name string) object {
	out := object{}
	keys := []string{"room", "org.example"}
	if name == "events" {
		keys = []string{"m.room.power_levels", "m.room.join_rules", "m.room.name", "m.room.message"}
	}
	for _, key := range keys {
		if g.chance(40) {
			out[key] = g.level(0)
		}
	}
	return out
}

// level makes a power level that the room version allows, higher ones for users.
func (g *generator) level(bonus int) any {
	n := pick(g, 0, 0, 0, 10, 40, 50, 50, 60, 100) + pick(g, 0, 0, bonus)
	if g.chance(3) {
		n = pick(g, -1, -50, 9007199254740991)
	}
	digits := strconv.Itoa(n)
	switch {
	case g.version <= 9 && g.chance(8):
		return pick(g, digits, " "+digits+" ", "00"+strconv.Itoa(max(n, 0)))
	case g.version <= 5 && g.chance(8):
		return json.RawMessage(pick(g, digits+".0", digits+".7"))
	}
	return n
}

func (g *generator) members() {
	for i, user := range Users() {
		membership := pick(g, "join", "join", "join", "invite", "leave", "ban", "knock", "")
		if i == 0 && g.chance(70) {
			membership = "join"
		}
		if membership != "" {
			g.set("m.room.member", string(user), user, object{"membership": membership})
		}
	}
}
