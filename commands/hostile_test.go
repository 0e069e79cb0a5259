package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/guard"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

// TestCardNumbers: any number ends.
func TestCardNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"3": "3", "#3": "3", "3, 5-7": "3 5-7", "1-200": "1-200", "1-201": "", "1-100 101-201": "", "0": "", "7-3": "", "-1": "",
		"9223372036854775807":                     "9223372036854775807",
		"9223372036854775806-9223372036854775807": "9223372036854775806-9223372036854775807",
		"1-9223372036854775807":                   "",
		"9223372036854775808":                     "",
	} {
		done := make(chan string, 1)
		go func() {
			words := splitWords(text)
			taken, _ := (&arguments{}).takeNumbers(words)
			found, _ := cardNumbers(taken)
			done <- ranges(found)
		}()
		select {
		case got := <-done:
			if got != want {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		case <-time.After(100 * time.Millisecond):
			t.Fatalf("%q never ends", text)
		}
	}
}

// TestSpokenOf: a quoted command, or one shown as code, does not run, whatever the plain text of the message is.
func TestSpokenOf(t *testing.T) {
	for formatted, runs := range map[string]bool{
		"<p>!invite @bob:here</p>":                                                      true,
		"!invite <code>@bob:here</code>":                                                true,
		"!invite @bob:here <blockquote>be my guest</blockquote>":                        true,
		"!invite @bob:here <blockquote>!invite @mallory:here</blockquote>":              false, // one command a message
		"<a href='https://matrix.to/#/@usher:here'>Usher</a>: invite @bob:here":         true,
		"<blockquote><p>!invite @mallory:here</p></blockquote><p>No!</p>":               false,
		" <p><code>!invite @mallory:here</code> is how.</p>":                            false,
		"<pre><code>!invite @mallory:here</code></pre>":                                 false,
		"<mx-reply><blockquote>!invite @mallory:here</blockquote></mx-reply>No":         false,
		"<mx-reply><blockquote>x</mx-reply>!invite @bob:here</blockquote></mx-reply>No": false, // a client that does not escape what it quotes
		"<mx-reply>x</mx-reply>!invite @bob:here <mx-reply>y</mx-reply>No":              false,
		"<mx-reply>x<mx-reply>y</mx-reply>z</mx-reply>!invite @bob:here":                true,
		"<mx-reply>x<mx-reply>y</mx-reply>!invite @bob:here":                            true, // the quoted author opens one more
		"<blockquote><blockquote>!invite @mallory:here</blockquote></blockquote>":       false,
	} {
		d, hs := newRunner(t)
		say(t, d, lobby, alice, formatted, func(ev *invites.Received) {
			raw, err := json.Marshal(map[string]any{"content": map[string]any{
				"msgtype": "m.text", "body": "!invite @carol:here", "format": "org.matrix.custom.html", "formatted_body": formatted,
			}})
			if err != nil {
				t.Fatal(err)
			}
			ev.Raw = raw
		})
		acts := hs.Acts()
		if len(acts) == 1 != runs || runs && acts[0].Target != bob {
			t.Errorf("%s: %+v", formatted, acts)
		}
	}
}

// TestLongAnswers: answers about many people, or about hostile names, fit into an event, encrypted too.
func TestLongAnswers(t *testing.T) {
	const most = 65_536 * 3 / 4 // base64 makes four bytes of three
	d, hs := newRunner(t)
	var many []string
	for n := range 60 {
		target := id.UserID(fmt.Sprintf("@%s%d:there", strings.Repeat("\u200b", 70), n))
		seen(t, d, hs, target, id.UserID(fmt.Sprintf("@%s%d:there", strings.Repeat("<", 220), n)), time.Hour)
		many = append(many, fmt.Sprintf("@guest%d:here", n))
	}
	for text, has := range map[string]string{
		"!pending":    "60 invitations open",
		"!tree":       " …",
		"!stats":      "60 sent",
		"!prune @bob": "Nobody in that branch",
		"!invite --dry-run " + strings.Join(many, " "):             "One question is about 20 people at most, and that is 60.",
		"!policy test @alice invite " + strings.Join(many, " "):    "One question is about 20 people at most, and that is 60.",
		"!why " + strings.Join(many, " "):                          "One question is about 30 people at most, and that is 60.",
		"!whoinvited " + strings.Join(many, " "):                   "… and 45 more people.",
		"!invite @x " + strings.Repeat("<script>", 1000):           "",
		"!policy set whom.deny_users " + strings.Repeat("<", 5000): "policy.edit.value",
	} {
		m, reply := say(t, d, lobby, alice, text)
		if !strings.Contains(reply.Text.String(), has) {
			t.Errorf("%.40s: %.300q", text, reply.Text.String())
		}
		raw, err := json.Marshal(reply.Edit(m, "$earlier"))
		if err != nil || len(raw) > most {
			t.Errorf("%.40s: %d bytes, %v", text, len(raw), err)
		}
	}
	var endless Text
	for range 10_000 {
		endless.Say("text", "text", "a < b").Line()
	}
	if got := endless.in("", nil); len(got.plain)+len(got.html) > maxMessage || !strings.HasSuffix(string(got.plain), " …") {
		t.Errorf("%d and %d bytes", len(got.plain), len(got.html))
	}
}

