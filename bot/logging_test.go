package bot

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestFloodOfLogLines: a flood of one line says once that lines are dropped, and drops no other line.
func TestFloodOfLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := zerolog.New(&out).Hook(&logLimit{})
		for range 10_000 {
			log.Warn().Msg("Undecodable event")
			log.Info().Msg("Event kept")
			log.Debug().Msg("for whoever asks for it")
		}
		log.Error().Msg("the database is gone")
		text := out.String()
		for part, want := range map[string]int{
			"Undecodable": warningLines, "kept": infoLines, "whoever": 10_000, "gone": 1, "more_dropped_until": 2, "dropped_before": 0,
		} {
			if got := strings.Count(text, part); got != want {
				t.Errorf("%s: %d, want %d", part, got, want)
			}
		}
		out.Reset()
		time.Sleep(time.Minute)
		log.Warn().Msg("Undecodable event")
		log.Warn().Msg("Undecodable event")
		if text := out.String(); !strings.Contains(text, `"dropped_before":9900`) || strings.Count(text, "\n") != 2 || strings.Count(text, "before") != 1 {
			t.Error(text)
		}
	})
}
