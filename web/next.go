package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"usher/exactjson"
	"usher/invites/native"
)

// Next is another service with the same protocol, which is asked as well: a homeserver knows one address only.
type Next struct {
	URL, Token string
	Client     *http.Client // without redirects, so that the token goes nowhere else
}

// maxNext is the longest answer that is read.
const maxNext = 64 << 10

// ask forwards a callback. It returns the body of a refusal, nil where the service lets it through.
func (n *Next) ask(ctx context.Context, callback native.Callback, body []byte) (json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+"/"+string(callback), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+n.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := n.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the next service: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxNext))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of the next service: %w", err)
	case !exactjson.Valid(got) || !exactjson.IsObject(exactjson.Find(got)):
		return nil, fmt.Errorf("the next service answers %d without JSON", resp.StatusCode)
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil, nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode >= 500:
		return nil, fmt.Errorf("the next service answers %d", resp.StatusCode)
	}
	return got, nil
}
