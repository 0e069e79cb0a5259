package room_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"usher/room"
	"usher/room/roomtest"
)

const randomCases = 30_000

// TestNeedsSuffices checks that a snapshot that holds exactly what Needs names gives the same result as one of the
// whole room.
func TestNeedsSuffices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range randomCases {
		c := roomtest.New(r)
		events := make(map[room.Key]*room.Event)
		for _, key := range room.Needs(c.Action) {
			events[key] = c.State.Events[key]
		}
		whole := room.Authorize(room.NewSnapshot(c.State), c.Action)
		part := room.Authorize(room.NewSnapshot(room.State{Version: c.State.Version, Events: events}), c.Action)
		if whole != part {
			t.Fatalf("case %d, %+v: %+v with all, %+v with what it needs", i, c.Action, whole, part)
		}
		if whole.Verdict == room.Unknown {
			t.Fatalf("case %d, %+v: %+v with all", i, c.Action, whole)
		}
	}
}

// TestUnknownIsSafe takes state away from a room: the result stays, or becomes Unknown and names what was taken.
func TestUnknownIsSafe(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	needed := make(map[room.ActionType]map[string]bool)
	for i := range randomCases {
		c := roomtest.New(r)
		whole := room.Authorize(room.NewSnapshot(c.State), c.Action)
		needs := room.Needs(c.Action)
		events := make(map[room.Key]*room.Event)
		var taken []room.Key
		for _, key := range needs {
			if r.IntN(3) == 0 {
				taken = append(taken, key)
			} else {
				events[key] = c.State.Events[key]
			}
		}
		part := room.Authorize(room.NewSnapshot(room.State{Version: c.State.Version, Events: events}), c.Action)
		if part.Verdict != room.Unknown {
			if part != whole {
				t.Fatalf("case %d, %+v: %+v with all, %+v without %v", i, c.Action, whole, part, taken)
			}
			continue
		}
		if part.Rule != room.RuleUnknown || !slices.Contains(taken, part.Evidence.Key) {
			t.Fatalf("case %d: %+v without %v", i, part, taken)
		}
		if needed[c.Action.Type] == nil {
			needed[c.Action.Type] = make(map[string]bool)
		}
		needed[c.Action.Type][part.Evidence.Key.Type] = true
	}
	// Everything that Needs names is read at times.
	for _, c := range []struct {
		action room.ActionType
		types  []string
	}{
		{room.Join, []string{"m.room.create", "m.room.join_rules", "m.room.member", "m.room.power_levels"}},
		{room.Invite, []string{"m.room.create", "m.room.member", "m.room.power_levels", "m.room.third_party_invite"}},
		{room.Knock, []string{"m.room.create", "m.room.join_rules", "m.room.member"}},
		{room.Kick, []string{"m.room.create", "m.room.member", "m.room.power_levels"}},
		{room.Ban, []string{"m.room.create", "m.room.member", "m.room.power_levels"}},
		{room.SetPowerLevels, []string{"m.room.create", "m.room.member", "m.room.power_levels"}},
	} {
		if got := slices.Sorted(maps.Keys(needed[c.action])); !slices.Equal(got, c.types) {
			t.Errorf("%s was unknown for %v, want %v", c.action, got, c.types)
		}
	}
}

// TestRulesAreReached checks that the random cases reach nearly all rules, so that they are worth something.
func TestRulesAreReached(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seen := make(map[room.Rule]int)
	allowed := 0
	for range randomCases {
		c := roomtest.New(r)
		result := room.Authorize(room.NewSnapshot(c.State), c.Action)
		seen[result.Rule]++
		if result.Verdict == room.Allow {
			allowed++
		}
	}
	t.Logf("%d of %d allowed, %d rules", allowed, randomCases, len(seen))
	if allowed < randomCases/5 || len(seen) < 58 {
		t.Errorf("%d of %d allowed; rules reached: %v", allowed, randomCases, seen)
	}
}
