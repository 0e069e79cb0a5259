package operator

import (
	"context"
	"slices"

	"usher/connect"
	"usher/room"
	"usher/store"
)

// keys checks the database of encryption keys.
func (d *doctor) keys(ctx context.Context) finding {
	if !d.cfg.Encryption.Enabled {
		return finding{mark: unchecked, found: room.Say("doctor.no_encryption")}
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
		return finding{mark: unchecked, found: room.Say("doctor.no_device")}
	}
	types, err := d.client.LoginTypes(ctx)
	switch {
	case err != nil:
		return finding{mark: ill, found: room.Say("doctor.no_login", "error", err), remedy: room.Say("remedy.log")}
	case slices.Contains(types, "m.login.application_service"):
		return finding{mark: well, found: room.Say("doctor.device")}
	}
	return finding{mark: unchecked, found: room.Say("doctor.msc4190"), remedy: room.Say("remedy.msc4190")}
}
