package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/words"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// ago lists times before noon, oldest first.
func ago(d ...time.Duration) (list []time.Time) {
	for _, one := range d {
		list = append(list, noon.Add(-one))
	}
	return list
}

// TestPolicyDecides: alice has power 10 where inviting needs 0, and asks for bob; the bot would send it.
func TestPolicyDecides(t *testing.T) {
	const all = FactJoined | FactPast | FactMembers | FactLists | FactSpent
	tests := []struct {
		name   string
		policy string // without the version
		target id.UserID
		facts  Facts
		code   room.Rule // "invite": allowed
		wait   time.Duration
	}{
		{name: "power suffices", policy: `"ask":{"level":10}`, code: "invite"},
		{name: "too little power", policy: `"ask":{"level":11}`, code: CodeAskLevel},
		{name: "named", policy: `"ask":{"users":["@al*:here"]}`, code: "invite"},
		{name: "named by server", policy: `"ask":{"users":["@x:y"],"servers":["here"]}`, code: "invite"},
		{name: "not named", policy: `"ask":{"users":["@x:y"]}`, code: CodeAskWho},
		{name: "server not named", policy: `"ask":{"servers":["*.here"]}`, code: CodeAskWho},
		{name: "long enough", policy: `"ask":{"joined_for":"1h"}`, facts: Facts{Joined: noon.Add(-time.Hour)}, code: "invite"},
		{name: "not long enough", policy: `"ask":{"joined_for":"1h"}`, facts: Facts{Joined: noon.Add(-59 * time.Minute)}, code: CodeAskJoined, wait: time.Minute},
		{name: "user denied", policy: `"whom":{"deny_users":["@b*:*"]}`, code: CodeUserDenied},
		{name: "user denied, whatever the case of the server", policy: `"whom":{"deny_users":["@*:evil.org"]}`, target: "@x:EVIL.org", code: CodeUserDenied},
		{name: "user denied, whatever the port", policy: `"whom":{"deny_users":["@*:evil.org"]}`, target: "@x:evil.org:8448", code: CodeUserDenied},
		{name: "user denied, with the dot of the root", policy: `"whom":{"deny_users":["@x:evil.org"]}`, target: "@x:evil.org.", code: CodeUserDenied},
		{name: "user denied as written", policy: `"whom":{"deny_users":["@x:EVIL.org:8448"]}`, target: "@x:EVIL.org:8448", code: CodeUserDenied},
		{name: "user denied, whatever the case of their name", policy: `"whom":{"deny_users":["@x:evil.org"]}`, target: "@X:EVIL.org", code: CodeUserDenied},
		{name: "user denied in capitals", policy: `"whom":{"deny_users":["@X:evil.org"]}`, target: "@x:evil.org", code: CodeUserDenied},
		{name: "user denied, the server in capitals", policy: `"whom":{"deny_users":["@x:EVIL.org"]}`, target: "@x:evil.org", code: CodeUserDenied},
		{name: "user denied, the server with the dot of the root", policy: `"whom":{"deny_users":["@*:evil.org."]}`, target: "@x:evil.org", code: CodeUserDenied},
		{name: "user denied, with a port", policy: `"whom":{"deny_users":["@*:evil.org:8448"]}`, target: "@x:evil.org:1", code: CodeUserDenied},
		{name: "user denied, in another script's capital", policy: `"whom":{"deny_users":["@spam*:*"]}`, target: "@\u017Fpam:x", code: CodeUserDenied},
		{name: "user denied at an address in another notation", policy: `"whom":{"deny_users":["@*:127.0.0.1"]}`, target: "@x:0x7f000001:80", code: CodeUserDenied},
		{name: "user allowed, but their name has capitals", policy: `"whom":{"allow_users":["@x:evil.org"]}`, target: "@X:evil.org", code: CodeNotAllowed},
		{name: "server allowed as written only", policy: `"whom":{"allow_servers":["evil.org"]}`, target: "@x:evil.org:8448", code: CodeNotAllowed},
		{name: "server allowed in its own case only", policy: `"whom":{"allow_servers":["evil.org"]}`, target: "@x:EVIL.org", code: CodeNotAllowed},
		{name: "server allowed with its port", policy: `"whom":{"allow_servers":["evil.org:8448"]}`, target: "@x:evil.org:8448", code: "invite"},
		{name: "server allowed with any port", policy: `"whom":{"allow_servers":["evil.org:*"]}`, target: "@x:evil.org:8448", code: "invite"},
		{name: "server to ask as written only", policy: `"ask":{"servers":["HERE"]}`, code: CodeAskWho},
		{name: "user allowed as written only", policy: `"whom":{"allow_users":["@*:evil.org"]}`, target: "@x:evil.org:8448", code: CodeNotAllowed},
		{name: "server denied", policy: `"whom":{"deny_servers":["HERE"]}`, code: CodeHostDenied},
		{name: "server denied, whatever its port", policy: `"whom":{"deny_servers":["*.evil"]}`, target: "@b:x.Evil:443", code: CodeHostDenied},
		{name: "server denied with a port", policy: `"whom":{"deny_servers":["*.evil:8448"]}`, target: "@b:x.evil:8448", code: CodeHostDenied},
		{name: "an address denied with a port", policy: `"whom":{"deny_servers":["[::1]:8448"]}`, target: "@b:[::1]", code: CodeHostDenied},
		{name: "an address denied", policy: `"whom":{"deny_servers":["[::1]"]}`, target: "@b:[::1]:80", code: CodeHostDenied},
		{name: "server denied, with the dot of the root", policy: `"whom":{"deny_servers":["x.evil"]}`, target: "@b:x.evil.:443", code: CodeHostDenied},
		{name: "IPv4 with the dot of the root", policy: `"whom":{"ip_literals":false}`, target: "@b:1.2.3.4.", code: CodeIPLiteral},
		{name: "denied before allowed", policy: `"whom":{"allow_users":["@bob:here"],"deny_users":["@bob:here"]}`, code: CodeUserDenied},
		{name: "not allowed", policy: `"whom":{"allow_users":["@x:y"],"allow_servers":["z"]}`, code: CodeNotAllowed},
		{name: "allowed by server", policy: `"whom":{"allow_users":["@x:y"],"allow_servers":["here"]}`, code: "invite"},
		{name: "IPv4", policy: `"whom":{"ip_literals":false}`, target: "@b:1.2.3.4:80", code: CodeIPLiteral},
		{name: "IPv4 as one number", policy: `"whom":{"ip_literals":false}`, target: "@b:2130706433", code: CodeIPLiteral},
		{name: "IPv4 in hexadecimal", policy: `"whom":{"ip_literals":false}`, target: "@b:0x7f000001", code: CodeIPLiteral},
		{name: "IPv6", policy: `"whom":{"ip_literals":false}`, target: "@b:[::1]", code: CodeIPLiteral},
		{name: "a name with digits", policy: `"whom":{"ip_literals":false}`, target: "@b:1.2.3.example", code: "invite"},
		{name: "IP addresses are fine", policy: `"ask":{}`, target: "@b:1.2.3.4", code: "invite"},
		{name: "listed", policy: `"whom":{"lists":["!l"]}`, facts: Facts{Hit: &Hit{List: "!l", Entity: "@b*", Reason: "spam"}}, code: CodeListed},
		{name: "listed, but the user is exempt", policy: `"whom":{"lists":["!l"],"except_users":["@bob:here"]}`, facts: Facts{Hit: &Hit{List: "!l"}}, code: "invite"},
		{name: "listed, but the server is exempt", policy: `"whom":{"lists":["!l"],"except_servers":["here"]}`, facts: Facts{Hit: &Hit{List: "!l"}}, code: "invite"},
		{name: "listed, and exempt in another spelling only", policy: `"whom":{"lists":["!l"],"except_users":["@Bob:here"],"except_servers":["here:8448"]}`,
			facts: Facts{Hit: &Hit{List: "!l"}}, code: CodeListed},
		{name: "exempt from lists, not from the room's own rules", policy: `"whom":{"lists":["!l"],"except_users":["@bob:here"],"deny_users":["@bob:here"]}`,
			facts: Facts{Hit: &Hit{List: "!l"}}, code: CodeUserDenied},
		{name: "the room is listed", policy: `"whom":{"lists":["!l"],"except_users":["*"]}`, facts: Facts{RoomHit: &Hit{List: "!l"}}, code: CodeRoomListed},
		{name: "the room is listed, but nobody watches", policy: `"ask":{}`, facts: Facts{RoomHit: &Hit{List: "!l"}}, code: "invite"},
		{name: "not listed", policy: `"whom":{"lists":["!l"]}`, code: "invite"},
		{name: "left", policy: `"whom":{"cooldown":{"leave":"1h"}}`, facts: Facts{Past: Past{Left: noon.Add(-time.Minute)}}, code: CodeAfterLeave, wait: 59 * time.Minute},
		{name: "left long ago", policy: `"whom":{"cooldown":{"leave":"1h"}}`, facts: Facts{Past: Past{Left: noon.Add(-time.Hour)}}, code: "invite"},
		{name: "declined", policy: `"whom":{"cooldown":{"decline":"1h"}}`, facts: Facts{Past: Past{Declined: noon}}, code: CodeAfterNo, wait: time.Hour},
		{name: "kicked", policy: `"whom":{"cooldown":{"kick":"1h"}}`, facts: Facts{Past: Past{Kicked: noon}}, code: CodeAfterKick, wait: time.Hour},
		{name: "declined, but only leaving counts", policy: `"whom":{"cooldown":{"leave":"1h"}}`, facts: Facts{Past: Past{Declined: noon}}, code: "invite"},
		{name: "full", policy: `"whom":{"max_members":5}`, facts: Facts{Members: 5}, code: CodeFull},
		{name: "not full", policy: `"whom":{"max_members":5}`, facts: Facts{Members: 4}, code: "invite"},
		{name: "own quota", policy: `"quota":{"person":{"count":2,"per":"1h"}}`, facts: Facts{Spent: Spent{Person: ago(50*time.Minute, time.Minute)}}, code: CodeQuotaPerson, wait: 10 * time.Minute},
		{name: "the room's quota", policy: `"quota":{"room":{"count":1,"per":"1h"}}`, facts: Facts{Spent: Spent{Room: ago(0)}}, code: CodeQuotaRoom, wait: time.Hour},
		{name: "the server's quota", policy: `"quota":{"server":{"count":1,"per":"1h"}}`, facts: Facts{Spent: Spent{Server: ago(0)}}, code: CodeQuotaServer, wait: time.Hour},
		{name: "quota left", policy: `"quota":{"person":{"count":2,"per":"1h"}}`, facts: Facts{Spent: Spent{Person: ago(time.Hour, time.Minute)}}, code: "invite"},
		{name: "quota paid", policy: `"quota":{"person":{"count":1,"per":"1h"}}`, facts: Facts{Spent: Spent{Person: ago(0)}, Paid: true}, code: "invite"},
		{name: "nobody asks for a plan's people", policy: `"ask":{"level":99,"joined_for":"9d"}`, facts: Facts{Unasked: true}, code: "invite"},
		{name: "but the rest of the policy holds", policy: `"ask":{"level":99},"whom":{"deny_users":["@b*:*"]}`, facts: Facts{Unasked: true}, code: CodeUserDenied},
		{name: "no links", policy: `"links":{"allow":false}`, facts: Facts{Link: &LinkUse{}}, code: CodeLinksOff},
		{name: "no links, but none is used", policy: `"links":{"allow":false}`, code: "invite"},
		{name: "a link by somebody with less power", policy: `"links":{"level":11}`, facts: Facts{Link: &LinkUse{}}, code: CodeLinksLevel},
		{name: "a link by somebody with the power", policy: `"links":{"level":10}`, facts: Facts{Link: &LinkUse{}}, code: "invite"},
		{name: "a link used too often", policy: `"links":{"max_uses":2}`, facts: Facts{Link: &LinkUse{Uses: 2}}, code: CodeLinksUses},
		{name: "the last use of a link", policy: `"links":{"max_uses":2}`, facts: Facts{Link: &LinkUse{Uses: 1}}, code: "invite"},
		{name: "a link too old", policy: `"links":{"max_age":"1h"}`, facts: Facts{Link: &LinkUse{Age: time.Hour}}, code: CodeLinksAge},
		{name: "a link does not lend the right to ask", policy: `"ask":{"level":99},"links":{"level":10}`, facts: Facts{Link: &LinkUse{}}, code: CodeAskLevel},
		{name: "approval", policy: `"approval":{"required":true}`, code: CodeApproval},
		{name: "approved", policy: `"approval":{"required":true}`, facts: Facts{Approved: true}, code: "invite"},
		{name: "approval comes last", policy: `"approval":{"required":true},"whom":{"max_members":1}`, facts: Facts{Members: 1}, code: CodeFull},
	}
	seen := map[room.Rule]bool{CodeMalformed: true, CodeFacts: true, CodeNoDelegate: true, CodeNoAdmission: true,
		CodeJoinDenied: true, CodeJoinFull: true, CodeNotAdmitted: true, CodePlan: true, CodePlanAuthor: true} // tested elsewhere
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := levelled(0, `{"version":1,`+tt.policy+`}`)
			q := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: bob}
			if tt.target != "" {
				q.Target = tt.target
			}
			tt.facts.Now, tt.facts.Have = noon, all
			d := Decide(s, q, Own(s, "!room"), tt.facts)
			if d.Code != tt.code || (d.Verdict == room.Allow) != (tt.code == "invite") || d.Wait != tt.wait {
				t.Fatalf("got %s %s %s, want %s %s", d.Verdict, d.Code, d.Wait, tt.code, tt.wait)
			}
			seen[d.Code] = true
			if d.Verdict == room.Allow {
				return
			}
			if d.Side != SidePolicy || d.Policy != "$policy" || d.From != "!room" || d.Field == "" {
				t.Errorf("does not name what decided: %+v", d)
			}
			if _, known := Lookup(d.Field); !known {
				t.Errorf("names a field %s that there is not", d.Field)
			}
			if e := Explain(q, d); e.Sentence.Key != "why."+string(d.Code) || e.Fix.Empty() {
				t.Errorf("explained as %+v", e)
			}
		})
	}
	for _, code := range Refusals() {
		if !seen[code] {
			t.Errorf("%s is never met", code)
		}
	}
}

