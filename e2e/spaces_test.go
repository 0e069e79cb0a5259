package e2e

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// spaceRoom is a room of a test's space.
type spaceRoom struct {
	name, rule string
	in         int // index of its space
	space      bool
	allowed    []int
	want       string // standing of the guest
	id         id.RoomID
}

// TestSpace: an invitation to a space of 12 rooms with four join rules, nested. The guest is invited to the space, and to the rooms that need it
// after joining, also by a process that was killed in between; a second command changes nothing. All rooms are named in a direct chat only.
func TestSpace(t *testing.T) {
	s := newStage(t, true)
	const later, member = "gets an invitation after joining the space.", "comes in as a member of the space."
	rooms := []*spaceRoom{
		{name: "Space", rule: "invite", space: true, want: "is invited."},
		{name: "Open", rule: "public", want: "open to everybody."},
		{name: "Closed", rule: "invite", want: later},
		{name: "Members", rule: "restricted", allowed: []int{0}, want: member},
		{name: "Knock", rule: "knock", want: later},
		{name: "Sub", rule: "restricted", space: true, allowed: []int{0}, want: member},
		{name: "Inner members", rule: "restricted", in: 5, allowed: []int{5}, want: member},
		{name: "Inner closed", rule: "invite", in: 5, want: later},
		{name: "Inner open", rule: "public", in: 5, want: "open to everybody."},
		{name: "Others", rule: "restricted", in: 5, allowed: []int{2}, want: member}, // invited to the room that lets its members in
		{name: "Strict", rule: "invite", want: "users_denied"},
		{name: "Secret", rule: "invite"}, // nobody's but the maker's
		{name: "Last", rule: "public", want: "open to everybody."},
	}
	other := s.Account("other")
	for i, r := range rooms {
		allow := []any{}
		for _, a := range r.allowed {
			allow = append(allow, m{"type": "m.room_membership", "room_id": rooms[a].id})
		}
		o := harness.RoomOptions{Name: r.name, State: []any{m{"type": "m.room.join_rules", "state_key": "", "content": m{"join_rule": r.rule, "allow": allow}}}}
		if r.space {
			o.Type = "m.space"
		}
		if r.name == "Secret" {
			r.id = other.CreateRoom(o)
		} else {
			r.id = s.BotRoom(s.owner, o)
		}
		if i > 0 {
			s.owner.SetState(rooms[r.in].id, "m.space.child", string(r.id), m{"via": []string{s.owner.ID.Homeserver()}, "order": fmt.Sprintf("%02d", i)})
		}
	}
	s.succeeds(s.owner, rooms[10].id, "!policy set whom.deny_users "+string(s.guest.ID))

	direct := s.BotRoom(s.owner, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})
	command := "!invite " + string(s.guest.ID) + " " + string(rooms[0].id) + " --space"
	tree := func(command string) string {
		said := s.owner.Say(direct, command)
		return s.owner.AwaitReply(said, s.Usher.Bot).Field("body")
	}
	check := func(when, body string, was ...string) {
		t.Helper()
		body, at := strings.NewReplacer(was...).Replace(body), 0
		for _, r := range rooms {
			i := strings.Index(body, " "+r.name+": ")
			if r.want == "" {
				if i >= 0 || strings.Contains(body, string(r.id)) {
					t.Errorf("%s: names %s: %s", when, r.name, body)
				}
				continue
			}
			line, _, _ := strings.Cut(body[max(i, 0):], "\n")
			want := strings.ReplaceAll(r.want, "users_denied", "policy.whom.user_denied")
			if i < at && r.name != "Strict" && r.name != "Last" || !strings.Contains(line, want) {
				t.Errorf("%s: %s is not %q, or not in order, in\n%s", when, r.name, want, body)
			}
			at = i
		}
	}
	shown := s.owner.AwaitReply(s.owner.Say(s.room, "!why "+string(s.guest.ID)+" "+string(rooms[0].id)+" --space"), s.Usher.Bot).Field("body")
	for _, r := range rooms { // in a room whose people may not know them
		if named := strings.Contains(shown, " "+r.name+": "); named != (r.rule == "public" || r.rule == "knock") || strings.Contains(shown, string(r.id)) {
			t.Errorf("%s is named: %v, in\n%s", r.name, named, shown)
		}
	}
	if !strings.Contains(shown, "4 rooms that I do not name here") {
		t.Errorf("does not count the others: %s", shown)
	}
	check("why", tree("!why "+string(s.guest.ID)+" "+string(rooms[0].id)+" --space"), "Space: needs an invitation.", "Space: is invited.", "needs an invitation.", later)
	check("first", tree(command))
	s.guest.AwaitInvite(rooms[0].id)
	acts := s.acts(rooms[0].id)
	check("again", tree(command))
	if s.acts(rooms[0].id) != acts || s.acts(rooms[2].id)+s.acts(rooms[4].id)+s.acts(rooms[7].id) != 0 {
		t.Error("the second command changed something, or a room was too early")
	}
	s.Usher.Kill()
	s.guest.Join(rooms[0].id)
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{2, 4, 7} {
		s.guest.AwaitInvite(rooms[i].id)
		s.is(t, rooms[i].id, s.guest.ID, "invite", s.owner.ID)
	}
	s.owner.Await("the result", func(e harness.Event) bool {
		return e.Room == string(direct) && strings.Contains(e.Field("body"), "has joined") && strings.Count(e.Field("body"), "\n— ✅")+strings.Count(e.Field("body"), "\n— ⏳") == 3
	})
	gone := tree("!uninvite " + string(s.guest.ID) + " " + string(rooms[0].id) + " --space")
	if strings.Count(gone, "taken back") != 3 {
		t.Errorf("taken back: %s", gone)
	}
	for _, i := range []int{1, 3, 5, 6, 8} {
		if s.acts(rooms[i].id) != 0 {
			t.Errorf("%s: needs no invitation, and Usher changed a membership", rooms[i].name)
		}
	}
}
