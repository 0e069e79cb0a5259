package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// says says a command and returns the notice in reply.
func (s *stage) says(t *testing.T, by *harness.Account, command string) string {
	t.Helper()
	return by.AwaitReply(by.Say(s.room, command), s.Usher.Bot).Field("body")
}

// has checks that a text has all the parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// TestLedger: who invited whom, made through Usher or by hand, and what became of it, over a restart.
func TestLedger(t *testing.T) {
	s := newStage(t, true)
	early, declining, byHand := s.Account("early"), s.Account("declining"), s.Account("byhand")
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.succeeds(s.owner, s.room, "!invite "+string(declining.ID))
	s.owner.Invite(s.room, byHand.ID)
	s.guest.Join(s.room)
	declining.Do("POST", fmt.Sprintf("/v3/rooms/%s/leave", s.room), map[string]any{})
	s.owner.AwaitMember(s.room, s.guest.ID, "join")
	s.owner.AwaitMember(s.room, declining.ID, "leave")

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	s.guest.Invite(s.room, early.ID)
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settled(s.owner, s.room)
	text := s.says(t, s.owner, "!pending")
	has(t, text, "2 invitations open", string(byHand.ID)+" by "+string(s.owner.ID)+", just now", string(early.ID)+" by "+string(s.guest.ID))
	text = s.says(t, s.owner, fmt.Sprintf("!whoinvited %s %s %s", s.guest.ID, declining.ID, byHand.ID))
	has(t, text, string(s.guest.ID)+": invited by "+string(s.owner.ID)+" (through me)", "accepted just now", "declined just now", "), pending.")

	byHand.Join(s.room) // an invitation that was open over the restart
	s.owner.AwaitMember(s.room, byHand.ID, "join")
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(byHand.ID)), "accepted just now")
	has(t, s.says(t, s.owner, "!pending"), "1 invitation open")
}

// TestLedgerOnArrival: invitations that were open when the bot came are in the ledger.
func TestLedgerOnArrival(t *testing.T) {
	s := newStage(t, false)
	room := s.owner.CreateRoom(harness.RoomOptions{})
	s.owner.Invite(room, s.guest.ID)
	s.owner.Invite(room, s.Usher.Bot)
	s.owner.AwaitMember(room, s.Usher.Bot, "join")
	s.settled(s.owner, room)
	reply := s.owner.AwaitReply(s.owner.Say(room, "!pending"), s.Usher.Bot).Field("body")
	has(t, reply, "1 invitation open", string(s.guest.ID)+" by "+string(s.owner.ID))
	s.guest.Join(room)
	s.owner.AwaitMember(room, s.guest.ID, "join")
	s.settled(s.owner, room)
	has(t, s.owner.AwaitReply(s.owner.Say(room, "!whoinvited "+string(s.guest.ID)), s.Usher.Bot).Field("body"), "accepted just now")
}

// TestUninvite: withdrawing needs the kick level, of the one who asks and of who sends it, and never hits a member.
func TestUninvite(t *testing.T) {
	s := newStage(t, true)
	member := s.Account("member")
	s.owner.Invite(s.room, member.ID)
	member.Join(s.room)
	s.owner.AwaitMember(s.room, member.ID, "join")
	s.succeeds(member, s.room, "!invite "+string(s.guest.ID))
	s.refused(t, member, s.room, "!uninvite "+string(s.guest.ID), "kick.power")
	s.is(t, s.room, s.guest.ID, "invite", member.ID)
	s.succeeds(s.owner, s.room, "!uninvite "+string(s.guest.ID)+" full house")
	s.is(t, s.room, s.guest.ID, "leave", s.owner.ID)
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(s.guest.ID)), "withdrawn by "+string(s.owner.ID))
	s.refused(t, s.owner, s.room, "!uninvite "+string(member.ID), "withdraw.not_invited")
	s.is(t, s.room, member.ID, "join", "")

	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.refused(t, s.owner, s.room, "!uninvite --as-bot "+string(s.guest.ID), "kick.power")
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	s.succeeds(s.owner, s.room, "!uninvite --as-bot "+string(s.guest.ID))
	s.is(t, s.room, s.guest.ID, "leave", s.Usher.Bot)
}

