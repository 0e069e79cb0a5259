package bot

import (
	"log/slog"

	"github.com/rs/zerolog"
)

// slogger lets a library that logs by slog log where everything else does, from warnings on: its lines at info level are about itself.
func slogger(log zerolog.Logger) *slog.Logger {
	return slog.New(zerolog.NewSlogHandler(log.Level(max(log.GetLevel(), zerolog.WarnLevel))))
}
