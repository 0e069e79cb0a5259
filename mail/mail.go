// Package mail sends letters by SMTP. It knows nothing of Matrix and of rooms: a Letter has its finished sentences, and Server.Send makes one
// try to hand it to a mail server.
//
// The connection is encrypted and the certificate checked, unless the server is on this machine. Header fields are made by the library or
// checked here, so no text of a letter can add one. A letter has a text part and an HTML part with the same sentences, loads nothing and reports
// nothing when it is opened.
//
// Error tells whether another try makes sense. A try that ends without an answer may have succeeded: the caller tries again with the same
// Letter.ID, by which mail servers recognize the second copy.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Security is how the connection to the server is encrypted.
type Security string

// The kinds of security.
const (
	StartTLS Security = "starttls" // the connection begins in plain and is encrypted before anything is sent
	TLS      Security = "tls"      // encrypted from the first byte
	Plain    Security = "none"     // not encrypted: only to a server on this machine
)

// Server is a mail server that takes letters for everybody.
type Server struct {
	Host           string
	Port           int
	Security       Security
	User, Password string        // empty: the server asks for none
	Timeout        time.Duration // of one try, from the connection to the last answer
	Trust          *tls.Config   // for tests; nil: the certificates of the system
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// errPlain refuses a configuration.
var errPlain = errors.New("mail: an unencrypted connection to another machine")

// Send makes one try to hand a letter to the server. The error is an *Error.
func (s Server) Send(ctx context.Context, l Letter) error {
	m, err := l.message()
	if err != nil {
		return &Error{Permanent: true, Err: err}
	}
	return s.converse(ctx, func(c *gomail.Client, conversation *smtp.Client) error {
		err := c.SendWithSMTPClient(conversation, m)
		if m.IsDelivered() {
			return nil // what comes after the server took the letter changes nothing
		}
		return err
	})
}

// Check connects, encrypts and logs in, and sends nothing. The error is an *Error.
func (s Server) Check(ctx context.Context) error {
	return s.converse(ctx, func(_ *gomail.Client, conversation *smtp.Client) error { return conversation.Noop() })
}

// converse opens a conversation with the server, and closes it whatever comes.
func (s Server) converse(ctx context.Context, talk func(*gomail.Client, *smtp.Client) error) error {
	if s.Security == Plain && !Loopback(s.Host) {
		return &Error{Err: errPlain}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	var line net.Conn
	client, err := s.client(&line)
	if err != nil {
		return &Error{Err: err}
	}
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { _ = line.Close() }) })()
		if err = talk(client, conversation); err == nil {
			_ = conversation.Quit() // courtesy: the letter is there
		}
	}
	if line != nil { // the library leaves it open after some errors
		_ = line.Close()
	}
	return asError(err)
}

// grace is how long a letter under way may take once its caller is to stop.
const grace = 3 * time.Second

// client makes the client of one conversation. It notes the connection in line.
func (s Server) client(line *net.Conn) (*gomail.Client, error) {
	settings := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.Trust != nil {
		settings.RootCAs = s.Trust.RootCAs
	}
	policy := gomail.TLSMandatory
	if s.Security != StartTLS {
		policy = gomail.NoTLS // for TLS the connection is encrypted before the library sees it
	}
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTLSConfig(settings), gomail.WithTLSPolicy(policy), gomail.WithTimeout(s.Timeout), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			opened, err := s.dial(ctx, network, address, settings)
			*line = opened
			return opened, err
		}),
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{user: s.User, password: s.Password, host: s.Host}))
	}
	return gomail.NewClient(s.Host, options...)
}

// dial connects. The connection ends with ctx: the library itself would wait for ever for a server that says nothing.
func (s Server) dial(ctx context.Context, network, address string, settings *tls.Config) (net.Conn, error) {
	var opened net.Conn
	var err error
	if s.Security == TLS {
		opened, err = (&tls.Dialer{Config: settings}).DialContext(ctx, network, address)
	} else {
		opened, err = (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		err = opened.SetDeadline(end)
	}
	return opened, err
}

// login logs in by the best method that the server offers.
type login struct {
	user, password, host string
	method               smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	switch {
	case slices.Contains(server.Auth, "PLAIN"):
		l.method = smtp.PlainAuth("", l.user, l.password, l.host, false)
	case slices.Contains(server.Auth, "LOGIN"):
		l.method = smtp.LoginAuth(l.user, l.password, l.host, false)
	default:
		return "", nil, errors.New("mail: the server offers neither PLAIN nor LOGIN")
	}
	return l.method.Start(server)
}

// Next implements smtp.Auth.
func (l *login) Next(from []byte, more bool) ([]byte, error) { return l.method.Next(from, more) }

// Address is the server's name and port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Error is a try that failed.
type Error struct {
	Permanent bool   // the server will never take this letter
	Letter    bool   // the answer is about this letter, and others may pass
	Uncertain bool   // the answer did not come, and the server may have the letter
	Code      int    // of the answer; 0: there was none
	Answer    string // of the server, one line; may hold addresses
	Err       error
}

// Error implements error. It may hold addresses.
func (e *Error) Error() string { return fmt.Sprintf("mail: %v", e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Final reports whether the server will never take the letter.
func (e *Error) Final() bool { return e.Permanent }

// OfLetter reports whether the answer is about this letter alone.
func (e *Error) OfLetter() bool { return e.Letter }

// Unsure reports whether the server may have the letter.
func (e *Error) Unsure() bool { return e.Uncertain }

// Words returns the server's answer; empty without one.
func (e *Error) Words() string { return e.Answer }
