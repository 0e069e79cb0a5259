package encryption

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"maunium.net/go/mautrix/id"
)

// offline is the answers to the library's requests in one step under the device's lock. The library asks for keys, and sends messages
// to devices, in the middle of its work. Under the lock a request to the homeserver would stop all rooms, so the keys are fetched
// before the step, and every other request fails.
type offline struct {
	room    id.RoomID // the room of the step, if any
	devices keyAnswer
	oneTime claimAnswer
}

// keyAnswer is the answer to /keys/query. The values of a user stay encoded.
type keyAnswer struct {
	Devices     map[id.UserID]json.RawMessage `json:"device_keys"`
	Master      map[id.UserID]json.RawMessage `json:"master_keys"`
	SelfSigning map[id.UserID]json.RawMessage `json:"self_signing_keys"`
	UserSigning map[id.UserID]json.RawMessage `json:"user_signing_keys"`
	Failures    map[string]json.RawMessage    `json:"failures,omitempty"` // by server
}

// claimAnswer is the answer to /keys/claim. The one-time key of a device stays encoded, because its signature covers all fields.
type claimAnswer struct {
	OneTime  map[id.UserID]map[id.DeviceID]json.RawMessage `json:"one_time_keys"`
	Failures map[string]json.RawMessage                    `json:"failures,omitempty"` // by server
}

// errOffline means the library asked for something not fetched before the step.
var errOffline = errors.New("encryption: no request to the homeserver under the device's lock")

// wire is the HTTP transport of the library's machine. It passes requests on while the device is set up. Later it answers them from
// the answers of the step under way, and refuses all others.
type wire struct {
	next    http.RoundTripper
	answers *offline // nil while the device is set up. Set under the device's lock
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.answers == nil {
		return w.next.RoundTrip(r)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	answer := w.answers.answer(r.URL.Path, body)
	if answer == nil {
		return nil, errOffline
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)),
	}, nil
}

// answer returns the answer to a request, or nil. It has the requested users and devices only: the library takes in whole answers.
func (o *offline) answer(path string, body []byte) []byte {
	switch {
	case strings.HasSuffix(path, "/keys/query"):
		var req struct {
			Users map[id.UserID]json.RawMessage `json:"device_keys"`
		}
		if o.devices.Devices == nil || json.Unmarshal(body, &req) != nil {
			return nil
		}
		return marshal(keyAnswer{
			Devices: only(o.devices.Devices, req.Users), Master: only(o.devices.Master, req.Users),
			SelfSigning: only(o.devices.SelfSigning, req.Users), UserSigning: only(o.devices.UserSigning, req.Users),
		})
	case strings.HasSuffix(path, "/keys/claim"):
		var req struct {
			OneTime map[id.UserID]map[id.DeviceID]json.RawMessage `json:"one_time_keys"`
		}
		if json.Unmarshal(body, &req) != nil {
			return nil
		}
		users := only(o.oneTime.OneTime, req.OneTime)
		for user, devices := range users {
			users[user] = only(devices, req.OneTime[user])
		}
		return marshal(claimAnswer{OneTime: users})
	case strings.Contains(path, "/sendToDevice/"):
		if bytes.Equal(bytes.TrimSpace(body), []byte(`{"messages":{}}`)) {
			return []byte(`{}`) // a session made for nobody yet
		}
	}
	return nil
}

// only returns the wanted members of m.
func only[K comparable, V, W any](m map[K]V, wanted map[K]W) map[K]V {
	found := map[K]V{}
	for key := range wanted {
		if value, exists := m[key]; exists {
			found[key] = value
		}
	}
	return found
}
