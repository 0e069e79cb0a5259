package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// placeholder stands in the example config where a fresh random token belongs.
const placeholder = "<random>"

var (
	// https://spec.matrix.org/latest/appendices/#user-identifiers
	localpart = regexp.MustCompile(`\A[a-z0-9._=/+-]+\z`)
	mxcURI    = regexp.MustCompile(`\Amxc://([^/]+)/[A-Za-z0-9_-]+\z`)
)

// check judges what the settings say once they have been read, and fills in what depends on other settings.
func (d *decoder) check(c *Config) {
	if !d.given("puppet.id") {
		c.Puppet.ID = c.Appservice.ID + "-puppet"
	}
	d.checkHomeserver(&c.Homeserver)
	d.checkAppservice(c)
	d.checkPuppet(c)
	d.checkCommands(&c.Commands)
	d.checkPermissions(c)
	d.checkDatabase(&c.Database)
	d.checkEncryption(c)
	d.checkNumbers(c)
	d.checkLogging(&c.Logging)
	if c.Metrics.Enabled {
		d.checkListen("metrics.listen", c.Metrics.Listen)
		if c.Metrics.Listen == c.Appservice.Listen {
			d.fault("metrics.listen", wrong{"is appservice.listen as well", "give each a port of its own"})
		}
	}
}

func (d *decoder) given(path string) bool {
	_, ok := d.places[path]
	return ok
}

func (d *decoder) warn(path, sentence string) {
	d.warnings = append(d.warnings, path+" "+sentence)
}

func (d *decoder) checkHomeserver(h *Homeserver) {
	h.Address = strings.TrimRight(h.Address, "/")
	if h.Address == "" {
		d.fault("homeserver.address", wrong{"is missing", "write the homeserver's client-server API as Usher reaches it, such as http://localhost:8008"})
	} else {
		d.checkURL("homeserver.address", h.Address, "http://localhost:8008")
	}
	switch {
	case h.Domain == "":
		d.fault("homeserver.domain", wrong{"is missing", "write the server name, the part of its users' Matrix IDs after the colon"})
	case !isServerName(h.Domain):
		d.fault("homeserver.domain", wrong{quote(h.Domain) + " is no server name", "write the part of its users' Matrix IDs after the colon, such as example.org"})
	case h.Domain == "example.org":
		d.warn("homeserver.domain", "is still the example's: write your homeserver's server name")
	}
}

func (d *decoder) checkAppservice(c *Config) {
	a := &c.Appservice
	a.Address = strings.TrimRight(a.Address, "/")
	d.checkID("appservice.id", a.ID)
	if path, ok := strings.CutPrefix(a.Address, "unix://"); ok {
		if !filepath.IsAbs(path) {
			d.fault("appservice.address", wrong{"names no absolute path", "write unix:///run/usher/usher.sock"})
		}
	} else {
		d.checkURL("appservice.address", a.Address, "http://localhost:29339")
	}
	d.checkListen("appservice.listen", a.Listen)
	d.checkToken("appservice.as_token", a.ASToken)
	d.checkToken("appservice.hs_token", a.HSToken)
	if a.ASToken == a.HSToken && a.ASToken != "" {
		d.fault("appservice.hs_token", wrong{"is the as_token as well", "give each direction a token of its own"})
	}
	d.checkBot(c)
	if a.MaxBodySize <= 0 {
		d.fault("appservice.max_body_size", wrong{"allows nothing", "write a size, such as 50MiB"})
	} else if a.MaxBodySize < 10<<20 {
		d.warn("appservice.max_body_size", "is below 10MiB: a full transaction of a hundred large events won't fit, and the homeserver will retry it for ever")
	}
}

