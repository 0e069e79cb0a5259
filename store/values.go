package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Text columns take any bytes: PostgreSQL refuses NUL and broken UTF-8, so such a string is kept in hexadecimal
// behind a mark, and read back as it was. What is equal stays equal, what differs differs.
const hexMark = "\uFFFDx:"

// in makes a string fit for a text column.
func in[T ~string](s T) string {
	if utf8.ValidString(string(s)) && !strings.Contains(string(s), "\x00") && !strings.HasPrefix(string(s), hexMark) {
		return string(s)
	}
	return hexMark + hex.EncodeToString([]byte(s))
}

// text scans a text column that in has written.
type text[T ~string] struct{ to *T }

func out[T ~string](to *T) text[T] { return text[T]{to} }

// Scan implements sql.Scanner.
func (t text[T]) Scan(src any) error {
	var s string
	switch v := src.(type) {
	case string:
		s = v
	case []byte:
		s = string(v)
	default:
		return fmt.Errorf("store: text column holds %T", src)
	}
	if h, ok := strings.CutPrefix(s, hexMark); ok {
		b, err := hex.DecodeString(h)
		if err != nil {
			return fmt.Errorf("store: text column: %w", err)
		}
		s = string(b)
	}
	*t.to = T(s)
	return nil
}

// optional scans a text column that may be NULL.
type optional struct{ to **string }

// Scan implements sql.Scanner.
func (o optional) Scan(src any) error {
	if src == nil {
		*o.to = nil
		return nil
	}
	*o.to = new(string)
	return out(*o.to).Scan(src)
}

// list keeps server names in one text column.
func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	b, err := json.Marshal(names)
	if err != nil {
		return "" // strings always encode
	}
	return string(b)
}

// names scans what list has written.
type names struct{ to *[]string }

// Scan implements sql.Scanner.
func (n names) Scan(src any) error {
	var s string
	if err := out(&s).Scan(src); err != nil || s == "" {
		*n.to = nil
		return err
	}
	return json.Unmarshal([]byte(s), n.to)
}

// ms is a time in a column: milliseconds since 1970, 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment scans what ms has written.
type moment struct{ to *time.Time }

// Scan implements sql.Scanner.
func (m moment) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("store: time column holds %T", src)
	}
	*m.to = when(v)
	return nil
}

// when is the time that ms made a number of.
func when(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// digest is a number that stands for strings in an index.
func digest(parts ...string) int64 {
	var b []byte
	for _, p := range parts {
		b = append(strconv.AppendInt(b, int64(len(p)), 10), ':')
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:]))
}
