package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// RegistrationFile describes an application service to its homeserver
// (https://spec.matrix.org/latest/application-service-api/#registration).
type RegistrationFile struct {
	ID              string     `yaml:"id"`
	URL             *string    `yaml:"url"` // null: the homeserver sends nothing
	ASToken         string     `yaml:"as_token"`
	HSToken         string     `yaml:"hs_token"`
	SenderLocalpart string     `yaml:"sender_localpart"`
	RateLimited     bool       `yaml:"rate_limited"`
	Namespaces      Namespaces `yaml:"namespaces"`
}

// Namespaces are the users, aliases and rooms of interest to an application service.
type Namespaces struct {
	Users   []Namespace `yaml:"users"`
	Aliases []Namespace `yaml:"aliases"`
	Rooms   []Namespace `yaml:"rooms"`
}

// Namespace is one pattern. Regex is anchored at both ends: Dendrite would match it anywhere, Synapse at the start.
type Namespace struct {
	Exclusive bool   `yaml:"exclusive"`
	Regex     string `yaml:"regex"`
}

// String names the registration without its tokens.
func (r RegistrationFile) String() string { return "registration " + r.ID }

// Registration is the registration of the bot. It covers the bot's user alone, so the homeserver sends events of the bot's rooms only.
func Registration(c *Config) RegistrationFile {
	return RegistrationFile{
		ID:              c.Appservice.ID,
		URL:             &c.Appservice.Address,
		ASToken:         c.Appservice.ASToken.Reveal(),
		HSToken:         c.Appservice.HSToken.Reveal(),
		SenderLocalpart: c.senderLocalpart(),
		RateLimited:     false,
		Namespaces:      usersOnly(Namespace{Exclusive: true, Regex: "^" + regexp.QuoteMeta(c.BotUser()) + "$"}),
	}
}

// PuppetRegistration is the second registration. It covers every local user, not exclusively, and the homeserver sends no
// events for it. The homeserver's rate limits apply: nobody gains an exemption by asking Usher.
func PuppetRegistration(c *Config) RegistrationFile {
	return RegistrationFile{
		ID:              c.Puppet.ID,
		ASToken:         c.Puppet.ASToken.Reveal(),
		HSToken:         c.Puppet.HSToken.Reveal(),
		SenderLocalpart: c.puppetLocalpart(),
		RateLimited:     true,
		Namespaces:      usersOnly(Namespace{Regex: "^@.*:" + regexp.QuoteMeta(c.Homeserver.Domain) + "$"}),
	}
}

// usersOnly writes empty lists too: Dendrite fails without them.
func usersOnly(users Namespace) Namespaces {
	return Namespaces{Users: []Namespace{users}, Aliases: []Namespace{}, Rooms: []Namespace{}}
}

// YAML returns the file as the homeserver reads it.
func (r RegistrationFile) YAML() ([]byte, error) {
	body, err := yaml.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("config: registration %s: %w", r.ID, err)
	}
	const head = "# Written by usher -g from its config; write it anew after changing that. For the homeserver, and secret:\n" +
		"# https://spec.matrix.org/latest/application-service-api/#registration\n"
	return append([]byte(head), body...), nil
}

// PuppetPath is the path of the second registration, beside the first, such as registration-puppet.yaml.
func PuppetPath(registration string) string {
	ext := filepath.Ext(registration)
	return strings.TrimSuffix(registration, ext) + "-puppet" + ext
}

// RegistrationPath is a registration and the path of its file.
type RegistrationPath struct {
	Path string
	File RegistrationFile
	bot  string // its namespace must cover the bot
	all  bool   // its namespace must cover all local users
}

// Registrations returns the registrations of a config, with the first one at the given path.
func Registrations(c *Config, path string) []RegistrationPath {
	list := []RegistrationPath{{path, Registration(c), c.BotUser(), false}}
	if c.Puppet.Enabled {
		list = append(list, RegistrationPath{PuppetPath(path), PuppetRegistration(c), c.BotUser(), true})
	}
	return list
}

// Create writes the file, as WriteNew does.
func (r RegistrationPath) Create() error {
	text, err := r.File.YAML()
	if err != nil {
		return err
	}
	return WriteNew(r.Path, text)
}

// Differences names the keys in which the file differs from the registration as far as it matters to Usher. Homeservers know further
// keys, and a namespace can be written in several ways. The error of a missing file is fs.ErrNotExist.
func (r RegistrationPath) Differences() (keys []string, err error) {
	data, err := os.ReadFile(r.Path)
	if err != nil {
		return nil, err
	}
	there, err := ParseRegistration(data)
	if err != nil {
		return nil, err
	}
	want := r.File
	for _, one := range []struct {
		key  string
		same bool
	}{
		{"id", there.ID == want.ID},
		{"url", sameURL(there.URL, want.URL)},
		{"as_token", there.ASToken == want.ASToken},
		{"hs_token", there.HSToken == want.HSToken},
		{"sender_localpart", there.SenderLocalpart == want.SenderLocalpart},
		{"rate_limited", there.RateLimited == want.RateLimited},
		{"namespaces", r.fits(there.Namespaces)},
	} {
		if !one.same {
			keys = append(keys, one.key)
		}
	}
	return keys, nil
}

// sameURL compares two URLs. An empty one stands for none.
func sameURL(a, b *string) bool {
	text := func(url *string) string {
		if url == nil {
			return ""
		}
		return strings.TrimRight(*url, "/")
	}
	return text(a) == text(b)
}

// fits reports whether namespaces cover all local users, or the bot and nobody else: more users bring the events of more rooms. An exclusive
// namespace of all users keeps people from registering.
func (r RegistrationPath) fits(n Namespaces) bool {
	_, server, _ := splitUser(r.bot)
	bot, other := false, false
	for _, one := range n.Users {
		pattern, err := regexp.Compile(one.Regex)
		if err != nil || r.all && one.Exclusive {
			return false
		}
		bot = bot || pattern.MatchString(r.bot)
		other = other || pattern.MatchString("@somebody/else:"+server)
	}
	return bot && other == r.all && len(n.Aliases) == 0 && len(n.Rooms) == 0
}

// ParseRegistration reads a registration file. It leaves out unknown keys.
func ParseRegistration(data []byte) (RegistrationFile, error) {
	var r RegistrationFile
	if err := yaml.Unmarshal(data, &r); err != nil {
		return RegistrationFile{}, fmt.Errorf("no registration: %s", withoutQuotes(err))
	}
	return r, nil
}
