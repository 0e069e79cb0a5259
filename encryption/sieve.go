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

// sieve takes what can't be read out of the homeserver's answers. Others write parts of those: what they send to the device, and
// which keys they have. The library reads an answer whole or not at all, and one odd part would keep all from coming, for good.
type sieve struct {
	next http.RoundTripper
	log  zerolog.Logger
}

// RoundTrip implements http.RoundTripper.
func (s sieve) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	var parts map[string]func(json.RawMessage) json.RawMessage
	switch {
	case strings.HasSuffix(r.URL.Path, "/sync"):
		parts = map[string]func(json.RawMessage) json.RawMessage{"to_device": s.members("events", s.messages)}
	case strings.HasSuffix(r.URL.Path, "/keys/query"):
		identities := s.each(readable[mautrix.CrossSigningKeys])
		parts = map[string]func(json.RawMessage) json.RawMessage{
			"device_keys": s.each(s.each(readable[mautrix.DeviceKeys])),
			"master_keys": identities, "self_signing_keys": identities, "user_signing_keys": identities,
		}
	case strings.HasSuffix(r.URL.Path, "/keys/claim"):
		parts = map[string]func(json.RawMessage) json.RawMessage{"one_time_keys": s.each(s.each(s.each(readable[mautrix.OneTimeKey])))}
	default:
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, responseSize))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	for field, part := range parts {
		body = s.members(field, part)(body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// members sifts one member of an object, if that is what it is given.
func (s sieve) members(name string, sift func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(raw json.RawMessage) json.RawMessage {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || object[name] == nil {
			return raw
		}
		if object[name] = sift(object[name]); object[name] == nil {
			delete(object, name)
		}
		return encode(object)
	}
}

// each sifts all members of an object, and leaves out those of which nothing is left. Of what is no object nothing is.
func (s sieve) each(sift func(json.RawMessage) json.RawMessage) func(json.RawMessage) json.RawMessage {
	return func(raw json.RawMessage) json.RawMessage {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			s.log.Debug().Int("bytes", len(raw)).Msg("keys that can't be read are left out")
			return nil
		}
		for name, member := range object {
			if object[name] = sift(member); object[name] == nil {
				s.log.Debug().Str("of", name).Msg("keys that can't be read are left out")
				delete(object, name)
			}
		}
		return encode(object)
	}
}

// messages leaves out messages to the device that can't be read.
func (s sieve) messages(raw json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	kept := list[:0]
	for _, message := range list {
		if readable[event.Event](message) == nil {
			s.log.Debug().Int("bytes", len(message)).Msg("a message to the device that can't be read is left out")
			continue
		}
		kept = append(kept, message)
	}
	return encode(kept)
}

// readable returns what the library can read as a T, and nil for anything else.
func readable[T any](raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" || json.Unmarshal(raw, new(T)) != nil {
		return nil
	}
	return raw
}

// encode encodes what was decoded.
func encode(v any) json.RawMessage {
	raw, _ := json.Marshal(v) // it came as JSON
	return raw
}