// levelled is a room where alice and the bot have power 10 and inviting needs the given level.
func levelled(invite int, policyEvent string) *room.Snapshot {
	events := map[room.Key]*room.Event{
		{Type: "m.room.create"}:       {Sender: "@creator:here", Content: []byte(`{"room_version":"11"}`)},
		{Type: "m.room.power_levels"}: {Sender: alice, Content: fmt.Appendf(nil, `{"invite":%d,"users":{"@alice:here":10,"@usher:here":50,"@creator:here":100}}`, invite)},
		Key():                         {ID: "$policy", Sender: "@creator:here", Content: []byte(policyEvent)},
	}
	for _, user := range []id.UserID{"@creator:here", alice, usher} {
		events[room.Key{Type: "m.room.member", StateKey: string(user)}] = &room.Event{Sender: user, Content: []byte(`{"membership":"join"}`)}
	}
	return room.NewSnapshot(room.State{Events: events, Complete: true})
}

// TestUnknownFactsAreNeverAllowed leaves out each fact that a policy asks for.
func TestUnknownFactsAreNeverAllowed(t *testing.T) {
	s := levelled(0, `{"version":1,"ask":{"joined_for":"1h"},"whom":{"lists":["!l"],"cooldown":{"leave":"1h"},"max_members":9},"quota":{"room":{"count":9,"per":"1h"}}}`)
	p := Own(s, "!room")
	q := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: bob}
	const all = FactJoined | FactPast | FactMembers | FactLists | FactSpent
	if p.Requires(room.Invite) != all {
		t.Fatalf("requires %b", p.Requires(room.Invite))
	}
	for fact := FactJoined; fact <= FactSpent; fact <<= 1 {
		d := Decide(s, q, p, Facts{Now: noon, Have: all &^ fact})
		if d.Verdict != room.Unknown || d.Code != CodeFacts || d.Missing != fact {
			t.Errorf("without %b: got %s %s, missing %b", fact, d.Verdict, d.Code, d.Missing)
		}
		if text := words.For("en").Text(Explain(q, d).Sentence); strings.Contains(text, "something") {
			t.Errorf("in words: %s", text)
		}
	}
	if d := Decide(s, q, p, Facts{Now: noon, Have: all}); d.Verdict != room.Allow {
		t.Errorf("with all: got %s %s", d.Verdict, d.Code)
	}
	if d := Decide(s, q, nil, Facts{Now: noon, Have: all}); d.Verdict != room.Unknown {
		t.Errorf("without the policy: got %s", d.Verdict)
	}
	if Merge().Requires(room.Invite) != 0 {
		t.Error("no policy asks for facts")
	}
}

