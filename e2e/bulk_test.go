package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// list makes accounts and a table that names them.
func (s *stage) list(n int) (guests []*harness.Account, table []byte) {
	for i := range n {
		guests = append(guests, harness.NewAccount(s.Test(), s.Server, fmt.Sprintf("listed%d", i), "", false))
	}
	return guests, tableOf(guests)
}

// tableOf is a table that names accounts, with a line that names nobody.
func tableOf(guests []*harness.Account) []byte {
	table := []byte("Name;Matrix-ID\r\n")
	for i, guest := range guests {
		table = fmt.Appendf(table, "\"Guest; %d\";%s\r\n", i, guest.ID)
	}
	return append(table, "Nobody;nobody\r\n"...)
}

// Test returns the test of the stage.
func (s *stage) Test() harness.T { return s.owner.Test() }

// attach sends a file with a caption, encrypted where the room is.
func (s *stage) attach(t *testing.T, room id.RoomID, caption string, data []byte, secret bool) id.EventID {
	t.Helper()
	content := map[string]any{"msgtype": "m.file", "body": caption, "filename": "guests.csv", "info": m{"mimetype": "text/csv", "size": len(data)}}
	var file *attachment.EncryptedFile
	if secret {
		file = attachment.NewEncryptedFile()
		data = bytes.Clone(data)
		file.EncryptInPlace(data)
	}
	uploaded, err := s.owner.Client.UploadBytes(t.Context(), data, "text/csv")
	if err != nil {
		t.Fatal(err)
	}
	if content["url"] = uploaded.ContentURI.String(); secret {
		content["file"] = event.EncryptedFileInfo{EncryptedFile: *file, URL: uploaded.ContentURI.CUString()}
		delete(content, "url")
	}
	return s.owner.Send(room, content)
}

// outcomes awaits the file with the outcomes of a command, and returns how many people have each.
func (s *stage) outcomes(t *testing.T, command id.EventID) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, line := range s.outcomeOfEach(t, command) {
		if !strings.HasPrefix(line[0], "'@") {
			t.Errorf("a cell that may be taken for a formula: %q", line[0])
		}
		counts[line[1]]++
	}
	return counts
}

// outcomeOfEach awaits the file with the outcomes of a command, and returns its lines, one for each person.
func (s *stage) outcomeOfEach(t *testing.T, command id.EventID) [][]string {
	t.Helper()
	sent := s.owner.Await("the file with the outcomes", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && e.Field("msgtype") == "m.file" && e.Relation().ReplyTo == string(command)
	})
	var content event.MessageEventContent
	if err := json.Unmarshal(sent.Content, &content); err != nil {
		t.Fatal(err)
	}
	uri := content.URL
	if content.File != nil {
		uri = content.File.URL
	}
	parsed, err := uri.Parse()
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.owner.Client.DownloadBytes(t.Context(), parsed)
	if err == nil && content.File != nil {
		err = content.File.DecryptInPlace(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines[1:]
}

// previewed awaits the preview of a command for many people, with some texts in it. It may come as an edit.
func (s *stage) previewed(t *testing.T, said id.EventID, texts ...string) (preview id.EventID) {
	t.Helper()
	preview = id.EventID(s.owner.AwaitReply(said, s.Usher.Bot).ID)
	s.owner.AwaitReaction(preview, s.Usher.Bot, "❌")
	for _, text := range texts {
		s.owner.Await("a preview with "+text, func(e harness.Event) bool {
			return (e.ID == string(preview) || e.Relation().On == string(preview)) && strings.Contains(e.Field("body"), text)
		})
	}
	return preview
}

// held has Usher's invitations wait after the first few, until they are let go.
func (s *stage) held(few int32) (letGo func()) {
	open := make(chan struct{})
	var n atomic.Int32
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/invite") && n.Add(1) > few {
			select {
			case <-open:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	return func() {
		s.Usher.Tap.Disturb(nil)
		close(open)
	}
}

// paused awaits the word that a list is paused.
func (s *stage) paused() {
	s.owner.Await("the pause", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "⏸ Paused")
	})
}

// invitedOf awaits a number of invitations of listed people to a room.
func (s *stage) invitedOf(room id.RoomID, n int) {
	seen := map[string]bool{}
	s.owner.Await(fmt.Sprint(n, " invitations"), func(e harness.Event) bool {
		if isListed(e, room) {
			seen[e.ID] = true
		}
		return len(seen) >= n
	})
}

func isListed(e harness.Event, room id.RoomID) bool {
	return e.Room == string(room) && e.Type == "m.room.member" && e.Field("membership") == "invite" && strings.HasPrefix(*e.StateKey, "@listed")
}

