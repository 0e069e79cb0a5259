package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/words"
)

const (
	alice = id.UserID("@alice:here")
	bob   = id.UserID("@bob:here")
	usher = id.UserID("@usher:here")
)

// snapshot makes a room of version 11 that alice created, with the given levels, memberships and policy.
func snapshot(levels map[id.UserID]int, members map[id.UserID]string, policyEvent string) *room.Snapshot {
	raw := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return b
	}
	events := map[room.Key]*room.Event{
		{Type: "m.room.create"}:       {Sender: alice, Content: raw(map[string]any{"room_version": "11"})},
		{Type: "m.room.power_levels"}: {Sender: alice, Content: raw(map[string]any{"invite": 50, "users": levels})},
	}
	for user, membership := range members {
		events[room.Key{Type: "m.room.member", StateKey: user.String()}] = &room.Event{Sender: user, Content: raw(map[string]any{"membership": membership})}
	}
	if policyEvent != "" {
		events[Key()] = &room.Event{ID: "$policy", Sender: alice, Content: json.RawMessage(policyEvent)}
	}
	return room.NewSnapshot(room.State{Events: events, Complete: true})
}

// decide judges by the room's own policy alone.
func decide(s *room.Snapshot, q Question) Decision { return Decide(s, q, Own(s, "!room"), Facts{}) }

func TestDecide(t *testing.T) {
	joined := map[id.UserID]string{alice: "join", usher: "join"}
	invite := Question{Action: room.Invite, Actor: alice, Performer: alice, Target: bob}
	byBot := invite
	byBot.Performer = usher
	tests := []struct {
		name    string
		q       Question
		levels  map[id.UserID]int
		members map[id.UserID]string
		policy  string
		verdict room.Verdict
		code    room.Rule
		side    Side
	}{
		{"both may", byBot, map[id.UserID]int{alice: 50, usher: 50}, joined, "", room.Allow, "invite", SideNone},
		{"the actor may not, whatever the bot may", byBot, map[id.UserID]int{usher: 100}, joined, "", room.Deny, "invite.power", SideActor},
		{"the bot may not", byBot, map[id.UserID]int{alice: 50}, joined, "", room.Deny, "invite.power", SidePerformer},
		{"the bot is not needed", invite, map[id.UserID]int{alice: 50}, joined, "", room.Allow, "invite", SideNone},
		{"invited already", invite, map[id.UserID]int{alice: 50}, map[id.UserID]string{alice: "join", bob: "invite"}, "", room.Allow, CodeAlready, SideNone},
		{"only members learn who is invited", invite, map[id.UserID]int{alice: 50}, map[id.UserID]string{bob: "invite"}, "", room.Deny, "invite.sender_not_joined", SideActor},
		{"policy of another version", invite, map[id.UserID]int{alice: 50}, joined, `{"version":2}`, room.Deny, CodeMalformed, SidePolicy},
		{"policy with an unknown field", invite, map[id.UserID]int{alice: 50}, joined, `{"version":1,"x":1}`, room.Deny, CodeMalformed, SidePolicy},
		{"policy that is no object", invite, map[id.UserID]int{alice: 50}, joined, `[]`, room.Deny, CodeMalformed, SidePolicy},
		{"policy without a version", invite, map[id.UserID]int{alice: 50}, joined, `{"Version":1}`, room.Deny, CodeMalformed, SidePolicy},
		{"empty policy", invite, map[id.UserID]int{alice: 50}, joined, `{}`, room.Allow, "invite", SideNone},
		{"policy without rules", invite, map[id.UserID]int{alice: 50}, joined, `{"version":1}`, room.Allow, "invite", SideNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(snapshot(tt.levels, tt.members, tt.policy), tt.q)
			if d.Verdict != tt.verdict || d.Code != tt.code || d.Side != tt.side {
				t.Errorf("got %s %s by %q, want %s %s by %q", d.Verdict, d.Code, d.Side, tt.verdict, tt.code, tt.side)
			}
			if tt.policy != "" && d.Policy != "$policy" {
				t.Error("the decision does not name the policy in force")
			}
			if text := words.For("en").Text(Explain(tt.q, d).Sentence); !strings.HasSuffix(text, ".") {
				t.Errorf("in words: %q", text)
			}
		})
	}
}

