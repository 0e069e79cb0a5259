package encryption

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestSenders: messages are bounded for each stranger, for each server, and for all strangers. Local users and acquaintances do not
// suffer from strangers of other servers, and memory is bounded.
func TestSenders(t *testing.T) {
	s, now := newSenders(bot), time.Now()
	flood := func(name string, acquainted bool, users, messages int) (admitted int) {
		for range messages {
			for i := range users {
				if s.admit(id.UserID(fmt.Sprintf(name, i)), acquainted, now) {
					admitted++
				}
			}
		}
		return admitted
	}
	for _, tt := range []struct {
		what       string
		name       string
		acquainted bool
		users      int
		want       int
	}{
		{"one stranger", "@one:evil%[1]d", false, 1, int(rateStranger.burst)},
		{"a server", "@m%d:crowd", false, 100, int(rateServer.burst)},
		{"many servers", "@m:s%d", false, 10_000, int(rateStrangers.burst - rateStranger.burst - rateServer.burst)},
		{"one local user", "@new%d:here", false, 1, int(rateStranger.burst)},
		{"an acquaintance", "@friend%d:there", true, 1, int(rateAcquaintance.burst)},
	} {
		if n := flood(tt.name, tt.acquainted, tt.users, 1000); n != tt.want {
			t.Errorf("%s: %d messages taken in, want %d", tt.what, n, tt.want)
		}
	}
	if n := len(s.buckets); n > 2*minBuckets {
		t.Errorf("%d buckets", n)
	}
	now = now.Add(time.Minute)
	if n := flood("@one:evil%[1]d", false, 1, 100); n != int(rateStranger.perMinute) {
		t.Errorf("%d messages after a minute", n)
	}
	for range 100 { // a day of strangers
		now = now.Add(15 * time.Minute)
		flood(fmt.Sprintf("@m%%d:s%d", now.Unix()), false, 1000, 1)
	}
	if n := len(s.buckets); n > 2*minBuckets {
		t.Errorf("%d buckets after a day", n)
	}
}
