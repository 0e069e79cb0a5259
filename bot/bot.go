// Package bot puts Usher together.
package bot

import (
	"context"
	"errors"
	"io"

	"usher/config"
)

// What keeps Usher from running.
var (
	ErrTokenRefused          = errors.New("bot: the homeserver refuses the as_token")
	ErrHomeserverUnreachable = errors.New("bot: the homeserver can't be reached")
	ErrDatabase              = errors.New("bot: the database can't be used")
	ErrListen                = errors.New("bot: can't listen")
)

// Run serves until ctx ends.
func Run(ctx context.Context, cfg *config.Config, version string) error {
	<-ctx.Done()
	return nil
}

// Doctor checks the set-up.
func Doctor(ctx context.Context, cfg *config.Config, out io.Writer) error { return nil }
