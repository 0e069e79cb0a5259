package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a mail server that gives set answers, by the first word of a line; "." is the end of a letter, "hello" the greeting.
type script struct {
	t       *testing.T
	address *net.TCPAddr
	answers map[string]string
	secure  *tls.Config // nil: no STARTTLS
	auth    string

	mu    sync.Mutex
	heard []string
	body  string
}

// serve starts a server.
func serve(t *testing.T, s *script) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.t, s.address = t, listener.Addr().(*net.TCPAddr)
	go func() {
		for {
			line, err := listener.Accept()
			if err != nil {
				return
			}
			go s.converse(line)
		}
	}()
	return s
}

func (s *script) answer(verb string) (answer string, set bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, set = s.answers[verb]
	return answer, set
}

func (s *script) converse(line net.Conn) {
	defer func() { _ = line.Close() }()
	if greeting, _ := s.answer("hello"); greeting == "silence" {
		_, _ = io.Copy(io.Discard, line)
		return
	}
	say := func(text string) { _, _ = io.WriteString(line, text+"\r\n") }
	in := bufio.NewReader(line)
	say("220 mail.test")
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		text = strings.TrimRight(text, "\r\n")
		verb, _, _ := strings.Cut(text, " ")
		s.mu.Lock()
		s.heard = append(s.heard, text)
		s.mu.Unlock()
		answer, set := s.answer(verb)
		switch {
		case answer == "hang up":
			return
		case set:
			say(answer)
		case verb == "EHLO":
			say("250-mail.test")
			if s.secure != nil {
				say("250-STARTTLS")
			}
			if s.auth != "" {
				say("250-AUTH " + s.auth)
			}
			say("250 ENHANCEDSTATUSCODES")
		case verb == "STARTTLS":
			say("220 go on")
			line = tls.Server(line, s.secure)
			in = bufio.NewReader(line)
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			say("354 go on")
			var body strings.Builder
			for text != ".\r\n" {
				if text, err = in.ReadString('\n'); err != nil {
					return
				}
				body.WriteString(text)
			}
			s.mu.Lock()
			s.body = body.String()
			s.mu.Unlock()
			switch end, _ := s.answer("."); end {
			case "":
				say("250 taken")
			case "hang up":
				return
			default:
				say(end)
			}
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

// server is the script as a Server.
func (s *script) server() Server {
	return Server{Host: s.address.IP.String(), Port: s.address.Port, Security: Plain, Timeout: 3 * time.Second}
}

func letter() Letter {
	return Letter{
		ID: "abc-1", From: netmail.Address{Name: "Usher", Address: "usher@example.org"}, ReplyTo: "help@example.org", To: "ann@example.org", Language: "en",
		Subject: "Grüße", Paragraphs: []string{"Alice <b> invites you."}, Action: "Open", Link: "https://usher.example/i/secret", Footer: []string{"Because."},
		Stop: "No more", Unsubscribe: "https://usher.example/u/token",
	}
}

// sent parses the letter that the server has.
func (s *script) sent(t *testing.T) (m *netmail.Message, parts map[string]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := netmail.ReadMessage(strings.NewReader(strings.TrimSuffix(s.body, ".\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	parts = map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, parts
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		parts[kind] = string(text)
	}
}

func TestSend(t *testing.T) {
	s := serve(t, &script{})
	if err := s.server().Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	m, parts := s.sent(t)
	for name, want := range map[string]string{
		"From": `"Usher" <usher@example.org>`, "Reply-To": "<help@example.org>", "To": "<ann@example.org>", "Message-Id": "<abc-1@example.org>", "Auto-Submitted": "auto-generated",
		"List-Unsubscribe": "<https://usher.example/u/token>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Content-Language": "en", "User-Agent": "", "X-Mailer": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || subject != "Grüße" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if text := parts["text/plain"]; !strings.Contains(text, "Alice <b> invites you.\r\n") || !strings.Contains(text, "Open:\r\nhttps://usher.example/i/secret\r\n") || !strings.Contains(text, "No more: https://usher.example/u/token") {
		t.Errorf("text:\n%s", text)
	}
	page := parts["text/html"]
	if !strings.Contains(page, "Alice &lt;b&gt; invites you.") || !strings.Contains(page, `href="https://usher.example/i/secret"`) || !strings.Contains(page, `href="https://usher.example/u/token"`) {
		t.Errorf("page:\n%s", page)
	}
	for _, loads := range []string{"<img", "<link", "<script", "src=", "url("} {
		if strings.Contains(page, loads) {
			t.Errorf("the page has %s", loads)
		}
	}
}

// TestNoInjection: no text of a letter makes a header field, a recipient or a line of SMTP of its own.
func TestNoInjection(t *testing.T) {
	const evil = "x\r\nBcc: eve@example.org\r\n\r\n.\r\nMAIL FROM:<eve@example.org>\r\n"
	for name, change := range map[string]func(*Letter){
		"subject": func(l *Letter) { l.Subject = evil }, "name": func(l *Letter) { l.From.Name = evil }, "language": func(l *Letter) { l.Language = evil },
		"text": func(l *Letter) { l.Paragraphs = []string{evil} }, "action": func(l *Letter) { l.Action = evil }, "stop": func(l *Letter) { l.Stop = evil },
	} {
		s, l := serve(t, &script{}), letter()
		change(&l)
		if err := s.server().Send(t.Context(), l); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, _ := s.sent(t)
		if m.Header.Get("Bcc") != "" || len(m.Header["From"]) != 1 {
			t.Errorf("%s: %v", name, m.Header)
		}
		for _, heard := range s.heard {
			if strings.HasPrefix(heard, "MAIL") && !strings.Contains(heard, "usher@") || strings.HasPrefix(heard, "RCPT") && !strings.Contains(heard, "ann@") {
				t.Errorf("%s: the server hears %q", name, heard)
			}
		}
	}
	for name, change := range map[string]func(*Letter){
		"to": func(l *Letter) { l.To = "ann@example.org>\r\nRCPT TO:<eve@example.org" }, "reply": func(l *Letter) { l.ReplyTo = "a@x.org\r\nBcc: eve@example.org" },
		"id": func(l *Letter) { l.ID = "a>\r\nBcc: e" }, "link": func(l *Letter) { l.Link = "https://x\r\n" }, "unsubscribe": func(l *Letter) { l.Unsubscribe = "https://x>, <https://y" },
		"sender": func(l *Letter) { l.From.Address = "a@b\r\n.org" },
	} {
		s, l := serve(t, &script{}), letter()
		change(&l)
		if err := s.server().Send(t.Context(), l); err == nil || len(s.heard) > 0 {
			t.Errorf("%s: %v, the server heard %q", name, err, s.heard)
		}
	}
}

func TestValidAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	for address, want := range map[string]bool{
		"ann@example.org": true, "ann+club.x@mail.example.co.uk": true, "o'neil@example.org": true, long + "@example.org": true, "": false, "ann": false, "ann@example": false,
		long + "a@example.org": false, ".ann@example.org": false, "ann.@example.org": false, "a..b@example.org": false, `"ann"@example.org`: false, "ann@[127.0.0.1]": false,
		"ann@127.0.0.1": false, "ann@-x.org": false, "ann@x..org": false, "änn@example.org": false, "ann@exämple.org": false, "a b@example.org": false, "a@b@example.org": false,
		"ann@example.org\n": false, "ann@example.org,eve@example.org": false, "ann@" + strings.Repeat("a.", 130) + "org": false, "<ann@example.org>": false,
	} {
		if got := ValidAddress(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
}

// TestAnswers: what each answer of a mail server means.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string]string
		want    Error
	}{
		{"unknown recipient", map[string]string{"RCPT": "550 5.1.1 <ann@example.org>: no such user"}, Error{Permanent: true, Letter: true, Code: 550, Answer: "550 5.1.1 <ann@example.org>: no such user"}},
		{"greylisted", map[string]string{"RCPT": "450 4.7.1 come back later"}, Error{Letter: true, Code: 450, Answer: "450 4.7.1 come back later"}},
		{"refused content", map[string]string{".": "554 5.7.1 spam"}, Error{Permanent: true, Letter: true, Code: 554, Answer: "554 5.7.1 spam"}},
		{"content later", map[string]string{".": "451 4.3.0 busy"}, Error{Letter: true, Code: 451, Answer: "451 4.3.0 busy"}},
		{"refused sender", map[string]string{"MAIL": "553 5.7.1 not yours"}, Error{Code: 553, Answer: "553 5.7.1 not yours"}},
		{"closing", map[string]string{"RCPT": "421 4.3.2 shutting down"}, Error{Code: 421, Answer: "421 4.3.2 shutting down"}},
		{"no greeting", map[string]string{"hello": "silence"}, Error{}},
		{"gone at the recipient", map[string]string{"RCPT": "hang up"}, Error{}},
		{"gone at the end", map[string]string{".": "hang up"}, Error{Uncertain: true}},
		{"gone after the end", map[string]string{"RSET": "hang up", "QUIT": "hang up"}, Error{Err: errors.New("sent")}},
	} {
		s := serve(t, &script{answers: tt.answers})
		server := s.server()
		server.Timeout = time.Second
		err := server.Send(t.Context(), letter())
		if tt.want.Err != nil {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		got := new(Error)
		if !errors.As(err, &got) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		tt.want.Err = got.Err
		if *got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, *got, tt.want)
		}
	}
	gone := serve(t, &script{}).server()
	gone.Port = 1
	if err := gone.Send(t.Context(), letter()); !errors.As(err, new(*Error)) {
		t.Errorf("nobody there: %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(t, &script{}).server().Send(stopped, letter()); err == nil {
		t.Error("sent after the end")
	}
}

// certificate is one for 127.0.0.1 that nobody signed, and a pool that trusts it.
func certificate(t *testing.T) (server, trust *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

// TestSecurity: nothing is said to a server of another machine before the connection is encrypted and its certificate checked.
func TestSecurity(t *testing.T) {
	secure, trust := certificate(t)
	quiet := func(name string, s *script, server Server) {
		t.Helper()
		if err := server.Send(t.Context(), letter()); err == nil {
			t.Errorf("%s: sent", name)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, heard := range s.heard {
			if strings.HasPrefix(heard, "\x16") {
				break // TLS begins at once
			}
			if verb, _, _ := strings.Cut(heard, " "); verb != "EHLO" && verb != "HELO" && verb != "STARTTLS" {
				t.Errorf("%s: the server hears %q", name, heard)
			}
		}
	}
	s := serve(t, &script{auth: "PLAIN"})
	server := s.server()
	server.Security, server.User, server.Password = StartTLS, "usher", "secret"
	quiet("no STARTTLS", s, server)
	s = serve(t, &script{secure: secure, auth: "PLAIN"})
	server.Port = s.address.Port
	quiet("a certificate of nobody", s, server)
	server.Security = TLS
	quiet("no TLS at all", s, server)
	server.Host, server.Security = "192.0.2.1", Plain
	quiet("plain, to another machine", s, server)

	server.Host, server.Security, server.Trust = "127.0.0.1", StartTLS, trust
	if err := server.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if heard := strings.Join(s.heard, "\n"); !strings.Contains(heard, "AUTH PLAIN") || strings.Contains(heard, "MAIL") {
		t.Errorf("a check says %q", heard)
	}
	if err := server.Send(t.Context(), letter()); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	s.answers = map[string]string{"AUTH": "535 5.7.8 who are you"}
	s.mu.Unlock()
	refused := new(Error)
	if err := server.Send(t.Context(), letter()); !errors.As(err, &refused) || refused.Permanent || refused.Letter {
		t.Errorf("a refused login: %+v", refused)
	}
}
