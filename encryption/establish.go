package encryption

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
)

// deviceName is the name of the device in the list of the bot's devices.
const deviceName = "Usher"

// setup makes a session. Each way in which the database and the homeserver may disagree about the device has its repair here.
type setup struct {
	o    Options
	log  zerolog.Logger
	http *http.Client
	keys *keyStore

	quiet zerolog.Logger // for the library, which writes lines for each malformed message of a stranger
}

// libraryLines is how many lines of the library are logged in libraryPause.
const (
	libraryLines = 20
	libraryPause = time.Minute
)

// run logs the device in, uploads its keys, and signs it. ctx is the context of Device.Run.
func (s *setup) run(ctx context.Context, rooms *rooms) (*session, error) {
	s.quiet = s.log.Sample(&zerolog.LevelSampler{
		WarnSampler: &zerolog.BurstSampler{Burst: libraryLines, Period: libraryPause}, ErrorSampler: &zerolog.BurstSampler{Burst: libraryLines, Period: libraryPause},
	})
	s.keys = newKeyStore(s.o.Keys, s.o.PickleKey, s.o.Now)
	if err := s.keys.DB.Upgrade(ctx); err != nil {
		return nil, fmt.Errorf("the database of keys: %w", err)
	}
	// The database does not say which users got the keys of outbound sessions, so all rooms get new sessions.
	if err := s.o.Keys.ForgetSessions(ctx); err != nil {
		return nil, err
	}
	if err := s.reconcile(ctx); err != nil {
		return nil, err
	}
	client, err := s.login(ctx)
	if err != nil {
		return nil, fmt.Errorf("logging the device in: %w", err)
	}
	s.keys.DeviceID = client.DeviceID
	inner, err := s.client(client.AccessToken)
	if err != nil {
		return nil, err
	}
	inner.DeviceID = client.DeviceID
	inner.SetAppServiceUserID, inner.SetAppServiceDeviceID = client.SetAppServiceUserID, client.SetAppServiceDeviceID
	made := &session{keys: s.keys, log: s.log, wire: &wire{next: s.http.Transport}, fetch: &fetcher{client: client, now: s.o.Now}}
	made.atEnd = func(f func()) func() bool { return context.AfterFunc(ctx, f) }
	made.newMachine = func() *crypto.OlmMachine { return s.machine(ctx, inner, made, rooms) }
	machine := made.newMachine()
	made.machine = machine
	if err := machine.Load(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errPickleKey, err)
	}
	if err := machine.ShareKeys(ctx, -1); err != nil {
		return nil, fmt.Errorf("uploading keys: %w", err)
	}
	if err := s.ensureIdentity(ctx, machine); err != nil {
		return nil, fmt.Errorf("cross-signing: %w", err)
	}
	made.wire.answers = &offline{}
	made.since, made.identity = s.keys.SyncToken, machine.OwnIdentity().IdentityKey
	return made, nil
}

// machine returns a machine of the library for the device.
func (s *setup) machine(ctx context.Context, client *mautrix.Client, made *session, rooms *rooms) *crypto.OlmMachine {
	client.Client = &http.Client{Transport: made.wire, Timeout: s.http.Timeout, CheckRedirect: s.http.CheckRedirect}
	machine := crypto.NewOlmMachine(client, &s.quiet, s.keys, machineRooms{rooms, made.wire})
	machine.DisableRatchetTracking = true
	machine.DisableDecryptKeyFetching = true         // a step under the lock makes no requests
	machine.DisableSharedGroupSessionTracking = true // key requests of other users are dropped
	machine.IgnorePostDecryptionParseErrors = true   // the caller of Open reads the content
	machine.SessionReceived = made.keyReceived
	machine.SetBackgroundCtx(ctx)
	if s.o.SignedOnly {
		machine.SendKeysMinTrust = id.TrustStateCrossSignedTOFU
	}
	return machine
}

// errPickleKey means the keys in the database can't be read.
var errPickleKey = errors.New("the keys can't be read, is encryption.pickle_key another than before?")

