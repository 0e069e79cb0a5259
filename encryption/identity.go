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

// identify makes sure that the device is signed by the bot's cross-signing identity, which is made once
// (https://spec.matrix.org/latest/client-server-api/#cross-signing). Its private keys are kept in the bot's account data,
// encrypted with the recovery key, so that a new device, with a database that is lost, still gets signed.
func (d *Device) identify(ctx context.Context, machine *crypto.OlmMachine) error {
	key, err := d.recoveryKey()
	if err != nil {
		return err
	}
	there, err := machine.Client.QueryKeys(ctx, &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{d.o.Bot: {}}})
	if err != nil {
		return err
	}
	switch master, exists := there.MasterKeys[d.o.Bot]; {
	case !exists:
		if err := create(ctx, machine, key, false); err != nil {
			return err
		}
		d.log.Info().Msg("made a cross-signing identity and signed the device")
	case !signed(there, machine):
		err := recoverIdentity(ctx, machine, key, master.FirstKey())
		if passing(err) {
			return err
		}
		if err != nil {
			d.log.Warn().Err(cause(err)).Msg("the bot's cross-signing identity can't be recovered: trying to make another")
			if err := create(ctx, machine, key, true); err != nil {
				d.log.Error().Err(cause(err)).Msg("the device stays unsigned, so clients that hear signed devices only won't hear it: " +
					"set encryption.recovery_key to the key of the bot's identity")
				return nil
			}
		}
		d.log.Info().Msg("signed the device with the bot's cross-signing identity")
	}
	// What was signed goes into the database, from where it is shown to those whom keys are sent to.
	_, err = machine.FetchKeys(ctx, []id.UserID{d.o.Bot}, true)
	return err
}

// signed tells whether the device has a signature of the bot's identity.
func signed(there *mautrix.RespQueryKeys, machine *crypto.OlmMachine) bool {
	user, device := machine.Client.UserID, machine.Client.DeviceID
	selfSigning := there.SelfSigningKeys[user]
	signer := selfSigning.FirstKey()
	keys, exists := there.DeviceKeys[user][device]
	if !exists || signer == "" {
		return false
	}
	ok, err := signatures.VerifySignatureJSON(keys, user, signer.String(), signer)
	return ok && err == nil
}

// recoveryKey is the key that the identity is kept with.
func (d *Device) recoveryKey() ([]byte, error) {
	if d.o.RecoveryKey == "" {
		mac := hmac.New(sha256.New, []byte(d.o.PickleKey))
		mac.Write([]byte("usher cross-signing recovery key"))
		return mac.Sum(nil), nil
	}
	key := utils.DecodeBase58RecoveryKey(d.o.RecoveryKey)
	if key == nil {
		return nil, errors.New("encryption.recovery_key is no recovery key")
	}
	return key, nil
}

// passing tells whether an error may be gone with the next try.
func passing(err error) bool {
	var http mautrix.HTTPError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &http) && !errors.Is(err, mautrix.MNotFound)
}

// create makes an identity. It is published last, so that once anybody can see it, its keys are kept; only in place of one
// that can't be recovered first, since the homeserver may not allow that, and then what is kept had better stay.
func create(ctx context.Context, machine *crypto.OlmMachine, recovery []byte, replace bool) error {
	key, err := ssss.WrapKey(recovery, nil)
	if err != nil {
		return err
	}
	keys, err := machine.GenerateCrossSigningKeys()
	if err != nil {
		return err
	}
	publish := func() error { return machine.PublishCrossSigningKeys(ctx, keys, nil) }
	keep := []func() error{
		func() error { return machine.SSSS.SetKeyData(ctx, key.ID, key.Metadata) },
		func() error { return machine.UploadCrossSigningKeysToSSSS(ctx, key, keys) },
		func() error { return machine.SSSS.SetDefaultKeyID(ctx, key.ID) },
	}
	steps := append(keep, publish)
	if replace {
		steps = append([]func() error{publish}, keep...)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return sign(ctx, machine)
}

// recoverIdentity gets the private keys of the identity back and signs the device with them.
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
		return fmt.Errorf("what is kept belongs to another identity, %s", found)
	}
	return sign(ctx, machine)
}

func sign(ctx context.Context, machine *crypto.OlmMachine) error {
	if err := machine.SignOwnDevice(ctx, machine.OwnIdentity()); err != nil {
		return err
	}
	return machine.SignOwnMasterKey(ctx)
}
