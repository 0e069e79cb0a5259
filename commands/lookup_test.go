package commands

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// known is a homeserver with some users and rooms, and counts the questions about users. Several may ask at once.
type known struct {
	mu      sync.Mutex
	users   map[id.UserID]string // display names
	authors map[id.EventID]id.UserID
	down    bool
	asked   []id.UserID
}

func (k *known) Exists(_ context.Context, user id.UserID) (bool, error) {
	k.mu.Lock()
	k.asked = append(k.asked, user)
	k.mu.Unlock()
	if k.down {
		return false, errors.New("down")
	}
	_, found := k.users[user]
	return found, nil
}

func (k *known) Members(context.Context, id.RoomID) (map[id.UserID]string, error) {
	here := map[id.UserID]string{}
	for user, name := range k.users {
		if name != "" {
			here[user] = name
		}
	}
	return here, nil
}

func (k *known) Author(_ context.Context, _ id.RoomID, event id.EventID) (id.UserID, error) {
	return k.authors[event], nil
}

// TestNames: a name is the person who alone has it. A local name that nobody has is refused, and nothing is done.
func TestNames(t *testing.T) {
	people := &known{
		users: map[id.UserID]string{
			alice: "Alice", carol: "Carol Danvers", "@usher:here": "Usher", "@bob:here": "", "@dora:here": "", "@dan1:here": "Dan", "@dan2:there": "Dan",
			"@mallory:there": "Ma\u200bllory", "@zoe:there": "bob2", "@_irc_x:here": "", "@erin:there": "Erin",
		},
		authors: map[id.EventID]id.UserID{"$byzoe": "@zoe:there", "$bybot": "@usher:here"},
	}
	for _, tt := range []struct {
		text, reply string
		by          id.UserID
		acts        string // the targets
		has         string
	}{
		{text: "!invite bob", acts: "@bob:here", has: "“bob” is @bob:here."},
		{text: "!invite Bob and dora", acts: "@bob:here @dora:here", has: "“dora” is @dora:here."},
		{text: "!invite erin", acts: "@erin:there", has: "“erin” is @erin:there."},
		{text: `!invite "ERIN"`, acts: "@erin:there"},
		{text: "!invite dan", has: "Several people could be “dan”: @dan1:here, @dan2:there."},
		{text: "!invite xyzzy", has: "I know nobody called “xyzzy” here. Please write the whole id"},
		{text: "!invite eirn", has: "Did you mean @erin:there?"},
		{text: "!invite erin my friend", has: "I know nobody called “erin my friend” here. Did you mean @erin:there?"},
		{text: "!invite mallory", acts: "@mallory:there"}, // by the localpart; the display name has an invisible character
		{text: "!invite Mallory!", acts: "@mallory:there"},
		{text: "!invite @bob", acts: "@bob:here"},
		{text: "!invite @nobdoy", has: "I know no @nobdoy:here here, so I did nothing."},
		{text: "!invite @bob:here @nobdoy:here", has: "I know no @nobdoy:here here"},
		{text: "!invite @nobdoy @noboyd", has: "I know none of these 2 here, so I did nothing: @nobdoy:here, @noboyd:here."},
		{text: "!invite @BOB:here", has: "Did you mean @bob:here?"},
		{text: "!invite @crol:here", has: "Did you mean @carol:here?"},
		{text: "!invite @_irc_y:here", acts: "@_irc_y:here"},
		{text: "!invite @nobody:there", acts: "@nobody:there"},
		{text: "!invite @nobdoy:here --dry-run", has: "I know no @nobdoy:here"},
		{text: "!why @nobdoy:here", has: "I know no @nobdoy:here"},
		{text: "!uninvite @nobdoy:here", has: "has no open invitation"},
		{text: "!invite", reply: "$byzoe", acts: "@zoe:there"},
		{text: "!invite", reply: "$bybot", has: "Please name the people"},
		{text: "!invite", reply: "$lost", has: "Please name the people"},
		{text: "!whoinvited me", has: "@alice:here"},
	} {
		d, hs := newRunner(t)
		d.People = people
		_, reply := say(t, d, lobby, alice, tt.text, func(ev *invites.Received) {
			if tt.reply != "" {
				ev.Raw = []byte(`{"content":{"msgtype":"m.text","body":"` + tt.text + `","m.relates_to":{"m.in_reply_to":{"event_id":"` + tt.reply + `"}}}}`)
			}
		})
		var acts []string
		for _, act := range hs.Acts() {
			acts = append(acts, string(act.Target))
		}
		if got := strings.Join(acts, " "); got != tt.acts || !strings.Contains(reply.Text.String(), tt.has) {
			t.Errorf("%s: invited %q, said %q", tt.text, got, reply.Text.String())
		}
	}
}

// TestNoOracle: the homeserver is asked about its own users only, only for its own people, and once.
func TestNoOracle(t *testing.T) {
	d, hs := newRunner(t)
	people := &known{users: map[id.UserID]string{"@bob:here": ""}}
	d.People = people
	d.Level = func(id.UserID) Level { return User }
	hs.Member(lobby, "@zoe:there", "join")
	for _, text := range []string{"!invite @x:there", "!why @_irc_x:here"} {
		say(t, d, lobby, alice, text)
	}
	for _, text := range []string{"!why @nobody:here", "!why bob"} {
		say(t, d, lobby, "@zoe:there", text)
	}
	if len(people.asked) > 0 {
		t.Errorf("asked about %v", people.asked)
	}
	for range 3 {
		say(t, d, lobby, alice, "!why @nobody:here")
	}
	if len(people.asked) != 1 {
		t.Errorf("asked about %v", people.asked)
	}
	d.directory.exists["@nobody:here"] = existence{false, d.Clock.Now()}
	people.down = true
	if _, reply := say(t, d, lobby, alice, "!why @nobody:here"); !strings.Contains(reply.Text.String(), "Allowed") {
		t.Errorf("a homeserver that is down: %q", reply.Text.String())
	}
}
