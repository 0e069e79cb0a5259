package homeserver

import (
	"fmt"
	"regexp"

	"gopkg.in/yaml.v3"
)

// Registration is an appservice registration for tests of a homeserver alone.
// https://spec.matrix.org/latest/application-service-api/#registration
type Registration struct {
	ID         string     `yaml:"id"`
	URL        *string    `yaml:"url"` // nil: pushes nothing
	ASToken    string     `yaml:"as_token"`
	HSToken    string     `yaml:"hs_token"`
	Sender     string     `yaml:"sender_localpart"`
	RateLimit  bool       `yaml:"rate_limited"`
	Namespaces Namespaces `yaml:"namespaces"`
}

// Namespaces are what a registration is about.
type Namespaces struct {
	Users   []Namespace `yaml:"users"`
	Aliases []Namespace `yaml:"aliases"`
	Rooms   []Namespace `yaml:"rooms"`
}

// Namespace is a set of names.
type Namespace struct {
	Exclusive bool   `yaml:"exclusive"`
	Regex     string `yaml:"regex"`
}

// YAML returns the registration as a homeserver reads it.
func (r Registration) YAML() []byte {
	out, err := yaml.Marshal(r)
	if err != nil {
		panic(err) // a plain struct
	}
	return out
}

// BotRegistration registers one bot user, pushed to url; the sender is another user, as Usher's registration has it.
func BotRegistration(domain, localpart, url string) Registration {
	return Registration{
		ID: localpart, URL: &url, ASToken: localpart + "-as-token", HSToken: localpart + "-hs-token", Sender: localpart + "_sender",
		Namespaces: Namespaces{Users: []Namespace{{Exclusive: true,
			Regex: fmt.Sprintf("^@%s:%s$", regexp.QuoteMeta(localpart), regexp.QuoteMeta(domain))}}},
	}
}

// PuppetRegistration allows to act as each local user and pushes nothing.
func PuppetRegistration(domain, id string) Registration {
	return Registration{
		ID: id, ASToken: id + "-as-token", HSToken: id + "-hs-token", Sender: id + "_sender",
		Namespaces: Namespaces{Users: []Namespace{{Regex: "^@.*:" + regexp.QuoteMeta(domain) + "$"}}},
	}
}