// TestListKilled: people who are pasted are invited once each, after a preview, while the request is paused, Usher is killed, and it goes on; a file
// tells the outcomes. Then a list in a file, given in reply to it, is stopped in the middle, and the members of the room are invited to another one.
// USHER_E2E_LONG makes it 500 people and five kills; with USHER_E2E_LIMITS, the homeserver has its own limits.
func TestListKilled(t *testing.T) {
	n, blocked, kills := scaled(24, 500), scaled(2, 12), scaled(1, 5)
	s := newStageOf(t, harness.Options{Puppet: true, RateLimits: os.Getenv("USHER_E2E_LIMITS") != "", Set: scaled(m{"delivery.workers": 2}, nil)}) // so few that a part of a short list waits
	s.owner.Patience = scaled(harness.Patience, time.Hour)
	guests, _ := s.list(n)
	var ids, denied []string
	for i, guest := range guests {
		if ids = append(ids, string(guest.ID)); i < blocked {
			denied = append(denied, string(guest.ID))
		}
	}
	s.owner.Ban(s.room, guests[0].ID)
	s.owner.SetState(s.room, policyEvent, "", m{"version": 1, "whom": m{"deny_users": denied[1:]}})
	start := time.Now()
	said := s.owner.Say(s.room, "!invite "+strings.Join(ids, "\n"))
	preview := s.previewed(t, said, fmt.Sprintf("is about %d people", n), fmt.Sprintf("invite %d people", n-blocked), fmt.Sprintf("%d can't be invited", blocked))
	if acts := s.acts(s.room); acts != 0 {
		t.Errorf("%d requests before the confirmation", acts)
	}
	t.Logf("the preview of %d people took %s", n, time.Since(start))
	letGo := s.held(4)
	s.owner.React(s.room, preview, done)
	s.invitedOf(s.room, 4)
	s.owner.React(s.room, preview, "⏸")
	s.paused()
	s.Usher.Kill()
	letGo()
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	s.settled(s.owner, s.room)
	if acts := s.acts(s.room); acts >= n-blocked {
		t.Errorf("%d requests for %d people during the pause", acts, n-blocked)
	}
	s.owner.AwaitReaction(preview, s.Usher.Bot, "▶")
	s.owner.React(s.room, preview, "▶")
	for k := range kills - 1 {
		s.invitedOf(s.room, (k+1)*n/kills)
		s.Usher.Kill()
		if err := s.Usher.Start(harness.Soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.outcomes(t, said); got["invited"] != n-blocked || got["refused"] != blocked || len(got) != 2 {
		t.Errorf("the outcomes are %v", got)
	}
	if made := len(s.owner.Seen(func(e harness.Event) bool { return isListed(e, s.room) })); made != n-blocked {
		t.Errorf("%d invitations of %d people", made, n-blocked)
	}
	t.Logf("%d people, %d kills: %s, %d requests", n, kills, time.Since(start), len(s.Usher.Tap.Requests(nil)))
	if os.Getenv("USHER_E2E_LIMITS") != "" { // the owner's own messages are limited now, too
		return
	}
	s.stoppedAndFrom(t, guests[n-scaled(24, 200):])
}

// stoppedAndFrom is the rest of TestListKilled.
func (s *stage) stoppedAndFrom(t *testing.T, guests []*harness.Account) {
	t.Helper()
	next := s.BotRoom(s.owner, harness.RoomOptions{Name: "Next"})
	file := s.attach(t, s.room, "guests.csv", tableOf(guests), false)
	said := s.inReplyTo(file, "!invite "+string(next))
	preview := s.previewed(t, said, fmt.Sprintf("is about %d people", len(guests)), "1 line names nobody")
	letGo := s.held(1)
	s.owner.React(s.room, preview, done)
	s.invitedOf(next, 1)
	s.owner.React(s.room, preview, "❌")
	s.settled(s.owner, s.room)
	letGo()
	got := s.outcomes(t, said)
	if sent := len(s.owner.Seen(func(e harness.Event) bool { return isListed(e, next) })); got["not_sent"] == 0 || got["invited"] != sent || got["invited"]+got["not_sent"] != len(guests) {
		t.Errorf("stopped: the outcomes are %v, with %d invitations", got, sent)
	}

	for _, guest := range guests[len(guests)-2:] {
		guest.Join(s.room)
	}
	said = s.owner.Say(s.room, "!invite --from "+string(s.room)+" "+string(next))
	s.owner.React(s.room, s.previewed(t, said, "is about 3 people", "invite 2 people", "1 is in the room already"), done)
	if got := s.outcomes(t, said); got["invited"] != 2 || got["already_in"] != 1 || len(got) != 2 {
		t.Errorf("from the room: the outcomes are %v", got)
	}
}

// inReplyTo says a command in reply to an event.
func (s *stage) inReplyTo(event id.EventID, command string) id.EventID {
	return s.owner.Send(s.room, m{"msgtype": "m.text", "body": command, "m.relates_to": m{"m.in_reply_to": m{"event_id": event}}})
}

// TestListInSecret: a list in a file of an encrypted room is read, as the caption has the command or in reply to the file, paused and resumed there, and
// its outcome is encrypted, too.
func TestListInSecret(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, Set: m{"delivery.workers": 2}}) // so few that a part of a short list waits
	guests, table := s.list(24)
	shown := s.owner.AwaitReply(s.attach(t, s.room, "!invite --dry-run", table, true), s.Usher.Bot)
	file := s.attach(t, s.room, "guests.csv", table, true)
	said := s.inReplyTo(file, "!invite")
	preview := s.previewed(t, said, "invite 24 people", "1 line names nobody")
	letGo := s.held(4)
	s.owner.React(s.room, preview, done)
	s.invitedOf(s.room, 4)
	s.owner.React(s.room, preview, "⏸")
	s.paused()
	letGo()
	s.owner.AwaitReaction(preview, s.Usher.Bot, "▶")
	s.owner.React(s.room, preview, "▶")
	if got := s.outcomes(t, said); got["invited"] != len(guests) || len(got) != 1 {
		t.Errorf("the outcomes are %v", got)
	}
	if !strings.Contains(shown.Field("body"), "invite 24 people") {
		t.Errorf("the caption: %s", shown.Content)
	}
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
}
