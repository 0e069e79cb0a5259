package store_test

import (
	"fmt"
	"testing"
	"time"

	"usher/invites"
)

// testInboundAfter reads entries page by page, and drops one.
func testInboundAfter(t *testing.T, s Store) {
	save := func(kind invites.InboundKind, who, other string, until time.Time) {
		check(t, s.SaveInbound(t.Context(), kind, who, other, until))
	}
	later := epoch.Add(time.Hour)
	for _, who := range []string{"b", "a"} {
		for n := range 3 {
			save(invites.InboundInvited, who, fmt.Sprint(n, " \x00x"), later)
		}
	}
	save(invites.InboundInvited, "a", "ended", epoch)
	save(invites.InboundKnown, "a", "another kind", later)
	check(t, s.DropInbound(t.Context(), invites.InboundInvited, "a", "1 \x00x"))
	var got []string
	var behind invites.InboundEntry
	for {
		page := must(s.InboundAfter(t.Context(), invites.InboundInvited, behind, epoch, 2))(t)
		for _, e := range page {
			got = append(got, e.Who+e.Other[:1])
			same(t, "its end", e.Until, later)
		}
		if len(page) < 2 {
			break
		}
		behind = page[1]
	}
	same(t, "entries", got, []string{"a0", "a2", "b0", "b1", "b2"})
}
