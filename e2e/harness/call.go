package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Answer is a homeserver's answer to a raw request.
type Answer struct {
	Status int
	Body   []byte
}

// Get returns one field of the answer's JSON object as a string, empty when it is absent.
func (a Answer) Get(field string) string {
	var object map[string]any
	_ = json.Unmarshal(a.Body, &object)
	if v, ok := object[field]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// String implements fmt.Stringer, for messages of tests.
func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Body) }

// Caller makes raw requests to a client API, for what a client library would hide: identity assertion, error answers, paths
// that a server may not have.
type Caller struct {
	URL    string
	Token  string
	UserID string // asserted with ?user_id=; empty: the token's own user
}

// Do makes one request; body may be nil, else it is sent as JSON.
func (c Caller) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	u, err := url.Parse(c.URL + path)
	if err != nil {
		return Answer{}, err
	}
	if c.UserID != "" {
		q := u.Query()
		q.Set("user_id", c.UserID)
		u.RawQuery = q.Encode()
	}
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), payload)
	if err != nil {
		return Answer{}, err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Body: text}, joinClose(err, resp.Body)
}

// joinClose closes c and joins its error to err.
func joinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
