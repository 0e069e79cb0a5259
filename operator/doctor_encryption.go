package operator

import (
	"context"
	"slices"

	"usher/connect"
	"usher/store"
)

// keys checks the database of encryption keys.
func (d *doctor) keys(ctx context.Context) finding {
	if !d.cfg.Encryption.Enabled {
		return finding{well: true, found: "encryption is off: encrypted rooms are not served"}
	}
	at := connect.Keys(d.cfg)
	keys, err := store.OpenKeys(ctx, at)
	if err != nil {
		return unopened(at, "encryption.database_uri", err)
	}
	defer func() { _ = keys.Close() }()
	return committed(at, keys.Lock(ctx))
}

// device checks in which way the bot can get a device at this homeserver.
func (d *doctor) device(ctx context.Context) finding {
	if !d.cfg.Encryption.Enabled {
		return finding{well: true, found: "encryption is off"}
	}
	types, err := d.client.LoginTypes(ctx)
	switch {
	case err != nil:
		return finding{found: "the homeserver does not say how to log in: " + err.Error(), remedy: "Look into the homeserver's log."}
	case slices.Contains(types, "m.login.application_service"):
		return finding{well: true, found: "the homeserver lets application services log in: the bot can have one"}
	}
	return finding{well: true, found: "the homeserver offers no login for application services; Usher makes a device by MSC4190 instead",
		remedy: "If Usher's log says that this fails, set io.element.msc4190: true in the homeserver's copy of the registration."}
}
