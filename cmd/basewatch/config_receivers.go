package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"basewatch/internal/outbox"
)

// receiverCommon are the keys that every receiver has.
type receiverCommon struct {
	Kind            string   `koanf:"kind"`
	Window          []string `koanf:"window"`
	Pass            []string `koanf:"pass"`
	networkSettings `koanf:",squash"`
}

// peopleCommon are the keys of every receiver that tells people, and can tell
// several things in one message.
type peopleCommon struct {
	GroupWait Duration `koanf:"group_wait"`
	Daily     string   `koanf:"daily"`
}

// commonSettings are the keys that receivers share.
type commonSettings struct {
	receiverCommon `koanf:",squash"`
	peopleCommon   `koanf:",squash"`
}

// receiverNode is the schema of a [notify.NAME], which depends on its kind. It
// is nil when the kind is none of ours: that is told when it is built.
func receiverNode(table map[string]any) *node {
	own := newSettings(kindOf(table))
	if own == nil {
		return nil
	}
	n := nodeOf(reflect.TypeFor[receiverCommon]())
	if own.Info().People {
		n.addFields(reflect.TypeFor[peopleCommon]())
	}
	n.addFields(reflect.TypeOf(own).Elem())
	return n
}

// kindOf reads the kind of a receiver, which other keys depend on, before
// references are resolved.
func kindOf(table map[string]any) string {
	kind, _ := table["kind"].(string)
	if isReference(kind) {
		kind, _ = lookUp(kind) // badKind tells why it cannot be read
	}
	return kind
}

// kindWithKey gives the first kind whose receivers have the key.
func kindWithKey(key string) string {
	for _, kind := range receiverKinds() {
		if receiverNode(map[string]any{"kind": kind}).keys[key] != nil {
			return kind
		}
	}
	return ""
}

func (b *builder) receivers() {
	for _, name := range slices.Sorted(maps.Keys(b.set.Notify)) {
		p := keyPath("notify").key(name)
		if !receiverName(name) {
			b.add(p, "%q is no name of a receiver; use only a-z, 0-9 and -", name)
			continue
		}
		// One that was refused is kept, so that routes find its name.
		b.cfg.Notify = append(b.cfg.Notify, b.receiver(name, b.set.Notify[name], p))
	}
}

func (b *builder) receiver(name string, raw rawReceiver, p keyPath) NotifyConfig {
	var common commonSettings
	kind := kindOf(raw)
	own := newSettings(kind)
	n := NotifyConfig{Name: name, Kind: kind, Settings: own, Info: outbox.ReceiverInfo{Name: name, Kind: kind, Addressable: true}}
	if own == nil {
		b.badKind(raw, p)
		return n
	}
	ownRaw := maps.Clone(raw)
	commonRaw := map[string]any{}
	for key := range nodeOf(reflect.TypeFor[commonSettings]()).keys {
		if v, ok := raw[key]; ok {
			commonRaw[key] = v
			delete(ownRaw, key)
		}
	}
	if err := errors.Join(decode(commonRaw, &common), decode(ownRaw, own)); err != nil {
		b.add(p, "%s", err)
		return n
	}
	n.Outbound = b.network(b.set.Network, common.networkSettings, p)
	if b.follows(p) {
		return n // with a key refused, what the others say means little
	}
	b.addError(p, own.Validate())
	n.Info = own.Info()
	n.Info.Name, n.Info.Kind = name, kind
	n.Pace = outbox.PaceConfig{GroupWait: time.Duration(common.GroupWait), Window: common.Window, Pass: common.Pass, Daily: common.Daily}
	var err error
	n.Info.Pace, err = outbox.NewPace(n.Pace)
	b.addError(p, err)
	return n
}

// badKind tells what is wrong with the kind of a receiver.
func (b *builder) badKind(raw rawReceiver, p keyPath) {
	known := "the kinds are " + strings.Join(receiverKinds(), ", ")
	at := p.key("kind")
	switch kind := raw["kind"].(type) {
	case nil:
		b.add(at, "missing; %s", known)
	case string:
		if isReference(kind) {
			value, err := lookUp(kind)
			if err != nil {
				b.add(at, "%s; %s", err, known)
				return
			}
			kind = value
		}
		if near := nearest(kind, receiverKinds()); near != "" {
			known = fmt.Sprintf("did you mean %q?", near)
		}
		b.add(at, "no kind %s; %s", cutQuote(kind), known)
	default:
		b.add(at, "wants a text in quotes, not %s; %s", typeName(kind), known)
	}
}

func receiverName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (b *builder) routes() {
	infos := make([]outbox.ReceiverInfo, len(b.cfg.Notify))
	for i, n := range b.cfg.Notify {
		infos[i] = n.Info
	}
	for i, r := range b.set.Route {
		p := keyPath("route").item(i)
		b.addError(p, r.Validate(string(p), infos))
		b.addresses(r, p.key("to"))
	}
	b.cfg.Routes = b.set.Route
}

// addresses checks those of a route whose receiver says what they look like.
func (b *builder) addresses(r outbox.RouteConfig, p keyPath) {
	for i, lane := range r.To {
		name, address := outbox.SplitLane(lane)
		for _, n := range b.cfg.Notify {
			if c, ok := n.Settings.(addressChecker); ok && n.Name == name && address != "" {
				if err := c.CheckAddress(address); err != nil {
					b.add(p.item(i), "%v", err)
				}
			}
		}
	}
}
