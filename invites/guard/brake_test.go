package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
)

// TestListBrake: a policy list has only so many invitations withdrawn within an hour; the rest is reported, and the admins are called.
func TestListBrake(t *testing.T) {
	const list = id.RoomID("!bans:here")
	w := newWatch(t, `{"version":1,"guard":{"mode":"enforce","by_hand":"withdraw"},"whom":{"lists":["!bans:here"],"deny_users":["@rob:*"]}}`)
	w.HS.Create(list, "11", alice, bot)
	w.HS.Set(list, "m.policy.rule.user", "all", alice, object{"entity": "@*:there", "recommendation": "m.ban", "reason": "spam"})
	invite := func(user id.UserID) string {
		w.told = nil
		w.HS.Set(lobby, "m.room.member", user.String(), carol, object{"membership": "invite"})
		if err := w.see(t, "m.room.member", user.String()); err != nil {
			t.Fatal(err)
		}
		snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
		if err != nil {
			t.Fatal(err)
		}
		membership, _ := snap.Membership(user)
		return membership
	}
	for n := range 20 {
		if got := invite(id.UserID(fmt.Sprintf("@guest%d:there", n))); got != "leave" {
			t.Fatalf("guest %d is %s", n, got)
		}
	}
	if got := invite("@next:there"); got != "invite" || len(w.told) != 1 || !strings.Contains(w.told[0], string(policy.CodeGuardBrake)) || strings.HasSuffix(w.told[0], "calls:0") {
		t.Errorf("beyond the brake: %s, told %q", got, w.told)
	}
	if got := invite("@rob:elsewhere"); got != "leave" {
		t.Errorf("whom the policy itself denies is %s", got)
	}
	w.Clock.Advance(2 * time.Hour)
	if got := invite("@later:there"); got != "leave" {
		t.Errorf("an hour later: %s", got)
	}
	w.HS.Set(list, "m.policy.rule.user", "all", alice, object{"entity": "@*:*", "recommendation": "m.ban", "reason": "spam"})
	if got := invite("@other:there"); got != "invite" || len(w.told) != 1 || !strings.Contains(w.told[0], string(policy.CodeGuardBrake)) || strings.HasSuffix(w.told[0], "calls:0") {
		t.Errorf("with most members listed: %s, told %q", got, w.told)
	}
	if got := invite("@rob:further"); got != "leave" {
		t.Errorf("whom the policy denies besides is %s", got)
	}
}
