package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

func TestList(t *testing.T) {
	hashOf := func(entity string) string {
		sum := sha256.Sum256([]byte(entity))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	hash := hashOf("@hidden:x.org")
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
		{"a user in capitals", "m.policy.rule.user", `{"entity":"@spam*:*","recommendation":"m.ban"}`, "@SPAM7:x.org", true},
		{"a rule in capitals", "m.policy.rule.user", `{"entity":"@Eve:x.org","recommendation":"m.ban"}`, "@eve:x.org", true},
		{"the server of a user's rule in capitals", "m.policy.rule.user", `{"entity":"@a:X.org","recommendation":"m.ban"}`, "@a:x.org", true},
		{"the server of a user's glob in capitals", "m.policy.rule.user", `{"entity":"@*:X.org","recommendation":"m.ban"}`, "@a:x.org", true},
		{"the server of a user's rule with the root's dot", "m.policy.rule.user", `{"entity":"@a:x.org.","recommendation":"m.ban"}`, "@a:x.org", true},
		{"the server of a user's rule with a port", "m.policy.rule.user", `{"entity":"@a:x.org:8448","recommendation":"m.ban"}`, "@a:x.org:1", true},
		{"a server in letters beyond ASCII", "m.policy.rule.server", `{"entity":"*.b\u00fccher.org","recommendation":"m.ban"}`, "@a:x.xn--bcher-kva.org", true},
		{"hashed, in capitals", "m.policy.rule.user", `{"hashes":{"sha256":"` + hash + `"},"recommendation":"m.ban"}`, "@HIDDEN:x.org", true},
		{"hashed, the server in capitals, with a port", "m.policy.rule.user", `{"hashes":{"sha256":"` + hash + `"},"recommendation":"m.ban"}`, "@hidden:X.org:1", true},
		{"a hashed server", "m.policy.rule.server", `{"hashes":{"sha256":"` + hashOf("x.org") + `"},"recommendation":"m.ban"}`, "@a:X.org:8448", true},
		{"hashed in capitals", "m.policy.rule.user", `{"hashes":{"sha256":"` + hashOf("@Eve:x.org") + `"},"recommendation":"m.ban"}`, "@Eve:X.org", true},
		{"too long", "m.policy.rule.user", `{"entity":"@` + strings.Repeat("*", 255) + `","recommendation":"m.ban"}`, "@a:x.org", false},
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

func TestListOfRooms(t *testing.T) {
	var l List
	rule := room.Key{Type: "m.policy.rule.room", StateKey: "r"}
	for _, tt := range []struct {
		entity, room, alias string
		hit                 bool
	}{
		{"!spam:evil.org", "!spam:evil.org", "", true}, {"!spam:Evil.org", "!spam:evil.org:8448", "", true}, {"!spam:evil.org", "!other:evil.org", "", false},
		{"#spam*:evil.org", "!x", "#Spam2:evil.org", true}, {"#spam*:evil.org", "!x", "#ham:evil.org", false}, {"!v12", "!v12", "", true},
	} {
		l.Set(rule, fmt.Appendf(nil, `{"entity":%q,"recommendation":"m.ban","reason":"bad"}`, tt.entity))
		hit := l.MatchRoom(id.RoomID(tt.room), tt.alias)
		if (hit != nil) != tt.hit || hit != nil && (hit.Entity != tt.entity || hit.Reason != "bad") {
			t.Errorf("%s on %s %s: %v", tt.entity, tt.room, tt.alias, hit)
		}
		if l.Match("@spam:evil.org") != nil {
			t.Errorf("%s bans a user", tt.entity)
		}
	}
}

// TestListKeepsLittle: the texts of a list's keepers take a bounded place in memory.
func TestListKeepsLittle(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var l List
	const n = 1000
	reason := strings.Repeat("ü", 30_000)
	for i := range n {
		l.Set(room.Key{Type: "m.policy.rule.user", StateKey: fmt.Sprint(i)},
			[]byte(fmt.Sprintf(`{"recommendation":"m.ban","entity":"@x%d:y","reason":"%s"}`, i, reason)))
	}
	if got := heap() - before; got > 2<<20 {
		t.Errorf("%d rules hold %d KiB", n, got>>10)
	}
	if reason := l.Match("@x7:y").Reason; len(reason) > 510 || !utf8.ValidString(reason) {
		t.Errorf("the reason is kept as %d bytes", len(reason))
	}
	runtime.KeepAlive(&l)
}

// TestListIsQuickForAnyRules: no choice of rules and names makes a look expensive.
func TestListIsQuickForAnyRules(t *testing.T) {
	var l List
	const n = 5000
	for i := range n {
		glob := strings.Repeat("a", 40) + "*" + strings.Repeat("a?", 30) + "*" + strings.Repeat("a*", 40) + strings.Repeat("a", 20) + fmt.Sprintf("?a?*%d", i%10)
		l.Set(room.Key{Type: "m.policy.rule.user", StateKey: fmt.Sprint(i)}, fmt.Appendf(nil, `{"recommendation":"m.ban","entity":%q}`, "*"+glob))
	}
	user := id.UserID("@" + strings.Repeat("a", 230) + ":evil.10a11a12a13")
	spent := func() time.Duration { // processor time, which others don't lengthen
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := spent()
	l.Match(user)
	if took := spent() - start; took > 500*time.Millisecond {
		t.Errorf("%d rules take %s", n, took)
	}
}

func TestListIsBounded(t *testing.T) {
	l := List{rules: map[room.Key]listRule{}}
	for i := range maxRules - 1 {
		l.rules[room.Key{StateKey: fmt.Sprint(i)}] = listRule{}
	}
	for i, user := range []id.UserID{"@x:y", "@z:y"} {
		l.Set(room.Key{Type: "m.policy.rule.user", StateKey: string(user)}, fmt.Appendf(nil, `{"recommendation":"m.ban","entity":%q}`, user))
		if hit := l.Match(user); (hit != nil) != (i == 0) || l.Len() != maxRules {
			t.Errorf("%s: %v of %d rules", user, hit, l.Len())
		}
	}
}

// TestListAgreesWithGoingThrough compares a list with a plain loop over random globs, while rules come and go.
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
