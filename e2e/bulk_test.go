package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// list makes accounts and a table that names them.
func (s *stage) list(n int) (guests []id.UserID, table []byte) {
	table = []byte("Name;Matrix-ID\r\n")
	for i := range n {
		guests = append(guests, harness.NewAccount(s.Test(), s.Server, fmt.Sprintf("listed%d", i), "", false).ID)
		table = fmt.Appendf(table, "\"Guest; %d\";%s\r\n", i, guests[i])
	}
	return guests, append(table, "Nobody;nobody\r\n"...)
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

// TestListKilled: the people of an attached table are invited once each, after a preview, while Usher is killed in between; a file tells the
// outcomes. USHER_E2E_LONG makes it 500 people and five kills.
func TestListKilled(t *testing.T) {
	n, kills := 24, 1
	if os.Getenv("USHER_E2E_LONG") != "" {
		n, kills = 500, 5
	}
	s := newStage(t, true)
	guests, table := s.list(n)
	for _, blocked := range guests[:n/12] {
		s.owner.Ban(s.room, blocked)
	}
	said := s.attach(t, s.room, "!invite", table, false)
	preview := s.owner.AwaitReply(said, s.Usher.Bot)
	for _, part := range []string{fmt.Sprintf("names %d people", n), fmt.Sprintf("invite %d people", n-n/12), fmt.Sprintf("%d can't be invited", n/12), "1 line names nobody"} {
		if !strings.Contains(preview.Field("body"), part) {
			t.Errorf("the preview does not say %q: %s", part, preview.Field("body"))
		}
	}
	s.owner.AwaitReaction(id.EventID(preview.ID), s.Usher.Bot, "❌")
	if acts := s.acts(s.room); acts != 0 {
		t.Errorf("%d requests before the confirmation", acts)
	}
	s.owner.React(s.room, id.EventID(preview.ID), "✅")
	invited := func() int {
		return len(s.owner.Seen(func(e harness.Event) bool {
			return e.Type == "m.room.member" && strings.Contains(string(e.Content), `"invite"`) && strings.HasPrefix(*e.StateKey, "@listed")
		}))
	}
	for k := range kills {
		harness.Eventually(t, "some invitations", func() bool {
			s.owner.Membership(s.room, guests[n-1])
			status, _ := s.owner.Membership(s.room, guests[n/12+k*n/(2*kills)])
			return status == "invite"
		})
		s.Usher.Kill()
		if err := s.Usher.Start(harness.Soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.outcomes(t, said); got["invited"] != n-n/12 || got["refused"] != n/12 || len(got) != 2 {
		t.Errorf("the outcomes are %v", got)
	}
	if made := invited(); made != n-n/12 {
		t.Errorf("%d invitations of %d people", made, n-n/12)
	}
}

// TestListInSecret: a list in a file of an encrypted room is read, and its outcome is encrypted, too.
func TestListInSecret(t *testing.T) {
	s := newSecretStage(t, true)
	guests, table := s.list(12)
	said := s.attach(t, s.room, "!invite", table, true)
	preview := s.owner.AwaitReply(said, s.Usher.Bot)
	if !strings.Contains(preview.Field("body"), "invite 12 people") {
		t.Fatalf("the preview is %s", preview.Content)
	}
	s.owner.AwaitReaction(id.EventID(preview.ID), s.Usher.Bot, "❌")
	s.owner.React(s.room, id.EventID(preview.ID), "✅")
	if got := s.outcomes(t, said); got["invited"] != len(guests) || len(got) != 1 {
		t.Errorf("the outcomes are %v", got)
	}
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
}