// TestTakingBack: whoever had the bot invite by delegation may have it take that back, and nothing else.
func TestTakingBack(t *testing.T) {
	const delegates, theirs, others = `{"version":1,"delegate":true}`, true, false
	byBot := Question{Action: ActionWithdraw, Actor: alice, Performer: usher, Target: bob}
	itself, kick, outsider := byBot, byBot, byBot
	itself.Performer, kick.Action, outsider.Actor = alice, room.Kick, "@out:here"
	early, late := Facts{Have: FactJoined, Joined: noon}, Facts{Have: FactJoined, Joined: noon.Add(-time.Hour)}
	tests := []struct {
		name    string
		policy  string
		q       Question
		theirs  bool
		facts   Facts
		kick    int // level
		bobs    int // power
		code    room.Rule
		verdict room.Verdict
		side    Side
	}{
		{"theirs", delegates, byBot, theirs, Facts{}, 50, 0, CodeDelegate, room.Allow, SideNone},
		{"somebody else's", delegates, byBot, others, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"not as oneself", delegates, itself, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"no other kick", delegates, kick, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"not for those outside", delegates, outsider, theirs, Facts{}, 50, 0, "kick.sender_not_joined", room.Deny, SideActor},
		{"where the bot has not the power", delegates, byBot, theirs, Facts{}, 60, 0, "kick.power", room.Deny, SidePerformer},
		{"of somebody above the actor", delegates, byBot, theirs, Facts{}, 0, 20, CodeDelegate, room.Allow, SideNone},
		{"of somebody above the bot", delegates, byBot, theirs, Facts{}, 50, 50, "kick.outranked", room.Deny, SidePerformer},
		{"the policy delegates no more", `{"version":1,"delegate":false}`, byBot, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"no policy", `{}`, byBot, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"a policy that can't be read", `{"version":1,"delegate":true,"x":1}`, byBot, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"they may not ask any more", `{"version":1,"delegate":true,"ask":{"level":11}}`, byBot, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"others may ask", `{"version":1,"delegate":true,"ask":{"users":["@x:y"]}}`, byBot, theirs, Facts{}, 50, 0, "kick.power", room.Deny, SideActor},
		{"they came too recently", `{"version":1,"delegate":true,"ask":{"joined_for":"1h"}}`, byBot, theirs, early, 50, 0, "kick.power", room.Deny, SideActor},
		{"long enough", `{"version":1,"delegate":true,"ask":{"joined_for":"1h"}}`, byBot, theirs, late, 50, 0, CodeDelegate, room.Allow, SideNone},
		{"nobody knows how long", `{"version":1,"delegate":true,"ask":{"joined_for":"1h"}}`, byBot, theirs, Facts{}, 50, 0, CodeFacts, room.Unknown, SidePolicy},
		{"whom one may invite is another matter", `{"version":1,"delegate":true,"whom":{"deny_users":["*"],"lists":["!l"]},"quota":{"person":{"count":1}}}`,
			byBot, theirs, Facts{}, 50, 0, CodeDelegate, room.Allow, SideNone},
		{"with the power, no policy is asked", `{"version":1,"x":1}`, byBot, others, Facts{}, 10, 0, "kick", room.Allow, SideNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events := map[room.Key]*room.Event{}
			for _, k := range append(Needs(byBot), room.MemberKey("@out:here"), room.MemberKey("@creator:here")) {
				events[k], _ = levelled(50, tt.policy).Event(k)
			}
			events[powerLevels] = &room.Event{Sender: alice, Content: fmt.Appendf(nil, `{"kick":%d,"users":{"@creator:here":100,"@alice:here":10,"@usher:here":50,"@bob:here":%d}}`, tt.kick, tt.bobs)}
			events[room.MemberKey(bob)] = &room.Event{Sender: usher, Content: []byte(`{"membership":"invite"}`)}
			s := room.NewSnapshot(room.State{Events: events, Complete: true})
			tt.facts.Now, tt.facts.Theirs = noon, tt.theirs
			d := Decide(s, tt.q, Own(s, "!room"), tt.facts)
			if d.Code != tt.code || d.Verdict != tt.verdict || d.Side != tt.side {
				t.Errorf("got %s %s %q, want %s %s %q", d.Verdict, d.Code, d.Side, tt.verdict, tt.code, tt.side)
			}
		})
	}
}

