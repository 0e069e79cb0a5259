package bot

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/zeroconfig"
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

// TestColoursOnATerminalOnly: lines in a file, in a pipe or for somebody who wants none have no colours.
func TestColoursOnATerminalOnly(t *testing.T) {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	t.Setenv("NO_COLOR", "")
	_, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	for _, tt := range []struct {
		stream  *os.File
		noColor string
		want    bool
	}{{pipe, "", false}, {terminal, "", true}, {terminal, "1", false}} {
		os.Stderr = tt.stream
		t.Setenv("NO_COLOR", tt.noColor)
		if got := colourful(zeroconfig.WriterTypeStderr); got != tt.want {
			t.Errorf("%s, NO_COLOR=%s: %v", tt.stream.Name(), tt.noColor, got)
		}
	}
	if os.Stderr = terminal; colourful(zeroconfig.WriterTypeFile) {
		t.Error("colours in a file")
	}
}
