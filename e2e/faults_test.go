package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher/e2e/fault"
	"usher/e2e/stub"
)

// named is a fault by its name.
type named struct {
	name string
	f    stub.Fault
}

// homeserverFaults are what may become of a request that Usher waits for no longer than so long.
func homeserverFaults(patience time.Duration) []named {
	json := http.Header{"Content-Type": {"application/json"}}
	limited := http.Header{"Retry-After": {"1"}}
	late := patience + 500*time.Millisecond
	return []named{
		{"503", stub.Fault{Status: 503, Body: `{"errcode":"M_UNKNOWN"}`}},
		{"403 of a module", stub.Fault{Status: 403, Header: json, Body: `{"errcode":"M_UNKNOWN","error":"Failed to connect to antispam server"}`}},
		{"500 in HTML", stub.Fault{Status: 500, Body: `<html>`}},
		{"reset", stub.Fault{Reset: true}},
		{"answer lost", stub.Fault{After: true, Reset: true}},
		{"half an answer", stub.Fault{After: true, Half: true}},
		{"200 without JSON", stub.Fault{After: true, Status: 200, Body: `<html>`}},
		{"200 with half the JSON", stub.Fault{After: true, Status: 200, Header: json, Body: `{"a":`}},
		{"timeout", stub.Fault{Latency: late, Reset: true}},
		{"answer too late", stub.Fault{After: true, Latency: late, Reset: true}},
		{"429 with a header", stub.Fault{Status: 429, Header: limited}},
		{"429 with a body", stub.Fault{Status: 429, Header: json, Body: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":300}`}},
		{"redirect", stub.Fault{Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}},
	}
}

// faultyPlaces are the requests that a command depends on.
var faultyPlaces = []struct{ name, method, suffix string }{
	{"invite", "POST", "/invite"}, {"state", "GET", "/m.room.power_levels/"}, {"answer", "PUT", ""},
}

// TestHomeserverFaults: whatever becomes of a request or its answer, the invitation is made once and the command answered once.
func TestHomeserverFaults(t *testing.T) {
	q := newQuick(t, m{"appservice.request_timeout": "1s"})
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	met := func(t *testing.T, room, guest string, f stub.Fault) {
		t.Parallel()
		q := quick{Server: q.Server, Usher: q.Usher, t: t}
		f.In, f.Times = room, 1
		q.Add(f)
		said := q.Say(room, owner, "!invite "+guest)
		q.answered(room, said)
		q.pinged(room, owner)
		if m, _ := q.Membership(room, guest); m != "invite" {
			t.Errorf("%s is %q", guest, m)
		}
		if reactions, notices := q.answers(room, said); reactions != 1 || notices > 1 {
			t.Errorf("%d reactions, %d notices", reactions, notices)
		}
	}
	t.Run("at", func(t *testing.T) {
		for _, at := range faultyPlaces {
			for i, c := range homeserverFaults(time.Second) {
				f := c.f
				f.Method, f.Suffix = at.method, at.suffix
				room, guest := q.Room(fmt.Sprint(at.name, i), owner), fmt.Sprintf("@%s%d:%s", at.name, i, q.Domain)
				t.Run(at.name+"/"+c.name, func(t *testing.T) { met(t, room, guest, f) })
			}
		}
	})
	if again := q.SentAgain(); len(again) > 0 {
		t.Errorf("sent again after they took effect: %v", again)
	}
	q.pinged(in, owner)
}

// pinged waits until all said in a room before is done, as far as its lane goes.
func (q *quick) pinged(in, who string) {
	q.t.Helper()
	said := q.Say(in, who, "!ping")
	q.await("the answer to a !ping", 20*time.Second, func() bool {
		_, notices := q.answers(in, said)
		return notices > 0
	})
}

// TestSlowHomeserver: however long the homeserver takes to answer, a transaction is answered in under a second.
func TestSlowHomeserver(t *testing.T) {
	q := newQuick(t, nil)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.Script(stub.Fault{Latency: 1500 * time.Millisecond, Serve: true})
	said := q.Say(in, owner, "!invite @guest:"+q.Domain)
	for range 20 {
		q.Say(in, owner, "!help")
	}
	q.answered(in, said)
	if n, slowest := q.Taken(); n < 1 || slowest > time.Second {
		t.Errorf("%d transactions, the slowest took %s", n, slowest)
	}
}

// TestOutage: the homeserver is gone while commands wait; when it is back all is done without a hand on it.
func TestOutage(t *testing.T) {
	q := newQuick(t, nil)
	owner := "@owner:" + q.Domain
	q.start()
	q.Script(stub.Fault{Reset: true})
	said := map[string]string{}
	for i := range 5 {
		in := q.Room(fmt.Sprint("room", i), owner)
		said[in] = q.Say(in, owner, fmt.Sprintf("!invite @guest%d:%s", i, q.Domain))
	}
	q.eventually("for Usher to try each", func() bool { return q.Requests() > 15 })
	q.Usher.Kill() // and that does not make it worse
	q.Script()
	q.start()
	for in, command := range said {
		q.answered(in, command)
	}
	if again := q.SentAgain(); len(again) > 0 {
		t.Errorf("sent again: %v", again)
	}
}

// TestPaced: forty people are invited under a limit that lets ten pass at once, with hardly more requests than that, in the time that
// the limit leaves, and the command is answered once. Others are not held up.
func TestPaced(t *testing.T) {
	q := newQuick(t, nil)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	other, another := q.Room("other", "@another:"+q.Domain), "@another:"+q.Domain
	q.start()
	limit := fault.Limit{PerSecond: 2, Burst: 10}
	q.Script(stub.Fault{Suffix: "/invite", In: in, Limit: &limit})
	command := "!invite"
	for i := range 40 {
		command += fmt.Sprintf(" @guest%d:%s", i, q.Domain)
	}
	said, start := q.Say(in, owner, command), time.Now()
	q.confirmed(in, owner, said)
	q.await("word of the delay", 10*time.Second, func() bool {
		_, notices := q.answers(in, said)
		return notices == 1
	})
	q.answered(other, q.Say(other, another, "!invite @guest:"+q.Domain))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("another was answered after %s", took)
	}
	q.answered(in, said)
	edits := len(q.Events(in, func(e stub.Event) bool { return e.Sender == string(q.Usher.Bot) && e.Type == "m.room.message" }))
	t.Logf("40 invitations: %d refused requests, %s, %d edits", limit.Refused(), time.Since(start), edits-1)
	if n := limit.Refused(); n > 8 {
		t.Errorf("%d requests too many", n)
	}
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("it took %s, where the limit allows it in 15 s", took)
	}
	if edits > 15 {
		t.Errorf("%d edits", edits)
	}
	if reactions, notices := q.answers(in, said); reactions != 1 || notices != 1 {
		t.Errorf("%d reactions, %d notices", reactions, notices)
	}
}

