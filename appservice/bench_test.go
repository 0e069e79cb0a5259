package appservice

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// BenchmarkIngest compares the intake with a yardstick that reads the body, checks that it is JSON and answers: the
// events of a busy server (65 % messages, 20 % member events, ~400 B each), no commands, over one connection.
func BenchmarkIngest(b *testing.B) {
	for _, count := range []int{1, 10, 100} {
		body := traffic(count)
		b.Run(fmt.Sprintf("limit/%d", count), func(b *testing.B) { pour(b, yardstick(), body, count) })
		b.Run(fmt.Sprintf("intake/%d", count), func(b *testing.B) { pour(b, benchIntake(), body, count) })
	}
}

// BenchmarkSort is the intake without HTTP, beside a mere validity check.
func BenchmarkSort(b *testing.B) {
	body := traffic(100)
	b.Run("gjson.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if !gjson.ValidBytes(body) {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("validJSON", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if !exactjson.Valid(body) {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("sort", func(b *testing.B) {
		n, t := benchIntake(), &work{body: body}
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			t.events = 0
			if err := n.sort(t, "1"); err != nil || t.events != 100 {
				b.Fatal(err, t.events)
			}
		}
	})
}

type noInbox struct{}

func (noInbox) Receive(context.Context, []invites.Received, ...invites.MemberEvent) ([]invites.Received, error) {
	panic("a command")
}
func (noInbox) Quarantine(context.Context, []invites.Undecodable) error     { panic("undecodable") }
func (noInbox) Redact(context.Context, id.EventID, id.UserID) (bool, error) { panic("a redaction") }

type noWatcher struct{}

func (noWatcher) Changed(id.RoomID, room.Key) {}
func (noWatcher) Invalidate(id.RoomID)        {}
func (noWatcher) InvalidateAll()              {}
func (noWatcher) Forget(id.RoomID, id.EventID, ...room.Key) []room.Key {
	return nil
}

type noSink struct{ Sink }

func (noSink) Guarded(id.RoomID) bool { return false }
func (noSink) Claimed(id.RoomID) bool { return false }

func (noSink) Addressed(id.RoomID, id.UserID) bool { return false }
func (noSink) Left(id.RoomID, id.UserID)           {}

func benchIntake() *Intake {
	return NewIntake(IntakeOptions{
		Inbox: noInbox{}, Watcher: noWatcher{}, Sink: noSink{},
		Tokens: Tokens{HS: "hush"}, Bot: "@usher:example.org", DisplayName: "Usher", Prefix: "!", Log: zerolog.Nop(),
	})
}

func yardstick() http.Handler {
	pool := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hush" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		buffer := pool.Get().(*bytes.Buffer)
		defer pool.Put(buffer)
		buffer.Reset()
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
		if _, err := buffer.ReadFrom(r.Body); err != nil || !gjson.ValidBytes(buffer.Bytes()) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
}

// pour sends the same transaction again and again over one connection.
func pour(b *testing.B, h http.Handler, body []byte, count int) {
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hush\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answers := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if err := readAnswer(answers); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "events/s")
}

func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%s, %v", line, err)
	}
	for len(line) > 2 {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
	}
	_, err = r.Discard(2) // {}
	return err
}

// traffic makes a transaction as Synapse formats it.
func traffic(count int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	list := make([]string, count)
	for i := range list {
		list[i] = someEvent(random, i)
	}
	return []byte(`{"events":[` + strings.Join(list, ",") + `]}`)
}

func someEvent(random *rand.Rand, i int) string {
	const words = "so the door stood open all night and nobody came through it which is odd since the party had been announced to everybody"
	user, in := fmt.Sprintf("@user%d:example.org", random.IntN(500)), fmt.Sprintf("!room%dabcdefghijk:example.org", random.IntN(50))
	content, typ, key := "", "", ""
	switch p := i % 20; { // 65 %, 20 %, 15 %
	case p < 13:
		typ = "m.room.message"
		content = fmt.Sprintf(`{"msgtype":"m.text","body":%q,"m.mentions":{}}`, words[:30+random.IntN(len(words)-30)])
	case p < 17:
		typ, key = "m.room.member", fmt.Sprintf(`"state_key":%q,`, user)
		content = fmt.Sprintf(`{"membership":"join","displayname":"User %d","avatar_url":"mxc://example.org/abcdefghijklmnopqrstuvwx"}`, i)
	default:
		typ = "m.reaction"
		content = fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$%043d","key":"👍"}}`, i)
	}
	return fmt.Sprintf(`{"type":%q,"room_id":%q,"sender":%q,"content":%s,%s"origin_server_ts":1763900000000,"unsigned":{"age":%d},"event_id":"$%043d","user_id":%q,"age":%d}`,
		typ, in, user, content, key, random.IntN(1e5), random.Int64N(1e15), user, random.IntN(1e5))
}
