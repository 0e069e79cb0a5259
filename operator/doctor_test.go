package operator

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/config"
	"usher/connect"
	"usher/store"
	"usher/words"
)

// answers are what a stub homeserver answers, by the end of the path: a body, with another status than 200 before it. With "?" at its end,
// a key counts for requests as the bot only. The body "call" has the homeserver call Usher.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if date := a["date"]; date != "" {
		w.Header().Set("Date", date)
	}
	key := r.URL.Path[strings.LastIndex(r.URL.Path, "/"):]
	answer, ok := a[key+"?"]
	if !ok || !r.URL.Query().Has("user_id") {
		answer, ok = a[key]
	}
	if r.Header.Get("Authorization") == "Bearer puppet" && a["puppet "+key] != "" {
		answer, ok = a["puppet "+key], true
	}
	if !ok {
		answer = `404 {"errcode":"M_UNRECOGNIZED"}`
	}
	if token, calls := strings.CutPrefix(answer, "call "); calls {
		answer = a.call(r, token)
	}
	status := http.StatusOK
	if n, body, found := strings.Cut(answer, " "); found && len(n) == 3 {
		status, _ = strconv.Atoi(n)
		answer = body
	}
	w.WriteHeader(status)
	fmt.Fprint(w, answer)
}

// call pings Usher at the address with a token, as Synapse does.
func (a answers) call(r *http.Request, token string) string {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, a["usher"]+"/_matrix/app/v1/ping", strings.NewReader("{}"))
	if err != nil {
		return "500 " + err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return `502 {"errcode":"M_CONNECTION_FAILED","error":"connection refused"}`
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return `502 {"errcode":"M_BAD_STATUS","error":"HTTP 403"}`
	}
	return `{"duration_ms":1}`
}

// unknownToken is how a homeserver refuses a token.
const unknownToken = `401 {"errcode":"M_UNKNOWN_TOKEN"}`

