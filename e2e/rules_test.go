package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// steps is how many situations each room is walked through.
const steps = 34

// TestRulesPredictTheHomeserver walks through random situations in real rooms. Before each step `usher check` predicts from
// the room's real state what the client API will answer; then the request is made.
func TestRulesPredictTheHomeserver(t *testing.T) {
	w := harness.New(t, harness.Options{Alone: true})
	kind := string(harness.Kind())
	oracle := harness.NewOracle(t)
	cast := []*harness.Account{w.Account("owner"), w.Account("moderator"), w.Account("member"), w.Account("guest"), w.Account("stranger")}
	total, allowed := 0, 0
	for i, version := range []string{"1", "1", "6", "6", "7", "7", "8", "8", "10", "10", "11", "11", "12", "12"} {
		t.Run("v"+version, func(t *testing.T) {
			walk := newWalk(t, version, kind, uint64(i), cast)
			for range steps {
				s := walk.situation()
				predicted, rule := oracle.Ask(s.question).For(kind)
				status, body := s.actor.Try(s.method, s.path, s.body)
				if s.known != "" && status >= 400 {
					predicted = "deny"
				}
				if (status == http.StatusOK) != (predicted == "allow") {
					question, _ := json.Marshal(s.question)
					t.Errorf("%s answers %d %s, predicted %s (%s)\n%s", kind, status, body, predicted, rule, question)
				}
				total++
				if status == http.StatusOK {
					allowed++
				}
			}
		})
	}
	t.Logf("%d situations, %d of them allowed", total, allowed)
	if total < 200 || allowed < total/5 || allowed > total*4/5 {
		t.Errorf("%d of %d allowed: the situations are too few or too much alike", allowed, total)
	}
}

// walk is one room on its way through situations.
type walk struct {
	version, kind string
	room, lobby   id.RoomID
	cast          []*harness.Account // the owner first; all but the stranger are in the lobby
	random        *rand.Rand
	made          int // situations so far
}

// situation is a request and the question whether it will pass.
type situation struct {
	actor        *harness.Account
	method, path string
	body         any
	question     m
	known        string // a deviation that no room state explains: the homeserver may refuse all the same
}

func newWalk(t *testing.T, version, kind string, seed uint64, cast []*harness.Account) *walk {
	t.Helper()
	owner := cast[0]
	wk := &walk{version: version, kind: kind, cast: cast, random: rand.New(rand.NewPCG(3, seed))}
	wk.lobby = owner.CreateRoom(harness.RoomOptions{Version: version, Preset: "public_chat"})
	for _, a := range cast[1:4] {
		a.Join(wk.lobby)
	}
	users := m{string(cast[1].ID): 50}
	if version != "12" {
		users[string(owner.ID)] = 100
	}
	wk.room = owner.CreateRoom(harness.RoomOptions{Version: version, Preset: "public_chat", Power: m{"invite": 25, "kick": 50, "ban": 50, "users": users}})
	for _, a := range cast[1:3] {
		a.Join(wk.room)
	}
	return wk
}

// state is the room's state as the owner sees it, by type and state key.
func (wk *walk) state() map[string]map[string]harness.Event {
	var events []harness.Event
	answer := wk.cast[0].Do(http.MethodGet, "/v3/rooms/"+url.PathEscape(string(wk.room))+"/state", nil)
	if err := json.Unmarshal(answer.Body, &events); err != nil {
		panic(err)
	}
	state := map[string]map[string]harness.Event{}
	for _, e := range events {
		if state[e.Type] == nil {
			state[e.Type] = map[string]harness.Event{}
		}
		state[e.Type][*e.StateKey] = e
	}
	return state
}

