package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// maxSocketPath is what the operating system's address structure holds, with
// the byte that ends it.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// ListenSocket listens on a unix socket that only its owner may use (0600). A
// socket left behind by a process that died is replaced; one that somebody
// answers on, or a file that is no socket, is not. Closing removes the file,
// unless somebody else has replaced it.
//
// The socket is bound in a directory of mode 0700 and moved to its place, so
// that it never has another mode than 0600 where others can see it.
func ListenSocket(path string) (net.Listener, error) {
	if err := makeRoom(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".bw")
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	temp := filepath.Join(dir, "s")
	if longest := max(len(path), len(temp)); longest > maxSocketPath {
		return nil, fmt.Errorf("socket %s: the path is %d bytes too long for a socket; set a shorter socket under [http]", path, longest-maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	s, err := settleSocket(l, temp, path)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return s, nil
}

func settleSocket(l *net.UnixListener, temp, path string) (*socket, error) {
	if err := os.Chmod(temp, 0o600); err != nil {
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return &socket{UnixListener: l, path: path, file: info}, nil
}

// makeRoom refuses a path that is in use. A stale socket stays for the rename
// to replace.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket %s: %w", path, err)
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("socket %s: a file that is no socket stands there; remove it, or set another socket under [http]", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(context.Background(), "unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("socket %s: another basewatch answers there; stop it, or set another socket under [http]", path)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return nil
	}
	return fmt.Errorf("socket %s: %w", path, err)
}

// socket removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path string
	file os.FileInfo
	once sync.Once
}

func (s *socket) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}
