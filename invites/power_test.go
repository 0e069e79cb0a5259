package invites_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"usher/store"
)

// How much TestNoBorrowedPower does; with the race detector, which makes it ten times slower, a tenth of it. USHER_STEPS changes
// the number of steps, USHER_FROM the first story, and USHER_SEED picks one story to play.
const (
	powerSteps   = 50_000
	stepsInStory = 60
)

// TestNoBorrowedPower plays random stories against the real service: rooms of all versions, people who invite, join, kick, ban,
// change levels, rules and policies, a homeserver that fails or keeps things back, commands that are taken back. After
// each change of a membership that Usher made, the oracle asks whether whoever asked for it could have made it, or whether a
// policy grants it that was written by somebody who might. A story that fails is made as short as it gets, and told.
func TestNoBorrowedPower(t *testing.T) {
	db := openStore(t)
	if seed, err := strconv.ParseUint(os.Getenv("USHER_SEED"), 10, 64); err == nil {
		tell(t, db, seed)
		return
	}
	steps, from := powerSteps, uint64(1)
	if raceDetector || testing.Short() {
		steps /= 10
	}
	if n, err := strconv.Atoi(os.Getenv("USHER_STEPS")); err == nil {
		steps = n
	}
	if n, err := strconv.ParseUint(os.Getenv("USHER_FROM"), 10, 64); err == nil {
		from = n
	}
	var sum tally
	for seed := from; sum.steps < steps; seed++ {
		w := newStory(t, db, seed)
		if w.play(write(seed)) != "" {
			tell(t, db, seed)
			return
		}
		sum.add(w.tally)
	}
	t.Logf("%+v", sum)
	if sum.acts == 0 || sum.delegated == 0 || sum.refused == 0 || sum.later == 0 || sum.setBack == 0 || sum.removed == 0 || sum.decided == 0 {
		t.Errorf("the stories leave something out: %+v", sum)
	}
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	dir := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "usher-test-"); err == nil { // no disk to wait for, where there is such a place
		t.Cleanup(func() { _ = os.RemoveAll(memory) })
		dir = memory
	}
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(dir, "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// tell shows why a story fails, after taking out all that is not needed for it.
func tell(t *testing.T, db *store.Store, seed uint64) {
	t.Helper()
	script := write(seed)
	wrong := newStory(t, db, seed).play(script)
	if wrong == "" {
		t.Logf("story %d is fine", seed)
		return
	}
	for size := len(script) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(script); {
			shorter := append(append([]op{}, script[:at]...), script[at+size:]...)
			if newStory(t, db, seed).play(shorter) != "" {
				script = shorter
				continue
			}
			at += size
		}
	}
	w := newStory(t, db, seed)
	wrong = w.play(script)
	t.Errorf("USHER_SEED=%d, in %d of %d steps:\n%s\n%s", seed, len(script), stepsInStory, strings.Join(w.told, "\n"), wrong)
}

// op is one step of a story. What its numbers mean depends on the kind, and not on what happened before, so that steps can be
// taken out.
type op struct {
	kind          int
	a, b, c, d, e int
}

// write makes up a story.
func write(seed uint64) []op {
	r := rand.New(rand.NewPCG(seed, 7))
	script := make([]op, stepsInStory)
	for i := range script {
		script[i] = op{r.IntN(100), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16)}
	}
	return script
}

// tally counts what happened, so that stories in which nothing does are noticed.
type tally struct {
	steps, asked, refused, acts, delegated, later, direct, policies, unseen, setBack, removed, decided int
}

func (t *tally) add(o tally) {
	t.steps += o.steps
	t.asked += o.asked
	t.refused += o.refused
	t.acts += o.acts
	t.delegated += o.delegated
	t.later += o.later
	t.direct += o.direct
	t.policies += o.policies
	t.unseen += o.unseen
	t.setBack += o.setBack
	t.removed += o.removed
	t.decided += o.decided
}

// say notes a step for the one who reads about a failure.
func (w *story) say(format string, args ...any) {
	w.told = append(w.told, "  "+fmt.Sprintf(format, args...))
}
