package policy

import "time"

// Take checks a rate against the spendings, oldest first, and spends one more: a sliding window which remembers each
// spending, so no window of the length Per ever holds more than Count. It returns how many are left afterwards, or
// before where none may be spent (ok is false), and when the next one comes back (zero: nothing is spent).
func (r Rate) Take(spent []time.Time, now time.Time) (left int64, grows time.Time, ok bool) {
	if r.Count == 0 {
		return 0, time.Time{}, true
	}
	first := 0
	for first < len(spent) && !spent[first].After(now.Add(-r.Per)) {
		first++
	}
	within := spent[first:]
	left = r.Count - int64(len(within))
	switch {
	case left > 0:
		grows = now.Add(r.Per)
		if len(within) > 0 {
			grows = within[0].Add(r.Per)
		}
		return left - 1, grows, true
	default:
		// The spending to lapse before another fits. It is a later one when the quota was lowered.
		return 0, within[-left].Add(r.Per), false
	}
}
