package config

import (
	"strings"
	"time"

	"usher/mail"
)

// Mail is the mail server for invitations by e-mail.
type Mail struct {
	Server      string        `yaml:"server"` // empty: no letters are sent
	Port        int           `yaml:"port"`   // 0: the usual one of TLS
	TLS         string        `yaml:"tls"`    // a mail.Security
	User        string        `yaml:"user"`   // empty: the server asks for no login
	Password    Secret        `yaml:"password"`
	From        string        `yaml:"from"`     // address, or name and address
	ReplyTo     string        `yaml:"reply_to"` // address; empty: From
	Key         Secret        `yaml:"key"`      // of the hashes of addresses
	Timeout     time.Duration `yaml:"timeout"`  // of one try
	Retry       time.Duration `yaml:"retry"`    // pause after the first failed try; further pauses grow
	GiveUpAfter time.Duration `yaml:"give_up_after"`
	Limits      MailLimits    `yaml:"limits"`
}

// MailLimits bound letters within 24 hours; 0: no limit.
type MailLimits struct {
	PerPerson int           `yaml:"per_person"` // asked for by one user
	PerDomain int           `yaml:"per_domain"` // to addresses of one domain
	InAll     int           `yaml:"in_all"`
	Again     time.Duration `yaml:"again"` // how long an address gets no second letter of a room
}

func defaultMail() Mail {
	return Mail{
		TLS: string(mail.StartTLS), Timeout: 30 * time.Second, Retry: time.Minute, GiveUpAfter: 48 * time.Hour,
		Limits: MailLimits{PerPerson: 20, PerDomain: 200, InAll: 1000, Again: 24 * time.Hour},
	}
}

// usualPorts are the ports of mail servers by their security.
var usualPorts = map[mail.Security]int{mail.StartTLS: 587, mail.TLS: 465, mail.Plain: 25}

// MailServer is the mail server as package mail takes it.
func (m *Mail) MailServer() mail.Server {
	s := mail.Server{Host: m.Server, Port: m.Port, Security: mail.Security(m.TLS), User: m.User, Password: m.Password.Reveal(), Timeout: m.Timeout}
	if s.Port == 0 {
		s.Port = usualPorts[s.Security]
	}
	return s
}

func (k checker) checkMail(c *Config) {
	m := &c.Mail
	if m.Server == "" {
		return
	}
	if c.Web.PublicURL == "" {
		k.fault("mail.server", wrong{"has no use without web.public_url: a letter holds a link to a page", "set web.public_url, or leave mail.server empty"})
	}
	if strings.ContainsAny(m.Server, ":/ @") {
		k.fault("mail.server", wrong{quote(m.Server) + " is no name of a server", "write the name alone, such as mail.example.org, and the port in mail.port"})
	}
	k.checkRange("mail.port", m.Port, 0, 65535)
	k.checkWord("mail.tls", m.TLS, string(mail.StartTLS), string(mail.TLS), string(mail.Plain))
	if m.TLS == string(mail.Plain) && !mail.Loopback(m.Server) {
		k.fault("mail.tls", wrong{"is none, and the server is another machine: everybody between could read the letters", "write starttls or tls"})
	}
	if path, w := loginFault(m); path != "" {
		k.fault(path, w)
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		k.fault("mail.from", wrong{quote(m.From) + " is no address", "write one such as usher@example.org, or Usher <usher@example.org>"})
	}
	if m.ReplyTo != "" && !mail.ValidAddress(m.ReplyTo) {
		k.fault("mail.reply_to", wrong{quote(m.ReplyTo) + " is no address", "write one such as help@example.org, or leave it empty"})
	}
	k.checkToken("mail.key", m.Key)
	k.checkLength("mail.timeout", m.Timeout, time.Second, 2*time.Minute)
	k.checkLength("mail.retry", m.Retry, time.Second, time.Hour)
	k.checkLength("mail.give_up_after", m.GiveUpAfter, time.Minute, 7*24*time.Hour)
	k.checkRange("mail.limits.per_person", m.Limits.PerPerson, 0, 1_000_000)
	k.checkRange("mail.limits.per_domain", m.Limits.PerDomain, 0, 1_000_000)
	k.checkRange("mail.limits.in_all", m.Limits.InAll, 0, 1_000_000)
	k.checkLength("mail.limits.again", m.Limits.Again, time.Second, 365*24*time.Hour)
	if m.Limits.Again < time.Hour {
		k.warn("mail.limits.again", "is short: the same address may get many letters")
	}
}

// loginFault finds what is wrong with user and password; an empty path: nothing.
func loginFault(m *Mail) (path string, w wrong) {
	switch {
	case m.User != "" && m.Password == "":
		return "mail.password", wrong{"is missing", "write the password of mail.user, or name a file with it in $USHER_MAIL__PASSWORD_FILE"}
	case m.User == "" && m.Password != "":
		return "mail.user", wrong{"is missing", "write the user of mail.password"}
	case strings.ContainsAny(m.User+m.Password.Reveal(), "\r\n\x00"):
		return "mail.password", wrong{"or mail.user has a line break", "write both on one line"}
	}
	return "", wrong{}
}