// TestPruneHostile: the names of a branch leave the room to say how to confirm.
func TestPruneHostile(t *testing.T) {
	d, hs := newRunner(t)
	for n := range 40 {
		seen(t, d, hs, id.UserID(fmt.Sprintf("@%s%d:there", strings.Repeat("\u200b", 70), n)), bob, time.Hour)
	}
	if _, reply := say(t, d, lobby, alice, "!prune @bob"); !reply.Progress || !strings.Contains(reply.Text.String(), "React with ✅") {
		t.Errorf("got %q", reply.Text.String())
	}
}

// TestGuardSaysWhy: a report on an invitation past the bot has the policy's reason against it, and the reason why the guard leaves it.
func TestGuardSaysWhy(t *testing.T) {
	d, _ := newRunner(t)
	r := guard.Report{Kind: guard.ReportByHand, Who: carol, Target: bob, Code: "guard.power", Rule: "kick.power", Because: room.Say("text", "text", "The room is full.")}
	want := "@carol:here invited @bob:here past me, and the room's policy is against it: The room is full. I lack the power to do anything about it (kick.power). (guard.power)"
	if got := bodyOf(d.GuardNotice(r)); got != want {
		t.Errorf("got %q", got)
	}
	r.Code, r.Late = "policy.whom.max_members", true
	if got := bodyOf(d.GuardNotice(r)); !strings.HasSuffix(got, "The room is full. They have joined by now, so I leave it. (policy.whom.max_members)") {
		t.Errorf("got %q", got)
	}
}

// TestWhyKnock: whether somebody may knock is about them, whoever they are.
func TestWhyKnock(t *testing.T) {
	d, hs := newRunner(t)
	hs.Set(lobby, "m.room.join_rules", "", alice, map[string]any{"join_rule": "knock"})
	for _, who := range []string{"@zoe:there", "@bob:here"} {
		if _, reply := say(t, d, lobby, alice, "!why "+who+" knock"); !strings.Contains(reply.Text.String(), "✅ "+who) {
			t.Errorf("%s: %q", who, reply.Text.String())
		}
	}
}

// viewed records the viewers of rooms.
type viewed struct {
	*invitestest.Homeserver
	as []id.UserID
}

func (v *viewed) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	v.as = append(v.as, viewer)
	return v.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
}

// TestReadsAsWhoAsks: a question about somebody else is never asked of the homeserver as them.
func TestReadsAsWhoAsks(t *testing.T) {
	for _, text := range []string{"!why @carol join", "!why @carol knock", "!why @carol", "!why @carol kick", "!whoinvited @carol"} {
		hs := &invitestest.Homeserver{}
		spy := &viewed{Homeserver: hs}
		d := newRunnerOver(t, hs, spy)
		say(t, d, "!other:here", alice, text+" !lobby:here")
		for _, as := range spy.as {
			if as == carol {
				t.Errorf("%s: read as %s", text, as)
			}
		}
	}
}

// TestLongReason: a long reason is cut, since the store keeps it for each person named.
func TestLongReason(t *testing.T) {
	d, hs := newRunner(t)
	say(t, d, lobby, alice, "!invite @bob:here "+strings.Repeat("ä ", 20_000))
	say(t, d, lobby, alice, `!invite @dora:here "`+strings.Repeat("ä ", 20_000)+`"`)
	acts := hs.Acts()
	if len(acts) != 2 {
		t.Fatalf("%d acts", len(acts))
	}
	for _, act := range acts {
		if len(act.Reason) > maxText+len("…") || !strings.HasSuffix(act.Reason, "…") || !utf8.ValidString(act.Reason) {
			t.Errorf("%d bytes: %.40q", len(act.Reason), act.Reason)
		}
	}
}

// spent is the processor time that the tests have taken so far. It does not grow while other programs have the processor.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestReadInTime: no message takes long to read, however it is made.
func TestReadInTime(t *testing.T) {
	d, _ := newRunner(t)
	long := 20_000
	if raceDetector {
		long /= 5
	}
	for _, piece := range []string{
		"to ", "and ", "- ", "1. ", "@a:here ", "@a ", "a:here.org ", "#a ", "! ", "!a ", "!a:here ", "( ", "((((", "((@a:here", "<@", "`", "“", "„ ", "' ", "'a ", "» ", "[a](", "[a](b) ",
		"[a](https://matrix.to/#/@a:b) ", "[", "https://matrix.to/#/", "https://matrix.to/#/@a:here ", "https://matrix.to/#/a/", "matrix:u/", "%2", "%2F", "a, ", "a,", ",@", "@a,", "1,", "1-", "1 - ", "--a ",
		"bob ", "bob, ", "bob and ", "Bob (", "Bob (@a:here) ", "a@b.c ", "\u200b", "＠", "-", ":", "\n",
	} {
		for _, start := range []string{"!invite ", "!invite @bob:here ", "!deny 1 ", "!policy set whom.lists ", "!tree ", "usher: ", ""} {
			text := start + strings.Repeat(piece, long/len(piece))
			begin := spent(t)
			meaning(d, Message{Text: text})
			if took := spent(t) - begin; took > 3*time.Second {
				t.Errorf("%s%.30q… took %s", start, piece, took)
			}
		}
	}
}

