package web

import (
	"context"
	"net/http"
	"time"
)

// Reloader reads the configuration again.
type Reloader interface {
	// Reload puts the configuration in force that is in the files now, or
	// changes nothing and says why. Calls wait for one another.
	Reload(ctx context.Context) (Reloaded, error)
}

// ReloadRequest has no parameters.
type ReloadRequest struct{}

// Reloaded is the answer of POST reload.
type Reloaded struct {
	File string `json:"file"`
	Sum  string `json:"sum" doc:"first digits of its SHA-256"`
	// Restart are settings that changed and count from the next start.
	Restart []string `json:"restart,omitempty"`
}

// Refusal is an edited configuration that was not taken.
type Refusal struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func (s *Server) reload(ctx context.Context, _ *ReloadRequest) (*Reloaded, error) {
	if s.cfg.Reloader == nil {
		return nil, unavailable("reload")
	}
	r, err := s.cfg.Reloader.Reload(ctx)
	if err != nil {
		return nil, problem(http.StatusUnprocessableEntity, err.Error())
	}
	return &r, nil
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	return ask[Reloaded](ctx, c, http.MethodPost, "reload", nil, ReloadRequest{})
}
