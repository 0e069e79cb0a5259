package chat

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/metrics"
)

func TestRate(t *testing.T) {
	start := time.Unix(1700000000, 0)
	r := newLimit[string](3)
	for i, c := range []struct {
		key           string
		after         time.Duration
		allowed, tell bool
	}{
		{"a", 0, true, false},
		{"a", 0, true, false},
		{"a", time.Second, true, false},
		{"a", time.Second, false, true},
		{"a", 2 * time.Second, false, false},
		{"b", 2 * time.Second, true, false}, // others are no worse off
		{"a", 21 * time.Second, true, false},
		{"a", 21 * time.Second, false, false}, // told already
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, true, false},
		{"a", 2 * time.Minute, false, true},  // kept quiet in between
		{"a", 1 * time.Minute, false, false}, // a straggler from before
		{"c", 10 * time.Minute, true, false},
		{"c", 1 * time.Minute, true, false}, // a straggler is no flood
		{"c", 1 * time.Minute, true, false},
		{"c", 1 * time.Minute, false, true}, // many are
	} {
		if allowed, tell := r.take(c.key, start.Add(c.after)); allowed != c.allowed || tell != c.tell {
			t.Errorf("%d: %s after %s: allowed %v, tell %v", i, c.key, c.after, allowed, tell)
		}
	}
	none := newLimit[string](0)
	for range 100 {
		if allowed, _ := none.take("a", start); !allowed {
			t.Fatal("0 is no limit")
		}
	}
}

func TestRateIsBounded(t *testing.T) {
	r := newLimit[int](1)
	at := time.Unix(1700000000, 0)
	for i := range 3 * maxMeters {
		if i == maxMeters {
			at = at.Add(time.Hour)
		}
		r.take(i, at)
		if r.meters.Len() > maxMeters {
			t.Fatalf("%d keys", r.meters.Len())
		}
	}
}

// TestFloodOfCommands: beyond the limit nothing runs, one notice says so, and nothing stays in the inbox.
func TestFloodOfCommands(t *testing.T) {
	b, s := newChat(t, func(o *Options) { o.Settings.CommandsPerMinute = 5 })
	b.level = commands.User
	b.runner.RoundTrip = func(context.Context) error { return nil }
	for _, ev := range put(t, b, "@mallory:here", 200, "!r:here") {
		b.handle(t, ev)
	}
	notices := 0
	for _, body := range s.bodies {
		if strings.Contains(body, "limited") {
			notices++
		}
	}
	if len(s.bodies) > 2*5+1 || notices != 1 {
		t.Errorf("%d answers, %d of them about the limit", len(s.bodies), notices)
	}
	if waiting, err := b.store.WaitingAfter(t.Context(), 0, 10000); err != nil || len(waiting) != 0 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// TestRoomIsNotSpammed: many users together can't have the bot fill a room.
func TestRoomIsNotSpammed(t *testing.T) {
	b, s := newChat(t, func(o *Options) { o.Settings.AnswersPerMinute = 7 }) // users without permission are answered by a notice
	for i := range 100 {
		for _, ev := range put(t, b, id.UserID(fmt.Sprintf("@m%d:here", i)), 1, "!r:here") {
			b.handle(t, ev)
		}
	}
	if len(s.bodies) != 7+1 || !strings.Contains(s.bodies[7], "without answering") {
		t.Errorf("%d answers, the last %q", len(s.bodies), s.bodies[len(s.bodies)-1])
	}
}

// TestTryingAgainIsNoFlood: a command that has to be tried again counts once.
func TestTryingAgainIsNoFlood(t *testing.T) {
	b := NewLimits(1, 0, metrics.New("test", clock{}))
	ev := invites.Received{Event: "$1", Sender: "@a:here", ReceivedAt: time.Now()}
	for range 5 {
		if run, _ := b.MayCommand(ev); !run {
			t.Fatal("limited by its own first try")
		}
	}
	ev.Event = "$2"
	if run, tell := b.MayCommand(ev); run || !tell {
		t.Error("the next one is not limited")
	}
	ev.Event, ev.Answer = "$3", "$card"
	if run, _ := b.MayCommand(ev); !run {
		t.Error("one whose card waited is limited by what came after it")
	}
}

// TestCardsAreAnswers: cards spend the answers of the room that shows them.
func TestCardsAreAnswers(t *testing.T) {
	l := NewLimits(0, 2, metrics.New("test", clock{}))
	for i, want := range []bool{true, true, false} {
		if l.mayPost("!office:here") != want {
			t.Errorf("card %d: not %v", i+1, want)
		}
	}
	if !l.mayPost("!other:here") {
		t.Error("cards are not counted by room")
	}
	var reply commands.Reply
	reply.Text.Say("done")
	if allowed, _ := l.mayAnswer(invites.Received{Room: "!office:here"}, reply); allowed {
		t.Error("an answer beyond the limit")
	}
}
