package commands

import (
	"strings"
	"unicode/utf8"

	"usher/room"
)

// nearMiss is the largest distance at which a word counts as another one mistyped.
const nearMiss = 2

// suggest is the sentence with the known word nearest to a mistyped one, empty where none is near.
func suggest(word string, known []string, prefix string) (p room.Phrase) {
	if name := nearest(word, known); name != "" {
		p = room.Say("suggest", "name", prefix+name)
	}
	return p
}

// nearest finds the known word nearest to a mistyped one, empty where none is near. A short word has to share at least half of its letters.
func nearest(word string, known []string) (best string) {
	least := nearMiss + 1
	word = strings.ToLower(word)
	if utf8.RuneCountInString(word) > 32 {
		return ""
	}
	for _, name := range known {
		if d := distance([]rune(word), []rune(name)); d < least && 2*d <= len(name) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour, to make one word of another
// (optimal string alignment).
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range a {
		for j := range b {
			replaced := rows[i][j]
			if a[i] != b[j] {
				replaced++
			}
			best := min(rows[i][j+1]+1, rows[i+1][j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				best = min(best, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = best
		}
	}
	return rows[len(a)][len(b)]
}
