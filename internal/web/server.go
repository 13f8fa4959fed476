package web

import (
	"net/http"
	"runtime/debug"
	"slices"
)

// Server answers HTTP. It has no goroutines of its own and is safe for
// concurrent use.
type Server struct {
	cfg    Config
	routes http.Handler
	guard  http.Handler
	ready  *readiness
	// backups holds one for each that is being made or handed over.
	backups chan struct{}
}

// New makes a server. It fails when a needed part is missing or PublicURL is
// not an address.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, ready: newReadiness(&cfg), backups: make(chan struct{}, maxBackups)}
	if cfg.Metrics != nil {
		cfg.Metrics.attach(&s.cfg)
	}
	s.routes = s.hardened(s.mux())
	guarded, err := s.guarded(s.routes)
	if err != nil {
		return nil, err
	}
	s.guard = guarded
	return s, nil
}

// Handler is for TCP: it asks for tokens.
func (s *Server) Handler() http.Handler { return s.guard }

// SocketHandler is for the unix socket and for [InProcess]: whoever reaches it
// may do everything.
func (s *Server) SocketHandler() http.Handler { return s.routes }

func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready.serve)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics.handler(s.cfg.Logger))
	}
	mux.HandleFunc("GET "+linkPath, link)
	s.api(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		notFound("nothing is at "+r.URL.Path+"; the API is described at "+openAPIPath, nil).write(w)
	})
	return mux
}

// guarded puts what TCP needs before the routes. Health and readiness pass
// untouched: orchestrators ask under any name and without a token.
func (s *Server) guarded(routes http.Handler) (http.Handler, error) {
	origin, public, err := s.cfg.publicOrigin()
	if err != nil {
		return nil, err
	}
	csrf := http.NewCrossOriginProtection()
	if origin != "" {
		if err := csrf.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	var names []string
	if loopback(s.cfg.Listen) {
		names = []string{"localhost", hostname(s.cfg.Listen), public}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := s.refuse(r, names, csrf); p != nil {
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="basewatch"`)
			}
			p.write(w)
			return
		}
		routes.ServeHTTP(w, r)
	}), nil
}

func (s *Server) refuse(r *http.Request, names []string, csrf *http.CrossOriginProtection) *Problem {
	if slices.Contains([]string{"/healthz", "/readyz"}, r.URL.Path) {
		return nil
	}
	if names != nil && !hostAllowed(r.Host, names) {
		return problem(http.StatusForbidden, "this listener is not known by the name in the Host header; set public_url under [http] if it should be")
	}
	if csrf.Check(r) != nil {
		return problem(http.StatusForbidden, "a page of another origin may not change anything here; set public_url under [http] if it is ours")
	}
	return gate{tokens: s.cfg.Tokens(), readers: s.cfg.ReadTokens(), log: s.cfg.Logger}.refuse(r)
}

// hardened adds what every answer has: headers that keep browsers from
// interpreting it, a log line for what may change something, and an answer
// also when we panic.
func (s *Server) hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !safe(r.Method) {
			s.cfg.Logger.Info("asked over HTTP", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr)
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r.WithContext(withController(r.Context(), w)))
	})
}

func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	s.cfg.Logger.Error("panic while answering", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	problem(http.StatusInternalServerError, "basewatch failed on this request; its log says more").write(w)
}
