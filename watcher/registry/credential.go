package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"basewatch/watcher"
)

const (
	// credentialLife is how long what a keychain or helper said is used; what
	// it could not say is asked again after credentialErrorLife.
	credentialLife      = 5 * time.Minute
	credentialErrorLife = time.Minute
	credentialTimeout   = 20 * time.Second
	// A login that was refused maxLoginFailures times in a row, or that locked
	// the account out, is not sent again for barredFor.
	maxLoginFailures = 5
	barredFor        = time.Hour
	refusedFor       = 15 * time.Minute
	provenFor        = time.Hour
)

// credential is who we are at one host. The zero credential is nobody.
type credential struct {
	username, password string
	identity           string // a refresh token, exchanged for tokens
	bearer             string // a token itself
}

func (c credential) anonymous() bool { return c == credential{} }

// header is the value of Authorization that shows the credential itself.
func (c credential) header() string {
	if c.bearer != "" {
		return "Bearer " + c.bearer
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+c.password))
}

// credentials finds and keeps what we show to one host, and to no other. What
// the configuration names counts; without it the keychains are asked.
type credentials struct {
	host   string
	cfg    HostConfig
	lookup func(context.Context) (credential, error)

	mu       sync.Mutex
	flight   chan struct{} // closed when the lookup that is under way ends
	current  credential
	err      error
	until    time.Time // current and err hold until then
	failures int
	barred   credential
	barUntil time.Time
	barWhy   string
	proven   credential // what was last accepted, and when
	provenAt time.Time
}

// get gives the credential for the host; anonymous when there is none.
func (c *credentials) get(ctx context.Context) (credential, error) {
	got, err := c.find(ctx)
	if err != nil {
		return credential{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = got
	if !got.anonymous() && got == c.barred && time.Now().Before(c.barUntil) {
		return credential{}, denied(errors.New(c.off()))
	}
	return got, nil
}

// off says that the login is not used, and what to do. The caller holds the
// lock.
func (c *credentials) off() string {
	return fmt.Sprintf("%s has %s: it is switched off and not sent again before %s, or until it changes; "+
		"correct it in docker's configuration or under [registry.%q]",
		c.host, c.barWhy, c.barUntil.UTC().Format(time.DateTime+" MST"), c.host)
}

// switchedOff is the same for who asks how the host stands; empty while the
// login is used.
func (c *credentials) switchedOff(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.anonymous() || c.current != c.barred || !now.Before(c.barUntil) {
		return ""
	}
	return c.off()
}

func (c *credentials) find(ctx context.Context) (credential, error) {
	if c.cfg.Username == "" {
		return c.lookedUp(ctx)
	}
	password, err := c.cfg.Password()
	if err != nil {
		return credential{}, denied(fmt.Errorf("password under [registry.%q]: %w", c.host, err))
	}
	return credential{username: c.cfg.Username, password: password}, nil
}

// lookedUp waits for the lookup, which may run a program that hangs: then the
// look fails, and the next one waits for the same lookup instead of starting
// another.
func (c *credentials) lookedUp(ctx context.Context) (credential, error) {
	c.mu.Lock()
	if time.Now().Before(c.until) {
		defer c.mu.Unlock()
		return c.current, c.err
	}
	if c.flight == nil {
		c.flight = make(chan struct{})
		go c.refresh(context.WithoutCancel(ctx), c.flight)
	}
	flight := c.flight
	c.mu.Unlock()
	timeout := time.NewTimer(credentialTimeout)
	defer timeout.Stop()
	select {
	case <-flight:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.current, c.err
	case <-timeout.C:
		return credential{}, &watcher.LookError{Problem: watcher.Unreachable,
			Err: fmt.Errorf("the credential helper for %s has not answered for %s", c.host, credentialTimeout)}
	case <-ctx.Done():
		return credential{}, ctx.Err()
	}
}

func (c *credentials) refresh(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, credentialTimeout)
	defer cancel()
	got, err := c.lookup(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	life := credentialLife
	if err != nil {
		life = credentialErrorLife
		err = denied(fmt.Errorf("credentials for %s: %w", c.host, err))
	}
	c.current, c.err, c.until = got, err, time.Now().Add(life)
	c.flight = nil
	close(done)
}

// have reports whether we show anything to the host.
func (c *credentials) have() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.current.anonymous()
}

// confirmed is told that a request with the credential itself was answered.
func (c *credentials) confirmed() {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	c.accepted(current)
}

// refused is told the header that a 401 answered. What was looked up is looked
// up again: it may have been rotated.
func (c *credentials) refused(header []string) {
	c.mu.Lock()
	current := c.current
	c.until = time.Time{}
	c.mu.Unlock()
	if current.identity == "" && !current.anonymous() && header[0] == current.header() {
		c.failed(current)
	}
}

// locked is told the header that a lock of the login answered.
func (c *credentials) locked(header []string) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if !current.anonymous() && header[0] == current.header() {
		c.lockedOut(current)
	}
}

func (c *credentials) accepted(used credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.proven, c.provenAt = 0, used, time.Now()
}

// failed counts a login that was refused. One that was good for something
// lately is no wrong password: it may not read this repository.
func (c *credentials) failed(used credential) {
	c.mu.Lock()
	if used != c.proven || time.Since(c.provenAt) > provenFor {
		c.failures++
	}
	enough := c.failures >= maxLoginFailures
	c.mu.Unlock()
	if enough && !used.anonymous() {
		c.bar(used, refusedFor, "refused this login again and again")
	}
}

// lockedOut switches off a login that the host has locked: each further try
// prolongs that, for the people with that login too.
func (c *credentials) lockedOut(used credential) {
	c.bar(used, barredFor, "locked this login after too many wrong passwords")
}

// bar keeps a credential back, so that we never lock an account.
func (c *credentials) bar(used credential, d time.Duration, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.barred, c.barUntil, c.failures, c.barWhy = used, time.Now().Add(d), 0, why
}

var errNoHelperOutput = errors.New("it printed no credentials")
