package policy

import "strings"

// isLanguage reports whether a text has the form of a language's tag. A language that this version does not speak is no fault: it would stop all
// invitations in a room whose policy is of a newer version.
func isLanguage(s string) bool {
	parts := strings.Split(s, "-")
	for i, part := range parts {
		letters := strings.TrimFunc(part, func(r rune) bool {
			return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9'
		})
		if letters != "" || part == "" || len(part) > 8 || i == 0 && len(part) < 2 {
			return false
		}
	}
	return len(parts) <= 4
}
