package homeserver

import (
	"context"
	"io"
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

// maxThumbnail bounds a small picture, in bytes.
const maxThumbnail = 256 << 10

// thumbnailSide is the side of a small picture, in pixels.
const thumbnailSide = "96"

// Thumbnail returns a small picture of the media repository with its type, which is read from the picture itself
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid).
func (c *Client) Thumbnail(ctx context.Context, uri id.ContentURIString) (picture []byte, contentType string, err error) {
	parsed, err := uri.Parse()
	if err != nil || parsed.IsEmpty() {
		return nil, "", &invites.ActError{Class: invites.ClassRefused, Status: http.StatusNotFound, Err: errAnswer}
	}
	_, err = c.do(ctx, request{
		name: "thumbnail", method: http.MethodGet, path: path("v1", "media", "thumbnail", parsed.Homeserver, parsed.FileID),
		query: url.Values{"width": {thumbnailSide}, "height": {thumbnailSide}, "method": {"crop"}},
		reader: func(_ *http.Request, res *http.Response, _ any, _ int64) ([]byte, error) {
			var err error
			if picture, err = io.ReadAll(io.LimitReader(res.Body, maxThumbnail+1)); err == nil && len(picture) > maxThumbnail {
				err = errAnswer
			}
			return nil, err
		},
	})
	return picture, http.DetectContentType(picture), err
}

// Download returns a file of the media repository, of at most a number of bytes
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid). tooLarge is set for a larger one, of
// which no more is read.
func (c *Client) Download(ctx context.Context, uri id.ContentURIString, most int64) (data []byte, tooLarge bool, err error) {
	parsed, err := uri.Parse()
	if err != nil || parsed.IsEmpty() {
		return nil, false, &invites.ActError{Class: invites.ClassRefused, Status: http.StatusNotFound, Err: errAnswer}
	}
	r := request{
		name: "download", method: http.MethodGet, path: path("v1", "media", "download", parsed.Homeserver, parsed.FileID),
		reader: func(_ *http.Request, res *http.Response, _ any, _ int64) ([]byte, error) {
			var err error
			if tooLarge = res.ContentLength > most; tooLarge {
				return nil, nil
			}
			if data, err = io.ReadAll(io.LimitReader(res.Body, most+1)); int64(len(data)) > most {
				data, tooLarge = nil, true
			}
			return nil, err
		},
	}
	if parsed.Homeserver != c.domain {
		r.remote = parsed.Homeserver
	}
	_, err = c.do(ctx, r)
	return data, tooLarge, err
}
