package config

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Web is the listener for people's browsers.
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
	k.checkPublicURL(&c.Web)
	if _, bad := c.Web.Trusted(); bad != "" {
		k.fault("web.proxies", wrong{quote(bad) + " is no address", "write an IP address such as 127.0.0.1, or a network such as 10.0.0.0/8"})
	}
	k.checkLinks(&c.Web.Links)
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
