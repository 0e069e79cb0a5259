package bot

import (
	"context"

	"usher/picture"
)

// avatarKey is the type of the account data that remembers the avatar given to the bot.
const avatarKey = "chat.usher.avatar"

// giveAvatar gives the bot the avatar that package picture draws, once. It never replaces another avatar, nor one that somebody took away.
func (p *process) giveAvatar(ctx context.Context) error {
	if p.cfg.Appservice.Bot.Avatar != "" {
		return nil // SetProfile sets it
	}
	given, err := p.client.AccountData(ctx, avatarKey)
	if err != nil || len(given) > 0 {
		return err
	}
	if avatar, err := p.client.Avatar(ctx); err != nil || avatar != "" {
		return err
	}
	drawn, err := picture.Avatar()
	if err != nil {
		return err
	}
	uri, err := p.client.Upload(ctx, "usher.png", "image/png", drawn.PNG)
	if err != nil {
		return err
	}
	if err := p.client.SetProfile(ctx, "", string(uri)); err != nil {
		return err
	}
	return p.client.SetAccountData(ctx, avatarKey, map[string]string{"url": string(uri)})
}
