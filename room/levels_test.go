package room

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"usher/exactjson"

	"maunium.net/go/mautrix/id"
)

// TestLevelFormats reads single values in all versions. A missing want is malformed.
func TestLevelFormats(t *testing.T) {
	const big = "1" + "00000000000000000000" // beyond int64
	type span struct {
		from, to int
		want     Level
	}
	tests := []struct {
		raw   string
		spans []span
	}{
		{`0`, []span{{1, 12, 0}}},
		{`50`, []span{{1, 12, 50}}},
		{`-7`, []span{{1, 12, -7}}},
		{`9007199254740991`, []span{{1, 12, 9007199254740991}}},
		{`9007199254740992`, []span{{1, 5, 9007199254740992}}},
		{`9223372036854775807`, []span{{1, 5, math.MaxInt64 - 1}}},
		{big, []span{{1, 5, math.MaxInt64 - 1}}},
		{`-` + big, []span{{1, 5, math.MinInt64}}},
		{`50.0`, []span{{1, 5, 50}}},
		{`50.99`, []span{{1, 5, 50}}},
		{`-0.9`, []span{{1, 5, 0}}},
		{`5.114698E4`, []span{{1, 5, 51146}}},
		{`1e2`, []span{{1, 5, 100}}},
		{`1e-2`, []span{{1, 5, 0}}},
		{`1e300`, []span{{1, 5, math.MaxInt64 - 1}}},
		{`-1e300`, []span{{1, 5, math.MinInt64}}},
		{`1` + strings.Repeat("0", 308), []span{{1, 5, math.MaxInt64 - 1}}},
		{`1` + strings.Repeat("0", 309), nil},
		{`"-1` + strings.Repeat("0", 309) + `"`, nil},
		{`"` + strings.Repeat("0", 400) + `7"`, []span{{1, 9, 7}}},
		{`1e400`, nil},
		{`-1e400`, nil},
		{`"50"`, []span{{1, 9, 50}}},
		{`" 50 "`, []span{{1, 9, 50}}},
		{`"\t\n50\u00a0"`, []span{{1, 9, 50}}},
		{`"+50"`, []span{{1, 9, 50}}},
		{`" -050 "`, []span{{1, 9, -50}}},
		{`"00050"`, []span{{1, 9, 50}}},
		{`"9223372036854775807"`, []span{{1, 9, math.MaxInt64 - 1}}},
		{`"` + big + `"`, []span{{1, 9, math.MaxInt64 - 1}}},
		{`"\u0035\u0030"`, []span{{1, 9, 50}}},
		{`""`, nil}, {`" "`, nil}, {`"+"`, nil}, {`"-"`, nil}, {`"+-5"`, nil}, {`"- 5"`, nil}, {`"5 0"`, nil},
		{`"0x10"`, nil}, {`"1e2"`, nil}, {`"1.0"`, nil}, {`"1_000"`, nil}, {`"١٠"`, nil}, {`"５０"`, nil}, {`"Infinity"`, nil},
		{`true`, nil}, {`null`, nil}, {`[50]`, nil}, {`{}`, nil},
	}
	for _, test := range tests {
		n, _, ok := exactjson.Parse([]byte(test.raw))
		if !ok {
			t.Fatalf("%s does not parse", test.raw)
		}
		for version := 1; version <= 12; version++ {
			traits, _ := traitsOf(id.RoomVersion(strconv.Itoa(version)))
			got := traits.level(n)
			want := level{state: malformed}
			for _, s := range test.spans {
				if version >= s.from && version <= s.to {
					want = exactly(s.want)
				}
			}
			if got.state != want.state || got.value != want.value {
				t.Errorf("v%d: %s is %d (state %d), want %d (state %d)", version, test.raw, got.value, got.state, want.value, want.state)
			}
		}
	}
}

// TestLevelsCompareExactly checks that saturation is for show only.
func TestLevelsCompareExactly(t *testing.T) {
	traits, _ := traitsOf("1")
	ordered := []string{`-2e300`, `-1e300`, `-9223372036854775809`, `-9223372036854775808`, `-9223372036854775807`, `0`,
		`9223372036854775806`, `9223372036854775807`, `9223372036854775808`, `1e300`, `2e300`}
	levels := make([]level, len(ordered))
	for i, raw := range ordered {
		n, _, _ := exactjson.Parse([]byte(raw))
		levels[i] = traits.level(n)
	}
	levels = append(levels, exactly(Infinite))
	for i, a := range levels {
		for j, b := range levels {
			if a.outranks(b) != (i > j) || a.reaches(b) != (i >= j) || a.same(b) != (i == j) {
				t.Errorf("%d and %d compare wrongly", i, j)
			}
		}
	}
}

func TestUserIDs(t *testing.T) {
	for _, good := range []string{"@a:x", "@a:x.example", "@a:1.2.3.4:8448", "@a:[::1]", "@a:[2001:db8::1]:8448", "@:x", "@Ünï @:x", "@a/b=c:localhost:1",
		"@" + strings.Repeat("a", 252) + ":x"} {
		if !ValidUserID(good) {
			t.Errorf("%s is refused", good)
		}
	}
	for _, bad := range []string{"", "@", "a", "a:x", "@a", "@a:", "@baduser", "#a:x", "@a:x:", "@a:x:y", "@a:x:123456", "@a:x y", "@a:[::1", "@a:[]", "@a:[::1]x",
		"@a:ü", "@a\x00b:x", "@a:x/", "@" + strings.Repeat("a", 253) + ":x"} {
		if ValidUserID(bad) {
			t.Errorf("%s is accepted", bad)
		}
	}
}
