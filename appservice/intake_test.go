package appservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// desk is everything the intake talks to, recording.
type desk struct {
	log        []string // what was called, in order
	seen       map[id.EventID]bool
	fail       error // of Receive
	failRedact error
	committed  bool // whether a failing Receive takes effect
	delivered  []invites.Received
	broken     []invites.Undecodable
	notReady   []string
	commits    []bool // in turn, whether they went well
	guarded    bool   // every room
	claimed    bool   // every room
	wide       bool   // note claims and redactions too
	state      map[id.EventID][]room.Key
}

func (d *desk) note(format string, args ...any) { d.log = append(d.log, fmt.Sprintf(format, args...)) }

func (d *desk) Receive(ctx context.Context, events []invites.Received, members ...invites.MemberEvent) ([]invites.Received, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("no deadline")
	}
	if d.fail != nil && !d.committed {
		return nil, d.fail
	}
	var fresh []invites.Received
	for _, e := range events {
		if !d.seen[e.Event] {
			d.seen[e.Event] = true
			e.Seq = int64(len(d.seen))
			fresh = append(fresh, e)
		}
	}
	if d.fail != nil {
		return nil, d.fail
	}
	for _, m := range members {
		note := fmt.Sprintf("%s of %s by %s", m.Membership, m.Target, m.Sender)
		if m.Token != "" {
			note += " token " + m.Name
		}
		d.note("%s", note)
	}
	if len(events) > 0 {
		d.note("receive %d/%d", len(fresh), len(events))
	}
	return fresh, nil
}

func (d *desk) Quarantine(_ context.Context, broken []invites.Undecodable) error {
	d.broken = append(d.broken, broken...)
	d.note("quarantine %d", len(broken))
	return nil
}

func (d *desk) Redact(_ context.Context, event id.EventID, sender id.UserID) (bool, error) {
	d.note("redact %s %s", event, sender)
	return d.failRedact == nil, d.failRedact
}

func (d *desk) Changed(r id.RoomID, k room.Key) { d.note("changed %s %s %s", r, k.Type, k.StateKey) }
func (d *desk) Invalidate(r id.RoomID)          { d.note("invalidate %s", r) }
func (d *desk) InvalidateAll()                  { d.note("invalidate all") }

func (d *desk) Forget(r id.RoomID, e id.EventID, suspects ...room.Key) []room.Key {
	if d.wide {
		d.note("redacted %s %s", r, e)
	}
	if e == "$unknown" {
		return suspects
	}
	return d.state[e]
}

func (d *desk) Deliver(fresh []invites.Received) {
	d.note("deliver %d", len(fresh))
	d.delivered = append(d.delivered, fresh...)
}

func (d *desk) Recover()                 { d.note("recover") }
func (d *desk) Guarded(r id.RoomID) bool { return d.guarded && r == "!r" }
func (d *desk) Claimed(r id.RoomID) bool { return d.claimed && r == "!r" }

func (d *desk) Left(r id.RoomID, banned id.UserID) {
	d.note("left %s", strings.TrimSpace(string(r)+" "+string(banned)))
}

func (d *desk) Addressed(r id.RoomID, _ id.UserID) bool { return r == "!direct" }

func (d *desk) Reasons() []string   { return d.notReady }
func (d *desk) Committed(err error) { d.commits = append(d.commits, err == nil) }

func (d *desk) intake() *Intake {
	d.seen = map[id.EventID]bool{}
	return NewIntake(IntakeOptions{
		Inbox: d, Watcher: d, Sink: d, Tokens: Tokens{HS: "hush"}, Bot: "@usher:example.org", DisplayName: "Usher", Prefix: "!",
		Limits: Limits{Body: 1 << 20},
		Health: d,
		Now:    func() time.Time { return time.UnixMilli(1000) },
		Log:    zerolog.Nop(),
	})
}

// put sends a transaction and returns status and body of the answer.
func put(h http.Handler, body string) (int, string) {
	return ask(h, http.MethodPut, "/_matrix/app/v1/transactions/7", body, "Bearer hush")
}

