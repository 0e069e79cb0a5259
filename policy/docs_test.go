package policy

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestManualIsComplete: docs/policies.md explains every field and every refusal, and its example is a policy.
func TestManualIsComplete(t *testing.T) {
	raw, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(raw)
	for _, f := range Fields() {
		if f.Path != "delegate" && !strings.Contains(manual, "| `"+f.Path+"`") && !strings.Contains(manual, ", `"+f.Path+"` |") {
			t.Errorf("the field %s is not explained", f.Path)
		}
	}
	for _, p := range Presets() {
		if !strings.Contains(manual, "`"+p.Name+"`") {
			t.Errorf("the preset %s is not named", p.Name)
		}
	}
	for _, code := range append(Refusals(), CodeDelegate) {
		if !strings.Contains(manual, "\n| `"+string(code)+"` | ") {
			t.Errorf("%s is not explained", code)
		}
	}
	for _, name := range []string{"policies", "approval", "guard", "ledger"} {
		page, err := os.ReadFile("../docs/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		_, codes, found := strings.Cut(string(page), "| what to do |")
		if !found {
			t.Errorf("%s.md has no table of codes", name)
		}
		for line := range strings.Lines(codes) {
			if cells := strings.Split(strings.TrimSpace(line), "|"); strings.HasPrefix(line, "| `") && len(cells) == 5 && strings.TrimSpace(cells[3]) == "" {
				t.Errorf("%s.md does not say what to do: %s", name, line)
			}
		}
	}
	_, rest, _ := strings.Cut(manual, "```json\n")
	example, _, _ := strings.Cut(rest, "```")
	if _, err := Parse(json.RawMessage(example)); err != nil {
		t.Errorf("the example: %v", err)
	}
}
