package check

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"usher/words"
)

// TestDocs keeps docs/check.md true: its example is answered as it says, and it names every rule code.
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile("../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(raw)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(docs, -1)
	var out bytes.Buffer
	if malformed, err := Check(strings.NewReader(strings.ReplaceAll(blocks[0][1], "\n", " ")), &out, words.For("en")); malformed != 0 || err != nil {
		t.Fatalf("the example: %d malformed, %v: %s", malformed, err, out.String())
	}
	var got, want any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(blocks[1][1]), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example is answered with %s", out.String())
	}

	for _, file := range []string{"rules.go", "csapi.go"} {
		source, err := os.ReadFile("../room/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Rule\w+ +Rule = "(.*?)"`).FindAllStringSubmatch(string(source), -1) {
			code := m[1]
			if short := code[strings.LastIndexByte(code, '.')+1:]; !strings.Contains(docs, "`"+code+"`") && !strings.Contains(docs, "`."+short+"`") {
				t.Errorf("docs/check.md lacks %s", code)
			}
		}
	}
}
