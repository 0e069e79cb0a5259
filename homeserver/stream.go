package homeserver

import (
	"encoding/json"
	"fmt"
	"io"
)

// eachKey hands the keys of the object under field, in the object that r holds, to f, until it returns false.
func eachKey(r io.Reader, field string, f func(key string) bool) error {
	d := json.NewDecoder(r)
	err := enter(d, field)
	if err == nil {
		err = expect(d, json.Delim('{'))
	}
	if err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if key, _ := name.(string); !f(key) {
			return nil
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

// eachItem hands each item of the array that comes to f, until it returns an error.
func eachItem(d *json.Decoder, f func(json.RawMessage) error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return fmt.Errorf("%w: %w", errAnswer, err)
		}
		if err := f(item); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}

// enter reads an object up to the value of a field.
func enter(d *json.Decoder, field string) error {
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil || name == field {
			return err
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return errAnswer
}

func expect(d *json.Decoder, want json.Token) error {
	token, err := d.Token()
	if err == nil && token != want {
		return errAnswer
	}
	return err
}
