// Package config reads Usher's configuration: one YAML file, overridden by environment variables. It also writes the example
// config and the registration files for the homeserver.
//
// Load reads in three steps. The overlay puts the environment's values into the YAML tree. The decoder reads the tree into a
// Config and knows every setting by its field. The checker checks the values. Each step records its faults with file,
// line and remedy and goes on, so that an operator sees all of them at once. Secrets never appear in a fault.
//
// A new setting is a field here, its default in Default, its check in check.go, a line in config.example.yaml and a row in
// docs/operations.md.
package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Config is the whole configuration, as Load returns it: complete, with defaults filled in, and checked.
type Config struct {
	Homeserver      Homeserver    `yaml:"homeserver"`
	Appservice      Appservice    `yaml:"appservice"`
	Puppet          Puppet        `yaml:"puppet"`
	Language        string        `yaml:"language"` // tag of the language of the bot where nothing else is chosen
	Commands        Commands      `yaml:"commands"`
	Limits          Limits        `yaml:"limits"`
	Permissions     Permissions   `yaml:"permissions"`
	Database        Database      `yaml:"database"`
	Encryption      Encryption    `yaml:"encryption"`
	Delivery        Delivery      `yaml:"delivery"`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"` // the longest wait for running work when Usher stops
	Metrics         Metrics       `yaml:"metrics"`
	Web             Web           `yaml:"web"`
	Mail            Mail          `yaml:"mail"`
	Antispam        Antispam      `yaml:"antispam"`
	Inbound         Inbound       `yaml:"inbound"`
	Plan            Plan          `yaml:"plan"`
	Logging         Logging       `yaml:"logging"`
}

// Homeserver is Usher's homeserver; there is one.
type Homeserver struct {
	Address string `yaml:"address"` // base URL of the client-server API, no trailing slash
	Domain  string `yaml:"domain"`  // server name, the part of a Matrix ID after the colon
}

// Appservice has Usher's side of the application service API.
type Appservice struct {
	ID             string        `yaml:"id"`        // id of the registration
	Address        string        `yaml:"address"`   // URL of Usher for the homeserver: http://, https:// or unix:///
	Listen         string        `yaml:"listen"`    // host:port or unix:/path; see Network
	Advertise      string        `yaml:"advertise"` // address of this process for the others on the same database, as in Listen; empty: derived
	ASToken        Secret        `yaml:"as_token"`
	HSToken        Secret        `yaml:"hs_token"`
	QueryToken     bool          `yaml:"query_token"` // take hs_token from the query of a request, too
	Bot            Bot           `yaml:"bot"`
	MaxBodySize    Size          `yaml:"max_body_size"`   // largest accepted transaction, in bytes
	RequestTimeout time.Duration `yaml:"request_timeout"` // deadline of one call, in either direction
}

// Bot is Usher's own Matrix user.
type Bot struct {
	Username    string `yaml:"username"`    // localpart
	Displayname string `yaml:"displayname"` // empty: not changed
	Avatar      string `yaml:"avatar"`      // mxc:// URI; empty: not changed, except that a bot without one gets one
}

// Puppet is the optional second registration. With it Usher acts as the local user behind a command.
type Puppet struct {
	Enabled  bool     `yaml:"enabled"`
	ID       string   `yaml:"id"` // id of the second registration
	ASToken  Secret   `yaml:"as_token"`
	HSToken  Secret   `yaml:"hs_token"`
	AutoJoin []string `yaml:"auto_join"` // local MXIDs, * and ? in the localpart; see AutoJoins
}

// Commands has the form and the limits of commands.
type Commands struct {
	Prefix string        `yaml:"prefix"`
	MaxAge time.Duration `yaml:"max_age"` // older commands are not run, unless they were received in time

	PerMinute        int `yaml:"per_minute"`         // commands of one user; 0: no limit
	AnswersPerMinute int `yaml:"answers_per_minute"` // in one room; 0: no limit

	MaxPeople int  `yaml:"max_people"` // of a command with a list
	MaxList   Size `yaml:"max_list"`   // of an attached list, in bytes

	Advertise bool   `yaml:"advertise"` // describe the commands to clients, in the state of rooms
	Guide     string `yaml:"guide"`     // address of a page for members, shown by !help; empty: none
}