// TestExpiry: an invitation that nobody answers is withdrawn as the policy says, also when Usher was down at the time. The
// spans of days are tested with a clock that is set by hand; here they are seconds.
func TestExpiry(t *testing.T) {
	s := newStage(t, false)
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	s.owner.Invite(s.room, s.guest.ID)
	s.owner.SetState(s.room, "chat.usher.policy", "", m{"version": 1, "pending": m{"expire_after": "1h", "remind_before": "3599s"}})
	reminder := s.owner.Await("a reminder", func(e harness.Event) bool {
		return e.Type == "m.room.message" && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "not answered yet")
	})
	has(t, string(reminder.Content), string(s.guest.ID), `"user_ids":["`+string(s.owner.ID)+`"]`, "expires in")
	has(t, s.says(t, s.owner, "!pending"), "expires in 59 minutes")

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	s.owner.SetState(s.room, "chat.usher.policy", "", m{"version": 1, "pending": m{"expire_after": "1s"}})
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := s.owner.AwaitMember(s.room, s.guest.ID, "leave")
	if left.Sender != string(s.Usher.Bot) {
		t.Errorf("withdrawn by %s", left.Sender)
	}
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(s.guest.ID)), "expired just now")
}

// TestAudit: in chat for those who may kick, and for operators beside the running Usher.
func TestAudit(t *testing.T) {
	s := newStage(t, true)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	has(t, s.says(t, s.owner, "!audit "+string(s.guest.ID)+" 1h"),
		fmt.Sprintf("%s invited %s.", s.owner.ID, s.guest.ID), fmt.Sprintf("%s may invite %s.", s.owner.ID, s.guest.ID))
	s.guest.Join(s.room)
	s.refused(t, s.guest, s.room, "!audit", "kick.power")
	out, code := s.Usher.Run(t.Context(), "audit", "-c", "config.yaml", "--room", string(s.room), "--since", "1h", "--format", "jsonl")
	if code != 0 || strings.Count(out, "\n") != 2 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	has(t, out, `"kind":"decision"`, `"kind":"effect"`, `"target":"`+string(s.guest.ID)+`"`)
}

// TestPrune: a branch of three levels; the preview, the asker's ✅ and nobody else's, over a restart.
func TestPrune(t *testing.T) {
	s := newStage(t, true)
	second := s.Account("second")
	s.owner.Invite(s.room, s.guest.ID)
	s.guest.Join(s.room)
	s.guest.Invite(s.room, second.ID)
	second.Join(s.room)
	open := []*harness.Account{s.Account("one"), s.Account("two"), s.Account("three")}
	s.guest.Invite(s.room, open[0].ID)
	second.Invite(s.room, open[1].ID)
	second.Invite(s.room, open[2].ID)
	spared := s.Account("spared")
	s.owner.Invite(s.room, spared.ID)
	s.settled(s.owner, s.room)

	card := s.owner.AwaitReply(s.owner.Say(s.room, "!prune "+string(s.guest.ID)), s.Usher.Bot)
	has(t, card.Field("body"), "withdraws 3 invitations", string(open[0].ID), string(open[1].ID), string(open[2].ID), "React with ✅")
	s.react(s.guest, card, "✅")
	s.settled(s.guest, s.room)
	s.is(t, s.room, open[0].ID, "invite", "")
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settled(s.owner, s.room)
	s.react(s.owner, card, "✅")
	for _, account := range open {
		left := s.owner.AwaitMember(s.room, account.ID, "leave")
		if left.Sender != string(s.owner.ID) {
			t.Errorf("%s was withdrawn by %s", account.ID, left.Sender)
		}
	}
	s.is(t, s.room, spared.ID, "invite", "")
	s.owner.Await("the card edited", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && strings.Contains(string(e.Content), "m.replace") && strings.Contains(string(e.Content), "All 3 done.")
	})
	has(t, s.says(t, s.owner, "!pending"), "1 invitation open", string(spared.ID))

	has(t, s.says(t, s.owner, "!tree"), string(s.owner.ID)+"\n└ "+string(s.guest.ID)+"\n", "└ "+string(open[2].ID)+" (withdrawn)")
	has(t, s.says(t, s.owner, "!stats"), "6 sent, 2 accepted, 3 withdrawn, 1 pending")
	for command, name := range map[string]string{"!tree --picture": "tree.png", "!stats --picture": "invitations.png"} {
		picture := s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot)
		if picture.Field("msgtype") != "m.image" || picture.Field("filename") != name {
			t.Errorf("%s: %s", command, picture.Content)
		}
		data := s.picture(t, picture)
		if !strings.HasPrefix(string(data), "\x89PNG") {
			t.Errorf("%s: %d bytes that are no PNG", command, len(data))
		}
	}
}