// TestTakingBackUnreadable: where the room's own policy can't be read, what a space delegates does not count.
func TestTakingBackUnreadable(t *testing.T) {
	const boss = id.UserID("@boss:here")
	s := snapshot(map[id.UserID]int{alice: 10, usher: 60, boss: 60}, map[id.UserID]string{alice: "join", usher: "join", boss: "join", bob: "invite"}, "")
	q := Question{Action: ActionWithdraw, Actor: alice, Performer: usher, Target: bob}
	source := func(content string) Source {
		return Read("!room", &room.Event{ID: "$policy", Sender: boss, Content: json.RawMessage(content)})
	}
	space := source(`{"version":1,"delegate":true}`)
	space.Inherited = true
	for own, want := range map[string]room.Rule{`{"version":1}`: CodeDelegate, `{"version":1,"x":1}`: "kick.power"} {
		if d := Decide(s, q, Merge(source(own), space), Facts{Now: noon, Theirs: true}); d.Code != want {
			t.Errorf("%s: got %s %s, want %s", own, d.Verdict, d.Code, want)
		}
	}
}

// TestTakingBackUnsent: an invitation that was not sent yet is taken back by who asked for it, and by those with the power to kick.
func TestTakingBackUnsent(t *testing.T) {
	s := snapshot(map[id.UserID]int{alice: 50, usher: 50}, map[id.UserID]string{alice: "join", usher: "join", "@ann:here": "join", "@ben:here": "join"}, "")
	for actor, want := range map[id.UserID]room.Rule{"@ann:here": CodeUnsent, alice: CodeUnsent, "@ben:here": "kick.power"} {
		q := Question{Action: ActionWithdraw, Actor: actor, Performer: usher, Target: bob}
		if d := Decide(s, q, Merge(), Facts{Now: noon, Unsent: []id.UserID{"@ann:here"}}); d.Code != want {
			t.Errorf("%s: got %s %s, want %s", actor, d.Verdict, d.Code, want)
		}
	}
}

