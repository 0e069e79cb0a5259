package encryption

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// deviceName is what people see in the bot's list of devices.
const deviceName = "Usher"

// establish logs the device in, makes sure that the homeserver has its keys, and signs it. Each way in which the database
// and the homeserver may disagree has its repair here.
func (d *Device) establish(ctx context.Context) error {
	d.mu.Lock()
	d.machine = nil
	d.mu.Unlock()
	d.keys = newKeyStore(d.o.Keys, d.o.PickleKey)
	if err := d.keys.DB.Upgrade(ctx); err != nil {
		return fmt.Errorf("the database of keys: %w", err)
	}
	if err := d.o.Keys.ForgetSessions(ctx); err != nil { // whom they went to is not on record
		return err
	}
	if err := d.agree(ctx); err != nil {
		return err
	}
	client, err := d.login(ctx)
	if err != nil {
		return fmt.Errorf("logging the device in: %w", err)
	}
	d.keys.DeviceID = client.DeviceID
	machine := crypto.NewOlmMachine(client, &d.log, d.keys, stateStore{d})
	machine.DisableRatchetTracking = true
	machine.IgnorePostDecryptionParseErrors = true // what the content means is for others to say
	machine.SessionReceived = d.received
	machine.SetBackgroundCtx(ctx)
	if d.o.SignedOnly {
		machine.SendKeysMinTrust = id.TrustStateCrossSignedTOFU
	}
	if err := machine.Load(ctx); err != nil {
		return fmt.Errorf("the keys can't be read, is encryption.pickle_key another than before? %w", err)
	}
	if err := machine.ShareKeys(ctx, -1); err != nil {
		return fmt.Errorf("uploading keys: %w", err)
	}
	if err := d.identify(ctx, machine); err != nil {
		return fmt.Errorf("cross-signing: %w", err)
	}
	d.state.Lock()
	clear(d.rooms.sent)
	d.state.Unlock()
	d.mu.Lock()
	d.since, d.machine, d.running = d.keys.SyncToken, machine, ctx
	d.mu.Unlock()
	d.log.Info().Stringer("device", client.DeviceID).Msg("ready for encrypted rooms")
	return nil
}

// agree compares the device in the database with what the homeserver has of it. A device that can't be mended is forgotten:
// login then makes a new one.
func (d *Device) agree(ctx context.Context) error {
	device, err := d.keys.FindDeviceID(ctx)
	if err != nil || device == "" {
		return err
	}
	account, err := d.keys.GetAccount(ctx)
	if err != nil {
		return fmt.Errorf("the keys can't be read, is encryption.pickle_key another than before? %w", err)
	}
	d.keys.DeviceID = device
	asBot, err := d.client(d.o.Token)
	if err != nil {
		return err
	}
	asBot.SetAppServiceUserID = true
	resp, err := asBot.QueryKeys(ctx, &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{d.o.Bot: {device}}})
	if err != nil {
		return fmt.Errorf("asking for the device's keys: %w", err)
	}
	there, uploaded := resp.DeviceKeys[d.o.Bot][device]
	uploaded = uploaded && len(there.Keys) > 0
	signing, identity := account.Keys()
	same := there.Keys.GetEd25519(device) == signing && there.Keys.GetCurve25519(device) == identity
	log := d.log.With().Stringer("device", device).Logger()
	switch {
	case uploaded && same && !account.Shared:
		log.Warn().Msg("the keys were uploaded just before an end: noted")
		account.Internal.MarkKeysAsPublished()
		account.Shared = true
		return d.keys.PutAccount(ctx, account)
	case uploaded && !same:
		log.Warn().Msg("the homeserver has other keys for the device: a new device takes its place")
		return d.forget(ctx)
	case !uploaded && account.Shared:
		log.Warn().Msg("the device was deleted at the homeserver: a new device takes its place")
		return d.forget(ctx)
	}
	return nil
}

func (d *Device) forget(ctx context.Context) error {
	if err := d.o.Keys.ForgetDevice(ctx); err != nil {
		return err
	}
	d.keys = newKeyStore(d.o.Keys, d.o.PickleKey)
	return nil
}

// login returns a client that is the device: by m.login.application_service
// (https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions), or, where that is not offered,
// by the appservice's own token in the device's name (MSC4190).
func (d *Device) login(ctx context.Context) (*mautrix.Client, error) {
	client, err := d.client(d.o.Token)
	if err != nil {
		return nil, err
	}
	client.UserID, client.DeviceID = d.o.Bot, d.keys.DeviceID
	resp, err := client.Login(ctx, &mautrix.ReqLogin{
		Type: mautrix.AuthTypeAppservice, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: d.o.Bot.String()},
		DeviceID: client.DeviceID, InitialDeviceDisplayName: deviceName,
	})
	if err == nil {
		client.AccessToken, client.DeviceID = resp.AccessToken, resp.DeviceID
		return client, nil
	}
	var refused mautrix.HTTPError
	if !errors.As(err, &refused) || refused.RespError == nil || refused.IsStatus(http.StatusTooManyRequests) || refused.IsStatus(http.StatusInternalServerError) {
		return nil, cause(err)
	}
	d.log.Info().Str("errcode", refused.RespError.ErrCode).Msg("no login for application services here: making the device by MSC4190")
	client.SetAppServiceUserID = true
	if err := client.CreateDeviceMSC4190(ctx, client.DeviceID, deviceName); err != nil {
		return nil, errors.Join(fmt.Errorf("login: %w", cause(refused)), fmt.Errorf("making a device: %w", cause(err)))
	}
	return client, nil
}
