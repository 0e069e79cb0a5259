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

	"usher/words"
)

// placeholder stands in the example config where a fresh random token belongs.
const placeholder = "<random>"

var (
	// https://spec.matrix.org/latest/appendices/#user-identifiers
	localpart = regexp.MustCompile(`\A[a-z0-9._=/+-]+\z`)
	mxcURI    = regexp.MustCompile(`\Amxc://([^/]+)/[A-Za-z0-9_-]+\z`)
)

// checker checks the values of settings after they have been read. Each method checks one section or one kind of value and
// records its faults.
type checker struct{ *findings }

// check checks all settings. It also fills in the defaults derived from other settings.
func (k checker) check(c *Config) {
	if !k.given("puppet.id") {
		c.Puppet.ID = c.Appservice.ID + "-puppet"
	}
	k.checkHomeserver(&c.Homeserver)
	k.checkAppservice(c)
	k.checkPuppet(c)
	if _, known := words.Match(c.Language); !known {
		k.fault("language", wrong{quote(c.Language) + " is none that Usher speaks", "write one of " + strings.Join(words.Languages(), ", ")})
	}
	k.checkCommands(&c.Commands)
	k.checkPermissions(c)
	k.checkDatabase(&c.Database)
	k.checkEncryption(c)
	k.checkNumbers(c)
	k.checkLogging(&c.Logging)
	k.checkWeb(c)
	checkPlan(k, &c.Plan)
	if c.Metrics.Enabled {
		k.checkListen("metrics.listen", c.Metrics.Listen)
		if c.Metrics.Listen == c.Appservice.Listen {
			k.fault("metrics.listen", wrong{"is appservice.listen as well", "give each a port of its own"})
		}
	}
}

func (k checker) checkHomeserver(h *Homeserver) {
	h.Address = strings.TrimRight(h.Address, "/")
	if h.Address == "" {
		k.fault("homeserver.address", wrong{"is missing", "write the homeserver's client-server API as Usher reaches it, such as http://localhost:8008"})
	} else {
		k.checkURL("homeserver.address", h.Address, "http://localhost:8008")
	}
	switch {
	case h.Domain == "":
		k.fault("homeserver.domain", wrong{"is missing", "write the server name, the part of its users' Matrix IDs after the colon"})
	case !isServerName(h.Domain):
		k.fault("homeserver.domain", wrong{quote(h.Domain) + " is no server name", "write the part of its users' Matrix IDs after the colon, such as example.org"})
	case h.Domain == "example.org":
		k.warn("homeserver.domain", "is still the example's: write your homeserver's server name")
	}
}

func (k checker) checkAppservice(c *Config) {
	a := &c.Appservice
	a.Address = strings.TrimRight(a.Address, "/")
	k.checkID("appservice.id", a.ID)
	if path, ok := strings.CutPrefix(a.Address, "unix://"); ok {
		if !filepath.IsAbs(path) {
			k.fault("appservice.address", wrong{"names no absolute path", "write unix:///run/usher/usher.sock"})
		}
	} else {
		k.checkURL("appservice.address", a.Address, "http://localhost:29339")
	}
	k.checkListen("appservice.listen", a.Listen)
	if a.Advertise != "" {
		k.checkListen("appservice.advertise", a.Advertise)
	}
	k.checkToken("appservice.as_token", a.ASToken)
	k.checkToken("appservice.hs_token", a.HSToken)
	if a.ASToken == a.HSToken && a.ASToken != "" {
		k.fault("appservice.hs_token", wrong{"is the as_token as well", "give each direction a token of its own"})
	}
	k.checkBot(c)
	if a.MaxBodySize <= 0 {
		k.fault("appservice.max_body_size", wrong{"allows nothing", "write a size, such as 50MiB"})
	} else if a.MaxBodySize < 10<<20 {
		k.warn("appservice.max_body_size", "is below 10MiB: a full transaction of a hundred large events won't fit, and the homeserver will retry it for ever")
	}
}

func (k checker) checkBot(c *Config) {
	bot := c.Appservice.Bot
	switch {
	case !localpart.MatchString(bot.Username):
		k.fault("appservice.bot.username", wrong{quote(bot.Username) + " is no localpart", "write lower-case letters, digits and ._=-/+ only, such as usher"})
	case len(c.SenderUser()) > 255:
		k.fault("appservice.bot.username", wrong{"is too long", "stay below 255 bytes for the whole Matrix ID"})
	}
	if strings.ContainsFunc(bot.Displayname, unicode.IsControl) {
		k.fault("appservice.bot.displayname", wrong{"holds control characters", "write one line of text"})
	}
	if m := mxcURI.FindStringSubmatch(bot.Avatar); bot.Avatar != "" && (m == nil || !isServerName(m[1])) {
		k.fault("appservice.bot.avatar", wrong{quote(bot.Avatar) + " is no content URI", "upload the picture and write its mxc://server/id, or leave it empty"})
	}
}