func ask(h http.Handler, method, path, body, token string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// event makes one event of the room !r by @a:x; extra replaces or adds fields.
func event(typ, eventID, content, extra string) string {
	return fmt.Sprintf(`{"type":%q,"event_id":%q,"room_id":"!r","sender":"@a:x","origin_server_ts":900,"content":%s%s}`, typ, eventID, content, extra)
}

func text(eventID, body string) string {
	return event("m.room.message", eventID, fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, body), "")
}

func batch(list ...string) string { return `{"events":[` + strings.Join(list, ",") + `]}` }

func TestTransactions(t *testing.T) {
	member := func(who, membership string) string {
		return event("m.room.member", "$m"+who, fmt.Sprintf(`{"membership":%q}`, membership), fmt.Sprintf(`,"state_key":%q`, who))
	}
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"chat costs nothing": {batch(text("$1", "hello"), text("$2", "how are you?")), nil},
		"command":            {batch(text("$1", "!help")), []string{"receive 1/1", "deliver 1"}},
		"one commit for all": {batch(text("$1", "!a"), text("$2", "x"), text("$3", "!b")), []string{"receive 2/2", "deliver 2"}},
		"twice in one":       {batch(text("$1", "!a"), text("$1", "!a")), []string{"receive 1/2", "deliver 1"}},
		"the bot's own":      {batch(strings.Replace(text("$1", "!a"), "@a:x", "@usher:example.org", 1)), nil},
		"a bad neighbour":    {batch("null", text("$1", "!a"), `{"x":"\q"}`), []string{"invalidate all", "receive 2/2", "deliver 2", "quarantine 2"}},
		"bad content":        {batch(event("m.room.message", "$1", `[]`, "")), []string{"quarantine 1"}},
		"bad time":           {batch(strings.Replace(text("$1", "!a"), "900", "1.5", 1)), []string{"quarantine 1"}},
		"folded sender":      {batch(strings.Replace(text("$1", "!a"), `}}`, `},"ſender":"@root:x"}`, 1)), []string{"receive 1/1", "deliver 1"}},
		"encrypted":          {batch(event("m.room.encrypted", "$1", `{"ciphertext":"x"}`, "")), nil},
		"power levels":       {batch(event("m.room.power_levels", "$1", `{}`, `,"state_key":""`)), []string{"changed !r m.room.power_levels "}},
		"odd state key":      {batch(event("m.room.name", "$1", `{}`, `,"state_key":5`)), []string{"invalidate !r", "receive 1/1", "deliver 1", "quarantine 1"}},
		"state with a bad time": {
			batch(strings.Replace(event("m.room.topic", "$1", `[]`, `,"state_key":"x"`), "900", `"x"`, 1)), []string{"changed !r m.room.topic x"},
		},
		"somebody joins": {batch(member("@b:x", "join")), []string{"changed !r m.room.member @b:x"}},
		"people leave": {
			batch(member("@b:x", "leave"), member("@c:x", "ban")),
			[]string{"changed !r m.room.member @b:x", "changed !r m.room.member @c:x", "left !r", "left !r @c:x"},
		},
		"the bot is invited": {
			batch(member("@usher:example.org", "invite")), []string{"changed !r m.room.member @usher:example.org", "receive 1/1", "deliver 1"},
		},
		"somebody knocks": {
			batch(member("@b:x", "knock")), []string{"changed !r m.room.member @b:x", "receive 1/1", "deliver 1"},
		},
		"somebody is invited": {
			batch(member("@b:x", "invite")), []string{"changed !r m.room.member @b:x", "invite of @b:x by @a:x"},
		},
		"and joins at once, beside others": {
			batch(member("@b:x", "invite"), member("@c:x", "join"), member("@b:x", "join"), text("$1", "!a")),
			[]string{"changed !r m.room.member @b:x", "changed !r m.room.member @c:x", "changed !r m.room.member @b:x",
				"invite of @b:x by @a:x", "join of @b:x by @a:x", "receive 1/1", "deliver 1"},
		},
		"an invitation without a time": {
			batch(strings.Replace(member("@b:x", "invite"), "900", "null", 1)),
			[]string{"changed !r m.room.member @b:x", "invalidate !r", "changed !r m.room.member @b:x", "invite of @b:x by @a:x", "quarantine 1"},
		},
		"an address is invited, and taken up": {
			batch(event("m.room.third_party_invite", "$t", `{"display_name":"a...@e...","public_key":"k"}`, `,"state_key":"token"`),
				event("m.room.member", "$m", `{"membership":"invite","third_party_invite":{"signed":{"token":"token"}}}`, `,"state_key":"@b:x"`)),
			[]string{"changed !r m.room.third_party_invite token", "changed !r m.room.member @b:x", "address_invited of  by @a:x token a...@e...", "invite of @b:x by @a:x token "},
		},
		"the invitation of an address is withdrawn": {
			batch(event("m.room.third_party_invite", "$t", `{"display_name":"a...@e..."}`, `,"state_key":"token"`)),
			[]string{"changed !r m.room.third_party_invite token", "address_gone of  by @a:x token a...@e..."},
		},
		"an address without an event id": {
			batch(event("m.room.third_party_invite", "", `{"public_keys":[]}`, `,"state_key":"token"`)),
			[]string{"changed !r m.room.third_party_invite token", "invalidate !r", "receive 1/1", "deliver 1", "quarantine 1"},
		},
		"tombstone": {
			batch(event("m.room.tombstone", "$1", `{"replacement_room":"!n"}`, `,"state_key":""`)),
			[]string{"changed !r m.room.tombstone ", "receive 1/1", "deliver 1"},
		},
		"a command called like state": {batch(event("m.room.member", "$1", `{"msgtype":"m.text","body":"!a"}`, "")), nil},
		"redaction":                   {batch(event("m.room.redaction", "$1", `{}`, `,"redacts":"$9"`)), []string{"redact $9 @a:x"}},
		"redaction, v11":              {batch(event("m.room.redaction", "$1", `{"redacts":"$9"}`, "")), []string{"redact $9 @a:x"}},
		"redaction, both":             {batch(event("m.room.redaction", "$1", `{"redacts":"$9"}`, `,"redacts":"$9"`)), []string{"redact $9 @a:x"}},
		"redaction of nothing":        {batch(event("m.room.redaction", "$1", `{"redacts":[]}`, `,"redacts":{}`)), nil},
		"empty":                       {`{}`, nil},
		"not an object":               {`[]`, []string{"invalidate all", "receive 1/1", "deliver 1", "quarantine 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := new(desk)
			if status, body := put(d.intake(), c.body); status != http.StatusOK || body != "{}" {
				t.Errorf("answered %d %s", status, body)
			}
			if !slices.Equal(d.log, c.want) {
				t.Errorf("called %q, want %q", d.log, c.want)
			}
		})
	}
}

