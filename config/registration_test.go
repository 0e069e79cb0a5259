package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func sample() *Config {
	c := Default()
	c.Homeserver = Homeserver{"http://localhost:8008", "exa-mple.org:8448"}
	c.Appservice.Bot.Username = "us.her+1"
	c.Appservice.ASToken, c.Appservice.HSToken = "as", "hs"
	c.Puppet.ASToken, c.Puppet.HSToken = "pas", "phs"
	return c
}

func TestRegistration(t *testing.T) {
	c := sample()
	r := Registration(c)
	text, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"id: usher", "url: http://localhost:29339", "as_token: as", "hs_token: hs", "sender_localpart: us.her+1-sender",
		"rate_limited: false", "exclusive: true", `regex: ^@us\.her\+1:exa-mple\.org:8448$`, "aliases: []", "rooms: []"} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	user := regexp.MustCompile(r.Namespaces.Users[0].Regex)
	for name, want := range map[string]bool{
		c.BotUser(): true, c.SenderUser(): false, "x" + c.BotUser(): false, c.BotUser() + "0": false, "@usxher+1:exa-mple.org:8448": false,
	} {
		if user.MatchString(name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
	again, err := ParseRegistration(text)
	if err != nil || again.String() != "registration usher" {
		t.Error(again, err)
	}
}

func TestPuppetRegistration(t *testing.T) {
	c := sample()
	r := PuppetRegistration(c)
	text, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"id: usher-puppet", "url: null", "as_token: pas", "hs_token: phs", "sender_localpart: us.her+1-puppet",
		"rate_limited: true", "exclusive: false", `regex: ^@.*:exa-mple\.org:8448$`} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	users := regexp.MustCompile(r.Namespaces.Users[0].Regex)
	for name, want := range map[string]bool{
		"@anybody:exa-mple.org:8448": true, "@anybody:exa-mple.org": false, "@anybody:exa-mpleXorg:8448": false, "@a:exa-mple.org:8448.evil": false,
	} {
		if users.MatchString(name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}

func TestPuppetPath(t *testing.T) {
	for path, want := range map[string]string{
		"registration.yaml": "registration-puppet.yaml", "/data/r.yml": "/data/r-puppet.yml", "plain": "plain-puppet", "/a.b/plain": "/a.b/plain-puppet",
	} {
		if got := PuppetPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestWriteNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteNew(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := WriteNew(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if data, _ := os.ReadFile(path); string(data) != "one" {
		t.Errorf("overwritten with %s", data)
	}
}

// TestDifferences: only what matters counts, and each key by its name.
func TestDifferences(t *testing.T) {
	c := sample()
	c.Puppet.Enabled = true
	path := filepath.Join(t.TempDir(), "registration.yaml")
	for _, tt := range []struct {
		puppet   bool
		old, new string
		want     string
	}{
		{},
		{false, "id: ", "# a playbook's\nde.sorunome.msc2409.push_ephemeral: true\nio.element.msc4190: true\nreceive_ephemeral: false\nprotocols: []\nid: ", ""},
		{false, "  aliases: []\n  rooms: []\n", "", ""},
		{false, `regex: .*`, `regex: "@.*"`, "namespaces"},
		{false, `regex: .*`, `regex: ^@else:.*$`, "namespaces"},
		{false, `regex: .*`, `regex: "("`, "namespaces"},
		{false, "as_token: ", "as_token: x", "as_token"},
		{false, "hs_token: ", "hs_token: x", "hs_token"},
		{false, "rate_limited: false", "rate_limited: true", "rate_limited"},
		{false, "url: .*", "url: null", "url"},
		{false, "url: .*", "url: http://elsewhere:1", "url"},
		{false, "sender_localpart: ", "sender_localpart: x", "sender_localpart"},
		{false, "aliases: ..", "aliases: [{regex: '#.*', exclusive: true}]", "namespaces"},
		{true, "", "", ""},
		{true, "url: null", "url: ''", ""},
		{true, "url: null", "url: http://localhost:1", "url"},
		{true, "exclusive: false", "exclusive: true", "namespaces"},
	} {
		r := Registrations(c, path)[0]
		if tt.puppet {
			r = Registrations(c, path)[1]
		}
		text, err := r.File.YAML()
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(tt.old).ReplaceAllLiteral(text, []byte(tt.new))
		if err := os.WriteFile(r.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := r.Differences(); err != nil || strings.Join(keys, ",") != tt.want {
			t.Errorf("%q for %q: %v %v, want %s", tt.new, tt.old, keys, err, tt.want)
		}
	}
	r := Registrations(c, path+"x")[0]
	if _, err := r.Differences(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestExample(t *testing.T) {
	template := []byte("a: <random> # kept\nb: <random>\nc: http://localhost:8008\nd: \"@x:example.org\"\ne: 127.0.0.1:29339\n")
	got, err := Example(template, strings.NewReader(strings.Repeat("0", 32)+strings.Repeat("1", 32)), Settings{Domain: "my.example", Listen: "0.0.0.0:1"})
	want := "a: " + strings.Repeat("30", 32) + " # kept\nb: " + strings.Repeat("31", 32) + "\nc: http://localhost:8008\nd: \"@x:my.example\"\ne: 0.0.0.0:1\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Example(template, strings.NewReader("short"), Settings{}); err == nil {
		t.Error("writes tokens that are not random")
	}
}
