package main

import (
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	templates "text/template/parse"

	"gopkg.in/yaml.v3"

	"usher/commands"
	"usher/policy"
	"usher/room"
)

// entry is what a catalogue has under a key.
type entry struct {
	texts []string // one for each plural form
	takes []string // the names of the arguments, in order
}

// catalogue reads the words of one language.
func catalogue(t *testing.T, file string) map[string]entry {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(page(t, file)), &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for key, value := range raw {
		forms, isPlural := value.(map[string]any)
		if !isPlural {
			forms = map[string]any{"other": value}
		}
		e, used := entry{}, map[string]bool{}
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			text := forms[form].(string)
			tree := templates.New(key)
			tree.Mode = templates.SkipFuncCheck
			if _, err := tree.Parse(text, "", "", map[string]*templates.Tree{}); err != nil {
				t.Fatal(err)
			}
			reads(tree.Root, used)
			e.texts = append(e.texts, text)
		}
		if isPlural {
			used["n"] = true
		}
		delete(used, "parts")
		e.takes = slices.Sorted(maps.Keys(used))
		all[key] = e
	}
	return all
}

// reads notes the arguments that a template reads.
func reads(n templates.Node, used map[string]bool) {
	switch n := n.(type) {
	case *templates.ListNode:
		for _, inner := range n.Nodes {
			reads(inner, used)
		}
	case *templates.ActionNode:
		reads(n.Pipe, used)
	case *templates.PipeNode:
		for _, command := range n.Cmds {
			for _, argument := range command.Args {
				reads(argument, used)
			}
		}
	case *templates.FieldNode:
		used[n.Ident[0]] = true
	case *templates.IfNode:
		reads(n.Pipe, used)
		reads(n.List, used)
		if n.ElseList != nil {
			reads(n.ElseList, used)
		}
	}
}

// english is the catalogue that has every key.
const english = "words/en.yaml"

// inEnglish begins the keys that only the command line and the monitoring of operators say. They speak English.
var inEnglish = regexp.MustCompile(`^((check|rule|doctor|remedy|ready|planned)\.|audit\.(whole|empty)$)`)

// ofLanguage begins the keys that each language has for itself: further names of commands.
const ofLanguage = "alias."

// TestCatalogues: a key is a code, code marks close, and each language has the keys of English, which take the same arguments.
func TestCatalogues(t *testing.T) {
	whole := catalogue(t, english)
	files, err := filepath.Glob("words/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	code := regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$`)
	for _, file := range files {
		all := catalogue(t, file)
		for key := range whole {
			if _, is := all[key]; !is && !inEnglish.MatchString(key) && !strings.HasPrefix(key, ofLanguage) {
				t.Errorf("%s lacks %s: %q", file, key, whole[key].texts)
			}
		}
		for key, e := range all {
			if !code.MatchString(key) {
				t.Errorf("%s: the key %q", file, key)
			}
			known, is := whole[key]
			switch own := strings.HasPrefix(key, ofLanguage); {
			case !is && !own:
				t.Errorf("%s: %s is too much: English has no such key", file, key)
			case !own && !slices.Equal(e.takes, known.takes):
				t.Errorf("%s: %s takes %v, in English %v", file, key, e.takes, known.takes)
			}
			for _, text := range e.texts {
				if strings.Count(text, "`")%2 != 0 {
					t.Errorf("%s: %s has a backtick without its pair", file, key)
				}
			}
		}
	}
}

// TestAliases: a further name of a command names a command, is one word in small letters, and is neither another command's name nor its alias.
func TestAliases(t *testing.T) {
	files, err := filepath.Glob("words/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]string{}
	for _, c := range commands.Table() {
		for _, name := range append(c.Aliases, c.Name) {
			taken[name] = c.Name
		}
	}
	for _, file := range files {
		for key, e := range catalogue(t, file) {
			command, is := strings.CutPrefix(key, ofLanguage)
			if !is {
				continue
			}
			if taken[command] != command {
				t.Errorf("%s: %s belongs to no command", file, key)
			}
			for _, alias := range strings.Fields(e.texts[0]) {
				if other := taken[alias]; other != "" || alias != strings.ToLower(alias) {
					t.Errorf("%s: %s is %s already, or has capitals", file, alias, other)
				}
				taken[alias] = command
			}
		}
	}
}

// vocabulary is the beginning of the keys that a template looks up itself.
var vocabulary = regexp.MustCompile(`^(verb|did|deed|level|rule|fact|mode|done|time|list|fate|way|outcome|whose|alias)\.`)

// TestWhatIsSaidHasWords: each key that a package says is in the catalogue and takes just the arguments that it is given, and each
// entry is said.
func TestWhatIsSaidHasWords(t *testing.T) {
	whole := catalogue(t, english)
	said := map[string]bool{room.KeyText: true}
	check := func(where, key string, given []string) {
		said[key] = true
		slices.Sort(given)
		if e, is := whole[key]; !is || !slices.Equal(e.takes, given) {
			t.Errorf("%s: %s is given %v and takes %v", where, key, given, e.takes)
		}
	}
	var phrase func(room.Phrase)
	phrase = func(p room.Phrase) {
		if p.Key != "" {
			check("made", p.Key, slices.Collect(maps.Keys(p.Args)))
		}
		for _, part := range p.Parts {
			phrase(part)
		}
	}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if key, given, is := saying(n); is {
				check(s.set.Position(n.Pos()).String(), key, given)
			}
			return true
		})
	}
	explanations(t, phrase)
	policyFields(t, phrase)
	templatesSay(t, check)
	for _, c := range commands.Table() {
		phrase(room.Say("command." + c.Name))
		phrase(room.Say("brief." + c.Name))
		phrase(room.Say("sample."+c.Name, "prefix", "!"))
		for _, part := range c.Parts {
			phrase(room.Say("command." + c.Name + "." + strings.ReplaceAll(part.Name, " ", "_")))
		}
	}
	for key := range whole {
		if !said[key] && !vocabulary.MatchString(key) {
			t.Errorf("nobody says %s", key)
		}
	}
}

