package homeserver

import (
	"context"
	"net/http"
	"net/url"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// Upload puts a file into the media repository and returns its mxc: URI
// (https://spec.matrix.org/latest/client-server-api/#post_matrixmediav3upload).
func (c *Client) Upload(ctx context.Context, name, contentType string, data []byte) (id.ContentURIString, error) {
	body, err := c.do(ctx, request{
		name: "upload", method: http.MethodPost, media: true, path: path("v3", "upload"), query: named(name),
		data: data, contentType: contentType,
	})
	if err != nil {
		return "", err
	}
	uri := id.ContentURIString(exactjson.Text(body, "content_uri"))
	if _, err := uri.Parse(); err != nil || uri == "" {
		return "", &invites.ActError{Class: invites.ClassFailed, Status: http.StatusOK, Err: errAnswer}
	}
	return uri, nil
}

// below is the part of the API that a request is for.
func (r request) below() mautrix.PrefixableURLPath {
	if r.media {
		return mautrix.MediaURLPath(r.path)
	}
	return mautrix.ClientURLPath(r.path)
}

// named gives a file a name, if it has one.
func named(name string) url.Values {
	if name == "" {
		return nil
	}
	return url.Values{"filename": {name}}
}
