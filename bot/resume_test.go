package bot

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/config"
	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/store"
)

// TestLimitsOverRestart: a new process counts the invitations of the last day against the limits of the config.
func TestLimitsOverRestart(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	now := time.Now()
	row := func(request string, by id.UserID, at time.Time) invites.Change {
		return invites.Change{Request: request, Origin: invites.OriginKnock, Action: "invite", Room: "!r", Target: id.UserID("@" + request + ":x"), Actor: by, Status: invites.StatusDone, CreatedAt: at, DueAt: at}
	}
	rows := []invites.Change{row("old", "@a:here", now.Add(-25*time.Hour)), row("older", "@b:here", now.Add(-25*time.Hour)), row("new", "@a:here", now.Add(-23*time.Hour))}
	if _, err := db.Record(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	limits := newLimits(&config.Config{Limits: config.Limits{InvitesPerPerson: 1}}, invites.Identity{Bot: "@usher:here", Domain: "here"})
	b := &bot{log: zerolog.Nop(), store: loggedStore{Store: db}, domain: &domain{requests: &requests.Requests{Limits: limits}}}
	if err := b.recall(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if no, _ := limits.Spend("@a:here", "@c:x"); no == nil || no.Code != policy.CodeLimitPerson {
		t.Errorf("the invitation of yesterday is forgotten: %+v", no)
	}
	if no, _ := limits.Spend("@b:here", "@c:x"); no != nil {
		t.Errorf("an older invitation counts: %+v", no)
	}
}