// TestRateLimitOverRestart: how long the homeserver said to wait counts after a restart too, and the user is told.
func TestRateLimitOverRestart(t *testing.T) {
	q := newQuick(t, nil)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	limit := stub.Fault{Suffix: "/invite", Status: 429, Body: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":4000}`}
	q.Script(limit)
	said, start := q.Say(in, owner, "!invite @guest:"+q.Domain), time.Now()
	q.await("word of the delay", 10*time.Second, func() bool {
		_, notices := q.answers(in, said)
		return notices == 1
	})
	q.Usher.Kill()
	q.Script()
	q.start()
	q.answered(in, said)
	if took := time.Since(start); took < 4*time.Second {
		t.Errorf("sent after %s", took)
	}
	if reactions, notices := q.answers(in, said); reactions != 1 || notices != 1 {
		t.Errorf("%d reactions, %d notices", reactions, notices)
	}
}

// TestHostileTransactions: an event that can't be read, or is none, keeps nobody from the command that comes with it.
func TestHostileTransactions(t *testing.T) {
	q := newQuick(t, nil)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	command := func(id, more string) string {
		return fmt.Sprintf(`{"event_id":%q,"room_id":%q,"type":"m.room.message","sender":%q,"origin_server_ts":%d,"content":{"msgtype":"m.text","body":"!ping"}%s}`,
			id, in, owner, time.Now().UnixMilli(), more)
	}
	for name, bad := range map[string]string{
		"null":           `null`,
		"number":         `1`,
		"array":          `[[]]`,
		"no fields":      `{}`,
		"wrong types":    `{"type":1,"sender":[],"content":"x","room_id":{},"event_id":null}`,
		"time":           command("$time", `,"origin_server_ts":1.5`),
		"folded keys":    command("$folded", `,"ſender":"@evil:x","ſtate_key":""`),
		"lone surrogate": `{"type":"m.room.message","sender":"\ud800","room_id":"!r","event_id":"$s","content":{"msgtype":"m.text","body":"!ping \udc00"}}`,
		"bad UTF-8":      "{\"type\":\"m.room.message\",\"sender\":\"@\xff\",\"content\":{\"body\":\"!\xc0\"}}",
		"deep":           `{"type":"m.room.message","content":{"body":"!x","a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`,
		"not there":      `{"type":"m.room.message","sender":"@a:b","room_id":"!gone:x","event_id":"$gone","origin_server_ts":1,"content":{"msgtype":"m.text","body":"!ping"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			q.t = t
			id := "$good-" + strings.ReplaceAll(name, " ", "-")
			body := `{"ephemeral":[],"de.sorunome.msc2409.to_device":[{}],"unknown":{},"events":[` + bad + "," + command(id, `,"unknown":[{}]`) + `]}`
			if status, err := q.Put(t.Context(), id, []byte(body)); err != nil || status != http.StatusOK {
				t.Fatalf("%d %v", status, err)
			}
			q.await("the answer", 10*time.Second, func() bool { _, n := q.answers(in, id); return n == 1 })
		})
	}
	q.t = t
	for name, body := range map[string]string{"empty": `{"events":[]}`, "no events": `{}`, "50 MB": `{"events":[{"type":"x","content":{"a":"` + strings.Repeat("x", 49<<20) + `"}}]}`} {
		if status, err := q.Put(t.Context(), "whole", []byte(body)); err != nil || status != http.StatusOK {
			t.Errorf("%s: %d %v", name, status, err)
		}
	}
	for name, body := range map[string]string{"truncated": `{"events":[`, "no JSON": `hello`} {
		if status, err := q.Put(t.Context(), "whole", []byte(body)); err != nil || status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, err)
		}
	}
	q.pinged(in, owner)
}
