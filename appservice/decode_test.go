package appservice

import (
	"usher/exactjson"

	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// outcome is what eachEvent makes of a body: the ids of the events found, and the faults in between.
func outcome(body string) (seen []string, err error) {
	err = eachEvent([]byte(body), func(e *rawEvent) {
		s, _ := exactjson.Unquote(e.id)
		seen = append(seen, s)
	}, func(_ []byte, fault string) { seen = append(seen, fault) })
	return seen, err
}

func TestEachEvent(t *testing.T) {
	const a, z = `{"event_id":"$a"}`, `{"event_id":"$z"}`
	between := func(middle string) string { return `{"events":[` + a + `,` + middle + `,` + z + `]}` }
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	for name, c := range map[string]struct {
		body string
		want []string // nil: not JSON
	}{
		"empty":             {`{}`, []string{}},
		"no events":         {`{"events":[]}`, []string{}},
		"null events":       {`{"events":null}`, []string{}},
		"two":               {`{"events":[` + a + `,` + z + `]}`, []string{"$a", "$z"}},
		"spaces":            {" {\n\"events\" : [ " + a + " ,\t" + z + " ] }\r\n", []string{"$a", "$z"}},
		"other parts":       {`{"ephemeral":[{"a":{}}],"events":[` + a + `],"to_device":[null]}`, []string{"$a"}},
		"deep other part":   {`{"ephemeral":[` + deep + `],"events":[` + a + `]}`, []string{"$a"}},
		"folded key":        {`{"eventſ":[` + a + `],"EVENTS":[` + a + `]}`, []string{}},
		"escaped key":       {`{"event\u0073":[` + a + `]}`, []string{"$a"}},
		"null":              {between(`null`), []string{"$a", faultNoEvent, "$z"}},
		"number":            {between(`-1.5`), []string{"$a", faultNoEvent, "$z"}},
		"string":            {between(`"},]["`), []string{"$a", faultNoEvent, "$z"}},
		"array":             {between(`[{"event_id":"$b"}]`), []string{"$a", faultNoEvent, "$z"}},
		"garbage":           {between(`@@@`), []string{"$a", faultNoEvent, "$z"}},
		"deep":              {between(`{"content":{"x":` + deep + `,"membership":"join"},"event_id":"$b"}`), []string{"$a", "$b", "$z"}},
		"deep and broken":   {between(`{"content":{"x":` + deep + `01},"event_id":"$b"}`), []string{"$a", faultSyntax, "$z"}},
		"bad UTF-8":         {between("{\"event_id\":\"$b\",\"x\":\"\xff\"}"), []string{"$a", faultSyntax, "$z"}},
		"control character": {between("{\"x\":\"a\nb\"}"), []string{"$a", faultSyntax, "$z"}},
		"bad escape":        {between(`{"x":"\q"}`), []string{"$a", faultSyntax, "$z"}},
		"bad number":        {between(`{"x":01}`), []string{"$a", faultSyntax, "$z"}},
		"a field twice":     {between(`{"sender":"@a:x","sender":"@b:x"}`), []string{"$a", faultSyntax, "$z"}},
		"content twice":     {between(`{"content":{},"content":{}}`), []string{"$a", faultSyntax, "$z"}},
		"escaped twice":     {between(`{"sender":"@a:x","sende\u0072":"@b:x"}`), []string{"$a", faultSyntax, "$z"}},
		"lone surrogate":    {between(`{"event_id":"$b","content":{"body":"\ud800"}}`), []string{"$a", "$b", "$z"}},
		"events no array":   {`{"events":{"a":1}}`, []string{faultNoEvents}},
		"no object":         {`[` + a + `]`, []string{faultNoTransaction}},
		"top null":          {`null`, []string{faultNoTransaction}},
		"nothing":           {``, nil},
		"text":              {`hello`, nil},
		"truncated":         {`{"events":[` + a + `,{"event_id":"$`, nil},
		"unbalanced":        {between(`{"x":[}`), nil},
		"trailing comma":    {`{"events":[` + a + `,]}`, nil},
		"no comma":          {`{"events":[` + a + a + `]}`, nil},
		"more behind":       {`{"events":[]}{}`, nil},
		"open brackets":     {`{"events":[` + strings.Repeat("[", 1<<20), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := outcome(c.body)
			if (err != nil) != (c.want == nil) || (err == nil && !slices.Equal(got, c.want)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestReceived(t *testing.T) {
	const good = `"type":"m.room.message","event_id":"$e","room_id":"!r","sender":"@a:x","origin_server_ts":5,"content":{"body":"!x"}`
	now := time.UnixMilli(7)
	for name, c := range map[string]struct{ from, to, fault string }{
		"good":                {``, ``, ""},
		"no event id":         {`"event_id":"$e",`, ``, faultID},
		"event id number":     {`"$e"`, `5`, faultID},
		"event id NUL":        {`"$e"`, `"$e\u0000"`, faultID},
		"event id surrogate":  {`"$e"`, `"$\udc00"`, faultID},
		"room id":             {`"!r"`, `"#r"`, faultRoom},
		"sender":              {`"@a:x"`, `"a:x"`, faultSender},
		"folded sender":       {`"sender"`, `"ſender"`, faultSender},
		"type":                {`"m.room.message"`, `null`, faultState},
		"fractional time":     {`:5,`, `:1.5,`, faultTime},
		"huge time":           {`:5,`, `:99999999999999999999,`, faultTime},
		"time as a string":    {`:5,`, `:"5",`, faultTime},
		"content an array":    {`{"body":"!x"}`, `[]`, faultContent},
		"state key no string": {`"type"`, `"state_key":1,"type"`, faultState},
	} {
		t.Run(name, func(t *testing.T) {
			var e rawEvent
			b := []byte("{" + strings.Replace(good, c.from, c.to, 1) + "}")
			if e.parse(b, 0) != len(b) {
				t.Fatal("not parsed")
			}
			r, fault := e.received(now)
			if fault != c.fault {
				t.Fatalf("fault %q", fault)
			}
			if fault == "" && (r.Event != "$e" || r.Room != "!r" || r.Sender != "@a:x" || r.Type != "m.room.message" || r.StateKey != nil ||
				!bytes.Equal(r.Raw, b) || !r.SentAt.Equal(time.UnixMilli(5)) || !r.ReceivedAt.Equal(now)) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestAddressing(t *testing.T) {
	a := newAddressing("!", "@usher:example.org", "Der Türsteher", nil)
	for body, want := range map[string]bool{
		`!invite`: true, `\u0021invite`: true, `  \n!help`: true, `! x`: true, `invite`: false, ``: false, `\ud83d`: false, `\ud83d!`: false,
		`@usher:example.org: invite`: true, `@usher:example.org`: true, `@USHER: x`: true, `usher, invite`: true, `Usher invite`: true,
		`usherette, sing`: false, `der türsteher: x`: true, `Der T\u00fcrsteher: x`: true, `Der Tursteher: x`: false, `hi usher`: false,
		`\"!x`: false, `\\!x`: false,
	} {
		c := rawContent{msgtype: []byte(`"m.text"`), body: []byte(`"` + body + `"`)}
		if got := a.concerns(&c); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
	for content, want := range map[string]bool{
		`{"msgtype":"m.text","body":"!x"}`:   true,
		`{"msgtype":"m.notice","body":"!x"}`: false,
		`{"msgtype":"m.emote","body":"!x"}`:  false,
		`{"body":"!x"}`:                      false,
		`{"msgtype":"m.text","body":5}`:      false,
		`{"msgtype":"m.text"}`:               false,
		`{"msgtype":"m.text","body":"* !x","m.relates_to":{"rel_type":"m.replace"},"m.new_content":{}}`:                              true,
		`{"msgtype":"m.text","body":"* x","m.relates_to":{"rel_type":"m.replace"},"m.mentions":{"user_ids":["@usher:example.org"]}}`: false,
		`{"msgtype":"m.text","body":"!x","m.relates_to":{"rel_type":"m.replace"}}`:                                                   true,
		`{"msgtype":"m.text","body":"!x","m.relates_to":{"rel_type":"m.thread"}}`:                                                    true,
		`{"msgtype":"m.text","body":"!x","m.relates_to":5}`:                                                                          true,
		`{"msgtype":"m.text","body":"hey","m.mentions":{"user_ids":["@usher:example.org"]}}`:                                         true,
		`{"msgtype":"m.text","body":"hey","m.mentions":{"user_ids":["@usher:example.org.evil","@a:b"]}}`:                             false,
	} {
		var c rawContent
		if c.parse([]byte(content), 0) != len(content) {
			t.Fatal("not parsed:", content)
		}
		if got := a.concerns(&c); got != want {
			t.Errorf("%s: %v", content, got)
		}
	}
}

// TestOtherBotsCommands has the words after the prefix sorted by those who know them.
func TestOtherBotsCommands(t *testing.T) {
	a := newAddressing("!", "@usher:example.org", "Usher", func(name string) bool { return strings.EqualFold(name, "invite") })
	for body, want := range map[string]bool{
		`!invite`: true, `!invite @a:b`: true, `!INVITE\n@a:b`: true, `!inv\u0069te\u00a0x`: true, ` !\"invite\" x`: true, `!“invite” x`: true,
		`!`: false, `!!`: false, `! invite`: true, `！invite`: true, `\u200b!invite`: true, `!usher play`: true, `! play`: false, `!invited x`: false, `!play invite`: false, `!\ud83d`: false, `usher: play`: true,
		`!` + strings.Repeat("x", 1000): false,
	} {
		c := rawContent{msgtype: []byte(`"m.text"`), body: []byte(`"` + body + `"`)}
		if got := a.concerns(&c); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
	mentioned := rawContent{msgtype: []byte(`"m.text"`), body: []byte(`"!play"`), mentions: []byte(`{"user_ids":["@usher:example.org"]}`)}
	if !a.concerns(&mentioned) {
		t.Error("a mention is overlooked")
	}
}

// FuzzTransaction compares the decoder with encoding/json, read into maps, which don't fold keys.
func FuzzTransaction(f *testing.F) {
	for _, seed := range []string{
		`{"events":[{"event_id":"$a","type":"m.room.message","sender":"@a:x","room_id":"!r","origin_server_ts":1,"content":{"msgtype":"m.text","body":"!x"}}]}`,
		`{"events":[null,1,"x",[],{"content":[]},{"origin_server_ts":1.5},{"ſender":"@a:x"}]}`,
		`{"events":[{"content":{"body":"\ud800","m.relates_to":{"rel_type":"m.replace"}}}],"ephemeral":[{}]}`,
		`{"events":[{"a":}, {"event_id":"$b"}]}`, `{"events":{}}`, `[]`, `{"events":[{"type":"a","type":"b"}]}`,
		"{\"events\":[{\"x\":\"\xff\"},{}]}", `{"events":[[[[[[[[`, `{"events":[{"membership":"leave","state_key":""}]}`,
	} {
		f.Add([]byte(seed))
	}
	addressed := newAddressing("!", "@usher:example.org", "Usher", nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		type piece struct {
			raw string
			e   *rawEvent
		}
		var got []piece
		err := eachEvent(b, func(e *rawEvent) {
			_, _ = e.received(time.Time{})
			addressed.concerns(&e.content)
			kept := *e
			got = append(got, piece{string(e.raw), &kept})
		}, func(raw []byte, fault string) { got = append(got, piece{raw: string(raw)}) })
		if len(b) > 10_000 || !json.Valid(b) || !utf8.Valid(b) || bytes.Count(b, []byte("events"))+bytes.Count(b, []byte(`\u`)) > 1 {
			return // what encoding/json makes of it says nothing
		}
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var top map[string]json.RawMessage
		var want []json.RawMessage
		if json.Unmarshal(b, &top) != nil || json.Unmarshal(top["events"], &want) != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d pieces, want %d", b, len(got), len(want))
		}
		for i, p := range got {
			if p.raw != string(want[i]) {
				t.Fatalf("%q: piece %d is %q", b, i, p.raw)
			}
			if p.e != nil {
				compare(t, p.e, want[i])
			}
		}
	})
}

func compare(t *testing.T, e *rawEvent, raw json.RawMessage) {
	t.Helper()
	var fields, content map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(fields["content"], &content) // may be anything
	for name, pair := range map[string][2][]byte{
		"type": {e.typ, fields["type"]}, "sender": {e.sender, fields["sender"]}, "state_key": {e.stateKey, fields["state_key"]},
		"event_id": {e.id, fields["event_id"]}, "room_id": {e.room, fields["room_id"]}, "redacts": {e.redacts, fields["redacts"]},
		"ts": {e.ts, fields["origin_server_ts"]}, "content": {e.content.raw, fields["content"]}, "body": {e.content.body, content["body"]},
		"msgtype": {e.content.msgtype, content["msgtype"]}, "membership": {e.content.membership, content["membership"]},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Fatalf("%s of %s: %q, want %q", name, raw, pair[0], pair[1])
		}
	}
}
