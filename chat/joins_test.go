package chat

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestJoinLimit: the users of one server lead the bot into so many rooms an hour, however they spell their server.
func TestJoinLimit(t *testing.T) {
	l, now := newJoinLimit(), time.Unix(1700000000, 0)
	for range joinsOfServer {
		if !l.allow("@a:evil.example", "here", now) {
			t.Fatal("too few")
		}
	}
	for _, again := range []string{"evil.example", "EVIL.example", "evil.example."} {
		if l.allow(id.UserID("@b:"+again), "here", now) {
			t.Errorf("%s has more", again)
		}
	}
	if !l.allow("@a:other.example", "here", now) || !l.allow("@a:here", "here", now) || !l.allow("@a:evil.example", "here", now.Add(time.Minute)) {
		t.Error("others are limited, or for ever")
	}
}
