package source

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/plan"
)

// write makes a folder with files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "plan.yaml")
}

const head = "version: 1\nname: staff\n"

// TestRead: people of several sources are united, one exclusive source is enough, and a person's own power comes before the source's.
func TestRead(t *testing.T) {
	file := write(t, map[string]string{
		"plan.yaml": head + `grace: 2d
rooms:
- room: "#dev:x"
  keep: ["@bridge_*:x"]
  from:
  - members: ["@b:x", {user: "@a:x", power: -1}]
    power: 10
  - csv: people.csv
    exclusive: true
- room: "!other:x"
  from:
  - members: ["@a:x"]
`,
		"people.csv": "\uFEFFname, power ,user\nAnn,,@a:x\n\"Cy, jr\",50,@c:x\n",
	})
	w, err := Read(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range w.Rooms[0].People {
		power := "-"
		if p.Power != nil {
			power = time.Duration(*p.Power).String()
		}
		got = append(got, string(p.User)+" "+power)
	}
	if s := strings.Join(got, ", "); s != "@a:x -1ns, @b:x 10ns, @c:x 50ns" {
		t.Error(s)
	}
	if w.Grace != 48*time.Hour || !w.Rooms[0].Exclusive || w.Rooms[1].Exclusive || len(w.Rooms[0].Keep) != 1 {
		t.Errorf("%+v", w)
	}
}

// TestFaults: a doubt about a source is a fault with a code.
func TestFaults(t *testing.T) {
	in := func(from string) string { return head + "rooms: [{room: \"!r:x\", from: [" + from + "]}]\n" }
	for text, code := range map[string]string{
		"name: staff":      "plan.version",
		head + "rooms: []": "plan.rooms",
		head + "romos: []": "plan.yaml",
		"version: 1\nname: Staff\nrooms: [{room: \"!r:x\", from: [{members: [\"@a:x\"]}]}]": "plan.name",
		in(`{members: []}`): "plan.empty",
		in(``):              "plan.empty",
		in(`{members: ["@a:x"]}, {members: [], exclusive: true}`):  "plan.empty",
		in(`{members: ["ann"]}`):                                   "plan.user",
		in(`{members: [{user: "@a:x", pwoer: 5}]}`):                "plan.yaml",
		in(`{members: [{user: "@a:x", power: 1.5}]}`):              "plan.yaml",
		in(`{members: [{user: "@a:x", power: 9007199254740993}]}`): "plan.power",
		in(`{members: ["@a:x"], csv: empty.csv}`):                  "plan.one_source",
		in(`{csv: none.csv}`):                                      "plan.file",
		in(`{csv: empty.csv}`):                                     "plan.empty",
		in(`{csv: headless.csv}`):                                  "plan.csv_head",
		in(`{csv: short.csv}`):                                     "plan.file",
		in(`{csv: bad.csv}`):                                       "plan.user",
		in(`{members: [{user: "@a:x", power: 1}]}, {members: [{user: "@a:x", power: 2}]}`):                                 "plan.conflict",
		in(`{ldap: {url: "ldap://ldap.example.org", base: x, filter: (a=b), user: "@{uid}:x"}}`):                           "plan.ldap_plain",
		in(`{ldap: {url: "http://localhost", base: x, filter: (a=b), user: "@{uid}:x"}}`):                                  "plan.ldap_url",
		in(`{ldap: {url: "ldap://127.0.0.1:1", base: x, filter: (a=b), user: "@{uid}:x"}}`):                                "plan.ldap",
		in(`{ldap: {url: "ldap://127.0.0.1:1", base: x, filter: (a=b), user: "@uid:x"}}`):                                  "plan.template",
		in(`{ldap: {url: "ldap://127.0.0.1:1", base: x, filter: (a=b), user: "{uid}:x"}}`):                                 "plan.template",
		head + "rooms: [{room: \"!r:x\", from: [{members: [\"@a:x\"]}]}, {room: \"!r:x\", from: [{members: [\"@a:x\"]}]}]": "plan.twice",
	} {
		file := write(t, map[string]string{"plan.yaml": text, "empty.csv": "user\n", "headless.csv": "@a:x\n", "short.csv": "user,power\n@a:x\n", "bad.csv": "user\nann\n"})
		_, err := Read(t.Context(), file)
		var f *plan.Fault
		if !errors.As(err, &f) || f.Code != code {
			t.Errorf("%s\n  %v, expected %s", text, err, code)
		}
	}
}

// TestLocalpart: no value of a directory changes the shape of a Matrix ID.
func TestLocalpart(t *testing.T) {
	for name, want := range map[string]string{"ann": "ann", "Ann.B-c_d/e+f": "ann.b-c_d/e+f", "a:evil.org": "a=3aevil.org", "a=b": "a=3db", "é": "=c3=a9", "@x": "=40x", "a b": "a=20b"} {
		if got := localpart(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestSilentHandshake: a directory that agrees to TLS and then says nothing holds nobody up.
func TestSilentHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 1000))
		_, _ = conn.Write([]byte{0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 0, 4, 0, 4, 0}) // message 1, an extended response: success
		_, _ = conn.Read(make([]byte, 1000))                                        // the client's part of the handshake
		cancel()
		_, _ = conn.Read(make([]byte, 1000))
	}()
	file := write(t, map[string]string{"plan.yaml": head + `rooms: [{room: "!r:x", from: [{ldap: {url: "ldap://` + l.Addr().String() + `", start_tls: true, base: x, filter: (a=b), user: "@{uid}:x"}}]}]`})
	var f *plan.Fault
	if _, err := Read(ctx, file); !errors.As(err, &f) || f.Code != "plan.ldap" {
		t.Errorf("%v", err)
	}
}
