package room_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"usher/room"
)

// state is the state of a small room of version 12: Alice made it, Bob is a member, and invitations need power 50.
func state() room.State {
	event := func(content string) *room.Event {
		return &room.Event{Sender: "@alice:example.org", Content: json.RawMessage(content)}
	}
	return room.State{
		Complete: true,
		Events: map[room.Key]*room.Event{
			{Type: room.TypeCreate}:               event(`{"room_version":"12"}`),
			{Type: room.TypeJoinRules}:            event(`{"join_rule":"invite"}`),
			{Type: room.TypePowerLevels}:          event(`{"invite":50}`),
			room.MemberKey("@alice:example.org"):  event(`{"membership":"join"}`),
			room.MemberKey("@bob:example.org"):    event(`{"membership":"join"}`),
			room.MemberKey("@banned:example.org"): event(`{"membership":"ban"}`),
		},
	}
}

// May Bob invite Carol? He may not: he has power 0 and needs 50.
func ExampleAuthorize() {
	snapshot := room.NewSnapshot(state())
	result := room.Authorize(snapshot, room.Action{Type: room.Invite, Sender: "@bob:example.org", Target: "@carol:example.org"})
	fmt.Println(result.Verdict, result.Rule, result.Evidence.Had, result.Evidence.Needed)
	result = room.Authorize(snapshot, room.Action{Type: room.Invite, Sender: "@alice:example.org", Target: "@carol:example.org"})
	fmt.Println(result.Verdict)
	// Output:
	// deny invite.power 0 50
	// allow
}

// Which state does a judgement need? Read these events from the homeserver; a snapshot without one of them gives Unknown, never Allow.
func ExampleNeeds() {
	action := room.Action{Type: room.Invite, Sender: "@bob:example.org", Target: "@carol:example.org"}
	for _, key := range room.Needs(action) {
		fmt.Println(strings.TrimSpace(key.Type + " " + key.StateKey))
	}
	some := room.NewSnapshot(room.State{Events: map[room.Key]*room.Event{{Type: room.TypeCreate}: state().Events[room.Key{Type: room.TypeCreate}]}})
	fmt.Println(room.Authorize(some, action).Verdict)
	// Output:
	// m.room.create
	// m.room.member @bob:example.org
	// m.room.member @carol:example.org
	// m.room.power_levels
	// unknown
}