// Limits bound what people make the bot do in all rooms together, whoever carries it out; 0: no limit. Operators are counted and not bound.
type Limits struct {
	InvitesPerPerson int `yaml:"invites_per_person"`  // asked for by one user, in 24 hours
	InvitesPerServer int `yaml:"invites_per_server"`  // of users of one other server, in 24 hours
	InvitesInAll     int `yaml:"invites_in_all"`      // in 24 hours
	PeoplePerHour    int `yaml:"people_per_hour"`     // named by the commands of one user
	JoinsPerServer   int `yaml:"joins_per_server"`    // at the word of the users of one other server, in an hour
	JoinsOfOwnServer int `yaml:"joins_of_own_server"` // at the word of the homeserver's own users, in an hour
}

// Database is the place of Usher's data.
type Database struct {
	Type         string `yaml:"type"` // TypeSQLite or TypePostgres
	URI          Secret `yaml:"uri"`  // may contain a password
	MaxOpenConns int    `yaml:"max_open_conns"`
	MaxIdleConns int    `yaml:"max_idle_conns"`

	KeepRefused time.Duration `yaml:"keep_refused"`
	KeepAudit   time.Duration `yaml:"keep_audit"`
}

// The database types.
const (
	TypeSQLite   = "sqlite"
	TypePostgres = "postgres"
)

// Encryption is the bot's device in encrypted rooms.
type Encryption struct {
	Enabled        bool          `yaml:"enabled"`
	PickleKey      Secret        `yaml:"pickle_key"`      // encrypts the keys in the database
	RecoveryKey    Secret        `yaml:"recovery_key"`    // of the bot's cross-signing identity; empty: derived from PickleKey
	DatabaseURI    Secret        `yaml:"database_uri"`    // database of keys, of the same type as Database; empty: beside it
	ShareKeysWith  string        `yaml:"share_keys_with"` // ShareAll or ShareSigned
	WaitForKeys    time.Duration `yaml:"wait_for_keys"`   // the longest wait of an encrypted event for its key
	Commands       string        `yaml:"commands"`        // CommandsAny, CommandsEncrypted or CommandsVerified
	HistorySharing bool          `yaml:"history_sharing"` // invited people get the keys of earlier messages (MSC4268)
}

// Values of Commands: commands in encrypted rooms that are carried out.
const (
	CommandsAny       = "any"       // all, also plain ones
	CommandsEncrypted = "encrypted" // encrypted ones
	CommandsVerified  = "verified"  // encrypted ones from devices signed by the cross-signing identity of their owner
)

// Values of ShareKeysWith: devices that get the keys of the bot's messages.
const (
	ShareAll    = "all"          // all devices of the members
	ShareSigned = "cross-signed" // devices signed by the cross-signing identity of their owner
)

// Delivery has the limits of sending invitations.
type Delivery struct {
	AtOnce      int           `yaml:"at_once"` // invitations of one command sent without the queue
	Workers     int           `yaml:"workers"` // queue workers
	GiveUpAfter time.Duration `yaml:"give_up_after"`
}

// Metrics is the Prometheus listener.
type Metrics struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"` // host:port or unix:/path; see Network
	Pprof   bool   `yaml:"pprof"`  // Go's profiles too
}

// Logging has the shape of a config of zeroconfig, without importing it; see Decode.
type Logging struct {
	MinLevel  string            `yaml:"min_level"`
	Timestamp bool              `yaml:"timestamp"`
	Caller    bool              `yaml:"caller"`
	Metadata  map[string]string `yaml:"metadata,omitempty"` // added to each line
	Writers   []Writer          `yaml:"writers"`
}

// Writer is one destination of log lines.
type Writer struct {
	Type       string `yaml:"type"`
	Format     string `yaml:"format,omitempty"`
	MinLevel   string `yaml:"min_level,omitempty"`
	MaxLevel   string `yaml:"max_level,omitempty"`
	TimeFormat string `yaml:"time_format,omitempty"`
	Filename   string `yaml:"filename,omitempty"` // type file, with the five below
	MaxSize    int    `yaml:"max_size,omitempty"` // megabytes
	MaxAge     int    `yaml:"max_age,omitempty"`  // days
	MaxBackups int    `yaml:"max_backups,omitempty"`
	LocalTime  bool   `yaml:"local_time,omitempty"`
	Compress   bool   `yaml:"compress,omitempty"`
	Network    string `yaml:"network,omitempty"` // type syslog, with the three below
	Host       string `yaml:"host,omitempty"`
	Flags      int    `yaml:"flags,omitempty"`
	Tag        string `yaml:"tag,omitempty"`
}

