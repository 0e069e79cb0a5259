package config

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// hidden is shown in place of a secret.
const hidden = "[secret]"

// Secret is a text hidden in log lines, errors and dumps. Reveal returns the text.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Format implements fmt.Formatter: every verb prints the same.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String never returns the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// MarshalText keeps the text out of JSON and YAML as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Size is a number of bytes.
type Size int64

// UnmarshalText reads "50MiB", "10 MB", "4096".
func (s *Size) UnmarshalText(text []byte) error {
	given := strings.TrimSpace(string(text))
	digits := strings.TrimRight(given, "BbKkMmGgi ")
	unit, ok := sizeUnit(strings.TrimSpace(given[len(digits):]))
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/unit {
		return wrong{quote(given) + " is no size", "write a number with B, KiB, MiB or GiB, such as 50MiB"}
	}
	*s = Size(n * unit)
	return nil
}

func sizeUnit(name string) (bytes int64, ok bool) {
	switch strings.ToLower(name) {
	case "", "b":
		return 1, true
	case "kb":
		return 1e3, true
	case "mb":
		return 1e6, true
	case "gb":
		return 1e9, true
	case "kib":
		return 1 << 10, true
	case "mib":
		return 1 << 20, true
	case "gib":
		return 1 << 30, true
	}
	return 1, false
}

// wrong is a fault without its place.
type wrong struct{ problem, fix string }

func (w wrong) Error() string { return w.problem + "; " + w.fix }

// quote shows a value in a fault, cut to a bearable length.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}
