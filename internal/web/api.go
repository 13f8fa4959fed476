package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	apiPrefix   = "/api/v1/"
	openAPIPath = apiPrefix + "openapi.json"
	maxBody     = 256 << 10
	// maxList bounds every list of one answer.
	maxList = 1000
)

type answer[T any] struct{ Body T }

type asked[T any] struct{ Body T }

// api adds the API's routes to mux.
func (s *Server) api(mux *http.ServeMux) {
	a := operations{api: humago.New(mux, apiConfig(s.cfg.Version)), mux: mux, log: s.cfg.Logger}
	get(a, "status", "How the daemon, its images, receivers and registries are", s.status)
	get(a, "targets", "What is watched", s.targets)
	get(a, "history", "What became of one image, newest first", s.history)
	get(a, "deliveries", "What was told, or waits to be, newest first", s.deliveries)
	get(a, "explain", "Why an image, a change or a delivery stands where it does", s.explain)
	post(a, "check", "Look at images now and record what is seen", s.check)
	post(a, "retry", "Try waiting deliveries now", s.retry)
	post(a, "replay", "Deliver again what was settled, under the same IDs", s.replay)
	post(a, "test", "Send a test event through the queue to one receiver", s.test)
	post(a, "reload", "Read the configuration again", s.reload)
	s.addBackup(a)
	serveDescription(mux, a.api)
}

// apiConfig is huma's without its documentation page, which loads scripts from
// a public CDN, and without its $schema members.
func apiConfig(version string) huma.Config {
	c := huma.DefaultConfig("basewatch", version)
	c.DocsPath, c.SchemasPath = "", ""
	c.OpenAPIPath = "" // huma's own handler fills its cache without a lock
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	return c
}

func serveDescription(mux *http.ServeMux, api huma.API) {
	description := sync.OnceValues(func() ([]byte, error) { return json.Marshal(api.OpenAPI()) })
	mux.HandleFunc("GET "+openAPIPath, func(w http.ResponseWriter, _ *http.Request) {
		body, err := description()
		if err != nil {
			problem(http.StatusInternalServerError, "the description cannot be encoded").write(w)
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(body)
	})
}

type operations struct {
	api huma.API
	mux *http.ServeMux
	log *slog.Logger
}

func get[I, O any](a operations, name, summary string, handle func(context.Context, *I) (*O, error)) {
	register(a, huma.Operation{Method: http.MethodGet, OperationID: name, Path: apiPrefix + name, Summary: summary},
		func(ctx context.Context, in *I) (*answer[O], error) {
			out, err := handle(ctx, in)
			return wrap(out), a.told(name, err)
		})
}

func post[I, O any](a operations, name, summary string, handle func(context.Context, *I) (*O, error)) {
	op := huma.Operation{Method: http.MethodPost, OperationID: name, Path: apiPrefix + name, Summary: summary,
		MaxBodyBytes: maxBody, BodyReadTimeout: readTimeout}
	register(a, op, func(ctx context.Context, in *asked[I]) (*answer[O], error) {
		out, err := handle(ctx, &in.Body)
		return wrap(out), a.told(name, err)
	})
}

func wrap[O any](out *O) *answer[O] {
	if out == nil {
		return nil
	}
	return &answer[O]{Body: *out}
}

func register[I, O any](a operations, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	huma.Register(a.api, op, handle)
	a.mux.HandleFunc(op.Path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", op.Method)
		problem(http.StatusMethodNotAllowed, op.Path+" takes "+op.Method).write(w)
	})
}

// told turns any error into a problem. What is our own fault is logged here,
// once.
func (a operations) told(name string, err error) error {
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, name+": stopped before it was done: "+err.Error())
	}
	a.log.Error("a request failed", "operation", name, "err", err)
	return problem(http.StatusInternalServerError, name+": "+err.Error())
}

// withController lets a handler that takes long move the connection's deadline
// ([extend]).
func withController(ctx context.Context, w http.ResponseWriter) context.Context {
	return context.WithValue(ctx, controllerKey{}, http.NewResponseController(w))
}

type controllerKey struct{}

// extend gives the request d to be answered. In process there is no deadline to
// move.
func extend(ctx context.Context, d time.Duration) {
	if c, ok := ctx.Value(controllerKey{}).(*http.ResponseController); ok {
		_ = c.SetWriteDeadline(time.Now().Add(d))
	}
}

// canonical makes a name from a request canonical.
func (s *Server) canonical(name string) (string, error) {
	ref, err := s.cfg.Canonical(strings.TrimSpace(name))
	if err != nil {
		return "", problem(http.StatusUnprocessableEntity, err.Error())
	}
	return ref, nil
}
