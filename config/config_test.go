package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"encoding/json"
)

// minimal is the shortest config without faults. Its last line is number 8.
const minimal = `homeserver:
  address: http://localhost:8008
  domain: matrix.example
appservice:
  as_token: aaaaaaaaaaaaaaaaaaaaaaaa
  hs_token: hhhhhhhhhhhhhhhhhhhhhhhh
permissions:
  matrix.example: user
`

// pickleKey, which every config needs too, comes from the environment.
const pickleKey = "USHER_ENCRYPTION__PICKLE_KEY=kkkkkkkkkkkkkkkkkkkkkkkk"

func parse(t *testing.T, text string, environ ...string) (*Config, []string, []Fault) {
	t.Helper()
	c, warnings, err := Parse("config.yaml", []byte(text), append([]string{pickleKey}, environ...))
	var faults *Faults
	if errors.As(err, &faults) {
		return c, warnings, faults.List
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings, nil
}

func TestMinimalHasTheDefaults(t *testing.T) {
	c, warnings, faults := parse(t, minimal)
	if len(faults)+len(warnings) > 0 {
		t.Fatal(faults, warnings)
	}
	want := Default()
	want.Homeserver = Homeserver{"http://localhost:8008", "matrix.example"}
	want.Appservice.ASToken = "aaaaaaaaaaaaaaaaaaaaaaaa"
	want.Appservice.HSToken = "hhhhhhhhhhhhhhhhhhhhhhhh"
	want.Encryption.PickleKey = "kkkkkkkkkkkkkkkkkkkkkkkk"
	want.Permissions = Permissions{"matrix.example": LevelUser}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if c.BotUser() != "@usher:matrix.example" || c.SenderUser() == c.BotUser() || c.local(c.puppetLocalpart()) == c.SenderUser() {
		t.Error(c.BotUser(), c.SenderUser(), c.local(c.puppetLocalpart()))
	}
}

func TestEverySettingIsRead(t *testing.T) {
	c, _, faults := parse(t, `
homeserver: {address: "https://hs.example/", domain: "localhost:8448"}
appservice:
  id: door
  address: unix:///run/door.sock
  listen: unix:/run/door.sock
  advertise: door.example:29339
  as_token: aaaaaaaaaaaaaaaaaaaaaaaa
  hs_token: hhhhhhhhhhhhhhhhhhhhhhhh
  query_token: true
  bot: {username: door, displayname: "Door", avatar: "mxc://hs.example/abc"}
  max_body_size: 64 MB
  request_timeout: 45s
puppet:
  enabled: true
  as_token: pppppppppppppppppppppppp
  hs_token: qqqqqqqqqqqqqqqqqqqqqqqq
  auto_join: ["@*:localhost:8448"]
language: de
commands: {prefix: "?", max_age: 1h, per_minute: 5, answers_per_minute: 0, max_people: 300, max_list: 1MB, advertise: true, guide: "https://wiki.example/usher#members"}
limits: {invites_per_person: 1, invites_per_server: 2, invites_in_all: 3, people_per_hour: 6, joins_per_server: 4, joins_of_own_server: 0}
permissions: {"*": user, "@a:b": operator}
database: {type: postgres, uri: "postgres://u:p@h/d", max_open_conns: 20, max_idle_conns: 5, keep_refused: 168h, keep_audit: 169h}
encryption: {enabled: false, pickle_key: kkkkkkkkkkkkkkkkkkkkkkkk, recovery_key: r, database_uri: "postgres://u:p@h/k", share_keys_with: cross-signed, wait_for_keys: 1m, commands: verified, history_sharing: true}
delivery: {at_once: 1, workers: 2, give_up_after: 48h}
shutdown_timeout: 20s
metrics: {enabled: true, listen: "[::1]:1", pprof: true}
web: {listen: "[::1]:2", public_url: "https://door.example/", proxies: [10.0.0.0/8, "::1"], links: {max_uses: 5, max_age: 48h, per_person: 2}}
mail: {server: "mx.example", port: 2525, tls: tls, user: u, password: "p", from: "Door <door@example.org>", reply_to: "help@example.org", key: mmmmmmmmmmmmmmmmmmmmmmmm, timeout: 5s, retry: 2s,
  give_up_after: 3h, limits: {per_person: 1, per_domain: 2, in_all: 3, again: 4h}}
inbound: {enabled: true, room: "!ops:x", ban_list: "!bans:x", lists: ["!list:x"], ip_literals: true, no_create: true, sender: {people: 1, per: 1m},
  per_room: {people: 2, per: 2m}, server: {people: 3, per: 3m}, new_sender: {people: 4, per: 4m}, rush: {people: 5, per: 5m}, breaker: {people: 6, per: 6m}, block_for: 7m}
plan: {files: [staff.yaml], interval: 1h, room: "!ops:x", managers: ["@ann:x"]}
antispam: {enabled: true, at: web, token: ssssssssssssssssssssssss, timeout: 1s, fail: {accept_make_join: closed}, next: {url: "http://m/", token: nnnnnnnnnnnnnnnnnnnnnnnn}}
logging:
  min_level: debug
  timestamp: false
  caller: true
  metadata: {a: b}
  writers: [{type: file, filename: x.log, max_size: 5, compress: true, min_level: warn, max_level: error, format: json}]
`)
	if faults != nil {
		t.Fatal(faults)
	}
	want := &Config{
		Homeserver: Homeserver{"https://hs.example", "localhost:8448"},
		Appservice: Appservice{"door", "unix:///run/door.sock", "unix:/run/door.sock", "door.example:29339", "aaaaaaaaaaaaaaaaaaaaaaaa",
			"hhhhhhhhhhhhhhhhhhhhhhhh", true, Bot{"door", "Door", "mxc://hs.example/abc"}, 64e6, 45 * time.Second},
		Puppet:          Puppet{true, "door-puppet", "pppppppppppppppppppppppp", "qqqqqqqqqqqqqqqqqqqqqqqq", []string{"@*:localhost:8448"}},
		Language:        "de",
		Commands:        Commands{"?", time.Hour, 5, 0, 300, 1e6, true, "https://wiki.example/usher#members"},
		Limits:          Limits{1, 2, 3, 6, 4, 0},
		Permissions:     Permissions{"*": LevelUser, "@a:b": LevelOperator},
		Database:        Database{"postgres", "postgres://u:p@h/d", 20, 5, 168 * time.Hour, 169 * time.Hour},
		Encryption:      Encryption{false, "kkkkkkkkkkkkkkkkkkkkkkkk", "r", "postgres://u:p@h/k", ShareSigned, time.Minute, CommandsVerified, true},
		Delivery:        Delivery{1, 2, 48 * time.Hour},
		ShutdownTimeout: 20 * time.Second,
		Metrics:         Metrics{true, "[::1]:1", true},
		Web:             Web{"[::1]:2", "https://door.example", []string{"10.0.0.0/8", "::1"}, Links{5, 48 * time.Hour, 2}},
		Mail: Mail{"mx.example", 2525, "tls", "u", "p", "Door <door@example.org>", "help@example.org", "mmmmmmmmmmmmmmmmmmmmmmmm", 5 * time.Second, 2 * time.Second, 3 * time.Hour,
			MailLimits{1, 2, 3, 4 * time.Hour}},
		Inbound: Inbound{true, "!ops:x", "!bans:x", []string{"!list:x"}, true, true, People{1, time.Minute}, People{2, 2 * time.Minute},
			People{3, 3 * time.Minute}, People{4, 4 * time.Minute}, People{5, 5 * time.Minute}, People{6, 6 * time.Minute}, 7 * time.Minute},
		Plan: Plan{[]string{"staff.yaml"}, time.Hour, "!ops:x", []string{"@ann:x"}},
		Antispam: Antispam{true, AtWeb, "ssssssssssssssssssssssss", time.Second, map[string]string{"accept_make_join": FailClosed},
			Next{"http://m", "nnnnnnnnnnnnnnnnnnnnnnnn"}},
		Logging: Logging{MinLevel: "debug", Caller: true, Metadata: map[string]string{"a": "b"}, Writers: []Writer{{Type: "file",
			Filename: "x.log", MaxSize: 5, Compress: true, MinLevel: "warn", MaxLevel: "error", Format: "json"}}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestPickleKeyIsNeeded(t *testing.T) {
	for text, want := range map[string]bool{minimal: true, minimal + "encryption: {enabled: false}\n": false} {
		_, _, err := Parse("config.yaml", []byte(text), nil)
		if got := err != nil && strings.Contains(err.Error(), "encryption.pickle_key: is missing"); got != want {
			t.Errorf("got %v for:\n%s", err, text)
		}
	}
}

// Each case is the minimal config with something added or replaced, and the faults expected: "line path problem".
func TestFaults(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"unknown key", "", "colour: red\n", []string{"9 colour is not known"}},
		{"unknown key in a section", "  domain:", "  domian:", []string{"3 homeserver.domian is not known", "1 homeserver.domain is missing"}},
		{"web at the appservice's port", "", "web: {listen: '127.0.0.1:29339'}\n", []string{"9 web.listen is appservice.listen as well"}},
		{"web at the port of metrics", "", "web: {listen: 'x:1'}\nmetrics: {enabled: true, listen: 'x:1'}\n", []string{"9 web.listen is metrics.listen as well"}},
		{"pages nowhere", "", "web: {public_url: 'https://x.example'}\n", []string{"9 web.public_url has nobody to answer: web.listen is empty"}},
		{"a proxy by name", "", "web: {proxies: [proxy.example]}\n", []string{`9 web.proxies "proxy.example" is no address`}},
		{"no links", "", "web: {links: {max_uses: 0, max_age: 1s, per_person: 0}}\n", []string{"9 web.links.max_uses allows nothing", "9 web.links.max_age is too short", "9 web.links.per_person allows nothing"}},
		{"web nowhere", "", "web: {listen: here}\n", []string{`9 web.listen "here" is no address to listen at`}},
		{"mail without pages", "", "mail: {server: mx.example, from: u@example.org, key: mmmmmmmmmmmmmmmm}\n", []string{"9 mail.server has no use without web.public_url: a letter holds a link to a page"}},
		{"mail in plain", "", "web: {listen: 'x:1', public_url: 'https://x'}\nmail: {server: mx.example, tls: none, from: u@example.org, key: mmmmmmmmmmmmmmmm}\n",
			[]string{"10 mail.tls is none, and the server is another machine: everybody between could read the letters"}},
		{"mail at all", "", "web: {listen: 'x:1', public_url: 'https://x'}\nmail: {server: 'mx:25', port: 70000, tls: ssl, user: u, from: \"u@x.org\\r\\nBcc: v@x.org\", reply_to: r, timeout: 1h, limits: {per_person: -1}}\n",
			[]string{`10 mail.from "u@x.org\r\nBcc: v@x.org" is no address`, "10 mail.key is missing", "10 mail.limits.per_person -1 is out of range", "10 mail.password is missing", "10 mail.port 70000 is out of range",
				`10 mail.reply_to "r" is no address`, `10 mail.server "mx:25" is no name of a server`, "10 mail.timeout 1h0m0s is out of range", `10 mail.tls "ssl" is not known`}},
		{"antispam without a token", "", "antispam: {enabled: true}\n", []string{"9 antispam.token is missing"}},
		{"antispam at no listener", "", "antispam: {enabled: true, token: ssssssssssssssss, at: web}\n", []string{"9 antispam.at names the listener of web.listen, which is empty"}},
		{"antispam with our token", "", "antispam: {enabled: true, token: aaaaaaaaaaaaaaaaaaaaaaaa}\n", []string{"9 antispam.token is one of the appservice section's as well"}},
		{"antispam that fails somehow", "", "antispam: {enabled: true, token: ssssssssssssssss, fail: {user_may_invite: soft, ping: open}}\n",
			[]string{`9 antispam.fail["ping"] is no callback that Usher judges`, `9 antispam.fail["user_may_invite"] "soft" is not known`}},
		{"antispam with a next without a token", "", "antispam: {enabled: true, token: ssssssssssssssss, next: {url: 'http://m'}}\n", []string{"9 antispam.next.token is missing"}},
		{"inbound alone", "", "inbound: {enabled: true, room: ops}\n", []string{"9 inbound.enabled has no effect without antispam.enabled", `9 inbound.room "ops" is no room id`}},
		{"key twice", "", "permissions: {}\n", []string{"9 permissions is there twice, first on line 7"}},
		{"section is text", "", "puppet: yes\n", []string{"9 puppet is no section"}},
		{"root is text", minimal, "hello\n", []string{"1  is no section"}},
		{"root is a list", minimal, "- a\n- b\n", []string{"1  is no section"}},
		{"empty file", minimal, "", []string{"0 appservice.as_token is missing", "0 appservice.hs_token is missing",
			"0 homeserver.address is missing", "0 homeserver.domain is missing", "0 permissions let nobody use Usher"}},
		{"no YAML", "", "a: b: c\n", []string{"9  is no YAML: mapping values are not allowed in this context"}},
		{"Matrix ID without quotes", "", "permissions2:\n  \"*\": none\n  @alice:x: user\n", []string{"11  has a name or a value that begins with a sign of YAML's own"}},
		{"star without quotes", "", "permissions2:\n  *: user\n", []string{"10  has a name or a value that begins with a sign of YAML's own"}},
		{"value without quotes", "", "a: b\nc: @x\n", []string{"10  has a name or a value that begins with a sign of YAML's own"}},
		{"list without quotes", "", "puppet:\n  auto_join: [@*:x]\n", []string{"10  has a name or a value that begins with a sign of YAML's own"}},
		{"guide that is no page", "", "commands: {guide: docs/members.md}\n", []string{`9 commands.guide "docs/members.md" is no address of a page`}},
		{"tab", "", "commands:\n\tprefix: x\n", []string{"10  begins with a tab, which YAML does not allow"}},
		{"tab after spaces", "", "commands:\n  prefix: x\n\tmax_age: 1h\n", []string{"11  begins with a tab, which YAML does not allow"}},
		{"two documents", "", "---\na: b\n", []string{"9  a second document begins here"}},
		{"number for text", "as_token: aaaaaaaaaaaaaaaaaaaaaaaa", "as_token: 123456789012345678901234", []string{"5 appservice.as_token is not text as it stands"}},
		{"list for text", "domain: matrix.example", "domain: [a]", []string{"3 homeserver.domain is no single value"}},
		{"text for list", "", "puppet:\n  auto_join: x\n", []string{"10 puppet.auto_join is no list"}},
		{"text for bool", "", "puppet: {enabled: yes}\n", []string{`9 puppet.enabled "yes" is not what belongs here`}},
		{"text for number", "", "delivery: {workers: many}\n", []string{`9 delivery.workers "many" is not what belongs here`}},
		{"float for number", "", "delivery: {workers: 1.5}\n", []string{`9 delivery.workers "1.5" is not what belongs here`}},
		{"key database of another type", "", "encryption: {database_uri: 'postgres://h/d'}\n", []string{"9 encryption.database_uri is no database of database.type"}},
		{"key database is the other one", "", "encryption: {database_uri: 'file:usher.db'}\n", []string{"9 encryption.database_uri is database.uri as well"}},
		{"unknown protection", "", "encryption: {commands: some}\n", []string{`9 encryption.commands "some" is not known`}},
		{"unknown audience", "", "encryption: {share_keys_with: some}\n", []string{`9 encryption.share_keys_with "some" is not known`}},
		{"huge number", "", "delivery: {workers: 99999999999999999999}\n", []string{`9 delivery.workers "99999999999999999999" is not what belongs here`}},
		{"number out of range", "", "delivery: {workers: 0}\n", []string{"9 delivery.workers 0 is out of range"}},
		{"no unit", "", "shutdown_timeout: 30\n", []string{`9 shutdown_timeout "30" is no length of time`}},
		{"negative time", "", "shutdown_timeout: -1s\n", []string{"9 shutdown_timeout -1s is out of range"}},
		{"no size", "hs_token:", "max_body_size: big\n  hs_token:", []string{`6 appservice.max_body_size "big" is no size`}},
		{"no server name", "domain: matrix.example", "domain: https://a", []string{`3 homeserver.domain "https://a" is no server name`}},
		{"no URL", "http://localhost:8008", "localhost:8008", []string{`2 homeserver.address "localhost:8008" is no address`}},
		{"no host", "http://localhost:8008", "http://", []string{`2 homeserver.address "http:" is no address`}},
		{"query", "http://localhost:8008", "http://localhost:8008?a=b", []string{`2 homeserver.address "http://localhost:8008?a=b" has something after the path`}},
		{"password in URL", "http://localhost:8008", "http://me:secret@localhost:8008", []string{"2 homeserver.address holds a user name or an @"}},
		{"listen without port", "hs_token:", "listen: localhost\n  hs_token:", []string{`6 appservice.listen "localhost" is no address to listen at`}},
		{"relative socket", "hs_token:", "listen: unix:usher.sock\n  hs_token:", []string{`6 appservice.listen "unix:usher.sock" names no absolute path`}},
		{"upper-case bot", "hs_token:", "bot: {username: Usher}\n  hs_token:", []string{`6 appservice.bot.username "Usher" is no localpart`}},
		{"avatar", "hs_token:", "bot: {avatar: http://a/b.png}\n  hs_token:", []string{`6 appservice.bot.avatar "http://a/b.png" is no content URI`}},
		{"token with a space", "as_token: aaaaaaaaaaaaaaaaaaaaaaaa", "as_token: aaaaaaaaaaaaaa aaaaaaaaaa", []string{"5 appservice.as_token holds spaces or characters that no HTTP header takes"}},
		{"placeholder", "as_token: aaaaaaaaaaaaaaaaaaaaaaaa", "as_token: <random>", []string{"5 appservice.as_token is still the placeholder"}},
		{"same token", "hhhhhhhhhhhhhhhhhhhhhhhh", "aaaaaaaaaaaaaaaaaaaaaaaa", []string{"6 appservice.hs_token is the as_token as well"}},
		{"puppet without tokens", "", "puppet: {enabled: true}\n", []string{"9 puppet.as_token is missing", "9 puppet.hs_token is missing"}},
		{"puppet with our id", "", "puppet: {enabled: true, id: usher, as_token: pppppppppppppppp, hs_token: qqqqqqqqqqqqqqqq}\n", []string{"9 puppet.id is appservice.id as well"}},
		{"puppet with our token", "", "puppet: {enabled: true, as_token: aaaaaaaaaaaaaaaaaaaaaaaa, hs_token: qqqqqqqqqqqqqqqq}\n", []string{"9 puppet.as_token is one of the appservice section's as well"}},
		{"auto_join of strangers", "", "puppet: {enabled: true, as_token: pppppppppppppppp, hs_token: qqqqqqqqqqqqqqqq, auto_join: ['@a:matrix.example', '@*:*', '*', null]}\n",
			[]string{`9 puppet.auto_join[1] "@*:*" names no local users`, `9 puppet.auto_join[2] "*" names no local users`, "9 puppet.auto_join[3] is empty"}},
		{"prefix with a space", "", `commands: {prefix: "! "}` + "\n", []string{`9 commands.prefix "! " can't begin a command`}},
		{"unknown level", "", "  other.example: admin\n", []string{`9 permissions["other.example"] "admin" is no level`}},
		{"level missing", "", "  other.example:\n", []string{`9 permissions["other.example"] has no value`}},
		{"permission keys", "", "  '*.example': user\n  '@a': user\n  '@a:': user\n  'a b': user\n  '@:b': user\n", []string{
			`9 permissions["*.example"] patterns mean nothing here`, `10 permissions["@a"] "@a" has no server name`,
			`11 permissions["@a:"] "" is no server name`, `12 permissions["a b"] is neither a Matrix ID nor a server name`,
			`13 permissions["@:b"] "@:b" is no Matrix ID`}},
		{"keys that name nobody", "", "  example.org.: user\n  .example.org: none\n  \"@a:example.org.\": user\n", []string{
			`9 permissions["example.org."] names nobody, since no server has a dot there`, `10 permissions[".example.org"] names nobody, since no server has a dot there`, `11 permissions["@a:example.org."] names nobody, since no server has a dot there`}},
		{"nobody", "matrix.example: user", "matrix.example: none", []string{"7 permissions let nobody use Usher"}},
		{"database type", "", "database: {type: sqlite3}\n", []string{`9 database.type "sqlite3" is no database that Usher knows`}},
		{"database of the other type", "", "database: {uri: 'postgres://a:b@c/d'}\n", []string{"9 database.uri names no SQLite file"}},
		{"postgres without uri", "", "database: {type: postgres}\n", []string{"9 database.uri names no PostgreSQL database"}},
		{"pool", "", "database: {max_open_conns: 1}\n", []string{"9 database.max_idle_conns 2 is out of range"}},
		{"metrics on our port", "", "metrics: {enabled: true, listen: '127.0.0.1:29339'}\n", []string{"9 metrics.listen is appservice.listen as well"}},
		{"log level", "", "logging: {min_level: loud, writers: [{type: paper}, {type: file}]}\n", []string{
			`9 logging.min_level "loud" is not known`, "9 logging.writers[1].filename is missing", `9 logging.writers[0].type "paper" is not known`}},
		{"many at once", "domain: matrix.example", "domain: a b\n  x: 1", []string{`3 homeserver.domain "a b" is no server name`, "4 homeserver.x is not known"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := minimal + tt.new
			if tt.old != "" {
				text = strings.Replace(minimal, tt.old, tt.new, 1)
			}
			_, _, faults := parse(t, text)
			got := map[string]bool{}
			for _, f := range faults {
				got[fmt.Sprintf("%d %s %s", f.Line, f.Path, f.Problem)] = true
				if f.Fix == "" {
					t.Errorf("%s: says nothing of what would be right", f.Path)
				}
			}
			for _, want := range tt.want {
				if !got[want] {
					t.Errorf("missing: %s", want)
				}
			}
			if len(faults) != len(tt.want) {
				t.Errorf("got %v, want %q", got, tt.want)
			}
		})
	}
}

func TestFaultsAreProposedANameAndSorted(t *testing.T) {
	_, _, err := Parse("config.yaml", []byte("databse: {}\nhomeserver:\n  adress: x\n  Domain: y\n"), []string{"USHER_COMMANDS__PREFIX="})
	want := []string{
		"10 faults",
		"config.yaml:1: databse: is not known; did you mean database?",
		"config.yaml:2: homeserver.address: is missing",
		"config.yaml:2: homeserver.domain: is missing",
		"config.yaml:3: homeserver.adress: is not known; did you mean address?",
		"config.yaml:4: homeserver.Domain: is not known; did you mean domain?",
		"config.yaml: appservice.as_token: is missing",
		"$USHER_COMMANDS__PREFIX: commands.prefix:",
	}
	for _, line := range want {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("no %q in:\n%v", line, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("ffffffffffffffffffffffff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, faults := parse(t, minimal+"commands:\npuppet: {enabled: false}\n",
		"PATH=/bin", "USHER_HOMESERVER__ADDRESS=http://hs:1", "USHER_APPSERVICE__AS_TOKEN_FILE="+secret,
		"USHER_APPSERVICE__HS_TOKEN=123456789012345678", "USHER_APPSERVICE__BOT__USERNAME=door", "USHER_COMMANDS__PREFIX=#",
		"USHER_PUPPET__AUTO_JOIN=['@a:matrix.example', '@b:matrix.example']", "USHER_PUPPET__ENABLED=false",
		"USHER_PERMISSIONS={'@x:y': operator}", "USHER_SHUTDOWN_TIMEOUT=3s", "USHER_DELIVERY__WORKERS=7",
		"USHER_APPSERVICE__MAX_BODY_SIZE=20MiB", "USHER_SERVICE_HOST=10.0.0.1", "USHER_LOGGING__MIN_LEVEL=debug")
	if faults != nil {
		t.Fatal(faults)
	}
	for what, ok := range map[string]bool{
		"address":    c.Homeserver.Address == "http://hs:1",
		"from file":  c.Appservice.ASToken.Reveal() == "ffffffffffffffffffffffff",
		"digits":     c.Appservice.HSToken.Reveal() == "123456789012345678",
		"deep":       c.Appservice.Bot.Username == "door",
		"prefix":     c.Commands.Prefix == "#",
		"list":       len(c.Puppet.AutoJoin) == 2,
		"map":        reflect.DeepEqual(c.Permissions, Permissions{"@x:y": LevelOperator}),
		"time":       c.ShutdownTimeout == 3*time.Second,
		"number":     c.Delivery.Workers == 7,
		"size":       c.Appservice.MaxBodySize == 20<<20,
		"level":      c.Logging.MinLevel == "debug" && len(c.Logging.Writers) == 1,
		"file stays": c.Homeserver.Domain == "matrix.example",
		"kubernetes": strings.Contains(strings.Join(warnings, "\n"), "$USHER_SERVICE_HOST"),
	} {
		if !ok {
			t.Errorf("%s: %+v %v", what, c, warnings)
		}
	}
}

// TestPermissionsOfNobodyHere warns where nobody of the homeserver may use Usher.
func TestPermissionsOfNobodyHere(t *testing.T) {
	for permissions, warned := range map[string]bool{
		`{example.org: user}`: true, `{example.org: user, "@a:example.org": operator}`: true, `{MATRIX.example: user}`: true, `{"*": user, matrix.example: none}`: true,
		`{"*": user}`: false, `{matrix.example: user}`: false, `{"@a:matrix.example": user}`: false, `{"*": user, "@a:matrix.example": none}`: false,
	} {
		_, warnings, faults := parse(t, minimal, "USHER_PERMISSIONS="+permissions)
		if got := strings.Contains(strings.Join(warnings, "\n"), "let nobody of matrix.example use Usher"); got != warned || faults != nil {
			t.Errorf("%s: %v %v", permissions, warnings, faults)
		}
	}
}

func TestEnvironmentFaults(t *testing.T) {
	for _, tt := range []struct{ name, variable, want string }{
		{"unknown", "USHER_HOMESERVER__ADRESS=x", "$USHER_HOMESERVER__ADRESS: matches no setting; did you mean USHER_HOMESERVER__ADDRESS?"},
		{"below a value", "USHER_HOMESERVER__DOMAIN__X=x", "$USHER_HOMESERVER__DOMAIN__X: matches no setting"},
		{"wrong value", "USHER_DATABASE__TYPE=mysql", `$USHER_DATABASE__TYPE: database.type: "mysql" is no database`},
		{"wrong type", "USHER_PUPPET__ENABLED=perhaps", "$USHER_PUPPET__ENABLED: puppet.enabled:"},
		{"no YAML", "USHER_PERMISSIONS={", "$USHER_PERMISSIONS: permissions: is no YAML"},
		{"in a map", "USHER_PERMISSIONS={'@x': user}", `$USHER_PERMISSIONS: permissions["@x"]: "@x" has no server name`},
		{"unknown in a list", "USHER_LOGGING__WRITERS=[{typ: stdout}]", "$USHER_LOGGING__WRITERS: logging.writers[0].typ: is not known"},
		{"no file", "USHER_APPSERVICE__AS_TOKEN_FILE=/does/not/exist", "$USHER_APPSERVICE__AS_TOKEN_FILE: appservice.as_token: the file can't be read"},
		{"empty", "USHER_HOMESERVER__DOMAIN=", "$USHER_HOMESERVER__DOMAIN: homeserver.domain: is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Parse("config.yaml", []byte(minimal), []string{tt.variable})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	_, _, err := Parse("config.yaml", []byte(minimal), []string{"USHER_HOMESERVER__DOMAIN=a", "USHER_HOMESERVER__DOMAIN_FILE=/b"})
	if err == nil || !strings.Contains(err.Error(), "is set by $USHER_HOMESERVER__DOMAIN too") {
		t.Error(err)
	}
}

func TestEnvironmentLeavesTheFilesOwnFault(t *testing.T) {
	_, _, faults := parse(t, minimal+"puppet: text\n", "USHER_PUPPET__ENABLED=true")
	if len(faults) != 1 || faults[0].Problem != "is no section" || faults[0].Line != 9 {
		t.Error(faults)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	const secret = "very-secret-token-0123456789"
	for name, text := range map[string]string{
		"valid":          strings.Replace(minimal, "aaaaaaaaaaaaaaaaaaaaaaaa", secret, 1) + "database: {type: postgres, uri: 'postgres://u:" + secret + "@h/d'}\n",
		"bad uri":        minimal + "database: {type: postgres, uri: 'postgres://u:" + secret + "%zz@h:x/d'}\n",
		"sqlite uri":     minimal + "database: {uri: 'postgres://u:" + secret + "@h/d'}\n",
		"unknown anchor": strings.Replace(minimal, "aaaaaaaaaaaaaaaaaaaaaaaa", "*"+secret, 1),
		"space missing":  strings.Replace(minimal, ": aaaaaaaaaaaaaaaaaaaaaaaa", ":"+secret+": x", 1),
		"list":           strings.Replace(minimal, "aaaaaaaaaaaaaaaaaaaaaaaa", "["+secret+"]", 1),
		"spaces":         strings.Replace(minimal, "aaaaaaaaaaaaaaaaaaaaaaaa", secret+" x", 1),
		"same":           strings.NewReplacer("aaaaaaaaaaaaaaaaaaaaaaaa", secret, "hhhhhhhhhhhhhhhhhhhhhhhh", secret).Replace(minimal),
		"in an address":  strings.Replace(minimal, "http://localhost", "http://u:"+secret+"@localhost", 1),
	} {
		c, warnings, err := Parse("config.yaml", []byte(text), nil)
		var dump string
		if c != nil {
			asJSON, _ := json.Marshal(c)
			dump = fmt.Sprintf("%v %+v %#v %s %q %x", c, *c, *c, c.Appservice.ASToken, c.Appservice.ASToken, c.Appservice.ASToken) + string(asJSON) +
				Registration(c).String() + c.Appservice.ASToken.String()
		}
		if all := fmt.Sprint(dump, warnings, err); strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s: shown in %s", name, all)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if _, _, err := Load(path, nil); !isFaults(err) || !strings.Contains(err.Error(), "usher -e -c "+path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := Load(path, []string{pickleKey})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "0644") {
		t.Errorf("readable by all: %v, %v", warnings, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err = Load(path, []string{pickleKey}); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "its group may read it (mode 0640)") {
		t.Errorf("readable by a group: %v, %v", warnings, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err = Load(path, []string{pickleKey}); err != nil || len(warnings) != 0 {
		t.Errorf("readable by its owner only: %v, %v", warnings, err)
	}
	if _, _, err := Load(filepath.Dir(path), nil); !isFaults(err) {
		t.Errorf("a folder: %v", err)
	}
}

func isFaults(err error) bool {
	var f *Faults
	return errors.As(err, &f)
}

func TestWarnings(t *testing.T) {
	_, warnings, faults := parse(t, strings.NewReplacer("matrix.example", "example.org", "aaaaaaaaaaaaaaaaaaaaaaaa", "short").Replace(minimal)+
		"puppet: {auto_join: ['@a:example.org']}\ndatabase: {uri: 'file::memory:'}\n")
	if faults != nil || len(warnings) != 4 {
		t.Errorf("%q %v", warnings, faults)
	}
}

func TestPermissions(t *testing.T) {
	p := Permissions{"*": LevelUser, "bad.example": LevelNone, "@good:bad.example": LevelOperator, "@bad:example.org": LevelNone, "[::1]:8448": LevelOperator}
	for user, want := range map[string]Level{
		"@a:example.org":    LevelUser,
		"@a:bad.example":    LevelNone,
		"@good:bad.example": LevelOperator,
		"@bad:example.org":  LevelNone,
		"@a:[::1]:8448":     LevelOperator,
		"@A:sub.example":    LevelUser,
		"":                  LevelNone,
		"*":                 LevelNone,
		"a:example.org":     LevelNone,
		"@a":                LevelNone,
		"@:example.org":     LevelNone,
		"@a:":               LevelNone,
	} {
		if got := p.Level(user); got != want {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
	p = Permissions{"*": LevelUser, "evil.example": LevelNone, "@good:evil.example": LevelOperator, "@bad:x.example": LevelNone, "10.0.0.1": LevelNone,
		"Odd.example": LevelUser}
	for user, want := range map[string]Level{
		"@x:evil.example":       LevelNone,
		"@x:evil.example:8448":  LevelNone,
		"@x:EVIL.example":       LevelNone,
		"@x:evil.example.":      LevelNone,
		"@x:Evil.example.:1":    LevelNone,
		"@x:0x0a000001":         LevelNone,
		"@Bad:x.example":        LevelNone,
		"@bad:X.example:8448":   LevelNone,
		"@good:evil.example":    LevelOperator,
		"@Good:evil.example":    LevelNone,
		"@good:EVIL.example":    LevelNone,
		"@good:evil.example:80": LevelNone,
		"@x:not-evil.example":   LevelUser,
		"@x:x.example":          LevelUser,
	} {
		if got := p.Level(user); got != want {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
	p = Permissions{"*": LevelNone, "example.org": LevelUser, "@admin:example.org": LevelOperator}
	for user, want := range map[string]Level{ // a level is given as written only
		"@admin:example.org": LevelOperator, "@Admin:example.org": LevelUser, "@admin:example.org:8448": LevelNone, "@admin:EXAMPLE.org": LevelNone,
		"@x:example.org.": LevelNone, "@x:example.org": LevelUser,
	} {
		if got := p.Level(user); got != want {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
	if (Permissions{}).Level("@a:b") != LevelNone || Permissions(nil).Level("@a:b") != LevelNone {
		t.Error("nobody is allowed by nothing")
	}
}

func TestServerNames(t *testing.T) {
	for name, want := range map[string]bool{
		"example.org": true, "localhost": true, "localhost:8448": true, "1.2.3.4:80": true, "[::1]": true, "[2001:db8::1]:8448": true,
		"": false, "a b": false, "a:": false, "a:0": false, "a:65536": false, "a:+1": false, "a:b": false, "[::1": false, "[::1]x": false, "[1.2.3.4]": false,
		"a/b": false, "a_b": false, "http://a": false, "ä.example": false, ":80": false, strings.Repeat("a", 231): false,
	} {
		if isServerName(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "10": 10, "10B": 10, "1KiB": 1024, "50MiB": 50 << 20, "2 GiB": 2 << 30, "1kB": 1000, "3MB": 3e6, " 4 mib ": 4 << 20} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1 MiBB", "1Bi", "9999999999GiB", "0x10", "1TiB", "50 M"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestAutoJoins(t *testing.T) {
	c := Default()
	c.Homeserver.Domain = "example.org"
	c.Puppet.Enabled = true
	c.Puppet.AutoJoin = []string{"@a?:example.org", "@bot.*:example.org", "@x:example.org"}
	for user, want := range map[string]bool{
		"@ab:example.org": true, "@a:example.org": false, "@bot.1:example.org": true, "@botx:example.org": false, "@x:example.org": true,
		"@x:example.org.evil": false, "@x:example.orgx": false, "@bot.1:evil:example.org": true, "@bot.:evil": false, "": false,
	} {
		if c.AutoJoins(user) != want {
			t.Errorf("%q: want %v", user, want)
		}
	}
	c.Puppet.Enabled = false
	if c.AutoJoins("@x:example.org") {
		t.Error("joins without the second registration")
	}
}

func TestNetwork(t *testing.T) {
	for listen, want := range map[string][2]string{
		"127.0.0.1:80": {"tcp", "127.0.0.1:80"}, ":80": {"tcp", ":80"}, "unix:/a/b": {"unix", "/a/b"},
	} {
		if network, address := Network(listen); network != want[0] || address != want[1] {
			t.Errorf("%s: %s %s", listen, network, address)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal, "USHER_PERMISSIONS={'@x:y': operator}")
	f.Add("a: &a [*a]\n", "USHER_PUPPET__ENABLED=true")
	f.Add("puppet: &p {enabled: true}\nmetrics: *p\n? [a]\n: b\n", "USHER_METRICS__ENABLED=!!binary x")
	f.Fuzz(func(t *testing.T, text, variable string) {
		if c, _, err := Parse("f", []byte(text), []string{variable}); (c == nil) == (err == nil) {
			t.Errorf("config %v, error %v", c, err)
		}
	})
}

// TestOpenFolder: who may write the folder of the config or of the database may replace the file.
func TestOpenFolder(t *testing.T) {
	base := t.TempDir()
	folder := filepath.Join(base, "open")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "usher.db")
	for mode, want := range map[os.FileMode]int{0o700: 0, 0o755: 0, 0o775: 1, 0o777: 1, 0o777 | os.ModeSticky: 0} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		if got := openFolder(file); len(got) != want {
			t.Errorf("%v: %v", mode, got)
		}
		config := filepath.Join(base, "config.yaml")
		text := minimal + "database: {uri: \"file:" + file + "?_pragma=x\"}\n"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, warnings, err := Load(config, []string{pickleKey}); err != nil || len(warnings) != want {
			t.Errorf("%v: %v, %v", mode, err, warnings)
		}
	}
}
