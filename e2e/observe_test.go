package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/stub"
)

// get reads a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// observed is a Usher before a stub with its operator's listener at url.
func observed(t *testing.T) (q *quick, url string) {
	t.Helper()
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	return newQuick(t, m{"metrics.enabled": true, "metrics.listen": at, "metrics.pprof": true}), "http://" + at
}

// TestRevokedToken: once the homeserver refuses the token nothing is done or asked but whether it is taken again; log, /ready and metrics
// say so; what was asked meanwhile is done afterwards.
func TestRevokedToken(t *testing.T) {
	q, url := observed(t)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.pinged(in, owner)
	if status, body := get(t, url+"/ready"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	q.Script(stub.Fault{Status: 401, Body: `{"errcode":"M_UNKNOWN_TOKEN","error":"who?"}`})
	said := q.Say(in, owner, "!invite @guest:"+q.Domain)
	q.eventually("not to be ready", func() bool {
		status, body := get(t, url+"/ready")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "as_token")
	})
	if _, text := get(t, url+"/metrics"); !strings.Contains(text, `usher_fault{fault="as_token"} 1`) {
		t.Error("the metrics don't say so")
	}
	if !strings.Contains(q.Usher.Tail(1000), "refuses the token") {
		t.Error("the log doesn't say so")
	}
	before := q.Requests()
	second := q.Say(in, owner, "!ping")
	q.eventually("for Usher to ask about its token", func() bool { return q.Requests() > before })
	if n := q.Requests() - before; n > 2 {
		t.Errorf("%d requests with a token that is refused", n)
	}
	q.Script()
	q.answered(in, said)
	q.await("the second answer", 20*time.Second, func() bool { _, n := q.answers(in, second); return n == 1 })
	if status, body := get(t, url+"/ready"); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

// eventually waits for something that nobody tells of.
func (q *quick) eventually(what string, is func() bool) {
	q.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(harness.Patience)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			q.t.Fatalf("waited in vain %s", what)
		}
	}
}

// TestMonitoring: what a running Usher shows, the alert rules and the dashboard are as Prometheus wants them.
func TestMonitoring(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: on Debian, install prometheus")
		}
		t.Skip("promtool is not installed")
	}
	q, url := observed(t)
	in, owner := q.Room("room", "@owner:"+q.Domain), "@owner:"+q.Domain
	q.start()
	q.answered(in, q.Say(in, owner, "!invite @guest:"+q.Domain))
	_, text := get(t, url+"/metrics")
	check := func(input string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	check(text, "check", "metrics")
	rules, err := filepath.Abs("../docs/monitoring/usher.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	check("", "check", "rules", rules)
	for _, line := range []string{
		`usher_decisions_total{action="invite",code="invite",verdict="allow"} 1`, `usher_deliveries_total{code="done",outcome="done"} 1`,
		`usher_events_total{kind="command"} 1`, `usher_acts_total{action="invite",result="done"} 1`, `usher_fault{fault="database"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	q.ask(t, promtool, rules, strings.TrimPrefix(url, "http://"))
	if status, _ := get(t, url+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK {
		t.Errorf("pprof: %d", status)
	}
}

// ask has a Prometheus scrape Usher, evaluate the rules, and answer each of the dashboard's and the alerts' questions.
func (q *quick) ask(t *testing.T, promtool, rules, target string) {
	t.Helper()
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	at, dir := fmt.Sprintf("127.0.0.1:%d", port), t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [%q]\nscrape_configs: [{job_name: usher, static_configs: [{targets: [%q]}]}]\n", rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := child.Start(exec.Command(prometheus, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := server.Answers(ctx, "http://"+at+"/-/ready"); err != nil {
		t.Fatal(err, server.Tail(10))
	}
	q.eventually("for a scrape", func() bool {
		_, text := get(t, "http://"+at+"/api/v1/query?query=usher_build_info")
		return strings.Contains(text, `"version"`)
	})
	q.eventually("for the rules to be evaluated", func() bool {
		_, text := get(t, "http://"+at+"/api/v1/rules")
		return strings.Count(text, `"health":"ok"`) == strings.Count(text, `"type":"alerting"`) && strings.Contains(text, "UsherDown")
	})
	if _, text := get(t, "http://"+at+"/api/v1/alerts"); strings.Contains(text, `"alertname"`) {
		t.Errorf("alerts on a Usher that is well: %s", text)
	}
	dashboard, err := os.ReadFile("../docs/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var panels struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.NewDecoder(bytes.NewReader(dashboard)).Decode(&panels); err != nil || len(panels.Panels) < 10 {
		t.Fatalf("%d panels, %v", len(panels.Panels), err)
	}
	for _, p := range panels.Panels {
		for _, question := range p.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(question.Expr)
			if out, err := exec.CommandContext(t.Context(), promtool, "query", "instant", "http://"+at, expr).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v %s", p.Title, expr, err, out)
			}
		}
	}
}
