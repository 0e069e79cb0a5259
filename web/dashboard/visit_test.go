package dashboard_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"
)

var numbers = regexp.MustCompile(`<td class="number"><a href="([^"]+)">(\d+)</a>`)

// fill puts invitations into the ledger, the newest at a time, over a span: of ten, seven accepted, two pending, one declined.
func (o *office) fill(t testing.TB, n int, last time.Time, span time.Duration) {
	t.Helper()
	_, err := o.DB.SQL().ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO ledger (event_id, room_id, target, sender, inviter, way, command, at, seen_at, fate, ended_at, ended_by, ending, reminded, tried_at)
		SELECT '$e' || i, ?, '@person' || i || ':example.org', '@person' || (i / 8) || ':example.org', '@person' || (i / 8) || ':example.org', 'actor', '', ? + i * ?, 0,
			CASE WHEN i % 10 < 7 THEN 'accepted' WHEN i % 10 < 9 THEN 'pending' ELSE 'declined' END, 0, '', CASE WHEN i % 10 IN (7, 8) THEN '' ELSE '$x' || i END, false, 0 FROM n`,
		n, string(lobby), last.Add(-span).UnixMilli(), span.Milliseconds()/int64(n))
	if err != nil {
		t.Fatal(err)
	}
}

// tabs are the pages about the lobby.
var tabs = []string{"", "/ledger", "/ledger?q=person9", "/ledger?q=nobody", "/ledger?fate=banned", "/ledger?by=@person77:example.org", "/people/@person5:example.org", "/tree", "/stats", "/audit"}

// TestPagesAreSound: well-formed, small, complete for those who can't see them, and free of script.
func TestPagesAreSound(t *testing.T) {
	o := open(t, "https://usher.example")
	o.asks(t, "@<b>x</b>:here")
	o.fill(t, 3000, o.Clock.Now(), 60*24*time.Hour)
	o.level = 2
	b := o.login(t, alice)
	b.has(t, "/rooms", 200, page("/ledger?fate=pending")+`">600 open invitations</a>`)
	for _, lang := range []string{"en", "de"} {
		for _, path := range append([]string{"/rooms", "/health", o.offer(t, alice), "/rooms/!none"}, tabs...) {
			if path == "" || strings.HasPrefix(path, "/ledger") || strings.HasPrefix(path, "/people") || slices.Contains([]string{"/tree", "/stats", "/audit"}, path) {
				path = page(path)
			}
			mark := "?"
			if strings.Contains(path, "?") {
				mark = "&"
			}
			w := b.ask("GET", path+mark+"lang="+lang, "")
			if len(w.Body.Bytes()) > 100<<10 {
				t.Errorf("%s has %d bytes", path, w.Body.Len())
			}
			for _, fault := range unsound(w.Body.String()) {
				t.Errorf("%s: %s", path, fault)
			}
		}
	}
}

// void are the elements without an end.
var void = []string{"meta", "link", "input", "img", "br", "hr"}

// unsound returns what is wrong with a page: elements that don't match, attributes and ids twice, fields without labels, headings out of order,
// script and style within the page.
func unsound(page string) (faults []string) {
	var open []string
	ids, labels, fields, level := map[string]bool{}, map[string]bool{}, []string{}, 0
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		token := z.Token()
		switch kind {
		case html.EndTagToken:
			if n := len(open); n == 0 || open[n-1] != token.Data {
				complain("</%s> within %v", token.Data, open)
			} else {
				open = open[:n-1]
			}
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		has := map[string]string{}
		for _, a := range token.Attr {
			if _, twice := has[a.Key]; twice || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				complain("attribute %s in %s", a.Key, token)
			}
			has[a.Key] = a.Val
		}
		if id, is := has["id"]; is && ids[id] {
			complain("id %s twice", id)
		}
		ids[has["id"]] = true
		switch token.Data {
		case "script", "style":
			complain("%s", token)
		case "label":
			labels[has["for"]] = true
		case "input", "select":
			if has["type"] != "hidden" {
				fields = append(fields, has["id"])
			}
		case "table":
		case "th":
			if has["scope"] == "" {
				complain("no scope: %s", token)
			}
		case "h1", "h2", "h3":
			if now := int(token.Data[1] - '0'); now > level+1 {
				complain("h%d after h%d", now, level)
			}
			level = int(token.Data[1] - '0')
		case "button":
			if has["type"] == "" && has["name"] == "" && !slices.Contains(open, "form") {
				complain("a button outside a form: %s", token)
			}
		}
	}
	for _, id := range fields {
		if !labels[id] {
			complain("no label for %q", id)
		}
	}
	if len(open) > 0 {
		complain("left open: %v", open)
	}
	return faults
}

// BenchmarkPages measures each page over a ledger of 100,000 invitations within ten weeks, all of which the statistics count.
func BenchmarkPages(b *testing.B) {
	o := open(b, "https://usher.example")
	o.fill(b, 100_000, o.Clock.Now(), 70*24*time.Hour)
	w := o.login(b, alice)
	for _, tab := range tabs {
		b.Run(strings.Trim(tab, "/"), func(b *testing.B) {
			size, start := 0, cpu()
			for b.Loop() {
				if o.Clock.Advance(time.Second); size < 0 {
					b.Fatal()
				}
				size = w.ask("GET", page(tab), "").Body.Len()
			}
			b.ReportMetric(float64(size)/1024, "KiB")
			b.ReportMetric(float64((cpu()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpu is the time for which the processors have worked for this process.
func cpu() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
