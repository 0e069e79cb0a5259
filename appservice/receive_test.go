package appservice

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"usher/invites"
)

// slowInbox commits when it is let.
type slowInbox struct {
	noInbox
	commits chan []invites.Received
	end     chan error
}

func (s slowInbox) Receive(_ context.Context, events []invites.Received, _ ...invites.MemberEvent) ([]invites.Received, error) {
	s.commits <- events
	return events, <-s.end
}

// TestArrivalsShareCommits has transactions come while one commits: the next commit is theirs together.
func TestArrivalsShareCommits(t *testing.T) {
	inbox := slowInbox{commits: make(chan []invites.Received), end: make(chan error)}
	var d desk
	n := NewIntake(IntakeOptions{
		Inbox: inbox, Watcher: noWatcher{}, Sink: &d, Tokens: Tokens{HS: "hush"}, Bot: "@usher:example.org", Prefix: "!", Log: zerolog.Nop(),
	})
	answers := make([]int, 4)
	var sending sync.WaitGroup
	send := func(i int) {
		sending.Go(func() {
			body := fmt.Sprintf(`{"events":[{"type":"m.room.message","event_id":"$%d","room_id":"!r","sender":"@a:b","origin_server_ts":1,`+
				`"content":{"msgtype":"m.text","body":"!invite"}}]}`, i)
			r := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/_matrix/app/v1/transactions/%d", i), strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer hush")
			w := httptest.NewRecorder()
			n.ServeHTTP(w, r)
			answers[i] = w.Code
		})
	}
	send(0)
	if first := <-inbox.commits; len(first) != 1 {
		t.Fatalf("%d events in the first commit", len(first))
	}
	for i := 1; i < len(answers); i++ {
		send(i)
	}
	for waiting := 0; waiting < len(answers)-1; {
		n.mu.Lock()
		waiting = len(n.waiting)
		n.mu.Unlock()
	}
	inbox.end <- nil
	second := <-inbox.commits
	if len(second) != 3 {
		t.Fatalf("%d events in the second commit", len(second))
	}
	inbox.end <- context.DeadlineExceeded
	sending.Wait()
	if !slices.Equal(answers, []int{200, 503, 503, 503}) || len(d.delivered) != 1 || d.delivered[0].Event != "$0" {
		t.Errorf("answered %v, d.delivered %v", answers, d.delivered)
	}
}
