package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// TestMoveFrom: the members of the room that this one replaces are invited, those who spoke last first, once each over a kill. Who came and who declined is
// counted, and the others are reminded once, in the old room. USHER_E2E_LONG makes it 200 people.
func TestMoveFrom(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"delivery.workers": 1}}) // several would send side by side
	n := scaled(20, 200)
	old := s.BotRoom(s.owner, harness.RoomOptions{Preset: "public_chat", Name: "Old"})
	people, order := make([]*harness.Account, n), []id.UserID{}
	for i := range people {
		people[i] = harness.NewAccount(s.Test(), s.Server, fmt.Sprintf("mover%d", i), "", false)
		people[i].Join(old)
		order = slices.Insert(order, 0, people[i].ID)
	}
	for _, i := range []int{n / 2, 0, n - 3, 4, 0} { // the last to speak is the first to be invited
		people[i].Say(old, "hello")
		order = slices.DeleteFunc(order, func(user id.UserID) bool { return user == people[i].ID })
		order = slices.Insert(order, 0, people[i].ID)
	}
	next := s.BotRoom(s.owner, harness.RoomOptions{Name: "New", Replaces: old})
	s.owner.Ban(next, order[n-1])

	said := s.owner.Say(next, "!move from --remind 3s")
	preview := s.owner.AwaitReply(said, s.Usher.Bot)
	t.Log(preview.Field("body"))
	for _, part := range []string{fmt.Sprintf("is about %d people", n+1), fmt.Sprintf("invite %d people", n-1), "4 spoke lately", "1 can't be invited", "3 seconds after"} {
		if !strings.Contains(preview.Field("body"), part) {
			t.Errorf("the preview does not say %q", part)
		}
	}
	s.owner.AwaitReaction(id.EventID(preview.ID), s.Usher.Bot, "❌")
	reached, count := make(chan struct{}), atomic.Int64{}
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/invite") && count.Add(1) == int64(n/3) {
			close(reached)
		}
		next.ServeHTTP(w, r)
	})
	s.owner.React(next, id.EventID(preview.ID), done)
	harness.Wait(t, "a third of the invitations", reached)
	s.Usher.Kill()
	s.Usher.Tap.Disturb(nil)
	for i, user := range order[n-n/3:] { // of two thirds, and one batch of eight, at most
		if status, _ := s.owner.Membership(next, user); status == "invite" {
			t.Errorf("%s, the last but %d, is among the first third", user, n/3-i-1)
		}
	}
	for i, user := range order[:2] {
		by := people[slices.IndexFunc(people, func(a *harness.Account) bool { return a.ID == user })]
		by.AwaitInvite(next)
		if i == 0 {
			by.Join(next)
		} else {
			by.Do("POST", "/v3/rooms/"+url.PathEscape(string(next))+"/leave", m{})
		}
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	var recorded []id.UserID
	for _, line := range s.outcomeOfEach(t, said) {
		if user := id.UserID(strings.TrimPrefix(line[0], "'")); user != s.owner.ID {
			recorded = append(recorded, user)
			if invited := invitations(s.owner, next, user); (line[1] == "invited") != (user != order[n-1]) || invited > 1 || line[1] == "invited" && invited == 0 {
				t.Errorf("%s: %s, %d invitations", user, line[1], invited)
			}
		}
	}
	if !slices.Equal(recorded, order) {
		t.Errorf("the order is %v, expected %v", recorded, order)
	}
	reminder := s.owner.Await("the reminder", func(e harness.Event) bool {
		return e.Room == string(old) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "not come yet")
	})
	t.Log(reminder.Field("body"))
	status := s.owner.AwaitReply(s.owner.Say(next, "!move status"), s.Usher.Bot).Field("body")
	t.Log(status)
	for _, part := range []string{fmt.Sprintf("1 of %d people have come", n), "1 more was here before", fmt.Sprintf("%d are invited and have not come yet", n-3), "1 declined", "1 could not be invited", "were reminded just now"} {
		if !strings.Contains(status, part) {
			t.Errorf("the status does not say %q", part)
		}
	}
	if body := reminder.Field("body"); reminder.Field("msgtype") != "m.text" || !strings.Contains(body, fmt.Sprintf("%d have not come yet", n-3)) || !strings.Contains(body, string(order[2])) ||
		strings.Contains(body, string(order[0])+",") || strings.Contains(body, string(order[1])+",") {
		t.Errorf("the reminder is %s", reminder.Content)
	}
	if told := len(s.owner.Seen(func(e harness.Event) bool {
		return e.Room == string(old) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "not come yet")
	})); told != 1 {
		t.Errorf("%d reminders", told)
	}
}
