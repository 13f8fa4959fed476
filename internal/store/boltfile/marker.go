package boltfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// marker stands beside a file and says that there is one: a file that is gone
// or empty while its marker is there is lost, not new.
type marker struct {
	About string    `json:"about"`
	Since time.Time `json:"since"`
	// Closed is the file as its last owner left it.
	Closed Stamp `json:"closed,omitzero"`
}

// Stamp tells a file that was touched from one that was not.
type Stamp struct {
	Bytes    int64  `json:"bytes"`
	Modified int64  `json:"modified"` // Unix nanoseconds
	Inode    uint64 `json:"inode"`
}

const (
	markerSuffix = ".marker"
	markerAbout  = "a basewatch store lies beside this file; remove both to begin anew"
	maxMarker    = 4 << 10
)

func markerOf(path string) string { return path + markerSuffix }

// stampOf reads a file's stamp.
func stampOf(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	s := Stamp{Bytes: info.Size(), Modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = st.Ino
	}
	return s, nil
}

// closedAs is the file as it was left; the zero Stamp, which no file has, when
// that is not known.
func closedAs(path string) Stamp {
	m, _ := readMarker(path)
	return m.Closed
}

func readMarker(path string) (m marker, err error) {
	f, err := os.Open(markerOf(path))
	if err != nil {
		return m, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxMarker))
	if err != nil {
		return m, err
	}
	if json.Unmarshal(data, &m) != nil {
		return marker{}, nil // that it is there is what counts
	}
	return m, nil
}

// Mark writes the marker of a file, unless there is one.
func Mark(path string) error {
	if marked, err := Marked(path); marked || err != nil {
		return err
	}
	if err := writeMarker(path, marker{}); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Marked reports whether a file is known to have been at path.
func Marked(path string) (bool, error) {
	_, err := os.Lstat(markerOf(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Closed notes that the file is in order as it is now. It is called by the
// owner of the lock, after the last write; any write takes it back.
func Closed(path string) error {
	m, err := readMarker(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", markerOf(path), err)
	}
	if m.Closed, err = stampOf(path); err != nil {
		return err
	}
	return writeMarker(path, m)
}

// writeMarker replaces the marker as a whole, so that none is ever half
// written.
func writeMarker(path string, m marker) error {
	m.About = markerAbout
	if m.Since.IsZero() {
		m.Since = time.Now().UTC()
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(markerOf(path))+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(append(data, '\n'))
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", markerOf(path), err)
	}
	return os.Rename(temp.Name(), markerOf(path))
}
