package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/internal/secret"
	"basewatch/watcher"
	"basewatch/watcher/registry"
)

// Config is a configuration that was checked: defaults, files, environment and
// flags in one. What is in it can be used as it is.
type Config struct {
	Name       string
	Poll       PollConfig
	Store      StoreConfig
	HTTP       HTTPConfig
	Network    outbound.Config
	Registries registry.Config // hosts by canonical name
	Aliases    Aliases
	// Targets is what is watched, sorted by name.
	Targets []watcher.Target
	// Notify has the receivers, sorted by name.
	Notify []NotifyConfig
	Routes []outbox.RouteConfig
	// Heartbeat has no URL where nobody is told that we live.
	Heartbeat HeartbeatConfig

	// File is the configuration file, as the user would write it; Sum begins
	// the SHA-256 of it and all files it includes.
	File, Sum string
	// Warnings are things that work and are likely not meant.
	Warnings []string
	// Listing is every setting with where it came from, for `config show`.
	Listing []shownSetting
	// routeReports is what each route matches, for `config check`.
	routeReports []routeReport
}

// PollConfig says when targets are looked at and when a move is a change.
type PollConfig struct{ Interval, Settle, SettleMax time.Duration }

// StoreConfig says where the store is. Path is absolute; LockWait is how long
// to wait for another process to let go of it; MaxSize bounds it in bytes, 0:
// nothing does; Network allows file systems that are not safe for it.
type StoreConfig struct {
	Path     string
	LockWait time.Duration
	MaxSize  int64
	Network  bool
}

// HTTPConfig says where the daemon serves. An empty Listen serves on the
// socket alone.
type HTTPConfig struct {
	Listen string
	// Tokens allow everything, ReadTokens only reading. They were readable when
	// the configuration was loaded.
	Tokens, ReadTokens []secret.Secret
	PublicURL          string // without a trailing slash; empty: no links
	Socket             string // absolute
}

// loadOptions say where a configuration comes from.
type loadOptions struct {
	// File is what --config says; empty: $BASEWATCH_CONFIG, ./basewatch.toml
	// or /etc/basewatch/basewatch.toml.
	File string
	// Optional makes no file at all a configuration of defaults, for commands
	// that need none.
	Optional bool
	// Flags are settings given as flags; they win over everything.
	Flags []flagSetting
}

// loadConfig reads and checks the configuration. When it is wrong the error
// wraps a *[configError] with everything that is, and exits with 2.
func loadConfig(o loadOptions) (*Config, error) {
	cfg, err := loadClientConfig(o)
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

// loadClientConfig is loadConfig for a command that asks a running daemon. A
// configuration that is wrong, or whose secrets only the daemon can read, still
// says where that is: then it comes with the error, and only Store.Path and
// HTTP may be used of it. It is nil when that is wrong too.
func loadClientConfig(o loadOptions) (*Config, error) {
	file, err := findConfig(o)
	if err != nil {
		return nil, usageError(err)
	}
	probs := newProblems(places{})
	files, err := readFiles(file, probs)
	if err != nil {
		return nil, usageError(err)
	}
	whole := probs.err() == nil
	c := &checker{problems: probs, via: map[keyPath]string{}}
	cfg, err := buildConfig(c, files, o.Flags)
	if cfg != nil && file != "" {
		cfg.File, cfg.Sum = file, files.digest4()
	}
	switch {
	case err == nil:
		return cfg, nil
	case !whole || cfg == nil || c.refusedIn("store", "http.socket", "http.listen"):
		return nil, usageError(err)
	}
	return cfg, usageError(err)
}

// buildConfig goes from a tree of files to a configuration: merge, check,
// resolve, decode, and what only makes sense as a whole. With an error comes
// what was built of it, if anything.
func buildConfig(c *checker, files *fileSet, flags []flagSetting) (*Config, error) {
	tree, err := c.merge(files, flags)
	if err != nil {
		return nil, err
	}
	c.check(files.schema, tree, "")
	c.nextStage()
	c.resolve(files.schema, tree, "")
	c.nextStage()
	set := defaultSettings()
	if err := decode(tree, &set); err != nil {
		// Everything was checked: this is a type that the schema reads wrong.
		return nil, errors.Join(c.err(), fmt.Errorf("reading the configuration: %w", err))
	}
	b := &builder{checker: c, set: set, cfg: &Config{Warnings: files.empty}}
	b.build()
	return b.cfg, c.err()
}

// merge lays the environment over the files, and flags over both.
func (c *checker) merge(files *fileSet, flags []flagSetting) (map[string]any, error) {
	// Keys of ours hold dots (hosts) and slashes (aliases). Only nested maps go
	// in and come out, so that koanf's delimiter never cuts one.
	k := koanf.New("/")
	for _, tree := range []map[string]any{
		files.tree,
		c.overlay(files.schema, fromEnvironment(os.Environ())),
		c.overlay(files.schema, flags),
	} {
		if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
			return nil, fmt.Errorf("merging the configuration: %w", err)
		}
	}
	return k.Raw(), nil
}

// decode reads a checked tree into a struct with koanf tags, over the defaults
// in it.
func decode(tree map[string]any, out any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:  out,
		TagName: "koanf",
		// One string where a list may stand, nothing else: the rest was
		// checked to be of its type.
		WeaklyTypedInput: true,
		ErrorUnused:      true,
		DecodeHook:       mapstructure.ComposeDecodeHookFunc(setDefaults, mapstructure.TextUnmarshallerHookFunc()),
	})
	if err != nil {
		return err
	}
	return d.Decode(tree)
}

// findConfig gives the file to read; none is an error with the places tried.
func findConfig(o loadOptions) (string, error) {
	if o.File != "" {
		return o.File, nil
	}
	if file := os.Getenv("BASEWATCH_CONFIG"); file != "" {
		return file, nil
	}
	places := []string{"./basewatch.toml", "/etc/basewatch/basewatch.toml"}
	for _, file := range places {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file, nil
		}
	}
	if o.Optional {
		return "", nil
	}
	return "", fmt.Errorf("no configuration: neither --config nor BASEWATCH_CONFIG is set, and there is no %s; "+
		"name one, or begin with a copy of config.example.toml: basewatch run --config config.example.toml",
		strings.Join(places, " and no "))
}
