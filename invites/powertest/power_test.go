package powertest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usher/policy"
	"usher/store"
	"usher/store/storetest"
)

// How much TestNoBorrowedPower does; with the race detector, which makes it ten times slower, a tenth of it. USHER_STEPS changes
// the number of steps, USHER_FROM the first story, and USHER_SEED picks one story to play.
const (
	powerSteps   = 50_000
	stepsInStory = 60
)

// TestNoBorrowedPower plays random stories against the real service: rooms of all versions in spaces and out of them, people who
// invite, join, kick, ban, take invitations back, change levels, rules, policies, links and policy lists, a homeserver that fails,
// keeps things back or is late, commands that are taken back. After each change that Usher made, the oracle asks whether whoever asked for it
// could have made it, or whether a policy grants it that was written by somebody who might, and whether that policy has
// anything against it. A story that fails is made as short as it gets, and told.
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
		sum.sum(w.tally)
	}
	t.Logf("%d steps\n%s", sum.steps, sum)
	if sum.steps >= powerSteps {
		for _, kind := range occurrences() {
			if sum.count[kind] == 0 {
				t.Errorf("the stories leave this out: %s", kind)
			}
		}
	}
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	return storetest.Open(t)
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
		script[i] = op{r.IntN(kinds), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16)}
	}
	return script
}

// tally counts what happened, so that stories in which something never does are noticed.
type tally struct {
	steps int
	count map[string]int
}

// add counts one occurrence.
func (t *tally) add(format string, args ...any) {
	if t.count == nil {
		t.count = map[string]int{}
	}
	t.count[fmt.Sprintf(format, args...)]++
}

// sum takes in what another tally counted.
func (t *tally) sum(o tally) {
	t.steps += o.steps
	for kind, n := range o.count {
		if t.count == nil {
			t.count = map[string]int{}
		}
		t.count[kind] += n
	}
}

// String lists all of it.
func (t tally) String() string {
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(t.count)) {
		fmt.Fprintf(&text, "%8d  %s\n", t.count[kind], kind)
	}
	return text.String()
}

// occurrences lists what must have happened in a run that is worth something: each kind of change, by power and by a policy's
// grant; each refusal of a policy; each rule of a policy satisfied by an invitation that was sent, and set by a space.
func occurrences() (list []string) {
	list = []string{
		"act invite by power", "act invite lent", "act invite lent by a space", "act join by power", "act kick by power", "act ban by power",
		"act unban by power", "act leave by power", "act withdraw by power", "act withdraw lent", "act withdraw lent by a space", "act expire",
		"act expire by a space", "act by the queue", "guard sets back", "guard sets back by a space", "guard kicks intruder", "guard kicks by_hand",
		"guard kicks by a space", "card accepted", "card declined", "card banned", "prune", "expiry reminds",
		"refused withdraw kick.power", "refused withdraw withdraw.not_invited", "refused expire withdraw.stands", "refused invite invite.power",
		"state kept back", "space kept back", "lost answer", "taken back", "demoted in mid-act", "upgrade", "judged by the policy of a replaced room",
		"act invite by a link",
		"deep event", "backdated", "judged by a lost space", "act turned", "act turned by a space", "turned withdraw.listed withdrawing",
		"link armed", "policy copied in an upgrade", "admitted as a member", "join admitted", "turned withdraw.denied left",
		"refused join policy.join.deny", "refused join policy.join.max_members", "refused join policy.join.not_admitted",
		"turned withdraw.inviter_banned withdrawing", "turned withdraw.inviter_left withdrawing", "turned withdraw.denied withdrawing",
	}
	for _, code := range policy.Refusals() {
		switch code {
		case policy.CodeNoAdmission: // the knock becomes a card, which no invitation is refused by
			continue
		case policy.CodePlan, policy.CodePlanAuthor: // of plans, see below
			continue
		case policy.CodeJoinDenied, policy.CodeJoinFull, policy.CodeNotAdmitted: // of joins that a homeserver asks about
			continue
		}
		list = append(list, "refused invite "+string(code))
	}
	for _, act := range []string{"invite", "kick", "levels"} {
		list = append(list, "plan "+act, "plan "+act+" by a space", "plan "+act+" by a manager")
	}
	list = append(list, "plan refused policy.plan.allow", "plan refused policy.plan.author", "act invite in an upgrade", "moved m.space.child", "moved m.space.parent",
		"moved m.room.canonical_alias", "moved m.space.child after a vote", "moved chat.usher.policy after a vote", "alias moved", "link moved", "questions ended in an upgrade",
		"policy carried over", "policy carried over by the bot", "upgraded", "upgraded by the bot", "refused upgrade upgrade.right")
	for _, path := range []string{"ask.level", "ask.users", "ask.joined_for", "whom.deny_users", "whom.allow_servers", "whom.ip_literals", "whom.lists",
		"whom.cooldown.leave", "whom.cooldown.decline", "whom.cooldown.kick", "whom.max_members", "quota.person.count", "quota.server.count",
		"quota.room.count", "approval.required"} {
		list = append(list, "sent under "+path, "sent under "+path+" by a space")
	}
	return list
}

// say notes a step for the one who reads about a failure.
func (w *story) say(format string, args ...any) {
	w.told = append(w.told, "  "+fmt.Sprintf(format, args...))
}
