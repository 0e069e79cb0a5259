package bot

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"usher/invites"
	"usher/metrics"
	"usher/room"
	"usher/store/storetest"
)

// TestStoreWatched: what is recorded through the ports shows in the metrics.
func TestStoreWatched(t *testing.T) {
	db := storetest.Open(t)
	m := metrics.New("test", clock{})
	var log bytes.Buffer
	port := loggedStore{db, m, zerolog.New(&log)}
	rows, err := port.Record(t.Context(), []invites.Change{{Command: "$c", Target: "@a:b", Status: invites.StatusOpen}}, []invites.Audit{{Kind: "decision", Verdict: "allow"}})
	if err != nil {
		t.Fatal(err)
	}
	if claimed, err := port.Claim(t.Context(), []int64{rows[0].ID}, clock{}.Now(), lease); len(claimed) != 1 || err != nil {
		t.Fatal(claimed, err)
	}
	detail := room.Say("detail.refused").Holding(room.Say("meaning.words", "words", "not at night"))
	if err := port.Settle(t.Context(), invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone, Code: "done", Detail: detail}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"homeserver_says":"not at night"`) {
		t.Errorf("the homeserver's words are not logged: %s", &log)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), `usher_deliveries_total{code="done",outcome="done"} 1`) {
		t.Error(w.Body.String())
	}
	for _, operation := range []string{"record", "claim", "settle"} {
		if !strings.Contains(w.Body.String(), `usher_store_seconds_count{operation="`+operation+`"} 1`) {
			t.Errorf("%s is not timed", operation)
		}
	}
}
