package policy

import (
	"fmt"
	"strconv"
	"time"
)

// units of a duration, largest first. Months and years have no fixed length, so there are none.
var units = [...]struct {
	letter byte
	length time.Duration
}{{'w', 7 * 24 * time.Hour}, {'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// ParseSpan reads a duration: whole numbers with s, m, h, d or w, largest unit first, as in "36h" or "1d12h"; "0" is none.
func ParseSpan(text string) (time.Duration, bool) {
	if text == "0" {
		return 0, true
	}
	var total time.Duration
	next := 0 // first unit allowed to follow
	for text != "" {
		end := 0
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		n, err := strconv.ParseInt(text[:end], 10, 32)
		if err != nil || end == len(text) {
			return 0, false
		}
		for next < len(units) && units[next].letter != text[end] {
			next++
		}
		if next == len(units) {
			return 0, false
		}
		part := time.Duration(n) * units[next].length
		if part/units[next].length != time.Duration(n) || total+part < total {
			return 0, false
		}
		total, text, next = total+part, text[end+1:], next+1
	}
	return total, total > 0 || next > 0
}

// Span words a duration in the largest unit which divides it, weeks left out: "7d", "36h", "90s". Parts of a
// second are dropped.
func Span(d time.Duration) string {
	for _, u := range units[1:] {
		if d >= u.length && d%u.length == 0 {
			return fmt.Sprintf("%d%c", d/u.length, u.letter)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
