package appservice

import (
	"errors"
	"slices"
	"testing"
)

// TestFailedTransactionIsTriedAgain: Usher finds out by itself that it can commit again, by the transaction that failed; the homeserver
// sends it again, and it acts once.
func TestFailedTransactionIsTriedAgain(t *testing.T) {
	d := &desk{fail: errors.New("database disk image is malformed")}
	n := d.intake()
	body := batch(text("$1", "!a"), text("$2", "!b"))
	if status, _ := put(n, body); status != 503 || !slices.Equal(d.commits, []bool{false}) {
		t.Errorf("answered %d, health told %v", status, d.commits)
	}
	n.again(t.Context())
	if !slices.Equal(d.commits, []bool{false, false}) || len(d.delivered) > 0 {
		t.Errorf("health told %v, delivered %v", d.commits, d.delivered)
	}
	if status, _ := put(n, `{"events":[]}`); status != 200 || !slices.Equal(d.commits, []bool{false, false}) {
		t.Errorf("answered %d; a transaction without a commit made it ready: %v", status, d.commits)
	}
	d.fail = nil
	n.again(t.Context())
	n.again(t.Context())
	if !slices.Equal(d.commits, []bool{false, false, true}) || len(d.delivered) != 2 {
		t.Errorf("health told %v, delivered %v", d.commits, d.delivered)
	}
	if status, _ := put(n, body); status != 200 || len(d.delivered) != 2 {
		t.Errorf("answered %d, delivered %v", status, d.delivered)
	}
	d.fail = errors.New("full")
	put(n, batch(text("$3", "!a")))
	d.fail = nil
	put(n, batch(text("$3", "!a")))
	if n.failed.Load() != nil {
		t.Error("a transaction that the homeserver brought through is tried again")
	}
	put(n, body)
	n.Drain()
	n.again(t.Context())
}