// situation makes one up.
func (wk *walk) situation() situation {
	state := wk.state()
	wk.made++
	actions := []string{"invite", "invite", "join", "join", "leave", "kick", "ban", "unban", "set_join_rules", "set_power_levels"}
	if wk.kind != "dendrite" { // it has no knocking at all
		actions = append(actions, "knock")
	}
	action := actions[wk.random.IntN(len(actions))]
	actor, target := wk.cast[wk.random.IntN(len(wk.cast))], wk.cast[1+wk.random.IntN(len(wk.cast)-1)]
	self := action == "join" || action == "knock" || action == "leave"
	if self {
		actor = target // the owner stays, to see the state
	}
	s := situation{actor: actor, method: http.MethodPost, path: "/v3/rooms/" + url.PathEscape(string(wk.room)) + "/" + action, body: m{"user_id": target.ID}}
	content := m{}
	switch {
	case action == "set_join_rules":
		content = wk.joinRules()
		s.method, s.body = http.MethodPut, content
		s.path = "/v3/rooms/" + url.PathEscape(string(wk.room)) + "/state/m.room.join_rules/"
	case action == "set_power_levels":
		content = wk.powerLevels(state["m.room.power_levels"][""].Content)
		s.method, s.body = http.MethodPut, content
		s.path = "/v3/rooms/" + url.PathEscape(string(wk.room)) + "/state/m.room.power_levels/"
	case self:
		s.body = m{}
		if action != "leave" {
			s.path = "/v3/" + action + "/" + url.PathEscape(string(wk.room))
		}
	}
	if s.method == http.MethodPut {
		content["test.step"] = wk.made // homeservers answer 200 to state that is there already, whoever sends it
	}
	if wk.kind == "dendrite" && action == "join" && !wk.vouched(target) && joinedRestricted(state, target) {
		s.known = "Dendrite answers 500 to a member who joins again a restricted room that would not let them in today"
	}
	if action == "join" && wk.vouched(target) {
		content["join_authorised_via_users_server"] = wk.cast[0].ID
	}
	s.question = wk.question(state, m{"type": action, "sender": actor.ID, "target": target.ID, "content": content})
	return s
}

// joinedRestricted reports whether somebody is in the room and its join rule is a restricted one.
func joinedRestricted(state map[string]map[string]harness.Event, who *harness.Account) bool {
	return state["m.room.member"][string(who.ID)].Field("membership") == "join" &&
		strings.HasSuffix(state["m.room.join_rules"][""].Field("join_rule"), "restricted")
}

// vouched reports whether the homeserver will vouch for somebody in a restricted room: the owner is in there and has the
// power, so what matters is whether they are in the lobby.
func (wk *walk) vouched(who *harness.Account) bool { return who != wk.cast[4] }

// joinRules is a join rule that the version knows.
func (wk *walk) joinRules() m {
	rules := []string{"public", "invite"}
	version := 0
	if _, err := fmt.Sscan(wk.version, &version); err != nil {
		panic(err)
	}
	if version >= 7 {
		rules = append(rules, "knock")
	}
	if version >= 8 {
		rules = append(rules, "restricted", "restricted")
	}
	if version >= 10 {
		rules = append(rules, "knock_restricted")
	}
	content := m{"join_rule": rules[wk.random.IntN(len(rules))]}
	if content["join_rule"] == "restricted" || content["join_rule"] == "knock_restricted" {
		content["allow"] = []m{{"type": "m.room_membership", "room_id": wk.lobby}}
	}
	return content
}

// powerLevels changes one thing in the current ones. Who creates the room keeps their power, and levels stay below it.
func (wk *walk) powerLevels(now json.RawMessage) m {
	content := m{}
	if err := json.Unmarshal(now, &content); err != nil {
		panic(err)
	}
	level := []int{0, 25, 50, 75}[wk.random.IntN(4)]
	switch wk.random.IntN(3) {
	case 0:
		content[[]string{"invite", "kick", "ban"}[wk.random.IntN(3)]] = level
	case 1:
		content["events"] = m{"m.room.join_rules": level, "m.room.power_levels": 50}
	default:
		users, _ := content["users"].(map[string]any)
		users = maps.Clone(users)
		if users == nil {
			users = m{}
		}
		users[string(wk.cast[1+wk.random.IntN(3)].ID)] = level
		content["users"] = users
	}
	return content
}

// question is the case for `usher check`.
func (wk *walk) question(state map[string]map[string]harness.Event, action m) m {
	wrap := func(kind string) any {
		if e, exists := state[kind][""]; exists {
			return e.Content
		}
		return nil
	}
	members := m{}
	for _, user := range slices.Sorted(maps.Keys(state["m.room.member"])) {
		e := state["m.room.member"][user]
		members[user] = m{"membership": e.Field("membership"), "sender": e.Sender}
	}
	create := state["m.room.create"][""]
	return m{
		"id": "live", "room_version": wk.version, "action": action,
		"state": m{
			"create": m{"sender": create.Sender, "content": create.Content}, "join_rules": wrap("m.room.join_rules"),
			"power_levels": wrap("m.room.power_levels"), "members": members, "third_party_invite": nil,
		},
	}
}
