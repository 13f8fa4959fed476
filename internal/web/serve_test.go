package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/watcher"
)

// pipes is a listener in memory, for virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	client, srv := net.Pipe()
	select {
	case p.conns <- srv:
	case <-p.closed:
		t.Fatal("not accepting")
	}
	return client
}

// sendGet sends a request and gives the status, or 0 when the connection ended.
func sendGet(c net.Conn) int {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestAStopWaitsForRequestsButNotForLong(t *testing.T) {
	tests := []struct {
		name   string
		work   func(context.Context)
		status int
		took   time.Duration
	}{
		{"idle", nil, 0, 0},
		{"a request that ends in time", func(context.Context) { time.Sleep(2 * time.Second) }, 200, 2 * time.Second},
		{"one that waits for its context", func(ctx context.Context) { <-ctx.Done() }, 200, cancelAfter},
		{"one that ignores it", func(context.Context) { time.Sleep(20 * time.Second) }, 0, stopTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, status := newPipes(), make(chan int, 1)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() {
					ended <- Serve(ctx, slog.New(slog.DiscardHandler), Face{p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						tt.work(r.Context())
					})})
				}()
				if tt.work != nil {
					c := p.dial(t)
					go func() { status <- sendGet(c); _ = c.Close() }()
				} else {
					status <- 0
				}
				synctest.Wait()
				start := time.Now()
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Serve: %v", err)
				}
				// Shutdown looks again at connections after up to half a second.
				if took := time.Since(start); took < tt.took || took > min(tt.took+time.Second, stopTime) {
					t.Errorf("stopped after %s, want %s", took, tt.took)
				}
				if got := <-status; got != tt.status {
					t.Errorf("the request's answer: %d, want %d", got, tt.status)
				}
				time.Sleep(time.Minute) // the one that ignores its context
			})
		})
	}
}

// slow is a registry that makes a check wait.
type slow struct {
	*shop
	wait time.Duration
}

func (s slow) Check(ctx context.Context, refs []string) ([]watcher.CheckResult, error) {
	select {
	case <-time.After(s.wait):
		return s.shop.Check(ctx, refs)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestACheckMayTakeLongerThanOtherRequests(t *testing.T) {
	for wait, want := range map[time.Duration]string{4 * time.Minute: "200", 6 * time.Minute: "503"} {
		synctest.Test(t, func(t *testing.T) {
			s, p := newShop(time.Now()), newPipes()
			cfg := s.config(t)
			cfg.Checker = slow{s, wait}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- Serve(ctx, slog.New(slog.DiscardHandler), Face{p, server(t, cfg).SocketHandler()})
			}()
			c := p.dial(t)
			const body = `{"refs":["ruby:3.4-slim"]}`
			head := fmt.Sprintf("POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
			if _, err := io.WriteString(c, head+body); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.Contains(line, want) {
				t.Errorf("a check of %s: %q, %v", wait, line, err)
			}
			_ = c.Close()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhoSendsNoHeaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, slog.New(slog.DiscardHandler), Face{p, http.NotFoundHandler()}) }()
		c, start := p.dial(t), time.Now()
		_, _ = io.WriteString(c, "GET / HT")
		_, _ = io.Copy(io.Discard, c)
		if took := time.Since(start); took < readHeaderTimeout || took > readHeaderTimeout+time.Second {
			t.Errorf("dropped after %s", took)
		}
		cancel()
		<-ended
	})
}

func TestABrokenListenerStopsAllAndIsNamed(t *testing.T) {
	a, b := newPipes(), newPipes()
	_ = a.Close()
	err := Serve(t.Context(), slog.New(slog.DiscardHandler), Face{a, http.NotFoundHandler()}, Face{b, http.NotFoundHandler()})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-b.closed:
	default:
		t.Error("the other listener goes on")
	}
}

func TestConnectionsBeyondTheBoundWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := limit(p, 2)
		got := make(chan net.Conn, 4)
		var accepting sync.WaitGroup
		accepting.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				got <- c
			}
		})
		var dialing sync.WaitGroup
		for range 4 {
			dialing.Go(func() {
				_, srv := net.Pipe()
				select {
				case p.conns <- srv:
				case <-p.closed:
				}
			})
		}
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("%d connections at a time, want 2", len(got))
		}
		first := <-got
		_ = first.Close()
		_ = first.Close() // a second close frees nothing
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("after a close %d, want 2", len(got))
		}
		_ = l.Close()
		dialing.Wait()
		accepting.Wait()
	})
}

func TestTheSocketIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "basewatch.db.sock")
	l, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := newShop(time.Now())
	go func() {
		ended <- Serve(ctx, slog.New(slog.DiscardHandler), Face{l, server(t, s.config(t)).SocketHandler()})
	}()
	client := OverSocket(path)
	if _, err := NewClient("", client, "").Retry(t.Context(), RetryRequest{Receiver: "slack"}); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	l, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestWhatIsInUseIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	first, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	if _, err := ListenSocket(path); err == nil || !strings.Contains(err.Error(), "another basewatch answers there") {
		t.Errorf("a live socket: %v", err)
	}
	file := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(file); err == nil || !strings.Contains(err.Error(), "no socket stands there") {
		t.Errorf("a file: %v", err)
	}
	if got, _ := os.ReadFile(file); string(got) != "mine" {
		t.Errorf("the file now holds %q", got)
	}
	long := filepath.Join(dir, strings.Repeat("x", 120))
	if _, err := ListenSocket(long); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := ListenSocket(filepath.Join(dir, "none", "s.sock")); err == nil {
		t.Error("a directory that is not there")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestClosingLeavesASuccessorsSocketAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	first, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the successor's socket: %v", err)
	}
	_ = second.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own: %v", err)
	}
}
