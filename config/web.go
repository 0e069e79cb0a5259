package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Web is the listener for people's browsers, and for homeservers where a setting says so.
type Web struct {
	Listen string `yaml:"listen"` // host:port or unix:/path; see Network. Empty: none
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
	"accept_make_join":          FailOpen,
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
	if c.Antispam.Enabled {
		k.checkAntispam(c)
	}
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
