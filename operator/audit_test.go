package operator

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"usher/config"
	"usher/connect"
	"usher/invites"
	"usher/store"
)

// TestManualHasTheFields: docs/ledger.md explains each field of a row.
func TestManualHasTheFields(t *testing.T) {
	manual, err := os.ReadFile("../docs/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| [^|]* \|`).FindAllString(string(manual), -1) // their first cells
	for _, field := range auditFields {
		if !strings.Contains(strings.Join(rows, "\n"), "`"+field+"`") {
			t.Errorf("%s is not explained", field)
		}
	}
}

// TestAudit reads beside a store that is open for writing.
func TestAudit(t *testing.T) {
	uri := filepath.Join(t.TempDir(), "usher.db")
	cfg := &config.Config{}
	cfg.Database.Type = config.TypeSQLite
	cfg.Database.URI = config.Secret(uri)
	if err := Audit(t.Context(), cfg, AuditOptions{Format: "csv"}, &bytes.Buffer{}); !errors.Is(err, connect.ErrDatabase) {
		t.Errorf("no database: %v", err)
	}
	s, err := store.Open(t.Context(), store.Config{Type: config.TypeSQLite, URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	row := invites.Audit{At: at, Kind: "decision", Action: "invite", Room: "!r:x", Actor: "@a:x", Performer: "@a:x", Target: "@b:\"x", Verdict: "deny", Code: "invite.power", Request: "$1"}
	other, late := row, row
	other.Room, other.Request = "!other:x", "$2"
	late.At, late.Request, late.Kind, late.Code = at.Add(time.Hour), "$3", "effect", ""
	if _, err := s.Record(t.Context(), nil, []invites.Audit{row, other, late}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		o    AuditOptions
		want string
	}{
		{AuditOptions{Room: "!r:x", Since: "2026-01-02T03:30:00Z", Format: "jsonl"},
			`{"at":"2026-01-02T04:04:05.000Z","kind":"effect","action":"invite","room_id":"!r:x","actor":"@a:x","performer":"@a:x","target":"@b:\"x","verdict":"deny","command":"$3"}` + "\n"},
		{AuditOptions{Room: "!r:x", Format: "csv"}, "at,kind,action,room_id,actor,performer,target,verdict,code,policy,command\n" +
			"2026-01-02T03:04:05.000Z,decision,invite,!r:x,'@a:x,'@a:x,\"'@b:\"\"x\",deny,invite.power,,$1\n" +
			"2026-01-02T04:04:05.000Z,effect,invite,!r:x,'@a:x,'@a:x,\"'@b:\"\"x\",deny,,,$3\n"},
		{AuditOptions{User: "@nobody:x", Format: "jsonl"}, ""},
	} {
		var out bytes.Buffer
		if err := Audit(t.Context(), cfg, tt.o, &out); err != nil || out.String() != tt.want {
			t.Errorf("%+v: %v\n%s", tt.o, err, out.String())
		}
	}
	var all bytes.Buffer
	if err := Audit(t.Context(), cfg, AuditOptions{Format: "jsonl"}, &all); err != nil || strings.Count(all.String(), "\n") != 3 {
		t.Error(err, all.String())
	}
	all.Reset()
	if err := Audit(t.Context(), cfg, AuditOptions{Verify: true}, &all); err != nil || !strings.HasPrefix(all.String(), "The audit is whole: 3 rows from 2026-01-02T03:04:05.000Z to 2026-01-02T04:04:05.000Z, head ") {
		t.Error(err, all.String())
	}
	head := strings.Fields(all.String())
	if err := Audit(t.Context(), cfg, AuditOptions{Verify: true, Head: head[len(head)-1]}, &all); err != nil {
		t.Error(err)
	}
	if err := Audit(t.Context(), cfg, AuditOptions{Verify: true, Head: "00"}, &all); !errors.Is(err, ErrAuditBroken) {
		t.Error(err)
	}
	if _, err := s.SQL().ExecContext(t.Context(), `UPDATE audit SET verdict = 'allow' WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	if err := Audit(t.Context(), cfg, AuditOptions{Verify: true}, &all); !errors.Is(err, ErrAuditBroken) || !strings.Contains(err.Error(), "row 2 ") {
		t.Error(err)
	}
	for _, o := range []AuditOptions{{Format: "jsonl", Head: "00"}, {Verify: true, Room: "!r:x"}, {Format: "xml"}, {Format: "csv", Since: "never"}, {Format: "csv", Room: "#club:x"}, {Format: "csv", User: "bob"}} {
		if err := Audit(t.Context(), cfg, o, &bytes.Buffer{}); !errors.Is(err, ErrAuditOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestCells: no cell of a CSV file is a formula.
func TestCells(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		if got := cell(text); got != "'"+text {
			t.Errorf("%q", got)
		}
	}
	if got := cell("!r:x"); got != "!r:x" {
		t.Errorf("%q", got)
	}
}

// TestQuarantine lists what could not be decoded, whatever it is.
func TestQuarantine(t *testing.T) {
	cfg := &config.Config{}
	cfg.Database.Type = config.TypeSQLite
	cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
	s, err := store.Open(t.Context(), store.Config{Type: cfg.Database.Type, URI: cfg.Database.URI.Reveal()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err = s.Quarantine(t.Context(), []invites.Undecodable{
		{Transaction: "1", Raw: []byte("null"), Fault: "no object", ReceivedAt: at},
		{Transaction: "2", Raw: []byte("{\"a\":\"<\n\xff\x1b\"}"), Fault: "no text", ReceivedAt: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"at":"2026-01-02T03:04:05.000Z","transaction_id":"2","fault":"no text","event":"{\"a\":\"<\n\ufffd\u001b\"}"}` + "\n" +
		`{"at":"2026-01-02T03:04:05.000Z","transaction_id":"1","fault":"no object","event":"null"}` + "\n"
	var out bytes.Buffer
	if err := Quarantine(t.Context(), cfg, &out); err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestTerminalIsNotObeyed: a name that somebody chose can't write escapes to the terminal of usher audit and usher quarantine.
func TestTerminalIsNotObeyed(t *testing.T) {
	uri := filepath.Join(t.TempDir(), "usher.db")
	cfg := &config.Config{Database: config.Database{Type: config.TypeSQLite, URI: config.Secret(uri)}}
	s, err := store.Open(t.Context(), store.Config{Type: config.TypeSQLite, URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const hostile = "\x1b]0;owned\x07\u009b31m\x7f\u202e"
	if _, err := s.Record(t.Context(), nil, []invites.Audit{{At: time.Now(), Kind: "decision", Action: "kick", Room: "!r:x", Target: "@" + hostile + ":x", Verdict: "allow"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Quarantine(t.Context(), []invites.Undecodable{{Transaction: "t" + hostile, Raw: []byte(hostile + "\x9b"), Fault: "f", ReceivedAt: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	var csv, jsonl, bad bytes.Buffer
	if err := errors.Join(Audit(t.Context(), cfg, AuditOptions{Format: "csv"}, &csv), Audit(t.Context(), cfg, AuditOptions{Format: "jsonl"}, &jsonl),
		Quarantine(t.Context(), cfg, &bad)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{csv.String(), jsonl.String(), bad.String()} {
		if strings.ContainsAny(out, hostile[:1]+"\x07\u009b\x7f\u202e") || !strings.Contains(out, `\u001b]0;owned`) {
			t.Errorf("%q", out)
		}
	}
}