// TestDelegate: a policy that delegates makes up for the power to invite, in the one who asks, and for nothing else.
func TestDelegate(t *testing.T) {
	const delegates = `{"version":1,"delegate":true}`
	byBot := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: bob}
	itself := byBot
	itself.Performer = alice
	kick := byBot
	kick.Action = room.Kick
	outsider := byBot
	outsider.Actor = "@out:here"
	tests := []struct {
		name   string
		invite int
		policy string
		q      Question
		code   room.Rule
		allow  bool
	}{
		{"through the bot", 50, delegates, byBot, CodeDelegate, true},
		{"not as oneself", 50, delegates, itself, "invite.power", false},
		{"not where the bot has not the power", 60, delegates, byBot, "invite.power", false},
		{"not for those outside", 50, delegates, outsider, "invite.sender_not_joined", false},
		{"not without the policy", 50, `{"version":1,"delegate":false}`, byBot, "invite.power", false},
		{"not for anything but inviting", 50, delegates, kick, "kick.power", false},
		{"within the rest of the policy", 50, `{"version":1,"delegate":true,"ask":{"level":11}}`, byBot, CodeAskLevel, false},
		{"not when it can't be read", 50, `{"version":1,"delegate":true,"x":1}`, byBot, CodeMalformed, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := levelled(tt.invite, tt.policy)
			d := Decide(s, tt.q, Own(s, "!room"), Facts{Now: noon})
			if d.Code != tt.code || (d.Verdict == room.Allow) != tt.allow {
				t.Errorf("got %s %s, want %s", d.Verdict, d.Code, tt.code)
			}
		})
	}
	muted := levelled(50, delegates)
	events := map[room.Key]*room.Event{}
	for _, k := range []room.Key{{Type: "m.room.create"}, Key(), room.MemberKey(alice), room.MemberKey(usher), room.MemberKey("@creator:here")} {
		events[k], _ = muted.Event(k)
	}
	events[room.Key{Type: "m.room.power_levels"}] = &room.Event{Content: []byte(`{"invite":50,"users":{"@creator:here":100,"@alice:here":-1,"@usher:here":50}}`)}
	s := room.NewSnapshot(room.State{Events: events, Complete: true})
	if d := Decide(s, byBot, Own(s, "!room"), Facts{Now: noon}); d.Code != CodeAskLevel {
		t.Errorf("whom the room mutes: got %s", d.Code)
	}
}

