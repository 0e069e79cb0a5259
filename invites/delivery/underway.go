package delivery

import (
	"sync"

	"usher/invites"
)

// underWay is the rows attempted now by this process. A lease ends by the wall clock, which may be set; as long as the process lives, its
// memory tells which attempts have ended.
type underWay struct {
	mu   sync.Mutex
	rows map[int64]bool
	over map[int64]invites.Outcome // of rows that get no further attempt, see stop
}

// begin adds rows, and returns the rows not there before. The caller ends these.
func (u *underWay) begin(rows ...int64) (added []int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rows == nil {
		u.rows = map[int64]bool{}
	}
	for _, row := range rows {
		if !u.rows[row] {
			u.rows[row] = true
			added = append(added, row)
		}
	}
	return added
}

// end removes rows.
func (u *underWay) end(rows ...int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, row := range rows {
		delete(u.rows, row)
	}
}

// stop has rows whose attempt is under way end with it, as the outcome says, unless the attempt settles them.
func (u *underWay) stop(end invites.Outcome, rows ...int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over == nil {
		u.over = map[int64]invites.Outcome{}
	}
	for _, row := range rows {
		u.over[row] = end
	}
}

// stopped returns the outcome of a row that ends with its attempt.
func (u *underWay) stopped(row int64) (end invites.Outcome, stopped bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	end, stopped = u.over[row]
	return end, stopped
}

// leased returns the rows attempted now.
func (u *underWay) leased() (rows []int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for row := range u.rows {
		rows = append(rows, row)
	}
	return rows
}

// forget undoes stop for rows that have ended.
func (u *underWay) forget(rows ...int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, row := range rows {
		delete(u.over, row)
	}
}

func idsOf(rows []invites.Change) []int64 {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}
