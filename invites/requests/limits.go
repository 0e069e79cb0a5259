package requests

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// Most is the operator's limits, whatever room a request is about and whoever carries it out; 0: no limit.
type Most struct {
	Person        int64 // invitations asked for by one user within a day
	Server        int64 // invitations of users of one other server within a day
	All           int64 // invitations within a day
	People        int64 // named by the commands of one user within an hour: each is a row, also where the answer is no
	JoinsOfServer int64 // joins at the word of the users of one other server within an hour
	JoinsOfOwn    int64 // the same of the homeserver's own users
}

const (
	limitDay  = 24 * time.Hour // of invitations
	limitHour = time.Hour      // of joins, and of people named
)

// Limits counts invitations and joins against the operator's limits. Each is an exact sliding window. The counts are in memory; Load reads
// the invitations of the last day at the start. Operators are counted and
// never refused. NewLimits makes one.
type Limits struct {
	most     Most
	self     invites.Identity
	clock    invites.Clock
	operator func(id.UserID) bool

	mu      sync.Mutex
	spent   map[window][]time.Time // the oldest first
	pruneAt int
}

// window is what is counted, and of whom.
type window struct {
	code room.Rule
	of   string // a user or a server; empty: all
}

// NewLimits makes limits without anything spent.
func NewLimits(most Most, self invites.Identity, clock invites.Clock, operator func(id.UserID) bool) *Limits {
	return &Limits{most: most, self: self, clock: clock, operator: operator, spent: map[window][]time.Time{}, pruneAt: 1024}
}

// InvitationStore has the invitations of the last day.
type InvitationStore interface {
	// EachInvitedSince calls found for each invitation asked for since a time, without those refused, the newest first.
	EachInvitedSince(ctx context.Context, since time.Time, found func(actor, target id.UserID, at time.Time)) error
}

// Load counts the invitations of the last day.
func (l *Limits) Load(ctx context.Context, store InvitationStore) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := store.EachInvitedSince(ctx, l.clock.Now().Add(-limitDay), func(actor, target id.UserID, at time.Time) {
		for _, b := range l.invitation(actor, target) {
			l.spent[b.window] = append(l.spent[b.window], at)
		}
	})
	for w := range l.spent {
		slices.SortFunc(l.spent[w], time.Time.Compare)
	}
	return err
}

// bound is a window with its limit.
type bound struct {
	window
	policy.Rate
}

// invitation returns the bounds of an invitation. The spelling of names does not matter. The bot lets people in by the policies of all rooms,
// and is no person.
func (l *Limits) invitation(actor, target id.UserID) (bounds []bound) {
	if actor != l.self.Bot {
		bounds = append(bounds, bound{window{policy.CodeLimitPerson, room.CanonicalID(string(actor))}, policy.Rate{Count: l.most.Person, Per: limitDay}})
	}
	if server := room.CanonicalServer(target.Homeserver()); server != room.CanonicalServer(l.self.Domain) {
		bounds = append(bounds, bound{window{policy.CodeLimitServer, server}, policy.Rate{Count: l.most.Server, Per: limitDay}})
	}
	return append(bounds, bound{window{policy.CodeLimitAll, ""}, policy.Rate{Count: l.most.All, Per: limitDay}})
}

// join returns the bounds of a join at the word of a user.
func (l *Limits) join(sender id.UserID) []bound {
	server, most := room.CanonicalServer(sender.Homeserver()), l.most.JoinsOfServer
	if server == room.CanonicalServer(l.self.Domain) {
		most = l.most.JoinsOfOwn
	}
	return []bound{{window{policy.CodeLimitJoins, server}, policy.Rate{Count: most, Per: limitHour}}}
}

// take spends one of a user within each bound, or returns the decision of one that is reached. Windows without a limit count nothing.
func (l *Limits) take(bounds []bound, of id.UserID, now time.Time) *policy.Decision {
	free := l.operator != nil && l.operator(of)
	for _, b := range bounds {
		if _, grows, ok := b.Take(l.spent[b.window], now); !ok && !free {
			return &policy.Decision{Code: b.code, Side: policy.SideOperator, Rate: b.Rate, Wait: grows.Sub(now)}
		}
	}
	for _, b := range bounds {
		if b.Count > 0 {
			l.spent[b.window] = append(recent(l.spent[b.window], now.Add(-b.Per)), now)
		}
	}
	if len(l.spent) > l.pruneAt {
		for w := range l.spent {
			if l.spent[w] = recent(l.spent[w], now.Add(-limitDay)); len(l.spent[w]) == 0 {
				delete(l.spent, w)
			}
		}
		l.pruneAt = 2*len(l.spent) + 1024
	}
	return nil
}

// recent returns the times after a time.
func recent(spent []time.Time, after time.Time) []time.Time {
	first := 0
	for first < len(spent) && !spent[first].After(after) {
		first++
	}
	return spent[first:]
}