// templatesSay reads what the templates of pages say.
func templatesSay(t *testing.T, check func(where, key string, given []string)) {
	t.Helper()
	files, err := filepath.Glob("web/pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, said := range regexp.MustCompile(`\.Say "([a-z0-9_.]+)"((?: "[a-z]+" [.$\w]+)*)`).FindAllStringSubmatch(page(t, file), -1) {
			given := []string{}
			for _, name := range regexp.MustCompile(`"([a-z]+)"`).FindAllStringSubmatch(said[2], -1) {
				given = append(given, name[1])
			}
			check(file, said[1], given)
		}
	}
}

// saying reads a call of room.Say, or a method Say, whose first argument is the literal of a key: the key and the names of
// the arguments. With adds one.
func saying(n ast.Node) (key string, given []string, is bool) {
	call, isCall := n.(*ast.CallExpr)
	if !isCall || len(call.Args) == 0 {
		return "", nil, false
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		is = f.Name == "Say"
	case *ast.SelectorExpr:
		is = f.Sel.Name == "Say"
	}
	key, isLiteral := literal(call.Args[0])
	for i := 1; i < len(call.Args); i += 2 {
		name, _ := literal(call.Args[i])
		given = append(given, name)
	}
	return key, given, is && isLiteral && regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$`).MatchString(key)
}

// literal is the value of a string literal.
func literal(n ast.Expr) (string, bool) {
	lit, is := n.(*ast.BasicLit)
	if !is || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// ruleCodes are the codes of the authorization rules and of the client API.
func ruleCodes(t *testing.T) (codes []room.Rule) {
	for _, file := range []string{"room/rules.go", "room/csapi.go"} {
		for _, m := range regexp.MustCompile(`Rule\w+ +Rule = "(.*?)"`).FindAllStringSubmatch(page(t, file), -1) {
			codes = append(codes, room.Rule(m[1]))
		}
	}
	if len(codes) < 60 {
		t.Errorf("only %d rule codes", len(codes))
	}
	return codes
}

// explanations makes the explanation of every code, for all sides, actions and performers.
func explanations(t *testing.T, phrase func(room.Phrase)) {
	words, rules := catalogue(t, english), ruleCodes(t)
	for _, code := range rules {
		if _, is := words["rule."+string(code)]; !is && code != room.RuleUnknown {
			t.Errorf("no words for the rule %s", code)
		}
	}
	codes := append(rules, policy.Refusals()...)
	codes = append(codes, policy.CodeLimitPerson, policy.CodeLimitServer, policy.CodeLimitAll, policy.CodeLimitJoins)
	codes = append(codes, policy.CodeNoView, policy.CodeNoAssertion, policy.CodeAlready, policy.CodeAlreadyJoined, policy.CodeDelegate, policy.CodeNotInvited, policy.CodeUnsent, policy.CodeStands)
	actions := []room.ActionType{room.Invite, room.Join, room.Knock, room.Kick, room.Ban, room.Unban, room.Leave, room.SetPowerLevels, policy.ActionWithdraw}
	_, fault := policy.Parse([]byte("[]"))
	malformed, _ := fault.(policy.Malformed)
	state := []room.Key{{Type: "m.room.member", StateKey: "@x:y"}, {Type: "m.room.power_levels"}, {Type: "m.room.join_rules"}, {Type: "m.room.create"}, policy.Key(), {Type: "x"}}
	for _, code := range codes {
		for i, action := range actions {
			for _, side := range []policy.Side{policy.SideActor, policy.SidePerformer, policy.SidePolicy} {
				for _, q := range []policy.Question{
					{Action: action, Actor: "@a:x", Performer: "@a:x", Target: "@t:x"}, {Action: action, Actor: "@a:x", Performer: "@bot:x", Target: "@t:x"},
					{Action: action, Actor: "@t:x", Performer: "@t:x", Target: "@t:x"},
				} {
					d := policy.Decision{Code: code, Side: side, Evidence: room.Evidence{Key: state[i%len(state)]}, Fault: malformed, Hit: &policy.Hit{}}
					phrase(policy.Explain(q, d).Phrase())
					d.Verdict = room.Allow
					phrase(policy.Explain(q, d).Phrase())
				}
			}
		}
	}
}

// policyFields makes what is said of every field of a policy, set and not set, and of every preset.
func policyFields(t *testing.T, phrase func(room.Phrase)) {
	_, manual, _ := strings.Cut(page(t, "docs/policies.md"), "```json\n")
	example, _, _ := strings.Cut(manual, "```")
	set, err := policy.Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range []policy.Layer{{}, set} {
		doc := policy.Merge(policy.Source{Layer: layer}).Document
		for _, f := range policy.Fields() {
			for _, value := range []string{"true", "false", "5", "1h", "!r", "@u*:x", "x", "dark", "watch", "invite", "report", "listed", "nothing", "{asker}"} {
				if one, err := (policy.Layer{}).With(f.Path, value); err == nil {
					phrase(f.Phrase(&policy.Merge(policy.Source{Layer: one}).Document))
				}
			}
			phrase(f.Phrase(&doc))
			phrase(f.About())
			phrase(f.Takes())
		}
	}
	for _, p := range policy.Presets() {
		phrase(p.About())
	}
	_, fault := (policy.Layer{}).With("ask.level", "x")
	malformed, _ := fault.(policy.Malformed)
	phrase(malformed.Phrase())
}

