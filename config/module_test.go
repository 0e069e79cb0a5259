package config

import (
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestAntispamModule: the lines are YAML, name the callbacks, without which the module stops Synapse from starting, and show no token.
func TestAntispamModule(t *testing.T) {
	c := Default()
	c.Antispam.Token = "a secret token"
	c.Antispam.Fail = map[string]string{"user_may_invite": FailOpen}
	c.Inbound.Enabled = true
	text := AntispamModule(c)
	var got struct {
		Modules []struct {
			Module string
			Config struct {
				BaseURL  string          `yaml:"base_url"`
				Enabled  []string        `yaml:"enabled_callbacks"`
				Ping     bool            `yaml:"do_ping"`
				FailOpen map[string]bool `yaml:"fail_open"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &got); err != nil || len(got.Modules) != 1 || strings.Contains(text, "secret") {
		t.Fatal(err, text)
	}
	m := got.Modules[0].Config
	if m.BaseURL != "http://localhost:29339/_usher/antispam" || !slices.Contains(m.Enabled, "federated_user_may_invite") || slices.Contains(m.Enabled, "accept_make_join") ||
		!m.Ping || !m.FailOpen["user_may_invite"] || m.FailOpen["user_may_send_3pid_invite"] || len(m.FailOpen) != len(m.Enabled) {
		t.Errorf("%+v", m)
	}
}
