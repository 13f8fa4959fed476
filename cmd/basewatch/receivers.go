package main

import (
	"fmt"
	"io"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/notify"
)

// buildReceivers makes the receivers of a configuration, by name. The log
// receivers write to out.
func buildReceivers(cfg *Config, out io.Writer) (map[string]outbox.Receiver, error) {
	receivers := make(map[string]outbox.Receiver, len(cfg.Notify))
	for _, n := range cfg.Notify {
		r, err := buildReceiver(cfg, n, out)
		if err != nil {
			return nil, fmt.Errorf("notify.%s: %w", n.Name, err)
		}
		receivers[n.Name] = r
	}
	return receivers, nil
}

func buildReceiver(cfg *Config, n NotifyConfig, out io.Writer) (outbox.Receiver, error) {
	o := notify.Options{Instance: cfg.Name, PublicURL: cfg.HTTP.PublicURL, Version: version}
	host, err := n.Settings.Host()
	if err != nil {
		return nil, err
	}
	if host != "" {
		if o.HTTP, err = outbound.NewClient(outbound.Options{Config: n.Outbound, Host: host, Connections: 4}); err != nil {
			return nil, err
		}
	}
	return n.Settings.Receiver(o, out)
}
