package bot

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/invites/inbound"
)

// TestReload: a config that is read again gives the running process its rules of inbound, and the next bot of this process, too. It takes over
// nothing else, and nothing of a config with a fault.
func TestReload(t *testing.T) {
	with := func(change func(*config.Config)) *config.Config {
		cfg := config.Default()
		cfg.Antispam.Enabled, cfg.Inbound.Enabled = true, true
		change(cfg)
		return cfg
	}
	stricter := func(c *config.Config) { c.Inbound.Sender.People, c.Inbound.Lists = 1, []string{"!bans:x"} }
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		err    error
		people int
		said   string
	}{
		{"the same", func(*config.Config) {}, nil, 5, ""},
		{"other rules", stricter, nil, 1, ""},
		{"another part", func(c *config.Config) { stricter(c); c.Commands.Prefix = "?" }, nil, 1, "from the next start on"},
		{"off", func(c *config.Config) { stricter(c); c.Inbound.Enabled = false }, nil, 5, "from the next start on"},
		{"a fault", stricter, errors.New("a fault"), 5, "a fault"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			cfg := with(func(*config.Config) {})
			p := &process{cfg: cfg, log: zerolog.New(&log).Level(zerolog.WarnLevel)}
			rules := &inbound.Inbound{Rules: inboundRules(&cfg.Inbound)}
			p.acting.Store(&bot{domain: &domain{inbound: rules}})
			p.reload(t.Context(), func() (*config.Config, error) { return with(tt.change), tt.err })
			if got := rules.InForce().Sender.People; got != tt.people {
				t.Errorf("%d people in force", got)
			}
			next := p.settings()
			if !reflect.DeepEqual(inboundRules(&next.Inbound), rules.InForce()) || next.Commands.Prefix != cfg.Commands.Prefix {
				t.Errorf("the next bot has %+v", next.Inbound)
			}
			if (log.Len() > 0) != (tt.said != "") || !strings.Contains(log.String(), tt.said) {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}
