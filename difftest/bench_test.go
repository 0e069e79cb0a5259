package difftest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/matrix-org/gomatrixserverlib"
	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/room/roomtest"
)

// invite is an invitation in a room with 100 users in its power levels.
func invite() pair {
	users := map[string]int{"@olga:one.example": 100}
	for i := range 99 {
		users[fmt.Sprintf("@user%02d:server%d.example", i, i%7)] = i
	}
	event := func(content any) *room.Event {
		raw, err := json.Marshal(content)
		if err != nil {
			panic(err)
		}
		return &room.Event{Sender: "@olga:one.example", Content: raw}
	}
	type object = map[string]any
	return newPair(roomtest.Case{
		State: room.State{Version: "11", Complete: true, Events: map[room.Key]*room.Event{
			createKey:    event(object{"room_version": "11"}),
			joinRulesKey: event(object{"join_rule": "invite"}),
			levelsKey:    event(object{"users": users, "invite": 50, "events": object{"m.room.power_levels": 100}}),
			{Type: "m.room.member", StateKey: "@olga:one.example"}: event(object{"membership": "join"}),
		}},
		Action: room.Action{Type: room.Invite, Sender: "@olga:one.example", Target: "@bela:one.example", Content: json.RawMessage(`{}`)},
	})
}

// byHand is what an invitation in an ordinary room comes down to, with nothing that could be missing, malformed or of another
// room version, and no reasons given.
type byHand struct {
	memberships          map[id.UserID]string
	users                map[id.UserID]int64
	usersDefault, invite int64
}

func (h *byHand) allows(sender, target id.UserID) bool {
	if h.memberships[sender] != "join" {
		return false
	}
	if m := h.memberships[target]; m == "join" || m == "ban" {
		return false
	}
	power, named := h.users[sender]
	if !named {
		power = h.usersDefault
	}
	return power >= h.invite
}

// newByHand reads the state that a pair has.
func newByHand(p pair) (*byHand, error) {
	h := &byHand{memberships: map[id.UserID]string{}}
	for k, e := range p.State.Events {
		if k.Type == "m.room.member" {
			h.memberships[id.UserID(k.StateKey)] = gjson.GetBytes(e.Content, "membership").Str
		}
	}
	var levels struct {
		Users        map[id.UserID]int64 `json:"users"`
		UsersDefault int64               `json:"users_default"`
		Invite       int64               `json:"invite"`
	}
	err := json.Unmarshal(p.State.Events[levelsKey].Content, &levels)
	h.users, h.usersDefault, h.invite = levels.Users, levels.UsersDefault, levels.Invite
	return h, err
}

// BenchmarkInvite judges the same invitation on a warm snapshot, by hand, with a snapshot built for it from raw state, and by
// gomatrixserverlib's Allowed, whose events are parsed already. The ratios come from turns that they take, so that a noisy
// machine is noisy for all.
func BenchmarkInvite(b *testing.B) {
	p := invite()
	c, err := newServerlibCase(p)
	if err != nil || p.Verdict != room.Allow {
		b.Fatal(err, p)
	}
	hand, err := newByHand(p)
	if err != nil {
		b.Fatal(err)
	}
	s := room.NewSnapshot(p.State)
	ways := []struct {
		name  string
		count int // in one turn
		judge func() bool
	}{
		{"warm", 2000, func() bool { return room.Authorize(s, p.Action).Verdict == room.Allow }},
		{"hand", 2000, func() bool { return hand.allows(p.Action.Sender, p.Action.Target) }},
		{"cold", 20, func() bool { return room.Authorize(room.NewSnapshot(p.State), p.Action).Verdict == room.Allow }},
		{"gomatrixserverlib", 20, func() bool { return gomatrixserverlib.Allowed(c.event, c.auth, serverlibUser) == nil }},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !way.judge() {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("in turn", func(b *testing.B) {
		took := make([][]float64, len(ways))
		for b.Loop() {
			for i, way := range ways {
				start := time.Now()
				for range way.count {
					way.judge()
				}
				took[i] = append(took[i], float64(time.Since(start).Nanoseconds())/float64(way.count))
			}
		}
		b.ReportMetric(median(took[0], took[1]), "warm/hand")
		b.ReportMetric(median(took[3], took[0]), "gomatrixserverlib/warm")
		b.ReportMetric(median(took[3], took[2]), "gomatrixserverlib/cold")
	})
}

// median is the median of a/b, turn by turn.
func median(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
