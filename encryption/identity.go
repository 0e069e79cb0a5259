package encryption

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/crypto/ssss"
	"maunium.net/go/mautrix/crypto/utils"
	"maunium.net/go/mautrix/id"
)

// ensureIdentity has the device signed by the bot's cross-signing identity, and makes the identity if there is none
// (https://spec.matrix.org/latest/client-server-api/#cross-signing). The private keys of the identity are in the bot's account data,
// encrypted with the recovery key, so a new device gets signed even after the loss of the database.
func (s *setup) ensureIdentity(ctx context.Context, machine *crypto.OlmMachine) error {
	key, err := s.recoveryKey()
	if err != nil {
		return err
	}
	uploaded, err := machine.Client.QueryKeys(ctx, &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{s.o.Bot: {}}})
	if err != nil {
		return err
	}
	switch master, exists := uploaded.MasterKeys[s.o.Bot]; {
	case !exists:
		if err := createIdentity(ctx, machine, key, false); err != nil {
			return err
		}
		s.log.Info().Msg("made a cross-signing identity and signed the device")
	case !signed(uploaded, machine):
		err := recoverIdentity(ctx, machine, key, master.FirstKey())
		if temporary(err) {
			return err
		}
		if err != nil {
			s.log.Warn().Err(cause(err)).Msg("the bot's cross-signing identity can't be recovered: making another")
			if err := createIdentity(ctx, machine, key, true); err != nil {
				s.log.Error().Err(cause(err)).Msg("the device stays unsigned, and clients that accept signed devices only won't read its events: " +
					"set encryption.recovery_key to the key of the bot's identity")
				return nil
			}
		}
		s.log.Info().Msg("signed the device with the bot's cross-signing identity")
	}
	// The library reads the signatures from the database.
	_, err = machine.FetchKeys(ctx, []id.UserID{s.o.Bot}, true)
	return err
}

// signed reports whether the device is signed by the bot's identity.
func signed(uploaded *mautrix.RespQueryKeys, machine *crypto.OlmMachine) bool {
	user, device := machine.Client.UserID, machine.Client.DeviceID
	selfSigning := uploaded.SelfSigningKeys[user]
	signer := selfSigning.FirstKey()
	keys, exists := uploaded.DeviceKeys[user][device]
	if !exists || signer == "" {
		return false
	}
	ok, err := signatures.VerifySignatureJSON(keys, user, signer.String(), signer)
	return ok && err == nil
}

// recoveryKey returns the key for encrypting the private keys of the identity.
func (s *setup) recoveryKey() ([]byte, error) {
	if s.o.RecoveryKey == "" {
		mac := hmac.New(sha256.New, []byte(s.o.PickleKey))
		mac.Write([]byte("usher cross-signing recovery key"))
		return mac.Sum(nil), nil
	}
	key := utils.DecodeBase58RecoveryKey(s.o.RecoveryKey)
	if key == nil {
		return nil, errors.New("encryption.recovery_key is no recovery key")
	}
	return key, nil
}

// temporary reports whether another try may succeed.
func temporary(err error) bool {
	var http mautrix.HTTPError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &http) && !errors.Is(err, mautrix.MNotFound)
}

// createIdentity makes an identity. It publishes the public keys after it has saved the private keys, so a published identity
// can be recovered. To replace an identity it publishes first: the homeserver may refuse it, and the saved keys then stay.
func createIdentity(ctx context.Context, machine *crypto.OlmMachine, recovery []byte, replace bool) error {
	key, err := ssss.WrapKey(recovery, nil)
	if err != nil {
		return err
	}
	keys, err := machine.GenerateCrossSigningKeys()
	if err != nil {
		return err
	}
	publish := func() error { return machine.PublishCrossSigningKeys(ctx, keys, nil) }
	save := []func() error{
		func() error { return machine.SSSS.SetKeyData(ctx, key.ID, key.Metadata) },
		func() error { return machine.UploadCrossSigningKeysToSSSS(ctx, key, keys) },
		func() error { return machine.SSSS.SetDefaultKeyID(ctx, key.ID) },
	}
	steps := append(save, publish)
	if replace {
		steps = append([]func() error{publish}, save...)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return sign(ctx, machine)
}

// recoverIdentity fetches the private keys of the identity and signs the device with them.
func recoverIdentity(ctx context.Context, machine *crypto.OlmMachine, recovery []byte, master id.Ed25519) error {
	keyID, metadata, err := machine.SSSS.GetDefaultKeyData(ctx)
	if err != nil {
		return err
	}
	key, err := metadata.VerifyRecoveryKey(keyID, utils.EncodeBase58RecoveryKey(recovery))
	if err != nil {
		return err
	}
	if err := machine.FetchCrossSigningKeysFromSSSS(ctx, key); err != nil {
		return err
	}
	if found := machine.CrossSigningKeys.PublicKeys().MasterKey; found != master {
		return fmt.Errorf("the saved keys belong to another identity, %s", found)
	}
	return sign(ctx, machine)
}

func sign(ctx context.Context, machine *crypto.OlmMachine) error {
	if err := machine.SignOwnDevice(ctx, machine.OwnIdentity()); err != nil {
		return err
	}
	return machine.SignOwnMasterKey(ctx)
}