func (d *decoder) checkBot(c *Config) {
	bot := c.Appservice.Bot
	switch {
	case !localpart.MatchString(bot.Username):
		d.fault("appservice.bot.username", wrong{quote(bot.Username) + " is no localpart", "write lower-case letters, digits and ._=-/+ only, such as usher"})
	case len(c.SenderUser()) > 255:
		d.fault("appservice.bot.username", wrong{"is too long", "stay below 255 bytes for the whole Matrix ID"})
	}
	if strings.ContainsFunc(bot.Displayname, unicode.IsControl) {
		d.fault("appservice.bot.displayname", wrong{"holds control characters", "write one line of text"})
	}
	if m := mxcURI.FindStringSubmatch(bot.Avatar); bot.Avatar != "" && (m == nil || !isServerName(m[1])) {
		d.fault("appservice.bot.avatar", wrong{quote(bot.Avatar) + " is no content URI", "upload the picture and write its mxc://server/id, or leave it empty"})
	}
}

func (d *decoder) checkPuppet(c *Config) {
	p := &c.Puppet
	if !p.Enabled {
		if len(p.AutoJoin) > 0 {
			d.warn("puppet.auto_join", "has no effect while puppet.enabled is false")
		}
		return
	}
	d.checkID("puppet.id", p.ID)
	if p.ID == c.Appservice.ID {
		d.fault("puppet.id", wrong{"is appservice.id as well", "give each registration an id of its own"})
	}
	d.checkToken("puppet.as_token", p.ASToken)
	d.checkToken("puppet.hs_token", p.HSToken)
	if p.ASToken != "" && (p.ASToken == c.Appservice.ASToken || p.ASToken == c.Appservice.HSToken) {
		d.fault("puppet.as_token", wrong{"is one of the appservice section's as well", "give each registration tokens of its own"})
	}
	for i, glob := range p.AutoJoin {
		local, server, ok := splitUser(glob)
		if !ok || local == "" || server != c.Homeserver.Domain {
			d.fault(fmt.Sprintf("puppet.auto_join[%d]", i), wrong{quote(glob) + " names no local users",
				"write Matrix IDs of " + c.Homeserver.Domain + ", with * or ? in the localpart only, such as @*:" + c.Homeserver.Domain})
		}
	}
}

func (d *decoder) checkCommands(c *Commands) {
	if c.Prefix == "" || len(c.Prefix) > 16 || strings.ContainsFunc(c.Prefix, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		d.fault("commands.prefix", wrong{quote(c.Prefix) + " can't begin a command", "write one to sixteen characters without spaces, such as !"})
	}
	d.checkLength("commands.max_age", c.MaxAge, time.Second, 7*24*time.Hour)
}

func (d *decoder) checkPermissions(c *Config) {
	keys := make([]string, 0, len(c.Permissions))
	for key := range c.Permissions {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if w := checkPermission(key); w != nil {
			d.fault(fmt.Sprintf("permissions[%q]", key), *w)
		}
	}
	if !c.Permissions.anybody() {
		server := c.Homeserver.Domain
		if !isServerName(server) {
			server = "example.org"
		}
		d.fault("permissions", wrong{"let nobody use Usher", "give somebody a level, such as " + quote(server) + ": user"})
	}
}

func (d *decoder) checkDatabase(db *Database) {
	uri := db.URI.Reveal()
	isURL := strings.HasPrefix(uri, "postgres://") || strings.HasPrefix(uri, "postgresql://")
	switch db.Type {
	case TypeSQLite:
		if isURL || uri == "" {
			d.fault("database.uri", wrong{"names no SQLite file", "write file:usher.db, or set database.type to postgres"})
		}
		if strings.Contains(uri, ":memory:") || strings.Contains(uri, "mode=memory") {
			d.warn("database.uri", "keeps everything in memory: a stop forgets it, and with it what was promised")
		}
	case TypePostgres:
		if !isURL && !strings.Contains(uri, "=") || strings.HasPrefix(uri, "file:") {
			d.fault("database.uri", wrong{"names no PostgreSQL database", "write postgres://user:password@host/database?sslmode=disable"})
		} else if _, err := url.Parse(uri); isURL && err != nil {
			d.fault("database.uri", wrong{"is no URL", "write postgres://user:password@host/database, with special characters percent-encoded"})
		}
	default:
		d.fault("database.type", wrong{quote(db.Type) + " is no database that Usher knows", "write sqlite or postgres"})
	}
	d.checkRange("database.max_open_conns", db.MaxOpenConns, 1, 1000)
	d.checkRange("database.max_idle_conns", db.MaxIdleConns, 0, db.MaxOpenConns)
}