// TestOutsidersLearnNothing: to somebody who is not in the room, all answers are alike.
func TestOutsidersLearnNothing(t *testing.T) {
	const outsider = id.UserID("@outsider:there")
	for _, action := range []room.ActionType{ActionWithdraw, room.Invite, room.Kick, room.Ban} {
		answers := map[string]bool{}
		for _, theirs := range []string{"", "leave"} { // or they have been there
			for _, membership := range []string{"invite", "join", "leave", "ban", "knock", ""} {
				for _, own := range []string{"", `{"version":1}`, `{"version":1,"delegate":true}`, `{"version":1,"whom":{"deny_users":["no user"]}}`, `[]`} {
					members := map[id.UserID]string{alice: "join", usher: "join"}
					if membership != "" {
						members[bob] = membership
					}
					if theirs != "" {
						members[outsider] = theirs
					}
					s := snapshot(map[id.UserID]int{alice: 100, usher: 100, outsider: 100}, members, own)
					for _, performer := range []id.UserID{usher, outsider} {
						q := Question{Action: action, Actor: outsider, Performer: performer, Target: bob}
						d := decide(s, q)
						answers[fmt.Sprint(d.Verdict, d.Code, d.Side, Explain(q, d))] = true
					}
				}
			}
		}
		if len(answers) > 1 {
			t.Errorf("%s: %d answers: %v", action, len(answers), answers)
		}
	}
}

func TestUnknownIsNeverAllowed(t *testing.T) {
	empty := room.NewSnapshot(room.State{})
	q := Question{Action: room.Invite, Actor: alice, Performer: alice, Target: bob}
	if d := decide(empty, q); d.Verdict != room.Unknown || d.Evidence.Key == (room.Key{}) {
		t.Errorf("got %+v, want unknown, with what is missing", d)
	}
	if d := (Decision{}); d.Verdict != room.Deny {
		t.Error("the zero decision does not deny")
	}
}

func TestNeedsSuffice(t *testing.T) {
	q := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: bob}
	whole := snapshot(map[id.UserID]int{alice: 50, usher: 50}, map[id.UserID]string{alice: "join", usher: "join"}, `{"version":1}`)
	events := map[room.Key]*room.Event{}
	for _, key := range Needs(q) {
		event, known := whole.Event(key)
		if !known {
			t.Fatalf("%v is not known", key)
		}
		events[key] = event
	}
	if d := decide(room.NewSnapshot(room.State{Events: events}), q); d.Verdict != room.Allow {
		t.Errorf("got %+v on what Needs names, want allow", d)
	}
}

// TestEveryCodeHasWords goes through the codes that the rules give and looks for the sentence of last resort.
func TestEveryCodeHasWords(t *testing.T) {
	codes := map[room.ActionType][]room.Rule{
		room.Invite: {"create.missing", "federate", "invite.sender_not_joined", "invite.target_joined", "invite.target_banned", "invite.power",
			CodeNoView, CodeNoAssertion, CodeMalformed, room.RuleUnknown},
		room.Join:  {"join.banned", "join.not_invited", "join.rule_unknown", "join.not_self", "join.restricted.no_authoriser"},
		room.Knock: {"knock.unsupported", "knock.rule", "knock.membership"},
		room.Kick:  {"kick.sender_not_joined", "kick.power", "kick.outranked", room.RuleAPIKickAbsent},
		room.Ban:   {"ban.sender_not_joined", "ban.power", "ban.outranked"},
		room.Unban: {"unban.power", room.RuleAPIUnbanNotBanned},
		room.Leave: {"leave.not_in_room"},
	}
	for action, list := range codes {
		for _, code := range list {
			for _, side := range []Side{SideActor, SidePerformer} {
				e := Explain(Question{Action: action, Actor: alice, Performer: usher, Target: bob}, Decision{Code: code, Side: side})
				if strings.HasPrefix(e.Sentence.Key, "why.rules") {
					t.Errorf("%s has no words of its own: %s", code, e.Sentence.Key)
				}
			}
		}
	}
}

// Own reads a room's own policy, without inherited fields; nil where the snapshot does not know it.
func Own(s *room.Snapshot, r id.RoomID) *InForce {
	event, known := s.Event(Key())
	switch {
	case !known:
		return nil
	case event == nil:
		return Merge()
	}
	return Merge(Read(r, event))
}
