package invites

import "time"

// RowCount is how many rows of one request stand alike.
type RowCount struct {
	Status Status
	Code   string
	N      int
	Due    time.Time // of the open ones, the last
	First  Change    // the first of these rows
}

// CountRows adds up the rows with a status.
func CountRows(counts []RowCount, status Status) (n int) {
	for _, c := range counts {
		if c.Status == status {
			n += c.N
		}
	}
	return n
}
