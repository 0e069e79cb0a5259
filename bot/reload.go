package bot

import (
	"context"
	"reflect"

	"usher/config"
)

// Reload has the running Usher read its config again. The zero value never does.
type Reload struct {
	Hangups <-chan struct{} // each value is a wish for it
	Read    func() (*config.Config, error)
}

// reloads reads the config at each hang-up, until ctx ends.
func (p *process) reloads(ctx context.Context, r Reload) {
	for {
		select {
		case <-r.Hangups:
			p.reload(ctx, r.Read)
		case <-ctx.Done():
			return
		}
	}
}

// reload takes over the part inbound of the config, and has the files of plans compared with their rooms at once. A config with a fault
// changes nothing.
func (p *process) reload(ctx context.Context, read func() (*config.Config, error)) {
	b := p.acting.Load()
	if b != nil && len(p.cfg.Plan.Files) > 0 {
		p.log.Info().Msg("Reading the files of plans")
		b.plans.SyncNow()
	}
	cfg, err := read()
	if err != nil {
		p.log.Err(err).Msg("The config was read again and is not taken over")
		return
	}
	rest := *cfg
	rest.Inbound = p.cfg.Inbound
	if !reflect.DeepEqual(&rest, p.cfg) || cfg.Inbound.Enabled != p.cfg.Inbound.Enabled {
		p.log.Warn().Msg("The config has changes that count from the next start on: only inbound is taken over, except inbound.enabled")
	}
	if !cfg.Inbound.Enabled || !p.cfg.Inbound.Enabled {
		return
	}
	p.inbound.Store(&cfg.Inbound)
	if b != nil && b.domain.inbound != nil {
		if err := b.domain.inbound.Take(ctx, inboundRules(&cfg.Inbound)); err != nil {
			p.log.Warn().Err(err).Msg("The rules of the operators' room could not be read")
		}
	}
	p.log.Info().Msg("Rules of inbound read again")
}

// settings returns the config with the parts that were read again.
func (p *process) settings() *config.Config {
	cfg := *p.cfg
	if in := p.inbound.Load(); in != nil {
		cfg.Inbound = *in
	}
	return &cfg
}