// TestDoctor is the table of misconfigurations as a stub shows them: each has its own cause and cure, and nothing is called well that was not
// checked. TestMisconfigured has the ones for which a real homeserver can be had.
func TestDoctor(t *testing.T) {
	const well = "✓ config       read and without faults\n✓ database     "
	puppet := func(c *config.Config) { c.Puppet = config.Puppet{Enabled: true, ID: "usher-puppet", ASToken: "puppet"} }
	for _, tt := range []struct {
		name    string
		change  answers
		setting func(*config.Config)
		unwell  bool
		says    []string
	}{
		{name: "well", says: []string{well, "✓ homeserver ", "v1.16", "✓ clock ", "✓ as_token ", "✓ device ", "✓ way back ", "– puppet ", "– rate limits "}},
		{name: "nothing behind the proxy", change: answers{"/versions": "502 <html>"}, unwell: true, says: []string{"✗ homeserver ", "status 502", "→ Start the homeserver"}},
		{name: "a fault of the homeserver", change: answers{"/versions": `500 {"errcode":"M_UNKNOWN","error":"oops"}`}, unwell: true, says: []string{"✗ homeserver ", "→ Look into the homeserver's log"}},
		{name: "a web server", change: answers{"/versions": "404 <html>not found</html>"}, unwell: true, says: []string{"✗ homeserver ", "as a web server", "→ Look at homeserver.address"}},
		{name: "a web site for everything", change: answers{"/versions": `{}`}, unwell: true, says: []string{"✗ homeserver ", "not as a homeserver does"}},
		{name: "a path too much", change: answers{"/versions": `404 {"errcode":"M_UNRECOGNIZED"}`}, unwell: true, says: []string{"✗ homeserver ", "below this path", "→ Leave the path out"}},
		{name: "a redirect", change: answers{"/versions": "301 "}, unwell: true, says: []string{"✗ homeserver ", "leads elsewhere", "→ Write the address that it leads to"}},
		{name: "a password", change: answers{"/versions": "401 <html>"}, unwell: true, says: []string{"✗ homeserver ", "lets nobody in", "→ A proxy"}},
		{name: "plain HTTP on a port of TLS", change: answers{"/versions": "400 Client sent an HTTP request to an HTTPS server."}, unwell: true, says: []string{"it speaks https", "→ Write https://"}},
		{name: "clock", change: answers{"date": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, unwell: true, says: []string{"✗ clock ", "differs from this machine's by ", "→ Set both by NTP"}},
		{name: "token", change: answers{"/whoami": unknownToken}, unwell: true, says: []string{"✗ as_token ", "→ Three things can be wrong"}},
		{name: "another domain", change: answers{"/whoami": `{"user_id":"@usher-sender:ux.test"}`}, unwell: true, says: []string{"✗ as_token ", "the homeserver is ux.test, and homeserver.domain is example.org", "→ Set homeserver.domain to ux.test"}},
		{name: "a namespace for another name, Synapse", change: answers{"/register": `400 {"errcode":"M_EXCLUSIVE","error":"Invalid user localpart for this application service."}`}, unwell: true,
			says: []string{"✗ as_token ", "Invalid user localpart", "→ The homeserver has an older copy"}},
		{name: "a namespace for another name, Dendrite", change: answers{"/whoami?": unknownToken}, unwell: true, says: []string{"✗ as_token ", "→ The homeserver has an older copy"}},
		{name: "taken by another appservice, Synapse", change: answers{"/register": `400 {"errcode":"M_EXCLUSIVE","error":"This user ID is reserved by an application service."}`}, unwell: true,
			says: []string{"✗ as_token ", "taken by another registration", "→ Choose another appservice.bot.username"}},
		{name: "taken by another appservice, Dendrite", change: answers{"/register": `400 {"errcode":"M_EXCLUSIVE","error":"Supplied username usher matches multiple exclusive application service namespaces. Only 1 match allowed"}`}, unwell: true,
			says: []string{"✗ as_token ", "taken by another registration"}},
		{name: "taken by a person", change: answers{"/register": `400 {"errcode":"M_USER_IN_USE"}`, "/devices": `{"devices":[{"device_id":"A","display_name":"Element Web"},{"device_id":"B","display_name":"Usher"}]}`},
			says: []string{"! as_token ", "somebody has logged in with it: Element Web\n", "→ If a person owns this account"}},
		{name: "registered before", change: answers{"/register": `400 {"errcode":"M_USER_IN_USE"}`}, says: []string{"✓ as_token "}},
		{name: "the sender is the bot", change: answers{"/whoami": `{"user_id":"@usher:example.org"}`}, says: []string{"! as_token ", "sender_localpart is the bot", "→ Write the registration anew"}},
		{name: "puppet", setting: puppet, says: []string{"✓ puppet ", "invite as themselves"}},
		{name: "puppet not listed", setting: puppet, change: answers{"puppet /whoami": unknownToken}, unwell: true, says: []string{"✗ puppet ", "→ List the second registration"}},
		{name: "puppet with a url", setting: puppet, change: answers{"puppet /ping": `502 {"errcode":"M_BAD_STATUS"}`}, unwell: true, says: []string{"✗ puppet ", "has a url", "→ Set url: null"}},
		{name: "puppet with a url that nobody answers at", setting: puppet, change: answers{"puppet /ping": `502 {"errcode":"FI.MAU.MSC2659_CONNECTION_FAILED"}`}, unwell: true, says: []string{"✗ puppet ", "has a url"}},
		{name: "another hs_token", change: answers{"/ping": "call other"}, unwell: true, says: []string{"✗ way back ", "another hs_token", "→ Give the homeserver the registration"}},
		{name: "another program at the url", change: answers{"/ping": `502 {"errcode":"M_BAD_STATUS","error":"HTTP 404"}`}, unwell: true, says: []string{"✗ way back ", "something else than this Usher", "→ Another program answers"}},
		{name: "another program that likes pings", change: answers{"/ping": `{"duration_ms":1}`}, unwell: true, says: []string{"✗ way back ", "something else than this Usher"}},
		{name: "no url", change: answers{"/ping": `400 {"errcode":"M_URL_NOT_SET"}`}, unwell: true, says: []string{"✗ way back ", "has no url", "→ Give the homeserver the registration"}},
		{name: "another id", change: answers{"/ping": `403 {"errcode":"M_FORBIDDEN"}`}, unwell: true, says: []string{"✗ way back ", "another id"}},
		{name: "no way back", change: answers{"/ping": `502 {"errcode":"M_CONNECTION_FAILED","error":"no route"}`}, unwell: true, says: []string{"✗ way back ", "no route", "→ Did the homeserver get the registration as usher -g wrote it last"}},
		{name: "its port is taken", setting: func(c *config.Config) { c.Appservice.Listen = "192.0.2.1:1" }, unwell: true, says: []string{"✗ way back ", "nothing can listen at 192.0.2.1:1", "→ Another program has this port"}},
		{name: "no ping and no room", change: answers{"/ping": `404 {"errcode":"M_UNRECOGNIZED"}`}, says: []string{"– way back ", "!ping"}},
		{name: "MSC4190", change: answers{"/login": `{"flows":[{"type":"m.login.password"}]}`}, says: []string{"– device ", "MSC4190"}},
		{name: "no database", setting: func(c *config.Config) { c.Database.URI = "/nowhere/at/all/usher.db" }, unwell: true, says: []string{"✗ database ", "/nowhere/at/all/usher.db", "→ Look at database.type"}},
		{name: "another host", setting: func(c *config.Config) { c.Homeserver.Address = "http://nowhere.invalid:8008" }, unwell: true, says: []string{"✗ homeserver ", "there is no host nowhere.invalid", "→ Look for a slip"}},
		{name: "another port", setting: func(c *config.Config) { c.Homeserver.Address = "http://127.0.0.1:1" }, unwell: true, says: []string{"✗ homeserver ", "nothing listens there", "→ Start the homeserver"}},
		{name: "https for http", setting: func(c *config.Config) {
			c.Homeserver.Address = strings.Replace(c.Homeserver.Address, "http:", "https:", 1)
		}, unwell: true, says: []string{"it speaks http, not https", "→ Write http://"}},
		{name: "Usher's own address", setting: func(c *config.Config) { c.Appservice.Address = c.Homeserver.Address }, change: answers{"/versions": `404 {"errcode":"M_UNRECOGNIZED"}`}, unwell: true, says: []string{"this is Usher itself"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := wellAnswers()
			maps.Copy(a, tt.change)
			server := httptest.NewServer(a)
			defer server.Close()
			cfg := wellConfig(t, server.URL, a)
			if tt.setting != nil {
				tt.setting(cfg)
			}
			var out bytes.Buffer
			if err := Doctor(t.Context(), cfg, DoctorOptions{}, &out); errors.Is(err, ErrUnwell) != tt.unwell || err != nil && !tt.unwell {
				t.Errorf("%v\n%s", err, out.String())
			}
			for _, text := range tt.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("no %q in\n%s", text, out.String())
				}
			}
		})
	}
}