// speaks are the packages that have sentences besides words, with the reason.
var speaks = map[string]string{
	"config":  "faults of the config, with the path and the line",
	".":       "the help of the command line",
	"metrics": "descriptions for monitoring",
}

// noSentence are literals that only look like one.
var noSentence = map[string]string{
	"usher cross-signing recovery key": "derives a key: no other text gives the same",
	"failed to encode args[":           "what a library's error says",
	"failed to send invite: ":          "what Dendrite's error says",
	"Following the upgrade of ":        "begins the reason of a join, which is read again",
}

// TestOnlyWordsSpeaks: no other package has string literals that read as English and are neither logged nor an error's.
func TestOnlyWordsSpeaks(t *testing.T) {
	english := regexp.MustCompile(`[a-z]{2,} [a-z]{2,} [a-z]{2,}`)
	silent := []string{"Msg", "Msgf", "Errorf", "New", "NewDesc", "Exec", "Query", "QueryRow", "Info", "Warn", "Error", "Debug"}
	spoke := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.dir, "test") {
			continue // test support
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, is := n.Fun.(*ast.SelectorExpr); is && slices.Contains(silent, f.Sel.Name) {
					return false
				}
			case *ast.BasicLit:
				text, is := literal(n)
				first, _, _ := strings.Cut(strings.TrimSpace(strings.ToUpper(text)), " ")
				if !is || len(strings.Fields(text)) < 4 || !english.MatchString(text) || slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, first) {
					return true
				}
				if noSentence[text] != "" {
					return true
				}
				spoke[s.dir] = true
				if speaks[s.dir] == "" {
					t.Errorf("%s: %q belongs in package words", s.set.Position(n.Pos()), text)
				}
			}
			return true
		})
	}
	for dir := range speaks {
		if !spoke[dir] {
			t.Errorf("%s has no sentences any more: take it from the list", dir)
		}
	}
}
