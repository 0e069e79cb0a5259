package policy

import (
	"testing"
	"time"
)

// TestTrail: the dates that a user's own server gives hide nothing.
func TestTrail(t *testing.T) {
	const day = 24 * time.Hour
	old := time.UnixMilli(1)
	before := func(d time.Duration) time.Time { return noon.Add(-d) }
	own := func(from, to string, at time.Time) MemberStep {
		return MemberStep{Before: from, After: to, Own: true, SentAt: at}
	}
	others := func(from, to string, at time.Time) MemberStep { return MemberStep{Before: from, After: to, SentAt: at} }
	seen := func(s MemberStep, at time.Time) MemberStep { s.SeenAt = at; return s }
	for _, tt := range []struct {
		name  string
		steps []MemberStep // oldest first
		read  int          // how many are read, the newest first, to see the last 30 days
		past  Past
	}{
		{"kicked long ago", []MemberStep{others("", "invite", before(99*day)), own("invite", "join", before(98*day)), others("join", "leave", before(90*day))}, 1, Past{Kicked: before(90 * day)}},
		{"a backdated knock after a kick", []MemberStep{own("", "join", before(98*day)), others("join", "leave", before(time.Minute)), own("leave", "knock", old)}, 3,
			Past{Kicked: before(time.Minute)}},
		{"several of them", []MemberStep{others("join", "leave", before(time.Minute)), own("leave", "knock", old), own("knock", "leave", old), own("leave", "knock", old)}, 4,
			Past{Kicked: before(time.Minute)}},
		{"a backdated decline", []MemberStep{others("leave", "invite", before(time.Hour)), own("invite", "leave", old)}, 2, Past{Declined: before(time.Hour)}},
		{"a backdated leave after an invitation", []MemberStep{others("", "invite", before(time.Hour)), own("invite", "join", old), own("join", "leave", old)}, 3, Past{Left: before(time.Hour)}},
		{"a leave that we saw", []MemberStep{own("", "join", old), seen(own("join", "leave", old), before(time.Hour))}, 2, Past{Left: before(time.Hour)}},
		{"a leave that we saw long ago", []MemberStep{own("", "join", old), seen(own("join", "leave", before(50*day)), before(40*day))}, 1, Past{Left: before(40 * day)}},
		{"dated into the future", []MemberStep{others("", "invite", before(time.Hour)), own("invite", "leave", noon.Add(99*day))}, 2, Past{Declined: noon}},
		{"one's own future does not date what others did", []MemberStep{own("", "join", noon.Add(99*day)), others("join", "ban", before(time.Hour)), others("ban", "leave", before(time.Hour))}, 3,
			Past{Kicked: before(time.Hour)}},
		{"an honest date", []MemberStep{others("", "invite", before(9*day)), own("invite", "join", before(8*day)), own("join", "leave", before(7*day))}, 3, Past{Left: before(7 * day)}},
		{"the last one counts", []MemberStep{others("join", "leave", before(9*day)), others("leave", "invite", before(8*day)), own("invite", "join", before(8*day)), others("join", "leave", before(day))}, 4,
			Past{Kicked: before(day)}},
		{"an invitation taken back is neither", []MemberStep{others("leave", "invite", before(day)), others("invite", "leave", before(time.Hour))}, 2, Past{}},
	} {
		var trail Trail
		read := 0
		for i := len(tt.steps) - 1; i >= 0; i-- {
			read++
			if trail.Add(tt.steps[i], before(30*day)) {
				break
			}
		}
		if got := trail.Past(noon); read != tt.read || !got.Kicked.Equal(tt.past.Kicked) || !got.Left.Equal(tt.past.Left) || !got.Declined.Equal(tt.past.Declined) {
			t.Errorf("%s: read %d, got %v, want %v", tt.name, read, got, tt.past)
		}
	}
}