// wellAnswers are those of a homeserver with a right set-up.
func wellAnswers() answers {
	return answers{
		"/versions": `{"versions":["r0.6.1","v1.16"]}`, "/whoami": `{"user_id":"@usher-sender:example.org"}`, "/whoami?": `{"user_id":"@usher:example.org"}`,
		"/register": `{"user_id":"@usher:example.org"}`, "/devices": `{"devices":[]}`, "/ping": "call hs", "/login": `{"flows":[{"type":"m.login.application_service"}]}`,
		"puppet /whoami": `{"user_id":"@usher-puppet:example.org"}`, "puppet /ping": `400 {"errcode":"M_URL_NOT_SET"}`,
	}
}

// wellConfig is a config that fits wellAnswers. It tells the stub where Usher listens.
func wellConfig(t *testing.T, homeserver string, a answers) *config.Config {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	cfg := config.Default()
	cfg.Homeserver = config.Homeserver{Address: homeserver, Domain: "example.org"}
	cfg.Appservice.ASToken, cfg.Appservice.HSToken, cfg.Appservice.Listen = "as", "hs", free.Addr().String()
	cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
	a["usher"] = "http://" + cfg.Appservice.Listen
	return cfg
}

// TestDoctorOnTLS names what is wrong with a certificate, and plain HTTP on a port of TLS.
func TestDoctorOnTLS(t *testing.T) {
	server := httptest.NewTLSServer(wellAnswers())
	defer server.Close()
	for address, says := range map[string]string{
		server.URL: "signed by an authority that this machine does not trust",
		strings.Replace(server.URL, "https:", "http:", 1): "it speaks https, not http",
	} {
		var out bytes.Buffer
		if err := Doctor(t.Context(), wellConfig(t, address, answers{}), DoctorOptions{}, &out); !errors.Is(err, ErrUnwell) || !strings.Contains(out.String(), says) {
			t.Errorf("%s: %v\n%s", address, err, out.String())
		}
	}
	s := setup{cfg: config.Default()}
	for _, tt := range []struct {
		err  error
		says string
	}{
		{x509.HostnameError{Certificate: server.Certificate(), Host: "hs.example"}, "its certificate is for another name"},
		{x509.CertificateInvalidError{Cert: server.Certificate(), Reason: x509.Expired}, "its certificate is not valid now"},
		{errors.New("net/http: TLS handshake timeout"), "it probably speaks http, not https"},
		{context.DeadlineExceeded, "no answer in time"},
	} {
		if f := s.unreachable(fmt.Errorf("Get: %w", tt.err)); !strings.Contains(words.For("").Text(f.found), tt.says) {
			t.Errorf("%v: %s", tt.err, words.For("").Text(f.found))
		}
	}
}