// bodyOf is the text of a reply as plain text.
func bodyOf(r Reply) string { return r.Text.String() }

// full fills a room with all that members may ask about: open invitations, cards, links, letters, a policy, an upgrade.
func full(t *testing.T, d *Runner, hs *invitestest.Homeserver, in id.RoomID) {
	t.Helper()
	hs.Set(in, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100, "@usher:here": 100}})
	hs.Set(in, policy.EventType, "", alice, map[string]any{
		"version": 1, "approval": map[string]any{"required": true}, "knocks": map[string]any{"desk": true}, "links": map[string]any{"allow": true},
	})
	d.Links.Address = "https://usher.example"
	say(t, d, in, carol, "!invite @bob:here")
	say(t, d, in, carol, "!link create")
	say(t, d, in, carol, "!invite ann@mail.example")
	for _, membership := range []string{"invite", "knock", "ban"} {
		hs.Set(in, "m.room.member", "@"+membership+":here", alice, map[string]any{"membership": membership})
	}
	hs.Set(in, "m.room.tombstone", "", alice, map[string]any{"replacement_room": "!next:here"})
}

// inRooms returns one command for each form that takes a room, with %s in its place.
func inRooms() (list []string) {
	table := Table()
	for i := range table {
		for _, f := range table[i].forms() {
			var words []string
			asks := false
			for _, p := range f.Before {
				words, asks = append(words, "%s"), asks || p.class == classRoom
			}
			if f.part != nil {
				words = append(words, f.part.Name)
			}
			for _, p := range f.after() {
				word := map[class]string{classPerson: "@bob:here", classNumber: "1", classRoom: "%s", classText: "x", classSpan: "1d"}[p.class]
				switch {
				case p.class == classRoom && p.named:
					word = "--" + p.Key + " %s"
				case p.class == classRoom:
				case p.Optional || p.class == classFlag:
					continue
				case p.choices != nil:
					word = p.choices[0]
				case p.Key == "field":
					word = "ask.level"
				}
				words, asks = append(words, word), asks || p.class == classRoom
			}
			if asks {
				list = append(list, "!"+strings.Join(append([]string{f.Name}, words...), " "))
			}
		}
	}
	return list
}

// TestOutsiderAsksEverything: to somebody who is not there, each command answers about a full room as about an empty one.
func TestOutsiderAsksEverything(t *testing.T) {
	const outsider, empty, none = id.UserID("@outsider:here"), id.RoomID("!empty:here"), id.RoomID("!none:here")
	d, hs := newRunner(t)
	d.Letters.On = true
	hs.Create(empty, "11", alice, "@usher:here")
	full(t, d, hs, lobby)
	texts := inRooms()
	for _, target := range []string{"@carol:here", "@invite:here", "@knock:here", "@ban:here", "ann@mail.example"} {
		for _, text := range []string{"!invite %s [] --dry-run", "!invite %s []", "!uninvite %s []", "!why %s []", "!why %s kick []", "!whoinvited %s []"} {
			texts = append(texts, strings.ReplaceAll(fmt.Sprintf(text, target), "[]", "%s"))
		}
	}
	for n := range 9 {
		texts = append(texts, fmt.Sprintf("!approve %d", n+1)+" %s", fmt.Sprintf("!deny %d", n+1)+" %s", fmt.Sprintf("!knocks accept %d", n+1)+" %s")
	}
	for _, text := range texts {
		answer := func(in id.RoomID) string {
			_, reply := say(t, d, "!away:here", outsider, strings.ReplaceAll(text, "%s", string(in)))
			return reply.React + strings.ReplaceAll(reply.Text.String(), string(in), "ROOM")
		}
		if got, want := answer(lobby), answer(empty); got != want {
			t.Errorf("%s: %q, of an empty room %q", text, got, want)
		} else if other := answer(none); got != other && !strings.HasPrefix(text, "!join") { // the homeserver answers joins
			t.Errorf("%s: %q, of a room without the bot %q", text, got, other)
		}
	}
	for text, has := range map[string]string{"!cards": "asks to invite", "!pending": "an…@mail.example", "!link list": "#1", "!uninvite @carol:here --dry-run": "withdraw.not_invited"} {
		if _, reply := say(t, d, lobby, alice, text); !strings.Contains(reply.Text.String(), has) {
			t.Errorf("a member, %s: %q", text, reply.Text.String())
		}
	}
}
