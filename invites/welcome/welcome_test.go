package welcome_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
	"usher/invites/welcome"
	"usher/policy"
)

const (
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	bot   = invitestest.Bot
	lobby = invitestest.Lobby
)

type world struct{ *invitestest.World }

func newWorld(t *testing.T, fields map[string]any) *world {
	t.Helper()
	w := &world{invitestest.NewWorld(t)}
	w.Power(50)
	w.Govern(map[string]any{"welcome": fields})
	return w
}

// invited has somebody invite a user by a command.
func (w *world) invited(t *testing.T, by, user id.UserID) {
	t.Helper()
	w.MustAsk(t, w.Request(t, by, user))
	w.Observe(t, id.EventID(fmt.Sprintf("$invite %s %d", user, w.Next)), user, by, "invite")
}

// joins has a user come in.
func (w *world) joins(t *testing.T, user id.UserID) {
	t.Helper()
	w.HS.Member(lobby, user, "join")
	w.Next++
	w.Observe(t, id.EventID(fmt.Sprintf("$join %s %d", user, w.Next)), user, user, "join")
}

// messages sends all messages that are due, and returns the people in each.
func (w *world) messages(t *testing.T) (said []string) {
	t.Helper()
	rooms, err := w.Welcomes.Rooms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		for {
			m, err := w.Welcomes.Next(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if m == nil {
				break
			}
			said = append(said, shown(m))
			if err := w.Welcomes.Sent(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	return said
}

func shown(m *welcome.Message) string {
	var people []string
	for _, one := range m.People {
		people = append(people, one.Name)
	}
	if m.More > 0 {
		people = append(people, fmt.Sprintf("+%d", m.More))
	}
	return fmt.Sprintf("%s by %s: %s", strings.Join(people, " "), strings.Join(m.Inviters, " "), m.Text.Text)
}

// expect compares the messages that are due.
func (w *world) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := w.messages(t); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// TestOnce: a join after an invitation is welcomed once, and no other join is.
func TestOnce(t *testing.T) {
	w := newWorld(t, map[string]any{"text": "hi"})
	w.expect(t, "at first")
	w.HS.Member(lobby, "@open:here", "join")
	w.Observe(t, "$open", "@open:here", "@open:here", "join")
	w.expect(t, "after a join without an invitation")
	w.Observe(t, "$hand", "@hand:here", alice, "invite")
	w.Observe(t, "$hand2", "@hand:here", "@hand:here", "join")
	w.expect(t, "after an invitation past the bot")
	w.invited(t, alice, bob)
	w.expect(t, "before the join")
	w.joins(t, bob)
	w.Build() // a restart
	w.expect(t, "after the join", "@bob:here by @alice:here: hi")
	w.Observe(t, "$join again", bob, bob, "join")
	w.expect(t, "after it")
	w.Clock.Advance(time.Hour)
	w.expect(t, "an hour later")
}

// TestBegun: a message that may have gone out before a crash is the same message afterwards.
func TestBegun(t *testing.T) {
	w := newWorld(t, map[string]any{"text": "hi"})
	w.invited(t, alice, bob)
	w.joins(t, bob)
	first, err := w.Welcomes.Next(t.Context(), lobby)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	w.invited(t, alice, "@dora:here")
	w.joins(t, "@dora:here")
	w.Build()
	w.expect(t, "at once")
	w.Clock.Advance(time.Minute)
	again, err := w.Welcomes.Next(t.Context(), lobby)
	if err != nil || again == nil || again.Batch != first.Batch || !again.Since.Equal(first.Since) || shown(again) != shown(first) {
		t.Errorf("got %+v, %v, want %+v", again, err, first)
	}
}

// TestFlood: many joins make few messages, with everybody in them.
func TestFlood(t *testing.T) {
	w := newWorld(t, map[string]any{"text": "hi"})
	var sent []string
	for n := range 100 { // one in 30 s for 50 minutes
		user := id.UserID(fmt.Sprintf("@u%d:here", n))
		w.invited(t, alice, user)
		w.joins(t, user)
		sent = append(sent, w.messages(t)...)
		w.Clock.Advance(30 * time.Second)
	}
	if len(sent) > 9 {
		t.Errorf("%d messages within an hour", len(sent))
	}
	w.Clock.Advance(time.Hour)
	sent = append(sent, w.messages(t)...)
	named, more := 0, 0
	for _, m := range sent {
		for name := range strings.FieldsSeq(strings.TrimSuffix(m, " by @alice:here: hi")) {
			if n, err := strconv.Atoi(name); err == nil {
				more += n
			} else {
				named++
			}
		}
	}
	if named+more != 100 || more == 0 || named < 70 {
		t.Errorf("%d people are named, %d counted: %q", named, more, sent)
	}
}

// TestDirect: each message is for one person, and there is a number of them.
func TestDirect(t *testing.T) {
	w := newWorld(t, map[string]any{"text": "hi", "where": "direct"})
	for n := range 32 {
		user := id.UserID(fmt.Sprintf("@u%d:here", n))
		w.invited(t, alice, user)
		w.joins(t, user)
	}
	if got := w.messages(t); len(got) != 30 || got[0] != "@u0:here by @alice:here: hi" {
		t.Errorf("%d messages: %q", len(got), got)
	}
	w.expect(t, "soon after")
	w.Clock.Advance(time.Hour)
	w.expect(t, "an hour later", "@u30:here by @alice:here: hi", "@u31:here by @alice:here: hi")
}

// TestSpeaker: the bot says nothing for an author who may not speak today, and nothing to people who have gone.
func TestSpeaker(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"as it was":        {func(*world) {}, []string{"@bob:here by @carol:here: hi"}},
		"author gone":      {func(w *world) { w.HS.Member(lobby, alice, "leave") }, nil},
		"author banned":    {func(w *world) { w.HS.Member(lobby, alice, "ban") }, nil},
		"author powerless": {func(w *world) { w.Give(map[string]any{string(bot): 50, string(carol): 50}) }, nil},
		"person gone":      {func(w *world) { w.HS.Member(lobby, bob, "leave") }, nil},
		"policy gone":      {func(w *world) { w.Govern(map[string]any{"delegate": true}) }, nil},
		"another text":     {func(w *world) { w.Govern(map[string]any{"welcome": map[string]any{"text": "ho"}}) }, []string{"@bob:here by @carol:here: ho"}},
		"policy malformed": {func(w *world) { w.Govern(map[string]any{"welcome": map[string]any{"text": "{x}"}}) }, nil},
		"a name": {func(w *world) {
			w.HS.Set(lobby, "m.room.member", string(bob), bob, map[string]any{"membership": "join", "displayname": "Bob  B"})
		}, []string{"Bob B by @carol:here: hi"}},
		"a false name": {func(w *world) {
			w.HS.Set(lobby, "m.room.member", string(bob), bob, map[string]any{"membership": "join", "displayname": "@alice:here"})
		}, []string{"@bob:here by @carol:here: hi"}},
	} {
		w := newWorld(t, map[string]any{"text": "hi"})
		w.invited(t, carol, bob)
		w.joins(t, bob)
		tt.change(w)
		w.expect(t, name, tt.want...)
	}
}

// TestLink: the text of a link goes before that of the policy, as long as its maker may speak.
func TestLink(t *testing.T) {
	for name, tt := range map[string]struct {
		policy map[string]any
		change func(w *world)
		want   []string
	}{
		"with a text":    {map[string]any{"text": "hi"}, func(*world) {}, []string{"@bob:here by @carol:here: cake", "@dora:here by @alice:here: hi"}},
		"without a text": {map[string]any{"where": "room"}, func(*world) {}, []string{"@bob:here by @carol:here: cake"}},
		"no welcomes":    {map[string]any{}, func(*world) {}, nil},
		"maker gone": {map[string]any{"text": "hi"}, func(w *world) { w.HS.Member(lobby, carol, "leave") },
			[]string{"@bob:here @dora:here by @carol:here @alice:here: hi"}},
	} {
		w := newWorld(t, tt.policy)
		l, _, err := w.Links.Create(t.Context(), links.Wish{Maker: carol, Rooms: []id.RoomID{lobby}, Uses: 2, Welcome: "cake"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.UseLink(t.Context(), l, bob); err != nil {
			t.Fatal(err)
		}
		w.Observe(t, "$link", bob, carol, "invite")
		w.joins(t, bob)
		w.invited(t, alice, "@dora:here")
		w.joins(t, "@dora:here")
		tt.change(w)
		got := w.messages(t)
		w.Clock.Advance(time.Minute)
		if got = append(got, w.messages(t)...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestSpace: the words of a space welcome a person in one of its rooms, whichever comes first. A message in the space itself does not count, unless it is direct.
func TestSpace(t *testing.T) {
	const space, second = id.RoomID("!space:here"), id.RoomID("!second:here")
	for where, want := range map[string]int{"room": 2, "direct": 1} {
		w := newWorld(t, map[string]any{})
		w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{})
		w.HS.Create(space, "11", alice, bot)
		w.HS.Set(space, "m.room.create", "", alice, map[string]any{"room_version": "11", "creator": alice, "type": "m.space"})
		w.HS.Create(second, "11", alice, bot)
		for _, r := range []id.RoomID{lobby, second} {
			w.HS.Set(space, "m.space.child", string(r), alice, map[string]any{"via": []string{"here"}})
			w.HS.Set(r, "m.space.parent", string(space), alice, map[string]any{"via": []string{"here"}})
			w.HS.Claim(space, r)
		}
		w.Govern(map[string]any{"welcome": map[string]any{"text": "hi", "where": where}}, space)
		var said []string
		for _, r := range []id.RoomID{space, lobby, second, lobby} {
			w.HS.Set(r, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "users": map[string]any{string(alice): 100, string(bot): 50}})
			w.HS.Member(r, bob, "leave")
			req := w.Request(t, alice, bob)
			req.Room = r
			w.MustAsk(t, req)
			for _, membership := range []string{"invite", "join"} {
				w.Next++
				by := map[string]id.UserID{"invite": alice, "join": bob}[membership]
				w.HS.Member(r, bob, membership)
				if _, err := w.DB.Receive(t.Context(), nil, invites.MemberEvent{Event: id.EventID(fmt.Sprintf("$member%d", w.Next)),
					Room: r, Target: bob, Sender: by, Membership: membership, SentAt: w.Clock.Now(), SeenAt: w.Clock.Now()}); err != nil {
					t.Fatal(err)
				}
			}
			said = append(said, w.messages(t)...)
			w.Build()
			w.Clock.Advance(time.Minute)
		}
		if len(said) != want {
			t.Errorf("%s: %d messages, want %d: %q", where, len(said), want, said)
		}
	}
}