// Join counts one join of the bot at the word of a user, and reports whether it is within the limits.
func (l *Limits) Join(sender id.UserID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(l.join(sender), sender, l.clock.Now()) == nil
}

// Admit implements native.Limits. It counts a join at the word of the user, and one admission in the room.
func (l *Limits) Admit(r id.RoomID, user id.UserID, breaker policy.Rate) *policy.Decision {
	breaker.Per = min(breaker.Per, limitDay) // what is kept
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(append(l.join(user), bound{window{policy.CodeNotAdmitted, string(r)}, breaker}), user, l.clock.Now())
}

// Spend implements cards.Limits.
func (l *Limits) Spend(actor, target id.UserID) (no *policy.Decision, giveBack func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, bounds := l.clock.Now(), l.invitation(actor, target)
	if no := l.take(bounds, actor, now); no != nil {
		return no, func() {}
	}
	return nil, l.giver(bounds, now)
}

// codePeople is the code of a command beyond Most.People. No row has it.
const codePeople room.Rule = "limit.people"

// LimitError says that a user's commands have named too many people within an hour.
type LimitError struct{ Most int64 }

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("requests: %d people", e.Most)
}

// name counts the people of a command, all of them or none. The result gives them back. The error is a *LimitError.
func (l *Limits) name(asker id.UserID, people int) (giveBack func(), err error) {
	if l.most.People == 0 {
		return func() {}, nil
	}
	w := bound{window{codePeople, room.CanonicalID(string(asker))}, policy.Rate{Count: l.most.People, Per: limitHour}}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	spent := recent(l.spent[w.window], now.Add(-w.Per))
	if int64(len(spent)+people) > w.Count && (l.operator == nil || !l.operator(asker)) {
		return nil, &LimitError{w.Count}
	}
	l.spent[w.window] = append(spent, slices.Repeat([]time.Time{now}, people)...)
	return l.giver(slices.Repeat([]bound{w}, people), now), nil
}

// Take spends the allowed invitations and joins among some judgements, and turns each beyond a limit into a refusal. The result gives
// back what was spent.
func (l *Limits) Take(judged []judge.Judgement) (giveBack func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	taken := l.spend(judged, now)
	return l.giver(taken, now)
}

// giver returns a function that takes spendings of one time back.
func (l *Limits) giver(taken []bound, at time.Time) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(taken, at)
	}
}

// Foretell turns each invitation and join beyond a limit into a refusal, and spends nothing.
func (l *Limits) Foretell(judged []judge.Judgement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.drop(l.spend(judged, now), now)
}

// spend spends the allowed invitations and joins, and refuses each beyond a limit. l.mu is held.
func (l *Limits) spend(judged []judge.Judgement, now time.Time) (taken []bound) {
	for i := range judged {
		var bounds []bound
		switch q, d := judged[i].Question, judged[i].Decision; {
		case q.Action == room.Invite && (d.Verdict == room.Allow && d.Code != policy.CodeAlready || d.Code == policy.CodeApproval):
			bounds = l.invitation(q.Actor, q.Target)
		case q.Action == room.Join && mayTry(q, d) && d.Code != policy.CodeAlreadyJoined:
			bounds = l.join(q.Actor)
		}
		if no := l.take(bounds, judged[i].Question.Actor, now); no != nil {
			no.Policy = judged[i].Decision.Policy
			judged[i].Decision, judged[i].Charges = *no, false
			continue
		}
		taken = append(taken, bounds...)
	}
	return taken
}

// drop takes spendings of one time back. l.mu is held.
func (l *Limits) drop(taken []bound, at time.Time) {
	times := map[window]int{}
	for _, b := range taken {
		times[b.window]++
	}
	for w, left := range times {
		l.spent[w] = slices.DeleteFunc(l.spent[w], func(t time.Time) bool {
			mine := left > 0 && t.Equal(at)
			if mine {
				left--
			}
			return mine
		})
	}
}

// foresight tells which invitations the limits would allow one after the other, and spends nothing.
type foresight struct {
	*Limits
	spending map[window]int64
}

// judge turns each allowed invitation beyond a limit into a refusal.
func (f foresight) judge(judged []judge.Judgement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	for i := range judged {
		q, d := judged[i].Question, &judged[i].Decision
		if q.Action != room.Invite || d.Code == policy.CodeAlready || d.Verdict != room.Allow && d.Code != policy.CodeApproval || f.operator != nil && f.operator(q.Actor) {
			continue
		}
		bounds := f.invitation(q.Actor, q.Target)
		reached := slices.IndexFunc(bounds, func(b bound) bool {
			return b.Count > 0 && int64(len(recent(f.spent[b.window], now.Add(-b.Per))))+f.spending[b.window] >= b.Count
		})
		if reached >= 0 {
			b := bounds[reached]
			*d = policy.Decision{Code: b.code, Side: policy.SideOperator, Rate: b.Rate, Wait: b.Per, Policy: d.Policy}
			continue
		}
		for _, b := range bounds {
			f.spending[b.window]++
		}
	}
}
