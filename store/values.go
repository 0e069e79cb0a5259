package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// This file is the border between Go values and columns. Statements take and return plain Go values:
//
//   - strings of any type, in a text column. PostgreSQL refuses NUL and invalid UTF-8 in a text, so such a string is kept in
//     hexadecimal behind hexMark. Equal strings stay equal, different strings stay different;
//   - *string, as text or NULL;
//   - []string and []id.UserID, as JSON in a text column, the empty text for an empty list;
//   - room.Phrase, as JSON in a text column, the empty text for an empty phrase; any other text is shown as it is;
//   - time.Time, in milliseconds since 1970 UTC, 0 for the zero time;
//   - []byte, never NULL;
//   - pointers to such values, which stand for the value.
const hexMark = "\uFFFDx:"

// encoded returns the column values of args. It leaves args as they are, because a commit may run again.
func encoded(args []any) []any {
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = encode(a)
	}
	return values
}

// encode returns the column value of v.
func encode(v any) any {
	switch v := v.(type) {
	case nil, bool, int, int64:
		return v
	case string:
		return encodeText(v)
	case *string:
		if v == nil {
			return nil
		}
		return encodeText(*v)
	case time.Time:
		return milliseconds(v)
	case *time.Time:
		return milliseconds(*v)
	case *id.EventID:
		return encodeText(string(*v))
	case *id.RoomID:
		return encodeText(string(*v))
	case *id.UserID:
		return encodeText(string(*v))
	case []string:
		return encodeList(v)
	case []id.UserID:
		return encodeList(v)
	case room.Phrase:
		return encodeText(v.String())
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	}
	r := reflect.Indirect(reflect.ValueOf(v))
	switch {
	case r.Kind() == reflect.String:
		return encodeText(r.String())
	case r.CanInt():
		return r.Int()
	case r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8:
		return encode(r.Bytes())
	}
	return encode(r.Interface())
}

func encodeText(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, hexMark) {
		return s
	}
	return hexMark + hex.EncodeToString([]byte(s))
}

func encodeList[S ~string](list []S) string {
	if len(list) == 0 {
		return ""
	}
	b, _ := json.Marshal(list) // strings always encode
	return encodeText(string(b))
}

// row is a result row.
type row struct {
	rows interface{ Scan(...any) error }
}

// Scan reads the columns into dest, which are pointers to values of the kinds of encode.
func (r row) Scan(dest ...any) error {
	for i, d := range dest {
		switch d := d.(type) {
		case *string, **string, *int64, *int, *bool, *[]byte:
		case *time.Time:
			dest[i] = moment{d}
		case *[]string:
			dest[i] = list[string]{d}
		case *[]id.UserID:
			dest[i] = list[id.UserID]{d}
		case *room.Phrase:
			dest[i] = phrase{d}
		case *id.EventID:
			dest[i] = (*string)(d) // database/sql takes its quick way with this type only
		case *id.RoomID:
			dest[i] = (*string)(d)
		case *id.UserID:
			dest[i] = (*string)(d)
		case sql.Scanner:
		default:
			if v := reflect.ValueOf(d); v.Type().Elem().Kind() == reflect.String {
				dest[i] = v.Convert(reflect.TypeFor[*string]()).Interface()
			}
		}
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	for _, d := range dest {
		var err error
		switch d := d.(type) {
		case *string:
			err = decodeString(d)
		case **string:
			if *d != nil {
				err = decodeString(*d)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeString turns a text of encodeText into the original string.
func decodeString(s *string) error {
	digits, encoded := strings.CutPrefix(*s, hexMark)
	if !encoded {
		return nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return fmt.Errorf("store: text column: %w", err)
	}
	*s = string(b)
	return nil
}

// list scans a column of encodeList.
type list[S ~string] struct{ to *[]S }

// Scan implements sql.Scanner.
func (l list[S]) Scan(src any) error {
	var s sql.NullString
	err := s.Scan(src)
	if err == nil {
		err = decodeString(&s.String)
	}
	if err != nil || s.String == "" {
		*l.to = nil
		return err
	}
	return json.Unmarshal([]byte(s.String), l.to)
}

// phrase scans a column of a phrase. Rows of version 6 and before have sentences there.
type phrase struct{ to *room.Phrase }

// Scan implements sql.Scanner.
func (p phrase) Scan(src any) error {
	var s sql.NullString
	err := s.Scan(src)
	if err == nil {
		err = decodeString(&s.String)
	}
	*p.to = room.ReadPhrase(s.String)
	return err
}

// moment scans a column of milliseconds.
type moment struct{ to *time.Time }

// Scan implements sql.Scanner.
func (m moment) Scan(src any) error {
	ms, ok := src.(int64)
	if !ok {
		return fmt.Errorf("store: time column holds %T", src)
	}
	*m.to = fromMilliseconds(ms)
	return nil
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilliseconds(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// digest returns a number standing for strings in an index: PostgreSQL refuses index rows of more than 2,704 bytes, and a
// typed target may be longer.
func digest(parts ...string) int64 {
	sum := sha256.Sum256(prefixed(parts...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// prefixed joins strings, each behind its length.
func prefixed(parts ...string) (b []byte) {
	for _, p := range parts {
		b = append(strconv.AppendInt(b, int64(len(p)), 10), ':')
		b = append(b, p...)
	}
	return b
}
