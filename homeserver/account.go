package homeserver

import (
	"context"
	"encoding/json"
	"net/http"

	"usher/invites"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix"
)

// AccountData returns the bot's own account data of a type, nil where there is none
// (https://spec.matrix.org/latest/client-server-api/#client-config).
func (c *Client) AccountData(ctx context.Context, kind string) (json.RawMessage, error) {
	body, err := c.do(ctx, request{name: "account_data", method: http.MethodGet, path: path("v3", "user", c.user, "account_data", kind)})
	if invites.Errcode(err) == mautrix.MNotFound.ErrCode {
		return nil, nil
	}
	return body, err
}

// SetAccountData replaces the bot's own account data of a type.
func (c *Client) SetAccountData(ctx context.Context, kind string, content any) error {
	_, err := c.do(ctx, request{
		name: "set_account_data", method: http.MethodPut, path: path("v3", "user", c.user, "account_data", kind), body: content,
	})
	return err
}

// CheckAssertion tells whether the homeserver takes the second registration: it asks who it is by that one's token, as
// the bot, whom both namespaces cover.
func (c *Client) CheckAssertion(ctx context.Context) error {
	if c.puppet == nil {
		return ErrUnsupported
	}
	_, err := c.do(ctx, request{name: "whoami", puppet: true, as: c.user, method: http.MethodGet, path: path("v3", "account", "whoami")})
	return err
}

// LoginTypes returns the ways to log in that the homeserver offers, such as "m.login.application_service".
func (c *Client) LoginTypes(ctx context.Context) ([]string, error) {
	body, err := c.do(ctx, request{name: "login_types", method: http.MethodGet, path: path("v3", "login")})
	var types []string
	for _, flow := range gjson.GetBytes(body, "flows.#.type").Array() {
		types = append(types, flow.Str)
	}
	return types, err
}