// reconcile compares the keys of the device in the database with the keys at the homeserver. It forgets a device that can't be
// repaired, and login then makes a new one.
func (s *setup) reconcile(ctx context.Context) error {
	device, err := s.keys.FindDeviceID(ctx)
	if err != nil || device == "" {
		return err
	}
	account, err := s.keys.GetAccount(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errPickleKey, err)
	}
	s.keys.DeviceID = device
	asBot, err := s.client(s.o.Token)
	if err != nil {
		return err
	}
	asBot.SetAppServiceUserID = true
	resp, err := asBot.QueryKeys(ctx, &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{s.o.Bot: {device}}})
	if err != nil {
		return fmt.Errorf("asking for the device's keys: %w", err)
	}
	there, uploaded := resp.DeviceKeys[s.o.Bot][device]
	uploaded = uploaded && len(there.Keys) > 0
	signing, identity := account.Keys()
	same := there.Keys.GetEd25519(device) == signing && there.Keys.GetCurve25519(device) == identity
	log := s.log.With().Stringer("device", device).Logger()
	switch {
	case uploaded && same && !account.Shared:
		log.Warn().Msg("the keys were uploaded just before an end")
		account.Internal.MarkKeysAsPublished()
		account.Shared = true
		return s.keys.PutAccount(ctx, account)
	case uploaded && !same:
		log.Warn().Msg("the homeserver has other keys for the device: a new device takes its place")
		return s.forget(ctx)
	case !uploaded && account.Shared:
		log.Warn().Msg("the device was deleted at the homeserver: a new device takes its place")
		return s.forget(ctx)
	}
	return nil
}

// forget drops the device. Keys received before stay readable.
func (s *setup) forget(ctx context.Context) error {
	if err := s.o.Keys.ForgetDevice(ctx); err != nil {
		return err
	}
	s.keys = newKeyStore(s.o.Keys, s.o.PickleKey, s.o.Now)
	return nil
}

// login returns the client of the device. It logs in by m.login.application_service
// (https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions). If the homeserver does not offer that, it
// makes the device with the appservice's token (MSC4190).
func (s *setup) login(ctx context.Context) (*mautrix.Client, error) {
	client, err := s.client(s.o.Token)
	if err != nil {
		return nil, err
	}
	client.UserID, client.DeviceID = s.o.Bot, s.keys.DeviceID
	resp, err := client.Login(ctx, &mautrix.ReqLogin{
		Type: mautrix.AuthTypeAppservice, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: s.o.Bot.String()},
		DeviceID: client.DeviceID, InitialDeviceDisplayName: deviceName,
	})
	if err == nil {
		client.AccessToken, client.DeviceID = resp.AccessToken, resp.DeviceID
		return client, nil
	}
	if !withoutLogin(err) {
		return nil, cause(err)
	}
	s.log.Info().AnErr("login", cause(err)).Msg("no login for application services: making the device by MSC4190")
	client.SetAppServiceUserID = true
	if err := client.CreateDeviceMSC4190(ctx, client.DeviceID, deviceName); err != nil {
		return nil, errors.Join(fmt.Errorf("login: %w", cause(err)), fmt.Errorf("making a device: %w", cause(err)))
	}
	return client, nil
}

// withoutLogin reports whether the answer to a login says that the homeserver has no login for application services: 404 or 405, also
// without an errcode as from a proxy that lets no login through, or another 4xx with an errcode. Other answers are trouble that passes.
func withoutLogin(err error) bool {
	var refused mautrix.HTTPError
	if !errors.As(err, &refused) || refused.Response == nil {
		return false
	}
	switch status := refused.Response.StatusCode; status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return false
	default:
		return status >= 400 && status < 500 && refused.RespError != nil && refused.RespError.ErrCode != ""
	}
}

// client returns a client with a token.
func (s *setup) client(token string) (*mautrix.Client, error) {
	c, err := mautrix.NewClient(s.o.Homeserver, s.o.Bot, token)
	if err != nil {
		return nil, err
	}
	c.Client = s.http
	c.Log = zerolog.Nop() // the library would log the content of messages
	c.IgnoreRateLimit = true
	c.DefaultHTTPRetries = 0
	c.UserAgent = s.o.UserAgent
	c.ResponseSizeLimit = responseSize
	return c, nil
}
