package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Copier writes a consistent copy of the store to a local file, while all else
// goes on.
type Copier interface {
	Copy(ctx context.Context, f *os.File) error
}

const (
	// copyTime is how long making the copy may take, serveTime how long handing
	// it over may.
	copyTime  = 5 * time.Minute
	serveTime = 30 * time.Minute
	// chunkBytes must reach the other side within writeTimeout each: a reader
	// that is slower is cut off.
	chunkBytes = 256 << 10
	// maxBackups are made at a time.
	maxBackups = 2
)

// addBackup adds POST backup: the only answer that is no JSON.
func (s *Server) addBackup(a operations) {
	op := huma.Operation{Method: http.MethodPost, OperationID: "backup", Path: apiPrefix + "backup",
		Summary: "A whole, consistent copy of the store, as a file"}
	op.Responses = map[string]*huma.Response{"200": {Description: "the store", Content: map[string]*huma.MediaType{fileType: {}}}}
	register(a, op, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		f, size, err := s.backup(ctx)
		if err != nil {
			return nil, a.told("backup", err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer func() { _ = f.Close(); <-s.backups }()
			_, w := humago.Unwrap(hc)
			w.Header().Set("Content-Type", fileType)
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			w.WriteHeader(http.StatusOK)
			if err := handOver(ctx, w, f); err != nil {
				s.cfg.Logger.Warn("a backup was not handed over whole", "err", err)
			}
		}}, nil
	})
}

const fileType = "application/octet-stream"

// backup makes a copy in a file without a name, so that whoever fetches it
// holds up nobody, and nothing is left behind whatever happens. The caller
// closes it and gives its place back.
func (s *Server) backup(ctx context.Context) (f *os.File, size int64, err error) {
	if s.cfg.Copier == nil {
		return nil, 0, unavailable("backup")
	}
	select {
	case s.backups <- struct{}{}:
	default:
		return nil, 0, problem(http.StatusServiceUnavailable, fmt.Sprintf("%d backups are being made; try again when one is done", maxBackups))
	}
	defer func() {
		if err != nil {
			<-s.backups
		}
	}()
	extend(ctx, copyTime+writeTimeout)
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	f, err = os.CreateTemp(filepath.Dir(s.cfg.StorePath), filepath.Base(s.cfg.StorePath)+".new-*")
	if err != nil {
		return nil, 0, fmt.Errorf("make room for the copy: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	err = s.cfg.Copier.Copy(ctx, f)
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// handOver writes the file in chunks, each with a deadline of its own.
func handOver(ctx context.Context, w io.Writer, f io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, serveTime)
	defer cancel()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		extend(ctx, writeTimeout)
		_, err := io.CopyN(w, f, chunkBytes)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Backup asks for a copy of the store and writes it to w. What w has is worth
// nothing unless the error is nil.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+apiPrefix+"backup", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("the daemon's address is not usable: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, unreachable(ctx, c.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != fileType || resp.ContentLength <= 0 {
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return 0, unreachable(ctx, c.base, err)
		}
		_, err = decode[struct{}](response{status: resp.StatusCode, kind: kind, body: raw})
		if err == nil {
			err = errors.New("what answers sends no backup; are both of the same version?")
		}
		return 0, err
	}
	n, err := io.Copy(w, resp.Body)
	if err == nil && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("the backup broke off after %d of %d bytes: %w", n, resp.ContentLength, err)
	}
	return n, nil
}
