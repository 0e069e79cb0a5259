package e2e

import (
	"fmt"
	"slices"
	"testing"

	"usher/e2e/harness"
	"usher/e2e/stub"
)

// TestCommandsOfOneRoom: commands on different users run side by side. Those on the same user run one after the other, and so do
// all of a room with a quota: the first ones get it.
func TestCommandsOfOneRoom(t *testing.T) {
	q := newQuick(t, nil)
	owner := "@owner:" + q.Domain
	in, limited := q.Room("free", owner), q.Room("limited", owner)
	q.Set(limited, "chat.usher.policy", "", owner, m{"version": 1, "quota": m{"person": m{"count": 5, "per": "1h"}}}, false)
	q.start()
	q.answered(in, q.Say(in, owner, "!invite @first:"+q.Domain)) // the state of the room is known
	together, reached := make(chan struct{}), make(chan struct{}, 100)
	q.Script(stub.Fault{Suffix: "/invite", Times: 5, Serve: true, Call: func() {
		reached <- struct{}{}
		<-together
	}})
	var said []string
	for i := range 20 {
		said = append(said, q.Say(in, owner, fmt.Sprintf("!invite @guest%d:%s", i%10, q.Domain)))
	}
	for range 5 { // all at once, before one of them is answered
		<-reached
	}
	close(together)
	for _, event := range said {
		q.answered(in, event)
	}
	q.Script()
	said = nil
	for i := range 12 {
		said = append(said, q.Say(limited, owner, fmt.Sprintf("!invite @guest%d:%s", i, q.Domain)))
	}
	q.await("all answers", harness.Patience, func() bool {
		return !slices.ContainsFunc(said, func(event string) bool {
			reactions, notices := q.answers(limited, event)
			return reactions+notices == 0
		})
	})
	for i := range said {
		membership, _ := q.Membership(limited, fmt.Sprintf("@guest%d:%s", i, q.Domain))
		if invited := membership == "invite"; invited != (i < 5) {
			t.Errorf("guest %d of a room with a quota of 5: %q", i, membership)
		}
	}
	for i := range 10 {
		user := fmt.Sprintf("@guest%d:%s", i, q.Domain)
		if n := len(q.Events(in, func(e stub.Event) bool { return e.StateKey != nil && *e.StateKey == user })); n != 1 {
			t.Errorf("%d invitations of %s", n, user)
		}
	}
}
