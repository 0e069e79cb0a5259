package encryption

import (
	"context"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// answerRequest sends a key to another, trusted device of the bot on its request. Requests of other users never come here.
func (d *intake) answerRequest(ctx context.Context, request *event.RoomKeyRequestEventContent) error {
	if request.Action != event.KeyRequestActionRequest {
		return nil
	}
	var device *id.Device
	var content event.Content
	err := d.step(ctx, &offline{}, func(ctx context.Context, s *session) error {
		found, err := s.keys.GetDevice(ctx, d.o.Bot, request.RequestingDeviceID)
		if err != nil || found == nil || s.machine.AllowKeyShare(ctx, found, request.Body) != nil {
			return err
		}
		key, err := s.keys.GetGroupSession(ctx, request.Body.RoomID, request.Body.SessionID)
		if err != nil || key == nil {
			return nil // withheld, or not there
		}
		exported, err := key.Internal.Export(key.Internal.FirstKnownIndex())
		if err != nil {
			return nil
		}
		device = found
		content.Parsed = &event.ForwardedRoomKeyEventContent{
			RoomKeyEventContent: event.RoomKeyEventContent{
				Algorithm: id.AlgorithmMegolmV1, RoomID: key.RoomID, SessionID: key.ID(), SessionKey: string(exported), SharedHistory: key.SharedHistory,
			},
			SenderKey: key.SenderKey, ForwardingKeyChain: key.ForwardingChains, SenderClaimedKey: key.SigningKey,
		}
		return nil
	})
	if err != nil || device == nil {
		return err
	}
	if _, _, err = d.sharer.sealForDevices(ctx, toDevices{kind: event.ToDeviceForwardedRoomKey, content: content}, []*id.Device{device}, keyTime); err != nil {
		d.log.Warn().Err(cause(err)).Stringer("device", device.DeviceID).Msg("a key could not be sent to another device of the bot")
	}
	return ctx.Err()
}