// TestDoctorListens: where the homeserver has no ping, the bot makes a room, and doctor waits for its events. It takes no others: the
// homeserver keeps these for Usher.
func TestDoctorListens(t *testing.T) {
	for _, tt := range []struct {
		name, token, says string
		unwell            bool
	}{
		{"well", "hs", "✓ way back     the homeserver sends its events to Usher", false},
		{"another token", "old", "✗ way back     the homeserver reaches Usher, but with another hs_token", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := wellAnswers()
			a["/ping"], a["/createRoom"], a["/leave"] = `404 {"errcode":"M_UNRECOGNIZED"}`, `{"room_id":"!probe"}`, `{}`
			server := httptest.NewServer(a)
			defer server.Close()
			cfg := wellConfig(t, server.URL, a)
			statuses := make(chan string, 2)
			go func() {
				defer close(statuses)
				for _, r := range []string{"!probe", "!other"} {
					statuses <- r + push(t.Context(), a["usher"], tt.token, r)
				}
			}()
			var out bytes.Buffer
			if err := Doctor(t.Context(), cfg, DoctorOptions{}, &out); errors.Is(err, ErrUnwell) != tt.unwell || !strings.Contains(out.String(), tt.says) {
				t.Errorf("%v\n%s", err, out.String())
			}
			if got := <-statuses; !tt.unwell && got != "!probe200" {
				t.Error(got)
			}
		})
	}
	e := &ear{probe: make(chan id.RoomID, 1)}
	e.probe <- "!probe"
	for body, want := range map[string]bool{
		`{"events":[{"room_id":"!probe"},{"room_id":"!probe"}]}`: true, `{"events":[{"room_id":"!probe"},{"room_id":"!other"}]}`: false, `{"events":[{"room_id":1}]}`: false,
	} {
		if got := e.own(t.Context(), "/_matrix/app/v1/transactions/1", []byte(body)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// push sends a transaction as Dendrite does, until somebody listens, and returns the status of the answer.
func push(ctx context.Context, to, token, r string) string {
	for range 100 {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, to+"/_matrix/app/v1/transactions/1", strings.NewReader(`{"events":[{"room_id":"`+r+`"}]}`))
		if err != nil {
			return err.Error()
		}
		request.Header.Set("Authorization", "Bearer "+token)
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			return strconv.Itoa(response.StatusCode)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "nobody"
}

// TestDoctorInJSON prints the steps for programs.
func TestDoctorInJSON(t *testing.T) {
	a := wellAnswers()
	server := httptest.NewServer(a)
	defer server.Close()
	var out bytes.Buffer
	o := DoctorOptions{Registration: filepath.Join(t.TempDir(), "registration.yaml"), JSON: true}
	if err := Doctor(t.Context(), wellConfig(t, server.URL, a), o, &out); err != nil {
		t.Fatal(err, out.String())
	}
	steps := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var step struct{ Step, Verdict, Found string }
		if err := json.Unmarshal([]byte(line), &step); err != nil || step.Found == "" {
			t.Error(line, err)
		}
		steps[step.Step] = step.Verdict
	}
	for step, want := range map[string]string{"config": "ok", "registration": "unchecked", "homeserver": "ok", "puppet": "unchecked", "way back": "ok"} {
		if steps[step] != want {
			t.Errorf("%s: %q, want %q", step, steps[step], want)
		}
	}
}

// TestDoctorComparesTheRegistration with the config.
func TestDoctorComparesTheRegistration(t *testing.T) {
	a := wellAnswers()
	server := httptest.NewServer(a)
	defer server.Close()
	cfg := wellConfig(t, server.URL, a)
	path := filepath.Join(t.TempDir(), "registration.yaml")
	for _, r := range config.Registrations(cfg, path) {
		if err := r.Create(); err != nil {
			t.Fatal(err)
		}
	}
	for address, says := range map[string]string{cfg.Appservice.Address: "✓ registration " + path + " as the config has it", "http://elsewhere": "✗ registration " + path + " differs from the config in url"} {
		cfg.Appservice.Address = address
		var out bytes.Buffer
		if _ = Doctor(t.Context(), cfg, DoctorOptions{Registration: path}, &out); !strings.Contains(out.String(), says) {
			t.Errorf("no %q in\n%s", says, out.String())
		}
	}
}

// TestMeet: a start ends with the same findings, and their remedies, and only warns of a fault that leaves Usher useful.
func TestMeet(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change answers
		kind   error
		says   string
	}{
		{"well", nil, nil, ""},
		{"before its first start", answers{"/register": `{"user_id":"@usher:example.org"}`}, nil, ""},
		{"no homeserver", answers{"/versions": "502 "}, ErrHomeserverUnreachable, "Start the homeserver"},
		{"a web site", answers{"/versions": "{}"}, ErrHomeserverUnreachable, "homeserver.address"},
		{"unknown token", answers{"/whoami": unknownToken}, ErrTokenRefused, "Three things"},
		{"another domain", answers{"/whoami": `{"user_id":"@usher-sender:ux.test"}`}, ErrTokenRefused, "Set homeserver.domain to ux.test"},
		{"taken name", answers{"/register": `400 {"errcode":"M_EXCLUSIVE","error":"This user ID is reserved by an application service."}`}, ErrTokenRefused, "Choose another"},
		{"trouble", answers{"/register": "500 "}, ErrHomeserverUnreachable, "log"},
		{"puppet not listed", answers{"puppet /whoami": unknownToken}, nil, "List the second registration"},
		{"somebody's account", answers{"/devices": `{"devices":[{"device_id":"A"}]}`}, nil, "a person owns this account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := wellAnswers()
			maps.Copy(a, tt.change)
			server := httptest.NewServer(a)
			defer server.Close()
			cfg := wellConfig(t, server.URL, a)
			cfg.Puppet = config.Puppet{Enabled: true, ID: "usher-puppet", ASToken: "puppet"}
			client, err := connect.Homeserver(cfg, "test", nil, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			var log bytes.Buffer
			err = Meet(t.Context(), cfg, client, zerolog.New(&log))
			var unwell *Unwell
			advice := log.String()
			if errors.As(err, &unwell) {
				advice = unwell.Remedy()
			}
			if !errors.Is(err, tt.kind) || !strings.Contains(advice, tt.says) || tt.says == "" && advice != "" {
				t.Errorf("%v; %s", err, advice)
			}
		})
	}
}

