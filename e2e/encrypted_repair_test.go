package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// identity is what the homeserver shows of the bot's devices.
type identity struct {
	master  id.Ed25519
	devices []string
	signed  bool // all devices are, by the identity
}

func (s *stage) identity(t *testing.T) (found identity) {
	t.Helper()
	resp, err := s.owner.Client.QueryKeys(t.Context(), &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{s.Usher.Bot: {}}})
	if err != nil {
		t.Fatal(err)
	}
	master, self := resp.MasterKeys[s.Usher.Bot], resp.SelfSigningKeys[s.Usher.Bot]
	found.master, found.signed = master.FirstKey(), true
	for device, keys := range resp.DeviceKeys[s.Usher.Bot] {
		found.devices = append(found.devices, string(device))
		signer := id.NewKeyID(id.KeyAlgorithmEd25519, self.FirstKey().String())
		found.signed = found.signed && keys.Signatures[s.Usher.Bot][signer] != ""
	}
	return found
}

// TestIdentity: the device is signed, and stays the same over a restart.
func TestIdentity(t *testing.T) {
	s := newSecretStage(t, true)
	before := s.identity(t)
	if before.master == "" || len(before.devices) != 1 || !before.signed {
		t.Fatalf("the bot has %+v, expected one signed device", before)
	}
	s.restart(t)
	if after := s.identity(t); after.master != before.master || len(after.devices) != 1 || after.devices[0] != before.devices[0] || !after.signed {
		t.Errorf("after a restart the bot has %+v, before %+v", after, before)
	}
}

// TestDeviceWithoutLogin: where the registration rules the login out, the device is made by MSC4190.
func TestDeviceWithoutLogin(t *testing.T) {
	if harness.Kind() != homeserver.Synapse {
		t.Skip("only Synapse has MSC4190")
	}
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true, MSC4190: true})
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.restart(t)
	s.settled(s.owner, s.room)
	s.allSecret(t, s.room)
	if found := s.identity(t); len(found.devices) != 1 || !found.signed {
		t.Errorf("the bot has %+v", found)
	}
}

// TestRepair: what may happen to the bot's device, and that it is mended without hands: commands said before and after are
// answered, by a signed device of the same identity.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *stage) // leaves Usher running
		log   string                   // what the log says
	}{
		{"the store is lost", func(t *testing.T, s *stage) {
			if err := s.Usher.Stop(); err != nil {
				t.Error(err)
			}
			s.loseKeys(t)
			if err := s.Usher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, "signed the device"},
		{"the device was deleted while it was down", func(t *testing.T, s *stage) {
			s.restart(t)
			token := s.deviceToken(t)
			if err := s.Usher.Stop(); err != nil {
				t.Error(err)
			}
			s.logout(t, token)
			if err := s.Usher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, "was deleted"},
		{"the device was deleted while it was up", func(t *testing.T, s *stage) { s.logout(t, s.deviceToken(t)) }, "was deleted"},
		{"killed after the keys were uploaded", func(t *testing.T, s *stage) {
			if err := s.Usher.Stop(); err != nil {
				t.Error(err)
			}
			s.loseKeys(t)
			reached := stopAt(s.Usher, suffix("/keys/upload"), true)
			if err := s.Usher.Launch(); err != nil {
				t.Fatal(err)
			}
			harness.Wait(t, "the upload", reached)
			s.restart(t)
		}, "uploaded just before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSecretStage(t, true)
			s.settled(s.owner, s.room)
			before := s.identity(t)
			c.spoil(t, s)
			harness.Eventually(t, "a signed device", func() bool {
				now := s.identity(t)
				return now.signed && len(now.devices) > 0 && (len(now.devices) > 1 || now.devices[0] != before.devices[0])
			})
			s.owner.Rekey(s.room) // as a client does when it hears of the new device
			s.settled(s.owner, s.room)
			s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
			after := s.identity(t)
			if after.master != before.master || !after.signed {
				t.Errorf("the bot has %+v, before %+v", after, before)
			}
			if !strings.Contains(s.Usher.Tail(2000), c.log) {
				t.Errorf("the log does not say %q", c.log)
			}
			s.allSecret(t, s.room)
		})
	}
}

// loseKeys removes the database of keys.
func (s *stage) loseKeys(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Usher.Dir(), "*-keys.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database of keys in %s: %v", s.Usher.Dir(), err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// deviceToken finds out the token of the bot's device.
func (s *stage) deviceToken(t *testing.T) string {
	t.Helper()
	found := make(chan string, 1)
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/sync") && !r.URL.Query().Has("user_id") { // not the look for invitations, with the as_token
			select {
			case found <- strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "):
			default:
			}
		}
		next.ServeHTTP(w, r)
	})
	defer s.Usher.Tap.Disturb(nil)
	s.owner.Rekey(s.room) // a new key ends the /sync under way
	s.settled(s.owner, s.room)
	select {
	case token := <-found:
		return token
	case <-harness.Soon(t).Done():
		t.Fatal("Usher does not sync")
		return ""
	}
}

// logout ends a device.
func (s *stage) logout(t *testing.T, token string) {
	t.Helper()
	answer, err := harness.Caller{URL: s.Server.URL, Token: token}.Do(t.Context(), http.MethodPost, "/_matrix/client/v3/logout", json.RawMessage("{}"))
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("logout: %v %s", err, answer)
	}
}
