package e2e

import (
	"fmt"
	"strings"
	"testing"

	"usher/e2e/harness"
	"usher/e2e/stub"
)

// TestProcessesInStep: whichever process is given a transaction, the changes in it count at once for what any of them is given next: who
// may invite, which cards are open. The next active process knows them too.
func TestProcessesInStep(t *testing.T) {
	f := newFlow(t)
	owner, mod := "@owner:"+f.Domain, "@mod:"+f.Domain
	power := func(level int) {
		f.Set("!step:"+f.Domain, "m.room.power_levels", "", owner, m{"users": m{owner: 100, string(f.Usher.Bot): 50, mod: level}, "invite": 50}, true)
	}
	in := f.Room("step", owner, mod)
	via := func(u *harness.Usher, say func()) {
		before, _ := f.Taken()
		f.PushTo(u.URL())
		say()
		harness.Eventually(t, "the transaction", func() bool { n, _ := f.Taken(); return n > before })
	}
	asked := 0
	invites := func(by *harness.Usher, want string) {
		t.Helper()
		asked++
		guest, said := fmt.Sprintf("@step%d:%s", asked, f.Domain), ""
		via(by, func() { said = f.Say(in, mod, "!invite "+guest) })
		f.await("an answer", harness.Patience, func() bool {
			reactions, notices := f.answers(in, said)
			return reactions+notices > 0
		})
		if got, _ := f.Membership(in, guest); got != want {
			t.Errorf("%s by a moderator: membership %q, want %q", guest, got, want)
		}
	}
	for _, teller := range f.all {
		via(teller, func() { power(50) })
		for _, u := range f.all {
			invites(u, "invite")
		}
		via(teller, func() { power(0) })
		for _, u := range f.all {
			invites(u, "")
		}
	}

	via(f.all[0], func() { power(50) })
	f.Set(in, "chat.usher.policy", "", owner, m{"version": 1, "approval": m{"required": true, "votes": 1}}, true)
	guest := "@approved:" + f.Domain
	f.Say(in, mod, "!invite "+guest)
	var card stub.Event
	f.await("a card", harness.Patience, func() bool {
		found := f.Events(in, func(e stub.Event) bool {
			return e.Type == "m.room.message" && strings.Contains(string(e.Content), "To decide") && strings.Contains(string(e.Content), guest)
		})
		if len(found) > 0 {
			card = found[0]
		}
		return len(found) > 0
	})
	f.await("the card to be open", harness.Patience, func() bool {
		return len(f.Events(in, func(e stub.Event) bool { return e.Type == "m.reaction" && strings.Contains(string(e.Content), card.ID) })) >= 2
	})
	holder := active(t, f.uri, f.all, nil)
	holder.Kill()
	f.PushTo(active(t, f.uri, f.all, holder).URL())
	f.React(in, owner, card.ID, "✅")
	f.await("the vote to count", harness.Patience, func() bool {
		got, _ := f.Membership(in, guest)
		return got == "invite"
	})
}
