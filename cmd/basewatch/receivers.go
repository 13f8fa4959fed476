package main

import (
	"fmt"
	"io"
	"net/http"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/notify"
)

// NotifyConfig is one [notify.NAME].
type NotifyConfig struct {
	Name, Kind string
	// Settings are the kind's own.
	Settings receiverSettings
	// Outbound is [network] with the receiver's own keys over it.
	Outbound outbound.Config
	// Info is what routes have to know of it.
	Info outbox.ReceiverInfo
	// Pace is when it may be told, as it was written.
	Pace outbox.PaceConfig
}

// receiverSettings are the settings of one kind: a pointer to a struct with
// koanf tags.
type receiverSettings interface {
	Validate() error
	// Host is the host[:port] that the receiver calls; "" means none.
	Host() (string, error)
	// Info is what routes have to know, but for name and kind.
	Info() outbox.ReceiverInfo
	// Receiver makes it; a log writes to out.
	Receiver(o notify.Options, out io.Writer) (outbox.Receiver, error)
}

// addressChecker is what the settings of a kind can do whose addresses, in
// routes as NAME:ADDRESS, have a form.
type addressChecker interface {
	CheckAddress(address string) error
}

// receiverKinds lists the kinds of receivers.
func receiverKinds() []string { return []string{"slack", "email", "chat", "webhook", "log"} }

// newSettings gives the default settings of a kind, nil when there is no such
// kind. A new kind is a case here.
func newSettings(kind string) receiverSettings {
	switch kind {
	case "slack":
		return &slackSettings{notify.DefaultSlackConfig()}
	case "email":
		return &emailSettings{notify.DefaultEmailConfig()}
	case "chat":
		return &chatSettings{}
	case "webhook":
		return &webhookSettings{}
	case "log":
		return &logSettings{notify.DefaultLogConfig()}
	}
	return nil
}

type slackSettings struct {
	notify.SlackConfig `koanf:",squash"`
}

func (s *slackSettings) Info() outbox.ReceiverInfo {
	return outbox.ReceiverInfo{People: true, Threads: s.Threads(), Addressable: s.Threads(), DefaultAddress: s.Channel}
}

func (s *slackSettings) Receiver(o notify.Options, _ io.Writer) (outbox.Receiver, error) {
	return notify.NewSlack(s.SlackConfig, o)
}

type emailSettings struct {
	notify.EmailConfig `koanf:",squash"`
}

func (s *emailSettings) Host() (string, error) { return s.HostPort(), nil }

func (s *emailSettings) Info() outbox.ReceiverInfo {
	info := outbox.ReceiverInfo{People: true, Addressable: true}
	if len(s.To) == 1 {
		info.DefaultAddress = s.To[0]
	}
	return info
}

// CheckAddress implements [addressChecker].
func (s *emailSettings) CheckAddress(address string) error { return notify.CheckMailAddress(address) }

func (s *emailSettings) Receiver(o notify.Options, _ io.Writer) (outbox.Receiver, error) {
	return notify.NewEmail(s.EmailConfig, o)
}

type chatSettings struct {
	notify.ChatConfig `koanf:",squash"`
}

func (s *chatSettings) Info() outbox.ReceiverInfo { return outbox.ReceiverInfo{People: true} }

func (s *chatSettings) Receiver(o notify.Options, _ io.Writer) (outbox.Receiver, error) {
	return notify.NewChat(s.ChatConfig, o)
}

// useSwitchboard lets chat receivers send through clients of their own: see
// [notify.Switchboard]. Called again it does nothing.
func useSwitchboard() {
	if _, ok := http.DefaultTransport.(*notify.Switchboard); !ok { //nolint:forbidigo // so that chat does not use it
		http.DefaultTransport = notify.NewSwitchboard(http.DefaultTransport) //nolint:forbidigo // the same
	}
}

type webhookSettings struct {
	notify.WebhookConfig `koanf:",squash"`
}

func (s *webhookSettings) Info() outbox.ReceiverInfo { return outbox.ReceiverInfo{} }

func (s *webhookSettings) Receiver(o notify.Options, _ io.Writer) (outbox.Receiver, error) {
	return notify.NewWebhook(s.WebhookConfig, o)
}

type logSettings struct {
	notify.LogConfig `koanf:",squash"`
}

func (s *logSettings) Host() (string, error) { return "", nil }

func (s *logSettings) Info() outbox.ReceiverInfo { return outbox.ReceiverInfo{} }

func (s *logSettings) Receiver(o notify.Options, out io.Writer) (outbox.Receiver, error) {
	return notify.NewLog(s.LogConfig, o, out)
}

// buildReceivers makes the receivers of a configuration, by name.
func (a *app) buildReceivers(cfg *Config) (map[string]outbox.Receiver, error) {
	receivers := make(map[string]outbox.Receiver, len(cfg.Notify))
	for _, n := range cfg.Notify {
		r, err := a.buildReceiver(cfg, n)
		if err != nil {
			return nil, fmt.Errorf("notify.%s: %w", n.Name, err)
		}
		receivers[n.Name] = r
	}
	return receivers, nil
}

func (a *app) buildReceiver(cfg *Config, n NotifyConfig) (outbox.Receiver, error) {
	o := notify.Options{Instance: cfg.Name, PublicURL: cfg.HTTP.PublicURL, Version: version}
	host, err := n.Settings.Host()
	if err != nil {
		return nil, err
	}
	if host != "" {
		out := outbound.Options{Config: n.Outbound, Host: host, Connections: 4, Dial: a.dial}
		if o.HTTP, err = outbound.NewClient(out); err != nil {
			return nil, err
		}
		d, err := outbound.NewDialer(out)
		if err != nil {
			return nil, err
		}
		o.Dial, o.TLS = d.DialContext, d.TLS()
	}
	return n.Settings.Receiver(o, a.out)
}