func (d *decoder) checkNumbers(c *Config) {
	d.checkLength("appservice.request_timeout", c.Appservice.RequestTimeout, time.Second, 10*time.Minute)
	d.checkLength("shutdown_timeout", c.ShutdownTimeout, 0, time.Hour)
	d.checkRange("commands.per_minute", c.Commands.PerMinute, 0, 10000)
	d.checkRange("commands.answers_per_minute", c.Commands.AnswersPerMinute, 0, 10000)
	d.checkRange("delivery.at_once", c.Delivery.AtOnce, 0, 100)
	d.checkRange("delivery.workers", c.Delivery.Workers, 1, 100)
	d.checkLength("delivery.give_up_after", c.Delivery.GiveUpAfter, time.Minute, 30*24*time.Hour)
}

func (d *decoder) checkLogging(l *Logging) {
	d.checkWord("logging.min_level", l.MinLevel, logLevels()...)
	for i, w := range l.Writers {
		at := fmt.Sprintf("logging.writers[%d].", i)
		d.checkWord(at+"type", w.Type, "stdout", "stderr", "file", "journald", "syslog", "syslog-cee")
		if w.Format != "" {
			d.checkWord(at+"format", w.Format, "json", "pretty", "pretty-colored")
		}
		if w.MinLevel != "" {
			d.checkWord(at+"min_level", w.MinLevel, logLevels()...)
		}
		if w.MaxLevel != "" {
			d.checkWord(at+"max_level", w.MaxLevel, logLevels()...)
		}
		if w.Type == "file" && w.Filename == "" {
			d.fault(at+"filename", wrong{"is missing", "write the path of the log file"})
		}
	}
}

func logLevels() []string {
	return []string{"trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"}
}

func (d *decoder) checkWord(path, word string, known ...string) {
	if !slices.Contains(known, word) {
		d.fault(path, wrong{quote(word) + " is not known", "write one of " + strings.Join(known, ", ")})
	}
}

func (d *decoder) checkRange(path string, n, low, high int) {
	if n < low || n > high {
		d.fault(path, wrong{fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write a number from %d to %d", low, high)})
	}
}

func (d *decoder) checkLength(path string, length, low, high time.Duration) {
	if length < low || length > high {
		d.fault(path, wrong{fmt.Sprintf("%v is out of range", length), fmt.Sprintf("write a length of time from %v to %v", low, high)})
	}
}

func (d *decoder) checkID(path, id string) {
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		d.fault(path, wrong{quote(id) + " is no id", "write a word that no other registration of the homeserver has"})
	}
}

func (d *decoder) checkToken(path string, token Secret) {
	const fix = "write 64 random characters; usher -e writes an example with fresh ones"
	text := token.Reveal()
	switch {
	case text == "":
		d.fault(path, wrong{"is missing", fix})
	case text == placeholder:
		d.fault(path, wrong{"is still the placeholder", fix})
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		d.fault(path, wrong{"holds spaces or characters that no HTTP header takes", fix})
	case len(text) < 16:
		d.warn(path, "is short enough to be guessed: "+fix)
	}
}

func (d *decoder) checkListen(path, listen string) {
	network, address := Network(listen)
	if network == "unix" {
		if !filepath.IsAbs(address) {
			d.fault(path, wrong{quote(listen) + " names no absolute path", "write unix:/run/usher/usher.sock"})
		}
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || !isPort(port) {
		d.fault(path, wrong{quote(listen) + " is no address to listen at", "write host:port such as 127.0.0.1:29339, or unix:/run/usher/usher.sock"})
	}
}

// checkURL doesn't show a URL that may hold a password.
func (d *decoder) checkURL(path, address, example string) {
	fix := "write http:// or https://, a host and a port if need be, such as " + example
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "@"):
		d.fault(path, wrong{"holds a user name or an @", fix})
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() != "" && !isPort(u.Port()):
		d.fault(path, wrong{quote(address) + " is no address", fix})
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		d.fault(path, wrong{quote(address) + " has something after the path", fix})
	}
}