// react reacts to a message.
func (s *stage) react(by *harness.Account, on harness.Event, key string) {
	by.Test().Helper()
	by.Do("PUT", fmt.Sprintf("/v3/rooms/%s/send/m.reaction/%x", s.room, key+string(by.ID)+string(on.ID)),
		m{"m.relates_to": m{"rel_type": "m.annotation", "event_id": on.ID, "key": key}})
}

// download fetches what an mxc: URI names.
func (s *stage) download(t *testing.T, uri string) []byte {
	t.Helper()
	parsed, err := id.ParseContentURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.owner.Client.DownloadBytes(harness.Soon(t), parsed)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// picture fetches the file of an m.image. In an encrypted room it is encrypted, as the specification has it
// (https://spec.matrix.org/latest/client-server-api/#sending-encrypted-attachments): decrypted here by what the event says alone.
func (s *stage) picture(t *testing.T, e harness.Event) []byte {
	t.Helper()
	if e.Wire != "m.room.encrypted" {
		return s.download(t, e.Field("url"))
	}
	var content struct {
		File struct {
			URL, V, IV string
			Key        struct {
				Kty, Alg, K string
				Ext         bool
				Ops         []string `json:"key_ops"`
			}
			Hashes struct{ SHA256 string }
		}
	}
	if err := json.Unmarshal(e.Content, &content); err != nil {
		t.Fatal(err)
	}
	file := content.File
	data := s.download(t, file.URL)
	if file.V != "v2" || file.Key.Kty != "oct" || file.Key.Alg != "A256CTR" || !file.Key.Ext || !slices.Contains(file.Key.Ops, "decrypt") || !slices.Contains(file.Key.Ops, "encrypt") {
		t.Errorf("the file is described as %+v", file)
	}
	key, errKey := base64.RawURLEncoding.DecodeString(file.Key.K)
	iv, errIV := base64.RawStdEncoding.DecodeString(file.IV)
	if sum := sha256.Sum256(data); base64.RawStdEncoding.EncodeToString(sum[:]) != file.Hashes.SHA256 {
		t.Errorf("the file's hash is not %s", file.Hashes.SHA256)
	}
	block, err := aes.NewCipher(key)
	if err := errors.Join(errKey, errIV, err); err != nil || len(iv) != aes.BlockSize || len(key) != 32 {
		t.Fatalf("%v: %+v", err, file)
	}
	if !bytes.Equal(iv[8:], make([]byte, 8)) {
		t.Errorf("the counter begins at %x", iv[8:])
	}
	cipher.NewCTR(block, iv).XORKeyStream(data, data)
	return data
}

// TestEncryptedPruneAndPicture: cards and pictures in an encrypted room.
func TestEncryptedPruneAndPicture(t *testing.T) {
	s := newSecretStage(t, true)
	s.owner.Invite(s.room, s.guest.ID)
	s.settled(s.owner, s.room)
	for _, command := range []string{"!tree --picture", "!stats --picture"} {
		picture := s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot)
		if data := s.picture(t, picture); !strings.HasPrefix(string(data), "\x89PNG") || picture.Field("url") != "" {
			t.Errorf("%s: %d bytes that are no PNG, %s", command, len(data), picture.Content)
		}
	}
	card := s.owner.AwaitReply(s.owner.Say(s.room, "!prune "+string(s.owner.ID)), s.Usher.Bot)
	has(t, card.Field("body"), "withdraws 1 invitation")
	s.react(s.owner, card, "✅")
	s.owner.AwaitMember(s.room, s.guest.ID, "leave")
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
}
