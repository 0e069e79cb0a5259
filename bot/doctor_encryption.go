package bot

import (
	"context"
	"slices"

	"usher/config"
	"usher/store"
)

// keysPlace is where the keys are kept.
func keysPlace(cfg *config.Config) store.Config {
	place := store.KeysConfig(store.Config{Type: cfg.Database.Type, URI: cfg.Database.URI.Reveal()})
	if uri := cfg.Encryption.DatabaseURI.Reveal(); uri != "" {
		place.URI = uri
	}
	return place
}

// keys looks at the database of keys.
func (d *doctor) keys(ctx context.Context) finding {
	if !d.cfg.Encryption.Enabled {
		return finding{well: true, found: "encryption is off: encrypted rooms are not served"}
	}
	at := keysPlace(d.cfg)
	keys, err := store.OpenKeys(ctx, at)
	if err != nil {
		return unopened(at, "encryption.database_uri", err)
	}
	defer func() { _ = keys.Close() }()
	return committed(at, keys.Lock(ctx))
}

// device asks how the bot can have a device here.
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
