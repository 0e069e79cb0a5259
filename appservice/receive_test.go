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
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// slowInbox commits when it is let.
type slowInbox struct {
	noInbox
	commits chan []invites.Received
	end     chan error
}

func (s slowInbox) Receive(_ context.Context, events []invites.Received, begin func(invites.Received) bool, _ ...invites.MemberEvent) ([]invites.Received, error) {
	for i := range events {
		events[i].Begun = begin != nil && begin(events[i])
	}
	s.commits <- events
	return events, <-s.end
}

// TestArrivalsShareCommits has transactions come while one commits: the next commit is theirs together.
func TestArrivalsShareCommits(t *testing.T) {
	inbox := slowInbox{commits: make(chan []invites.Received), end: make(chan error)}
	var delivered []invites.Received
	n := NewIntake(IntakeOptions{
		Inbox: inbox, Token: "hush", Bot: "@usher:example.org", Prefix: "!", Log: zerolog.Nop(),
		Deliver: func(events []invites.Received) { delivered = append(delivered, events...) },
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
	if !slices.Equal(answers, []int{200, 503, 503, 503}) || len(delivered) != 1 || delivered[0].Event != "$0" {
		t.Errorf("answered %v, delivered %v", answers, delivered)
	}
}

// TestBegin has commands begin while they are committed, those that are taken back at once apart.
func TestBegin(t *testing.T) {
	const command = `{"type":"m.room.message","event_id":"$1","room_id":"!r","sender":"@a:b","origin_server_ts":1,"content":{"msgtype":"m.text","body":"!invite"}}`
	const life = `{"type":"m.room.member","state_key":"@usher:example.org","event_id":"$2","room_id":"!r","sender":"@a:b","origin_server_ts":1,"content":{"membership":"invite"}}`
	other := strings.NewReplacer("$1", "$4", "!r", "!s").Replace(command)
	const redaction = `{"type":"m.room.redaction","event_id":"$3","room_id":"!r","sender":"@a:b","origin_server_ts":1,"redacts":"$1","content":{}}`
	for name, tt := range map[string]struct {
		events string
		may    bool
		begun  []bool
	}{
		"a command":              {command, true, []bool{true}},
		"one whose lane is busy": {command, false, []bool{false}},
		"other events before it": {life + "," + command + "," + other, true, []bool{false, false, true}},
		"other events after it":  {command + "," + life, true, []bool{true, false}},
		"one that is taken back": {command + "," + redaction, true, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			inbox := &redacting{slowInbox{commits: make(chan []invites.Received, 1), end: make(chan error, 1)}}
			inbox.end <- nil
			var delivered []invites.Received
			n := NewIntake(IntakeOptions{
				Inbox: inbox, Token: "hush", Bot: "@usher:example.org", Prefix: "!", Log: zerolog.Nop(),
				Begin:   func(invites.Received) bool { return tt.may },
				Deliver: func(events []invites.Received) { delivered = append(delivered, events...) },
			})
			r := httptest.NewRequest(http.MethodPut, "/_matrix/app/v1/transactions/1", strings.NewReader(`{"events":[`+tt.events+`]}`))
			r.Header.Set("Authorization", "Bearer hush")
			w := httptest.NewRecorder()
			n.ServeHTTP(w, r)
			var begun []bool
			for _, ev := range delivered {
				begun = append(begun, ev.Begun)
			}
			if w.Code != http.StatusOK || !slices.Equal(begun, tt.begun) {
				t.Errorf("%d, begun %v, want %v", w.Code, begun, tt.begun)
			}
		})
	}
}

// redacting is an inbox that takes redactions.
type redacting struct{ slowInbox }

func (*redacting) Redact(context.Context, id.EventID, id.UserID) (bool, error) { return true, nil }