// Default returns the configuration of an empty file. Required settings are empty.
func Default() *Config {
	return &Config{
		Appservice: Appservice{
			ID:             "usher",
			Address:        "http://localhost:29339",
			Listen:         "127.0.0.1:29339",
			Bot:            Bot{Username: "usher", Displayname: "Usher"},
			MaxBodySize:    50 << 20,
			RequestTimeout: 30 * time.Second,
		},
		Puppet:          Puppet{ID: "usher-puppet"},
		Language:        "en",
		Commands:        Commands{Prefix: "!", MaxAge: 10 * time.Minute, PerMinute: 30, AnswersPerMinute: 60, MaxPeople: 10_000, MaxList: 2 << 20},
		Limits:          Limits{InvitesPerPerson: 1000, InvitesPerServer: 2000, InvitesInAll: 20000, PeoplePerHour: 10000, JoinsPerServer: 60, JoinsOfOwnServer: 1200},
		Database:        Database{Type: TypeSQLite, URI: "file:usher.db", MaxOpenConns: 8, MaxIdleConns: 2, KeepRefused: 30 * 24 * time.Hour, KeepAudit: 365 * 24 * time.Hour},
		Encryption:      Encryption{Enabled: true, ShareKeysWith: ShareAll, WaitForKeys: 10 * time.Minute, Commands: CommandsEncrypted},
		Delivery:        Delivery{AtOnce: 5, Workers: 16, GiveUpAfter: 24 * time.Hour},
		ShutdownTimeout: 10 * time.Second,
		Metrics:         Metrics{Listen: "127.0.0.1:9339"},
		Inbound:         defaultInbound(),
		Plan:            Plan{Files: []string{}, Interval: 15 * time.Minute, Managers: []string{}},
		Mail:            defaultMail(),
		Web:             Web{Proxies: []string{"127.0.0.1", "::1"}, Links: Links{MaxUses: 1000, MaxAge: 90 * 24 * time.Hour, PerPerson: 20}},
		Antispam:        Antispam{At: AtAppservice, Timeout: 2 * time.Second, Fail: map[string]string{}},
		Logging: Logging{
			MinLevel:  "info",
			Timestamp: true,
			Writers:   []Writer{{Type: "stderr", Format: "pretty-colored"}},
		},
	}
}

// BotUser returns the Matrix ID of the bot.
func (c *Config) BotUser() string { return c.local(c.Appservice.Bot.Username) }

// SenderUser returns the Matrix ID of the registration's sender_localpart. The bot is another user, because its device needs
// /sync, and Synapse refuses /sync to the sender.
func (c *Config) SenderUser() string { return c.local(c.senderLocalpart()) }

func (c *Config) senderLocalpart() string { return c.Appservice.Bot.Username + "-sender" }
func (c *Config) puppetLocalpart() string { return c.Appservice.Bot.Username + "-puppet" }
func (c *Config) local(part string) string {
	return "@" + part + ":" + c.Homeserver.Domain
}

// AutoJoins tells whether a user joins at once when invited. Remote users never do, nor does anybody without the second
// registration.
func (c *Config) AutoJoins(user string) bool {
	if !c.Puppet.Enabled || !strings.HasSuffix(user, ":"+c.Homeserver.Domain) {
		return false
	}
	for _, glob := range c.Puppet.AutoJoin {
		if matchGlob(glob, user) {
			return true
		}
	}
	return false
}

func matchGlob(glob, s string) bool {
	pattern := regexp.QuoteMeta(glob)
	pattern = strings.ReplaceAll(pattern, `\*`, `.*`)
	pattern = strings.ReplaceAll(pattern, `\?`, `.`)
	matched, err := regexp.MatchString(`\A(?s:`+pattern+`)\z`, s)
	return err == nil && matched
}

// Network splits a listen setting into the arguments of net.Listen: "tcp" and host:port, or "unix" and a path.
func Network(listen string) (network, address string) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", path
	}
	return "tcp", listen
}

// Decode copies the settings into a zeroconfig.Config, or anything else of the same YAML shape.
func (l Logging) Decode(into any) error {
	data, err := yaml.Marshal(l)
	if err != nil {
		return fmt.Errorf("config: logging: %w", err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		return fmt.Errorf("config: logging: %w", err)
	}
	return nil
}
