package e2e

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// misconfigured is a config that does not fit what the homeserver has, and what doctor finds.
type misconfigured struct {
	name string
	set  m // settings, by their dotted path
	says map[homeserver.Kind]string
}

// misconfigurations are tried on one homeserver. The stub of package operator has more.
func misconfigurations(port int) []misconfigured {
	both := func(says string) map[homeserver.Kind]string {
		return map[homeserver.Kind]string{homeserver.Synapse: says, homeserver.Dendrite: says}
	}
	as := func(name string) m {
		return m{"appservice.id": name, "appservice.as_token": name + "-as-token", "appservice.hs_token": name + "-hs-token", "appservice.bot.username": name}
	}
	return []misconfigured{
		{"another as_token", m{"appservice.as_token": "another-as-token"}, both("→ Three things can be wrong")},
		{"another hs_token", m{"appservice.hs_token": "another-hs-token"}, both("another hs_token than the config has")},
		{"another domain", m{"homeserver.domain": "other.test"}, both("→ Set homeserver.domain to usher.test")},
		{"another name", m{"appservice.bot.username": "gate"}, both("→ The homeserver has an older copy of the registration, or one for another name")},
		{"a name of two registrations", as("squat"), both("@squat:usher.test is taken by another registration")},
		{"a name of a person", as("person"), both("! as_token     known, and @person:usher.test is registered, but somebody has logged in with it")},
		{"puppet not listed", m{"puppet.as_token": "another-puppet-as-token"}, both("→ List the second registration")},
		{"puppet with a url", m{"puppet.id": "loud", "puppet.as_token": "loud-as-token"}, map[homeserver.Kind]string{
			homeserver.Synapse: "→ Set url: null", homeserver.Dendrite: "✓ puppet", // which has no ping to tell by; Usher's log does
		}},
		{"a path", m{"homeserver.address": fmt.Sprintf("http://127.0.0.1:%d/_matrix/client", port)}, both("✗ homeserver")},
		{"nothing there", m{"homeserver.address": "http://127.0.0.1:1"}, both("nothing listens there")},
	}
}

// TestMisconfigured: doctor finds nothing in a right set-up before its first start, and names the fault of each wrong one.
func TestMisconfigured(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	o := homeserver.Options{Kind: harness.Kind(), Domain: "usher.test", Port: port}
	dir := t.TempDir()
	u, registrations, err := harness.NewUsher(t.Context(), harness.Setup{Dir: dir, Domain: o.Domain, Homeserver: fmt.Sprintf("http://127.0.0.1:%d", port), Puppet: true})
	if err != nil {
		t.Fatal(err)
	}
	squat, rival := homeserver.BotRegistration(o.Domain, "squat", u.URL()), homeserver.BotRegistration(o.Domain, "squat", u.URL())
	rival.ID, rival.ASToken, rival.Sender = "rival", "rival-as-token", "rival_sender"
	person := homeserver.BotRegistration(o.Domain, "person", u.URL())
	person.Namespaces.Users[0].Exclusive = false
	loud, to := homeserver.PuppetRegistration(o.Domain, "loud"), "http://127.0.0.1:1"
	loud.URL = &to
	for _, r := range []homeserver.Registration{squat, rival, person, loud} {
		registrations = append(registrations, r.YAML())
	}
	o.Registrations = registrations
	server, err := homeserver.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	if _, err := server.Register(t.Context(), "person", rand.Text(), false); err != nil {
		t.Fatal(err)
	}
	if out, code := u.Run(t.Context(), "doctor"); code != 0 || strings.Contains(out, "✗") || strings.Contains(out, "!") || !strings.Contains(out, "✓ puppet") || !strings.Contains(out, "✓ way back") {
		t.Errorf("before the first start: exit code %d\n%s", code, out)
	}
	right, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range misconfigurations(port) {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "config.yaml"), changed(t, right, tt.set), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, _ := u.Run(t.Context(), "doctor", "-r", "none.yaml"); !strings.Contains(out, tt.says[o.Kind]) {
				t.Errorf("no %q in\n%s", tt.says[o.Kind], out)
			}
		})
	}
}

// changed returns a config with other settings.
func changed(t *testing.T, text []byte, set m) []byte {
	t.Helper()
	var settings map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	for path, value := range maps.All(set) {
		at, parts := settings, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[parts[len(parts)-1]] = value
	}
	changed, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