func TestTransactionAgain(t *testing.T) {
	d := new(desk)
	n := d.intake()
	for _, body := range []string{batch(text("$1", "!a")), batch(text("$1", "!a")), batch(text("$2", "!b"), text("$1", "!a"))} {
		if status, _ := put(n, body); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	if want := []string{"receive 1/1", "deliver 1", "receive 0/1", "receive 1/2", "deliver 1"}; !slices.Equal(d.log, want) {
		t.Errorf("called %q", d.log)
	}
}

// TestPending shows that a join costs a write once: when it ends an invitation.
func TestPending(t *testing.T) {
	d := new(desk)
	n := d.intake()
	n.o.Watcher = noWatcher{}
	n.o.Index.Pending.Add("!r", "@b:x")
	join := event("m.room.member", "$j", `{"membership":"join"}`, `,"state_key":"@b:x"`)
	d.fail = errors.New("disk full")
	if status, _ := put(n, batch(join)); status != http.StatusServiceUnavailable {
		t.Fatal(status)
	}
	d.fail = nil
	put(n, batch(join))
	put(n, batch(join))
	if want := []string{"join of @b:x by @a:x", "recover"}; !slices.Equal(d.log, want) {
		t.Errorf("called %q, want %q", d.log, want)
	}
}

// TestCards shows which reactions, and which redactions, reach the inbox: those that decide about an open card.
func TestCards(t *testing.T) {
	d := new(desk)
	n := d.intake()
	n.o.Encrypted = true
	n.o.Index.Cards.Open("$card", "$old")
	sealed := func(eventID, on string) string {
		return event("m.room.encrypted", eventID, fmt.Sprintf(`{"algorithm":"m.megolm.v1.aes-sha2","m.relates_to":{"rel_type":"m.annotation","event_id":%q}}`, on), "")
	}
	reaction := func(eventID, on, key string) string {
		return event("m.reaction", eventID, fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":%q,"key":%q}}`, on, key), "")
	}
	for _, step := range []struct {
		name, event string
		want        []string
	}{
		{"another message", reaction("$1", "$other", invites.ReactAccept), nil},
		{"another key", reaction("$2", "$card", "🎉"), nil},
		{"the bot's own", strings.Replace(reaction("$3", "$card", invites.ReactAccept), "@a:x", "@usher:example.org", 1), nil},
		{"a ban", reaction("$4a", "$card", invites.ReactBan), []string{"receive 1/1", "deliver 1"}},
		{"no annotation", strings.Replace(reaction("$4", "$card", invites.ReactAccept), "m.annotation", "m.reference", 1), nil},
		{"a vote", reaction("$5", "$card", invites.ReactAccept+"\uFE0F"), []string{"receive 1/1", "deliver 1"}},
		{"taken back", event("m.room.redaction", "$6", `{"redacts":"$5"}`, ""), []string{"receive 1/1", "redact $5 @a:x", "deliver 1"}},
		{"an encrypted one", sealed("$5e", "$card"), []string{"receive 1/1", "deliver 1"}},
		{"taken back too", event("m.room.redaction", "$6e", `{"redacts":"$5e"}`, ""), []string{"receive 1/1", "redact $5e @a:x", "deliver 1"}},
		{"an encrypted one to another message", sealed("$5f", "$other"), nil},
		{"one of before the restart", event("m.room.redaction", "$7", `{}`, `,"redacts":"$old"`), []string{"receive 1/1", "redact $old @a:x", "deliver 1"}},
		{"another reaction taken back", event("m.room.redaction", "$8", `{}`, `,"redacts":"$1"`), []string{"redact $1 @a:x"}},
		{"the card removed", event("m.room.redaction", "$9", `{}`, `,"redacts":"$card"`), []string{"receive 1/1", "redact $card @a:x", "deliver 1"}},
	} {
		d.log = nil
		if status, _ := put(n, batch(step.event)); status != http.StatusOK || !slices.Equal(d.log, step.want) {
			t.Errorf("%s: answered %d, called %q, want %q", step.name, status, d.log, step.want)
		}
	}
	n.o.Index.Cards.Close("$card")
	d.log = nil
	put(n, batch(reaction("$10", "$card", invites.ReactDecline), event("m.room.redaction", "$11", `{}`, `,"redacts":"$5"`)))
	if want := []string{"redact $5 @a:x"}; !slices.Equal(d.log, want) {
		t.Errorf("closed: called %q", d.log)
	}
}

func TestReceivedRaw(t *testing.T) {
	d := new(desk)
	n := d.intake()
	first := text("$1", "!a")
	put(n, batch(first))
	put(n, batch(strings.Repeat(text("$2", "x")+",", 50)+text("$3", "y"))) // takes over the buffer
	if got := string(d.delivered[0].Raw); got != first {
		t.Errorf("kept %s", got)
	}
}

func TestRedactedInOneTransaction(t *testing.T) {
	d := new(desk)
	put(d.intake(), batch(text("$1", "!a"), text("$2", "!b"), event("m.room.redaction", "$3", `{}`, `,"redacts":"$1"`)))
	if len(d.delivered) != 2 || !d.delivered[0].Redacted || d.delivered[1].Redacted {
		t.Errorf("delivered %+v", d.delivered)
	}
}

func TestCommitFails(t *testing.T) {
	d := &desk{fail: errors.New("disk full")}
	n := d.intake()
	body := batch(event("m.room.name", "$0", `{}`, `,"state_key":""`), "null", text("$1", "!a"))
	if status, answer := put(n, body); status != http.StatusServiceUnavailable || !strings.Contains(answer, `"M_UNKNOWN"`) {
		t.Errorf("answered %d %s", status, answer)
	}
	if want := []string{"changed !r m.room.name ", "invalidate all"}; !slices.Equal(d.log, want) {
		t.Errorf("called %q", d.log)
	}
	// It had taken effect after all: what comes again is not new, so somebody has to look.
	d.committed = true
	put(n, body)
	d.log, d.fail = nil, nil
	put(n, body)
	if want := []string{"changed !r m.room.name ", "invalidate all", "receive 0/2", "recover", "quarantine 1"}; !slices.Equal(d.log, want) {
		t.Errorf("called %q", d.log)
	}
}

func TestRedactFails(t *testing.T) {
	d := &desk{failRedact: errors.New("locked")}
	status, _ := put(d.intake(), batch(text("$1", "!a"), event("m.room.redaction", "$3", `{}`, `,"redacts":"$1"`)))
	if want := []string{"receive 1/1", "redact $1 @a:x", "deliver 1"}; status != http.StatusServiceUnavailable || !slices.Equal(d.log, want) {
		t.Errorf("answered %d, called %q", status, d.log)
	}
}

func TestEndpoints(t *testing.T) {
	const v1, token = "/_matrix/app/v1", "Bearer hush"
	for _, c := range []struct {
		name, method, path, body, token string
		status                          int
		answer                          string
	}{
		{"legacy path", "PUT", "/transactions/1", "{}", token, 200, "{}"},
		{"token in the query alone", "PUT", v1 + "/transactions/1?access_token=hush", "{}", "", 401, "M_MISSING_TOKEN"},
		{"token in the query too", "PUT", v1 + "/transactions/1?access_token=hush", "{}", token, 200, "{}"},
		{"no token", "PUT", v1 + "/transactions/1", "{}", "", 401, "M_MISSING_TOKEN"},
		{"empty token", "PUT", v1 + "/transactions/1", "{}", "Bearer ", 401, "M_MISSING_TOKEN"},
		{"wrong token", "PUT", v1 + "/transactions/1", "{}", "Bearer hust", 403, "M_FORBIDDEN"},
		{"wrong token in the query", "PUT", v1 + "/transactions/1?access_token=a", "{}", "", 401, "M_MISSING_TOKEN"},
		{"wrong token beside a right one", "PUT", v1 + "/transactions/1?access_token=hush", "{}", "Bearer a", 403, "M_FORBIDDEN"},
		{"other method", "POST", v1 + "/transactions/1", "{}", token, 405, "M_UNRECOGNIZED"},
		{"not JSON", "PUT", v1 + "/transactions/1", "hello", token, 400, "M_NOT_JSON"},
		{"too large", "PUT", v1 + "/transactions/1", strings.Repeat(" ", 1<<20+1), token, 413, "M_TOO_LARGE"},
		{"own user", "GET", v1 + "/users/@usher:example.org", "", token, 200, "{}"},
		{"own user, escaped", "GET", v1 + "/users/%40usher%3Aexample.org", "", token, 200, "{}"},
		{"own user, legacy", "GET", "/users/@usher:example.org", "", token, 200, "{}"},
		{"other user", "GET", v1 + "/users/@a:example.org", "", token, 404, "M_NOT_FOUND"},
		{"user without a token", "GET", v1 + "/users/@usher:example.org", "", "", 401, "M_MISSING_TOKEN"},
		{"alias", "GET", v1 + "/rooms/%23a:example.org", "", token, 404, "M_NOT_FOUND"},
		{"ping", "POST", v1 + "/ping", `{"transaction_id":"a"}`, token, 200, "{}"},
		{"ping by GET", "GET", v1 + "/ping", "", token, 405, "M_UNRECOGNIZED"},
		{"unknown", "GET", v1 + "/thirdparty/location", "", token, 404, "M_UNRECOGNIZED"},
		{"live", "GET", "/_matrix/mau/live", "", "", 200, "{}"},
		{"ready", "GET", "/_matrix/mau/ready", "", "", 200, `{"ready":true,"reasons":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := ask(new(desk).intake(), c.method, c.path, c.body, c.token)
			if status != c.status || !strings.Contains(answer, c.answer) || !exactjson.Valid([]byte(answer)) {
				t.Errorf("answered %d %s", status, answer)
			}
		})
	}
}

func TestReadyAndDrain(t *testing.T) {
	d := &desk{notReady: []string{"database: locked"}}
	n := d.intake()
	if status, answer := ask(n, "GET", "/_matrix/mau/ready", "", ""); status != 503 || answer != `{"ready":false,"reasons":["database: locked"]}` {
		t.Errorf("answered %d %s", status, answer)
	}
	n.Drain()
	if status, answer := put(n, "{}"); status != 503 || !strings.Contains(answer, "M_UNKNOWN") {
		t.Errorf("answered %d %s", status, answer)
	}
	d.notReady = nil
	if status, _ := ask(n, "GET", "/_matrix/mau/ready", "", ""); status != 503 {
		t.Errorf("answered %d", status)
	}
	if status, _ := ask(n, "GET", "/_matrix/mau/live", "", ""); status != 200 {
		t.Errorf("answered %d", status)
	}
}

func TestMuchBroken(t *testing.T) {
	d := new(desk)
	put(d.intake(), batch(strings.Repeat("null,", 1000)+`"`+strings.Repeat("x", maxQuarantine)+`"`, text("$1", "!a")))
	if len(d.broken) != maxBroken || len(d.delivered) != 2 { // the command, and one wake for all of it
		t.Errorf("kept %d, delivered %d", len(d.broken), len(d.delivered))
	}
	d = new(desk)
	put(d.intake(), batch(`"`+strings.Repeat("x", maxQuarantine)+`"`))
	if len(d.broken) != 1 || len(d.broken[0].Raw) != maxQuarantine || d.broken[0].Transaction != "7" || d.broken[0].Fault != faultNoEvent {
		t.Errorf("kept %d bytes of transaction %q", len(d.broken[0].Raw), d.broken[0].Transaction)
	}
}

// TestSlowBody shows that a homeserver that stops in the middle does not hold a connection for ever.
func TestSlowBody(t *testing.T) {
	d := new(desk)
	n := d.intake()
	n.o.Now, n.o.Limits.Read = time.Now, 50*time.Millisecond
	server := httptest.NewServer(n)
	defer server.Close()
	body, stuck := newStuck(`{"events":[`)
	defer stuck()
	r, err := http.NewRequest(http.MethodPut, server.URL+"/transactions/1", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer hush")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return // cut off before the answer was read: fine too
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestIntakeOfPolicies: a policy event and both sides of a link to a space are kept for the inbox, and a redaction is told.
func TestIntakeOfPolicies(t *testing.T) {
	d := &desk{}
	n := d.intake()
	d.wide = true
	events := event("chat.usher.policy", "$p", `{"version":1}`, `,"state_key":""`) + "," +
		event("chat.usher.policy", "$q", `{"version":1}`, `,"state_key":"x"`) + "," +
		event("m.space.child", "$c", `{"via":["x"]}`, `,"state_key":"!child"`) + "," +
		event("m.space.parent", "$d", `{"via":["x"]}`, `,"state_key":"!space"`) + "," +
		event("m.room.redaction", "$r", `{"redacts":"$x"}`, "")
	status, _ := put(n, `{"events":[`+events+`]}`)
	var delivered []id.EventID
	for _, e := range d.delivered {
		delivered = append(delivered, e.Event)
	}
	if status != 200 || !slices.Equal(delivered, []id.EventID{"$p", "$c", "$d"}) {
		t.Errorf("got %d, delivered %q", status, delivered)
	}
	for _, want := range []string{"redacted !r $x"} {
		if !slices.Contains(d.log, want) {
			t.Errorf("no %q in %q", want, d.log)
		}
	}
}

// TestIntakeOfRedactions: a redaction is kept where it may be of state whose changes are kept: a policy anywhere, levels and join rules in guarded rooms, no
// matter where the redaction names the event.
func TestIntakeOfRedactions(t *testing.T) {
	for name, c := range map[string]struct {
		in       string
		guarded  bool
		redacted string
		kept     bool
	}{
		"of a message":                        {"!r", true, "$message", false},
		"of a policy":                         {"!r", false, "$policy", true},
		"of an unknown event":                 {"!r", false, "$unknown", true},
		"of levels in a guarded room":         {"!r", true, "$levels", true},
		"of levels in a room without a guard": {"!r", false, "$levels", false},
		"of a membership":                     {"!r", true, "$member", false},
		"of a link to a space":                {"!r", false, "$parent", true},
	} {
		for _, version := range []string{`{"redacts":"` + c.redacted + `"}`, `{}`} {
			d := &desk{guarded: c.guarded, state: map[id.EventID][]room.Key{
				"$policy": {{Type: "chat.usher.policy"}}, "$levels": {{Type: "m.room.power_levels"}}, "$member": {{Type: "m.room.member", StateKey: "@a:x"}},
				"$parent": {{Type: "m.space.parent", StateKey: "!space:x"}},
			}}
			more := ""
			if version == `{}` {
				more = `,"redacts":"` + c.redacted + `"`
			}
			status, _ := put(d.intake(), `{"events":[`+event("m.room.redaction", "$r", version, more)+`]}`)
			if kept := len(d.delivered) == 1; status != 200 || kept != c.kept {
				t.Errorf("%s, %s%s: %d, kept %t", name, version, more, status, kept)
			}
		}
	}
}

// newStuck is a body that never ends until it is released.
func newStuck(start string) (body io.Reader, release func()) {
	r, w := io.Pipe()
	return io.MultiReader(strings.NewReader(start), r), func() { w.Close() }
}

// TestLateMembers: the intake keeps when a user's own membership came if the user's server dated it far earlier, and nothing of others.
func TestLateMembers(t *testing.T) {
	for name, tt := range map[string]struct {
		user string
		late time.Duration
		want []string
	}{
		"late":                  {"@a:x", time.Hour, []string{"join of @a:x by @a:x"}},
		"in time":               {"@a:x", 10 * time.Second, nil},
		"of the own homeserver": {"@a:example.org", time.Hour, nil},
	} {
		d := new(desk)
		join := event("m.room.member", "$j", `{"membership":"join"}`, `,"state_key":"`+tt.user+`"`)
		join = strings.ReplaceAll(join, `"sender":"@a:x"`, `"sender":"`+tt.user+`"`)
		join = regexp.MustCompile(`"origin_server_ts":\d+`).ReplaceAllString(join, fmt.Sprintf(`"origin_server_ts":%d`, time.Now().Add(-tt.late).UnixMilli()))
		n := d.intake()
		n.o.Watcher, n.o.Now = noWatcher{}, time.Now
		if put(n, batch(join)); !slices.Equal(d.log, tt.want) {
			t.Errorf("%s: called %q, want %q", name, d.log, tt.want)
		}
	}
}
