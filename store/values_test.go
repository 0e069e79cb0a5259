package store

import (
	"database/sql"
	"fmt"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// oneRow is a result row of text, NULL and numbers, as a driver returns it.
type oneRow []any

// Scan implements the method of sql.Rows.
func (r oneRow) Scan(dest ...any) error {
	for i, d := range dest {
		switch d := d.(type) {
		case *string:
			*d = r[i].(string)
		case **string:
			if s, is := r[i].(string); is {
				*d = &s
			}
		case *[]byte:
			*d = r[i].([]byte)
		case sql.Scanner:
			if err := d.Scan(r[i]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%T", d)
		}
	}
	return nil
}

// TestBorder encodes values and reads them back. A commit may run again, so the arguments stay as they are.
func TestBorder(t *testing.T) {
	type class string
	type values struct {
		Text     string
		Room     id.RoomID
		Class    class
		Optional *string
		None     *string
		List     []string
		Empty    []string
		Time     time.Time
		Never    time.Time
		Bytes    []byte
	}
	fields := func(v *values) []any {
		return []any{&v.Text, &v.Room, &v.Class, &v.Optional, &v.None, &v.List, &v.Empty, &v.Time, &v.Never, &v.Bytes}
	}
	for _, text := range []string{"", "plain", "a\x00b", "\xff", hexMark, hexMark + "00", "☕"} {
		want := values{Text: text, Room: id.RoomID(text), Class: class(text), Optional: &text, List: []string{"x", "y"},
			Time: time.UnixMilli(1_700_000_000_123).UTC(), Bytes: []byte(text)}
		args := fields(&want)
		column := encoded(args)
		if again := encoded(args); !reflect.DeepEqual(again, column) {
			t.Errorf("%q: encoded again: %q, before %q", text, again, column)
		}
		var got values
		if err := (row{oneRow(column)}).Scan(fields(&got)...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	var broken string
	if err := (row{oneRow{hexMark + "zz"}}).Scan(&broken); err == nil {
		t.Error("broken digits were read")
	}
}
