package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

func TestList(t *testing.T) {
	sum := sha256.Sum256([]byte("@hidden:x.org"))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	tests := []struct {
		name, kind, content, user string
		hit                       bool
	}{
		{"a user", "m.policy.rule.user", `{"entity":"@a:x.org","recommendation":"m.ban"}`, "@a:x.org", true},
		{"another user", "m.policy.rule.user", `{"entity":"@a:x.org","recommendation":"m.ban"}`, "@b:x.org", false},
		{"a user glob", "m.room.rule.user", `{"entity":"@spam*:*","recommendation":"m.ban"}`, "@spammer:x.org", true},
		{"a short glob", "m.policy.rule.user", `{"entity":"@a*:*","recommendation":"m.ban"}`, "@ab:x", true},
		{"a server", "m.policy.rule.server", `{"entity":"X.org","recommendation":"m.ban"}`, "@a:x.ORG:8448", true},
		{"a server with its port", "m.policy.rule.server", `{"entity":"x.org:8448","recommendation":"m.ban"}`, "@a:x.org:8448", true},
		{"a server by the root's dot", "m.policy.rule.server", `{"entity":"x.org","recommendation":"m.ban"}`, "@a:x.org.", true},
		{"a user, whatever the case of the server", "m.policy.rule.user", `{"entity":"@a:x.org","recommendation":"m.ban"}`, "@a:X.org", true},
		{"a user glob, whatever the port", "m.policy.rule.user", `{"entity":"@a*:x.org","recommendation":"m.ban"}`, "@ab:x.org:8448", true},
		{"a user as written", "m.policy.rule.user", `{"entity":"@a:X.org:8448","recommendation":"m.ban"}`, "@a:X.org:8448", true},
		{"hashed, with the root's dot", "m.policy.rule.user", `{"hashes":{"sha256":"` + hash + `"},"recommendation":"m.ban"}`, "@hidden:x.org.", true},
		{"a server glob", "org.matrix.mjolnir.rule.server", `{"entity":"*.x.org","recommendation":"org.matrix.mjolnir.ban"}`, "@a:y.x.org", true},
		{"the glob's own domain", "m.policy.rule.server", `{"entity":"*.x.org","recommendation":"m.ban"}`, "@a:x.org", false},
		{"takedown", "m.policy.rule.user", `{"entity":"@a:x.org","recommendation":"m.takedown"}`, "@a:x.org", true},
		{"hashed", "m.policy.rule.user", `{"hashes":{"sha256":"` + hash + `"},"recommendation":"m.ban"}`, "@hidden:x.org", true},
		{"another recommendation", "m.policy.rule.user", `{"entity":"@a:x.org","recommendation":"m.mute"}`, "@a:x.org", false},
		{"folded keys", "m.policy.rule.user", `{"Entity":"@a:x.org","recommendation":"m.ban"}`, "@a:x.org", false},
		{"redacted", "m.policy.rule.user", `{}`, "@a:x.org", false},
		{"a room rule", "m.policy.rule.room", `{"entity":"@a:x.org","recommendation":"m.ban"}`, "@a:x.org", false},
		{"nonsense", "m.policy.rule.user", `[1]`, "@a:x.org", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l List
			k := room.Key{Type: tt.kind, StateKey: "r"}
			l.Set(k, json.RawMessage(tt.content))
			if hit := l.Match(id.UserID(tt.user)); (hit != nil) != tt.hit {
				t.Errorf("got %v", hit)
			}
			l.Set(k, json.RawMessage(`{}`))
			if l.Len() != 0 || l.Match(id.UserID(tt.user)) != nil {
				t.Error("a rule taken out still bans")
			}
		})
	}
}

// TestListAgreesWithGoingThrough compares the index with a plain loop over random globs.
func TestListAgreesWithGoingThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	var l List
	globs := map[room.Key]string{}
	hits := 0
	for range 3000 {
		k := room.Key{Type: "m.policy.rule.user", StateKey: fmt.Sprint(rng.IntN(200))}
		glob := "@" + text("aab*?", 1+rng.IntN(12)) + ":x"
		globs[k] = glob
		l.Set(k, fmt.Appendf(nil, `{"entity":%q,"recommendation":"m.ban"}`, glob))
		user := "@" + text("ab", 1+rng.IntN(16)) + ":x"
		want := false
		for _, g := range globs {
			want = want || Match(g, user)
		}
		if want {
			hits++
		}
		if got := l.Match(id.UserID(user)) != nil; got != want {
			t.Fatalf("%s: got %v, want %v", user, got, want)
		}
	}
	if hits == 0 || hits == 3000 {
		t.Errorf("%d of 3000 hit: that compares nothing", hits)
	}
}

func BenchmarkList(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var l List
			for i := range n {
				entity := []string{"@spam%d*:*", "*%d.evil.example", "@bad%d:evil.example", "*junk%d*"}[i%4]
				l.Set(room.Key{Type: "m.policy.rule.user", StateKey: fmt.Sprint(i)}, fmt.Appendf(nil, `{"entity":%q,"recommendation":"m.ban"}`, fmt.Sprintf(entity, i)))
			}
			for b.Loop() {
				if l.Match("@somebody:good.example") != nil {
					b.Fatal("hit")
				}
			}
		})
	}
}
