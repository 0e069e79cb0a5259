package main

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the import table of docs/design.md: what a package may import besides the standard library. Packages of
// this module go by their folder. A folder that isn't listed has its parent's row.
var mayImport = map[string][]string{
	"exactjson":  {},
	".":          {"bot", "config", "check", "connect", "operator", "words", "github.com/spf13/..."},
	"mail":       {"github.com/wneessen/go-mail/..."},
	"bot":        {"appservice", "chat", "commands", "config", "connect", "encryption", "events", "homeserver", "invites", "invites/cards", "invites/delivery", "invites/guard", "invites/inbound", "invites/judge", "invites/ledger", "invites/letters", "invites/links", "mail", "words", "invites/moves", "invites/native", "invites/requests", "invites/sessions", "invites/spaces", "invites/welcome", "jobs", "loop", "metrics", "operator", "picture", "plan", "plan/source", "room", "store", "web", "web/dashboard", mautrix + "/id", zerolog, "go.mau.fi/zeroconfig", "github.com/mattn/go-isatty"},
	"chat":       {"commands", "events", "exactjson", "invites", "invites/cards", "invites/guard", "invites/ledger", "invites/spaces", "invites/welcome", "policy", "room", mautrix + "/event", mautrix + "/id", zerolog, "github.com/hashicorp/golang-lru/v2/simplelru", "golang.org/x/time/rate"},
	"web":        {"exactjson", "invites", "invites/links", "invites/native", "room", "words", mautrix + "/id", zerolog, "github.com/hashicorp/golang-lru/v2/simplelru", "golang.org/x/text/language", "golang.org/x/time/rate"},
	"operator":   {"appservice", "commands", "config", "connect", "exactjson", "homeserver", "invites", "metrics", "plan", "plan/source", "room", "store", "web", "words", mautrix + "/id", zerolog},
	"connect":    {"config", "homeserver", "store", mautrix + "/id", zerolog},
	"config":     {"mail", "room", "words", "gopkg.in/yaml.v3"},
	"commands":   {"exactjson", "invites", "invites/cards", "invites/guard", "invites/inbound", "invites/judge", "invites/ledger", "invites/letters", "invites/links", "invites/moves", "invites/requests", "invites/sessions", "invites/spaces", "invites/welcome", "picture", "policy", "room", "words", mautrix + "/event", mautrix + "/event/cmdschema", mautrix + "/id", "golang.org/x/net/html"},
	"picture":    {"golang.org/x/image/...", "rsc.io/qr"},
	"invites":    {"room", mautrix + "/id", "go.mau.fi/util/variationselector"},
	"check":      {"exactjson", "room", "words", mautrix + "/id"},
	"words":      {"room", "github.com/nicksnyder/go-i18n/v2/...", "golang.org/x/text/language", "gopkg.in/yaml.v3"},
	"policy":     {"exactjson", "room", mautrix + "/id", "golang.org/x/net/idna"},
	"room":       {"exactjson", mautrix + "/id"},
	"events":     {"exactjson", "invites", "policy", "room", mautrix + "/id"},
	"appservice": {"events", "exactjson", "invites", "room", mautrix + "/id", zerolog},
	"homeserver": {"exactjson", "invites", "room", "words", mautrix, mautrix + "/...", zerolog},
	"store":      {"invites", "room", mautrix + "/id", "database/sql", "go.mau.fi/util/dbutil", "github.com/jackc/pgx/v5/...", "modernc.org/sqlite/..."},
	"jobs":       {"invites", "loop", mautrix + "/id"},
	"loop":       {},
	"metrics":    {"invites", "github.com/prometheus/client_golang/..."},

	"plan":        {"exactjson", "invites", "invites/judge", "invites/requests", "policy", "room", mautrix + "/id", zerolog},
	"plan/source": {"plan", "room", mautrix + "/id", "gopkg.in/yaml.v3", "github.com/go-ldap/ldap/v3"},

	"web/dashboard": {"invites", "invites/cards", "invites/judge", "invites/ledger", "invites/links", "invites/sessions", "policy", "room", "web", "words", mautrix + "/id", zerolog},

	"encryption": {"exactjson", "invites", "loop", "store", mautrix, mautrix + "/...", zerolog},

	"invites/judge":       {"exactjson", "invites", "policy", "room", mautrix + "/id"},
	"invites/delivery":    {"invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/cards":       {"invites", "invites/delivery", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/guard":       {"exactjson", "invites", "invites/delivery", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/ledger":      {"exactjson", "invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/inbound":     {"exactjson", "invites", "policy", "room", mautrix + "/id"},
	"invites/native":      {"invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/links":       {"exactjson", "invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/letters":     {"invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/spaces":      {"exactjson", "invites", "invites/judge", "invites/requests", "policy", "room", mautrix + "/id"},
	"invites/welcome":     {"invites", "invites/judge", "policy", "room", mautrix + "/id"},
	"invites/sessions":    {"invites", mautrix + "/id"},
	"invites/requests":    {"invites", "invites/cards", "invites/delivery", "invites/judge", "invites/links", "policy", "room", mautrix + "/id"},
	"invites/moves":       {"exactjson", "invites", "invites/cards", "invites/delivery", "invites/judge", "invites/requests", "policy", "room", mautrix + "/id"},
	"invites/invitestest": {"invites", "invites/cards", "invites/delivery", "invites/guard", "invites/judge", "invites/ledger", "invites/links", "invites/moves", "invites/requests", "invites/sessions", "invites/spaces", "invites/welcome", "policy", "room", "store", "store/storetest", mautrix + "/id"},
}

const (
	mautrix = "maunium.net/go/mautrix"
	zerolog = "github.com/rs/zerolog"
)

// ownedStandard are packages of the standard library that only their owner may import.
var ownedStandard = []string{"database/sql", "database/sql/driver", "log"}

// TestImportTableIsNeeded: it allows nothing that nobody imports.
func TestImportTableIsNeeded(t *testing.T) {
	needed := map[string][]string{} // by row
	for _, s := range sources(t) {
		row, _ := tableRow(s.dir)
		for _, spec := range s.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			needed[row] = append(needed[row], strings.TrimPrefix(name, "usher/"))
		}
	}
	for row, allowed := range mayImport {
		for _, one := range allowed {
			if !slices.ContainsFunc(needed[row], func(name string) bool { return covers(one, name) }) {
				t.Errorf("%s may import %s, but does not", row, one)
			}
		}
	}
}

// TestDesignHasTheImportTable compares docs/design.md with the table: each row names the same packages, those of others by
// the end of their path.
func TestDesignHasTheImportTable(t *testing.T) {
	design, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	for row, allowed := range mayImport {
		head := "\n| `" + row + "` "
		switch row {
		case ".":
			head = "\n| `main` "
		case "invites/invitestest":
			continue
		}
		_, rest, found := strings.Cut(string(design), head)
		line, _, _ := strings.Cut(rest, "\n")
		cells := strings.Split(line, "|")
		if !found || len(cells) != 4 {
			t.Errorf("no row of three cells for %s", row)
			continue
		}
		named := strings.Split(strings.TrimSpace(cells[2]), ", ")
		same := func(name, path string) bool {
			return strings.Contains("/"+strings.TrimSuffix(path, "...")+"/", "/"+name+"/")
		}
		for _, path := range allowed {
			if path != "database/sql" && !slices.ContainsFunc(named, func(name string) bool { return same(name, path) }) {
				t.Errorf("%s may import %s, which docs/design.md does not say", row, path)
			}
		}
		for _, name := range named {
			if name == "" {
				continue // imports nothing
			}
			if !slices.ContainsFunc(allowed, func(path string) bool { return same(name, path) }) {
				t.Errorf("docs/design.md lets %s import %s", row, name)
			}
		}
	}
}

// TestReadingDrawsTheHouse compares the drawing of docs/reading.md with the table: the arrows lead from each package to the packages that
// it imports, directly or through others, and to no other package.
func TestReadingDrawsTheHouse(t *testing.T) {
	_, drawing, _ := strings.Cut(page(t, "docs/reading.md"), "```mermaid\n")
	drawing, _, _ = strings.Cut(drawing, "```")
	drawn, want := map[string][]string{}, map[string][]string{}
	for line := range strings.Lines(drawing) {
		if from, to, isArrow := strings.Cut(strings.TrimSpace(line), " --> "); isArrow {
			drawn[from] = append(drawn[from], strings.Split(to, " & ")...)
		}
	}
	for row, allowed := range mayImport {
		if row == "invites/invitestest" {
			continue
		}
		if row == "." {
			row = "main"
		}
		want[row] = slices.DeleteFunc(slices.Clone(allowed), func(name string) bool { _, own := mayImport[name]; return !own })
		if !strings.Contains(drawing, "\n    "+row+"\n") {
			t.Errorf("%s is in no layer of the drawing", row)
		}
	}
	for row := range want {
		got, need := reached(drawn, row), reached(want, row)
		for name := range need {
			if !got[name] {
				t.Errorf("no way of arrows leads from %s to %s", row, name)
			}
		}
		for name := range got {
			if !need[name] {
				t.Errorf("arrows lead from %s to %s, which it does not import", row, name)
			}
		}
	}
}

// reached returns all ends of ways from a start.
func reached(arrows map[string][]string, start string) map[string]bool {
	all := map[string]bool{}
	var walk func(string)
	walk = func(from string) {
		for _, to := range arrows[from] {
			if !all[to] {
				all[to] = true
				walk(to)
			}
		}
	}
	walk(start)
	return all
}

// imports keeps the import table.
func imports(s source) (complaints []string) {
	row, listed := tableRow(s.dir)
	if !listed {
		return []string{s.complain(s.file, "folder %s is not in the import table", s.dir)}
	}
	for _, spec := range s.file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		own, isOwn := strings.CutPrefix(name, "usher/")
		first, _, _ := strings.Cut(name, "/")
		isStandard := !isOwn && !strings.Contains(first, ".") && !slices.Contains(ownedStandard, name)
		within := isOwn && (own == row || strings.HasPrefix(own, row+"/")) // a package's own parts
		if isStandard || within {
			continue
		}
		if isOwn {
			name = own
		}
		if !slices.ContainsFunc(mayImport[row], func(allowed string) bool { return covers(allowed, name) }) {
			complaints = append(complaints, s.complain(spec, "%s may not import %s", s.dir, name))
		}
	}
	return complaints
}

// tableRow finds a folder's row in the import table.
func tableRow(dir string) (row string, listed bool) {
	for row = dir; row != "."; row = path.Dir(row) {
		if _, listed = mayImport[row]; listed {
			return row, true
		}
	}
	return row, dir == "."
}

// covers understands "path" and "path/...".
func covers(allowed, name string) bool {
	below, tree := strings.CutSuffix(allowed, "/...")
	return allowed == name || tree && (name == below || strings.HasPrefix(name, below+"/"))
}