func TestFederate(t *testing.T) {
	events := map[room.Key]*room.Event{
		{Type: "m.room.create"}:                          {Sender: alice, Content: []byte(`{"room_version":"11","m.federate":false}`)},
		{Type: "m.room.member", StateKey: string(alice)}: {Sender: alice, Content: []byte(`{"membership":"join"}`)},
	}
	s := room.NewSnapshot(room.State{Events: events, Complete: true})
	q := Question{Action: room.Invite, Actor: alice, Performer: alice, Target: "@x:elsewhere"}
	d := decide(s, q)
	if d.Verdict != room.Deny || d.Code != room.RuleAPIFederateTarget || Explain(q, d).Sentence.Key != "why.api.federate_target" {
		t.Errorf("got %s %s", d.Verdict, d.Code)
	}
	q.Target = bob
	if d := decide(s, q); d.Verdict != room.Allow {
		t.Errorf("of the room's own server: got %s", d.Code)
	}
}

func TestRate(t *testing.T) {
	hour := Rate{Count: 2, Per: time.Hour}
	tests := []struct {
		name  string
		rate  Rate
		spent []time.Time
		left  int64
		grows time.Duration // from noon
		ok    bool
	}{
		{"no limit", Rate{}, ago(0, 0, 0), 0, 0, true},
		{"nothing spent", hour, nil, 1, time.Hour, true},
		{"one spent", hour, ago(20 * time.Minute), 0, 40 * time.Minute, true},
		{"all spent", hour, ago(20*time.Minute, 10*time.Minute), 0, 40 * time.Minute, false},
		{"one lapsed", hour, ago(time.Hour, 10*time.Minute), 0, 50 * time.Minute, true},
		{"lowered since", hour, ago(40*time.Minute, 30*time.Minute, 20*time.Minute), 0, 30 * time.Minute, false},
		{"clock went back", hour, ago(-10*time.Minute, -20*time.Minute), 0, 70 * time.Minute, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			left, grows, ok := tt.rate.Take(tt.spent, noon)
			if left != tt.left || ok != tt.ok || (tt.rate.Count > 0 && !grows.Equal(noon.Add(tt.grows))) {
				t.Errorf("got %d, %s, %v", left, grows.Sub(noon), ok)
			}
		})
	}
}

