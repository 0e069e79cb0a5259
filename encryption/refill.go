package encryption

import (
	"context"
	"net/http"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/id"
)

// Bounds of the keys for beginning Olm sessions with the bot's device.
const (
	minOneTimeKeys = 50          // at the homeserver, of at most 100
	refillPause    = time.Minute // between two uploads. Many claims must not drive out keys of messages on their way
	fallbackPause  = time.Hour   // between two fallback keys. Messages by the key before the last are unreadable
)

// fallbackAccount is the part of an Olm account missing in the library's interface.
type fallbackAccount interface {
	GenFallbackKey() error
	FallbackKey() map[string]id.Curve25519
	FallbackKeyUnpublished() map[string]id.Curve25519
}

// keyUpload is a request of /keys/upload.
type keyUpload struct {
	OneTime  map[id.KeyID]*mautrix.OneTimeKey `json:"one_time_keys,omitempty"`
	Fallback map[id.KeyID]*mautrix.OneTimeKey `json:"fallback_keys,omitempty"`
}

// refill uploads one-time keys if few are left, and a fallback key if there is none unused. The fallback key serves all who ask after
// the one-time keys, so nobody can keep others from the device by claiming all keys. After a failure it is tried again with a later
// answer of /sync.
func (d *intake) refill(ctx context.Context, b *batch) error {
	s, err := d.currentSession(ctx)
	if err != nil {
		return err
	}
	low := b.oneTime < minOneTimeKeys && d.o.Now().Sub(s.refilled) >= refillPause
	if low {
		// An answer of /sync may lack the number. With more than 100 keys the account would forget the oldest.
		resp, err := s.fetch.client.UploadKeys(ctx, &mautrix.ReqUploadKeys{})
		if err != nil {
			d.log.Err(cause(err)).Msg("one-time keys could not be counted")
			return ctx.Err()
		}
		b.oneTime = resp.OneTimeKeyCounts.SignedCurve25519
	}
	var upload keyUpload
	err = d.step(ctx, &offline{}, func(ctx context.Context, current *session) (err error) {
		upload, err = current.generate(ctx, b, low, d.o.Now())
		return err
	})
	if err != nil || len(upload.OneTime)+len(upload.Fallback) == 0 {
		return err
	}
	client := s.fetch.client
	if _, err := client.MakeRequest(ctx, http.MethodPost, client.BuildClientURL("v3", "keys", "upload"), upload, nil); err != nil {
		d.log.Err(cause(err)).Msg("one-time keys could not be uploaded")
		return ctx.Err()
	}
	return d.step(ctx, &offline{}, func(ctx context.Context, s *session) error {
		s.machine.GetAccount().Internal.MarkKeysAsPublished()
		return s.keys.PutAccount(ctx, s.machine.GetAccount())
	})
}

// generate makes the missing keys, and returns all keys not uploaded yet. They are saved first: an upload may arrive though
// its answer does not.
func (s *session) generate(ctx context.Context, b *batch, low bool, now time.Time) (upload keyUpload, err error) {
	account := s.machine.GetAccount()
	if low {
		s.refilled = now
		keys, err := account.Internal.OneTimeKeys() // not uploaded yet
		if missing := minOneTimeKeys - b.oneTime - len(keys); err == nil && missing > 0 {
			if err = account.Internal.GenOneTimeKeys(uint(missing)); err == nil {
				keys, err = account.Internal.OneTimeKeys()
			}
		}
		if err != nil {
			return upload, err
		}
		if upload.OneTime, err = s.sign(keys, false); err != nil {
			return upload, err
		}
	}
	if fallback, ok := account.Internal.(fallbackAccount); ok {
		used := b.fallbacks != nil && !slices.Contains(b.fallbacks, id.KeyAlgorithmSignedCurve25519)
		if len(fallback.FallbackKey()) == 0 || used && len(fallback.FallbackKeyUnpublished()) == 0 && now.Sub(s.fellBack) >= fallbackPause {
			s.fellBack = now
			if err := fallback.GenFallbackKey(); err != nil {
				return upload, err
			}
		}
		if upload.Fallback, err = s.sign(fallback.FallbackKeyUnpublished(), true); err != nil {
			return upload, err
		}
	}
	if len(upload.OneTime)+len(upload.Fallback) == 0 {
		return upload, nil
	}
	return upload, s.keys.PutAccount(ctx, account)
}

// sign signs keys by the device.
func (s *session) sign(keys map[string]id.Curve25519, fallback bool) (map[id.KeyID]*mautrix.OneTimeKey, error) {
	signed := map[id.KeyID]*mautrix.OneTimeKey{}
	for name, public := range keys {
		key := &mautrix.OneTimeKey{Key: public, Fallback: fallback, IsSigned: true}
		signature, err := s.machine.GetAccount().SignJSON(key)
		if err != nil {
			return nil, err
		}
		client := s.machine.Client
		key.Signatures = signatures.NewSingleSignature(client.UserID, id.KeyAlgorithmEd25519, client.DeviceID.String(), signature)
		signed[id.NewKeyID(id.KeyAlgorithmSignedCurve25519, name)] = key
	}
	return signed, nil
}
