package config

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Web is the listener for people's browsers, and for homeservers where a setting says so.
type Web struct {
	Listen    string   `yaml:"listen"`     // host:port or unix:/path; see Network. Empty: none
	PublicURL string   `yaml:"public_url"` // address of the pages for people; empty: there are no invite links
	Proxies   []string `yaml:"proxies"`    // addresses of reverse proxies, whose X-Forwarded-For is believed
	Links     Links    `yaml:"links"`
}

// Links has the limits on invite links, of everybody.
type Links struct {
	MaxUses   int           `yaml:"max_uses"`   // of one link
	MaxAge    time.Duration `yaml:"max_age"`    // of a link
	PerPerson int           `yaml:"per_person"` // links that have not ended
}

// Antispam is the endpoint that a homeserver asks before it accepts an invitation or a join.
type Antispam struct {
	Enabled bool              `yaml:"enabled"`
	At      string            `yaml:"at"` // AtAppservice or AtWeb: the listener
	Token   Secret            `yaml:"token"`
	Timeout time.Duration     `yaml:"timeout"` // of one answer
	Fail    map[string]string `yaml:"fail"`    // callback → FailOpen or FailClosed; see FailsOpen
	Next    Next              `yaml:"next"`
}

// Next is another service with the same protocol, which is asked as well.
type Next struct {
	URL   string `yaml:"url"` // base URL, to which / and the callback's name are added; empty: none
	Token Secret `yaml:"token"`
}

// Values of Antispam.At.
const (
	AtAppservice = "appservice"
	AtWeb        = "web"
)

// Values of Antispam.Fail: the answer to a callback that can't be judged in time.
const (
	FailOpen   = "open"   // let it through
	FailClosed = "closed" // refuse it
)

// antispamFails are the callbacks that are judged, each with its default in Antispam.Fail.
var antispamFails = map[string]string{
	"user_may_invite":           FailClosed,
	"federated_user_may_invite": FailOpen,
	"user_may_send_3pid_invite": FailClosed,
	"user_may_join_room":        FailOpen,
	"accept_make_join":          FailClosed,
}

// FailsOpen reports whether a callback that can't be judged in time is let through. Callbacks that Usher does not judge are.
func (a *Antispam) FailsOpen(callback string) bool {
	fail, set := a.Fail[callback]
	if !set {
		fail = antispamFails[callback]
	}
	return fail != FailClosed
}

func (k checker) checkWeb(c *Config) {
	if c.Web.Listen != "" {
		k.checkListen("web.listen", c.Web.Listen)
		if c.Web.Listen == c.Appservice.Listen {
			k.fault("web.listen", wrong{"is appservice.listen as well", "give each a port of its own"})
		}
		if c.Metrics.Enabled && c.Web.Listen == c.Metrics.Listen {
			k.fault("web.listen", wrong{"is metrics.listen as well", "give each a port of its own"})
		}
	}
	k.checkInbound(c)
	k.checkPublicURL(&c.Web)
	if _, bad := c.Web.Trusted(); bad != "" {
		k.fault("web.proxies", wrong{quote(bad) + " is no address", "write an IP address such as 127.0.0.1, or a network such as 10.0.0.0/8"})
	}
	k.checkLinks(&c.Web.Links)
	k.checkMail(c)
	if c.Antispam.Enabled {
		k.checkAntispam(c)
	}
}

func (k checker) checkPublicURL(w *Web) {
	w.PublicURL = strings.TrimRight(w.PublicURL, "/")
	if w.PublicURL == "" {
		return
	}
	k.checkURL("web.public_url", w.PublicURL, "https://usher.example.org")
	switch address, err := url.Parse(w.PublicURL); {
	case w.Listen == "":
		k.fault("web.public_url", wrong{"has nobody to answer: web.listen is empty", "write an address to listen at, such as 127.0.0.1:29340"})
	case err == nil && address.Scheme == "http" && !isLoopback(address.Hostname()):
		k.warn("web.public_url", "is not encrypted: whoever sees the traffic can use the invite links")
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (k checker) checkLinks(l *Links) {
	if l.MaxUses < 1 {
		k.fault("web.links.max_uses", wrong{"allows nothing", "write a number of people, such as 1000"})
	}
	if l.MaxAge < time.Minute {
		k.fault("web.links.max_age", wrong{"is too short", "write a time, such as 2160h"})
	}
	if l.PerPerson < 1 {
		k.fault("web.links.per_person", wrong{"allows nothing", "write a number of links, such as 20"})
	}
}

// Trusted returns the networks of the reverse proxies, and the first entry that is none.
func (w Web) Trusted() (networks []netip.Prefix, bad string) {
	for _, entry := range w.Proxies {
		if network, err := netip.ParsePrefix(entry); err == nil {
			networks = append(networks, network)
		} else if address, err := netip.ParseAddr(entry); err == nil {
			networks = append(networks, netip.PrefixFrom(address, address.BitLen()))
		} else if bad == "" {
			bad = entry
		}
	}
	return networks, bad
}

func (k checker) checkAntispam(c *Config) {
	a := &c.Antispam
	k.checkToken("antispam.token", a.Token)
	if a.Token != "" && slices.Contains([]Secret{c.Appservice.ASToken, c.Appservice.HSToken}, a.Token) {
		k.fault("antispam.token", wrong{"is one of the appservice section's as well", "give it a token of its own"})
	}
	k.checkWord("antispam.at", a.At, AtAppservice, AtWeb)
	if a.At == AtWeb && c.Web.Listen == "" {
		k.fault("antispam.at", wrong{"names the listener of web.listen, which is empty", "write appservice, or set web.listen"})
	}
	k.checkLength("antispam.timeout", a.Timeout, 100*time.Millisecond, 10*time.Second)
	for _, callback := range slices.Sorted(maps.Keys(a.Fail)) {
		fail := a.Fail[callback]
		at := "antispam.fail[" + quote(callback) + "]"
		if _, known := antispamFails[callback]; !known {
			k.fault(at, wrong{"is no callback that Usher judges", "write one of " + strings.Join(AntispamCallbacks(), ", ")})
		}
		k.checkWord(at, fail, FailOpen, FailClosed)
	}
	if a.Next.URL != "" {
		a.Next.URL = strings.TrimRight(a.Next.URL, "/")
		k.checkURL("antispam.next.url", a.Next.URL, "http://localhost:29339/_meowlnir/antispam/auto")
		k.checkToken("antispam.next.token", a.Next.Token)
	}
}

// AntispamCallbacks lists the callbacks that are judged, sorted.
func AntispamCallbacks() []string { return slices.Sorted(maps.Keys(antispamFails)) }