// TestRateHoldsInEveryWindow spends as often as it may and looks at every window of the rate's length.
func TestRateHoldsInEveryWindow(t *testing.T) {
	rate := Rate{Count: 5, Per: time.Hour}
	var spent []time.Time
	for now := noon; now.Before(noon.Add(10 * time.Hour)); now = now.Add(7 * time.Minute) {
		_, grows, ok := rate.Take(spent, now)
		if ok {
			spent = append(spent, now)
		} else if _, _, may := rate.Take(spent, grows); !may {
			t.Fatalf("at %s it says %s, but then it may not", now, grows)
		}
	}
	for i := range spent {
		within := slices.IndexFunc(spent[i:], func(at time.Time) bool { return at.Sub(spent[i]) >= rate.Per })
		if within > int(rate.Count) {
			t.Errorf("%d within an hour of %s", within, spent[i])
		}
	}
	if len(spent) < 40 {
		t.Errorf("only %d in ten hours", len(spent))
	}
}

func TestPresets(t *testing.T) {
	for _, p := range Presets() {
		l := p.Layer()
		if len(l.Paths()) != len(p.fields) {
			t.Errorf("%s sets %v", p.Name, l.Paths())
		}
		if _, err := Parse(l.Content()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// BenchmarkDecide judges an invitation without a policy, and with one that sets everything.
func BenchmarkDecide(b *testing.B) {
	q := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: "@x:x"}
	f := Facts{Now: noon, Have: FactJoined | FactPast | FactMembers | FactLists | FactSpent, Approved: true}
	s := levelled(50, strings.NewReplacer(`"@a*:here"`, `"@alice:here"`).Replace(whole))
	for name, p := range map[string]*InForce{"none": Merge(), "whole": Own(s, "!room")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Decide(s, q, p, f)
			}
			b.ReportAllocs()
		})
	}
	if d := Decide(s, q, Own(s, "!room"), f); d.Verdict != room.Allow {
		b.Errorf("got %s", d.Code)
	}
}