func (k checker) checkPuppet(c *Config) {
	p := &c.Puppet
	if !p.Enabled {
		if len(p.AutoJoin) > 0 {
			k.warn("puppet.auto_join", "has no effect while puppet.enabled is false")
		}
		return
	}
	k.checkID("puppet.id", p.ID)
	if p.ID == c.Appservice.ID {
		k.fault("puppet.id", wrong{"is appservice.id as well", "give each registration an id of its own"})
	}
	k.checkToken("puppet.as_token", p.ASToken)
	k.checkToken("puppet.hs_token", p.HSToken)
	if p.ASToken != "" && (p.ASToken == c.Appservice.ASToken || p.ASToken == c.Appservice.HSToken) {
		k.fault("puppet.as_token", wrong{"is one of the appservice section's as well", "give each registration tokens of its own"})
	}
	for i, glob := range p.AutoJoin {
		local, server, ok := splitUser(glob)
		if !ok || local == "" || server != c.Homeserver.Domain {
			k.fault(fmt.Sprintf("puppet.auto_join[%d]", i), wrong{quote(glob) + " names no local users",
				"write Matrix IDs of " + c.Homeserver.Domain + ", with * or ? in the localpart only, such as @*:" + c.Homeserver.Domain})
		}
	}
}

func (k checker) checkCommands(c *Commands) {
	if c.Prefix == "" || len(c.Prefix) > 16 || strings.ContainsFunc(c.Prefix, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		k.fault("commands.prefix", wrong{quote(c.Prefix) + " can't begin a command", "write one to sixteen characters without spaces, such as !"})
	}
	if u, err := url.Parse(c.Guide); c.Guide != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		k.fault("commands.guide", wrong{quote(c.Guide) + " is no address of a page", "write one that begins with https://, or leave it empty"})
	}
	k.checkLength("commands.max_age", c.MaxAge, time.Second, 7*24*time.Hour)
}

func (k checker) checkPermissions(c *Config) {
	keys := make([]string, 0, len(c.Permissions))
	for key := range c.Permissions {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if w := checkPermission(key); w != nil {
			k.fault(fmt.Sprintf("permissions[%q]", key), *w)
		}
	}
	server := c.Homeserver.Domain
	if !isServerName(server) {
		server = "example.org"
	}
	switch {
	case !c.Permissions.anybody():
		k.fault("permissions", wrong{"let nobody use Usher", "give somebody a level, such as " + quote(server) + ": user"})
	case !c.Permissions.anybodyOf(server):
		k.warn("permissions", "let nobody of "+server+" use Usher, which is homeserver.domain: write "+quote(server)+": user")
	}
}

func (k checker) checkDatabase(db *Database) {
	uri := db.URI.Reveal()
	isURL := strings.HasPrefix(uri, "postgres://") || strings.HasPrefix(uri, "postgresql://")
	switch db.Type {
	case TypeSQLite:
		if isURL || uri == "" {
			k.fault("database.uri", wrong{"names no SQLite file", "write file:usher.db, or set database.type to postgres"})
		}
		if strings.Contains(uri, ":memory:") || strings.Contains(uri, "mode=memory") {
			k.warn("database.uri", "keeps everything in memory: a stop forgets it, and with it what was promised")
		}
	case TypePostgres:
		if !isURL && !strings.Contains(uri, "=") || strings.HasPrefix(uri, "file:") {
			k.fault("database.uri", wrong{"names no PostgreSQL database", "write postgres://user:password@host/database?sslmode=disable"})
		} else if _, err := url.Parse(uri); isURL && err != nil {
			k.fault("database.uri", wrong{"is no URL", "write postgres://user:password@host/database, with special characters percent-encoded"})
		}
	default:
		k.fault("database.type", wrong{quote(db.Type) + " is no database that Usher knows", "write sqlite or postgres"})
	}
	k.checkRange("database.max_open_conns", db.MaxOpenConns, 1, 1000)
	k.checkRange("database.max_idle_conns", db.MaxIdleConns, 0, db.MaxOpenConns)
	k.checkLength("database.keep_refused", db.KeepRefused, 7*24*time.Hour, 100*365*24*time.Hour)
	k.checkLength("database.keep_audit", db.KeepAudit, 7*24*time.Hour, 100*365*24*time.Hour)
}

