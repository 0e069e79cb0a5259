package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"maunium.net/go/mautrix/id"

	"usher/plan"
	"usher/room"
)

// directory is a search in an LDAP directory.
type directory struct {
	URL          string `yaml:"url"`       // ldaps://host, or ldap://host
	StartTLS     bool   `yaml:"start_tls"` // with ldap://, required unless the host is this machine
	CA           string `yaml:"ca"`        // file of certificates to trust; empty: those of the system
	BindDN       string `yaml:"bind_dn"`   // empty: anonymous
	PasswordFile string `yaml:"password_file"`
	PasswordEnv  string `yaml:"password_env"`
	Base         string `yaml:"base"`
	Filter       string `yaml:"filter"`
	User         string `yaml:"user"` // template of the Matrix ID, such as "@{uid}:example.org"; "{matrix}": the attribute has a whole one
}

const (
	ldapTime = 30 * time.Second // of a connection, and of each page of a search
	ldapPage = 500
)

// attribute is an attribute in a template.
var attribute = regexp.MustCompile(`\{([A-Za-z][A-Za-z0-9;.-]*)\}`)

// search returns the people found. It fails unless the whole result is there and each entry names somebody.
func (d *directory) search(ctx context.Context, dir string) ([]plan.Person, error) {
	names := attribute.FindAllStringSubmatch(d.User, -1)
	whole := len(names) == 1 && names[0][0] == d.User
	if len(names) == 0 || (!whole && !room.ValidUserID(attribute.ReplaceAllLiteralString(d.User, "x"))) || strings.ContainsAny(attribute.ReplaceAllLiteralString(d.User, ""), "{}") {
		return nil, plan.NewFault(room.Say("plan.fault.template", "template", d.User))
	}
	conn, err := d.connect(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the library's calls take no context
	defer stop()
	req := ldap.NewSearchRequest(d.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, int(ldapTime/time.Second), false, d.Filter, nil, nil)
	for _, name := range names {
		req.Attributes = append(req.Attributes, name[1])
	}
	found, err := conn.SearchWithPaging(req, ldapPage)
	switch {
	case err != nil:
		return nil, d.fault(err)
	case len(found.Referrals) > 0:
		return nil, plan.NewFault(room.Say("plan.fault.ldap_referral", "url", d.URL))
	case len(found.Entries) == 0:
		return nil, plan.NewFault(room.Say("plan.fault.empty", "source", d.URL+" "+d.Filter))
	case len(found.Entries) > plan.MaxPeople:
		return nil, plan.NewFault(room.Say("plan.fault.people", "most", plan.MaxPeople))
	}
	people := make([]plan.Person, len(found.Entries))
	for i, entry := range found.Entries {
		if people[i].User, err = d.userOf(entry, whole); err != nil {
			return nil, err
		}
	}
	return people, nil
}

// userOf fills the template with the attributes of an entry. A value can't change the shape of the id.
func (d *directory) userOf(entry *ldap.Entry, whole bool) (id.UserID, error) {
	var bad error
	user := attribute.ReplaceAllStringFunc(d.User, func(name string) string {
		values := entry.GetEqualFoldAttributeValues(strings.Trim(name, "{}"))
		if len(values) != 1 || values[0] == "" {
			bad = plan.NewFault(room.Say("plan.fault.ldap_attribute", "entry", entry.DN, "attribute", strings.Trim(name, "{}"), "n", len(values)))
			return ""
		}
		if whole {
			return values[0]
		}
		return localpart(values[0])
	})
	if bad == nil && !room.ValidUserID(user) {
		bad = plan.NewFault(room.Say("plan.fault.user", "user", user, "source", entry.DN))
	}
	return id.UserID(user), bad
}

// localpart writes a name as a part of a localpart, as homeservers map names of other systems: in lower case, and bytes that a localpart can't
// have as = and their number (https://spec.matrix.org/latest/appendices/#mapping-from-other-character-sets).
func localpart(name string) string {
	var out strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._/+", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "=%02x", c)
		}
	}
	return out.String()
}

// connect opens a connection and binds. A password, and the answer, pass over TLS, or stay on this machine.
func (d *directory) connect(ctx context.Context, dir string) (*ldap.Conn, error) {
	address, err := url.Parse(d.URL)
	if err != nil || address.Hostname() == "" || address.Scheme != "ldap" && address.Scheme != "ldaps" {
		return nil, plan.NewFault(room.Say("plan.fault.ldap_url", "url", d.URL))
	}
	secure, err := d.tls(address.Hostname(), dir)
	if err != nil {
		return nil, err
	}
	if address.Scheme == "ldap" && !d.StartTLS && !isLoopback(address.Hostname()) {
		return nil, plan.NewFault(room.Say("plan.fault.ldap_plain", "url", d.URL))
	}
	password, err := d.password(dir)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: ldapTime}
	if deadline, has := ctx.Deadline(); has {
		dialer.Deadline = deadline
	}
	conn, err := ldap.DialURL(d.URL, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(secure))
	if err != nil {
		return nil, d.fault(err)
	}
	conn.SetTimeout(ldapTime)
	begin, cancel := context.WithTimeout(ctx, ldapTime)
	defer cancel()
	stop := context.AfterFunc(begin, func() { _ = conn.Close() }) // the library bounds no handshake of StartTLS
	defer stop()
	if address.Scheme == "ldap" && d.StartTLS {
		err = conn.StartTLS(secure)
	}
	switch {
	case err != nil:
	case d.BindDN == "":
		err = conn.UnauthenticatedBind("")
	case password == "": // which servers take for an anonymous bind
		err = errNoPassword
	default:
		err = conn.Bind(d.BindDN, password)
	}
	if err != nil {
		_ = conn.Close()
		return nil, d.fault(err)
	}
	return conn, nil
}

// fault is the fault of a conversation with the server. The library keeps only the words of an error about a certificate.
func (d *directory) fault(err error) error {
	untrusted := (&tls.CertificateVerificationError{Err: errors.New("")}).Error()
	if _, why, is := strings.Cut(err.Error(), untrusted); is {
		return plan.NewFault(room.Say("plan.fault.ldap_certificate", "url", d.URL, "error", strings.TrimSuffix(why, ")")))
	}
	return plan.NewFault(room.Say("plan.fault.ldap", "url", d.URL, "error", err))
}

var errNoPassword = errors.New("the password is empty")

// tls is how the server proves itself.
func (d *directory) tls(host, dir string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if d.CA == "" {
		return c, nil
	}
	raw, err := load(within(dir, d.CA))
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(raw) {
		return nil, plan.NewFault(room.Say("plan.fault.file", "file", d.CA, "error", errNoCertificate))
	}
	return c, nil
}

var errNoCertificate = errors.New("no certificate in it")

func (d *directory) password(dir string) (string, error) {
	if d.PasswordFile != "" {
		raw, err := load(within(dir, d.PasswordFile))
		return strings.TrimRight(string(raw), "\r\n"), err
	}
	if d.PasswordEnv != "" {
		return os.Getenv(d.PasswordEnv), nil
	}
	return "", nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
