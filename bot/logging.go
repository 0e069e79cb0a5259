package bot

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"go.mau.fi/zeroconfig"

	"usher/config"
)

// logger makes the log of the process by its settings, with a limit for each message.
func logger(cfg *config.Config) (zerolog.Logger, error) {
	var zc zeroconfig.Config
	if err := cfg.Logging.Decode(&zc); err != nil {
		return zerolog.Nop(), err
	}
	for i := range zc.Writers {
		if w := &zc.Writers[i]; w.Format == zeroconfig.LogFormatPrettyColored && !colourful(w.Type) {
			w.Format = zeroconfig.LogFormatPretty
		}
	}
	log, err := zc.Compile()
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("logging: %w", err)
	}
	var lost logLimit
	zerolog.ErrorHandler = func(err error) { // the library prints every failure; a full disk has one for each line
		if pass, _ := lost.take("", lostLines, time.Now()); pass {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return log.Hook(&logLimit{}), nil
}

// colourful reports whether a destination of log lines is a terminal, whose user wants colours (https://no-color.org).
func colourful(to zeroconfig.WriterType) bool {
	stream := map[zeroconfig.WriterType]*os.File{zeroconfig.WriterTypeStdout: os.Stdout, zeroconfig.WriterTypeStderr: os.Stderr}[to]
	return stream != nil && os.Getenv("NO_COLOR") == "" && isatty.IsTerminal(stream.Fd())
}

// Lines of one message within a minute. Strangers cause most of the lines: each event that Usher keeps or can't read has one.
const (
	infoLines    = 600
	warningLines = 100
	lostLines    = 1
)

// maxMessages bounds the memory of a logLimit. Messages are constants of the program and of its libraries; there are some hundred.
const maxMessages = 1000

// logLimit drops log lines whose message was logged too often within the last minute, so that no flood of events fills the journal. The
// last line before the limit says so, and the next line after the minute has the number of dropped ones. Lines below info level, which an
// operator asks for, are not limited.
type logLimit struct {
	mu       sync.Mutex
	messages map[string]*minute
}

// minute counts the lines of one message.
type minute struct {
	from           time.Time
	lines, dropped int
}

// Run implements zerolog.Hook.
func (l *logLimit) Run(e *zerolog.Event, level zerolog.Level, message string) {
	most := infoLines
	switch {
	case level < zerolog.InfoLevel || level > zerolog.ErrorLevel:
		return
	case level > zerolog.InfoLevel:
		most = warningLines
	}
	pass, m := l.take(message, most, time.Now())
	switch {
	case !pass:
		e.Discard()
	case m.lines == most:
		e.Time("more_dropped_until", m.from.Add(time.Minute))
	case m.dropped > 0:
		e.Int("dropped_before", m.dropped)
	}
}

// take counts a line. It returns whether the line is within the limit, and the count with the lines dropped in the minute before.
func (l *logLimit) take(message string, most int, now time.Time) (bool, minute) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[message]
	if m == nil || now.Sub(m.from) >= time.Minute {
		fresh := &minute{from: now}
		if m != nil && m.lines > most {
			fresh.dropped = m.lines - most
		}
		if l.messages == nil || len(l.messages) >= maxMessages {
			l.messages = map[string]*minute{}
		}
		l.messages[message], m = fresh, fresh
	}
	m.lines++
	was := *m
	m.dropped = 0
	return m.lines <= most, was
}

// slogger lets a library that logs by slog write to the same log. Lines of a library at info level are about the library itself.
func slogger(log zerolog.Logger) *slog.Logger {
	return slog.New(zerolog.NewSlogHandler(log.Level(max(log.GetLevel(), zerolog.WarnLevel))))
}