// TestDoctorAsksTheRunningUsher: doctor says why the Usher that runs with the config is not ready. Another program on its port is not Usher.
func TestDoctorAsksTheRunningUsher(t *testing.T) {
	for body, want := range map[string]string{
		`{"ready":false,"reasons":["the database can't take transactions"]}`: "✗ usher        the Usher that runs here is not ready: the database can't take transactions",
		`{"ready":true,"reasons":[]}`:                                        "✓ usher ",
		`hello`:                                                              "",
	} {
		usher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		defer usher.Close()
		hs := httptest.NewServer(answers{"/versions": `{}`})
		defer hs.Close()
		cfg := config.Default()
		cfg.Homeserver = config.Homeserver{Address: hs.URL, Domain: "example.org"}
		cfg.Appservice.Listen = usher.Listener.Addr().String()
		cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
		var out bytes.Buffer
		if err := Doctor(t.Context(), cfg, DoctorOptions{}, &out); !errors.Is(err, ErrUnwell) {
			t.Error(err)
		}
		if !strings.Contains(out.String(), want) || want == "" && strings.Contains(out.String(), " usher ") {
			t.Errorf("%s: %s", body, out.String())
		}
	}
}

// TestDoctorFindsDamage: in whichever table or index it is.
func TestDoctorFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	s, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: path})
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	err = errors.Join(s.SQL().QueryRow(`SELECT rootpage FROM sqlite_master WHERE name = 'ledger_inviter'`).Scan(&page), s.SQL().QueryRow(`PRAGMA page_size`).Scan(&size), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = file.WriteAt(bytes.Repeat([]byte{0xAA}, int(size)), (page-1)*size); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	d := &doctor{setup: setup{cfg: config.Default()}}
	d.cfg.Database.URI = config.Secret(path)
	if f := d.database(t.Context()); f.mark != ill || !strings.Contains(words.For("").Text(f.found), "damaged") {
		t.Errorf("%+v", f)
	}
}
