package commands

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"usher/invites"
	"usher/room"
)

// TestRoster: people are found in tables and in lines as people and programs write them, and lines without anybody are named.
func TestRoster(t *testing.T) {
	wide := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune("name\tid\r\nAnn\t@ann:here\r\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"lines":            {"@a:here\n\n@b:here\r\n# a remark\n@a:here\n", "@a:here @b:here; 1 twice"},
		"a title":          {"matrix_id\n@a:here\n", "@a:here"},
		"junk":             {"@a:here\nbob\n@:here\n", "@a:here; 2 lost: 2 “bob” 3 “@:here”"},
		"several a line":   {"@a:here, @b:here; @c:here and @d:here\n", "@a:here @b:here @c:here @d:here"},
		"one line of many": {"@a:here,@b:here,@c:here", "@a:here @b:here @c:here"},
		"links":            {"https://matrix.to/#/@a:here\nmatrix:u/b:here\n<@c:here>\n", "@a:here @b:here @c:here"},
		"a table":          {"name,mxid,room\nAnn,@a:here,#x:here\nBob,@b:here,#x:here\n", "@a:here @b:here"},
		"semicolons":       {"\uFEFFName;Matrix-ID\n\"Meier; Ann\";\"@a:here\"\n\"Bob\";@b:here\n", "@a:here @b:here"},
		"a quoted line":    {"name,id\n\"Ann\nMeier\",@a:here\nBob,\n,,\nCid,cid\n", "@a:here; 2 lost: 4 “Bob” 6 “cid”"},
		"an open quote":    {"name,id\n\"Ann,@a:here\nBob,@b:here\n", "@a:here @b:here"},
		"our own outcome":  {"user_id,outcome,code\n'@a:here,invited,done\n'@b:here,refused,x\n", "@a:here @b:here"},
		"tabs, wide":       {string(wide), "@ann:here"},
		"most in a column": {"owner,id\n@o:here,@a:here\nnobody,@b:here\n", "@a:here @b:here"},
		"latin":            {"J\xfcrgen;@j:here\nUwe;@u:here\n", "@j:here @u:here"},
		"long":             {strings.Repeat("x", 5000) + "\n@a:here\n" + strings.Repeat("@", 9000), "@a:here; 1 lost: 3 “" + strings.Repeat("@", 30) + "…”"},
		"nothing":          {"", ""},
	} {
		r, err := readRoster([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(texts(r.users), " ")
		if r.twice > 0 {
			got += fmt.Sprintf("; %d twice", r.twice)
		}
		if r.lines > 0 {
			got += fmt.Sprintf("; %d lost:", r.lines)
			for _, l := range r.lost {
				got += fmt.Sprintf(" %d “%s”", l.number, l.text)
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
	if _, err := readRoster([]byte("PK\x03\x04\x00\x00")); err == nil {
		t.Error("an archive is read")
	}
}

// FuzzRoster: no list brings the reader down, and each person found is named once.
func FuzzRoster(f *testing.F) {
	f.Add([]byte("name;id\n\"a\";@a:here\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readRoster(data)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, user := range r.users {
			if seen[string(user)] || user == "" {
				t.Fatalf("%q comes twice", user)
			}
			seen[string(user)] = true
		}
	})
}

// TestOutcomesAreNoFormulas: no cell of the file begins as a formula, and the file can be sent back as a list.
func TestOutcomesAreNoFormulas(t *testing.T) {
	o := NewOutcomes("en")
	o.Add(invites.Change{Target: "@a:here", Status: invites.StatusDone, Code: "done"})
	o.Add(invites.Change{Target: "@b:here", Status: invites.StatusRefused, Code: "=cmd", Detail: room.Say(room.KeyText, "text", "=HYPERLINK(\"http://x\")")})
	file := string(o.File())
	if want := "user_id,outcome,code,time,explanation\n'@a:here,invited,done,0001-01-01T00:00:00Z,\n'@b:here,refused,'=cmd,0001-01-01T00:00:00Z,\"'=HYPERLINK(\"\"http://x\"\")\"\n"; file != want {
		t.Errorf("got %s", file)
	}
	if r, err := readRoster([]byte(file)); err != nil || strings.Join(texts(r.users), " ") != "@a:here @b:here" || r.lines != 0 {
		t.Errorf("%+v %v", r, err)
	}
}
