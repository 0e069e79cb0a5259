package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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

// Differs tells whether the registration file at path has other content than r. An unreadable file is an error, and so is a
// file with unknown keys.
func (r RegistrationFile) Differs(path string) (bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	there, err := ParseRegistration(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return !reflect.DeepEqual(there, r), nil
}

// ParseRegistration reads a registration file strictly.
func ParseRegistration(data []byte) (RegistrationFile, error) {
	var r RegistrationFile
	reader := yaml.NewDecoder(bytes.NewReader(data))
	reader.KnownFields(true)
	if err := reader.Decode(&r); err != nil {
		return RegistrationFile{}, fmt.Errorf("no registration: %s", withoutQuotes(err))
	}
	return r, nil
}
