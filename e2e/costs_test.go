package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCostOfCommand holds the counted costs of an invitation by one command, on SQLite, as the table in docs/performance.md has them: requests to
// the homeserver, SQL statements, flushes to the disk. A count is the same on every machine, so what a change costs is seen here.
func TestCostOfCommand(t *testing.T) {
	q, url := observed(t)
	owner := "@owner:" + q.Domain
	in := q.Room("room", owner)
	q.start()
	// read returns the statements, the commits, and whether work is left.
	read := func() (statements, commits float64, busy bool) {
		t.Helper()
		_, text := get(t, url+"/metrics")
		values := map[string]float64{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			values[name], _ = strconv.ParseFloat(value, 64)
		}
		return values["usher_store_statements_total"], values["usher_store_commits_total"], values["usher_inbox_depth"]+values["usher_queue_depth"] > 0
	}
	var reading, requests, statements, commits []float64 // the least counts are free of work by the clock, such as sweeps
	for i := range 6 {
		s0, _, _ := read()
		s1, c1, _ := read()
		r1 := q.Requests()
		q.answered(in, q.Say(in, owner, "!invite @guest"+strconv.Itoa(i)+":"+q.Domain))
		s2, c2, busy := read()
		reads := 1.0
		for ; busy; reads++ {
			s2, c2, busy = read()
		}
		reading = append(reading, s1-s0)
		requests, statements, commits = append(requests, float64(q.Requests()-r1)), append(statements, s2-s1-reads*slices.Min(reading)), append(commits, c2-c1)
	}
	if r, s, c := slices.Min(requests), slices.Min(statements), slices.Min(commits); r > 5 || s > 11 || c > 4 || s < 1 || c < 1 {
		t.Errorf("%v requests, %v statements, %v commits; want at most 5, 11, 4", r, s, c)
	}
}