// TestExplanationsAreShort: what rooms and lists say is told in part only: it is on record for each of thousands of people.
func TestExplanationsAreShort(t *testing.T) {
	long := strings.Repeat("ä", 30_000)
	q := Question{Action: room.Invite, Actor: alice, Performer: usher, Target: bob}
	var malformed Malformed
	if _, err := Parse([]byte(`{"version":1,"` + long + `":1}`)); !errors.As(err, &malformed) {
		t.Fatal(err)
	}
	if text := words.For("en").Text(malformed.Phrase()); len(text) > 300 || !strings.Contains(text, "is no field") {
		t.Errorf("%d bytes, %.80q", len(text), text)
	}
	for _, d := range []Decision{
		{Code: CodeMalformed, Side: SidePolicy, Fault: Malformed{{long, room.Say("fault.version")}}},
		{Code: CodeListed, Side: SidePolicy, Hit: &Hit{List: "!l", Entity: "@*:*", Reason: long}},
		{Code: "join.not_invited", Side: SideActor, Evidence: room.Evidence{Found: long}},
	} {
		if text := Explain(q, d).Phrase().String(); len(text) > 1300 || strings.ContainsRune(text, '\uFFFD') {
			t.Errorf("%s: %d bytes, %.80q", d.Code, len(text), text)
		}
	}
}
