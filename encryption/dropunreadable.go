package encryption

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
)

// dropUnreadable removes unreadable parts from answers of the homeserver. Other users write parts of an answer: messages to the device,
// and their keys. The library decodes an answer whole or not at all, so one malformed part would keep all others away for good.
type dropUnreadable struct {
	next http.RoundTripper
	log  zerolog.Logger
}

// RoundTrip implements http.RoundTripper.
func (d dropUnreadable) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	var parts map[string]func(json.RawMessage) json.RawMessage
	switch {
	case strings.HasSuffix(r.URL.Path, "/sync"):
		parts = map[string]func(json.RawMessage) json.RawMessage{"to_device": d.member("events", d.messages)}
	case strings.HasSuffix(r.URL.Path, "/keys/query"):
		identities := d.each(readable[mautrix.CrossSigningKeys])
		parts = map[string]func(json.RawMessage) json.RawMessage{
			"device_keys": d.each(d.each(readable[mautrix.DeviceKeys])),
			"master_keys": identities, "self_signing_keys": identities, "user_signing_keys": identities,
		}
	case strings.HasSuffix(r.URL.Path, "/keys/claim"):
		parts = map[string]func(json.RawMessage) json.RawMessage{"one_time_keys": d.each(d.each(d.each(readable[mautrix.OneTimeKey])))}
	default:
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, responseSize))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	for field, part := range parts {
		body = d.member(field, part)(body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// member returns a function to filter one member of an object.
func (d dropUnreadable) member(name string, filter func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(raw json.RawMessage) json.RawMessage {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || object[name] == nil {
			return raw
		}
		if object[name] = filter(object[name]); object[name] == nil {
			delete(object, name)
		}
		return marshal(object)
	}
}

// each returns a function to filter all members of an object and drops the empty ones. It drops other values.
func (d dropUnreadable) each(filter func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(raw json.RawMessage) json.RawMessage {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			d.log.Debug().Int("bytes", len(raw)).Msg("dropped unreadable keys")
			return nil
		}
		for name, member := range object {
			if object[name] = filter(member); object[name] == nil {
				d.log.Debug().Str("of", name).Msg("dropped unreadable keys")
				delete(object, name)
			}
		}
		return marshal(object)
	}
}

// messages drops unreadable messages to the device.
func (d dropUnreadable) messages(raw json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	kept := list[:0]
	for _, message := range list {
		if readable[event.Event](message) == nil {
			d.log.Debug().Int("bytes", len(message)).Msg("dropped an unreadable message to the device")
			continue
		}
		kept = append(kept, message)
	}
	return marshal(kept)
}

// readable returns raw if the library can decode it as a T, else nil.
func readable[T any](raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" || json.Unmarshal(raw, new(T)) != nil {
		return nil
	}
	return raw
}

// marshal encodes a decoded value.
func marshal(v any) json.RawMessage {
	raw, _ := json.Marshal(v) // it was JSON before
	return raw
}