func (k checker) checkNumbers(c *Config) {
	k.checkLength("appservice.request_timeout", c.Appservice.RequestTimeout, time.Second, 10*time.Minute)
	k.checkLength("shutdown_timeout", c.ShutdownTimeout, 0, time.Hour)
	k.checkRange("commands.per_minute", c.Commands.PerMinute, 0, 10000)
	k.checkRange("commands.answers_per_minute", c.Commands.AnswersPerMinute, 0, 10000)
	k.checkRange("commands.max_people", c.Commands.MaxPeople, 1, 100_000)
	k.checkRange("commands.max_list", int(c.Commands.MaxList), 1<<10, 64<<20)
	for path, most := range map[string]int{
		"invites_per_person": c.Limits.InvitesPerPerson, "invites_per_server": c.Limits.InvitesPerServer, "invites_in_all": c.Limits.InvitesInAll,
		"people_per_hour": c.Limits.PeoplePerHour, "joins_per_server": c.Limits.JoinsPerServer, "joins_of_own_server": c.Limits.JoinsOfOwnServer,
	} {
		k.checkRange("limits."+path, most, 0, 1_000_000)
	}
	k.checkRange("delivery.at_once", c.Delivery.AtOnce, 0, 100)
	k.checkRange("delivery.workers", c.Delivery.Workers, 1, 100)
	k.checkLength("delivery.give_up_after", c.Delivery.GiveUpAfter, time.Minute, 30*24*time.Hour)
}

func (k checker) checkLogging(l *Logging) {
	k.checkWord("logging.min_level", l.MinLevel, logLevels()...)
	for i, w := range l.Writers {
		at := fmt.Sprintf("logging.writers[%d].", i)
		k.checkWord(at+"type", w.Type, "stdout", "stderr", "file", "journald", "syslog", "syslog-cee")
		if w.Format != "" {
			k.checkWord(at+"format", w.Format, "json", "pretty", "pretty-colored")
		}
		if w.MinLevel != "" {
			k.checkWord(at+"min_level", w.MinLevel, logLevels()...)
		}
		if w.MaxLevel != "" {
			k.checkWord(at+"max_level", w.MaxLevel, logLevels()...)
		}
		if w.Type == "file" && w.Filename == "" {
			k.fault(at+"filename", wrong{"is missing", "write the path of the log file"})
		}
	}
}

func logLevels() []string {
	return []string{"trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"}
}

func (k checker) checkWord(path, word string, known ...string) {
	if !slices.Contains(known, word) {
		k.fault(path, wrong{quote(word) + " is not known", "write one of " + strings.Join(known, ", ")})
	}
}

func (k checker) checkRange(path string, n, low, high int) {
	if n < low || n > high {
		k.fault(path, wrong{fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write a number from %d to %d", low, high)})
	}
}

func (k checker) checkLength(path string, length, low, high time.Duration) {
	if length < low || length > high {
		k.fault(path, wrong{fmt.Sprintf("%v is out of range", length), fmt.Sprintf("write a length of time from %v to %v", low, high)})
	}
}

func (k checker) checkID(path, id string) {
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		k.fault(path, wrong{quote(id) + " is no id", "write a word that no other registration of the homeserver has"})
	}
}

func (k checker) checkToken(path string, token Secret) {
	const fix = "write 64 random characters; usher -e writes an example with fresh ones"
	text := token.Reveal()
	switch {
	case text == "":
		k.fault(path, wrong{"is missing", fix})
	case text == placeholder:
		k.fault(path, wrong{"is still the placeholder", fix})
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		k.fault(path, wrong{"holds spaces or characters that no HTTP header takes", fix})
	case len(text) < 16:
		k.warn(path, "is short enough to be guessed: "+fix)
	}
}

func (k checker) checkListen(path, listen string) {
	network, address := Network(listen)
	if network == "unix" {
		if !filepath.IsAbs(address) {
			k.fault(path, wrong{quote(listen) + " names no absolute path", "write unix:/run/usher/usher.sock"})
		}
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || !isPort(port) {
		k.fault(path, wrong{quote(listen) + " is no address to listen at", "write host:port such as 127.0.0.1:29339, or unix:/run/usher/usher.sock"})
	}
}

// checkURL never shows a URL with an @, which may contain a password.
func (k checker) checkURL(path, address, example string) {
	fix := "write http:// or https://, a host and a port if need be, such as " + example
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "@"):
		k.fault(path, wrong{"holds a user name or an @", fix})
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() != "" && !isPort(u.Port()):
		k.fault(path, wrong{quote(address) + " is no address", fix})
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		k.fault(path, wrong{quote(address) + " has something after the path", fix})
	}
}
